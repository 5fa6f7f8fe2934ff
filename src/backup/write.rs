//! Making a backup.

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Instant, SystemTime},
};

use events::{Commit, CommitNumber, Digest, Head, Millis, RecordedDecision};

use super::{
    Error, SLICE_EVENTS, SLICE_KEYS, Tell, between,
    container::{self, About},
    go_on, io_error,
    read::Named,
    stage::{Stage, parent_of},
};
use crate::{
    blobs::{self, Blobs},
    journal::{
        Journal as _, JournalError, SqliteJournal,
        sqlite::{Draft, Moment, StoredKey},
    },
    keys,
};

/// How often it is tried to catch up with a docket that runs, before the rest, however much that
/// is, is taken at one moment.
const ROUNDS_MAX: usize = 8;

/// After how many bytes they are synced: a docket that runs syncs to the same disk, and must not
/// wait for much.
const SYNC_BYTES: usize = 1 << 20;

/// What is wished beside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// To replace the file, where there is one.
    pub replace: bool,
    /// To go on where blobs are missing or damaged. The backup says which.
    pub allow_lost_blobs: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// What the backup says of itself.
    pub about: About,
    /// How large it is, in bytes.
    pub bytes: u64,
}

/// Backs the docket of a data folder up into a file, with the pictures in the folder `blobs`, whether
/// it runs or not. Blocks on storage.
///
/// Nothing is left of a backup that fails or is told to stop.
pub fn write(
    data: &Path,
    blobs: &Path,
    file: &Path,
    wishes: Wishes,
    tell: &mut Tell<'_>,
) -> Result<Written, Error> {
    check_place(data, file, wishes)?;
    let journal = SqliteJournal::open_read_only(data)?;
    let blobs = Blobs::to_read(blobs);
    let mut copy = Copy::into(Stage::file(file)?, blobs, wishes)?;
    for _ in 0..ROUNDS_MAX {
        let head = journal.refresh()?;
        if between(&copy.draft.head(), &head) <= SLICE_EVENTS as u64 {
            break;
        }
        let mut pace = Pace::new(head);
        copy.commits(&head, tell, |after| {
            pace.rest(&journal)?;
            journal.read(after, SLICE_EVENTS)
        })?;
        copy.keys(tell, |after| journal.at_one_moment(|moment| moment.keys(after, SLICE_KEYS)))?;
    }
    // What is left to sync at that one moment is little.
    copy.stage.sync()?;
    go_on(tell, "finishing", 0, 0)?;
    journal.at_one_moment(|moment| {
        // As long as this lasts no forgetting is acknowledged: whoever was forgotten before is
        // known here, and whoever is forgotten from now on is so after the backup was in its place.
        copy.rest(moment, tell)?;
        let (mut stage, about) = copy.finish()?;
        stage.sync()?;
        let bytes = stage.length()?;
        check_place(data, file, wishes)?;
        stage.put()?;
        Ok(Written { about, bytes })
    })
}

/// Rests between two slices for as long as the last one took, where somebody commits meanwhile.
struct Pace {
    begun: Instant,
    head: Head,
}

impl Pace {
    fn new(head: Head) -> Self {
        Self { begun: Instant::now(), head }
    }

    fn rest(&mut self, journal: &SqliteJournal) -> Result<(), JournalError> {
        let head = journal.refresh()?;
        if head != self.head {
            thread::sleep(self.begun.elapsed());
        }
        *self = Self::new(head);
        Ok(())
    }
}

/// Refuses a place where something is that would be lost.
fn check_place(data: &Path, file: &Path, wishes: Wishes) -> Result<(), Error> {
    let refused = |why: &str| Err(Error::Place { path: file.to_owned(), why: why.into() });
    match fs::metadata(file) {
        Ok(there) if !there.is_file() => return refused("is there and no file"),
        Ok(_) if !wishes.replace => return refused("is there already; --force replaces it"),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("looking at", file)(error));
        }
        _ => {}
    }
    let folder = parent_of(file);
    let folder = fs::canonicalize(folder).map_err(io_error("looking at", folder))?;
    match fs::canonicalize(data) {
        Ok(data) if folder.starts_with(&data) => {
            refused("is in the data folder, and would be lost with it")
        }
        _ => Ok(()),
    }
}

/// A backup that is being made.
struct Copy {
    stage: Stage,
    draft: Draft,
    /// How many bytes are not synced yet, about.
    unsynced: usize,
    named: Named,
    blobs: Blobs,
    lost: u64,
    /// The row of the newest key that is copied.
    key: i64,
    wishes: Wishes,
}

