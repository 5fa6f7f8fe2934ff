//! The master key, which wraps all others: configured as text, or made in a file of its own.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

use super::cipher::{Cipher, Secret};

/// A key file is 64 digits and a line end; what is longer than this is something else.
const FILE_LENGTH_MAX: u64 = 1024;

/// The key that wraps all other keys: 32 bytes, wiped from memory when dropped.
pub struct MasterKey(Cipher);

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The text is no key. It is not repeated here, as it may nearly be one.
    #[error("a master key is 32 bytes, written as 64 hexadecimal digits or as base64")]
    Malformed,
    /// The file holds no key.
    #[error("{path} holds no master key: 32 bytes, written as 64 hexadecimal digits or as base64")]
    MalformedFile {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may read or write the file.
    #[error("{path} is open to others than its owner (mode {mode:04o}); run: chmod 600 {path}")]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file system refused.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl MasterKey {
    /// Reads a configured key: 64 hexadecimal digits, or base64 (standard or for URLs) of 32
    /// bytes. White space around it does not matter.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let secret = secret_from(text.trim()).ok_or(MasterKeyError::Malformed)?;
        Ok(Self(Cipher::new(&secret)))
    }

    /// Reads the key in a file; where there is no file, makes a random key and writes it there,
    /// durably and readable by its owner alone, before it is ever used. The second value says
    /// whether the key was made now. The folder must exist.
    ///
    /// Fails when others than its owner may read or write the file.
    pub fn from_file_or_new(path: impl AsRef<Path>) -> Result<(Self, bool), MasterKeyError> {
        let path = path.as_ref();
        if let Some(key) = Self::from_file(path)? {
            return Ok((key, false));
        }
        let secret = Secret::random();
        match create(path, &secret)? {
            true => Ok((Self(Cipher::new(&secret)), true)),
            false => {
                // Another process was faster: its key counts.
                let key = Self::from_file(path)?;
                let gone = || io_error("reading", path)(io::ErrorKind::NotFound.into());
                Ok((key.ok_or_else(gone)?, false))
            }
        }
    }

    pub(super) fn cipher(&self) -> &Cipher {
        &self.0
    }

    fn from_file(path: &Path) -> Result<Option<Self>, MasterKeyError> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(io_error("opening", path))?,
        };
        let mode = file.metadata().map_err(io_error("reading", path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(MasterKeyError::TooOpen { path: path.to_owned(), mode: mode & 0o7777 });
        }
        let mut text = Zeroizing::new(String::with_capacity(FILE_LENGTH_MAX as usize));
        match file.take(FILE_LENGTH_MAX).read_to_string(&mut text) {
            Err(error) if error.kind() != io::ErrorKind::InvalidData => {
                Err(io_error("reading", path)(error))
            }
            _ => match Self::parse(&text) {
                Ok(key) => Ok(Some(key)),
                Err(_) => Err(MasterKeyError::MalformedFile { path: path.to_owned() }),
            },
        }
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Writes a new key file, whole or not at all, and says `false` where there is one by now. The
/// key is written under another name and then linked, so that a process that is cut off leaves no
/// half-written key that the next start would stumble over.
fn create(path: &Path, secret: &Secret) -> Result<bool, MasterKeyError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", uuid::Uuid::new_v4()));
    let draft = PathBuf::from(draft);
    let mut text = Zeroizing::new(String::with_capacity(65));
    for byte in secret.bytes() {
        text.push(char::from_digit(u32::from(byte >> 4), 16).expect("half a byte is a digit"));
        text.push(char::from_digit(u32::from(byte & 15), 16).expect("half a byte is a digit"));
    }
    text.push('\n');

    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(io_error("creating", &draft))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.map_err(io_error("writing", &draft)).map(|()| fs::hard_link(&draft, path));
    // Whatever happened, the draft has served. One that cannot be removed does no harm.
    let _ = fs::remove_file(&draft);
    match linked? {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        linked => linked.map_err(io_error("creating", path))?,
    }
    File::open(folder).and_then(|it| it.sync_all()).map_err(io_error("syncing", folder))?;
    Ok(true)
}

fn secret_from(text: &str) -> Option<Secret> {
    if text.len() == 64 {
        // Of its full length from the start: a vector that grows leaves copies behind.
        let mut bytes = Vec::with_capacity(32);
        for pair in text.as_bytes().chunks_exact(2) {
            let digit = |c: u8| char::from(c).to_digit(16);
            bytes.push(u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?);
        }
        return Secret::take(bytes);
    }
    let decoders = [&STANDARD, &URL_SAFE, &URL_SAFE_NO_PAD];
    decoders.iter().find_map(|it| Secret::take(it.decode(text).ok()?))
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MasterKeyError {
    let path = path.to_owned();
    move |source| MasterKeyError::Io { doing, path, source }
}
