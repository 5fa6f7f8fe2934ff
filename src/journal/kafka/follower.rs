//! Reads the topics of a journal: one thread. What it reads is taken in its order ([`Taking`]).

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use events::{Epoch, Head, WrappedKey};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
    types::RDKafkaErrorCode,
};
use serde::{Deserialize, Serialize};

use super::{
    COPY, KEYS_HEADER, UNFINISHED, Writing, record,
    sender::Key,
    taking::{Found, Outcome, Taking, in_order},
    topics::kafka,
};
use crate::journal::{Journal as _, JournalError, SqliteJournal};

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

/// How far a node is with the topics, and what it found there.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// What has been taken, or passed over.
    pub read: Offsets,
    /// Whether it is a part of a copy.
    pub unfinished: bool,
    /// The highest epoch that any commit was of, taken or not.
    pub epoch: Epoch,
    /// How many commits came too late.
    pub fenced: u64,
    /// Why nothing more is taken.
    pub failed: Option<Arc<str>>,
}

/// How long it waits for a record before it looks whether it shall end.
const WAIT: Duration = Duration::from_millis(100);
/// So many commits are acknowledged at once at most.
const TAKEN_MAX: usize = 64;
/// So many commits may wait for keys before the others are left with the brokers.
const EARLY_MAX: usize = 1024;
/// After so many commits in a row that the brokers had told of before, they are not read any more,
const KNOWN_MAX: u32 = 64;
/// until the brokers have told of none for so long, or of one that does not follow.
const QUIET: Duration = Duration::from_millis(100);
/// How often it looks for that.
const AWAY_WAIT: Duration = Duration::from_millis(10);

/// What is written down beside the local journal.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Note {
    #[serde(flatten)]
    pub read: Offsets,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
}

/// Reads the topics for [`Taking`].
pub struct Follower {
    consumer: BaseConsumer,
    topics: [String; 2],
    taking: Arc<Taking>,
    writing: Writing,
    /// What was taken and is not acknowledged yet.
    taken: Vec<Head>,
    /// Whether no commit is asked for, because too many wait for keys.
    pauses: bool,
    /// Whether commits are not read, because the brokers tell where this node's lie.
    away: bool,
    /// Commits that were read one after the other and were taken before.
    known: u32,
}

impl Follower {
    /// Goes on where the local journal says that it had come to.
    pub fn new(
        config: &ClientConfig,
        topics: [String; 2],
        taking: Arc<Taking>,
        writing: Writing,
    ) -> Result<Self, JournalError> {
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
        let (taken, pauses, away, known) = (Vec::new(), false, false, 0);
        let it = Self { consumer, topics, taking, writing, taken, pauses, away, known };
        let next = it.taking.lock()?.next;
        it.assign(next, true)?;
        Ok(it)
    }

