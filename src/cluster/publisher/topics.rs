//! What the public topics hold already, as their newest records tell.

use std::{
    collections::BTreeMap,
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
        .set("auto.offset.reset", "error")
        // Of who leads a partition, and of nobody who follows.
        .set("client.rack", "")
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
            let from = |low: i64, high: i64| low.max(high - back);
            let parts = left.iter().map(|(it, low, high)| (*it, from(*low, *high), *high));
            let found = newest_behind(&reader, &topic, parts)?;
            newest = newest.max(found.values().copied().max().unwrap_or_default());
            left.retain(|(it, low, high)| !found.contains_key(it) && from(*low, *high) > *low);
            back = back.saturating_mul(BACK);
        }
    }
    Ok(newest)
}

/// The newest events of the records of partitions, each from an offset up to another, by partition.
fn newest_behind(
    reader: &BaseConsumer,
    topic: &str,
    parts: impl Iterator<Item = (i32, i64, i64)>,
) -> Result<BTreeMap<i32, Position>, KafkaError> {
    let (mut list, mut left) = (TopicPartitionList::new(), BTreeMap::new());
    for (partition, from, high) in parts {
        list.add_partition_offset(topic, partition, Offset::Offset(from))?;
        left.insert(partition, high);
    }
    reader.assign(&list)?;
    let (mut found, until) = (BTreeMap::new(), Instant::now() + ANSWER_WITHIN);
    let mut trouble = KafkaError::Canceled;
    while !left.is_empty() {
        if Instant::now() > until {
            return Err(trouble);
        }
        match reader.poll(POLL) {
            Some(Ok(record)) if record.topic() == topic => {
                if let Some(position) = position_of(&record) {
                    let newest = found.entry(record.partition()).or_insert(position);
                    *newest = position.max(*newest);
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                let positions = reader.position()?;
                let read = positions.find_partition(topic, partition).map(|it| it.offset());
                let reached = |high| matches!(read, Some(Offset::Offset(read)) if read >= high);
                // An end before that is one of brokers that are behind.
                left.retain(|it, high| *it != partition || !reached(*high));
            }
            // Brokers may come back.
            Some(Err(error)) => trouble = error,
            Some(Ok(_)) | None => {}
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
