//! Backups: a journal, its wrapped keys and the blobs that its events name, in one file. It is made
//! beside a docket that runs or of a folder at rest, and put back into an empty folder.
//!
//! A backup is a SQLite file, with the journal's tables and two more; `schemas/journal.md` describes
//! it. It is copied commit by commit. SQLite's own online backup begins anew whenever somebody
//! commits between two of its steps; in one step, as with `VACUUM INTO`, it reads for as long as the
//! copy takes, and meanwhile the WAL grows and nobody can be forgotten. And a copy by commits is
//! verified while it is made.
//!
//! **Invariant:** a backup is of one moment: every commit up to its newest one, the keys of that
//! moment, and no key of anybody who is forgotten in these commits or before the backup was in its
//! place.
//!
//! **Invariant:** a file or a folder is in its place when it is whole, verified and synced, and
//! before that under a name of its own, as something that nobody takes for a journal.

use std::{io, ops::ControlFlow, path::PathBuf};

use events::{CommitError, CommitNumber, DecodeError, Digest, Head, Position};

use crate::{blobs, engine::ReplayError, journal::JournalError, keys};

mod container;
mod read;
mod restore;
mod stage;
mod write;

pub use container::{About, Keys};
pub(crate) use read::Named;
pub use restore::{Check, Restored, restore};
pub use write::{Wishes, Written, write};

/// How many events are taken at a time.
const SLICE_EVENTS: usize = 500;

/// How many keys are taken at a time.
const SLICE_KEYS: usize = 5000;

/// How far something is that takes a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub doing: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is; at least `done`.
    pub of: u64,
}

/// Is told how far it is, and says whether it goes on.
pub type Tell<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Why there is no backup, or nothing restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal, or the file that is to be one, cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A commit does not continue the chain.
    #[error("the journal is damaged: {0}")]
    Chain(#[from] CommitError),
    /// An event cannot be understood.
    #[error("event {position}: {source}")]
    Decode {
        /// Where it stands.
        position: Position,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// What was restored cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A blob cannot be read or written.
    #[error(transparent)]
    Blob(#[from] blobs::Error),
    /// A key does not open.
    #[error(transparent)]
    Key(#[from] keys::Error),
    /// The file system refused.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("{doing} {path}: {source}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// The backup.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// There is something where the backup or the folder is to be.
    #[error("{path} {why}")]
    Place {
        /// The file or folder.
        path: PathBuf,
        /// Why nothing can be put there.
        why: String,
    },
    /// An event names a blob that cannot be had.
    #[error("blob {blob}, which event {position} names, is lost: {why}")]
    BlobLost {
        /// The blob.
        blob: Digest,
        /// The event.
        position: Position,
        /// Why it cannot be had.
        why: String,
    },
    /// The file is no backup, or one that was never finished.
    #[error("{path} is no whole backup: {why}")]
    NoBackup {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// What the backup holds is not what was put into it.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// The newest commit is another than the one that was expected.
    #[error(
        "the newest commit, {newest}, has the hash {found}, and {expected} is expected{}",
        .at.map(|at| format!(", which is that of commit {at}")).unwrap_or_default()
    )]
    Unexpected {
        /// The newest commit.
        newest: CommitNumber,
        /// Its hash.
        found: Digest,
        /// The hash that was expected.
        expected: Digest,
        /// Which commit has that one.
        at: Option<CommitNumber>,
    },
    /// Somebody said to stop.
    #[error("broken off")]
    Stopped,
}

/// Goes on unless somebody says to stop.
fn go_on(tell: &mut Tell<'_>, doing: &'static str, done: u64, of: u64) -> Result<(), Error> {
    match tell(Progress { doing, done, of: of.max(done) }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Stopped),
    }
}

fn io_error(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { doing, path: path.into(), source }
}

/// How many events a journal gains from one head to another.
fn between(from: &Head, to: &Head) -> u64 {
    to.position.0.saturating_sub(from.position.0)
}
