//! What this node has sent and not yet answered. A commit is acknowledged when the brokers have it
//! and the follower has read it back in its place.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use events::{Commit, CommitNumber, Epoch, Hash, WrappedKey};
use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio::sync::oneshot;

use super::{KEYS_HEADER, record, topics::kafka};
use crate::journal::{Appending, JournalError};

/// How long a broker may take for a key before the commit that uses it fails.
const KEY_WITHIN: Duration = Duration::from_secs(30);

/// Sends commits, for as long as this node may write. Cheap to clone.
#[derive(Clone)]
pub struct Sender(Arc<Shared>);

struct Shared {
    producer: ThreadedProducer<Waits>,
    waits: Waits,
    journal: String,
    keys: String,
    /// Held while a commit and its keys are sent, so that commits leave in their order.
    sending: Mutex<()>,
}

/// Commits that wait to be acknowledged, in their order.
#[derive(Clone, Default)]
struct Waits(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    commits: VecDeque<Wait>,
    /// Why nothing is taken any more.
    failed: Option<Failure>,
}

struct Wait {
    number: CommitNumber,
    hash: Hash,
    delivered: bool,
    taken: bool,
    answer: oneshot::Sender<Result<(), JournalError>>,
}

#[derive(Clone)]
enum Failure {
    Fenced { number: CommitNumber, epoch: Epoch },
    Other(String),
}

/// What a record that was sent is.
pub enum Sent {
    Commit(CommitNumber),
    Key(mpsc::SyncSender<Result<i64, String>>),
}

impl ClientContext for Waits {}

impl ProducerContext<NoCustomPartitioner> for Waits {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Self::DeliveryOpaque) {
        let outcome = match result {
            Ok(record) => Ok(record.offset()),
            Err((error, _)) => Err(error.to_string()),
        };
        match (*sent, outcome) {
            (Sent::Key(answer), outcome) => drop(answer.send(outcome)),
            (Sent::Commit(number), Ok(_)) => self.change(number, |wait| wait.delivered = true),
            (Sent::Commit(number), Err(reason)) => {
                self.fail(Failure::Other(format!("commit {number} was not delivered: {reason}")));
            }
        }
    }
}

impl Sender {
    /// One that sends from now on. `config` says where the brokers are.
    pub fn new(config: &ClientConfig, journal: &str, keys: &str) -> Result<Self, JournalError> {
        let waits = Waits::default();
        let producer = config
            .clone()
            // The same record is never there twice, and none overtakes another.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            // A record waits for its brokers as long as this node may write: one that is given up
            // while others follow would leave a gap.
            .set("message.timeout.ms", "0")
            .create_with_context(waits.clone())
            .map_err(kafka("cannot make a producer"))?;
        let (journal, keys) = (journal.to_owned(), keys.to_owned());
        Ok(Self(Arc::new(Shared { producer, waits, journal, keys, sending: Mutex::default() })))
    }

    /// Sends a commit behind those sent before. `hash` is what the follower will know it by.
    pub fn append(&self, commit: &Commit, wrapped: &[WrappedKey]) -> Appending {
        let (answer, appending) = oneshot::channel();
        let _sending = locked(&self.0.sending);
        let (number, hash) = (commit.number, commit.hash);
        let wait = Wait { number, hash, delivered: false, taken: false, answer };
        if self.0.waits.add(wait)
            && let Err(error) = self.send(commit, wrapped)
        {
            self.fail(error.to_string());
        }
        appending
    }

    fn send(&self, commit: &Commit, wrapped: &[WrappedKey]) -> Result<(), JournalError> {
        let after = wrapped.iter().map(|key| self.put_key(&key.id, Some(&key.bytes)));
        let after: Result<Vec<i64>, _> = after.collect();
        let after = after?.into_iter().max().map_or(0, |newest| newest + 1);
        let (value, after) = (record::encode(commit), after.to_string());
        let record: BaseRecord<'_, (), _, _> =
            BaseRecord::with_opaque_to(&self.0.journal, Box::new(Sent::Commit(commit.number)))
                .partition(0)
                .headers(
                    OwnedHeaders::new().insert(Header { key: KEYS_HEADER, value: Some(&after) }),
                )
                .payload(&value);
        let doing = || format!("cannot send commit {}", commit.number);
        self.0.producer.send(record).map_err(|(error, _)| kafka(doing())(error))
    }

