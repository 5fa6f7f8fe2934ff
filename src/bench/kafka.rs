//! `kafka`: commits agreed on through Kafka, beside a bare client that sends the same records.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use events::{Commit, Head, Recorded, publish::publish};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord, Producer as _},
};
use uuid::Uuid;

mod bare;
mod fed;
mod http;
mod round;

use super::{
    Setting, commands, latencies::Latencies, load::Measured, options::Kafka, report::Figure,
};
use crate::{
    domain::World,
    engine::Decider,
    journal::{
        Journal as _, KafkaJournal,
        kafka::{Options, journal_topic, record_of, topics_of},
    },
};

const BUYERS: u32 = 64;
/// The most commits that are measured of one size.
const COMMITS_MAX: u64 = 10_000;
/// How long a transaction may take to be committed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the topics may take to go.
const REMOVED_WITHIN: Duration = Duration::from_secs(10);

/// Measures each size of commit: the journal, and a transaction a commit.
///
/// # Errors
/// Where something is to be measured twice, as its topics are named by it; when the brokers refuse.
pub async fn run(setting: &Setting, options: &Kafka) -> anyhow::Result<()> {
    anyhow::ensure!(are_distinct(&options.commit), "--commit has a number twice");
    anyhow::ensure!(are_distinct(&options.load.connections), "--connections has a number twice");
    let prefix = format!("bench-{}", Uuid::new_v4());
    let site = Options {
        brokers: options.brokers.clone(),
        prefix: prefix.clone(),
        replication: options.replication,
        settings: Vec::new(),
    };
    let mut measured = measure(setting, options, &site).await;
    if measured.is_ok() {
        measured = http::run(setting, options, &site).await;
    }
    let admin: AdminClient<DefaultClientContext> = client(&site.brokers).create()?;
    let mut topics: Vec<_> =
        options.commit.iter().flat_map(|size| topics(&prefix, *size)).collect();
    let bare = options.load.connections.iter().flat_map(|n| http::bare_of(&prefix, *n));
    let prefixes = [http::place(&prefix), http::fed_of(&prefix)].into_iter().chain(bare);
    topics.extend(prefixes.flat_map(|prefix| topics_of(&prefix)));
    let topics: Vec<_> = topics.iter().map(String::as_str).collect();
    let patience = AdminOptions::new().request_timeout(Some(REMOVED_WITHIN));
    let removed = admin.delete_topics(&topics, &patience).await;
    measured?;
    removed.context("cannot take away the topics that were made").map(drop)
}

async fn measure(setting: &Setting, options: &Kafka, site: &Options) -> anyhow::Result<()> {
    for size in &options.commit {
        setting.say(&format!("commits of {size}"));
        let commits = commits((options.orders / size).clamp(10, COMMITS_MAX), *size)?;
        let of_size = |what| Options { prefix: named(&site.prefix, *size, what), ..site.clone() };
        // Made with a journal's settings, and then written to without one.
        let bare = of_size("bare");
        drop(KafkaJournal::open(&setting.folder.join(format!("bare-{size}")), &bare).await?);
        setting.say(&format!("bare, commits of {size}"));
        let bare = bare::sent(&bare, &commits, options.in_flight).await?;
        let base_p99 = bare.latencies.ms(0.99);
        setting.say(&format!("the journal, commits of {size}"));
        let folder = setting.folder.join(format!("journal-{size}"));
        let journal = KafkaJournal::open(&folder, &of_size("journal")).await?;
        journal.begin()?;
        let it = appended(&journal, &commits, options.in_flight).await?;
        ended(journal).await?;
        let row = format!("kafka/journal/{size}");
        let figure = Figure::new(row, "commits/s", it.rate(), bare.rate());
        let note = format!("{} on their way at once, in both", options.in_flight);
        setting.print(&figure.timed(&it.latencies, base_p99).noted(note))?;
        if options.transactions == 0 {
            continue;
        }
        setting.say(&format!("transactions, commits of {size}"));
        let inside = of_size("transaction");
        drop(KafkaJournal::open(&setting.folder.join(format!("inside-{size}")), &inside).await?);
        let few = &commits[..commits.len().min(options.transactions)];
        let it = transacted(&inside, few).await?;
        let row = format!("kafka/transaction/{size}");
        let figure = Figure::new(row, "commits/s", it.rate(), bare.rate());
        let note = "with the public records inside, one at a time";
        setting.print(&figure.timed(&it.latencies, base_p99).noted(note))?;
    }
    Ok(())
}

fn are_distinct<T: Ord>(numbers: &[T]) -> bool {
    numbers.iter().collect::<BTreeSet<_>>().len() == numbers.len()
}

fn named(prefix: &str, size: u64, what: &str) -> String {
    format!("{prefix}-{size}-{what}")
}

