//! Where rows lie: a small trait, so that another store can be measured, and sled behind it.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use events::Position;
use serde::de::DeserializeOwned;

use crate::{
    folder,
    layers::{Changes, Layers},
};

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A key and what becomes of it: a value, or nothing.
pub type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// Ordered bytes that can be read.
pub trait Source {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// What lies from `range.start` up to, but without, `range.end`, in the order of the keys.
    fn range<'a>(
        &'a self,
        range: Range<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Pair, Error>> + 'a>;
}

/// Ordered bytes in a folder. What is written together is there together or not at all, after a
/// crash too.
pub trait Store: Source + Send + Sync {
    /// Writes all changes, each of another key, together.
    fn write(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), Error>;

    /// Hands everything written to the operating system.
    fn flush(&self) -> Result<(), Error>;
}

/// What can go wrong with a view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// sled refused.
    #[error("{doing}: {source}")]
    Sled {
        /// What was being done.
        doing: &'static str,
        /// What sled said.
        source: sled::Error,
    },
    /// Somebody else has the view's folder open.
    #[error("{path} is in use by another process")]
    Locked {
        /// The folder.
        path: String,
    },
    /// A row is not what was written.
    #[error("row {key} cannot be read: {reason}")]
    Row {
        /// The key, as an escaped byte string.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An event speaks of what the rows do not have, or does not fit them.
    #[error("event {position} does not fit the rows: {reason}")]
    Unfit {
        /// Where the event stands.
        position: Position,
        /// What does not fit.
        reason: String,
    },
    /// Events were handed over that do not follow the mark.
    #[error("event {found} was handed over where {expected} belongs")]
    Gap {
        /// The next position.
        expected: Position,
        /// The position found.
        found: Position,
    },
    /// The store panicked, now or before.
    #[error("the store panicked: {0}")]
    Panicked(String),
    /// The rows that serve are of an older version, which does not have what was asked for; newer
    /// ones are being built beside them.
    #[error(
        "the rows are of version {found} and this needs version {needed}, which is being built"
    )]
    Older {
        /// The version that serves.
        found: u32,
        /// The first version that has it.
        needed: u32,
    },
    /// The view was closed.
    #[error("the view is closed")]
    Closed,
}

impl Error {
    pub(crate) fn row(key: &[u8], reason: impl ToString) -> Self {
        Self::Row { key: key.escape_ascii().to_string(), reason: reason.to_string() }
    }

    pub(crate) fn io(doing: &str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing: format!("{doing} {}", path.display()), source }
    }

    /// Whether this says that the rows are wrong, so that only folding them again helps.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Row { .. } | Self::Unfit { .. } | Self::Panicked(_) => true,
            Self::Sled { source, .. } => !matches!(source, sled::Error::Io(_)),
            Self::Io { .. } | Self::Locked { .. } | Self::Gap { .. } => false,
            Self::Older { .. } | Self::Closed => false,
        }
    }
}

/// Rows in a sled folder, all in its default tree, where a batch is atomic.
pub struct SledStore(sled::Db);

impl SledStore {
    /// Opens or makes the folder, with a cache of so many bytes.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Box<dyn Store>, Error> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(Some(500));
        match config.open() {
            Ok(db) => Ok(Box::new(Self(db))),
            // sled has no kind of its own for this.
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                Err(Error::Locked { path: path.display().to_string() })
            }
            Err(source) => Err(Error::Sled { doing: "opening the view", source }),
        }
    }
}

fn reading(source: sled::Error) -> Error {
    Error::Sled { doing: "reading the view", source }
}

fn writing(source: sled::Error) -> Error {
    Error::Sled { doing: "writing the view", source }
}

impl Source for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key).map_err(reading)?.map(|value| value.to_vec()))
    }

    fn range<'a>(
        &'a self,
        range: Range<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Pair, Error>> + 'a> {
        let pairs = self.0.range(range);
        Box::new(
            pairs.map(|pair| {
                pair.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(reading)
            }),
        )
    }
}

impl Store for SledStore {
    fn write(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), Error> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.0.apply_batch(batch).map_err(writing)
    }

    fn flush(&self) -> Result<(), Error> {
        self.0.flush().map_err(writing).map(drop)
    }
}

/// The rows of one view, to be read from any thread; cheap to clone. What a query reads in one go
/// is of one moment: no batch is taken in meanwhile. Newer rows may take the place of these at any
/// time, and whoever has a clone reads those from then on.
#[derive(Clone)]
pub struct Rows(Arc<Shared>);

struct Shared {
    /// Readers share it; the projection takes it alone to take a batch in. Empty once closed.
    held: RwLock<Option<Held>>,
    writes: AtomicU64,
}

