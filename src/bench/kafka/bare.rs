//! A bare client: it has no more to do than to send what docket has recorded.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use events::{Commit, Recorded, publish::publish};
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};
use tokio::sync::mpsc;

use super::{Commits, client, pipelined};
use crate::{
    bench::load::Measured,
    journal::kafka::{KEYS_HEADER, Options, journal_topic, record_of},
};

/// How long a transaction may take to be committed.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many events have their public records in one transaction, about, as docket has it.
const EVENTS_AT_ONCE: usize = 500;
/// How long is waited for more, where a transaction would not be full, as docket has it.
const GATHER: Duration = Duration::from_millis(50);

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

/// Sends the commits' own records, and behind them the public ones: all that docket leaves in its
/// topics. What is measured are the commits, as long as there are any; the public records are waited
/// for.
pub async fn sent_all(
    site: &Options,
    commits: &Commits,
    at_once: usize,
) -> anyhow::Result<Measured> {
    let mut records: Vec<_> = commits.iter().map(|(_, events)| Public::of(site, events)).collect();
    records.reverse();
    let (done, delivered_ones) = mpsc::unbounded_channel();
    let publishing = tokio::spawn(published(publisher(site).await?, delivered_ones));
    let producer = idempotent(&site.brokers)?;
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
    publishing.await??;
    measured
}

/// The public records of a commit, as they are sent.
struct Public {
    events: usize,
    records: Vec<(String, String, OwnedHeaders, String)>,
}

impl Public {
    fn of(site: &Options, events: &[Recorded]) -> Self {
        let records = events.iter().flat_map(publish).map(|record| {
            let headers =
                record.headers().into_iter().fold(OwnedHeaders::new(), |all, (key, it)| {
                    all.insert(Header { key, value: Some(it) })
                });
            let topic = record.topic().address(&site.prefix);
            (topic, record.key().to_owned(), headers, record.value())
        });
        Self { events: events.len(), records: records.collect() }
    }
}

/// Sends what comes in transactions, until nothing more comes.
async fn published(
    producer: FutureProducer,
    mut delivered_ones: mpsc::UnboundedReceiver<Public>,
) -> anyhow::Result<()> {
    while let Some(first) = delivered_ones.recv().await {
        let (mut events, mut records) = (first.events, first.records);
        while events < EVENTS_AT_ONCE
            && let Ok(next) = delivered_ones.try_recv()
        {
            events += next.events;
            records.extend(next.records);
        }
        transact(&producer, records).await?;
        if delivered_ones.is_empty() && !delivered_ones.is_closed() {
            tokio::time::sleep(GATHER).await;
        }
    }
    Ok(())
}

async fn transact(
    producer: &FutureProducer,
    records: Vec<(String, String, OwnedHeaders, String)>,
) -> anyhow::Result<()> {
    producer.begin_transaction()?;
    let sending = producer.clone();
    let sent = tokio::task::spawn_blocking(move || {
        let send = |(topic, key, headers, value): (String, String, OwnedHeaders, String)| {
            let record = FutureRecord::to(&topic).key(&key).payload(&value).headers(headers);
            sending.send_result(record).map_err(|(error, _)| error)
        };
        records.into_iter().map(send).collect::<Result<Vec<_>, _>>()
    });
    for sent in sent.await??.into_iter().rev() {
        delivered(sent).await?;
    }
    let committing = producer.clone();
    tokio::task::spawn_blocking(move || committing.commit_transaction(PATIENCE)).await??;
    Ok(())
}

/// One whose records of a key are in the partition in which docket's are.
async fn publisher(site: &Options) -> anyhow::Result<FutureProducer> {
    let mut config = site.client();
    config.set("transactional.id", format!("{}.publisher", site.prefix));
    let producer: FutureProducer = config.set("partitioner", "murmur2_random").create()?;
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
