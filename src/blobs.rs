//! Pictures and uploads: files named by the SHA-256 of what they hold, beside the journal.
//!
//! **Invariant:** a blob whose digest was given out is durable, so the event that names it may be
//! recorded. A blob never changes, and nothing is read that does not match its name.
//!
//! All methods block on storage: call them off the async threads.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use events::Digest;
use sha2::{Digest as _, Sha256};

/// A folder of blobs. Any number of threads, processes and nodes may share one.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
}

/// Why a blob was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    /// The file holds something else than its name says.
    #[error("{path} is damaged: its content does not match its name")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl Blobs {
    /// Opens a folder of blobs, and makes it where it is not there; the folder above it must be.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        create_folder(&folder)?;
        // The parent of `blobs` is the empty path, which cannot be opened: it means `.`.
        match folder.parent() {
            Some(parent) if parent.as_os_str().is_empty() => sync(Path::new("."))?,
            Some(parent) => sync(parent)?,
            None => {}
        }
        Ok(Self { folder })
    }

    /// A folder of blobs that is only read; it need not be there.
    pub fn to_read(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Stores a blob that is not there yet and gives its name; for many at once, in a folder that
    /// nobody uses before whoever fills it has synced it.
    pub fn fill(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = digest_of(bytes);
        let path = self.path(&digest);
        create_folder(path.parent().expect("a blob lies in a folder of its own"))?;
        fs::write(&path, bytes).map_err(io_error("writing", &path))?;
        Ok(digest)
    }

    /// Stores a blob and gives its name, once it is durable. Storing it again changes nothing,
    /// except that a damaged file is replaced.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = digest_of(bytes);
        let path = self.path(&digest);
        let shelf = path.parent().expect("a blob lies in a folder of its own");
        create_folder(shelf)?;
        if !matches!(self.get(&digest), Ok(Some(_))) {
            replace(&path, bytes)?;
        }
        // Also when the file was there: whoever put it there may not have come to this yet.
        sync(shelf)?;
        sync(&self.folder)?;
        Ok(digest)
    }

    /// The blob of this name, or `None` where there is none. Fails with [`Error::Damaged`] when
    /// the file's content does not match its name.
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(digest);
        match fs::read(&path) {
            Ok(bytes) if digest_of(&bytes) == *digest => Ok(Some(bytes)),
            Ok(_) => Err(Error::Damaged { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { doing: "reading", path, source }),
        }
    }

    /// `<folder>/<first two digits>/<all 64 digits>`: no folder gets too large to list.
    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(&name[..2]).join(name)
    }
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Writes a file beside its place, syncs it and moves it there, so that nobody ever sees half of
/// it. A process that is cut off may leave a `.part` file, which nobody reads.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let part = path.with_extension(format!("{}.part", uuid::Uuid::new_v4()));
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).open(&part).map_err(io_error("creating", &part))?;
    let placed =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&part, path));
    placed.map_err(|source| {
        // A full disk is the likely reason: leave nothing behind on it.
        let _ = fs::remove_file(&part);
        io_error("writing", path)(source)
    })
}

fn create_folder(folder: &Path) -> Result<(), Error> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.map_err(io_error("creating", folder)),
    }
}

/// Makes durable which files a folder has.
fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|it| it.sync_all()).map_err(io_error("syncing", folder))
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs() -> (Blobs, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Blobs::open(folder.path().join("blobs")).unwrap(), folder)
    }

    /// The files of all shelves.
    fn files(blobs: &Blobs) -> Vec<PathBuf> {
        let shelves = fs::read_dir(&blobs.folder).unwrap();
        let files = shelves.flat_map(|shelf| fs::read_dir(shelf.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }

    #[test]
    fn a_blob_lies_under_its_digest_once() {
        let (blobs, _folder) = blobs();
        let digest = blobs.put(b"abc").unwrap();
        assert_eq!(blobs.put(b"abc").unwrap(), digest);
        let name = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(files(&blobs), [blobs.folder.join("ba").join(name)]);
        let reopened = Blobs::open(&blobs.folder).unwrap();
        assert_eq!(reopened.get(&digest).unwrap().as_deref(), Some(b"abc".as_slice()));
        assert_eq!(reopened.get(&Digest::default()).unwrap(), None);
        let empty = blobs.put(b"").unwrap();
        assert_eq!(blobs.get(&empty).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_damaged_blob_is_not_read_and_can_be_put_again() {
        let (blobs, _folder) = blobs();
        let digest = blobs.put(b"abc").unwrap();
        fs::write(blobs.path(&digest), b"abd").unwrap();
        assert!(matches!(blobs.get(&digest), Err(Error::Damaged { .. })));
        assert_eq!(blobs.put(b"abc").unwrap(), digest);
        assert_eq!(blobs.get(&digest).unwrap().as_deref(), Some(b"abc".as_slice()));
    }

    #[test]
    fn many_may_put_and_get_the_same_blobs_at_once() {
        let (blobs, _folder) = blobs();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for i in 0..10_u8 {
                        let bytes = vec![i; 5000];
                        let digest = blobs.put(&bytes).unwrap();
                        assert_eq!(blobs.get(&digest).unwrap(), Some(bytes));
                    }
                });
            }
        });
        assert_eq!(files(&blobs).len(), 10, "nothing but the blobs is left");
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let (blobs, _folder) = blobs();
        let error = Blobs::open(blobs.folder.join("no").join("such")).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("creating ") && said.contains("no/such"), "{said}");
    }
}
