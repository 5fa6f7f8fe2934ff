//! A view's folder: opened, closed cleanly, and set aside when it is damaged.
//!
//! While a view is open its folder holds a file with the machine's boot id. One that is still
//! there, with another boot id, says that the machine went down meanwhile: the store's pages may
//! have reached the device in any order, and the view is rebuilt. With the same boot id only the
//! process died, and what it had written the operating system still has.

use std::{
    any::Any,
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    projection::{MARK_KEY, Mark, Options},
    store::{Error, Store, from_json},
};

/// There while the view is open; holds the boot id.
const OPEN: &str = "open";
/// There when rows were found wrong; holds what was wrong.
pub(crate) const REBUILD: &str = "rebuild";
/// What the name of a folder ends with while it is being deleted.
pub(crate) const GONE: &str = ".gone";
/// How long a store that was just closed is waited for: its background work ends on its own time.
const UNLOCKED_WITHIN: Duration = Duration::from_secs(5);

/// An opened folder.
pub(crate) struct Opened {
    pub store: Box<dyn Store>,
    /// Where the rows stand; none where they begin anew.
    pub mark: Option<Mark>,
    /// Why the rows that were there are gone, where they are.
    pub discarded: Option<String>,
}

/// Opens a folder, or makes it. One that cannot be trusted makes room for an empty one.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Opened, Error> {
    let mut discarded = None;
    if let Some(reason) = distrusted(path, &options.boot)? {
        match reason {
            Distrust::Damaged(reason) => {
                set_aside(path)?;
                discarded = Some(reason);
            }
            Distrust::Restarted => {
                wipe(path)?;
                discarded = Some("the machine restarted before the view was closed".to_owned());
            }
        }
    }
    match attempt(path, options) {
        Ok((store, mark)) => Ok(Opened { store, mark, discarded }),
        Err(error) if helps_to_discard(&error) => {
            set_aside(path)?;
            let (store, mark) = attempt(path, options)?;
            Ok(Opened { store, mark, discarded: Some(error.to_string()) })
        }
        Err(error) => Err(error),
    }
}

/// Says that a folder whose store is closed was closed in good order.
pub(crate) fn close(path: &Path) -> Result<(), Error> {
    // sled's own flush does not reach the device.
    sync_files(path).map_err(|error| Error::io("syncing", path, error))?;
    let open = path.join(OPEN);
    fs::remove_file(&open).map_err(|error| Error::io("removing", &open, error))?;
    sync_folder(path)
}

/// Removes a folder whose store is closed. It changes its name first, so that half of one is never
/// taken for a whole one; one that has its other name already goes, too.
pub(crate) fn wipe(path: &Path) -> Result<(), Error> {
    let mut gone = path.as_os_str().to_owned();
    gone.push(GONE);
    let gone = PathBuf::from(gone);
    remove(&gone)?;
    match fs::rename(path, &gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("removing", path, error)),
        Ok(()) => remove(&gone),
    }
}

/// Removes a folder under whatever name it has.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("removing", path, error))
        }
        _ => Ok(()),
    }
}

enum Distrust {
    Damaged(String),
    Restarted,
}

fn distrusted(path: &Path, boot: &str) -> Result<Option<Distrust>, Error> {
    if let Some(reason) = read_file(&path.join(REBUILD))? {
        return Ok(Some(Distrust::Damaged(reason)));
    }
    let restarted =
        read_file(&path.join(OPEN))?.is_some_and(|then| boot.is_empty() || then != boot);
    Ok(restarted.then_some(Distrust::Restarted))
}

fn attempt(path: &Path, options: &Options) -> Result<(Box<dyn Store>, Option<Mark>), Error> {
    // The flag comes first: opening a store already changes it.
    fs::create_dir_all(path).map_err(|error| Error::io("making", path, error))?;
    let open = path.join(OPEN);
    fs::write(&open, &options.boot)
        .and_then(|()| File::open(&open)?.sync_all())
        .map_err(|error| Error::io("writing", &open, error))?;
    sync_folder(path)?;
    let store = open_store(path, options)?;
    let mark = guarded(|| {
        if let Some(value) = store.get(MARK_KEY)? {
            return from_json(MARK_KEY, &value).map(Some);
        }
        match store.range(&[]..&[u8::MAX; 4]).next() {
            None => Ok(None),
            Some(Ok((key, _))) => Err(Error::row(&key, "there are rows, but no mark")),
            Some(Err(error)) => Err(error),
        }
    })?;
    Ok((store, mark))
}

