//! What the public topics hold already, as their newest records tell.

use std::time::{Duration, Instant};

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
        for partition in (0i32..).take(PARTITIONS as usize) {
            let (low, high) = reader.fetch_watermarks(&topic, partition, ANSWER_WITHIN)?;
            let mut back = BACK;
            loop {
                let from = low.max(high - back);
                let found = newest_behind(&reader, &topic, partition, from, high)?;
                newest = newest.max(found.unwrap_or_default());
                if found.is_some() || from <= low {
                    break;
                }
                back *= BACK;
            }
        }
    }
    Ok(newest)
}

/// The newest event of the records of a partition from an offset on.
fn newest_behind(
    reader: &BaseConsumer,
    topic: &str,
    partition: i32,
    from: i64,
    high: i64,
) -> Result<Option<Position>, KafkaError> {
    if from >= high {
        return Ok(None);
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(from))?;
    reader.assign(&list)?;
    let (mut found, until) = (None, Instant::now() + ANSWER_WITHIN);
    while Instant::now() < until {
        match reader.poll(POLL) {
            Some(Ok(record)) if record.topic() == topic && record.partition() == partition => {
                found = found.max(position_of(&record));
            }
            Some(Err(KafkaError::PartitionEOF(at))) if at == partition => return Ok(found),
            // Of a partition before, or of brokers that come back.
            Some(_) | None => {}
        }
    }
    Err(KafkaError::Canceled)
}

/// A record's id begins with its event's position.
fn position_of(record: &BorrowedMessage<'_>) -> Option<Position> {
    let headers = record.headers()?;
    let id = headers.iter().find(|header| header.key == "ce_id")?.value?;
    let (position, _) = std::str::from_utf8(id).ok()?.split_once('.')?;
    position.parse().ok().map(Position)
}
