//! Readers: a few connections that are lent out, and what is asked on them. Each question is one
//! short transaction, so that no reader keeps the WAL from starting over.

use std::{
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use events::{
    Channel, CommandId, Commit, CommitError, CommitNumber, DecisionHeader, Digest, Envelope, Epoch,
    Head, Position, RecordedDecision, Subject, WrappedKey,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{column, file, is_key, sqlite};
use crate::journal::JournalError;

/// As many read at the same time; others wait for one of them.
const CONNECTIONS_MAX: usize = 8;

/// The pool of reading connections.
#[derive(Debug)]
pub struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Connection>,
    lent: usize,
}

/// A connection lent out; dropping it gives it back, or makes room for another.
struct Lent<'a> {
    readers: &'a Readers,
    conn: Option<Connection>,
}

impl Readers {
    pub fn new(path: PathBuf) -> Self {
        Self { path, pool: Mutex::default(), returned: Condvar::new() }
    }

    /// Runs one question in one transaction.
    pub fn with<T, E: From<JournalError>>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut lent = self.lend();
        let conn = match lent.conn.take() {
            Some(conn) => conn,
            None => file::open_to_read(&self.path)?,
        };
        let reading = || format!("cannot read the journal {}", self.path.display());
        let transaction = conn.unchecked_transaction().map_err(sqlite(reading))?;
        let answer = ask(&transaction);
        // It has written nothing; whether it commits or rolls back is the same.
        if transaction.finish().is_ok() {
            lent.conn = Some(conn);
        }
        answer
    }

    /// Closes the connections that nobody uses.
    pub fn close(&self) {
        self.pool().idle.clear();
    }

    fn lend(&self) -> Lent<'_> {
        let mut pool = self
            .returned
            .wait_while(self.pool(), |pool| pool.lent >= CONNECTIONS_MAX)
            .unwrap_or_else(PoisonError::into_inner);
        pool.lent += 1;
        Lent { readers: self, conn: pool.idle.pop() }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // A list and a count are whole whatever panicked beside them.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool();
        pool.lent -= 1;
        pool.idle.extend(self.conn.take());
        self.readers.returned.notify_one();
    }
}

/// The newest commit's head, or the one of an empty journal.
pub fn newest(conn: &Connection, path: &Path) -> Result<Head, JournalError> {
    let doing = || format!("cannot read the newest commit of {}", path.display());
    let head = conn
        .prepare_cached(
            "SELECT number, epoch, hash, last_position FROM commits ORDER BY number DESC LIMIT 1",
        )
        .and_then(|mut statement| statement.query_row((), head_of).optional())
        .map_err(sqlite(doing))?
        .unwrap_or_default();
    // The head decides where the next event goes, so it does not rest on a derived column alone.
    let last: i64 = conn
        .query_row("SELECT coalesce(max(position), 0) FROM events", (), |row| row.get(0))
        .map_err(sqlite(doing))?;
    if last != column(head.position.0) {
        let reason = format!("the newest event is {last}, where {} is said to be", head.position);
        return Err(content(head.number, reason));
    }
    Ok(head)
}

/// The head at a commit that is there.
pub fn head_at(
    conn: &Connection,
    path: &Path,
    number: CommitNumber,
) -> Result<Option<Head>, JournalError> {
    conn.prepare_cached("SELECT number, epoch, hash, last_position FROM commits WHERE number = ?1")
        .and_then(|mut statement| statement.query_row([column(number.0)], head_of).optional())
        .map_err(sqlite(|| format!("cannot read commit {number} of {}", path.display())))
}

