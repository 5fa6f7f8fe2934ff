//! What a backup holds beside the journal's tables: the blobs, and what the backup says of itself.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use events::{CommitNumber, Digest, Head, Millis, Position};
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use super::{Error, io_error};

/// The format that is written and read.
const FORMAT: &str = "1";

const TABLES: &str = "
    CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, bytes BLOB);
    CREATE TABLE backup (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
";

/// What a backup says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The newest commit.
    pub commit: CommitNumber,
    /// The newest event.
    pub position: Position,
    /// The newest commit's hash.
    pub hash: Digest,
    /// When it was made.
    pub made_at: Millis,
    /// How many keys there are, those that are destroyed too, and what they hash to.
    pub keys: Keys,
    /// How many blobs there are.
    pub blobs: u64,
    /// How many blobs were lost already when it was made; they are not counted in `blobs`.
    pub blobs_lost: u64,
}

/// The keys, as far as a backup can vouch for them: they are outside the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// How many.
    pub count: u64,
    /// The SHA-256 of a line for each: its id, a space, its bytes in upper-case hexadecimal.
    pub sha256: Digest,
}

impl About {
    /// Whether this is where a journal ends.
    pub fn is_at(&self, head: &Head) -> bool {
        (self.commit, self.position, self.hash) == (head.number, head.position, head.hash)
    }
}

/// Makes the tables.
pub fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(TABLES)
}

/// Adds a blob, or its name alone where there is none.
pub fn put_blob(conn: &Connection, blob: Digest, bytes: Option<&[u8]>) -> rusqlite::Result<()> {
    let insert = "INSERT INTO blobs (sha256, bytes) VALUES (?1, ?2)";
    conn.prepare_cached(insert)?.execute(params![blob.to_string(), bytes]).map(drop)
}

/// A blob's bytes: `None` where there is no such blob, `Some(None)` where its name is all there is.
pub fn blob(conn: &Connection, blob: Digest) -> rusqlite::Result<Option<Option<Vec<u8>>>> {
    let mut statement = conn.prepare_cached("SELECT bytes FROM blobs WHERE sha256 = ?1")?;
    statement.query_row([blob.to_string()], |row| row.get(0)).optional()
}

/// How many blobs there are, those that are lost too.
pub fn count_blobs(conn: &Connection) -> rusqlite::Result<u64> {
    conn.query_row("SELECT count(*) FROM blobs", (), |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// Counts the keys and hashes them.
pub fn sum_of_keys(conn: &Connection) -> rusqlite::Result<Keys> {
    let mut statement = conn.prepare("SELECT id, hex(bytes) FROM keys ORDER BY id")?;
    let mut rows = statement.query(())?;
    let (mut count, mut sha256) = (0, Sha256::new());
    while let Some(row) = rows.next()? {
        let (id, bytes): (String, String) = (row.get(0)?, row.get(1)?);
        sha256.update(format!("{id} {bytes}\n"));
        count += 1;
    }
    Ok(Keys { count, sha256: Digest(sha256.finalize().into()) })
}

/// Records what the backup says of itself.
pub fn put_about(conn: &Connection, about: &About) -> rusqlite::Result<()> {
    let mut insert = conn.prepare("INSERT INTO backup (name, value) VALUES (?1, ?2)")?;
    for (name, value) in [
        ("format", FORMAT.to_owned()),
        ("docket", env!("CARGO_PKG_VERSION").to_owned()),
        ("made_at", about.made_at.0.to_string()),
        ("commit", about.commit.0.to_string()),
        ("position", about.position.0.to_string()),
        ("hash", about.hash.to_string()),
        ("keys", about.keys.count.to_string()),
        ("keys_sha256", about.keys.sha256.to_string()),
        ("blobs", about.blobs.to_string()),
        ("blobs_lost", about.blobs_lost.to_string()),
    ] {
        insert.execute([name, &value])?;
    }
    Ok(())
}

/// What a backup says of itself.
pub fn about(conn: &Connection, path: &Path) -> Result<About, Error> {
    let no_backup = |why: &str| Error::NoBackup { path: path.to_owned(), why: why.into() };
    let has_table = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'backup'";
    let read = || {
        if conn.query_row(has_table, (), |row| row.get::<_, i64>(0))? == 0 {
            return Ok(None);
        }
        let mut statement = conn.prepare("SELECT name, value FROM backup")?;
        let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<BTreeMap<String, String>>>().map(Some)
    };
    let read = read().map_err(|source| {
        let path = path.to_owned();
        Error::Sqlite { doing: "cannot read the backup", path, source }
    })?;
    let values = read.ok_or_else(|| no_backup("it has no table `backup`"))?;
    match values.get("format").map(String::as_str) {
        Some(FORMAT) => {}
        Some(other) => {
            let why = format!("it is of format {other}, and this docket reads format {FORMAT}");
            return Err(no_backup(&why));
        }
        None => return Err(no_backup("it was never finished")),
    }
    let text = |name: &str| values.get(name).map_or("", String::as_str);
    let number = |name: &str| {
        let bad = |_| Error::Damaged(format!("its {name} is {:?}", text(name)));
        text(name).parse::<u64>().map_err(bad)
    };
    let digest = |name: &str| {
        let bad = |_| Error::Damaged(format!("its {name} is {:?}", text(name)));
        text(name).parse::<Digest>().map_err(bad)
    };
    let made_at = i64::try_from(number("made_at")?).unwrap_or(i64::MAX);
    Ok(About {
        commit: CommitNumber(number("commit")?),
        position: Position(number("position")?),
        hash: digest("hash")?,
        made_at: Millis(made_at),
        keys: Keys { count: number("keys")?, sha256: digest("keys_sha256")? },
        blobs: number("blobs")?,
        blobs_lost: number("blobs_lost")?,
    })
}

/// Refuses what is no SQLite file, or not the whole of one, before SQLite sees it; and one that
/// SQLite would need other files for.
pub fn check_file(path: &Path) -> Result<(), Error> {
    let no_backup = |why: String| Error::NoBackup { path: path.to_owned(), why };
    let mut head = [0; 100];
    let mut file = File::open(path).map_err(io_error("reading", path))?;
    let length = file.metadata().map_err(io_error("reading", path))?.len();
    match file.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(no_backup(format!("it has {length} bytes")));
        }
        read => read.map_err(io_error("reading", path))?,
    }
    if !head.starts_with(b"SQLite format 3\0") {
        return Err(no_backup("it is no SQLite file".into()));
    }
    if head[18..20] != [1, 1] {
        return Err(no_backup("it is in WAL mode, as a journal is that docket has in use".into()));
    }
    let page = match u64::from(u16::from_be_bytes([head[16], head[17]])) {
        1 => 65_536,
        page => page,
    };
    let pages = u64::from(u32::from_be_bytes([head[28], head[29], head[30], head[31]]));
    if length != page * pages {
        let why = format!("it has {length} bytes, and {} belong to it: cut off?", page * pages);
        return Err(no_backup(why));
    }
    Ok(())
}
