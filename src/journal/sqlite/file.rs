//! The files: making, locking, opening and syncing them.
//!
//! **Invariant:** nothing here or elsewhere in the process opens `journal.sqlite` but SQLite:
//! closing any other handle on it would drop SQLite's locks (POSIX advisory locks belong to the
//! process, not to the handle).

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};

use super::{Options, sqlite};
use crate::journal::JournalError;

/// The format that is written and read; in the table `meta`.
const FORMAT: &str = "1";

/// The same of a journal that is a part of a copy.
const UNFINISHED: &str = "1, a part of a copy";

/// 3.51.3, the first in which a WAL may be started over beside several connections without a race.
const LIBRARY_MIN: i32 = 3_051_003;

/// The writer waits this long for somebody else's write lock: the checkpointer's, which takes a
/// moment, or an uninvited client's.
const WRITER_WAIT: Duration = Duration::from_secs(30);

/// A reader waits this long; it need only wait for another that is recovering the WAL.
const READER_WAIT: Duration = Duration::from_secs(10);

/// How long opening waits for auditors to end their reading before it goes on beside them.
const SETTLE_WAIT: Duration = Duration::from_secs(2);

/// What a draft with indexes, which are written to all over, keeps in memory at most, in KiB
/// (SQLite counts them below zero).
const INDEXED_CACHE_KIB: i64 = -64 * 1024;

const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE commits (
        number INTEGER PRIMARY KEY,
        epoch INTEGER NOT NULL,
        prev_hash BLOB NOT NULL,
        hash BLOB NOT NULL,
        first_position INTEGER NOT NULL,
        last_position INTEGER NOT NULL
    );
    CREATE TABLE decisions (
        commit_number INTEGER NOT NULL,
        n INTEGER NOT NULL,
        bytes TEXT NOT NULL,
        PRIMARY KEY (commit_number, n)
    ) WITHOUT ROWID;
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        commit_number INTEGER NOT NULL,
        decision INTEGER NOT NULL,
        subject TEXT NOT NULL,
        channel TEXT NOT NULL,
        bytes TEXT NOT NULL
    );
    CREATE TABLE keys (id TEXT PRIMARY KEY, bytes BLOB NOT NULL);
";

/// What things are found by, each as readers ask for it; and what was once found by another way.
/// A header begins with its command's id, so nobody need parse it.
const INDEXES: &str = "
    DROP INDEX IF EXISTS decisions_by_command;
    CREATE INDEX IF NOT EXISTS decisions_by_id ON decisions (substr(bytes, 13, 36));
    CREATE INDEX IF NOT EXISTS events_by_subject ON events (subject);
";

pub fn check_library() -> Result<(), JournalError> {
    if rusqlite::version_number() < LIBRARY_MIN {
        return Err(JournalError::Setting {
            path: "this docket".into(),
            setting: "version",
            needed: "3.51.3 or newer",
            found: rusqlite::version().to_owned(),
        });
    }
    Ok(())
}

/// Makes the folder, and its parents, for their owner alone, with directory entries that survive a power cut.
pub fn create_dir(dir: &Path) -> Result<(), JournalError> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = parent_of(dir);
    create_dir(&parent)?;
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(io_error(&parent, source, || format!("cannot make the folder {}", dir.display())))
        }
        _ => sync_dir(&parent),
    }
}

/// Takes the folder's lock, for as long as the file stays open.
pub fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("lock");
    let file =
        File::options().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(
            |source| io_error(dir, source, || format!("cannot open {}", path.display())),
        )?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(JournalError::Locked { path: path.display().to_string() })
        }
        Err(TryLockError::Error(source)) => {
            Err(io_error(dir, source, || format!("cannot lock {}", path.display())))
        }
    }
}

/// The files that commits go into, as they were opened. One that is moved, replaced or deleted
/// still takes what is written, for nobody.
pub struct InPlace(Vec<(PathBuf, Option<(u64, u64)>)>);

impl InPlace {
    /// The journal at this path, its WAL and its folder's lock.
    pub fn of(journal: &Path) -> Self {
        let mut wal = journal.as_os_str().to_owned();
        wal.push("-wal");
        let files = [journal.to_owned(), PathBuf::from(wal), parent_of(journal).join("lock")];
        Self(files.into_iter().map(|path| (path.clone(), identity(&path))).collect())
    }

    /// Fails when one is no longer where it was.
    pub fn check(&self) -> Result<(), JournalError> {
        match self.0.iter().find(|(path, opened)| identity(path) != *opened) {
            None => Ok(()),
            Some((path, _)) => Err(JournalError::Io {
                doing: format!("{} was moved, replaced or deleted", path.display()),
                source: io::ErrorKind::NotFound.into(),
            }),
        }
    }
}

