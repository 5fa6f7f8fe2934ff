//! Orders over HTTP at a docket whose journal is on Kafka, beside a bare client that sends what it
//! has recorded.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use events::{Commit, CommitNumber, Recorded};
use uuid::Uuid;

use super::{COMMITS_MAX, Commits, sent};
use crate::{
    bench::{
        Setting,
        load::Plan,
        options::Kafka,
        place::echoed,
        process::Process,
        report::Figure,
        shop::{Calls, ORDER, Shop},
    },
    journal::{Journal as _, KafkaJournal, SqliteJournal, kafka::Options},
};

/// Of the baseline's commit p99, so many times it may be.
const TIMES: f64 = 3.0;
/// How many events of the journal are read at once.
const SLICE: usize = 4096;
/// How long a node of one may take until it writes.
const WRITES_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to publish what is left when the load ends.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(60);

/// Measures each number of connections.
///
/// # Errors
/// When something does not answer as it must.
pub async fn run(setting: &Setting, options: &Kafka, site: &Options) -> anyhow::Result<()> {
    let load = &options.load;
    let plan = load.plan(10);
    let data = setting.folder.join("place");
    let docket = Node::start(setting, &place(&site.prefix), site, &data).await?;
    setting.say(&format!("{} buyers open accounts", load.most()));
    let shop = Shop::at(&docket.process, &docket.operator, load.most(), WRITES_WITHIN).await?;
    let echo = Process::echo(&setting.folder).await?;
    for connections in load.connections.iter().copied() {
        let half = Plan { measured: plan.measured / 2, ..plan };
        let orders = shop.buyers.iter().take(connections);
        let orders = orders
            .map(|(_, token)| Calls::new([("POST /v1/orders", token.as_str(), ORDER)], 201))
            .collect();
        let before = echoed(setting, &echo, connections, half).await?;
        let from = newest(&data)?;
        let measured = setting.load("place", docket.process.address, orders, plan).await?.0;
        let (lag, unpublished) = (shop.lag().await?, shop.unpublished().await?);
        publish_the_rest(&shop).await?;
        let echoed = before.with(&echoed(setting, &echo, connections, half).await?);
        let commits = recorded(&data, from)?;
        setting.say("bare, the same commits");
        let bare = Options { prefix: bare(&site.prefix, connections), ..site.clone() };
        drop(KafkaJournal::open(&setting.folder.join(&bare.prefix), &bare).await?);
        let (rate, times) = sent(&bare, &commits, options.in_flight).await?;
        let echo_p99 = echoed.latencies.ms(0.99).unwrap_or_default();
        let bare_p99 = times.ms(0.99).unwrap_or_default();
        let value = measured.counted.saturating_sub(lag) as f64 / measured.took.as_secs_f64();
        let note = format!(
            "{:.1} events a commit; lag at the end {lag} events, {unpublished} commits not \
             published; echo p99 {echo_p99:.2} ms; the same commits bare: {rate:.0} a second, p99 \
             {bare_p99:.2} ms",
            events_of(&commits) / commits.len() as f64,
        );
        let row = format!("kafka/place/{connections}");
        let figure = Figure::new(row, "orders/s", value, echoed.rate())
            .timed(&measured.latencies, Some(TIMES * bare_p99 + echo_p99))
            .noted(note);
        setting.print(&figure)?;
    }
    docket.process.stop().await
}

/// The prefix of what docket writes.
pub fn place(prefix: &str) -> String {
    format!("{prefix}-place")
}

/// The prefix of what the bare client writes.
pub fn bare(prefix: &str, connections: usize) -> String {
    format!("{prefix}-place-{connections}-bare")
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
        ensure!(asked.elapsed() < PUBLISHED_WITHIN, "docket does not publish what it has recorded");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// The newest commit of a docket that runs.
fn newest(data: &Path) -> anyhow::Result<CommitNumber> {
    Ok(SqliteJournal::open_read_only(data)?.head().borrow().number)
}

/// What a docket has recorded after a commit.
fn recorded(data: &Path, from: CommitNumber) -> anyhow::Result<Vec<(Arc<Commit>, Vec<Recorded>)>> {
    let journal = SqliteJournal::open_read_only(data)?;
    let head = journal.head().borrow().number;
    let (mut after, mut commits) = (from, Vec::new());
    while after < head && commits.len() < COMMITS_MAX as usize {
        let read = journal.read(after, SLICE)?;
        after = read.last().context("a commit")?.number;
        commits.extend(read.into_iter().map(|commit| (Arc::new(commit), Vec::new())));
    }
    ensure!(!commits.is_empty(), "nothing was recorded");
    commits.truncate(COMMITS_MAX as usize);
    Ok(commits)
}

fn events_of(commits: &Commits) -> f64 {
    let events = |commit: &Commit| commit.decisions.iter().map(|it| it.events.len()).sum::<usize>();
    commits.iter().map(|(commit, _)| events(commit)).sum::<usize>() as f64
}
