//! The `docket` command.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use docket::{
    bench,
    config::{self, Config},
    demo,
    domain::lifecycle::{Bound, Lifecycle, Settings},
    http,
    node::{self, Parts},
    operate::commands::{self, Task},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

/// Views are kept by many small allocations on several threads, and what one thread gives librdkafka
/// another one frees: so on Linux this is also where C libraries take theirs (`override`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An order engine that speaks the order APIs shops already have.
///
/// Without a command it serves: orders are taken at http://127.0.0.1:8080 and kept under ./data.
/// Settings come from flags, else from DOCKET_<NAME> in the environment, else from docket.toml;
/// `docket config` shows all of them. `docket demo` shows an order's whole life in a minute.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, max_term_width = 100)]
#[command(after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Do>,
    #[command(flatten)]
    serve: Serve,
    /// The file of settings; by default docket.toml in this folder, where there is one.
    #[arg(long, global = true, value_name = "FILE", env = "DOCKET_CONFIG")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  docket                                      serve on this machine, data in ./data
  docket --listen 127.0.0.1:9000 --data shop  serve at another port, on another folder
  docket --journal memory                     try it; nothing is kept
  docket config                               every setting, as a docket.toml to begin with
  docket backup shop.backup --data shop       all that is to be kept in one file, also while it runs
  docket restore shop.backup --data new       verify it, and make a new folder of it";

#[derive(Subcommand)]
enum Do {
    /// Serve orders until a signal (SIGTERM, Ctrl-C) says to stop.
    Serve(Serve),
    /// Show one order's whole life, through the bookstore API and through /v1, on a folder of its own.
    Demo,
    /// Show every setting, its value and where that comes from, as a docket.toml.
    Config,
    /// Measure how fast it is on this machine, beside what the machine can do at all.
    Bench(bench::Bench),
    #[command(flatten)]
    Operate(Task),
}

#[derive(Args, Clone, Default)]
struct Serve {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The folder of everything that is kept [default: ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Where events are kept: sqlite; memory, which forgets everything at the end; kafka, for
    /// several nodes that are one docket [default: sqlite]
    #[arg(long, value_name = "KIND")]
    journal: Option<String>,
    /// Kafka's brokers to begin with, with commas between them
    #[arg(long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// Where the other nodes reach this one, with --journal kafka [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    inner_listen: Option<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.context("no runtime").and_then(|runtime| {
        let done = runtime.block_on(run(cli));
        // What blocks on storage and was given up must not keep the process.
        runtime.shutdown_timeout(Duration::from_secs(1));
        done
    });
    done.unwrap_or_else(|error| {
        eprintln!("docket: {}", told(&error));
        ExitCode::FAILURE
    })
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Some(Do::Demo) => {
            let folder = Temporary::new();
            tokio::select! {
                done = demo::run(&folder.0, |line| println!("{line}")) => {
                    done.map(|()| ExitCode::SUCCESS)
                }
                // The folder goes, whoever breaks off.
                _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
            }
        }
        Some(Do::Config) => {
            print!("{}", shown_settings(&settings(cli.config.as_deref(), &cli.serve)?)?);
            Ok(ExitCode::SUCCESS)
        }
        Some(Do::Bench(bench)) => bench::run(bench).await,
        Some(Do::Operate(task)) => {
            let flags = Serve { data: task.data(), ..Serve::default() };
            commands::run(task, &settings(cli.config.as_deref(), &flags)?).await
        }
        Some(Do::Serve(flags)) => serve(settings(cli.config.as_deref(), &flags)?).await,
        None => serve(settings(cli.config.as_deref(), &cli.serve)?).await,
    }
}

fn settings(path: Option<&Path>, flags: &Serve) -> anyhow::Result<Config> {
    let usual = Path::new("docket.toml");
    let path = path.or_else(|| usual.exists().then_some(usual));
    let file = path.map(|path| {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::Ok((path.display().to_string(), text))
    });
    let file = file.transpose()?;
    let flags = [
        ("listen", &flags.listen),
        ("data", &flags.data),
        ("journal", &flags.journal),
        ("brokers", &flags.brokers),
        ("inner_listen", &flags.inner_listen),
    ];
    let flags: Vec<_> =
        flags.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    let file = file.as_ref().map(|(path, text)| (path.as_str(), text.as_str()));
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Config::resolve(&flags, file, variables)?)
}

