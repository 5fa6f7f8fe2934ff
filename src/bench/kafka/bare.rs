//! A bare client: it has no more to do than to send what docket has recorded.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use events::{Commit, Recorded, publish::publish};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};
use tokio::sync::mpsc;

use super::{Commits, PATIENCE, client, pipelined};
use crate::{
    bench::load::Measured,
    cluster::publisher::{
        EVENTS_AT_ONCE, EVENTS_MAX, GATHER,
        producer::{self, Producer},
    },
    journal::kafka::{KEYS_HEADER, Options, journal_topic, record_of},
};

/// Sends the commits' own records, some on their way at once.
pub async fn sent(site: &Options, commits: &Commits, at_once: usize) -> anyhow::Result<Measured> {
    let producer = idempotent(&site.brokers)?;
    let topic = journal_topic(&site.prefix);
    let give = |commit: &Arc<Commit>| {
        let sent = send(&producer, &topic, commit)?;
        Ok(async move { delivered(sent).await })
    };
    pipelined(commits, at_once, give).await
}

/// What was measured of a client that leaves all records.
pub struct All {
    pub commits: Measured,
    /// Public records, which are behind the commits.
    pub public: u64,
    /// Until the last of them was committed.
    pub took: Duration,
}

impl All {
    /// Two runs of the same as one.
    pub fn with(self, other: &Self) -> Self {
        let (public, took) = (self.public + other.public, self.took + other.took);
        Self { commits: self.commits.with(&other.commits), public, took }
    }
}

/// Sends the commits' own records, and the public ones in transactions behind them, as docket does: all
/// that it leaves in its topics. The public records are there before it begins; docket makes them while
/// it runs.
pub async fn sent_all(site: &Options, commits: &Commits, at_once: usize) -> anyhow::Result<All> {
    let mut records: Vec<_> = commits.iter().map(|(_, events)| Behind::of(site, events)).collect();
    records.reverse();
    let (done, undone) = mpsc::unbounded_channel();
    let (publisher, producer) = (publisher(site).await?, idempotent(&site.brokers)?);
    let begin = Instant::now();
    let publishing = tokio::spawn(published(publisher, undone));
    let topic = journal_topic(&site.prefix);
    let give = |commit: &Arc<Commit>| {
        let sent = send(&producer, &topic, commit)?;
        let (records, done) = (records.pop().context("its records")?, done.clone());
        Ok(async move {
            delivered(sent).await?;
            let _ = done.send(records); // What has failed there is told at the end.
            Ok(())
        })
    };
    let measured = pipelined(commits, at_once, give).await;
    drop(done);
    let public = publishing.await??;
    Ok(All { commits: measured?, public, took: begin.elapsed() })
}

/// The public records that are behind a commit.
struct Behind {
    events: usize,
    records: Vec<producer::Public>,
}

impl Behind {
    fn of(site: &Options, events: &[Recorded]) -> Self {
        let records = events.iter().flat_map(publish);
        let records = records.map(|record| producer::Public::of(&record, &site.prefix));
        Self { events: events.len(), records: records.collect() }
    }
}

/// Sends what comes in transactions, until nothing more comes; says how many records it was.
async fn published(
    producer: Producer,
    mut undone: mpsc::UnboundedReceiver<Behind>,
) -> anyhow::Result<u64> {
    let (mut sent, mut waiting) = (0, VecDeque::new());
    while let Some(first) = next(&mut waiting, &mut undone).await {
        let (mut events, mut records) = (first.events, first.records);
        while events < EVENTS_MAX
            && let Some(next) = waiting.pop_front()
        {
            events += next.events;
            records.extend(next.records);
        }
        sent += transact(&producer, records).await?;
        gather(&mut waiting, &mut undone);
        let left: usize = waiting.iter().map(|it| it.events).sum();
        if left < EVENTS_AT_ONCE && !undone.is_closed() {
            tokio::time::sleep(GATHER).await;
        }
    }
    Ok(sent)
}

async fn next(
    waiting: &mut VecDeque<Behind>,
    undone: &mut mpsc::UnboundedReceiver<Behind>,
) -> Option<Behind> {
    gather(waiting, undone);
    match waiting.pop_front() {
        Some(next) => Some(next),
        None => undone.recv().await,
    }
}

/// Takes what has come.
fn gather(waiting: &mut VecDeque<Behind>, undone: &mut mpsc::UnboundedReceiver<Behind>) {
    waiting.extend(std::iter::from_fn(|| undone.try_recv().ok()));
}

async fn transact(producer: &Producer, records: Vec<producer::Public>) -> anyhow::Result<u64> {
    let count = records.len() as u64;
    let producer = producer.clone();
    let transact = move || {
        producer.begin_transaction()?;
        records.into_iter().try_for_each(|record| producer::send(&producer, record))?;
        producer::commit(&producer, PATIENCE)
    };
    tokio::task::spawn_blocking(transact).await??;
    Ok(count)
}

/// One like docket's.
async fn publisher(site: &Options) -> anyhow::Result<Producer> {
    let producer = producer::make(&site.client(), &format!("{}.publisher", site.prefix))?;
    let beginning = producer.clone();
    tokio::task::spawn_blocking(move || beginning.init_transactions(PATIENCE)).await??;
    Ok(producer)
}

fn idempotent(brokers: &str) -> anyhow::Result<FutureProducer> {
    let mut config = client(brokers);
    config.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "0");
    Ok(config.create()?)
}

fn send(producer: &FutureProducer, topic: &str, commit: &Commit) -> anyhow::Result<DeliveryFuture> {
    let value = record_of(commit);
    let headers = OwnedHeaders::new().insert(Header { key: KEYS_HEADER, value: Some("0") });
    let record = FutureRecord::<(), _>::to(topic).partition(0).payload(&value).headers(headers);
    Ok(producer.send_result(record).map_err(|(error, _)| error)?)
}

async fn delivered(sent: DeliveryFuture) -> anyhow::Result<()> {
    Ok(sent.await?.map_err(|(error, _)| error).map(drop)?)
}
