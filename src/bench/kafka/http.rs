//! Orders over HTTP at a docket whose journal is on Kafka, beside bare clients that send what it has
//! recorded, and a journal in this process that is given it.
//!
//! All of them have their turn in each of some rounds, so that brokers that get faster, or a machine
//! that gets slower, are the same for all.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use events::{Commit, CommitNumber, Recorded};
use uuid::Uuid;

use super::{COMMITS_MAX, appended, bare, ended};
use crate::{
    bench::{
        Setting,
        latencies::Latencies,
        load::{Measured, Plan},
        options::Kafka,
        place::echoed,
        process::Process,
        report::Figure,
        shop::{Calls, ORDER, Shop},
    },
    journal::{Journal as _, KafkaJournal, SqliteJournal, kafka::Options},
};

/// So many rounds count, behind one in which everything gets warm.
const ROUNDS: u32 = 3;
/// Of the baseline's commit p99, so many times it may be.
const TIMES: f64 = 3.0;
/// How many events of the journal are read at once.
const SLICE: usize = 4096;
/// How long a node of one may take until it writes.
const WRITES_WITHIN: Duration = Duration::from_secs(60);
/// How long what is left may take when a load ends: to be published, or to be stored.
const LEFT_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked whether that is done.
const POLL: Duration = Duration::from_millis(20);

/// Measures each number of connections.
///
/// # Errors
/// When something does not answer as it must.
pub async fn run(setting: &Setting, options: &Kafka, site: &Options) -> anyhow::Result<()> {
    let load = &options.load;
    let plan = load.plan(10);
    let plan = Plan { measured: plan.measured / ROUNDS, ..plan };
    let data = setting.folder.join("place");
    let docket = Node::start(setting, &place(&site.prefix), site, &data).await?;
    setting.say(&format!("{} buyers open accounts", load.most()));
    let shop = Shop::at(&docket.process, &docket.operator, load.most(), WRITES_WITHIN).await?;
    let echo = Process::echo(&setting.folder).await?;
    let mut fed = Fed::begin(&setting.folder, &of(site, fed(&site.prefix))).await?;
    for connections in load.connections.iter().copied() {
        let row = Row { setting, options, plan, docket: &docket, data: &data, shop: &shop };
        let bare = bare_of(&site.prefix, connections).map(|prefix| of(site, prefix));
        for bare in &bare {
            drop(KafkaJournal::open(&setting.folder.join(&bare.prefix), bare).await?);
        }
        let mut sum: Option<Round> = None;
        for round in 0..=ROUNDS {
            setting.say(&format!("round {round} of {ROUNDS}"));
            let echoed = echoed(setting, &echo, connections, plan).await?;
            let round_of = row.round(connections, echoed, &mut fed, &bare).await?;
            sum = (round > 0).then(|| match sum.take() {
                Some(sum) => sum.with(&round_of),
                None => round_of,
            });
        }
        sum.context("a round")?.print(setting, connections)?;
    }
    ended(fed.journal).await?;
    docket.process.stop().await
}

/// The prefix of what docket writes.
pub fn place(prefix: &str) -> String {
    format!("{prefix}-place")
}

/// The prefix of what the journal in this process is fed.
pub fn fed(prefix: &str) -> String {
    format!("{prefix}-place-fed")
}

/// The prefixes of what bare clients write: the commits alone, and all.
pub fn bare_of(prefix: &str, connections: usize) -> [String; 2] {
    ["alone", "all"].map(|what| format!("{prefix}-place-{connections}-{what}"))
}

fn of(site: &Options, prefix: String) -> Options {
    Options { prefix, ..site.clone() }
}

/// What one number of connections is measured with.
struct Row<'a> {
    setting: &'a Setting,
    options: &'a Kafka,
    plan: Plan,
    docket: &'a Node,
    data: &'a Path,
    shop: &'a Shop,
}

