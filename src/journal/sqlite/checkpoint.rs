//! The checkpointer: copies the WAL into the file, on a connection and in a thread of its own, so
//! that the writer need not; and empties it, so that nothing is left there of a destroyed key.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        mpsc::{self, RecvTimeoutError, TrySendError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode};

use super::{Options, sqlite};
use crate::journal::JournalError;

/// How long the writer may be held up when the WAL is to start over, or to be emptied at last, while
/// somebody reads.
const RESTART_WAIT: Duration = Duration::from_millis(100);

/// How long the destruction of a key may wait for those who read.
const TRUNCATE_WAIT: Duration = Duration::from_secs(10);

/// How often it is tried again to empty the WAL when those who read did not end in that time.
const OWED_EVERY: Duration = Duration::from_secs(1);

/// The checkpointer's end of its queue, and its thread.
#[derive(Debug)]
pub struct Checkpoints {
    orders: mpsc::SyncSender<Order>,
    thread: JoinHandle<()>,
    barrier: Arc<Barrier>,
}

/// Where the writer stands while the WAL starts over. Without it the two would wait for SQLite's
/// lock, which neither is woken for: who writes all the time has it again before the other looks.
#[derive(Debug, Default)]
struct Barrier {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Barrier {
    /// Closed for as long as what is given back is there.
    fn close(&self) -> Closed<'_> {
        self.set(true);
        Closed(self)
    }

    fn set(&self, closed: bool) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = closed;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_while(closed, |closed| *closed));
    }
}

struct Closed<'a>(&'a Barrier);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

enum Order {
    /// The WAL has grown.
    Look,
    /// Empty the WAL, and say when.
    Truncate(mpsc::SyncSender<Result<(), JournalError>>),
}

struct Checkpointer {
    conn: Connection,
    path: PathBuf,
    barrier: Arc<Barrier>,
    page_bytes: u64,
    /// In pages.
    soft: i64,
    /// In pages.
    hard: i64,
    /// At how many pages the WAL is made to start over: `hard`, or more when it could not.
    restart_at: i64,
    /// When it is to be tried again to empty the WAL: it may still hold a key that was destroyed.
    owed: Option<Instant>,
    /// Why nothing is done any more; set by the writer too.
    failed: Arc<OnceLock<String>>,
}

/// What SQLite says of a checkpoint.
struct Wal {
    busy: bool,
    pages: i64,
    copied: i64,
}

/// Starts the checkpointer. Where the WAL could not be emptied at opening, that is `owed`. When it
/// fails, `failed` says why.
pub fn start(
    conn: Connection,
    path: PathBuf,
    options: &Options,
    owed: bool,
    failed: Arc<OnceLock<String>>,
) -> Result<Checkpoints, JournalError> {
    let page_bytes = super::file::page_bytes(&conn, &path)?;
    let pages = |bytes: u64| i64::try_from(bytes / page_bytes).unwrap_or(i64::MAX);
    let (soft, hard) = (pages(options.wal_bytes_soft), pages(options.wal_bytes_hard));
    let owed = owed.then(Instant::now);
    let barrier = Arc::new(Barrier::default());
    let mut checkpointer = Checkpointer {
        conn,
        path,
        barrier: Arc::clone(&barrier),
        page_bytes,
        soft,
        hard,
        restart_at: hard,
        owed,
        failed,
    };
    let (orders, queue) = mpsc::sync_channel(1);
    let run = move || {
        while checkpointer.failed.get().is_none() {
            let Some(order) = checkpointer.next(&queue) else { return };
            checkpointer.carry_out(order);
        }
    };
    let thread =
        thread::Builder::new().name("journal checkpoint".into()).spawn(run).map_err(|source| {
            JournalError::Io { doing: "cannot start the journal's checkpointer".into(), source }
        })?;
    Ok(Checkpoints { orders, thread, barrier })
}

impl Checkpoints {
    /// Tells the checkpointer that the WAL has grown, and says whether there still is one. Never
    /// waits: when it is busy, it will look anyway.
    pub fn look(&self) -> bool {
        !matches!(self.orders.try_send(Order::Look), Err(TrySendError::Disconnected(_)))
    }

    /// Waits while the WAL starts over.
    pub fn let_by(&self) {
        self.barrier.pass();
    }

    /// Has the WAL emptied; the answer goes to `answer`.
    pub fn truncate(&self, answer: mpsc::SyncSender<Result<(), JournalError>>) {
        let _ = self.orders.send(Order::Truncate(answer)); // Ended: `answer` is dropped, and tells.
    }

