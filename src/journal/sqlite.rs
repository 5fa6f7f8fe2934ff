//! The journal in one SQLite file: the embedded default.
//!
//! `<folder>/journal.sqlite` in WAL mode, synced with every commit; `schemas/journal.md` says what
//! is in it. Four kinds of connections share it, each with a place of its own: one writer and one
//! checkpointer, each in its thread, a few readers in a pool, and, beside a running engine, the
//! readers of an auditor. `<folder>/lock` is locked by the engine that may write.
//!
//! **Invariant:** nobody learns of a commit before it is synced. SQLite syncs the WAL before it
//! publishes the commit in the wal-index (`walFrames` calls `sqlite3OsSync`, then
//! `walIndexWriteHdr`), so another connection cannot see it earlier; readers in the engine's
//! process are bound by the published head besides, which moves after `COMMIT` has returned. What
//! a crashed engine left unsynced is synced at opening, before anybody can ask for it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, mpsc},
    thread::JoinHandle,
};

use events::{
    Channel, CommandId, Commit, CommitNumber, DecisionHeader, Envelope, Head, Position, Subject,
    WrappedKey,
};
use tokio::sync::{oneshot, watch};

use super::{Appending, Journal, JournalError};

mod checkpoint;
mod draft;
mod file;
mod moment;
mod reader;
mod writer;

pub use draft::Draft;
pub use file::open_to_read;
pub use moment::{Moment, StoredKey};
use reader::Readers;
use writer::Writer;

/// The name of the journal's file in its folder.
pub const FILE: &str = "journal.sqlite";

/// A mebibyte.
const MIB: u64 = 1024 * 1024;

/// How a journal is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The largest the file may grow, in its pages; what does not fit is an error on append. `None`
    /// leaves it to the disk.
    pub max_page_count: Option<u32>,
    /// The bytes of a page of a file that is made now: a power of two from 512 to 65,536. Large pages
    /// cost less where much is written at once, and more where little is. Default: 4,096.
    pub page_bytes: u32,
    /// From how many bytes in the WAL on they are copied into the file, beside the writer.
    pub wal_bytes_soft: u64,
    /// From how many bytes in the WAL on the writer is made to wait, a moment, until the WAL can
    /// start over.
    pub wal_bytes_hard: u64,
    /// Whether a commit is synced before it counts. Where the journal is a copy of one elsewhere it
    /// need not be: what a machine's end takes away is copied again. Default: it is.
    pub synced: bool,
    /// Whether the journal may be a part of a copy; one that is made now is, until it is said to be
    /// [whole](SqliteJournal::set_whole). Default: it may not.
    pub unfinished: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_page_count: None,
            page_bytes: 4096,
            // A start after a crash copies that much in well under a second.
            wal_bytes_soft: 32 * MIB,
            wal_bytes_hard: 64 * MIB,
            synced: true,
            unfinished: false,
        }
    }
}

/// A journal in one SQLite file. Dropping it writes what is still queued and closes the file.
#[derive(Debug)]
pub struct SqliteJournal {
    path: PathBuf,
    head: Arc<watch::Sender<Head>>,
    readers: Readers,
    writer: Option<WriterThread>, // `None`: opened for reading only.
}

/// The writer's end of the queue, and what must outlive the writer.
#[derive(Debug)]
struct WriterThread {
    orders: mpsc::Sender<writer::Order>,
    thread: JoinHandle<()>,
    lock: File,
}