    /// Sends a key, or that it is destroyed, and waits until the brokers have that; gives its offset.
    pub fn put_key(&self, id: &str, bytes: Option<&[u8]>) -> Result<i64, JournalError> {
        let doing = || format!("cannot store the key {id}");
        let (answer, answered) = mpsc::sync_channel(1);
        let mut record = BaseRecord::with_opaque_to(&self.0.keys, Box::new(Sent::Key(answer)))
            .partition(0)
            .key(id);
        if let Some(bytes) = bytes {
            record = record.payload(bytes);
        }
        self.0.producer.send(record).map_err(|(error, _)| kafka(doing())(error))?;
        let answer = answered.recv_timeout(KEY_WITHIN);
        let answer = answer.unwrap_or_else(|_| Err("no broker answers".into()));
        answer.map_err(|reason| JournalError::Kafka { doing: doing(), reason })
    }

    /// The follower has stored a commit that the log has in this place.
    pub fn taken(&self, number: CommitNumber, hash: Hash, epoch: Epoch) {
        let mut waiting = locked(&self.0.waits.0);
        let Some(wait) = waiting.commits.iter_mut().find(|wait| wait.number == number) else {
            return;
        };
        if wait.hash == hash {
            wait.taken = true;
            waiting.answer();
        } else {
            waiting.fail(Failure::Fenced { number, epoch });
        }
    }

    /// The follower has read a commit that came too late.
    pub fn lost(&self, number: CommitNumber, hash: Hash, epoch: Epoch) {
        let mut waiting = locked(&self.0.waits.0);
        if waiting.commits.iter().any(|wait| wait.hash == hash) {
            waiting.fail(Failure::Fenced { number, epoch });
        }
    }

    /// Takes nothing more, and tells that to everything that waits.
    pub fn fail(&self, reason: String) {
        self.0.waits.fail(Failure::Other(reason));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.waits.fail(Failure::Other("this node writes no more".into()));
        self.producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
    }
}

impl Waits {
    /// Whether it waits; otherwise it was answered.
    fn add(&self, wait: Wait) -> bool {
        let mut waiting = locked(&self.0);
        match waiting.failed.clone() {
            Some(failure) => drop(wait.answer.send(Err(failure.into()))),
            None => {
                waiting.commits.push_back(wait);
                return true;
            }
        }
        false
    }

    fn change(&self, number: CommitNumber, change: impl FnOnce(&mut Wait)) {
        let mut waiting = locked(&self.0);
        if let Some(wait) = waiting.commits.iter_mut().find(|wait| wait.number == number) {
            change(wait);
        }
        waiting.answer();
    }

    fn fail(&self, failure: Failure) {
        locked(&self.0).fail(failure);
    }
}

impl Waiting {
    /// Answers the oldest, as far as all is well with them.
    fn answer(&mut self) {
        while self.commits.front().is_some_and(|wait| wait.delivered && wait.taken) {
            if let Some(wait) = self.commits.pop_front() {
                let _ = wait.answer.send(Ok(())); // Whoever asked may have gone away.
            }
        }
    }

    fn fail(&mut self, failure: Failure) {
        let failure = self.failed.get_or_insert(failure).clone();
        for wait in self.commits.drain(..) {
            let _ = wait.answer.send(Err(failure.clone().into()));
        }
    }
}

impl From<Failure> for JournalError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Fenced { number, epoch } => Self::Fenced { number, epoch },
            Failure::Other(reason) => Self::Closed(reason),
        }
    }
}

/// Nothing panics while it holds one of these locks, so what they guard is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