/// What is made for one size, and goes at the end.
fn topics(prefix: &str, size: u64) -> Vec<String> {
    let kinds = ["bare", "journal", "transaction"].map(|what| named(prefix, size, what));
    kinds.iter().flat_map(|prefix| topics_of(prefix)).collect()
}

/// Commits that continue each other, each with so many orders, and the shop's before them.
fn commits(count: u64, size: u64) -> anyhow::Result<Vec<Committed>> {
    let mut decider = Decider::new(World::default(), Head::default());
    let buyers = commands::open_shop(&mut decider, BUYERS)?;
    let mut sealed = Vec::new();
    let mut seal = |decider: &mut Decider| {
        let commit = decider.seal().context("nothing was decided")?;
        let events = Arc::into_inner(commit.followed).map(|it| it.events).unwrap_or_default();
        sealed.push((commit.commit, events));
        anyhow::Ok(())
    };
    seal(&mut decider)?;
    for n in 0..count {
        for buyer in 0..size {
            let buyer = buyers[((n + buyer) % u64::from(BUYERS)) as usize];
            decider.decide(commands::place(buyer).1, commands::NOW)?;
        }
        seal(&mut decider)?;
    }
    Ok(sealed)
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

/// A commit, and its events.
type Committed = (Arc<Commit>, Vec<Recorded>);
/// Commits that continue each other.
type Commits = [Committed];

/// Gives every commit to somebody, some on their way at once. The first, with which a client finds
/// its brokers, does not count.
async fn pipelined<F: Future<Output = anyhow::Result<()>>>(
    commits: &Commits,
    at_once: usize,
    mut give: impl FnMut(&Arc<Commit>) -> anyhow::Result<F>,
) -> anyhow::Result<Measured> {
    if let Some((first, _)) = commits.first() {
        give(first)?.await?;
    }
    let mut latencies = Latencies::new();
    let mut in_flight: VecDeque<(Instant, F)> = VecDeque::new();
    let begin = Instant::now();
    for (commit, _) in commits.iter().skip(1) {
        if in_flight.len() >= at_once
            && let Some((since, done)) = in_flight.pop_front()
        {
            done.await?;
            latencies.record(since.elapsed());
        }
        let since = Instant::now();
        in_flight.push_back((since, give(commit)?));
    }
    while let Some((since, done)) = in_flight.pop_front() {
        done.await?;
        latencies.record(since.elapsed());
    }
    Ok(Measured { counted: commits.len() as u64 - 1, took: begin.elapsed(), latencies })
}

/// The journal takes them.
async fn appended(
    journal: &KafkaJournal,
    commits: &Commits,
    at_once: usize,
) -> anyhow::Result<Measured> {
    let give = |commit: &Arc<Commit>| {
        let appending = journal.append(Arc::clone(commit), Vec::new());
        Ok(async move { Ok(appending.await??) })
    };
    pipelined(commits, at_once, give).await
}

async fn ended(journal: KafkaJournal) -> anyhow::Result<()> {
    Ok(tokio::task::spawn_blocking(move || drop(journal)).await?)
}

/// A transaction a commit, with the public records inside.
async fn transacted(site: &Options, commits: &Commits) -> anyhow::Result<Measured> {
    let mut config = client(&site.brokers);
    config.set("transactional.id", format!("{}.writer", site.prefix)).set("linger.ms", "0");
    let producer: FutureProducer = config.create()?;
    let starting = producer.clone();
    tokio::task::spawn_blocking(move || starting.init_transactions(PATIENCE)).await??;
    let journal = journal_topic(&site.prefix);
    let (mut latencies, mut begin) = (Latencies::new(), Instant::now());
    for (n, (commit, events)) in commits.iter().enumerate() {
        if n == 1 {
            (latencies, begin) = (Latencies::new(), Instant::now());
        }
        let since = Instant::now();
        let value = record_of(commit);
        let records: Vec<_> = events.iter().flat_map(publish).collect();
        producer.begin_transaction()?;
        let record = FutureRecord::<(), _>::to(&journal).partition(0).payload(&value);
        let mut sent = vec![producer.send_result(record).map_err(|(error, _)| error)?];
        for record in &records {
            let (topic, value) = (record.topic().address(&site.prefix), record.value());
            let record = FutureRecord::to(&topic).key(record.key()).payload(&value);
            sent.push(producer.send_result(record).map_err(|(error, _)| error)?);
        }
        for sent in sent {
            sent.await?.map_err(|(error, _)| error)?;
        }
        let committing = producer.clone();
        tokio::task::spawn_blocking(move || committing.commit_transaction(PATIENCE)).await??;
        latencies.record(since.elapsed());
    }
    Ok(Measured { counted: commits.len() as u64 - 1, took: begin.elapsed(), latencies })
}
