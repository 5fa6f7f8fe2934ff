//! What this node has sent and not yet answered. A commit is acknowledged when the brokers have it
//! and it is taken in its place in the log.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use events::{Commit, CommitNumber, Epoch, Hash, Head, WrappedKey};
use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{
        BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, PurgeConfig,
        ThreadedProducer,
    },
};
use tokio::sync::oneshot;

use super::{
    KEYS_HEADER, record,
    taking::{Outcome, Taking},
    topics::kafka,
};
use crate::journal::{Appending, JournalError};

/// How long a broker may take for a key before the commit that uses it fails.
const KEY_WITHIN: Duration = Duration::from_secs(30);

/// Sends commits, for as long as this node may write. Cheap to clone.
#[derive(Clone)]
pub struct Sender(Arc<Shared>);

struct Shared {
    line: Arc<Mutex<Line>>,
    orders: mpsc::Sender<Order>,
    /// How many orders are not carried out yet.
    ordered: Arc<AtomicUsize>,
    waits: Waits,
}

/// What the sender's thread is asked to do: what waits for brokers, and what comes behind that.
enum Order {
    Commit { commit: Arc<Commit>, wrapped: Vec<WrappedKey> },
    Keys { keys: Vec<Key>, answer: mpsc::SyncSender<Result<Option<i64>, JournalError>> },
}

/// A key by its id; no bytes where it is destroyed.
pub type Key = (String, Option<Vec<u8>>);

/// Commits that wait to be acknowledged, in their order.
#[derive(Clone)]
struct Waits {
    waiting: Arc<Mutex<Waiting>>,
    /// A client may outlive the journal by a moment, and must not keep its folder.
    taking: Weak<Taking>,
}

#[derive(Default)]
struct Waiting {
    commits: VecDeque<Wait>,
    /// Why nothing is taken any more.
    failed: Option<Failure>,
}

struct Wait {
    commit: Arc<Commit>,
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
    /// With what its record says of keys.
    Commit(Arc<Commit>, i64),
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
            (Sent::Commit(commit, keys), Ok(offset)) => {
                let taking = self.taking.upgrade();
                let outcomes = taking.map(|it| it.delivered(&commit, offset, keys));
                self.delivered(commit.number, &outcomes.unwrap_or_default());
            }
            (Sent::Commit(commit, _), Err(reason)) => {
                let number = commit.number;
                self.fail(Failure::Other(format!("commit {number} was not delivered: {reason}")));
            }
        }
    }
}

impl Sender {
    /// One that sends from now on. `config` says where the brokers are, `after` which offset comes
    /// next in the topic of keys, as far as this node has read it.
    pub fn new(
        config: &ClientConfig,
        [journal, keys]: [String; 2],
        taking: &Arc<Taking>,
        after: i64,
    ) -> Result<Self, JournalError> {
        let waits = Waits { waiting: Arc::default(), taking: Arc::downgrade(taking) };
        let producer = config
            .clone()
            // The same record is never there twice, and none overtakes another.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            // A record waits for its brokers as long as this node may write: one that is given up
            // while others follow would leave a gap.
            .set("message.timeout.ms", "0")
            .set("enable.gapless.guarantee", "true")
            .create_with_context(waits.clone())
            .map_err(kafka("cannot make a producer"))?;
        let line = Arc::new(Mutex::new(Line { producer, journal, keys, after }));
        let (orders, queue) = mpsc::channel();
        let ordered = Arc::new(AtomicUsize::new(0));
        let run = {
            let (line, ordered, waits) = (Arc::clone(&line), Arc::clone(&ordered), waits.clone());
            move || run(&line, &queue, &ordered, &waits)
        };
        thread::Builder::new().name("journal sender".into()).spawn(run).map_err(|source| {
            JournalError::Io { doing: "cannot start the journal's sender".into(), source }
        })?;
        Ok(Self(Arc::new(Shared { line, orders, ordered, waits })))
    }