/// Whole commits after one and up to the head. One whose rows do not fit together ends the slice,
/// and is an error when it is the first.
pub fn read(
    conn: &Connection,
    path: &Path,
    head: &Head,
    after: CommitNumber,
    events_max: usize,
) -> Result<Vec<Commit>, JournalError> {
    let doing = || format!("cannot read the commits after {after} of {}", path.display());
    let mut statement = conn
        .prepare_cached(
            "SELECT number, epoch, prev_hash, hash, first_position, last_position FROM commits
             WHERE number > ?1 AND number <= ?2 ORDER BY number",
        )
        .map_err(sqlite(doing))?;
    let mut rows =
        statement.query([column(after.0), column(head.number.0)]).map_err(sqlite(doing))?;
    let mut commits = Vec::new();
    let mut room = events_max as u64;
    while let Some(row) = rows.next().map_err(sqlite(doing))? {
        let (mut commit, last) = commit_of(row).map_err(sqlite(doing))?;
        let events = (last.0 + 1).saturating_sub(commit.first_position.0);
        if events > room && !commits.is_empty() {
            break;
        }
        room = room.saturating_sub(events);
        match read_decisions(conn, path, &commit, last) {
            Ok(decisions) => commit.decisions = decisions,
            Err(JournalError::Chain(_)) if !commits.is_empty() => break,
            Err(error) => return Err(error),
        }
        commits.push(commit);
    }
    if commits.is_empty() && after < head.number {
        return Err(content(CommitNumber(after.0 + 1), "is missing".into()));
    }
    Ok(commits)
}

/// The events of one subject within `(after, last]`, oldest first.
pub fn read_subject(
    conn: &Connection,
    path: &Path,
    channel: &Channel,
    subject: &Subject,
    (after, last): (Position, Position),
    limit: usize,
) -> Result<Vec<Envelope>, JournalError> {
    let doing = || format!("cannot read {subject} of {}", path.display());
    let mut statement = conn
        .prepare_cached(
            "SELECT position, commit_number, bytes FROM events
             WHERE subject = ?1 AND channel = ?2 AND position > ?3 AND position <= ?4
             ORDER BY position LIMIT ?5",
        )
        .map_err(sqlite(doing))?;
    let limit = column(limit as u64);
    let mut rows = statement
        .query(params![subject.as_str(), channel.as_str(), column(after.0), column(last.0), limit])
        .map_err(sqlite(doing))?;
    let mut envelopes = Vec::new();
    while let Some(row) = rows.next().map_err(sqlite(doing))? {
        let position = Position(count(row, 0).map_err(sqlite(doing))?);
        let number = CommitNumber(count(row, 1).map_err(sqlite(doing))?);
        let bytes = row.get_ref(2).and_then(|it| Ok(it.as_str()?)).map_err(sqlite(doing))?;
        let envelope: Envelope = serde_json::from_str(bytes).map_err(|error| {
            content(number, format!("event {position} cannot be read: {error}"))
        })?;
        let placed = envelope.position == position
            && envelope.subject == *subject
            && envelope.channel == *channel;
        if !placed {
            return Err(content(number, format!("event {position} is indexed as another")));
        }
        envelopes.push(envelope);
    }
    Ok(envelopes)
}

/// The header of a command's decision, if it was recorded up to the head.
pub fn decision(
    conn: &Connection,
    path: &Path,
    command: CommandId,
    head: CommitNumber,
) -> Result<Option<DecisionHeader>, JournalError> {
    let doing = || format!("cannot read command {command} of {}", path.display());
    let found: Option<(u64, String)> = conn
        .prepare_cached(
            "SELECT commit_number, bytes FROM decisions
             WHERE substr(bytes, 13, 36) = ?1 AND commit_number <= ?2 LIMIT 1",
        )
        .and_then(|mut statement| {
            let query = params![command.to_string(), column(head.0)];
            statement.query_row(query, |row| Ok((count(row, 0)?, row.get(1)?))).optional()
        })
        .map_err(sqlite(doing))?;
    let Some((number, bytes)) = found else { return Ok(None) };
    serde_json::from_str(&bytes).map(Some).map_err(|error| {
        content(CommitNumber(number), format!("a decision cannot be read: {error}"))
    })
}

/// How far another journal had been read, if that was written down.
pub fn noted(conn: &Connection, path: &Path) -> Result<Option<String>, JournalError> {
    conn.query_row("SELECT value FROM meta WHERE name = 'followed'", (), |row| row.get(0))
        .optional()
        .map_err(sqlite(|| format!("cannot read the journal {}", path.display())))
}

