//! The journal: the only truth. Commits go in at the end, durably, and are read from anywhere.
//!
//! **Invariant:** a commit that a reader has seen is durable; positions have no gaps; nothing here
//! decides what a commit says.

use std::{borrow::Cow, fmt, io, sync::Arc};

use events::{
    Channel, CommandId, Commit, CommitError, CommitNumber, DecisionHeader, DecodeError, Envelope,
    Epoch, Head, Position, Subject, WrappedKey,
};
use serde::{
    Deserialize, Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};
use tokio::sync::{oneshot, watch};

pub mod kafka;
pub mod memory;
pub mod reader;
pub mod sqlite;
pub mod tail;

pub use kafka::KafkaJournal;
pub use memory::MemoryJournal;
pub use reader::Reader;
pub use sqlite::SqliteJournal;
pub use tail::{Followed, Tail};

/// A place where commits are kept. All methods but [`append`](Journal::append) and
/// [`head`](Journal::head) block on storage: call them off the async threads.
pub trait Journal: Send + Sync + 'static {
    /// Appends one commit, and the keys that it uses for the first time, all or nothing. The
    /// answer comes when it is durable. Appends become durable in the order of the calls; another
    /// may be given before the first has answered. After the first error nothing more is taken.
    fn append(&self, commit: Arc<Commit>, keys: Vec<WrappedKey>) -> Appending;

    /// The newest durable commit, and a way to wait for the next.
    fn head(&self) -> watch::Receiver<Head>;

    /// The durable commits after `after`, oldest first: whole commits, as many as hold together
    /// `events_max` events, at least one where there is one.
    fn read(&self, after: CommitNumber, events_max: usize) -> Result<Vec<Commit>, JournalError>;

    /// What the head was when commit `number` was the newest, or `None` where there is none.
    fn head_at(&self, number: CommitNumber) -> Result<Option<Head>, JournalError>;

    /// The durable events of one subject after a position, oldest first, at most `limit`.
    fn read_subject(
        &self,
        channel: &Channel,
        subject: &Subject,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Envelope>, JournalError>;

    /// What a durable decision's header says, by its command; `None` where none was recorded.
    fn decision(&self, command: CommandId) -> Result<Option<DecisionHeader>, JournalError>;

    /// A wrapped key by its id, if it was ever stored and is not destroyed.
    fn wrapped_key(&self, id: &str) -> Result<Option<WrappedKey>, JournalError>;

    /// The wrapped keys whose ids come after `after`, in the order of their ids, at most `limit`; an
    /// empty text is before the first. One that is destroyed is not among them.
    fn wrapped_keys(&self, after: &str, limit: usize) -> Result<Vec<WrappedKey>, JournalError>;

    /// Stores keys that another journal has, of any number. Durable when it returns. One that is
    /// there already is left alone when it is the same; otherwise it is [`JournalError::KeyTaken`].
    fn put_keys(&self, keys: Vec<WrappedKey>) -> Result<(), JournalError> {
        keys.into_iter().try_for_each(|key| {
            let stored = self.ensure_key(key.clone())?;
            if stored == key { Ok(()) } else { Err(JournalError::KeyTaken { id: key.id }) }
        })
    }

    /// Stores a key of the site's own unless there is one of that id, and gives the one that is
    /// stored. Durable when it returns.
    fn ensure_key(&self, key: WrappedKey) -> Result<WrappedKey, JournalError>;

    /// Destroys a key, if it is there, so that nothing of it is left in the journal's files.
    /// Durable when it returns; after an error it may be called again to finish.
    fn destroy_key(&self, id: &str) -> Result<(), JournalError>;
}

/// Resolves when an append is durable, or has failed.
pub type Appending = oneshot::Receiver<Result<(), JournalError>>;

