//! Reads the topics of a journal, judges every commit, and keeps those that are taken in the local
//! journal: one thread.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use events::{Commit, Epoch, Head, WrappedKey};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
    types::RDKafkaErrorCode,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    COPY, KEYS_HEADER, UNFINISHED, Writing,
    chain::{Verdict, judge},
    local::{Local, Storing},
    record,
    topics::kafka,
};
use crate::journal::{Journal as _, JournalError, SqliteJournal, follows};

/// How far the topics have been read: the offsets that come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Offsets {
    /// In the topic of commits.
    pub journal: i64,
    /// In the topic of keys.
    pub keys: i64,
}

impl Offsets {
    /// Whether everything before these has been read.
    pub fn reaches(&self, ends: &Self) -> bool {
        self.journal >= ends.journal && self.keys >= ends.keys
    }
}

/// What the follower tells.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// What has been read and judged.
    pub read: Offsets,
    /// Whether it is a part of a copy.
    pub unfinished: bool,
    /// The highest epoch that any commit was of, taken or not.
    pub epoch: Epoch,
    /// How many commits came too late.
    pub fenced: u64,
    /// Why it reads no more.
    pub failed: Option<Arc<str>>,
}

/// How long it waits for a record before it looks whether it shall end.
const WAIT: Duration = Duration::from_millis(100);
/// So many commits are acknowledged at once at most.
const TAKEN_MAX: usize = 64;
/// So many commits may wait for keys before the others are left with the brokers.
const EARLY_MAX: usize = 1024;
/// How often it writes down how far it has read, in commits.
const NOTE_EVERY: u64 = 256;

/// What is written down beside the local journal.
#[derive(Default, Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    read: Offsets,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unfinished: bool,
}

pub struct Follower {
    consumer: BaseConsumer,
    topics: [String; 2],
    local: Arc<Local>,
    writing: Writing,
    progress: watch::Sender<Progress>,
    head: Head,
    next: Offsets,
    unfinished: bool,
    storing: Storing,
    /// What was taken and is not acknowledged yet.
    taken: Vec<Head>,
    /// Commits that wait for the keys that were sent before them.
    early: VecDeque<(Found, i64)>,
    /// Whether no commit is asked for, because too many wait for keys.
    pauses: bool,
    unnoted: u64,
}

/// A commit as it was found in the log.
enum Found {
    /// The very bytes that this node has sealed and sent.
    Own(Arc<Commit>),
    /// Whatever a record says.
    Foreign(Arc<Commit>),
}

impl Follower {
    /// Goes on where the local journal says that it had come to.
    pub fn new(
        config: &ClientConfig,
        topics: [String; 2],
        local: Arc<Local>,
        writing: Writing,
        progress: watch::Sender<Progress>,
    ) -> Result<Self, JournalError> {
        let Note { read: next, unfinished } = noted(&local.stored, &topics[0])?;
        let consumer: BaseConsumer = config
            .clone()
            .set("group.id", "none: what is read is noted in the local journal")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // What is not there any more must not be passed over.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "50")
            .create()
            .map_err(kafka("cannot make a consumer"))?;
        let mut list = TopicPartitionList::new();
        for (topic, offset) in topics.iter().zip([next.journal, next.keys]) {
            list.add_partition_offset(topic, 0, Offset::Offset(offset))
                .map_err(kafka("cannot follow the journal"))?;
        }
        consumer.assign(&list).map_err(kafka("cannot follow the journal"))?;
        let head = *local.head().borrow();
        progress.send_modify(|it| {
            (it.read, it.epoch, it.unfinished) = (next, head.epoch, unfinished);
        });
        let (storing, early) = (Storing::new(Arc::clone(&local)), VecDeque::new());
        Ok(Self {
            consumer,
            topics,
            local,
            writing,
            progress,
            head,
            next,
            unfinished,
            storing,
            taken: Vec::new(),
            early,
            pauses: false,
            unnoted: 0,
        })
    }

    /// Reads until it is told to end, or until something is wrong.
    pub fn run(mut self, ends: &AtomicBool) {
        while !ends.load(Ordering::Relaxed) {
            if let Err(error) = self.step() {
                tracing::error!(%error, "the journal is followed no more");
                let reason: Arc<str> = error.to_string().into();
                self.progress.send_modify(|it| it.failed = Some(Arc::clone(&reason)));
                self.writing.fail(&reason);
                return;
            }
        }
        self.storing.give();
        self.note();
        if let Err(error) = self.storing.settle() {
            tracing::warn!(%error, "what was read last is not stored, and is read again");
        }
    }

