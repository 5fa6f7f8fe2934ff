//! The journal of several nodes: a topic on which they agree, and a local journal on each node that
//! holds what was agreed.
//!
//! A commit is one record of a topic with one partition. Who wrote it is for the log to say: every
//! node reads the same records in the same order and takes those that continue the chain
//! ([`chain`]). A writer's commit is acknowledged when the brokers have it as durable as the topic
//! asks for, and when this node itself has taken it in its place: where its offset follows that of the
//! commit before, nobody else's came between, and where it does not, this node reads what did
//! ([`taking`]). So no transaction is needed to keep a writer out that has lost its place, and several
//! commits may be on their way.
//!
//! What is taken can be read at once, from memory, and is stored a moment later ([`local`]).
//!
//! Wrapped keys lie in a compacted topic of their own, because they must be destroyable. A commit's
//! record says how far that topic was when it was sent, and is taken when the keys up to there are.
//!
//! **Invariant:** the local journal holds what the topic says, in its order, and nothing else; what
//! this node has read and not stored yet it reads again after its end.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use events::{
    Channel, CommandId, Commit, CommitNumber, DecisionHeader, Envelope, Epoch, Hash, Head,
    Position, Subject, WrappedKey,
};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio::sync::{oneshot, watch};

use super::{Appending, Journal, JournalError, SqliteJournal, sqlite};

mod chain;
mod follower;
mod local;
mod reach;
mod record;
mod sender;
mod taking;
mod topics;

use follower::{Follower, noted};
pub use follower::{Offsets, Progress};
use local::Local;
pub use reach::reach;
pub use record::encode as record_of;
use sender::{Key, Sender};
use taking::Taking;
pub use topics::told;
use topics::{Topic, kafka, prepare};

/// In a commit's record: the offset in the topic of keys that follows the last key that it uses.
pub const KEYS_HEADER: &str = "docket-keys";

/// In the topic of keys: the id of what is no key, and says whether the journal is a part of a copy.
const COPY: &str = "copy";
/// What it says while it is, and what when all is copied.
const UNFINISHED: &[u8] = b"unfinished";
const WHOLE: &[u8] = b"whole";

/// How long the brokers may take to let this client in.
const REACHED_WITHIN: Duration = Duration::from_secs(15);

/// The local journal's WAL is copied into the file from so many bytes on.
const WAL_BYTES_SOFT: u64 = 64 * 1024 * 1024;

/// The bytes of a page of the local journal, which is given what was taken in pieces of a mebibyte.
const LOCAL_PAGE_BYTES: u32 = 16 * 1024;

/// How long a key that was stored may take to come back.
const KEY_WITHIN: Duration = Duration::from_secs(30);

/// Where the cluster is, and how the topics are called.
#[derive(Clone)]
pub struct Options {
    /// Brokers to begin with: `host:port`, with commas between them.
    pub brokers: String,
    /// What the topics' names begin with. Default `docket`.
    pub prefix: String,
    /// On how many brokers a record lies. Default 3.
    pub replication: i32,
    /// librdkafka's own settings, `security.protocol` for example. Secrets may be among them.
    pub settings: Vec<(String, String)>,
}

/// The topic of the commits.
pub fn journal_topic(prefix: &str) -> String {
    format!("{prefix}.journal")
}

/// The topic of the wrapped keys.
pub fn keys_topic(prefix: &str) -> String {
    format!("{prefix}.keys")
}

/// Whether there is a journal of this prefix. Blocks; nothing is made.
///
/// # Errors
/// When no broker answers within that time, or one refuses.
pub fn is_there(options: &Options, within: Duration) -> Result<bool, JournalError> {
    let metadata = reach(options, within)?;
    let topic = journal_topic(&options.prefix);
    Ok(metadata.topics().iter().any(|it| it.name() == topic))
}

/// Every topic of a prefix: the journal's own two, and the public ones.
pub fn topics_of(prefix: &str) -> Vec<String> {
    let own = [journal_topic(prefix), keys_topic(prefix)];
    own.into_iter().chain(events::Topic::ALL.map(|it| it.address(prefix))).collect()
}

/// Of the client's settings the names alone: a password may be among them.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<_> = self.settings.iter().map(|(name, _)| name).collect();
        f.debug_struct("Options")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("replication", &self.replication)
            .field("settings", &settings)
            .finish()
    }
}