/// What was measured in a round, or in several.
struct Round {
    echo: Measured,
    place: Measured,
    /// Events that the views lacked at the end.
    lag: u64,
    /// Commits that were not published at the end.
    unpublished: u64,
    commits: usize,
    events: usize,
    /// The journal in this process.
    fed: Measured,
    /// A bare client that sends the commits alone.
    alone: Measured,
    /// One that leaves the same records in the same topics: the public ones too.
    all: Measured,
}

impl Row<'_> {
    async fn round(
        &self,
        connections: usize,
        echo: Measured,
        fed: &mut Fed,
        [alone, all]: &[Options; 2],
    ) -> anyhow::Result<Round> {
        let Self { setting, options, plan, docket, data, shop } = self;
        let orders = shop.buyers.iter().take(connections);
        let orders = orders
            .map(|(_, token)| Calls::new([("POST /v1/orders", token.as_str(), ORDER)], 201))
            .collect();
        let from = newest(data)?;
        let place = setting.load("place", docket.process.address, orders, *plan).await?.0;
        let (lag, unpublished) = (shop.lag().await?, shop.unpublished().await?);
        publish_the_rest(shop).await?;
        let commits = recorded(data, from, COMMITS_MAX as usize)?;
        setting.say("bare, the same commits");
        let alone = bare::sent(alone, &commits, options.in_flight).await?;
        setting.say("the journal, the same commits");
        let before = fed.before(data, from)?;
        let fed = fed.feed(&before, &commits, options.in_flight).await?;
        setting.say("bare, the same commits and their public records");
        let all = bare::sent_all(all, &commits, options.in_flight).await?;
        let events = commits.iter().map(|(_, events)| events.len()).sum();
        let commits = commits.len();
        Ok(Round { echo, place, lag, unpublished, commits, events, fed, alone, all })
    }
}

impl Round {
    fn with(self, other: &Self) -> Self {
        Self {
            echo: self.echo.with(&other.echo),
            place: self.place.with(&other.place),
            lag: self.lag + other.lag,
            unpublished: self.unpublished.max(other.unpublished),
            commits: self.commits + other.commits,
            events: self.events + other.events,
            fed: self.fed.with(&other.fed),
            alone: self.alone.with(&other.alone),
            all: self.all.with(&other.all),
        }
    }

    fn print(&self, setting: &Setting, connections: usize) -> anyhow::Result<()> {
        let p99 = |of: &Latencies| of.ms(0.99).unwrap_or_default();
        let Self { lag, unpublished, alone, all, .. } = self;
        let [echo_p99, alone_p99, all_p99] = [&self.echo, alone, all].map(|it| p99(&it.latencies));
        let size = self.events as f64 / self.commits as f64;
        let value = self.place.counted.saturating_sub(*lag) as f64 / self.place.took.as_secs_f64();
        let note = format!(
            "{size:.1} events a commit; lag at the end {lag} events, {unpublished} commits not \
             published; echo p99 {echo_p99:.2} ms; the same records bare: {:.0} commits a second, \
             p99 {all_p99:.2} ms; without the public ones: {:.0}, p99 {alone_p99:.2} ms",
            all.rate(),
            alone.rate(),
        );
        let row = format!("kafka/place/{connections}");
        let figure = Figure::new(row, "orders/s", value, self.echo.rate())
            .timed(&self.place.latencies, Some(TIMES * all_p99 + echo_p99))
            .noted(note);
        setting.print(&figure)?;
        let row = format!("kafka/recorded/{connections}");
        let figure = Figure::new(row, "commits/s", self.fed.rate(), alone.rate())
            .timed(&self.fed.latencies, Some(alone_p99))
            .noted(format!("{size:.1} events a commit"));
        setting.print(&figure)
    }
}

/// A journal in this process that is given what a docket has recorded, from the first commit on.
struct Fed {
    journal: KafkaJournal,
    folder: PathBuf,
}

