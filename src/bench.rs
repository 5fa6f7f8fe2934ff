//! `docket bench`: how fast it is, on this machine, beside what the machine can do at all.
//!
//! The load comes from this process; what is measured is a process of its own. Every figure has
//! its baseline, measured in the same run: a ratio says more than a number from another machine.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

mod append;
mod commands;
mod echo;
mod engine;
mod fill;
mod load;
mod mix;
mod place;
mod process;
mod query;
mod replay;
mod report;
mod shop;
mod start;

use load::{Measured, Plan, Talk};

/// What is warmed up before anything counts.
const WARM: Duration = Duration::from_secs(1);

/// What is to be measured, and how.
#[derive(Args)]
pub struct Bench {
    /// What to measure
    row: Row,
    /// Connections that are kept alive; several numbers are measured one after the other
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "64")]
    connections: Vec<usize>,
    /// How long each measurement counts
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    /// Requests a second, kept up whatever the answers take; by default as fast as answers come
    #[arg(long, value_name = "R")]
    rate: Option<f64>,
    /// Orders that are there before it is measured [default: none for place, a million else]
    #[arg(long, value_name = "N")]
    preload: Option<u64>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Where to keep what is measured, on the disk that is meant; what is made there goes at the end
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// What can be measured.
#[derive(Clone, Copy, ValueEnum)]
enum Row {
    /// Orders of two lines over HTTP, durable, with live views
    Place,
    /// Whole lives of orders through the bookstore API
    Mix,
    /// Deciding and encoding in this process, in memory and on SQLite
    Engine,
    /// Detail, counts and a page of 20, on many orders
    Query,
    /// From the journal to the world, and to the views
    Replay,
    /// How long until the first order is accepted; memory of an open and of a closed order
    Start,
    /// What the world of a journal takes in memory
    #[value(hide = true)]
    World,
    /// The baseline itself
    #[value(hide = true)]
    Echo,
}

/// How it is measured.
pub(crate) struct Setting {
    connections: Vec<usize>,
    seconds: u64,
    rate: Option<f64>,
    preload: Option<u64>,
    json: bool,
    /// For what is made and goes at the end.
    folder: PathBuf,
    /// As named.
    beside: PathBuf,
    bar: ProgressBar,
}

/// Measures, and prints a line for each figure.
///
/// # Errors
/// When something does not start, or does not answer as it must.
pub async fn run(bench: Bench) -> anyhow::Result<()> {
    let Bench { row, connections, seconds, rate, preload, json, folder: beside } = bench;
    let folder = Scratch::new(&beside)?;
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{msg}")?);
    let folder_of = folder.0.clone();
    let setting =
        Setting { connections, seconds, rate, preload, json, folder: folder_of, beside, bar };
    let measure = async {
        match row {
            Row::Place => place::run(&setting).await,
            Row::Mix => mix::run(&setting).await,
            Row::Engine => engine::run(&setting).await,
            Row::Query => query::run(&setting).await,
            Row::Replay => replay::run(&setting).await,
            Row::Start => start::run(&setting).await,
            Row::World => start::world(&setting),
            Row::Echo => echo::serve().await,
        }
    };
    tokio::select! {
        done = measure => done,
        // The folder goes, whoever breaks off.
        _ = tokio::signal::ctrl_c() => anyhow::bail!("broken off"),
    }
}

impl Setting {
    fn plan(&self) -> Plan {
        Plan { warm: WARM, measured: Duration::from_secs(self.seconds), rate: self.rate }
    }

    fn preload_or(&self, default: u64) -> u64 {
        self.preload.unwrap_or(default)
    }

    fn say(&self, text: &str) {
        self.bar.set_message(text.to_owned());
        self.bar.tick();
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
        let connections = talks.len();
        let loading = tokio::task::spawn_blocking(move || {
            load::run(address, talks, plan, move |n| {
                told.fetch_add(n, Ordering::Relaxed);
            })
        });
        tokio::pin!(loading);
        let mut seconds = 0;
        loop {
            tokio::select! {
                done = &mut loading => return done.context("the load")?,
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    seconds += 1;
                    let n = answers.swap(0, Ordering::Relaxed);
                    let of = (plan.warm + plan.measured).as_secs();
                    self.say(&format!(
                        "{what}, {connections} connections: {n} answers/s, {seconds} of {of} s"
                    ));
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
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder.canonicalize()?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // Somebody took it away before.
    }
}
