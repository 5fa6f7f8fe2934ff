//! What `docket bench` is asked for: its rows, and what each of them takes.
//!
//! **Invariant:** a row takes only what it heeds; anything else is refused with its name.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::load::Plan;

/// What is warmed up at most before anything counts.
const WARM_MAX: Duration = Duration::from_secs(1);
/// The most seconds that a measurement counts: a day.
const SECONDS_MAX: f64 = 86_400.0;
/// The most requests a second that can be asked for.
const RATE_MAX: f64 = 1_000_000.0;

/// What `docket bench --help` ends with.
pub const EXAMPLES: &str = "\
Every figure comes with its baseline, measured in the same run on the same disk, and their ratio:
compare ratios, not figures of different machines. `docket bench ROW --help` says more of a row.
What is kept meanwhile goes at the end, also after Ctrl-C. Use a release build.

Examples:
  docket bench place                                 a minute or two: 1, 16 and 64 connections
  docket bench place --connections 64 --seconds 30
  docket bench place --preload 1000000               the same on top of a million orders
  docket bench mix --connections 64 --rate 2000      2000 calls a second, whatever answers take
  docket bench query --folder /mnt/disk --json       on another disk; one JSON object a line";

/// What can be measured.
#[derive(Subcommand)]
pub enum Row {
    /// Orders over HTTP, durable, with live views; beside a bare echo and a bare synced append
    ///
    /// Connections that are kept alive place orders of two lines through /v1. Each answer waits for
    /// a commit that is synced, and the views follow meanwhile: an order counts once it is in all
    /// of them. How many events they lack at the end is told.
    ///
    /// Baseline: a bare axum server that reads the same order and sends it back, driven by the same
    /// generator, before and after. The baseline's p99 is the echo's and that of a bare append of
    /// 4 KiB with its sync, added.
    Place(Place),
    /// Whole lives of orders through the bookstore API; beside the echo
    ///
    /// Each connection is somebody with one session who orders and pays; a third of the orders is
    /// cancelled, the others are shipped and received. Calls are counted; an order takes three or
    /// four.
    ///
    /// Baseline: the echo, driven by the same generator.
    Mix(Load),
    /// Deciding and evolving in process; beside serde_json alone, and bare SQLite
    ///
    /// Orders of two lines are decided, evolved and encoded in this process, without HTTP and
    /// without views: on the journal in memory, and on SQLite in commits of 512.
    ///
    /// Baselines: encoding the same events with serde_json alone; bare SQLite inserting the same
    /// bytes in the same transactions.
    Engine(Engine),
    /// Detail, counts and a page of 20, on many orders; beside the echo
    ///
    /// Buyers ask for one of their orders, for how many of them are in which phase, and for the
    /// newest 20 of them.
    ///
    /// Baseline: the echo, driven by the same generator.
    Query(Query),
    /// From the journal into the writer's world, and into the views; beside decoding alone
    ///
    /// A journal of one event an order is replayed into the world, as at a start, while another
    /// thread reads ahead, and folded into the views, one after the other.
    ///
    /// Baseline: decoding the same events, without reading them from the disk.
    Replay(Replay),
    /// Time to the first order, beside an empty journal's; the writer's memory of an order
    ///
    /// From the start of the process until the first order is accepted: on an empty journal, on a
    /// tenth of the orders and on all of them. Then what the writer keeps in memory of an order
    /// that is open, and of one that is closed.
    ///
    /// Baselines: the start on an empty journal; the bytes that an order may take.
    Start(Start),
    /// Commits agreed on through Kafka; beside a bare client that sends the same records
    ///
    /// Commits of two-line orders go through the journal on Kafka, several on their way at once: each
    /// is acknowledged when the brokers have it in its place in the log. And the other way it
    /// could be done: a transaction a commit, with the public records inside, one after the other.
    /// Then connections that are kept alive place orders of two lines at a docket of its own whose
    /// journal is there, and how large its commits became is told; and the journal in process is fed
    /// the commits that this docket has just recorded. That goes in rounds, behind one that does not
    /// count, in which baseline and docket take turns: a third of the seconds is a round's. Topics of
    /// their own are made, and go at the end.
    ///
    /// Baseline: a bare idempotent producer sending the same records to a topic with the same
    /// settings, as many on their way at once. Over HTTP, it sends the commits that the docket has
    /// just recorded; the baseline's p99 is three times its, and the echo's, added. What the commits
    /// take when their public records are sent behind them in transactions, is told besides.
    Kafka(Kafka),
    /// The baseline itself.
    #[command(hide = true)]
    Echo,
    /// What the world of a journal takes in memory.
    #[command(hide = true)]
    World {
        /// The folder of the journal.
        journal: PathBuf,
    },
}

