//! The records of some commits on their way into the topics.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use events::{CloudEvent, publish};
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};

use super::aside::modestly;
use crate::journal::Followed;

/// Who writes the public topics. A transaction's records wait in it for each other, so that those of a
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
pub fn producer(config: &ClientConfig, id: &str) -> Result<Producer, KafkaError> {
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

/// Makes the public records of commits and sends them, in order.
pub struct Sending {
    producer: Producer,
    prefix: String,
    commits: Arc<[Arc<Followed>]>,
    /// So many of the commits are sent,
    done: usize,
    /// which are so many records.
    pub records: usize,
}

impl Sending {
    /// Nothing is sent yet.
    pub fn new(producer: &Producer, prefix: &str, commits: &Arc<[Arc<Followed>]>) -> Self {
        let (producer, prefix, commits) = (producer.clone(), prefix.into(), Arc::clone(commits));
        Self { producer, prefix, commits, done: 0, records: 0 }
    }

    /// Goes on, commit by commit, to the last one or for as long as it is to. Takes milliseconds, in which
    /// an async thread would answer nobody.
    pub fn go_on(mut self, mut is_to: impl FnMut() -> bool) -> Result<Self, KafkaError> {
        while let Some(commit) = self.commits.get(self.done)
            && is_to()
        {
            for record in commit.events.iter().flat_map(publish) {
                send(&self.producer, Public::of(&record, &self.prefix))?;
                self.records += 1;
            }
            self.done += 1;
        }
        Ok(self)
    }

    /// Whether all commits are sent.
    pub fn is_done(&self) -> bool {
        self.done == self.commits.len()
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
    use std::path::Path;

    use rdkafka::ClientConfig;

    use super::*;
    use crate::journal::{Journal as _, SqliteJournal, Tail, reader::Reader};

    /// The commits of the journal that is kept.
    fn commits() -> Arc<[Arc<Followed>]> {
        let folder = tempfile::tempdir().unwrap();
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals/1.sqlite");
        std::fs::copy(kept, folder.path().join("journal.sqlite")).unwrap();
        let journal = SqliteJournal::open_read_only(folder.path()).unwrap();
        let all = journal.head().borrow().position.0 as usize;
        let reader = Reader::new(Arc::new(journal), Tail::default(), all);
        reader.after(&events::Head::default()).unwrap().into()
    }

    /// One that no broker answers, and that gives a record up after so many ms.
    fn unheard(timeout: &str, room: &str) -> Producer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1").set("message.timeout.ms", timeout);
        config.set("queue.buffering.max.messages", room);
        config.create_with_context(Undelivered::default()).unwrap()
    }

    #[test]
    fn whoever_goes_on_does_so_where_the_other_left_off() {
        let commits = commits();
        let records = |commits: &[Arc<Followed>]| -> usize {
            let events = commits.iter().flat_map(|commit| &commit.events);
            events.flat_map(publish).count()
        };
        let producer = unheard("60000", "1000000");
        for first in 0..commits.len() {
            let mut left = first;
            let is_to = || left.checked_sub(1).map(|less| left = less).is_some();
            let sending = Sending::new(&producer, "shop", &commits).go_on(is_to).unwrap();
            assert!(!sending.is_done());
            assert_eq!(sending.records, records(&commits[..first]), "of {first} commits");
            let sending = sending.go_on(|| true).unwrap();
            assert!(sending.is_done());
            assert_eq!(sending.records, records(&commits), "with {first} commits first");
        }
    }

    #[test]
    fn a_record_waits_for_room() {
        let commits = commits();
        let event = commits.iter().flat_map(|it| &it.events).flat_map(publish).next().unwrap();
        let no_room = |outcome: &Result<(), KafkaError>| {
            let full = RDKafkaErrorCode::QueueFull;
            matches!(outcome, Err(KafkaError::MessageProduction(code)) if *code == full)
        };
        let two = |timeout| {
            let producer = unheard(timeout, "1");
            send(&producer, Public::of(&event, "shop")).unwrap();
            (send(&producer, Public::of(&event, "shop")), producer)
        };
        assert!(no_room(&two("60000").0));
        // Here the first makes room, and it is known why it went.
        let (second, producer) = two("100");
        second.unwrap();
        let why = producer.client().context().take().unwrap();
        assert_eq!(why, KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut));
    }
}