impl SqliteJournal {
    /// Opens the journal in a folder for an engine, and makes both where they are missing. The
    /// chain is not verified here: whoever replays does that with [`Commit::continues`], and ends
    /// at [`head`](Journal::head).
    pub fn open(dir: &Path, options: Options) -> Result<Self, JournalError> {
        file::check_library()?;
        file::create_dir(dir)?;
        let lock = file::lock(dir)?;
        let path = dir.join(FILE);
        // What a killed process wrote may be in the system's memory only.
        file::sync_wal(&path)?;
        let conn = file::open_to_write(&path, &options)?;
        let emptied = file::settle(&conn, &path)?;
        file::sync_dir(dir)?;
        let head = Arc::new(watch::Sender::new(reader::newest(&conn, &path)?));

        let failed = Arc::new(OnceLock::new());
        let to_checkpoint = file::open_to_checkpoint(&path, &options)?;
        let checkpoints =
            checkpoint::start(to_checkpoint, path.clone(), &options, !emptied, failed.clone())?;
        let writer =
            Writer::new(conn, path.clone(), &options, Arc::clone(&head), checkpoints, failed)?;
        let (orders, thread) = writer.start()?;
        let readers = Readers::new(path.clone());
        Ok(Self { path, head, readers, writer: Some(WriterThread { orders, thread, lock }) })
    }

    /// Opens the journal in a folder for reading only, beside a running engine or without one. Its
    /// head is what the file held at this moment, and nothing after it is read, until
    /// [`refresh`](Self::refresh). Appending answers [`JournalError::Closed`].
    pub fn open_read_only(dir: &Path) -> Result<Self, JournalError> {
        Self::open_file_read_only(dir.join(FILE))
    }

    /// The same for a file that is called as it likes.
    pub fn open_file_read_only(path: PathBuf) -> Result<Self, JournalError> {
        file::check_library()?;
        fs::metadata(&path).map_err(|source| JournalError::Io {
            doing: format!("cannot read the journal {}", path.display()),
            source,
        })?;
        let readers = Readers::new(path.clone());
        let head = readers.with(|conn| {
            file::check_format(conn, &path, false)?;
            reader::newest(conn, &path)
        });
        let head = head.map_err(|error| file::explain_read_only(&path, error))?;
        Ok(Self { path, head: Arc::new(watch::Sender::new(head)), readers, writer: None })
    }

    /// Moves the head of a journal opened for reading to what the file holds now. One that an
    /// engine writes moves by itself.
    pub fn refresh(&self) -> Result<Head, JournalError> {
        if self.writer.is_none() {
            let head = self.readers.with(|conn| reader::newest(conn, &self.path))?;
            self.head.send_replace(head);
        }
        Ok(*self.head.borrow())
    }

    /// Looks at what the file holds at one moment: whatever is asked of the [`Moment`] is of the same
    /// one. Meanwhile the WAL cannot start over, and no key is destroyed for good: be quick.
    pub fn at_one_moment<T, E: From<JournalError>>(
        &self,
        look: impl FnOnce(&Moment<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.readers.with(|conn| look(&Moment::new(conn, &self.path)?))
    }

    /// Writes down, behind the commits appended so far, how far the journal that this one copies has
    /// been read: a machine's end takes it away only together with them.
    pub fn note(&self, followed: String) -> Result<(), JournalError> {
        self.order(writer::Order::Note { followed })
    }

    /// What was written down last; `None` where nothing was.
    pub fn noted(&self) -> Result<Option<String>, JournalError> {
        self.readers.with(|conn| reader::noted(conn, &self.path))
    }

    /// Says in the file that the journal is no part of a copy any more, behind the commits appended
    /// so far.
    pub fn set_whole(&self) -> Result<(), JournalError> {
        self.ask(|answer| writer::Order::SetWhole { answer })
    }

    /// The journal's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends commits that continue each other, all or none; otherwise as [`Journal::append`].
    pub fn append_together(&self, commits: Vec<Arc<Commit>>) -> Appending {
        self.appending(|answer| writer::Order::Together { commits, answer })
    }

    fn appending(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<(), JournalError>>) -> writer::Order,
    ) -> Appending {
        let (answer, appending) = oneshot::channel();
        if let Err(error) = self.order(order(answer)) {
            let (answer, appending) = oneshot::channel();
            let _ = answer.send(Err(error)); // The receiver is in the next line.
            return appending;
        }
        appending
    }