    /// Sends a commit behind those sent before, and before it the keys that it uses first. Does not
    /// block.
    pub fn append(&self, commit: Arc<Commit>, wrapped: Vec<WrappedKey>) -> Appending {
        let (answer, appending) = oneshot::channel();
        let Shared { line, orders, ordered, waits } = &*self.0;
        // Where nothing is before it, and it waits for nothing, no other thread need be woken.
        let free = wrapped.is_empty() && ordered.load(Ordering::Acquire) == 0;
        let line = free.then(|| line.try_lock().ok()).flatten();
        {
            let mut waiting = locked(&waits.waiting);
            if let Some(failure) = waiting.failed.clone() {
                let _ = answer.send(Err(failure.into())); // Whoever asked may have gone away.
                return appending;
            }
            let sent = Arc::clone(&commit);
            let wait = Wait { commit: sent, delivered: false, taken: false, answer };
            waiting.commits.push_back(wait);
        }
        match line {
            Some(mut line) => line.send(&commit, waits),
            None => {
                ordered.fetch_add(1, Ordering::AcqRel);
                if orders.send(Order::Commit { commit, wrapped }).is_err() {
                    waits.fail(sender_ended());
                }
            }
        }
        appending
    }

    /// Sends keys, or that they are destroyed, and waits until the brokers have that; gives the
    /// offset after the last of them, nothing where there is none. Blocks.
    pub fn put_keys(&self, keys: Vec<Key>) -> Result<Option<i64>, JournalError> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.0.ordered.fetch_add(1, Ordering::AcqRel);
        self.0.orders.send(Order::Keys { keys, answer }).map_err(|_| sender_ended())?;
        answered.recv().unwrap_or_else(|_| Err(sender_ended().into()))
    }

    /// The oldest commit that is not taken yet.
    pub fn next(&self) -> Option<Arc<Commit>> {
        let waiting = locked(&self.0.waits.waiting);
        let next = waiting.commits.iter().find(|wait| !wait.taken);
        next.map(|wait| Arc::clone(&wait.commit))
    }

    /// Commits were taken, which made these heads.
    pub fn taken(&self, heads: &[Head]) {
        let mut waiting = locked(&self.0.waits.waiting);
        heads.iter().for_each(|head| waiting.taken(head));
        waiting.answer();
    }

    /// A commit came too late.
    pub fn lost(&self, number: CommitNumber, hash: Hash, epoch: Epoch) {
        locked(&self.0.waits.waiting).lost(number, hash, epoch);
    }

    /// Takes nothing more, and tells that to everything that waits.
    pub fn fail(&self, reason: String) {
        self.0.waits.fail(Failure::Other(reason));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.waits.fail(Failure::Other("this node writes no more".into()));
    }
}

/// The line to the brokers.
struct Line {
    producer: ThreadedProducer<Waits>,
    journal: String,
    keys: String,
    /// The offset after the newest key that is known to be there.
    after: i64,
}

/// Does what is asked for, in order, until nobody asks any more; then forgets what is not sent.
fn run(line: &Mutex<Line>, queue: &mpsc::Receiver<Order>, ordered: &AtomicUsize, waits: &Waits) {
    while let Ok(order) = queue.recv() {
        let mut line = locked(line);
        match order {
            Order::Commit { .. } if waits.have_failed() => {}
            Order::Commit { commit, wrapped } => match line.put_wrapped(&wrapped) {
                Ok(()) => line.send(&commit, waits),
                Err(error) => waits.fail(Failure::Other(error.to_string())),
            },
            Order::Keys { keys, answer } => {
                // Whoever asked may have gone away.
                let _ = answer.send(line.keys(keys));
            }
        }
        ordered.fetch_sub(1, Ordering::AcqRel);
    }
    locked(line).producer.purge(PurgeConfig::default().queue().inflight());
}

fn sender_ended() -> Failure {
    Failure::Other("the journal's sender has ended".into())
}

impl Line {
    /// Sends a commit, and does not wait. What failed before leaves no place for those behind it.
    fn send(&mut self, commit: &Arc<Commit>, waits: &Waits) {
        if !waits.have_failed()
            && let Err(error) = self.commit(commit)
        {
            waits.fail(Failure::Other(error.to_string()));
        }
    }

    fn put_wrapped(&mut self, wrapped: &[WrappedKey]) -> Result<(), JournalError> {
        let keys = wrapped.iter().map(|key| (key.id.clone(), Some(key.bytes.clone())));
        self.keys(keys.collect()).map(drop)
    }