async fn serve(mut config: Config) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_new(config.text("log")).context("the setting log")?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    log.with_writer(std::io::stderr).init();
    let forgets = config.text("journal") == "memory";
    let temporary = forgets.then(Temporary::new);
    if let Some(folder) = &temporary {
        config.keep_nothing(&folder.0);
    }
    let stop = Arc::new(tokio::sync::Notify::new());
    watch_signals(Arc::clone(&stop))?;

    let asked = config.text("listen").parse().expect("addresses are checked when they are set");
    node::check_exposure(&config, asked)?;
    let listener = TcpListener::bind(asked).await.with_context(|| {
        format!("cannot listen on {asked}; name another address with --listen, such as 127.0.0.1:0")
    })?;
    let address = listener.local_addr()?;
    let metrics = node::keep_metrics()?;
    let parts = Parts { metrics: Some(metrics), ..Parts::default() };
    let starting = tokio::select! {
        started = node::start(&config, parts) => started,
        () = stop.notified() => return Ok(ExitCode::SUCCESS),
    };
    let node = match starting {
        Ok(node) => node,
        Err(node::Error::Storage(error)) => {
            return in_trouble(listener, &config, error, &stop).await;
        }
        Err(node::Error::Other(error)) => return Err(error),
    };
    let data = Path::new(config.text("data"));
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    let token = match config.text("operator_token") {
        "" => node::operator_token(&data)?.display().to_string(),
        _ => "as it is set".to_owned(),
    };
    let kept = if forgets { ", gone when docket ends" } else { "" };
    println!("docket is ready for orders");
    println!("  listening on    http://{address}");
    println!("  data            {}{kept}", data.display());
    println!("  operator token  {token}");
    if let Some(address) = &node.inner_address {
        println!("  other nodes     reach it at {address}");
    }
    println!(
        "  try             curl -d '{{\"user_id\":\"ann\",\"password\":\"secret\"}}' \
         http://{address}/auth/register"
    );
    let stopped = async move { stop.notified().await };
    match node.serve(listener, &config, stopped).await {
        None => {
            tracing::info!("ended in good order");
            Ok(ExitCode::SUCCESS)
        }
        Some(reason) => {
            eprintln!("docket: the journal failed: {reason}");
            eprintln!(
                "docket: everything acknowledged is in it; start docket again once the cause is gone"
            );
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The journal cannot be opened: says so for a while to whoever asks, and ends.
async fn in_trouble(
    listener: TcpListener,
    config: &Config,
    error: anyhow::Error,
    stop: &tokio::sync::Notify,
) -> anyhow::Result<ExitCode> {
    let reason: Arc<str> = told(&error).into();
    let address = listener.local_addr()?;
    tracing::error!(%address, %reason, "the journal cannot be used; no order is taken");
    let linger = async {
        tokio::select! {
            () = tokio::time::sleep(config.duration("fail_after")) => {}
            () = stop.notified() => {}
        }
    };
    let options = node::server_options(config);
    let (router, late) = (http::trouble::router(reason), http::trouble::ending());
    http::server::serve(listener, router, late, linger, &options).await;
    Err(error)
}

/// An error and its causes, as far as they are not in its text already.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if text.contains(&cause) {
            break; // And with it what is below.
        }
        text = format!("{text}: {cause}");
    }
    text
}

/// The first signal ends in good order, the second at once.
fn watch_signals(stop: Arc<tokio::sync::Notify>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                tracing::info!("told to stop; finishing what is under way");
                stop.notify_one();
            }
        }
        std::process::exit(130);
    });
    Ok(())
}

/// Every setting, those of the life cycles too, checked as `serve` checks them.
fn shown_settings(config: &Config) -> anyhow::Result<String> {
    let mut channels = Vec::new();
    for (channel, text, origin) in node::lifecycles(config)? {
        let lifecycle = Lifecycle::parse(&channel, &text).map_err(|problems| {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{origin} is not right:\n{}", problems.join("\n"))
        })?;
        let overrides = config.overrides(&channel);
        let overrides = overrides.into_iter().map(|(name, value)| (name, value.text)).collect();
        Settings::override_with(lifecycle.default_settings(), &overrides)
            .with_context(|| format!("the settings of channel {channel}"))?;
        let bounds = Bound::ALL.map(|it| (it.name().to_owned(), it.default_most().to_string()));
        let defaults = lifecycle.default_settings().iter();
        let defaults = defaults.map(|(name, it)| (name.clone(), it.to_string()));
        channels.push((channel, bounds.into_iter().chain(defaults).collect()));
    }
    Ok(config::show(config, &channels))
}

/// A folder that goes when its owner does.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("docket-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Never made, or somebody holds a file in it: nothing that matters is there.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
