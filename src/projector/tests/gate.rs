//! Stores that a test holds up, or has panic.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex},
};

use projections::{Change, Error, Pair, SledStore, Source, Store};

/// What becomes of the writes to one folder.
#[derive(Clone, Copy)]
pub enum Writes {
    /// So many are let through, and the next one waits.
    Only(u64),
    /// None is let through, and one waits.
    Held,
    /// They panic.
    Panic,
}

/// By folder: an opener has no state of its own. Folders that are not here are left alone.
static WRITES: Mutex<BTreeMap<PathBuf, Writes>> = Mutex::new(BTreeMap::new());
static CHANGED: Condvar = Condvar::new();

/// Sets what becomes of the writes to a folder; `None` lets all through.
pub fn set(folder: &Path, writes: Option<Writes>) {
    let mut all = WRITES.lock().unwrap();
    match writes {
        Some(writes) => drop(all.insert(folder.to_owned(), writes)),
        None => drop(all.remove(folder)),
    }
    CHANGED.notify_all();
}

/// Waits until what was let through is used up.
pub fn used_up(folder: &Path) {
    wait_for(folder, |writes| matches!(writes, Some(Writes::Only(0) | Writes::Held)));
}

/// Waits until a write waits.
pub fn waited_for(folder: &Path) {
    wait_for(folder, |writes| matches!(writes, Some(Writes::Held)));
}

fn wait_for(folder: &Path, is: impl Fn(Option<&Writes>) -> bool) {
    let all = WRITES.lock().unwrap();
    let waits = |all: &mut BTreeMap<_, _>| !is(all.get(folder));
    let late = CHANGED.wait_timeout_while(all, super::SOON, waits).unwrap().1.timed_out();
    assert!(!late, "nobody writes");
}

/// Opens a store whose writes can be held up.
pub fn open(path: &Path, cache_bytes: u64) -> Result<Box<dyn Store>, Error> {
    Ok(Box::new(Gated { store: SledStore::open(path, cache_bytes)?, folder: path.to_owned() }))
}

struct Gated {
    store: Box<dyn Store>,
    folder: PathBuf,
}

impl Source for Gated {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.store.get(key)
    }

    fn range<'a>(
        &'a self,
        range: Range<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Pair, Error>> + 'a> {
        self.store.range(range)
    }
}

impl Store for Gated {
    fn write(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), Error> {
        let mut all = WRITES.lock().unwrap();
        loop {
            match all.get_mut(&self.folder) {
                None => break,
                Some(Writes::Panic) => {
                    drop(all); // Poisoned, it would let others go on who wait for something.
                    panic!("as the test wants it");
                }
                Some(writes @ (Writes::Only(0) | Writes::Held)) => {
                    *writes = Writes::Held;
                    CHANGED.notify_all();
                    all = CHANGED.wait(all).unwrap();
                }
                Some(Writes::Only(left)) => {
                    *left -= 1;
                    CHANGED.notify_all();
                    break;
                }
            }
        }
        drop(all);
        self.store.write(changes)
    }

    fn flush(&self) -> Result<(), Error> {
        self.store.flush()
    }
}