impl Options {
    /// What every client of the cluster begins with.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "docket")
            // A broker that hangs is left for the one that takes its place.
            .set("socket.timeout.ms", "5000")
            .set("reconnect.backoff.max.ms", "1000");
        for (name, value) in &self.settings {
            config.set(name, value);
        }
        config
    }
}

/// A journal on Kafka, as one node has it.
pub struct KafkaJournal {
    local: Arc<Local>,
    config: ClientConfig,
    topics: [String; 2],
    taking: Arc<Taking>,
    writing: Writing,
    progress: watch::Receiver<Progress>,
    ends: Arc<AtomicBool>,
    follower: Option<JoinHandle<()>>,
}

/// The way to the topics, while this node may write.
#[derive(Clone, Default)]
struct Writing(Arc<Mutex<Option<Sender>>>);

impl Writing {
    fn sender(&self) -> MutexGuard<'_, Option<Sender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits were taken, which made these heads. They are acknowledged at once: what is sent for
    /// it then goes out together too, and comes back together.
    fn acknowledge(&self, taken: &mut Vec<Head>) {
        if let Some(sender) = &*self.sender()
            && !taken.is_empty()
        {
            sender.taken(taken);
        }
        taken.clear();
    }

    /// The commit that this node has sent, where its record has these bytes and is the next to come.
    fn sent(&self, record: &[u8]) -> Option<Arc<Commit>> {
        let next = self.sender().as_ref().and_then(Sender::next)?;
        record::is_of(record, &next).then_some(next)
    }

    /// A commit came too late. Where it is this node's, another one writes.
    fn lost(&self, number: CommitNumber, hash: Hash, epoch: Epoch) {
        if let Some(sender) = &*self.sender() {
            sender.lost(number, hash, epoch);
        }
    }

    fn fail(&self, reason: &str) {
        if let Some(sender) = &*self.sender() {
            sender.fail(reason.to_owned());
        }
    }
}

impl KafkaJournal {
    /// Opens the local journal in a folder and follows the topics from where it had come to. Topics
    /// that are missing are made.
    ///
    /// # Errors
    /// When the folder cannot be used, no broker answers, or a topic could lose data.
    pub async fn open(dir: &Path, options: &Options) -> Result<Self, JournalError> {
        let config = options.client();
        let (prefix, replication) = (&options.prefix, options.replication);
        let mut topics =
            vec![Topic::journal(prefix, replication), Topic::keys(prefix, replication)];
        topics.extend(events::Topic::ALL.map(|it| Topic::public(it, prefix, replication)));
        let asked = options.clone();
        let reached = tokio::task::spawn_blocking(move || reach(&asked, REACHED_WITHIN)).await;
        reached.map_err(|error| JournalError::Closed(error.to_string()))??;
        prepare(&config, &topics).await?;
        let topics = [journal_topic(prefix), keys_topic(prefix)];
        // What a machine's end takes away is read again; so nothing but emptying the WAL waits for the
        // disk, and that is done in larger pieces.
        let sqlite = sqlite::Options {
            synced: false,
            page_bytes: LOCAL_PAGE_BYTES,
            wal_bytes_soft: WAL_BYTES_SOFT,
            wal_bytes_hard: 2 * WAL_BYTES_SOFT,
            ..sqlite::Options::default()
        };
        let dir = dir.to_owned();
        let local = tokio::task::spawn_blocking(move || SqliteJournal::open(&dir, sqlite)).await;
        let local = local.map_err(|error| JournalError::Closed(error.to_string()))??;
        let local = Arc::new(Local::new(local));

        let (writing, ends) = (Writing::default(), Arc::new(AtomicBool::new(false)));
        let (told, progress) = watch::channel(Progress::default());
        let note = noted(&local.stored, &topics[0])?;
        let taking = Arc::new(Taking::new(Arc::clone(&local), note, told));
        let follower =
            Follower::new(&config, topics.clone(), Arc::clone(&taking), writing.clone())?;
        let ended = Arc::clone(&ends);
        let follower = std::thread::Builder::new()
            .name("journal follower".into())
            .spawn(move || follower.run(&ended))
            .map_err(|source| JournalError::Io {
                doing: "cannot start the journal's follower".into(),
                source,
            })?;
        let follower = Some(follower);
        Ok(Self { local, config, topics, taking, writing, progress, ends, follower })
    }

