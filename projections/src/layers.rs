//! Rows in two layers: those of the store, and over them, in memory, those that changed since the
//! store was last written. So what many batches change is written once.
//!
//! **Invariant:** a read sees both layers as one, whatever has been written; writing changes nothing
//! that anybody sees.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    iter::Peekable,
    ops::{Bound, Range},
};

use crate::store::{Change, Error, Pair, Source, Store};

/// Keys that change, and what becomes of each.
pub(crate) type Changes = BTreeMap<Vec<u8>, Pending>;

/// What becomes of a key.
#[derive(Debug, PartialEq)]
pub(crate) struct Pending {
    pub value: Option<Vec<u8>>,
    /// What is below has no such key, so that removing it again leaves nothing to write.
    pub fresh: bool,
}

/// What a changed key costs besides its bytes, about.
const ENTRY_BYTES: usize = 64;

/// Rows, read as one.
pub(crate) struct Layers {
    recent: Changes,
    recent_bytes: usize,
    store: Box<dyn Store>,
}

impl Layers {
    pub fn over(store: Box<dyn Store>) -> Self {
        Self { recent: Changes::new(), recent_bytes: 0, store }
    }

    /// Takes in a batch.
    pub fn take_in(&mut self, changes: Changes) {
        for (key, Pending { value, fresh }) in changes {
            let bytes = entry_bytes(&key, value.as_deref());
            match self.recent.entry(key) {
                Entry::Vacant(_) if fresh && value.is_none() => continue,
                Entry::Vacant(unknown) => {
                    unknown.insert(Pending { value, fresh });
                }
                Entry::Occupied(mut known) => {
                    let before = entry_bytes(known.key(), known.get().value.as_deref());
                    self.recent_bytes -= before;
                    if known.get().fresh && value.is_none() {
                        known.remove();
                        continue;
                    }
                    known.get_mut().value = value;
                }
            }
            self.recent_bytes += bytes;
        }
    }

    /// What the changes that are not written take, in bytes, about.
    pub fn unwritten_bytes(&self) -> usize {
        self.recent_bytes
    }

    /// Writes what is not written, and `last` with it, all or nothing; gives how many keys that
    /// were. It counts as not written until [`written`](Self::written) says so.
    pub fn write(&self, last: Change<'_>) -> Result<u64, Error> {
        let recent = self.recent.iter().map(|(key, it)| (key.as_slice(), it.value.as_deref()));
        self.store.write(&mut recent.chain([last]))?;
        Ok(self.recent.len() as u64 + 1)
    }

    /// What was not written is.
    pub fn written(&mut self) {
        self.recent.clear();
        self.recent_bytes = 0;
    }

    /// Hands everything written to the operating system.
    pub fn flush(&self) -> Result<(), Error> {
        self.store.flush()
    }
}

impl Source for Layers {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.recent.get(key) {
            Some(known) => Ok(known.value.clone()),
            None => self.store.get(key),
        }
    }

    fn range<'a>(
        &'a self,
        range: Range<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Pair, Error>> + 'a> {
        let stored = self.store.range(range.clone());
        if range.start >= range.end {
            return stored; // Nothing, and a map would not have it.
        }
        let bounds = (Bound::Included(range.start), Bound::Excluded(range.end));
        let mut recent = self.recent.range::<[u8], _>(bounds).peekable();
        if recent.peek().is_none() {
            return stored;
        }
        Box::new(Merged { recent, stored: stored.peekable() })
    }
}

/// Both layers, in the order of the keys. Where the upper one has a key, it knows better.
struct Merged<R, S: Iterator> {
    recent: R,
    stored: Peekable<S>,
}