    fn step(&mut self) -> Result<(), JournalError> {
        let wait = self.storing.room(WAIT);
        let mut message = self.consumer.poll(Duration::ZERO);
        if message.is_none() || self.taken.len() >= TAKEN_MAX {
            self.writing.acknowledge(&mut self.taken);
        }
        if message.is_none() {
            self.told();
            message = self.consumer.poll(wait);
        }
        let read = match message {
            Some(Ok(message)) => Some(Read::of(&message, &self.topics, &self.writing)?),
            Some(Err(error)) => {
                passing(error)?;
                None
            }
            None => None,
        };
        match read {
            Some(Read::Commit { commit, offset, keys }) => {
                in_order(self.next.journal, offset)?;
                self.next.journal = offset + 1;
                self.early.push_back((commit, keys));
                self.take_early()?;
                if !self.early.is_empty() {
                    self.pass_over()?;
                }
            }
            Some(Read::Key { id, bytes, offset }) => {
                self.storing.give();
                if id == COPY {
                    self.unfinished = bytes.as_deref() == Some(UNFINISHED);
                } else {
                    self.put_key(id, bytes)?;
                }
                self.next.keys = offset + 1;
                self.take_early()?;
            }
            None => self.pass_over()?,
        }
        self.storing.look()?;
        if self.unnoted >= NOTE_EVERY {
            self.told();
            self.note();
        }
        Ok(())
    }

    /// Some offsets hold nothing for a reader: the mark that ends a transaction, records of one that
    /// was given up. Where they come last, the topic of keys is read to its end all the same.
    fn pass_over(&mut self) -> Result<(), JournalError> {
        let doing = "cannot tell how far the journal is read";
        let positions = self.consumer.position().map_err(kafka(doing))?;
        let reached = |topic: &str| match positions.find_partition(topic, 0)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None, // Nothing was read since this began.
        };
        if let Some(keys) = reached(&self.topics[1]).filter(|it| *it > self.next.keys) {
            self.next.keys = keys;
            self.take_early()?;
        }
        // Nobody writes commits in transactions.
        let journal = reached(&self.topics[0]).filter(|it| *it > self.next.journal);
        journal.map_or(Ok(()), |found| in_order(self.next.journal, found))
    }

    /// Takes in the commits whose keys are here.
    fn take_early(&mut self) -> Result<(), JournalError> {
        while self.early.front().is_some_and(|(_, keys)| *keys <= self.next.keys) {
            if let Some((commit, _)) = self.early.pop_front() {
                self.judge(commit)?;
            }
        }
        let pauses = self.early.len() >= EARLY_MAX || (self.pauses && !self.early.is_empty());
        if pauses != self.pauses {
            let mut commits = TopicPartitionList::new();
            commits.add_partition(&self.topics[0], 0);
            let change = match pauses {
                true => self.consumer.pause(&commits),
                false => self.consumer.resume(&commits),
            };
            change.map_err(kafka("cannot follow the journal"))?;
            self.pauses = pauses;
        }
        Ok(())
    }

    fn judge(&mut self, found: Found) -> Result<(), JournalError> {
        let local = &self.local;
        let hash_at = |number| Ok(local.head_at(number)?.map(|it| it.hash));
        let verdict = match &found {
            Found::Own(commit) => judge::<JournalError>(commit, &self.head, hash_at, follows)?,
            Found::Foreign(commit) => judge(commit, &self.head, hash_at, Commit::continues)?,
        };
        let (Found::Own(commit) | Found::Foreign(commit)) = found;
        let (number, epoch, hash) = (commit.number, commit.epoch, commit.hash);
        match verdict {
            // Whoever copies a journal may send what another sent before it.
            Verdict::Known => self.taken.push(commit.head()),
            Verdict::Fenced => {
                tracing::warn!(%number, %epoch, "a commit came too late and does not count");
                self.progress.send_modify(|it| {
                    it.fenced += 1;
                    it.epoch = it.epoch.max(epoch);
                });
                self.writing.acknowledge(&mut self.taken);
                self.writing.lost(number, hash, self.head.epoch);
            }
            Verdict::Taken => {
                self.head = commit.head();
                self.taken.push(self.head);
                self.storing.take(commit)?;
                self.unnoted += 1;
            }
        }
        Ok(())
    }

    /// Tells how far it is.
    fn told(&self) {
        if self.progress.borrow().read == self.next {
            return;
        }
        let (read, epoch, none_waits) = (self.next, self.head.epoch, self.early.is_empty());
        let unfinished = self.unfinished;
        self.progress.send_modify(|it| {
            (it.read.keys, it.unfinished) = (read.keys, unfinished);
            if none_waits {
                it.read.journal = read.journal;
                it.epoch = it.epoch.max(epoch);
            }
        });
    }

    /// Writes down how far it has read, behind the commits that it read. One that waits for keys
    /// is read again.
    fn note(&mut self) {
        if self.early.is_empty() {
            self.storing.give();
            let note = Note { read: self.next, unfinished: self.unfinished };
            let _ = self.local.stored.note(note.to_text()); // A journal that has failed says so when it appends.
            self.unnoted = 0;
        }
    }

    fn put_key(&self, id: String, bytes: Option<Vec<u8>>) -> Result<(), JournalError> {
        match bytes {
            Some(bytes) => self.local.stored.ensure_key(WrappedKey { id, bytes }).map(drop),
            None => self.local.stored.destroy_key(&id),
        }
    }
}