/// Rows and where they lie.
pub(crate) struct Held {
    folder: PathBuf,
    /// Of the rows.
    version: u32,
    rows: Layers,
    /// A write panicked: what the store has now, nobody knows.
    panicked: AtomicBool,
}

impl Held {
    pub fn new(folder: PathBuf, version: u32, store: Box<dyn Store>) -> Self {
        Self { folder, version, rows: Layers::over(store), panicked: AtomicBool::new(false) }
    }

    /// Remembers damage in the folder itself, for the next opening.
    fn noted(&self, error: &Error) {
        if error.is_damage() {
            // Should this fail too, the next query of the row says so again.
            let _ = fs::write(self.folder.join(folder::REBUILD), error.to_string());
        }
    }
}

impl Rows {
    pub(crate) fn new(held: Held) -> Self {
        Self(Arc::new(Shared { held: RwLock::new(Some(held)), writes: AtomicU64::new(0) }))
    }

    /// Keys written to the store since the view was opened, marks included.
    pub fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::Relaxed)
    }

    /// Every row, in the order of the keys, the mark left out: two views that hold the same events
    /// give the same bytes. Takes all of it into memory: for tests and comparisons.
    pub fn dump(&self) -> Result<Vec<Pair>, Error> {
        self.read(|rows| rows.range(&[1]..&[u8::MAX; 4]).collect())
    }

    /// Asks the rows something, in one go. Should the answer be that they are wrong, the view is
    /// rebuilt when it is next opened.
    pub(crate) fn read<T>(
        &self,
        ask: impl FnOnce(&dyn Source) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.read_since(0, |rows, _| ask(rows))
    }

    /// The same, of what only the rows of this version and those after it have. Tells the version
    /// that they are of, too.
    pub(crate) fn read_since<T>(
        &self,
        version: u32,
        ask: impl FnOnce(&dyn Source, u32) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.with(|held| {
            if held.version < version {
                return Err(Error::Older { found: held.version, needed: version });
            }
            ask(&held.rows, held.version).inspect_err(|error| held.noted(error))
        })
    }

    /// The row of a key, read as JSON.
    pub(crate) fn get_json<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        self.read(|rows| match rows.get(key)? {
            Some(value) => from_json(key, &value).map(Some),
            None => Ok(None),
        })
    }

    /// Takes a batch in, while nobody reads. Gives what the changes that are not written take, in
    /// bytes.
    pub(crate) fn take_in(&self, changes: Changes) -> Result<usize, Error> {
        let mut held = self.0.held.write().map_err(|_| panicked())?;
        let rows = &mut held.as_mut().ok_or(Error::Closed)?.rows;
        rows.take_in(changes);
        Ok(rows.unwritten_bytes())
    }

    /// Writes what is not written, and this row with it; queries go on meanwhile.
    pub(crate) fn write(&self, mark: Change<'_>) -> Result<(), Error> {
        let keys = self.with(|held| {
            let _says_so = SaysSo(&held.panicked);
            held.rows.write(mark).inspect_err(|error| held.noted(error))
        })?;
        let mut held = self.0.held.write().map_err(|_| panicked())?;
        held.as_mut().ok_or(Error::Closed)?.rows.written();
        self.0.writes.fetch_add(keys, Ordering::Relaxed);
        Ok(())
    }

    /// Hands everything written to the operating system.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.with(|held| held.rows.flush().inspect_err(|error| held.noted(error)))
    }

    fn with<T>(&self, act: impl FnOnce(&Held) -> Result<T, Error>) -> Result<T, Error> {
        let held = self.0.held.read().map_err(|_| panicked())?;
        let held = held.as_ref().ok_or(Error::Closed)?;
        if held.panicked.load(Ordering::Relaxed) {
            return Err(panicked());
        }
        act(held)
    }

    /// Takes the rows away, so that the folder is free; puts others there.
    pub(crate) fn replace(&self, other: Option<Held>) -> Option<Held> {
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        self.0.held.clear_poison(); // What a panic left behind goes away.
        std::mem::replace(&mut *held, other)
    }

    /// Puts the rows of another in the place of these, in one step, and gives those that were here.
    pub(crate) fn take_over(&self, other: &Self) -> Option<Held> {
        let newer = other.replace(None);
        self.0.writes.fetch_add(other.writes(), Ordering::Relaxed);
        self.replace(newer)
    }

    /// Remembers damage, for the next opening.
    pub(crate) fn noted(&self, error: &Error) {
        let held = self.0.held.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = &*held {
            held.noted(error);
        }
    }
}

/// Remembers a panic while it is there.
struct SaysSo<'a>(&'a AtomicBool);

impl Drop for SaysSo<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

pub(crate) fn from_json<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|error| Error::row(key, error))
}

fn panicked() -> Error {
    Error::Panicked("while it was written".to_owned())
}
