//! Topics, writers and readers as plain as Kafka has them.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
};

/// How long anything that must come may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A record, as these tests write and read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    pub value: String,
}

/// Makes and changes topics.
pub fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    config(brokers).create().unwrap()
}

/// Makes a topic with one partition.
pub async fn make_topic(brokers: &str, name: &str, copies: i32, min_in_sync: &str) {
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(copies))
        .set("min.insync.replicas", min_in_sync);
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let made = admin(brokers).create_topics([&topic], &options).await.unwrap();
    assert_eq!(made, [Ok(name.to_owned())]);
}

/// A writer whose records reach the topic once and in order, and are given up after `patience`.
pub fn writer(brokers: &str, patience: Duration, more: &[(&str, &str)]) -> FutureProducer {
    let mut config = config(brokers);
    config.set("acks", "all").set("enable.idempotence", "true");
    config.set("message.timeout.ms", patience.as_millis().to_string());
    for (name, value) in more {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

/// Writes one record and waits until it is acknowledged.
pub async fn write(
    writer: &FutureProducer,
    topic: &str,
    value: &str,
) -> Result<Record, RDKafkaErrorCode> {
    let record = FutureRecord::<(), _>::to(topic).partition(0).payload(value);
    match writer.send(record, Duration::ZERO).await {
        Ok(delivery) => Ok(Record { offset: delivery.offset, value: value.to_owned() }),
        Err((error, _)) => Err(error.rdkafka_error_code().unwrap()),
    }
}

/// All records of a topic that are committed.
pub fn read(brokers: &str, topic: &str) -> Vec<Record> {
    let mut config = config(brokers);
    config.set("group.id", topic).set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    let reader: BaseConsumer = config.create().unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    reader.assign(&from).unwrap();
    let (started, mut records) = (Instant::now(), Vec::new());
    loop {
        assert!(started.elapsed() < PATIENCE, "{topic} has no end after {records:?}");
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => records.push(Record {
                offset: message.offset(),
                value: String::from_utf8(message.payload().unwrap().to_vec()).unwrap(),
            }),
            Some(Err(KafkaError::PartitionEOF(_))) => return records,
            // It has no leader, or has had another; the reader tries again.
            Some(Err(_)) | None => {}
        }
    }
}

/// What Kafka calls the broker that leads the topic's partition.
pub fn leader(brokers: &str, topic: &str) -> i32 {
    let client: BaseConsumer = config(brokers).create().unwrap();
    let started = Instant::now();
    loop {
        let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(5));
        let partition = metadata.as_ref().ok().and_then(|it| it.topics()[0].partitions().first());
        if let Some(leader) = partition.map(|it| it.leader()).filter(|leader| *leader > 0) {
            return leader;
        }
        assert!(started.elapsed() < PATIENCE, "nobody leads {topic}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    // A broker that is started again is not to be waited for longer than it takes.
    config.set("reconnect.backoff.max.ms", "500").set("topic.metadata.refresh.interval.ms", "1000");
    // One that hangs keeps whoever asked it for so long, and a writer's records with them.
    config.set("socket.timeout.ms", "4000");
    config
}