/// The world failing: nothing here is anybody's fault inside docket, corruption aside.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refused: disk full, an I/O error, a damaged file.
    #[error("{doing}: {source}")]
    Sqlite {
        /// What was being done.
        doing: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The journal's folder, or a file in it, may not be written.
    #[error(
        "cannot write in {dir}: {source}; give docket's user write permission or name another \
         folder with --data"
    )]
    Unwritable {
        /// The folder.
        dir: String,
        /// What the system or SQLite said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite, or the file system below it, does not give what durability needs.
    #[error("{path}: SQLite's {setting} must be {needed} and is {found}")]
    Setting {
        /// The journal's file.
        path: String,
        /// What was asked for, as SQLite calls it.
        setting: &'static str,
        /// What it must be.
        needed: &'static str,
        /// What it is.
        found: String,
    },
    /// A key was to be stored under an id that another key has.
    #[error("another key is stored as {id}")]
    KeyTaken {
        /// The id.
        id: String,
    },
    /// Another docket has this journal open.
    #[error(
        "{path} is in use by another docket; stop it first, or name another folder with --data"
    )]
    Locked {
        /// The lock file.
        path: String,
    },
    /// The file is of a format this docket does not read.
    #[error("the journal's format is {found}; this docket reads format {expected}")]
    Format {
        /// What the file says.
        found: String,
        /// What this docket reads.
        expected: String,
    },
    /// The file holds a part of a copy.
    #[error(
        "{path} is a part of a copy; run docket journal copy again until it says that all is copied"
    )]
    Unfinished {
        /// The file.
        path: String,
    },
    /// A commit does not continue the chain.
    #[error("the journal is damaged: {0}")]
    Chain(#[from] CommitError),
    /// An event cannot be read.
    #[error("event {position}: {source}")]
    Decode {
        /// Where it stands.
        position: Position,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// Another node writes: its commit has this one's place.
    #[error("commit {number} came too late: another node writes, in epoch {epoch}")]
    Fenced {
        /// Its number.
        number: CommitNumber,
        /// The epoch of the node that writes.
        epoch: Epoch,
    },
    /// Kafka refused, or did not answer.
    #[error("{doing}: {reason}")]
    Kafka {
        /// What was being done.
        doing: String,
        /// What was said.
        reason: String,
    },
    /// What is to follow a journal on Kafka is another journal, or a copy of another.
    #[error(
        "{path}, of {commits} commits, is no copy of {topic} on Kafka; name another folder with --data"
    )]
    NoCopy {
        /// The file.
        path: String,
        /// The number of its newest commit.
        commits: CommitNumber,
        /// The topic.
        topic: String,
    },
    /// An append before this one failed, or the journal was closed.
    #[error("the journal takes nothing more: {0}")]
    Closed(String),
}

/// Whether a commit follows `head`, its hash aside: the writer that sealed it has just computed
/// that, and every reader computes it again.
fn follows(commit: &Commit, head: &Head) -> Result<(), CommitError> {
    let number = commit.number;
    let expected = CommitNumber(head.number.0 + 1);
    if number != expected {
        return Err(CommitError::Number { expected, found: number });
    }
    if commit.prev_hash != head.hash {
        let (expected, found) = (head.hash, commit.prev_hash);
        return Err(CommitError::Chain { number, expected, found });
    }
    if commit.epoch < head.epoch {
        return Err(CommitError::Epoch { number, expected: head.epoch, found: commit.epoch });
    }
    let expected = Position(head.position.0 + 1);
    if commit.first_position != expected {
        return Err(CommitError::Position { number, expected, found: commit.first_position });
    }
    Ok(())
}

/// What a journal looks events up by.
struct Indexed<'a> {
    subject: Cow<'a, str>,
    channel: Cow<'a, str>,
}

impl<'a> Indexed<'a> {
    /// Reads an event's envelope as far as these are: its payload, which is behind them, is not
    /// even parsed.
    fn of(number: CommitNumber, bytes: &'a str) -> Result<Self, CommitError> {
        let mut found = Found::default();
        // That the reader has not come to the end is what it calls an error.
        let read = serde_json::Deserializer::from_str(bytes).deserialize_map(&mut found);
        let (Some(subject), Some(channel)) = (found.subject, found.channel) else {
            let why = read.err().map(|error| format!(": {error}")).unwrap_or_default();
            let reason = format!("an event has no subject or channel{why}");
            return Err(CommitError::Content { number, reason });
        };
        Ok(Self { subject, channel })
    }
}

#[derive(Default)]
struct Found<'a> {
    subject: Option<Cow<'a, str>>,
    channel: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Subject,
    Channel,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Visitor<'a> for &mut Found<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut fields: M) -> Result<(), M::Error> {
        while self.subject.is_none() || self.channel.is_none() {
            match fields.next_key()? {
                Some(Field::Subject) => self.subject = Some(fields.next_value::<Text<'a>>()?.0),
                Some(Field::Channel) => self.channel = Some(fields.next_value::<Text<'a>>()?.0),
                Some(Field::Other) => drop(fields.next_value::<IgnoredAny>()?),
                None => break,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_looked_up_by_its_subject_and_channel() {
        let of = |bytes| Indexed::of(CommitNumber(7), bytes);
        let bytes = r#"{"position":1,"subject":"a\"b","x":{"channel":"no"},"channel":"c","payload":{"subject":"d","channel":"e"}}"#;
        let found = of(bytes).unwrap();
        assert_eq!((&*found.subject, &*found.channel), ("a\"b", "c"));
        for bytes in ["", "[]", "{}", r#"{"subject":"a"}"#, r#"{"subject":"a","channel":1}"#, "{,}"]
        {
            let error = of(bytes).err().unwrap().to_string();
            assert!(error.starts_with("commit 7: an event has no subject or channel"), "{error}");
        }
    }
}
