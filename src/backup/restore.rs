//! Putting a backup back.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use events::{CommitNumber, Digest, WrappedKey};
use rusqlite::Connection;

use super::{
    Error, SLICE_EVENTS, SLICE_KEYS, Tell,
    container::{self, About},
    go_on, io_error,
    read::Named,
    stage::{Stage, parent_of},
};
use crate::{
    blobs::Blobs,
    engine,
    journal::{
        Journal as _, JournalError, SqliteJournal,
        sqlite::{self, Draft, StoredKey},
    },
    keys::{self, KeyRing, MasterKey, StoreError, Whose, WrappedKeys},
};

/// What a backup is compared with, beside what it says itself.
#[derive(Debug, Default)]
pub struct Check {
    /// The hash that its newest commit must have.
    pub hash: Option<Digest>,
    /// What must open its keys.
    pub master: Option<MasterKey>,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says of itself; all of it is verified.
    pub about: About,
    /// Where it is now.
    pub data: PathBuf,
    /// Whether a master key was there to open the keys with.
    pub opened: bool,
}

/// Restores a backup into a folder that is empty or not there. Blocks on storage.
///
/// The whole backup is verified first: the chain from the first commit on, every event, every blob,
/// the keys. Nothing is left of what fails or is told to stop.
pub fn restore(
    file: &Path,
    data: &Path,
    check: Check,
    tell: &mut Tell<'_>,
) -> Result<Restored, Error> {
    let data = target(data)?;
    let backup = Backup::open(file)?;
    let mut stage = Stage::folder(&data)?;
    let mut draft = Draft::create(&stage.path().join(sqlite::FILE), true)?;
    let named = backup.commits_into(&mut draft, check.hash, tell)?;
    backup.keys_into(&mut draft, tell)?;
    backup.blobs_into(&stage.path().join("blobs"), &named, tell)?;
    draft.finish(|_| Ok(()))?;

    let position = backup.about.position.0;
    go_on(tell, "replaying", 0, position)?;
    let journal = Arc::new(SqliteJournal::open_read_only(stage.path())?);
    let (_, head) = engine::replay(journal.as_ref())?;
    if !backup.about.is_at(&head) {
        return Err(Error::Damaged(format!("what was restored ends with commit {}", head.number)));
    }
    let opened = check.master.is_some();
    if let Some(master) = check.master {
        open_keys(master, &journal, tell)?;
    }
    drop(journal);
    go_on(tell, "syncing", position, position)?;
    stage.sync()?;
    stage.put()?;
    Ok(Restored { about: backup.about, data, opened })
}

/// Where the folder will be. Refuses one that has anything in it, or that cannot be replaced.
fn target(data: &Path) -> Result<PathBuf, Error> {
    let refused = |why: String| Err(Error::Place { path: data.to_owned(), why });
    let path = match fs::canonicalize(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(data.to_owned()),
        found => found.map_err(io_error("looking at", data))?,
    };
    if !path.is_dir() {
        return refused("is there and no folder".into());
    }
    let mut entries = fs::read_dir(&path).map_err(io_error("looking at", &path))?;
    if let Some(entry) = entries.next() {
        let entry = entry.map_err(io_error("looking at", &path))?.file_name();
        return refused(format!(
            "is not empty, {} is in it; a backup is restored into an empty folder or a new one",
            entry.display()
        ));
    }
    let device = |path: &Path| fs::metadata(path).map(|it| it.dev());
    let parent = parent_of(&path);
    if device(&path).map_err(io_error("looking at", &path))?
        != device(parent).map_err(io_error("looking at", parent))?
    {
        return refused("is where a file system is mounted; name a folder in it".into());
    }
    Ok(path)
}

/// A backup that is being read.
struct Backup {
    journal: SqliteJournal,
    conn: Connection,
    path: PathBuf,
    about: About,
}

impl Backup {
    fn open(path: &Path) -> Result<Self, Error> {
        container::check_file(path)?;
        let conn = sqlite::open_to_read(path)?;
        let about = container::about(&conn, path)?;
        let journal = match SqliteJournal::open_file_read_only(path.to_owned()) {
            Err(error @ JournalError::Format { .. }) => {
                let why = error.to_string();
                return Err(Error::NoBackup { path: path.to_owned(), why });
            }
            opened => opened?,
        };
        Ok(Self { journal, conn, path: path.to_owned(), about })
    }