    /// How far this node has read, and what it found.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until everything can be read here that the topics hold now. Blocks.
    ///
    /// # Errors
    /// When no broker answers, when the time is over, when the journal is followed no more, or when
    /// the local journal has more commits than the topic has records.
    pub fn catch_up(&self, within: Duration) -> Result<(), JournalError> {
        let until = Instant::now() + within;
        let ends = self.ends(within)?;
        self.wait(until, "the journal's end is not reached yet", |it| it.read.reaches(&ends))
    }

    /// Where the topics end now. Blocks.
    ///
    /// # Errors
    /// When no broker answers within that time, or when the local journal has more commits than the
    /// topic has records.
    pub fn ends(&self, within: Duration) -> Result<Offsets, JournalError> {
        let until = Instant::now() + within;
        let taken = self.local.head().borrow().number;
        let asking: BaseConsumer =
            self.config.create().map_err(kafka("cannot ask for the journal's end"))?;
        let end = |topic: &str| {
            let left = until.saturating_duration_since(Instant::now());
            let marks = asking.fetch_watermarks(topic, 0, left);
            marks.map(|(_, end)| end).map_err(kafka(format!("cannot ask for the end of {topic}")))
        };
        let ends = Offsets { journal: end(&self.topics[0])?, keys: end(&self.topics[1])? };
        if taken.0 > ends.journal.unsigned_abs() {
            let path = self.local.stored.path().display().to_string();
            let topic = self.topics[0].clone();
            return Err(JournalError::NoCopy { path, commits: taken, topic });
        }
        Ok(ends)
    }

    /// Begins to write: what is appended from now on is sent. The first commit must be of a higher
    /// epoch than all that were read.
    ///
    /// # Errors
    /// When the journal is a part of a copy, or when the client cannot be made.
    pub fn begin(&self) -> Result<(), JournalError> {
        let unfinished = self.progress.borrow().unfinished;
        match unfinished {
            true => Err(JournalError::Unfinished { path: self.topics[0].clone() }),
            false => self.begin_to_send(),
        }
    }

    /// Begins to write what another journal has. Where nothing is there yet, nobody else
    /// [begins](Self::begin) before it is [whole](Self::set_whole). This node has caught up. Blocks.
    ///
    /// # Errors
    /// When the client cannot be made, or no broker answers.
    pub fn begin_copy(&self) -> Result<(), JournalError> {
        self.begin_to_send()?;
        let is_empty = *self.head().borrow() == Head::default();
        match is_empty {
            true => self.put_key(COPY, Some(UNFINISHED)),
            false => Ok(()),
        }
    }

