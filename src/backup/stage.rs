//! Where something is made: beside its place, under a name of its own, by one process at a time.

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io,
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

use super::{Error, io_error};

/// What the name of something that is being made ends with.
const ENDING: &str = ".docket-part";

/// A file or a folder that is being made. Unless it is [put](Self::put) into its place it goes with
/// its owner; what a killed process left is taken over by the next that makes the same.
#[derive(Debug)]
pub struct Stage {
    path: PathBuf,
    place: PathBuf,
    /// Locked. The file itself, or `lock` in the folder.
    file: File,
    is_folder: bool,
    is_put: bool,
}

impl Stage {
    /// Makes an empty file for its owner alone.
    pub fn file(place: &Path) -> Result<Self, Error> {
        let path = beside(place)?;
        let file = locked(&path)?;
        let stage = Self { path, place: place.to_owned(), file, is_folder: false, is_put: false };
        let mode = Permissions::from_mode(0o600);
        let emptied = stage.file.set_permissions(mode).and_then(|()| stage.file.set_len(0));
        emptied.map_err(io_error("making", &stage.path))?;
        Ok(stage)
    }

    /// Makes a folder for its owner alone, with nothing but its lock in it.
    pub fn folder(place: &Path) -> Result<Self, Error> {
        let path = beside(place)?;
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(io_error("making", &path))?,
        }
        let file = locked(&path.join("lock"))?;
        let stage = Self { path, place: place.to_owned(), file, is_folder: true, is_put: false };
        empty(&stage.path).map_err(io_error("emptying", &stage.path))?;
        Ok(stage)
    }

    /// Where it is meanwhile.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long the file is, in bytes.
    pub fn length(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().map_err(io_error("reading", &self.path))?.len())
    }

    /// Makes what was written so far last.
    pub fn sync(&self) -> Result<(), Error> {
        let synced = if self.is_folder { sync_all(&self.path) } else { self.file.sync_all() };
        synced.map_err(io_error("syncing", &self.path))
    }

    /// Puts it into its place, for good. It is [synced](Self::sync).
    pub fn put(&mut self) -> Result<(), Error> {
        fs::rename(&self.path, &self.place).map_err(io_error("moving it to", &self.place))?;
        self.is_put = true;
        let folder = parent_of(&self.place);
        File::open(folder).and_then(|it| it.sync_all()).map_err(io_error("syncing", folder))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.is_put {
            // What cannot be removed is taken for nothing, and the next takes it over.
            let _ = match self.is_folder {
                true => fs::remove_dir_all(&self.path),
                false => fs::remove_file(&self.path),
            };
        }
    }
}

/// The folder in which something lies; the current one for a bare name.
pub fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(place: &Path) -> Result<PathBuf, Error> {
    let unnamed = || Error::Place { path: place.to_owned(), why: "has no name".into() };
    let mut name = place.file_name().ok_or_else(unnamed)?.to_owned();
    name.push(ENDING);
    Ok(place.with_file_name(name))
}

/// Opens a file for its owner alone and locks it.
fn locked(path: &Path) -> Result<File, Error> {
    let mut options = File::options();
    let open = options.create(true).truncate(false).read(true).write(true).mode(0o600);
    let file = open.open(path).map_err(io_error("making", path))?;
    let busy = || Error::Place { path: path.to_owned(), why: "is being written already".into() };
    match file.try_lock() {
        // Not every file system has locks.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(io_error("locking", path)(error)),
        Err(TryLockError::WouldBlock) => return Err(busy()),
        Ok(()) => {}
    }
    // Whoever had it until now may have put it into its place; and a link leads elsewhere.
    let here = fs::symlink_metadata(path).map_err(|_| busy())?;
    let opened = file.metadata().map_err(io_error("making", path))?;
    let same = (here.dev(), here.ino()) == (opened.dev(), opened.ino());
    if same { Ok(file) } else { Err(busy()) }
}

/// Removes what is in a folder, its lock aside.
fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if entry.file_name() != "lock" {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Syncs a folder, all that is in it, and their names.
fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => sync_all(&entry.path())?,
            false => File::open(entry.path())?.sync_all()?,
        }
    }
    File::open(folder)?.sync_all()
}