    /// Reads until it is told to end, or until something is wrong.
    pub fn run(self, ends: &AtomicBool) {
        let (taking, writing) = (Arc::clone(&self.taking), self.writing.clone());
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.follow(ends))) {
            let reason: Arc<str> = "the journal's follower panicked".into();
            taking.fail(&reason);
            writing.fail(&reason);
            resume_unwind(panic);
        }
    }

    fn follow(mut self, ends: &AtomicBool) {
        while !ends.load(Ordering::Relaxed) {
            if let Err(error) = self.step() {
                tracing::error!(%error, "the journal is followed no more");
                let reason: Arc<str> = error.to_string().into();
                self.taking.fail(&reason);
                self.writing.fail(&reason);
                return;
            }
        }
        if let Err(error) = self.taking.lock().and_then(|mut taker| taker.end()) {
            tracing::warn!(%error, "what was read last is not stored, and is read again");
        }
    }

    fn step(&mut self) -> Result<(), JournalError> {
        let wait = self.turn()?;
        let mut message = self.consumer.poll(Duration::ZERO);
        if message.is_none() || self.taken.len() >= TAKEN_MAX {
            self.writing.acknowledge(&mut self.taken);
        }
        if message.is_none() {
            self.taking.lock()?.tell();
            message = self.consumer.poll(wait);
        }
        let mut outcomes = Vec::new();
        let mut waits = true;
        match message {
            Some(Ok(message)) if message.topic() == self.topics[0] => {
                // What the brokers have told meanwhile need not be read.
                let is_known = message.offset() < self.taking.lock()?.next.journal;
                let commit = match is_known {
                    true => None,
                    false => Some(read_commit(&message, &self.writing)?),
                };
                let mut taker = self.taking.lock()?;
                match commit.filter(|_| message.offset() >= taker.next.journal) {
                    Some((commit, keys)) => {
                        self.known = 0;
                        taker.found(commit, message.offset(), keys, &mut outcomes)?;
                    }
                    None => self.known = self.known.saturating_add(1),
                }
                waits = taker.waiting() > 0;
            }
            Some(Ok(message)) => {
                let (id, bytes) = read_key(&message)?;
                if id == COPY {
                    let unfinished = bytes.as_deref() == Some(UNFINISHED);
                    self.taking.lock()?.set_unfinished(unfinished);
                } else {
                    self.put_key(id, bytes)?;
                }
                let next = message.offset() + 1;
                self.taking.lock()?.keys_reach(next, &mut outcomes)?;
                waits = false;
            }
            Some(Err(error)) => passing(error)?,
            None => {}
        }
        if waits {
            self.pass_over(&mut outcomes)?;
        }
        outcomes.into_iter().for_each(|outcome| self.tell(outcome));
        let mut taker = self.taking.lock()?;
        taker.storing.look()?;
        taker.note_in_time();
        let waiting = taker.waiting();
        drop(taker);
        self.pause(waiting)
    }

    /// Reads commits where only reading tells of them, and not where the brokers do. Gives how long
    /// whoever waits for a record may do so.
    fn turn(&mut self) -> Result<Duration, JournalError> {
        let taker = self.taking.lock()?;
        let told = taker.told_at.is_some_and(|at| at.elapsed() < QUIET) && !taker.is_behind();
        let (next, waiting) = (taker.next, taker.waiting());
        let wait = taker.storing.room(if self.away { AWAY_WAIT } else { WAIT });
        drop(taker);
        let leaves = !self.away && told && self.known >= KNOWN_MAX && waiting == 0;
        if leaves || (self.away && !told) {
            self.assign(next, self.away)?;
            (self.away, self.pauses, self.known) = (!self.away, false, 0);
        }
        Ok(wait)
    }

    /// Stores a key, or destroys it, behind what was taken before. That may wait for the disk, and
    /// others take commits meanwhile: those that need the key wait until it is told of.
    fn put_key(&self, id: String, bytes: Option<Vec<u8>>) -> Result<(), JournalError> {
        let local = {
            let mut taker = self.taking.lock()?;
            taker.storing.give();
            Arc::clone(&taker.local)
        };
        match bytes {
            Some(bytes) => local.stored.ensure_key(WrappedKey { id, bytes }).map(drop),
            None => local.stored.destroy_key(&id),
        }
    }

    fn assign(&self, next: Offsets, commits: bool) -> Result<(), JournalError> {
        let doing = "cannot follow the journal";
        let mut list = TopicPartitionList::new();
        let topics = self.topics.iter().zip([next.journal, next.keys]);
        for (topic, offset) in topics.skip(usize::from(!commits)) {
            list.add_partition_offset(topic, 0, Offset::Offset(offset)).map_err(kafka(doing))?;
        }
        self.consumer.assign(&list).map_err(kafka(doing))
    }

    /// Some offsets hold nothing for a reader: the mark that ends a transaction, records of one that
    /// was given up. Where they come last, the topic of keys is read to its end all the same.
    fn pass_over(&self, outcomes: &mut Vec<Outcome>) -> Result<(), JournalError> {
        let doing = "cannot tell how far the journal is read";
        let positions = self.consumer.position().map_err(kafka(doing))?;
        let reached = |topic: &str| match positions.find_partition(topic, 0)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None, // Nothing was read since this began.
        };
        let mut taker = self.taking.lock()?;
        if let Some(keys) = reached(&self.topics[1]).filter(|it| *it > taker.next.keys) {
            taker.keys_reach(keys, outcomes)?;
        }
        // Nobody writes commits in transactions.
        let expected = taker.next.journal;
        let journal = reached(&self.topics[0]).filter(|it| *it > expected);
        journal.map_or(Ok(()), |found| in_order(expected, found))
    }

    /// Leaves commits with the brokers where too many wait for keys.
    fn pause(&mut self, waiting: usize) -> Result<(), JournalError> {
        let pauses = waiting >= EARLY_MAX || (self.pauses && waiting > 0);
        if pauses != self.pauses && !self.away {
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

    /// Tells whoever waits for a commit of this node.
    fn tell(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Taken(head) => self.taken.push(head),
            Outcome::Lost { number, hash, epoch } => {
                self.writing.acknowledge(&mut self.taken);
                self.writing.lost(number, hash, epoch);
            }
        }
    }
}

impl Note {
    pub fn to_text(self) -> String {
        serde_json::to_string(&self).expect("numbers are written")
    }
}

/// How far the topics were read that the local journal is a copy of. From its very first commit on
/// that is written down; one without is no copy.
pub fn noted(local: &SqliteJournal, topic: &str) -> Result<Note, JournalError> {
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

/// A commit's record, and what it says of keys.
fn read_commit(
    message: &BorrowedMessage<'_>,
    writing: &Writing,
) -> Result<(Found, i64), JournalError> {
    let keys = message.headers().and_then(|all| {
        let header = all.iter().find(|header| header.key == KEYS_HEADER)?;
        std::str::from_utf8(header.value?).ok()?.parse().ok()
    });
    let bytes = message.payload().unwrap_or_default();
    let commit = match writing.sent(bytes) {
        Some(own) => Found::Own(own),
        None => Found::Foreign(Arc::new(record::decode(bytes).map_err(unreadable(message))?)),
    };
    Ok((commit, keys.unwrap_or(0)))
}

/// A key's record: its id, and no bytes where it is destroyed.
fn read_key(message: &BorrowedMessage<'_>) -> Result<Key, JournalError> {
    let id = message.key().and_then(|key| std::str::from_utf8(key).ok());
    let id = id.ok_or_else(|| unreadable(message)("its key is no text".into()))?.to_owned();
    Ok((id, message.payload().map(<[u8]>::to_vec)))
}

fn unreadable(message: &BorrowedMessage<'_>) -> impl FnOnce(String) -> JournalError {
    let (offset, topic) = (message.offset(), message.topic().to_owned());
    move |reason| JournalError::Kafka {
        doing: format!("the record at offset {offset} of {topic} cannot be read"),
        reason,
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