impl<'a, R, S> Iterator for Merged<Peekable<R>, S>
where
    R: Iterator<Item = (&'a Vec<u8>, &'a Pending)>,
    S: Iterator<Item = Result<Pair, Error>>,
{
    type Item = Result<Pair, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((recent, _)) = self.recent.peek() else { return self.stored.next() };
            match self.stored.peek() {
                Some(Ok((stored, _))) if stored < *recent => return self.stored.next(),
                Some(Err(_)) => return self.stored.next(),
                Some(Ok((stored, _))) if stored == *recent => drop(self.stored.next()),
                _ => {}
            }
            let (key, pending) = self.recent.next()?;
            if let Some(value) = &pending.value {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}

fn entry_bytes(key: &[u8], value: Option<&[u8]>) -> usize {
    ENTRY_BYTES + key.len() + value.map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::Config};

    use super::*;
    use crate::{Batch, SledStore};

    /// One step: so many changes as a batch, or a write of what is not written.
    #[derive(Debug, Clone)]
    enum Step {
        Batch(Vec<(u8, Option<u8>)>),
        Write,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let change = (1..30_u8, prop::option::weighted(0.6, 0..9_u8));
        let step = prop_oneof![
            4 => prop::collection::vec(change, 1..12).prop_map(Step::Batch),
            1 => Just(Step::Write),
        ];
        prop::collection::vec(step, 1..40)
    }

    fn rows(source: &dyn Source, from: u8, to: u8) -> Vec<(u8, u8)> {
        let rows = source.range(&[from]..&[to]).map(Result::unwrap);
        rows.map(|(key, value)| (key[0], value[0])).collect()
    }

    proptest! {
        // What fails is printed whole; there is no file of seeds to keep.
        #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

        #[test]
        fn two_layers_read_as_one(steps in steps()) {
            let folder = tempfile::tempdir().unwrap();
            let mut layers = Layers::over(SledStore::open(folder.path(), 1 << 20).unwrap());
            let mut model = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Batch(changes) => {
                        let mut batch = Batch::over(&layers, 1);
                        for (key, value) in changes {
                            match value {
                                Some(value) if model.insert(key, value).is_some() => {
                                    batch.put(vec![key], vec![value]);
                                }
                                Some(value) => batch.insert(vec![key], vec![value]),
                                None => {
                                    model.remove(&key);
                                    batch.remove(vec![key]);
                                }
                            }
                        }
                        let changes = batch.into_changes();
                        layers.take_in(changes);
                    }
                    Step::Write => {
                        layers.write((&[0], Some(&[1]))).unwrap();
                        let all = rows(&layers, 1, 40);
                        layers.written();
                        assert_eq!(layers.unwritten_bytes(), 0);
                        assert_eq!(rows(&layers, 1, 40), all);
                    }
                }
                let expected: Vec<_> = model.iter().map(|(key, value)| (*key, *value)).collect();
                assert_eq!(rows(&layers, 1, 40), expected);
                for key in 1..30 {
                    let value = layers.get(&[key]).unwrap().map(|value| value[0]);
                    assert_eq!(value, model.get(&key).copied());
                    let behind = expected.iter().filter(|(other, _)| *other >= key && *other < 20);
                    let behind: Vec<_> = behind.copied().collect();
                    assert_eq!(rows(&layers, key, 20), behind);
                }
            }
        }
    }

    #[test]
    fn what_comes_and_goes_between_two_writes_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut layers = Layers::over(SledStore::open(folder.path(), 1 << 20).unwrap());
        let change = |value: Option<&[u8]>| {
            let pending = Pending { value: value.map(<[u8]>::to_vec), fresh: value.is_some() };
            Changes::from([(b"key".to_vec(), pending)])
        };
        layers.take_in(change(Some(b"value")));
        assert_eq!(layers.unwritten_bytes(), ENTRY_BYTES + 8);
        layers.take_in(change(None));
        assert_eq!(layers.unwritten_bytes(), 0);
        assert_eq!(layers.write((b"mark", Some(b"1"))).unwrap(), 1, "the mark alone");
        layers.take_in(change(Some(b"value")));
        layers.write((b"mark", Some(b"2"))).unwrap();
        layers.written();
        layers.take_in(change(None));
        assert_eq!(layers.write((b"mark", Some(b"3"))).unwrap(), 2);
        layers.written();
        assert_eq!(layers.get(b"key").unwrap(), None);
    }
}