/// How a server is put under load.
#[derive(Args)]
pub struct Load {
    /// Connections that are kept alive; several numbers are measured one after the other
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,16,64")]
    #[arg(value_parser = connections)]
    pub connections: Vec<usize>,
    /// How long each measurement counts, fractions too
    /// [default: 10; 60 for place on top of orders]
    #[arg(long, value_name = "S", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Option<Duration>,
    /// Requests a second over all connections, due at even distances whatever the answers take;
    /// each counts from when it was due. By default a connection asks as soon as it is answered
    #[arg(long, value_name = "R", value_parser = rate, allow_negative_numbers = true)]
    rate: Option<f64>,
}

impl Load {
    /// What was asked for, or so many seconds.
    pub fn plan(&self, seconds: u64) -> Plan {
        let measured = self.seconds.unwrap_or(Duration::from_secs(seconds));
        Plan { warm: measured.min(WARM_MAX), measured, rate: self.rate }
    }

    /// The most connections that are measured.
    pub fn most(&self) -> usize {
        self.connections.iter().copied().max().unwrap_or(1)
    }
}

/// What `place` takes.
#[derive(Args)]
pub struct Place {
    #[command(flatten)]
    pub load: Load,
    /// Orders that are there before
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preload: u64,
}

/// What `engine` takes.
#[derive(Args)]
pub struct Engine {
    /// Orders that are placed
    #[arg(long, value_name = "N", default_value = "200000", value_parser = orders)]
    pub orders: u64,
}

/// What `query` takes.
#[derive(Args)]
pub struct Query {
    #[command(flatten)]
    pub load: Load,
    /// Orders that are asked for
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = orders)]
    pub preload: u64,
}

/// What `replay` takes.
#[derive(Args)]
pub struct Replay {
    /// Orders in the journal, of one event each
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = orders)]
    pub preload: u64,
}

/// What `kafka` takes.
#[derive(Args)]
pub struct Kafka {
    /// Brokers to begin with, several with commas
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: String,
    /// On how many brokers each record lies
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub replication: i32,
    /// Orders in a commit; several numbers are measured one after the other
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,20,200")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=300))]
    pub commit: Vec<u64>,
    /// Orders that are sent of each size, 10,000 commits at most
    #[arg(long, value_name = "N", default_value = "60000", value_parser = orders)]
    pub orders: u64,
    #[command(flatten)]
    pub load: Load,
    /// Commits on their way at once; by default as many as the engine has
    #[arg(long, value_name = "N", default_value = "4", value_parser = connections)]
    pub in_flight: usize,
    /// How many of the commits are sent in transactions, which take long; 0 leaves them out
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub transactions: usize,
}

/// What `start` takes.
#[derive(Args)]
pub struct Start {
    /// Orders in the largest journal
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = orders)]
    pub preload: u64,
}

fn connections(text: &str) -> Result<usize, String> {
    let n = text.parse().ok().filter(|n| (1..=10_000).contains(n));
    n.ok_or_else(|| "it must be a number from 1 to 10000, or several with commas".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|s| (0.01..=SECONDS_MAX).contains(s));
    let seconds = seconds.map(Duration::from_secs_f64);
    seconds.ok_or_else(|| format!("it must be a number from 0.01 to {SECONDS_MAX}"))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=RATE_MAX).contains(rate));
    rate.ok_or_else(|| format!("it must be a number from 0.1 to {RATE_MAX}"))
}

fn orders(text: &str) -> Result<u64, String> {
    let n = text.parse().ok().filter(|n| *n > 0);
    n.ok_or_else(|| "it must be a number, 1 at least".to_owned())
}