    fn commit(&mut self, commit: &Arc<Commit>) -> Result<(), JournalError> {
        let (value, after) = (record::encode(commit), self.after.to_string());
        let sent = Box::new(Sent::Commit(Arc::clone(commit), self.after));
        let record: BaseRecord<'_, (), _, _> = BaseRecord::with_opaque_to(&self.journal, sent)
            .partition(0)
            .headers(OwnedHeaders::new().insert(Header { key: KEYS_HEADER, value: Some(&after) }))
            .payload(&value);
        let doing = || format!("cannot send commit {}", commit.number);
        self.producer.send(record).map_err(|(error, _)| kafka(doing())(error))
    }

    /// Sends keys one behind the other, waits for all, and gives the offset after the last.
    fn keys(&mut self, keys: Vec<Key>) -> Result<Option<i64>, JournalError> {
        let doing = |id: &str| format!("cannot store the key {id}");
        let mut answers = Vec::with_capacity(keys.len());
        for (id, bytes) in keys {
            let (answer, answered) = mpsc::sync_channel(1);
            let sent = Box::new(Sent::Key(answer));
            let mut record = BaseRecord::with_opaque_to(&self.keys, sent).partition(0).key(&id);
            if let Some(bytes) = &bytes {
                record = record.payload(bytes);
            }
            self.producer.send(record).map_err(|(error, _)| kafka(doing(&id))(error))?;
            answers.push((id, answered));
        }
        let mut after = None;
        for (id, answered) in answers {
            let answer = answered.recv_timeout(KEY_WITHIN);
            let answer = answer.unwrap_or_else(|_| Err("no broker answers".into()));
            let failed = |reason| JournalError::Kafka { doing: doing(&id), reason };
            after = after.max(Some(answer.map_err(failed)? + 1));
        }
        self.after = self.after.max(after.unwrap_or_default());
        Ok(after)
    }
}

impl Waits {
    fn have_failed(&self) -> bool {
        locked(&self.waiting).failed.is_some()
    }

    /// The brokers have a commit, and this is what could be told by that.
    fn delivered(&self, number: CommitNumber, outcomes: &[Outcome]) {
        let mut waiting = locked(&self.waiting);
        if let Some(wait) = waiting.find(number) {
            wait.delivered = true;
        }
        for outcome in outcomes {
            match outcome {
                Outcome::Taken(head) => waiting.taken(head),
                Outcome::Lost { number, hash, epoch } => waiting.lost(*number, *hash, *epoch),
            }
        }
        waiting.answer();
    }

    fn fail(&self, failure: Failure) {
        locked(&self.waiting).fail(failure);
    }
}

impl Waiting {
    fn find(&mut self, number: CommitNumber) -> Option<&mut Wait> {
        self.commits.iter_mut().find(|wait| wait.commit.number == number)
    }

    fn taken(&mut self, head: &Head) {
        let Head { number, epoch, hash, .. } = *head;
        let Some(wait) = self.find(number) else { return };
        if wait.commit.hash == hash {
            wait.taken = true;
        } else {
            self.answer();
            self.fail(Failure::Fenced { number, epoch });
        }
    }

    fn lost(&mut self, number: CommitNumber, hash: Hash, epoch: Epoch) {
        if self.commits.iter().any(|wait| wait.commit.hash == hash) {
            self.answer();
            self.fail(Failure::Fenced { number, epoch });
        }
    }

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

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::{
        super::{
            follower::{Note, Progress},
            local::Local,
        },
        *,
    };
    use crate::journal::sqlite::{Options, SqliteJournal};

    /// Its client may be at something yet when a journal ends, whose folder is then free all the same.
    #[test]
    fn a_sender_does_not_keep_the_local_journal() {
        let folder = tempfile::tempdir().unwrap();
        let open = || SqliteJournal::open(folder.path(), Options::default());
        let local = Arc::new(Local::new(open().unwrap()));
        let taking = Taking::new(local, Note::default(), watch::Sender::new(Progress::default()));
        let taking = Arc::new(taking);
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1");
        let topics = ["journal", "keys"].map(str::to_owned);
        let sender = Sender::new(&config, topics, &taking, 0).unwrap();
        drop(taking);
        open().unwrap();
        drop(sender);
    }
}
