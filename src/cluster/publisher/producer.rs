//! What writes the public topics.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use events::CloudEvent;
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};

use super::aside::modestly;

/// Writes the public topics. A transaction's records wait in it for each other, so that those of a
/// partition travel together.
pub type Producer = ThreadedProducer<Undelivered>;

/// How long a record waits for others of its partition, in ms.
const LINGER_MS: &str = "50";
/// How long a record waits for room before it is given up.
const ROOM_WITHIN: Duration = Duration::from_secs(2);
/// How long to wait before looking again for room, or whether all are delivered.
const POLL: Duration = Duration::from_millis(5);

/// One that writes in transactions of this id. Whoever has the id and has begun before is shut out as
/// soon as this one begins.
///
/// # Errors
/// When librdkafka takes no such settings.
pub fn make(config: &ClientConfig, id: &str) -> Result<Producer, KafkaError> {
    let mut config = config.clone();
    config
        .set("transactional.id", id)
        .set("partitioner", "murmur2_random") // As Java's clients have it.
        .set("linger.ms", LINGER_MS)
        // A broker has one of its requests at a time to work on: others wait for answers.
        .set("max.in.flight.requests.per.connection", "1")
        // Only what is not delivered is told: a transaction's commit speaks for the others.
        .set("delivery.report.only.error", "true")
        // What brokers that come and go have lost sight of is given up and tried again soon.
        .set("transaction.timeout.ms", "10000")
        .set("message.timeout.ms", "10000");
    modestly(|| config.create_with_context(Undelivered::default()))
}

/// Keeps why the first record was not delivered.
#[derive(Default)]
pub struct Undelivered(Mutex<Option<KafkaError>>);

impl Undelivered {
    /// Why it was not, once.
    pub fn take(&self) -> Option<KafkaError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Undelivered {}

impl ProducerContext for Undelivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        use RDKafkaErrorCode::{PurgeInflight, PurgeQueue};
        match result {
            // It went with its transaction.
            Ok(_) | Err((KafkaError::MessageProduction(PurgeInflight | PurgeQueue), _)) => {}
            Err((error, _)) => {
                let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// A public record as it is sent.
pub struct Public {
    topic: String,
    key: String,
    headers: OwnedHeaders,
    value: String,
}

impl Public {
    /// That of an event, in the topics with this prefix.
    pub fn of(event: &CloudEvent, prefix: &str) -> Self {
        let attributes = event.headers();
        let mut headers = OwnedHeaders::new_with_capacity(attributes.len());
        for (key, value) in attributes {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let (topic, key) = (event.topic().address(prefix), event.key().to_owned());
        Self { topic, key, headers, value: event.value() }
    }
}

/// Leaves a record to a producer, as soon as it has room for it. Blocks.
///
/// # Errors
/// What the producer says; that it has no room when it has had none for two seconds.
pub fn send(producer: &Producer, record: Public) -> Result<(), KafkaError> {
    let Public { topic, key, headers, value } = record;
    let mut record = BaseRecord::to(&topic).key(&key).payload(&value).headers(headers);
    let until = Instant::now() + ROOM_WITHIN;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                if Instant::now() < until =>
            {
                record = back;
                thread::sleep(POLL);
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Commits a transaction when all that is in it is delivered. Blocks.
///
/// # Errors
/// What the producer says; that not all is delivered.
pub fn commit(producer: &Producer, within: Duration) -> Result<(), KafkaError> {
    let until = Instant::now() + within;
    // The commit waits for that, too, but looks after it every 100 ms only.
    while producer.in_flight_count() > 0 && Instant::now() < until {
        thread::sleep(POLL);
    }
    producer.commit_transaction(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that no broker answers, and that gives a record up after so many ms.
    fn unheard(timeout: &str, room: &str) -> Producer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1").set("message.timeout.ms", timeout);
        config.set("queue.buffering.max.messages", room);
        config.create_with_context(Undelivered::default()).unwrap()
    }

    #[test]
    fn a_record_waits_for_room() {
        let record = || {
            let [topic, key, value] = ["shop.orders", "1", "{}"].map(String::from);
            Public { topic, key, headers: OwnedHeaders::new(), value }
        };
        let no_room = |outcome: &Result<(), KafkaError>| {
            let full = RDKafkaErrorCode::QueueFull;
            matches!(outcome, Err(KafkaError::MessageProduction(code)) if *code == full)
        };
        let two = |timeout| {
            let producer = unheard(timeout, "1");
            send(&producer, record()).unwrap();
            (send(&producer, record()), producer)
        };
        assert!(no_room(&two("60000").0));
        // Here the first makes room, and it is known why it went.
        let (second, producer) = two("100");
        second.unwrap();
        let why = producer.client().context().take().unwrap();
        assert_eq!(why, KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut));
    }
}