    /// Copies the commits, each of which continues the one before.
    fn commits_into(
        &self,
        draft: &mut Draft,
        expected: Option<Digest>,
        tell: &mut Tell<'_>,
    ) -> Result<Named, Error> {
        let mut named = Named::default();
        let mut expected_at: Option<CommitNumber> = None;
        loop {
            let at = draft.head();
            go_on(tell, "verifying events", at.position.0, self.about.position.0)?;
            let commits = self.journal.read(at.number, SLICE_EVENTS)?;
            if commits.is_empty() {
                break;
            }
            named.take(&commits, at)?;
            draft.append(&commits)?;
            let same = commits.iter().find(|commit| Some(commit.hash) == expected);
            expected_at = expected_at.or(same.map(|commit| commit.number));
        }
        let (head, about) = (draft.head(), &self.about);
        if !about.is_at(&head) {
            return Err(Error::Damaged(format!(
                "it ends with commit {}, {}, and was made of a journal that ended with commit {}, {}",
                head.number, head.hash, about.commit, about.hash
            )));
        }
        match expected {
            Some(expected) if expected != head.hash => Err(Error::Unexpected {
                newest: head.number,
                found: head.hash,
                expected,
                at: expected_at,
            }),
            _ => Ok(named),
        }
    }

    /// Copies the keys, all of which are what they were.
    fn keys_into(&self, draft: &mut Draft, tell: &mut Tell<'_>) -> Result<(), Error> {
        each_slice(&self.journal, |slice, done| {
            if let Some(it) = slice.iter().find(|it| keys::whose(&it.key).is_none()) {
                return Err(Error::Damaged(format!("{:?} is no wrapped key", it.key.id)));
            }
            draft.put_keys(slice.iter().map(|it| &it.key))?;
            go_on(tell, "verifying keys", done, self.about.keys.count)
        })?;
        let found = container::sum_of_keys(draft.conn()).map_err(|source| Error::Sqlite {
            doing: "cannot read",
            path: draft.path().to_owned(),
            source,
        })?;
        let about = self.about.keys;
        if found != about {
            return Err(Error::Damaged(format!(
                "its {} keys hash to {}, and {} that hash to {} were put into it",
                found.count, found.sha256, about.count, about.sha256
            )));
        }
        Ok(())
    }

    /// Copies the blobs that are named, each of which is what its name says, and no other.
    fn blobs_into(&self, folder: &Path, named: &Named, tell: &mut Tell<'_>) -> Result<(), Error> {
        let blobs = Blobs::open(folder)?;
        let damaged = |what: String| Err(Error::Damaged(what));
        let (mut done, mut lost) = (0, 0);
        for (blob, position) in &named.blobs {
            go_on(tell, "verifying blobs", done, named.blobs.len() as u64)?;
            match self.read(container::blob(&self.conn, *blob))? {
                None => {
                    return damaged(format!(
                        "blob {blob}, which event {position} names, is missing"
                    ));
                }
                Some(None) => lost += 1,
                Some(Some(bytes)) if blobs.fill(&bytes)? == *blob => done += 1,
                Some(Some(_)) => {
                    return damaged(format!(
                        "blob {blob}, which event {position} names, has another content"
                    ));
                }
            }
        }
        let there = self.read(container::count_blobs(&self.conn))?;
        let about = &self.about;
        if (done, lost) != (about.blobs, about.blobs_lost) || there != done + lost {
            return damaged(format!(
                "it has {there} blobs, {} of them are named, and {} were put into it",
                done + lost,
                about.blobs + about.blobs_lost
            ));
        }
        Ok(())
    }

    fn read<T>(&self, found: rusqlite::Result<T>) -> Result<T, Error> {
        let path = self.path.clone();
        found.map_err(|source| Error::Sqlite { doing: "cannot read a blob of", path, source })
    }
}

/// Goes through the keys of a journal that nobody writes; the second value counts them up to there.
fn each_slice(
    journal: &SqliteJournal,
    mut take: impl FnMut(&[StoredKey], u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut after, mut done) = (0, 0);
    loop {
        let slice = journal.at_one_moment(|moment| moment.keys(after, SLICE_KEYS))?;
        let Some(last) = slice.last() else { return Ok(()) };
        after = last.row;
        done += slice.len() as u64;
        take(&slice, done)?;
    }
}

/// Opens every key that is not destroyed.
fn open_keys(
    master: MasterKey,
    journal: &Arc<SqliteJournal>,
    tell: &mut Tell<'_>,
) -> Result<(), Error> {
    let ring = KeyRing::load(master, Arc::new(AtRest(Arc::clone(journal))))?;
    each_slice(journal, |slice, done| {
        for it in slice {
            if let Some(Whose::Account(account)) = keys::whose(&it.key) {
                match ring.check(account) {
                    Err(keys::Error::Erased(_)) => {}
                    other => other?,
                }
            }
        }
        go_on(tell, "opening keys", done, done)
    })
}

/// The keys of a journal that nobody writes.
struct AtRest(Arc<SqliteJournal>);

impl WrappedKeys for AtRest {
    fn load(&self, id: &str) -> Result<Option<WrappedKey>, StoreError> {
        Ok(self.0.wrapped_key(id)?)
    }

    fn ensure(&self, key: WrappedKey) -> Result<WrappedKey, StoreError> {
        Err(format!("the key {} is not in the backup", key.id).into())
    }

    fn destroy(&self, id: &str) -> Result<(), StoreError> {
        Err(format!("the key {id} is not destroyed here").into())
    }
}