    /// Ends the checkpointer and closes its connection.
    pub fn close(self) {
        drop(self.orders);
        let _ = self.thread.join(); // It holds nothing that its panic could break.
    }
}

impl Checkpointer {
    /// What is asked for, or owed; `None` at the end.
    fn next(&self, queue: &mpsc::Receiver<Order>) -> Option<Order> {
        let Some(at) = self.owed else { return queue.recv().ok() };
        match queue.recv_timeout(at.saturating_duration_since(Instant::now())) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => Some(Order::Look),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Look => {
                let looked = self.look();
                self.note(&looked);
            }
            Order::Truncate(answer) => {
                let emptied = self.truncate(TRUNCATE_WAIT);
                self.note(&emptied); // Before anybody can act on the answer.
                let emptied = emptied.and_then(|emptied| match emptied {
                    true => Ok(()),
                    false => Err(self.busy()),
                });
                let _ = answer.send(emptied); // Nobody may be waiting any more.
            }
        }
    }

    fn note<T>(&self, done: &Result<T, JournalError>) {
        if let Err(error) = done {
            tracing::error!(%error, "the journal stops");
            let _ = self.failed.set(error.to_string()); // The first reason stays.
        }
    }

    fn look(&mut self) -> Result<(), JournalError> {
        if self.owed.is_some_and(|at| at <= Instant::now()) {
            self.truncate(RESTART_WAIT)?;
        }
        let wal = self.checkpoint("NOOP", Duration::ZERO)?;
        if wal.pages - wal.copied < self.soft && wal.pages < self.restart_at {
            return Ok(());
        }
        // Beside the writer, as far as readers allow. The writer starts the WAL over by itself
        // when all is copied and nobody reads from it.
        let wal = self.checkpoint("PASSIVE", Duration::ZERO)?;
        if wal.pages < self.restart_at {
            return Ok(());
        }
        // A writer that never pauses, or a reader that stays, keeps the WAL growing. Little is
        // left to copy by now, so this holds the writer up for a moment only.
        let wal = self.checkpoint_alone("RESTART", RESTART_WAIT)?;
        if wal.busy {
            self.restart_at = wal.pages + self.hard / 2;
            let mib = wal.pages.unsigned_abs() * self.page_bytes / super::MIB;
            let path = self.path.display();
            tracing::warn!(%path, "the WAL has {mib} MiB: a program that reads it does not end");
        } else {
            self.restart_at = self.hard;
        }
        Ok(())
    }

    /// Empties the WAL, or says that somebody reads it; then it will be tried again.
    fn truncate(&mut self, wait: Duration) -> Result<bool, JournalError> {
        let busy = self.checkpoint_alone("TRUNCATE", wait)?.busy;
        self.owed = busy.then(|| Instant::now() + OWED_EVERY);
        Ok(!busy)
    }

    fn busy(&self) -> JournalError {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        let hint = "another program reads the journal; it is done once that ends".to_owned();
        JournalError::Sqlite {
            doing: format!("cannot empty the WAL of {} yet", self.path.display()),
            source: rusqlite::Error::SqliteFailure(busy, Some(hint)),
        }
    }

    /// While the writer stands.
    fn checkpoint_alone(&self, mode: &str, wait: Duration) -> Result<Wal, JournalError> {
        let _closed = self.barrier.close();
        self.checkpoint(mode, wait)
    }

    fn checkpoint(&self, mode: &str, wait: Duration) -> Result<Wal, JournalError> {
        let doing = || format!("cannot checkpoint the journal {}", self.path.display());
        self.conn.busy_timeout(wait).map_err(sqlite(doing))?;
        let result = self.conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), (), |row| {
            Ok(Wal { busy: row.get(0)?, pages: row.get(1)?, copied: row.get(2)? })
        });
        match result {
            // Mostly told in the row, and not a failure either way: there will be another time.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                Ok(Wal { busy: true, pages: 0, copied: 0 })
            }
            other => other.map_err(sqlite(doing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_to_the_barrier_waits_while_it_is_closed() {
        let barrier = Arc::new(Barrier::default());
        barrier.pass();
        let closed = barrier.close();
        let (told, passed) = mpsc::channel();
        let writer = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || {
                barrier.pass();
                told.send(Instant::now()).unwrap();
            })
        };
        let early = passed.recv_timeout(Duration::from_millis(50));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        let opened = Instant::now();
        drop(closed);
        assert!(passed.recv_timeout(Duration::from_secs(10)).unwrap() >= opened);
        writer.join().unwrap();
    }
}
