//! The writer: one connection, one thread, one transaction for the commits that wait together.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock, mpsc},
    thread::{self, JoinHandle},
};

use events::{Commit, Head, WrappedKey};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::{oneshot, watch};

use super::{
    Options,
    checkpoint::Checkpoints,
    column,
    file::{self, InPlace},
    is_key, sqlite,
};
use crate::journal::{Indexed, JournalError, follows};

/// What the writer is asked to do.
pub enum Order {
    /// Append a commit.
    Append(Append),
    /// Append commits that continue each other, in one transaction.
    Together { commits: Vec<Arc<Commit>>, answer: oneshot::Sender<Result<(), JournalError>> },
    /// Store a key unless there is one.
    EnsureKey { key: WrappedKey, answer: mpsc::SyncSender<Result<WrappedKey, JournalError>> },
    /// Store keys, all or none.
    PutKeys { keys: Vec<WrappedKey>, answer: mpsc::SyncSender<Result<(), JournalError>> },
    /// Say that the journal is whole.
    SetWhole { answer: mpsc::SyncSender<Result<(), JournalError>> },
    /// Write down how far another journal has been read.
    Note { followed: String },
    /// Destroy a key.
    DestroyKey { id: String, answer: mpsc::SyncSender<Result<(), JournalError>> },
}

/// A commit, and the keys that it uses first.
pub struct Append {
    pub commit: Arc<Commit>,
    pub keys: Vec<WrappedKey>,
    pub answer: oneshot::Sender<Result<(), JournalError>>,
}

/// So many commits that wait are written in one transaction, and synced once, at most.
const TOGETHER_MAX: usize = 8;

/// The state of the writer's thread.
pub struct Writer {
    conn: Connection,
    path: PathBuf,
    files: InPlace,
    head: Arc<watch::Sender<Head>>,
    checkpoints: Checkpoints,
    /// Why nothing is taken any more; set by the checkpointer too.
    failed: Arc<OnceLock<String>>,
    page_bytes: u64,
    /// What went into the WAL since the checkpointer was last told, estimated.
    untold: u64,
    /// How much of that it is told of.
    told_from: u64,
}

impl Writer {
    pub fn new(
        conn: Connection,
        path: PathBuf,
        options: &Options,
        head: Arc<watch::Sender<Head>>,
        checkpoints: Checkpoints,
        failed: Arc<OnceLock<String>>,
    ) -> Result<Self, JournalError> {
        let (page_bytes, told_from) = (file::page_bytes(&conn, &path)?, options.wal_bytes_soft / 4);
        let files = InPlace::of(&path);
        Ok(Self { conn, path, files, head, checkpoints, failed, page_bytes, untold: 0, told_from })
    }

    /// Starts the thread. It ends when the queue's sender is gone and the queue is empty.
    pub fn start(mut self) -> Result<(mpsc::Sender<Order>, JoinHandle<()>), JournalError> {
        let (orders, queue) = mpsc::channel();
        let run = move || {
            let mut next = None;
            while let Some(order) = next.take().or_else(|| queue.recv().ok()) {
                next = self.carry_out(order, &queue);
            }
            self.checkpoints.close();
            if let Err((_, error)) = self.conn.close() {
                tracing::warn!(path = %self.path.display(), %error, "closing the journal");
            }
        };
        let thread =
            thread::Builder::new().name("journal writer".into()).spawn(run).map_err(|source| {
                JournalError::Io { doing: "cannot start the journal's writer".into(), source }
            })?;
        Ok((orders, thread))
    }