impl Fed {
    async fn begin(folder: &Path, site: &Options) -> anyhow::Result<Self> {
        let folder = folder.join(&site.prefix);
        let journal = KafkaJournal::open(&folder, site).await?;
        journal.begin()?;
        Ok(Self { journal, folder })
    }

    /// What it lacks up to a commit.
    fn before(&self, data: &Path, up_to: CommitNumber) -> anyhow::Result<Vec<Bare>> {
        let head = self.journal.head().borrow().number;
        match up_to.0.saturating_sub(head.0) {
            0 => Ok(Vec::new()),
            lacks => recorded(data, head, usize::try_from(lacks)?),
        }
    }

    /// Gives it what it lacks, and then what counts; what it has stored after that is no burden for
    /// what comes next.
    async fn feed(
        &mut self,
        before: &[Bare],
        commits: &[Bare],
        at_once: usize,
    ) -> anyhow::Result<Measured> {
        if !before.is_empty() {
            appended(&self.journal, before, at_once).await?;
            self.store_the_rest().await?;
        }
        let measured = appended(&self.journal, commits, at_once).await?;
        self.store_the_rest().await?;
        Ok(measured)
    }

    async fn store_the_rest(&self) -> anyhow::Result<()> {
        let head = self.journal.head().borrow().number;
        let asked = Instant::now();
        while newest(&self.folder)? < head {
            ensure!(asked.elapsed() < LEFT_WITHIN, "the journal does not store what it has taken");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// A node of one.
struct Node {
    process: Process,
    operator: String,
}

impl Node {
    async fn start(
        setting: &Setting,
        prefix: &str,
        site: &Options,
        data: &Path,
    ) -> anyhow::Result<Self> {
        let blobs = setting.folder.join("blobs");
        fs::create_dir_all(&blobs)?;
        let secret = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let operator = secret();
        let settings = [
            ("JOURNAL", "kafka".to_owned()),
            ("BROKERS", site.brokers.clone()),
            ("TOPIC_PREFIX", prefix.to_owned()),
            ("REPLICATION", site.replication.to_string()),
            ("MASTER_KEY", secret()),
            ("CLUSTER_SECRET", secret()),
            ("OPERATOR_TOKEN", operator.clone()),
            ("BLOBS", blobs.display().to_string()),
            ("INNER_LISTEN", "127.0.0.1:0".to_owned()),
        ];
        let settings = settings.map(|(name, value)| (format!("DOCKET_{name}"), value));
        let process = Process::docket_with(&setting.folder, data, settings).await?;
        Ok(Self { process, operator })
    }
}

/// Waits until what comes next has the brokers for itself.
async fn publish_the_rest(shop: &Shop) -> anyhow::Result<()> {
    let asked = Instant::now();
    while shop.unpublished().await? > 0 {
        ensure!(asked.elapsed() < LEFT_WITHIN, "docket does not publish what it has recorded");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The newest commit of a docket that runs.
fn newest(data: &Path) -> anyhow::Result<CommitNumber> {
    Ok(SqliteJournal::open_read_only(data)?.head().borrow().number)
}

/// A commit, and its events.
type Bare = (Arc<Commit>, Vec<Recorded>);

/// What a docket has recorded after a commit, so many commits at most.
fn recorded(data: &Path, from: CommitNumber, most: usize) -> anyhow::Result<Vec<Bare>> {
    let journal = SqliteJournal::open_read_only(data)?;
    let head = journal.head().borrow().number;
    let (mut after, mut commits) = (from, Vec::new());
    while after < head && commits.len() < most {
        let read = journal.read(after, SLICE)?;
        after = read.last().context("a commit")?.number;
        for commit in read {
            let contents = commit.contents()?;
            let events = contents.iter().flat_map(|(_, envelopes)| envelopes);
            let events = events.map(Recorded::decode).collect::<Result<_, _>>()?;
            commits.push((Arc::new(commit), events));
        }
    }
    ensure!(!commits.is_empty(), "nothing was recorded");
    commits.truncate(most);
    Ok(commits)
}
