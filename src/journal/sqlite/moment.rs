//! What the file holds at one moment, for whoever copies it.

use std::path::Path;

use events::{Commit, CommitNumber, Head, WrappedKey};
use rusqlite::{Connection, params};

use super::{column, reader, sqlite};
use crate::journal::JournalError;

/// A journal's file at one moment; see [`at_one_moment`](super::SqliteJournal::at_one_moment).
#[derive(Debug)]
pub struct Moment<'a> {
    conn: &'a Connection,
    path: &'a Path,
    head: Head,
}

/// A wrapped key as it lies in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its row; keys are stored in rising order.
    pub row: i64,
    /// The key; the bytes of one that was destroyed are all 0.
    pub key: WrappedKey,
}

impl<'a> Moment<'a> {
    pub(super) fn new(conn: &'a Connection, path: &'a Path) -> Result<Self, JournalError> {
        Ok(Self { conn, path, head: reader::newest(conn, path)? })
    }

    /// The newest commit.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The commits after `after`, as [`Journal::read`](crate::journal::Journal::read) gives them.
    pub fn read(
        &self,
        after: CommitNumber,
        events_max: usize,
    ) -> Result<Vec<Commit>, JournalError> {
        reader::read(self.conn, self.path, &self.head, after, events_max)
    }

    /// The keys in the rows after `after`, at most `limit`; 0 is before the first.
    pub fn keys(&self, after: i64, limit: usize) -> Result<Vec<StoredKey>, JournalError> {
        let query = "SELECT rowid, id, bytes FROM keys WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
        let read = || {
            let mut statement = self.conn.prepare_cached(query)?;
            let keys = statement.query_map(params![after, column(limit as u64)], |row| {
                let key = WrappedKey { id: row.get(1)?, bytes: row.get(2)? };
                Ok(StoredKey { row: row.get(0)?, key })
            })?;
            keys.collect::<Result<_, _>>()
        };
        read().map_err(sqlite(|| format!("cannot read the keys of {}", self.path.display())))
    }
}