impl Copy {
    fn into(stage: Stage, blobs: Blobs, wishes: Wishes) -> Result<Self, Error> {
        let draft = Draft::create(stage.path(), false)?;
        let named = Named::default();
        let copy = Self { stage, draft, unsynced: 0, named, blobs, lost: 0, key: 0, wishes };
        copy.written(container::create(copy.draft.conn()))?;
        Ok(copy)
    }

    /// Copies commits, slice by slice, up to a head.
    fn commits(
        &mut self,
        head: &Head,
        tell: &mut Tell<'_>,
        mut read: impl FnMut(CommitNumber) -> Result<Vec<Commit>, JournalError>,
    ) -> Result<(), Error> {
        while self.draft.head().number < head.number {
            let at = self.draft.head();
            go_on(tell, "copying events", at.position.0, head.position.0)?;
            let commits = read(at.number)?;
            let blobs = self.named.take(&commits, at)?;
            self.draft.append(&commits)?;
            let decisions = commits.iter().flat_map(|commit| &commit.decisions);
            self.grown(decisions.map(RecordedDecision::bytes).sum())?;
            for blob in blobs {
                self.blob(blob)?;
            }
        }
        Ok(())
    }

    fn grown(&mut self, bytes: usize) -> Result<(), Error> {
        self.unsynced += bytes;
        if self.unsynced >= SYNC_BYTES {
            self.stage.sync()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn blob(&mut self, blob: Digest) -> Result<(), Error> {
        let lost = match self.blobs.get(&blob) {
            Ok(Some(bytes)) => {
                let put = container::put_blob(self.draft.conn(), blob, Some(&bytes));
                self.written(put)?;
                return self.grown(bytes.len());
            }
            Ok(None) => "there is no such file".to_owned(),
            Err(error @ blobs::Error::Damaged { .. }) => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        if !self.wishes.allow_lost_blobs {
            let position = self.named.blobs[&blob];
            return Err(Error::BlobLost { blob, position, why: lost });
        }
        self.lost += 1;
        let put = container::put_blob(self.draft.conn(), blob, None);
        self.written(put)
    }

    /// Copies the keys that are there by now, slice by slice.
    fn keys(
        &mut self,
        tell: &mut Tell<'_>,
        mut read: impl FnMut(i64) -> Result<Vec<StoredKey>, JournalError>,
    ) -> Result<(), Error> {
        let mut copied = 0;
        loop {
            let slice = read(self.key)?;
            let Some(last) = slice.last() else { return Ok(()) };
            if let Some(it) = slice.iter().find(|it| keys::whose(&it.key).is_none()) {
                return Err(keys::Error::DamagedKey { id: it.key.id.clone() }.into());
            }
            self.key = last.row;
            copied += slice.len() as u64;
            self.draft.put_keys(slice.iter().map(|it| &it.key))?;
            go_on(tell, "copying keys", copied, copied)?;
        }
    }

    /// Copies what is left at one moment.
    fn rest(&mut self, moment: &Moment<'_>, tell: &mut Tell<'_>) -> Result<(), Error> {
        self.commits(&moment.head(), tell, |after| moment.read(after, SLICE_EVENTS))?;
        self.keys(tell, |after| moment.keys(after, SLICE_KEYS))?;
        let forgotten: Vec<_> =
            self.named.forgotten.iter().map(|account| keys::key_id(*account)).collect();
        self.draft.wipe_keys(forgotten.iter().map(String::as_str))?;
        Ok(())
    }

    fn finish(self) -> Result<(Stage, About), Error> {
        let head = self.draft.head();
        let conn = self.draft.conn();
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        let keys = self.written(container::sum_of_keys(conn))?;
        let about = About {
            commit: head.number,
            position: head.position,
            hash: head.hash,
            made_at: Millis(i64::try_from(now).unwrap_or(i64::MAX)),
            keys,
            blobs: self.named.blobs.len() as u64 - self.lost,
            blobs_lost: self.lost,
        };
        self.draft.finish(|conn| container::put_about(conn, &about))?;
        Ok((self.stage, about))
    }

    fn written<T>(&self, done: rusqlite::Result<T>) -> Result<T, Error> {
        let path = self.stage.path().to_owned();
        done.map_err(|source| Error::Sqlite { doing: "cannot write", path, source })
    }
}