    fn order(&self, order: writer::Order) -> Result<(), JournalError> {
        let Some(writer) = &self.writer else {
            let path = self.path.display();
            return Err(JournalError::Closed(format!("{path} is opened for reading only")));
        };
        writer.orders.send(order).map_err(|_| ended())
    }

    fn ask<T>(
        &self,
        order: impl FnOnce(mpsc::SyncSender<Result<T, JournalError>>) -> writer::Order,
    ) -> Result<T, JournalError> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.order(order(answer))?;
        answered.recv().unwrap_or_else(|_| Err(ended()))
    }
}

impl Journal for SqliteJournal {
    fn append(&self, commit: Arc<Commit>, keys: Vec<WrappedKey>) -> Appending {
        self.appending(|answer| writer::Order::Append(writer::Append { commit, keys, answer }))
    }

    fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    fn read(&self, after: CommitNumber, events_max: usize) -> Result<Vec<Commit>, JournalError> {
        let head = *self.head.borrow();
        self.readers.with(|conn| reader::read(conn, &self.path, &head, after, events_max))
    }

    fn head_at(&self, number: CommitNumber) -> Result<Option<Head>, JournalError> {
        let head = *self.head.borrow();
        match number {
            _ if number == head.number => Ok(Some(head)),
            CommitNumber(0) => Ok(Some(Head::default())),
            _ if number > head.number => Ok(None),
            _ => self.readers.with(|conn| reader::head_at(conn, &self.path, number)),
        }
    }

    fn read_subject(
        &self,
        channel: &Channel,
        subject: &Subject,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Envelope>, JournalError> {
        let range = (after, self.head.borrow().position);
        self.readers
            .with(|conn| reader::read_subject(conn, &self.path, channel, subject, range, limit))
    }

    fn decision(&self, command: CommandId) -> Result<Option<DecisionHeader>, JournalError> {
        let head = self.head.borrow().number;
        self.readers.with(|conn| reader::decision(conn, &self.path, command, head))
    }

    fn wrapped_key(&self, id: &str) -> Result<Option<WrappedKey>, JournalError> {
        self.readers.with(|conn| reader::wrapped_key(conn, &self.path, id))
    }

    fn wrapped_keys(&self, after: &str, limit: usize) -> Result<Vec<WrappedKey>, JournalError> {
        self.readers.with(|conn| reader::wrapped_keys(conn, &self.path, after, limit))
    }

    fn put_keys(&self, keys: Vec<WrappedKey>) -> Result<(), JournalError> {
        self.ask(|answer| writer::Order::PutKeys { keys, answer })
    }

    fn ensure_key(&self, key: WrappedKey) -> Result<WrappedKey, JournalError> {
        self.ask(|answer| writer::Order::EnsureKey { key, answer })
    }

    fn destroy_key(&self, id: &str) -> Result<(), JournalError> {
        self.ask(|answer| writer::Order::DestroyKey { id: id.to_owned(), answer })
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        // The writer is the last to close, so that SQLite leaves one clean file behind; the lock
        // goes after it.
        self.readers.close();
        if let Some(WriterThread { orders, thread, lock }) = self.writer.take() {
            drop(orders);
            if thread.join().is_err() {
                tracing::error!(path = %self.path.display(), "the journal's writer panicked");
            }
            drop(lock);
        }
    }
}

fn ended() -> JournalError {
    JournalError::Closed("its writer has ended".into())
}

/// Turns SQLite's errors into the journal's, for `map_err`.
fn sqlite(doing: impl FnOnce() -> String) -> impl FnOnce(rusqlite::Error) -> JournalError {
    move |source| JournalError::Sqlite { doing: doing(), source }
}

/// Whether these bytes are a wrapped key; those of one that was destroyed are all 0.
fn is_key(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| *byte != 0)
}

/// A number as SQLite has them. Nothing that is counted here reaches 63 bits.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