/// Which file is at a path: device and number. A look at its name opens nothing.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

pub fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| JournalError::Io {
        doing: format!("cannot sync the folder {}", dir.display()),
        source,
    })
}

pub fn sync_wal(path: &Path) -> Result<(), JournalError> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    match File::open(&wal).and_then(|wal| wal.sync_all()) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(JournalError::Io {
            doing: format!("cannot sync {}", PathBuf::from(wal).display()),
            source,
        }),
        _ => Ok(()),
    }
}

/// Opens the writer's connection; makes the tables where there are none.
pub fn open_to_write(path: &Path, options: &Options) -> Result<Connection, JournalError> {
    let opening = || format!("cannot open the journal {}", path.display());
    let refused = |error| match error {
        JournalError::Sqlite { .. } if path.is_dir() => {
            JournalError::Io { doing: opening(), source: io::ErrorKind::IsADirectory.into() }
        }
        JournalError::Sqlite { source, .. } if is_forbidden(&source) => JournalError::Unwritable {
            dir: parent_of(path).display().to_string(),
            source: Box::new(source),
        },
        other => other,
    };
    // For its owner alone; SQLite gives the WAL what the file has. Where this fails SQLite says why.
    let _ = File::options().create_new(true).write(true).mode(0o600).open(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut conn = connect(path, flags, WRITER_WAIT).map_err(refused)?;
    conn.pragma_update(None, "page_size", options.page_bytes).map_err(sqlite(opening))?;
    to_write(&conn, path, options).map_err(refused)?;
    if let Some(pages) = options.max_page_count {
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .map_err(sqlite(opening))?;
    }
    create_tables(&mut conn, options).map_err(sqlite(opening)).map_err(refused)?;
    check_format(&conn, path, options.unfinished)?;
    conn.execute_batch(INDEXES).map_err(sqlite(opening)).map_err(refused)?;
    Ok(conn)
}

/// The bytes of a page.
pub fn page_bytes(conn: &Connection, path: &Path) -> Result<u64, JournalError> {
    let doing = || format!("cannot read the journal {}", path.display());
    let bytes: i64 =
        conn.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(sqlite(doing))?;
    Ok(bytes.unsigned_abs())
}

/// Opens the checkpointer's connection; the writer's is open.
pub fn open_to_checkpoint(path: &Path, options: &Options) -> Result<Connection, JournalError> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, READER_WAIT)?;
    to_write(&conn, path, options)?;
    Ok(conn)
}

/// Opens a reader's connection.
pub fn open_to_read(path: &Path) -> Result<Connection, JournalError> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READER_WAIT)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(sqlite(|| format!("cannot set up a reader of {}", path.display())))?;
    Ok(conn)
}

/// Makes a file with the journal's tables, and its indexes where these are wanted, for somebody who
/// has it alone and keeps nothing of it before it is whole: without locks, and nothing is synced.
pub fn open_draft(path: &Path, indexed: bool) -> Result<Connection, JournalError> {
    let doing = || format!("cannot make {}", path.display());
    // For its owner alone. Where this fails it is there already, or SQLite says why.
    let _ = File::options().create_new(true).write(true).mode(0o600).open(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn =
        Connection::open_with_flags_and_vfs(path, flags, "unix-none").map_err(sqlite(doing))?;
    set_up(&conn, READER_WAIT).map_err(sqlite(doing))?;
    for (setting, value) in
        [("journal_mode", "MEMORY"), ("synchronous", "OFF"), ("secure_delete", "ON")]
    {
        conn.pragma_update_and_check(None, setting, value, |_| Ok(()))
            .or_else(no_rows)
            .map_err(sqlite(doing))?;
    }
    conn.execute_batch(TABLES).map_err(sqlite(doing))?;
    if indexed {
        conn.pragma_update(None, "cache_size", INDEXED_CACHE_KIB).map_err(sqlite(doing))?;
        conn.execute_batch(INDEXES).map_err(sqlite(doing))?;
    }
    Ok(conn)
}

/// SQLite reads a journal that no engine has open only where it may put its `-shm` file.
pub fn explain_read_only(path: &Path, error: JournalError) -> JournalError {
    match error {
        JournalError::Sqlite { source, .. } if is_forbidden(&source) => JournalError::Sqlite {
            doing: format!(
                "cannot read the journal {} (while no docket runs on it, that takes write \
                 permission on its folder; a copy of it elsewhere will do)",
                path.display()
            ),
            source,
        },
        other => other,
    }
}

/// Copies the whole WAL into the file and syncs both. Whatever was unsynced when a process was
/// killed, or when a sync failed, is written anew and synced by this, so that what is read from
/// now on is durable. Says whether the WAL is empty: while somebody reads it stays.
pub fn settle(conn: &Connection, path: &Path) -> Result<bool, JournalError> {
    let doing = || format!("cannot settle the WAL of {}", path.display());
    conn.busy_timeout(SETTLE_WAIT).map_err(sqlite(doing))?;
    let busy: bool = conn
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))
        .map_err(sqlite(doing))?;
    if busy {
        // The WAL was synced before it was opened; it only stays longer than it might.
        tracing::warn!(path = %path.display(), "somebody is reading the journal; its WAL stays");
    }
    conn.busy_timeout(WRITER_WAIT).map_err(sqlite(doing))?;
    Ok(!busy)
}