fn open_store(path: &Path, options: &Options) -> Result<Box<dyn Store>, Error> {
    let begun = Instant::now();
    loop {
        match guarded(|| (options.open)(path, options.cache_bytes)) {
            Err(Error::Locked { .. }) if begun.elapsed() < UNLOCKED_WITHIN => {
                thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

/// Does something with the store that, in a damaged folder, may panic.
fn guarded<T>(action: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(action))
        .unwrap_or_else(|panic| Err(Error::Panicked(message(panic.as_ref()).to_owned())))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

fn helps_to_discard(error: &Error) -> bool {
    match error {
        Error::Sled { source: sled::Error::Io(error), .. } => !matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
        ),
        error => error.is_damage(),
    }
}

/// Renames a damaged folder to `<view>.v<version>.damaged-<n>`, for whoever wants to look; older
/// ones go.
fn set_aside(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let view: Vec<&str> = name.split('.').take(2).collect(); // Whichever build it is.
    let prefix = format!("{}.damaged-", view.join("."));
    let entries = fs::read_dir(parent).map_err(|error| Error::io("reading", parent, error))?;
    let mut highest = 0;
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("reading", parent, error))?;
        let number =
            entry.file_name().to_str().and_then(|name| name.strip_prefix(&prefix)?.parse().ok());
        if let Some(number) = number {
            highest = u64::max(highest, number);
            wipe(&entry.path())?;
        }
    }
    let aside = PathBuf::from(parent).join(format!("{prefix}{}", highest + 1));
    fs::rename(path, &aside).map_err(|error| Error::io("setting aside", path, error))
}

fn read_file(path: &Path) -> Result<Option<String>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("reading", path, error)),
    }
}

