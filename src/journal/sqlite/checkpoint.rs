//! The checkpointer: copies the WAL into the file, on a connection and in a thread of its own, so
//! that the writer need not.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};

use super::{Options, sqlite};
use crate::journal::JournalError;

/// How long the writer may be held up when the WAL is to start over while somebody reads.
const RESTART_WAIT: Duration = Duration::from_millis(100);

/// How long the destruction of a key may wait for those who read.
const TRUNCATE_WAIT: Duration = Duration::from_secs(10);

/// The checkpointer's end of its queue, and its thread.
#[derive(Debug)]
pub struct Checkpoints {
    orders: mpsc::SyncSender<Order>,
    thread: JoinHandle<()>,
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
    soft: i64,
    hard: i64,
    /// At how many pages the WAL is made to start over: `hard`, or more when it could not.
    restart_at: i64,
}

/// What SQLite says of a checkpoint.
struct Wal {
    busy: bool,
    pages: i64,
    copied: i64,
}

/// Starts the checkpointer. When it fails, `failed` says why.
pub fn start(
    conn: Connection,
    path: PathBuf,
    options: &Options,
    failed: Arc<OnceLock<String>>,
) -> Result<Checkpoints, JournalError> {
    let (soft, hard) = (i64::from(options.wal_pages_soft), i64::from(options.wal_pages_hard));
    let mut checkpointer = Checkpointer { conn, path, soft, hard, restart_at: hard };
    let (orders, queue) = mpsc::sync_channel(1);
    let run = move || {
        while let Ok(order) = queue.recv() {
            let result = match order {
                Order::Look => checkpointer.look(),
                Order::Truncate(answer) => {
                    let _ = answer.send(checkpointer.truncate()); // Nobody may be waiting any more.
                    continue;
                }
            };
            if let Err(error) = result {
                tracing::error!(%error, "the journal stops");
                let _ = failed.set(error.to_string()); // The first reason stays.
                return;
            }
        }
    };
    let thread =
        thread::Builder::new().name("journal checkpoint".into()).spawn(run).map_err(|source| {
            JournalError::Io { doing: "cannot start the journal's checkpointer".into(), source }
        })?;
    Ok(Checkpoints { orders, thread })
}

impl Checkpoints {
    /// Tells the checkpointer that the WAL has grown. Never waits: when it is busy, it will look
    /// anyway.
    pub fn look(&self) {
        let _ = self.orders.try_send(Order::Look);
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
    fn look(&mut self) -> Result<(), JournalError> {
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
        let wal = self.checkpoint("RESTART", RESTART_WAIT)?;
        if wal.busy {
            self.restart_at = wal.pages + self.hard / 2;
            let mib = wal.pages / 256;
            let path = self.path.display();
            tracing::warn!(%path, "the WAL has {mib} MiB: a program that reads it does not end");
        } else {
            self.restart_at = self.hard;
        }
        Ok(())
    }

    fn truncate(&mut self) -> Result<(), JournalError> {
        let wal = self.checkpoint("TRUNCATE", TRUNCATE_WAIT)?;
        if wal.busy {
            let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
            let hint = "another program reads the journal; end it and try again".to_owned();
            return Err(JournalError::Sqlite {
                doing: format!("cannot empty the WAL of {}", self.path.display()),
                source: rusqlite::Error::SqliteFailure(busy, Some(hint)),
            });
        }
        Ok(())
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