/// A wrapped key, if it is stored.
pub fn wrapped_key(
    conn: &Connection,
    path: &Path,
    id: &str,
) -> Result<Option<WrappedKey>, JournalError> {
    conn.prepare_cached("SELECT bytes FROM keys WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
        .map(|found| found.filter(|bytes: &Vec<u8>| is_key(bytes)))
        .map(|found| found.map(|bytes| WrappedKey { id: id.to_owned(), bytes }))
        .map_err(sqlite(|| format!("cannot read the key {id} of {}", path.display())))
}

/// The wrapped keys after an id, in the order of their ids, those aside that are destroyed.
pub fn wrapped_keys(
    conn: &Connection,
    path: &Path,
    after: &str,
    limit: usize,
) -> Result<Vec<WrappedKey>, JournalError> {
    let query = "SELECT id, bytes FROM keys
                 WHERE id > ?1 AND bytes <> zeroblob(length(bytes)) ORDER BY id LIMIT ?2";
    let read = || {
        let mut statement = conn.prepare_cached(query)?;
        let key = |row: &Row<'_>| Ok(WrappedKey { id: row.get(0)?, bytes: row.get(1)? });
        statement.query_map(params![after, column(limit as u64)], key)?.collect::<Result<_, _>>()
    };
    read().map_err(sqlite(|| format!("cannot read the keys of {}", path.display())))
}

/// Puts a commit's decisions together from their rows, and refuses rows that do not fit.
fn read_decisions(
    conn: &Connection,
    path: &Path,
    commit: &Commit,
    last: Position,
) -> Result<Vec<RecordedDecision>, JournalError> {
    let number = column(commit.number.0);
    let doing = || format!("cannot read commit {} of {}", commit.number, path.display());
    let misfit = |what: String| Err(content(commit.number, what));
    let mut decisions = Vec::new();
    let mut statement = conn
        .prepare_cached("SELECT n, bytes FROM decisions WHERE commit_number = ?1 ORDER BY n")
        .map_err(sqlite(doing))?;
    let mut rows = statement.query([number]).map_err(sqlite(doing))?;
    while let Some(row) = rows.next().map_err(sqlite(doing))? {
        let (n, header) = (count(row, 0), row.get(1));
        if n.map_err(sqlite(doing))? != decisions.len() as u64 {
            return misfit(format!("decision {} is missing", decisions.len()));
        }
        let header = header.map_err(sqlite(doing))?;
        decisions.push(RecordedDecision { header, events: Vec::new() });
    }

    let mut statement = conn
        .prepare_cached(
            "SELECT position, commit_number, decision, bytes FROM events
             WHERE position BETWEEN ?1 AND ?2 ORDER BY position",
        )
        .map_err(sqlite(doing))?;
    let mut rows = statement
        .query([column(commit.first_position.0), column(last.0)])
        .map_err(sqlite(doing))?;
    let mut next = commit.first_position;
    let mut of = 0;
    while let Some(row) = rows.next().map_err(sqlite(doing))? {
        let position = Position(count(row, 0).map_err(sqlite(doing))?);
        let at: i64 = row.get(1).map_err(sqlite(doing))?;
        let decision = count(row, 2).map_err(sqlite(doing))?;
        if position != next {
            return misfit(format!("event {next} is missing"));
        }
        if at != number || decision < of || decision >= decisions.len() as u64 {
            return misfit(format!("event {position} is filed under decision {decision} of {at}"));
        }
        of = decision;
        next.0 += 1;
        let bytes = row.get(3).map_err(sqlite(doing))?;
        decisions[decision as usize].events.push(bytes);
    }
    if next.0 != last.0 + 1 {
        return misfit(format!("event {next} is missing"));
    }
    Ok(decisions)
}

fn commit_of(row: &Row<'_>) -> Result<(Commit, Position), rusqlite::Error> {
    let commit = Commit {
        number: CommitNumber(count(row, 0)?),
        epoch: Epoch(count(row, 1)?),
        prev_hash: Digest(row.get(2)?),
        hash: Digest(row.get(3)?),
        first_position: Position(count(row, 4)?),
        decisions: Vec::new(),
    };
    Ok((commit, Position(count(row, 5)?)))
}

fn head_of(row: &Row<'_>) -> Result<Head, rusqlite::Error> {
    Ok(Head {
        number: CommitNumber(count(row, 0)?),
        epoch: Epoch(count(row, 1)?),
        hash: Digest(row.get(2)?),
        position: Position(count(row, 3)?),
    })
}

/// A column that counts something.
fn count(row: &Row<'_>, index: usize) -> Result<u64, rusqlite::Error> {
    let number: i64 = row.get(index)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, number))
}

fn content(number: CommitNumber, reason: String) -> JournalError {
    JournalError::Chain(CommitError::Content { number, reason })
}