    /// Does what is asked, and takes along what waits to be appended behind it; gives back what else
    /// it took from the queue. Whoever asked may have gone away since; it is done all the same.
    fn carry_out(&mut self, order: Order, queue: &mpsc::Receiver<Order>) -> Option<Order> {
        match order {
            Order::Append(first) => {
                let mut together = vec![first];
                let mut other = None;
                while together.len() < TOGETHER_MAX && other.is_none() {
                    match queue.try_recv() {
                        Ok(Order::Append(next)) => together.push(next),
                        Ok(order) => other = Some(order),
                        Err(_) => break,
                    }
                }
                let result = self.unless_failed(|writer| {
                    writer.append(together.iter().map(|it| (&*it.commit, &it.keys[..])))
                });
                let mut answers = together.into_iter().map(|it| it.answer);
                let first = answers.next();
                for answer in answers {
                    let closed = |error: &JournalError| match error {
                        JournalError::Closed(reason) => JournalError::Closed(reason.clone()),
                        other => JournalError::Closed(other.to_string()),
                    };
                    let _ = answer.send(result.as_ref().map_err(closed).copied());
                }
                let _ = first.map(|answer| answer.send(result));
                return other;
            }
            Order::Together { commits, answer } => {
                let _ = answer.send(self.unless_failed(|writer| {
                    writer.append(commits.iter().map(|commit| (&**commit, &[][..])))
                }));
            }
            Order::EnsureKey { key, answer } => {
                let _ = answer.send(self.unless_failed(|writer| writer.ensure_key(key)));
            }
            Order::PutKeys { keys, answer } => {
                let _ = answer.send(self.unless_failed(|writer| writer.put_keys(&keys)));
            }
            Order::SetWhole { answer } => {
                let _ = answer.send(self.unless_failed(|writer| {
                    let doing = || format!("cannot write to {}", writer.path.display());
                    file::set_format(&writer.conn, false).map_err(sqlite(doing))
                }));
            }
            Order::Note { followed } => {
                let _ = self.unless_failed(|writer| writer.note(&followed)); // Kept in mind.
            }
            Order::DestroyKey { id, answer } => {
                match self.unless_failed(|writer| writer.wipe_key(&id)) {
                    Ok(()) => self.checkpoints.truncate(answer),
                    Err(error) => drop(answer.send(Err(error))),
                }
            }
        }
        None
    }

    /// After one failure nobody knows what the disk has, so nothing more is written.
    fn unless_failed<T>(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        if let Some(reason) = self.failed.get() {
            return Err(JournalError::Closed(reason.clone()));
        }
        self.checkpoints.let_by();
        let result = write(self);
        if let Err(error) = &result {
            tracing::error!(%error, "the journal stops");
            let _ = self.failed.set(error.to_string()); // The first reason stays.
        }
        result
    }

    /// Writes commits that continue each other in one transaction.
    fn append<'a>(
        &mut self,
        together: impl Iterator<Item = (&'a Commit, &'a [WrappedKey])>,
    ) -> Result<(), JournalError> {
        let before = *self.head.borrow();
        let (mut head, mut size, path) = (before, 0, &self.path);
        let doing = || {
            let number = before.number.0 + 1;
            format!("cannot append commit {number} to {}", path.display())
        };
        let transaction = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sqlite(doing))?;
        for (commit, keys) in together {
            follows(commit, &head)?;
            for key in keys {
                insert_key(&transaction, key, doing)?;
            }
            size += insert(&transaction, commit, doing)?;
            head = commit.head();
        }
        transaction.commit().map_err(sqlite(doing))?;
        self.files.check()?;

        self.head.send_replace(head);
        // An event changes a page of its own in the index, and some more change with each commit.
        let events = head.position.0.saturating_sub(before.position.0);
        self.untold += (8 + events) * self.page_bytes + 2 * size;
        if self.untold >= self.told_from {
            self.untold = 0;
            if !self.checkpoints.look() {
                // It failed, and said why, or it panicked, and nothing would empty the WAL any more.
                let _ = self.failed.set("the journal's checkpointer has ended".into());
            }
        }
        Ok(())
    }

    fn ensure_key(&mut self, key: WrappedKey) -> Result<WrappedKey, JournalError> {
        let path = &self.path;
        let doing = || format!("cannot store the key {} in {}", key.id, path.display());
        let transaction = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sqlite(doing))?;
        if let Some(bytes) = key_bytes(&transaction, &key.id).map_err(sqlite(doing))? {
            return Ok(WrappedKey { id: key.id, bytes });
        }
        insert_key(&transaction, &key, doing)?;
        transaction.commit().map_err(sqlite(doing))?;
        self.files.check()?;
        Ok(key)
    }

    fn put_keys(&mut self, keys: &[WrappedKey]) -> Result<(), JournalError> {
        let path = &self.path;
        let doing = || format!("cannot store keys in {}", path.display());
        let transaction = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sqlite(doing))?;
        keys.iter().try_for_each(|key| insert_key(&transaction, key, doing))?;
        transaction.commit().map_err(sqlite(doing))?;
        self.files.check()
    }

    fn note(&mut self, followed: &str) -> Result<(), JournalError> {
        let doing = || format!("cannot write to {}", self.path.display());
        let put = "INSERT OR REPLACE INTO meta (name, value) VALUES ('followed', ?1)";
        self.conn
            .prepare_cached(put)
            .and_then(|mut put| put.execute([followed]))
            .map(drop)
            .map_err(sqlite(doing))
    }

    fn wipe_key(&mut self, id: &str) -> Result<(), JournalError> {
        let doing = || format!("cannot destroy the key {id} in {}", self.path.display());
        wipe(&self.conn, id).map_err(sqlite(doing))
    }
}

