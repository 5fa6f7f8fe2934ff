//! A journal that is written in one go, into a file that nobody else has: a backup's, or that of a
//! folder which is being restored.
//!
//! **Invariant:** the file says that it is a journal only once it is whole: its format is recorded
//! last. Nothing is synced here; whoever puts the file into its place syncs it before.

use std::path::{Path, PathBuf};

use events::{Commit, Head, WrappedKey};
use rusqlite::Connection;

use super::{file, sqlite, writer};
use crate::journal::{JournalError, follows};

/// A journal that is being written.
#[derive(Debug)]
pub struct Draft {
    conn: Connection,
    path: PathBuf,
    head: Head,
}

impl Draft {
    /// Makes the tables in a file that is empty or not there yet, and, where `indexed`, what an
    /// engine finds things by.
    pub fn create(path: &Path, indexed: bool) -> Result<Self, JournalError> {
        file::check_library()?;
        let conn = file::open_draft(path, indexed)?;
        Ok(Self { conn, path: path.to_owned(), head: Head::default() })
    }

    /// The newest commit.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Adds commits, all or none. Their hashes are not computed here: whoever read them did that.
    pub fn append(&mut self, commits: &[Commit]) -> Result<(), JournalError> {
        let doing = || format!("cannot write {}", self.path.display());
        let transaction = self.conn.transaction().map_err(sqlite(doing))?;
        let mut head = self.head;
        for commit in commits {
            follows(commit, &head)?;
            writer::insert(&transaction, commit, doing)?;
            head = commit.head();
        }
        transaction.commit().map_err(sqlite(doing))?;
        self.head = head;
        Ok(())
    }

    /// Adds keys, all or none; the bytes of one that is destroyed are all 0.
    pub fn put_keys<'a>(
        &mut self,
        keys: impl IntoIterator<Item = &'a WrappedKey>,
    ) -> Result<(), JournalError> {
        let doing = || format!("cannot write {}", self.path.display());
        let transaction = self.conn.transaction().map_err(sqlite(doing))?;
        for key in keys {
            writer::insert_key(&transaction, key, doing)?;
        }
        transaction.commit().map_err(sqlite(doing))
    }

    /// Destroys keys where they lie, as far as they are there.
    pub fn wipe_keys<'a>(
        &mut self,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), JournalError> {
        let doing = || format!("cannot write {}", self.path.display());
        let transaction = self.conn.transaction().map_err(sqlite(doing))?;
        for id in ids {
            writer::wipe(&transaction, id).map_err(sqlite(doing))?;
        }
        transaction.commit().map_err(sqlite(doing))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The connection, for what is kept in the file beside the journal.
    pub fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Writes what comes last, says in the file that it is a whole journal, both or neither, and
    /// closes it.
    pub fn finish(
        self,
        last: impl FnOnce(&Connection) -> Result<(), rusqlite::Error>,
    ) -> Result<(), JournalError> {
        let doing = || format!("cannot write {}", self.path.display());
        let finish = || {
            let transaction = self.conn.unchecked_transaction()?;
            last(&transaction)?;
            file::set_format(&transaction, false)?;
            transaction.commit()
        };
        finish().map_err(sqlite(doing))?;
        self.conn.close().map_err(|(_, error)| error).map_err(sqlite(doing))
    }
}
