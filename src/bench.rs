//! `docket bench`: how fast it is, on this machine, beside what the machine can do at all.
//!
//! The load comes from this process; what is measured is a process of its own. Every figure has
//! its baseline, measured in the same run: a ratio says more than a number from another machine.
//!
//! **Invariant:** figures go to standard output, everything else to standard error; what was made
//! for the measurement, folders and processes, is gone at the end, whoever breaks off.

use std::{
    io::IsTerminal as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

mod append;
mod commands;
mod echo;
mod engine;
mod fill;
mod kafka;
mod latencies;
mod load;
mod mix;
mod options;
mod place;
mod process;
mod query;
mod replay;
mod report;
mod shop;
mod start;

use load::{Measured, Plan, Talk};
use options::Row;
use report::Figure;

/// What is to be measured, and how.
#[derive(Args)]
#[command(after_help = options::EXAMPLES, subcommand_value_name = "ROW")]
#[command(subcommand_help_heading = "Rows", disable_help_subcommand = true)]
pub struct Bench {
    #[command(subcommand)]
    row: Row,
    /// One JSON object a line
    #[arg(long, global = true)]
    json: bool,
    /// Where to keep what is measured, on the disk that is meant; what is made there goes at the end
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// What every row knows.
pub(crate) struct Setting {
    json: bool,
    /// For what is made and goes at the end.
    folder: PathBuf,
    bar: ProgressBar,
    shows_bar: bool,
}

/// How long a measurement that is broken off may take to let go of what it has.
const PATIENCE: Duration = Duration::from_secs(2);

/// Measures, and prints a line for each figure. Ends with 130 where a signal breaks it off.
///
/// # Errors
/// When something does not start, or does not answer as it must.
pub async fn run(bench: Bench) -> anyhow::Result<ExitCode> {
    let Bench { row, json, folder } = bench;
    match row {
        Row::Echo => return echo::serve().await.map(|()| ExitCode::SUCCESS),
        Row::World { journal } => return start::world(&journal).map(|()| ExitCode::SUCCESS),
        _ => {}
    }
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let scratch = Scratch::new(&folder)?;
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{msg}")?);
    let shows_bar = std::io::stderr().is_terminal();
    let setting = Setting { json, folder: scratch.0.clone(), bar, shows_bar };
    // Of its own, because a part of it may keep its thread for long.
    let mut measuring = tokio::spawn(async move {
        let done = measure(&row, &setting).await;
        setting.bar.finish_and_clear();
        done
    });
    tokio::select! {
        done = &mut measuring => return done.context("the bench")?.map(|()| ExitCode::SUCCESS),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    measuring.abort();
    let _ = tokio::time::timeout(PATIENCE, measuring).await; // Whatever it says: it is over.
    eprintln!("docket: broken off");
    Ok(ExitCode::from(130))
}

async fn measure(row: &Row, setting: &Setting) -> anyhow::Result<()> {
    match row {
        Row::Place(options) => place::run(setting, options).await,
        Row::Mix(load) => mix::run(setting, load).await,
        Row::Engine(options) => engine::run(setting, options).await,
        Row::Query(options) => query::run(setting, options).await,
        Row::Replay(options) => replay::run(setting, options).await,
        Row::Start(options) => start::run(setting, options).await,
        Row::Kafka(options) => kafka::run(setting, options).await,
        Row::Echo | Row::World { .. } => Ok(()), // They measure nothing.
    }
}

impl Setting {
    /// Says what is done now, to whoever waits.
    fn say(&self, text: &str) {
        if self.shows_bar {
            self.tick(text);
        } else {
            eprintln!("{text}");
        }
    }

    /// Says how far that is; nothing where nobody watches.
    fn tick(&self, text: &str) {
        self.bar.set_message(text.to_owned());
        self.bar.tick();
    }

    fn print(&self, figure: &Figure) -> anyhow::Result<()> {
        self.bar.suspend(|| figure.write(&mut std::io::stdout().lock(), self.json))
    }

    /// Puts a server under load from a thread of its own, and says how it goes.
    async fn load<T: Talk>(
        &self,
        what: &str,
        address: SocketAddr,
        talks: Vec<T>,
        plan: Plan,
    ) -> anyhow::Result<(Measured, Vec<T>)> {
        let answers = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&answers);
        let what = format!("{what}, {} connections", talks.len());
        self.say(&what);
        let loading = tokio::task::spawn_blocking(move || {
            load::run(address, talks, plan, move |n| {
                told.fetch_add(n, Ordering::Relaxed);
            })
        });
        tokio::pin!(loading);
        let (begin, of) = (Instant::now(), (plan.warm + plan.measured).as_secs_f64());
        loop {
            tokio::select! {
                done = &mut loading => return done.context("the load")?,
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    let n = answers.swap(0, Ordering::Relaxed);
                    let seconds = begin.elapsed().as_secs();
                    self.tick(&format!("{what}: {n} answers/s, {seconds} of {of:.0} s"));
                }
            }
        }
    }
}

/// A folder that goes when its owner does.
struct Scratch(PathBuf);

impl Scratch {
    fn new(beside: &Path) -> anyhow::Result<Self> {
        let folder = beside.join(format!("docket-bench-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder.canonicalize()?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What was broken off may make one file more while the others go.
        for _ in 0..100 {
            if std::fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        eprintln!("docket: {} cannot be removed", self.0.display());
    }
}