fn sync_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_files(&path)?;
        }
        File::open(&path)?.sync_all()?;
    }
    Ok(())
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Error::io("syncing", path, error))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tempfile::TempDir;

    use super::*;
    use crate::{Batch, Projection, Wallets, fixtures::*, layers::Pending};

    fn booted(boot: &str) -> Options {
        Options { boot: boot.into(), ..small() }
    }

    /// A view with one row, closed or not.
    fn leave(folder: &TempDir, boot: &str, closed: bool) {
        let mut view = Kept::<Wallets>::open_with(folder, &booted(boot));
        let mut log = Log::default();
        log.charge(1, 100);
        view.apply(&log.events);
        if closed {
            view.projection.close().unwrap();
        }
    }

    fn names(folder: &TempDir) -> BTreeSet<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Opens the view, and says whether it begins anew and why.
    fn reopened(folder: &TempDir, options: &Options) -> (bool, Option<String>) {
        let view = Kept::<Wallets>::open_with(folder, options);
        let anew = view.projection.mark().is_none();
        assert_eq!(view.query().get(account(1)).unwrap().is_none(), anew);
        (anew, view.projection.discarded().map(str::to_owned))
    }

    #[test]
    fn rows_outlive_a_process_but_not_a_restart_of_the_machine() {
        let restarted = Some("the machine restarted before the view was closed".to_owned());
        for (closed, then, kept) in [
            (true, "one", true),
            (true, "two", true),
            (true, "", true),
            (false, "one", true),
            (false, "two", false),
            (false, "", false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            leave(&folder, "one", closed);
            let expected = if kept { (false, None) } else { (true, restarted.clone()) };
            assert_eq!(reopened(&folder, &booted(then)), expected, "closed: {closed}, {then:?}");
            assert_eq!(names(&folder), ["wallets.v1".to_owned()].into());
        }
    }

    #[test]
    fn a_row_that_cannot_be_read_is_an_error_and_the_view_is_rebuilt_next_time() {
        let folder = tempfile::tempdir().unwrap();
        leave(&folder, "one", true);
        for round in 1..=3 {
            let mut view = Kept::<Wallets>::open_with(&folder, &booted("one"));
            let mut log = Log::default();
            log.charge(1, 100);
            if view.projection.mark().is_none() {
                view.apply(&log.events);
            }
            let store = view.projection.rows().clone();
            let (key, _) = store.dump().unwrap().remove(0);
            store.write((&key, Some(b"{"))).unwrap();
            let error = view.query().get(account(1)).unwrap_err();
            assert!(matches!(error, Error::Row { .. }), "{error}");
            view.projection.close().unwrap();
            let (anew, reason) = reopened(&folder, &booted("one"));
            assert!(anew && reason.unwrap().starts_with("row "));
            // The newest is kept.
            let aside = format!("wallets.v1.damaged-{round}");
            assert_eq!(names(&folder), ["wallets.v1".to_owned(), aside].into());
        }
    }

    #[test]
    fn a_mark_that_cannot_be_read_or_is_missing_is_damage() {
        for change in [Some(&b"what"[..]), None] {
            let folder = tempfile::tempdir().unwrap();
            leave(&folder, "one", false);
            let view = Kept::<Wallets>::open_with(&folder, &booted("one"));
            view.projection.rows().write((MARK_KEY, change)).unwrap();
            drop(view);
            let (anew, reason) = reopened(&folder, &booted("one"));
            assert!(anew && reason.is_some());
        }
    }

    #[test]
    fn a_store_that_was_overwritten_never_stops_the_opening() {
        let folder = tempfile::tempdir().unwrap();
        leave(&folder, "one", true);
        let files = ["db", "conf"].map(|name| folder.path().join("wallets.v1").join(name));
        let whole = files.each_ref().map(|file| fs::read(file).unwrap());
        let garbage = |byte| whole.each_ref().map(|bytes| vec![byte; bytes.len()]);
        let cut = whole.each_ref().map(|bytes| bytes[..bytes.len() / 3].to_vec());
        for damaged in [garbage(0xff), garbage(0), cut, [Vec::new(), Vec::new()]] {
            for (file, bytes) in files.iter().zip(damaged) {
                fs::write(file, bytes).unwrap();
            }
            let mut view = Kept::<Wallets>::open_with(&folder, &booted("one"));
            assert!(view.projection.mark().is_none());
            let mut log = Log::default();
            log.charge(1, 100);
            view.apply(&log.events);
            view.projection.close().unwrap();
            assert_eq!(reopened(&folder, &booted("one")), (false, None));
        }
    }

    /// What sled does with some damaged files.
    fn panics(path: &Path, cache_bytes: u64) -> Result<Box<dyn Store>, Error> {
        assert!(!path.join("db").exists(), "a page is where none should be");
        crate::SledStore::open(path, cache_bytes)
    }

    #[test]
    fn a_store_that_panics_when_opened_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        leave(&folder, "one", true);
        let options = Options { open: panics, ..booted("one") };
        let (anew, reason) = reopened(&folder, &options);
        assert!(anew);
        assert_eq!(reason.unwrap(), "the store panicked: a page is where none should be");
        assert_eq!(names(&folder).len(), 2);
    }

    #[test]
    fn a_store_that_panics_even_when_new_is_an_error() {
        fn always(_: &Path, _: u64) -> Result<Box<dyn Store>, Error> {
            panic!("no")
        }
        let folder = tempfile::tempdir().unwrap();
        let options = Options { open: always, ..booted("one") };
        let error = Projection::<Wallets>::open(folder.path(), &options).err().unwrap();
        assert_eq!(error.to_string(), "the store panicked: no");
    }

    #[test]
    fn a_batch_reads_what_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::SledStore::open(folder.path(), 1 << 20).unwrap();
        store.write(&mut [(&b"old"[..], Some(&b"1"[..]))].into_iter()).unwrap();
        let mut batch = Batch::over(store.as_ref(), 1);
        assert_eq!(batch.get(b"old").unwrap().as_deref(), Some(&b"1"[..]));
        batch.remove(b"old".to_vec());
        assert_eq!(batch.get(b"old").unwrap(), None);
        batch.insert(b"old".to_vec(), b"2".to_vec());
        batch.insert(b"new".to_vec(), b"3".to_vec());
        batch.remove(b"new".to_vec());
        assert_eq!(batch.modify(b"more".to_vec()).unwrap(), &None);
        batch.remove(b"more".to_vec());
        let changed = Pending { value: Some(b"2".to_vec()), fresh: false };
        assert_eq!(batch.into_changes(), [(b"old".to_vec(), changed)].into());
    }
}
