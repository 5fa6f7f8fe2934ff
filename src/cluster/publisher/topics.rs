//! What the public topics hold already, as their newest records tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use events::{Position, Topic, publish::PARTITIONS};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
};

use super::ANSWER_WITHIN;

/// So many records before the end of a partition are read first; where none of them is a record of an
/// event, as marks of transactions are not, sixteen times as many.
const BACK: i64 = 16;
/// How long one look may take.
const POLL: Duration = Duration::from_millis(100);

/// The newest event of which a record is in any public topic; 0 where there is none.
pub(super) fn newest(config: &ClientConfig, prefix: &str) -> Result<Position, KafkaError> {
    let reader: BaseConsumer = config
        .clone()
        .set("group.id", "none: it reads what is there, once")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        // An end is told by a fetch that found nothing more.
        .set("fetch.wait.max.ms", "10")
        .create()?;
    let mut newest = Position(0);
    for topic in Topic::ALL.map(|it| it.address(prefix)) {
        let mut left = Vec::new();
        for partition in (0i32..).take(PARTITIONS as usize) {
            let (low, high) = reader.fetch_watermarks(&topic, partition, ANSWER_WITHIN)?;
            left.push((partition, low, high));
        }
        let mut back = BACK;
        while !left.is_empty() {
            left.retain(|(_, low, high)| low < high);
            let from =
                |(partition, low, high): &(i32, i64, i64)| (*partition, (high - back).max(*low));
            let found = newest_behind(&reader, &topic, left.iter().map(from))?;
            newest = newest.max(found.values().copied().max().unwrap_or_default());
            left.retain(|it| !found.contains_key(&it.0) && from(it).1 > it.1);
            back = back.saturating_mul(BACK);
        }
    }
    Ok(newest)
}

/// The newest events of the records of partitions, each from an offset on, by partition.
fn newest_behind(
    reader: &BaseConsumer,
    topic: &str,
    from: impl Iterator<Item = (i32, i64)>,
) -> Result<BTreeMap<i32, Position>, KafkaError> {
    let (mut list, mut left) = (TopicPartitionList::new(), BTreeSet::new());
    for (partition, offset) in from {
        list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        left.insert(partition);
    }
    reader.assign(&list)?;
    let (mut found, until) = (BTreeMap::new(), Instant::now() + ANSWER_WITHIN);
    while !left.is_empty() {
        if Instant::now() > until {
            return Err(KafkaError::Canceled);
        }
        match reader.poll(POLL) {
            Some(Ok(record)) if record.topic() == topic => {
                if let Some(position) = position_of(&record) {
                    let newest = found.entry(record.partition()).or_insert(position);
                    *newest = position.max(*newest);
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                left.remove(&partition);
            }
            // Of a topic before, or of brokers that come back.
            Some(_) | None => {}
        }
    }
    Ok(found)
}

/// A record's id begins with its event's position.
fn position_of(record: &BorrowedMessage<'_>) -> Option<Position> {
    let headers = record.headers()?;
    let id = headers.iter().find(|header| header.key == "ce_id")?.value?;
    let (position, _) = std::str::from_utf8(id).ok()?.split_once('.')?;
    position.parse().ok().map(Position)
}