/// Refuses what is no journal, and, unless it may be `unfinished`, a part of one.
pub fn check_format(conn: &Connection, path: &Path, unfinished: bool) -> Result<(), JournalError> {
    let reading = || format!("cannot read the journal {}", path.display());
    let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'";
    let has_meta: bool = conn.query_row(tables, (), |row| row.get(0)).map_err(sqlite(reading))?;
    let found: Option<String> = if has_meta {
        let query = "SELECT max(CAST(value AS TEXT)) FROM meta WHERE name = 'format'";
        conn.query_row(query, (), |row| row.get(0)).map_err(sqlite(reading))?
    } else {
        None
    };
    match found.as_deref() {
        Some(FORMAT) => Ok(()),
        Some(UNFINISHED) if unfinished => Ok(()),
        Some(UNFINISHED) => Err(JournalError::Unfinished { path: path.display().to_string() }),
        other => {
            let none = || format!("none ({} is no journal)", path.display());
            let found = other.map_or_else(none, str::to_owned);
            Err(JournalError::Format { found, expected: FORMAT.into() })
        }
    }
}

fn create_tables(conn: &mut Connection, options: &Options) -> Result<(), rusqlite::Error> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let count = "SELECT count(*) FROM sqlite_schema";
    let tables: i64 = transaction.query_row(count, (), |row| row.get(0))?;
    if tables == 0 {
        transaction.execute_batch(TABLES)?;
        set_format(&transaction, options.unfinished)?;
    }
    transaction.commit()
}

/// Says in the file that it is a journal, or a part of one.
pub fn set_format(conn: &Connection, unfinished: bool) -> Result<(), rusqlite::Error> {
    let put = "INSERT OR REPLACE INTO meta (name, value) VALUES ('format', ?1)";
    conn.execute(put, [if unfinished { UNFINISHED } else { FORMAT }]).map(drop)
}

/// A connection on which nothing happens that the journal's code does not say: no triggers, views
/// or functions that somebody put into the file, no checkpoints on the side.
fn connect(path: &Path, flags: OpenFlags, wait: Duration) -> Result<Connection, JournalError> {
    let opening = || format!("cannot open the journal {}", path.display());
    let open = || {
        let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        set_up(&conn, wait)?;
        Ok(conn)
    };
    open().map_err(sqlite(opening))
}

fn set_up(conn: &Connection, wait: Duration) -> Result<(), rusqlite::Error> {
    conn.busy_timeout(wait)?;
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        conn.set_db_config(config, on)?;
    }
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))
}

/// Sets what durability and forgetting need, and reads it back.
fn to_write(conn: &Connection, path: &Path, options: &Options) -> Result<(), JournalError> {
    let synchronous = if options.synced { ("FULL", "2") } else { ("NORMAL", "1") };
    for (setting, (value, needed)) in [
        ("journal_mode", ("WAL", "wal")),
        ("synchronous", synchronous),
        ("secure_delete", ("ON", "1")),
    ] {
        let doing = || format!("cannot set {setting} of {}", path.display());
        conn.pragma_update_and_check(None, setting, value, |_| Ok(()))
            .or_else(no_rows)
            .map_err(sqlite(doing))?;
        let text = |row: &rusqlite::Row<'_>| {
            Ok(match row.get_ref(0)? {
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                other => other.as_str()?.to_owned(),
            })
        };
        let found = conn.pragma_query_value(None, setting, text).map_err(sqlite(doing))?;
        if found != needed {
            let path = path.display().to_string();
            return Err(JournalError::Setting { path, setting, needed, found });
        }
    }
    Ok(())
}

/// Some settings answer with their value and some with nothing.
fn no_rows(error: rusqlite::Error) -> Result<(), rusqlite::Error> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        other => Err(other),
    }
}

fn is_forbidden(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    )
}

fn io_error(dir: &Path, source: io::Error, doing: impl FnOnce() -> String) -> JournalError {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let dir = dir.display().to_string();
            JournalError::Unwritable { dir, source: Box::new(source) }
        }
        _ => JournalError::Io { doing: doing(), source },
    }
}

/// The folder above; the current one for a bare name.
fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}