/// Overwrites a key where it lies. Its row stays: SQLite may move the neighbours of a row that is
/// deleted to another page, and `secure_delete` does not wipe what they leave behind.
pub fn wipe(conn: &Connection, id: &str) -> Result<(), rusqlite::Error> {
    let wipe = "UPDATE keys SET bytes = zeroblob(length(bytes)) WHERE id = ?1";
    conn.prepare_cached(wipe)?.execute([id]).map(drop)
}

/// Writes a commit's rows, and gives the bytes they hold.
pub fn insert(
    transaction: &Transaction<'_>,
    commit: &Commit,
    doing: impl Fn() -> String + Copy,
) -> Result<u64, JournalError> {
    let number = column(commit.number.0);
    let epoch = column(commit.epoch.0);
    let first = column(commit.first_position.0);
    let last = column(commit.head().position.0);
    let prepare = |sql| transaction.prepare_cached(sql).map_err(sqlite(doing));
    prepare(
        "INSERT INTO commits (number, epoch, prev_hash, hash, first_position, last_position)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![number, epoch, commit.prev_hash.0, commit.hash.0, first, last])
    .map_err(sqlite(doing))?;

    let mut into_decisions =
        prepare("INSERT INTO decisions (commit_number, n, bytes) VALUES (?1, ?2, ?3)")?;
    let mut into_events = prepare(
        "INSERT INTO events (position, commit_number, decision, subject, channel, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut position = first;
    let mut size = 0;
    for (decision, n) in commit.decisions.iter().zip(0_i64..) {
        into_decisions.execute(params![number, n, decision.header]).map_err(sqlite(doing))?;
        size += decision.header.len() as u64;
        for bytes in &decision.events {
            let Indexed { subject, channel } = Indexed::of(commit.number, bytes)?;
            into_events
                .execute(params![position, number, n, subject, channel, bytes])
                .map_err(sqlite(doing))?;
            position += 1;
            size += bytes.len() as u64;
        }
    }
    Ok(size)
}

/// Stores a key. One that is stored already is left alone when it is the same.
pub fn insert_key(
    transaction: &Transaction<'_>,
    key: &WrappedKey,
    doing: impl Fn() -> String + Copy,
) -> Result<(), JournalError> {
    match key_bytes(transaction, &key.id).map_err(sqlite(doing))? {
        Some(bytes) if bytes == key.bytes => Ok(()),
        Some(_) => Err(JournalError::KeyTaken { id: key.id.clone() }),
        None => transaction
            .prepare_cached(
                "INSERT INTO keys (id, bytes) VALUES (?1, ?2)
                 ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes",
            )
            .and_then(|mut statement| statement.execute(params![key.id, key.bytes]))
            .map(drop)
            .map_err(sqlite(doing)),
    }
}

fn key_bytes(conn: &Connection, id: &str) -> Result<Option<Vec<u8>>, rusqlite::Error> {
    let found: Option<Vec<u8>> = conn
        .prepare_cached("SELECT bytes FROM keys WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(found.filter(|bytes| is_key(bytes)))
}