    /// Says that the journal is no part of a copy any more. Blocks.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn set_whole(&self) -> Result<(), JournalError> {
        let unfinished = self.progress.borrow().unfinished;
        if unfinished { self.put_key(COPY, Some(WHOLE)) } else { Ok(()) }
    }

    fn begin_to_send(&self) -> Result<(), JournalError> {
        let sender = self.new_sender()?;
        let before = self.writing.sender().replace(sender);
        if let Some(before) = before {
            before.fail("this node begins to write anew".to_owned());
        }
        Ok(())
    }

    /// Writes no more. What is on its way may or may not come to count.
    pub fn end(&self) {
        let before = self.writing.sender().take();
        if let Some(before) = before {
            // Others may have a clone of it, and wait for brokers.
            before.fail("this node writes no more".to_owned());
        }
    }

    /// Waits until something is told of what is taken. Blocks.
    fn wait(
        &self,
        until: Instant,
        otherwise: &str,
        told: impl Fn(&Progress) -> bool,
    ) -> Result<(), JournalError> {
        loop {
            let progress = self.progress.borrow().clone();
            if let Some(reason) = progress.failed {
                return Err(JournalError::Closed(reason.to_string()));
            }
            if told(&progress) {
                return Ok(());
            }
            if Instant::now() >= until {
                let doing = "the journal is behind".to_owned();
                return Err(JournalError::Kafka { doing, reason: otherwise.to_owned() });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends a key, or that it is destroyed, and waits until it has come back.
    fn put_key(&self, id: &str, bytes: Option<&[u8]>) -> Result<(), JournalError> {
        self.send_keys(vec![(id.to_owned(), bytes.map(<[u8]>::to_vec))])
    }

    fn send_keys(&self, keys: Vec<Key>) -> Result<(), JournalError> {
        let sender = self.writing.sender().clone();
        let sender = match sender {
            Some(sender) => sender,
            None => self.new_sender()?,
        };
        let Some(after) = sender.put_keys(keys)? else { return Ok(()) };
        let until = Instant::now() + KEY_WITHIN;
        self.wait(until, "a key that was stored has not come back", |it| it.read.keys >= after)
    }

    fn new_sender(&self) -> Result<Sender, JournalError> {
        let read = self.progress.borrow().read.keys;
        Sender::new(&self.config, self.topics.clone(), &self.taking, read)
    }
}

impl Journal for KafkaJournal {
    fn append(&self, commit: Arc<Commit>, keys: Vec<WrappedKey>) -> Appending {
        let sender = self.writing.sender().clone();
        match sender {
            Some(sender) => sender.append(commit, keys),
            None => {
                let (answer, appending) = oneshot::channel();
                let closed = JournalError::Closed("this node does not write".into());
                let _ = answer.send(Err(closed)); // The receiver is in the next line.
                appending
            }
        }
    }

    fn head(&self) -> watch::Receiver<Head> {
        self.local.head()
    }

    fn read(&self, after: CommitNumber, events_max: usize) -> Result<Vec<Commit>, JournalError> {
        self.local.read(after, events_max)
    }

    fn head_at(&self, number: CommitNumber) -> Result<Option<Head>, JournalError> {
        self.local.head_at(number)
    }

    fn read_subject(
        &self,
        channel: &Channel,
        subject: &Subject,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Envelope>, JournalError> {
        self.local.read_subject(channel, subject, after, limit)
    }

    fn decision(&self, command: CommandId) -> Result<Option<DecisionHeader>, JournalError> {
        self.local.decision(command)
    }

    fn wrapped_key(&self, id: &str) -> Result<Option<WrappedKey>, JournalError> {
        self.local.stored.wrapped_key(id)
    }

    fn wrapped_keys(&self, after: &str, limit: usize) -> Result<Vec<WrappedKey>, JournalError> {
        self.local.stored.wrapped_keys(after, limit)
    }

    fn put_keys(&self, keys: Vec<WrappedKey>) -> Result<(), JournalError> {
        self.send_keys(keys.clone().into_iter().map(|key| (key.id, Some(key.bytes))).collect())?;
        for key in keys {
            if self.local.stored.wrapped_key(&key.id)?.as_ref() != Some(&key) {
                return Err(JournalError::KeyTaken { id: key.id });
            }
        }
        Ok(())
    }

    fn ensure_key(&self, key: WrappedKey) -> Result<WrappedKey, JournalError> {
        if let Some(stored) = self.local.stored.wrapped_key(&key.id)? {
            return Ok(stored);
        }
        self.put_key(&key.id, Some(&key.bytes))?;
        let stored = self.local.stored.wrapped_key(&key.id)?;
        let gone = || JournalError::Closed(format!("the key {} is gone", key.id));
        let stored = stored.ok_or_else(gone)?;
        if stored.bytes != key.bytes {
            // Another node's came first, and compaction keeps what came last: so it comes again.
            self.put_key(&stored.id, Some(&stored.bytes))?;
        }
        Ok(stored)
    }

    fn destroy_key(&self, id: &str) -> Result<(), JournalError> {
        self.put_key(id, None)?;
        self.local.stored.destroy_key(id)
    }
}

impl Drop for KafkaJournal {
    fn drop(&mut self) {
        self.end();
        self.ends.store(true, Ordering::Relaxed);
        if let Some(follower) = self.follower.take()
            && follower.join().is_err()
        {
            tracing::error!("the journal's follower panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_of_the_client_is_printed() {
        let settings = vec![("sasl.password".to_owned(), "hush".to_owned())];
        let options =
            Options { brokers: "b:1".into(), prefix: "p".into(), replication: 3, settings };
        let printed = format!("{options:?}");
        assert!(printed.contains("sasl.password") && !printed.contains("hush"), "{printed}");
        assert!(!format!("{:?}", options.client()).contains("hush"));
    }
}