impl Note {
    fn to_text(&self) -> String {
        serde_json::to_string(self).expect("numbers are written")
    }
}

/// How far the topics were read that the local journal is a copy of. From its very first commit on
/// that is written down; one without is no copy.
fn noted(local: &SqliteJournal, topic: &str) -> Result<Note, JournalError> {
    if let Some(noted) = local.noted()? {
        let doing = || format!("cannot read how far {} follows Kafka", local.path().display());
        let bad = |error| JournalError::Kafka { doing: doing(), reason: format!("{error}") };
        return serde_json::from_str(&noted).map_err(bad);
    }
    let head = *local.head().borrow();
    if head != Head::default() {
        let path = local.path().display().to_string();
        let topic = topic.to_owned();
        return Err(JournalError::NoCopy { path, commits: head.number, topic });
    }
    let note = Note::default();
    local.note(note.to_text())?;
    Ok(note)
}

/// A record, read.
enum Read {
    Commit { commit: Found, offset: i64, keys: i64 },
    Key { id: String, bytes: Option<Vec<u8>>, offset: i64 },
}

impl Read {
    fn of(
        message: &BorrowedMessage<'_>,
        topics: &[String; 2],
        writing: &Writing,
    ) -> Result<Self, JournalError> {
        let offset = message.offset();
        let bad = |reason: String| JournalError::Kafka {
            doing: format!("the record at offset {offset} of {} cannot be read", message.topic()),
            reason,
        };
        if message.topic() != topics[0] {
            let id = message.key().and_then(|key| std::str::from_utf8(key).ok());
            let id = id.ok_or_else(|| bad("its key is no text".into()))?.to_owned();
            return Ok(Self::Key { id, bytes: message.payload().map(<[u8]>::to_vec), offset });
        }
        let keys = message.headers().and_then(|all| {
            let header = all.iter().find(|header| header.key == KEYS_HEADER)?;
            std::str::from_utf8(header.value?).ok()?.parse().ok()
        });
        let bytes = message.payload().unwrap_or_default();
        let commit = match writing.sent(bytes) {
            Some(own) => Found::Own(own),
            None => Found::Foreign(Arc::new(record::decode(bytes).map_err(bad)?)),
        };
        Ok(Self::Commit { commit, offset, keys: keys.unwrap_or(0) })
    }
}

/// Nothing between two commits may be missing from what was read.
fn in_order(expected: i64, found: i64) -> Result<(), JournalError> {
    match found == expected {
        true => Ok(()),
        false => Err(JournalError::Kafka {
            doing: "the journal's topic has lost records".into(),
            reason: format!("offset {expected} is missing; the next is {found}"),
        }),
    }
}

/// Errors that pass when brokers come back are waited out; others are not.
fn passing(error: KafkaError) -> Result<(), JournalError> {
    use RDKafkaErrorCode as Code;
    let fatal = [
        Code::AutoOffsetReset,
        Code::OffsetOutOfRange,
        Code::LogTruncation,
        Code::Fatal,
        Code::TopicAuthorizationFailed,
        Code::InvalidMessage,
        Code::BadMessage,
    ];
    match error.rdkafka_error_code() {
        Some(code) if fatal.contains(&code) => Err(kafka("cannot follow the journal")(error)),
        _ => {
            tracing::debug!(%error, "the brokers do not answer");
            Ok(())
        }
    }
}
