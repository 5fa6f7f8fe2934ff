//! Series beside a map.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, test_runner::Config};
use tempfile::TempDir;

use super::*;
use crate::{SledStore, Store};

const OVERFLOWS_BYTES: usize = 1024;

/// What is done to a row: `Some` adds it with a value of so many bytes, or gives the one that is
/// there such a value.
type Step = (u16, Option<u16>);

fn place(n: u16) -> Place {
    let mut place = [0; _];
    place[6..8].copy_from_slice(&n.to_be_bytes());
    place
}

/// Row by row another value.
fn value(n: u16, bytes: u16) -> Vec<u8> {
    n.to_be_bytes().into_iter().cycle().take(bytes.into()).collect()
}

fn series(name: &str) -> Series {
    Series::new(Key::table(1).name(name), Key::table(2).name(name), OVERFLOWS_BYTES)
}

struct Kept {
    _folder: TempDir,
    store: Box<dyn Store>,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path(), 1 << 20).unwrap();
        Self { _folder: folder, store }
    }

    /// Takes steps as one batch, and gives the keys written.
    fn apply(&self, name: &str, steps: &[Step]) -> usize {
        let mut batch = Batch::over(self.store.as_ref(), 1);
        for (n, bytes) in steps {
            match bytes {
                Some(bytes) => {
                    let value = value(*n, *bytes);
                    let (series, at) = (series(name), place(*n));
                    if !series.insert(&mut batch, &at, &value).unwrap() {
                        let changed = series.change(&mut batch, &at, |_| Ok(value));
                        assert_eq!(changed.unwrap(), Some(()));
                    }
                }
                None => drop(series(name).remove(&mut batch, &place(*n)).unwrap()),
            }
        }
        let changes = batch.into_changes();
        let written = changes.len();
        let changes = changes.iter().map(|(key, it)| (key.as_slice(), it.value.as_deref()));
        self.store.write(&mut changes.into_iter()).unwrap();
        written
    }

    fn dump(&self) -> Vec<Pair> {
        self.store.range(&[]..&[u8::MAX]).map(Result::unwrap).collect()
    }

    fn read(&self, name: &str, after: Option<u16>) -> Vec<(Place, Vec<u8>)> {
        let series = series(name);
        let Some(head) = self.store.get(&series.head).unwrap() else { return Vec::new() };
        let mut reading = series.read(self.store.as_ref(), head, after.map(place)).unwrap();
        iter::from_fn(|| reading.next().unwrap()).collect()
    }

    fn count(&self, name: &str) -> u64 {
        let key = series(name).head;
        self.store.get(&key).unwrap().map_or(0, |head| Series::len(&key, &head).unwrap())
    }
}

/// Rows as they come in a shop: most are new, some are late, and some go again.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop_oneof![8 => 20..60_u16, 1 => 0..3_u16, 1 => 400..1500_u16];
    let step = (prop_oneof![3 => 0..6_u16, 1 => 0..400_u16], prop::option::weighted(0.7, bytes));
    prop::collection::vec(step, 0..300).prop_map(|steps| {
        let newest = |n: usize| 400 - u16::try_from(n).unwrap();
        let steps = steps.into_iter().enumerate();
        steps.map(|(n, (late, bytes))| (newest(n).saturating_add(late), bytes)).collect()
    })
}

fn anywhere() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..120_u16, prop::option::weighted(0.6, 0..300_u16));
    prop::collection::vec(step, 0..400)
}

/// What the module promises of the keys.
fn check_keys(store: &Kept, name: &str) {
    let series = series(name);
    let (from, to) = series.blocks.clone().range();
    let mut last = None;
    let mut blocks = 0;
    let head = store.store.get(&series.head).unwrap();
    if let Some(head) = &head {
        let parts = Head::read(&series.head, head).unwrap();
        (last, blocks) = (parts.last.copied(), parts.count - parts.rows);
    }
    for pair in store.store.range(&from..&to) {
        let (key, block) = pair.unwrap();
        let places: Vec<_> = rows(&key, &block, 0).map(|row| *row.unwrap().at).collect();
        assert!(!places.is_empty(), "an empty block");
        let longest = rows(&key, &block, 0).map(|row| row.unwrap().whole.len()).max();
        assert!(block.len() - longest.unwrap() <= OVERFLOWS_BYTES, "a block that overflows");
        assert!(last < places.first().copied() && places.is_sorted(), "rows out of order");
        assert!(key >= series.block(places.last().unwrap()), "a row behind its block's key");
        assert!(last.is_none_or(|last| series.block(&last) < key));
        last = places.last().copied();
        blocks = blocks.checked_sub(places.len() as u64).unwrap();
    }
    assert_eq!(blocks, 0, "what the head counts is there");
}

fn check(steps: &[Step], cuts: &[usize]) {
    let (store, mut model) = (Kept::new(), BTreeMap::new());
    store.apply("other", &[(7, Some(3))]);
    let (mut cuts, mut rest) = (cuts.iter().cycle(), steps);
    while !rest.is_empty() {
        let (batch, behind) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
        store.apply("series", batch);
        for (n, bytes) in batch {
            match bytes {
                Some(bytes) => drop(model.insert(*n, value(*n, *bytes))),
                None => drop(model.remove(n)),
            }
        }
        check_keys(&store, "series");
        assert_eq!(store.count("series"), model.len() as u64);
        rest = behind;
    }
    let expected = |after: Option<u16>| {
        let behind = model.iter().filter(|(n, _)| after.is_none_or(|after| **n > after));
        behind.map(|(n, value)| (place(*n), value.clone())).collect::<Vec<_>>()
    };
    let mut afters: BTreeSet<_> = model.keys().flat_map(|n| [n.saturating_sub(1), *n]).collect();
    afters.extend([0, u16::MAX]);
    for after in afters.into_iter().map(Some).chain([None]) {
        assert_eq!(store.read("series", after), expected(after), "after {after:?}");
    }
    assert_eq!(store.read("other", None), [(place(7), value(7, 3))]);
    for n in 0..=400 {
        let row = series("series").get(store.store.as_ref(), &place(n)).unwrap();
        assert_eq!(row.as_ref(), model.get(&n), "row {n}");
    }
    let mut batch = Batch::over(store.store.as_ref(), 1);
    let unknown = (0..=400).find(|n| !model.contains_key(n)).map(place);
    if let Some(at) = unknown {
        let changed = series("series").change(&mut batch, &at, |_| Ok(Vec::new()));
        assert_eq!(changed.unwrap(), None);
    }

    let (one_by_one, at_once) = (Kept::new(), Kept::new());
    for store in [&one_by_one, &at_once] {
        store.apply("other", &[(7, Some(3))]);
    }
    for step in steps {
        one_by_one.apply("series", std::slice::from_ref(step));
    }
    at_once.apply("series", steps);
    assert_eq!(one_by_one.dump(), store.dump());
    assert_eq!(at_once.dump(), store.dump());
    let every: Vec<Step> = model.keys().map(|n| (*n, None)).collect();
    store.apply("series", &every);
    assert_eq!(store.dump().len(), 1, "what has no rows has no keys");
}

proptest! {
    // What fails is printed whole; there is no file of seeds to keep.
    #![proptest_config(Config { cases: 48, failure_persistence: None, ..Config::default() })]

    #[test]
    fn rows_lie_as_in_a_map(
        steps in prop_oneof![steps(), anywhere()],
        cuts in prop::collection::vec(1..40_usize, 1..8),
    ) {
        check(&steps, &cuts);
    }
}

#[test]
fn a_row_may_be_as_long_as_an_event() {
    let store = Kept::new();
    store.apply("series", &[(3, Some(30)), (1, Some(30))]);
    let (long, mut batch) = (vec![7; 256 << 10], Batch::over(store.store.as_ref(), 1));
    assert!(series("series").insert(&mut batch, &place(2), &long).unwrap());
    let kept = batch.into_changes();
    let mut changes = kept.iter().map(|(key, it)| (key.as_slice(), it.value.as_deref()));
    store.store.write(&mut changes).unwrap();
    assert_eq!(series("series").get(store.store.as_ref(), &place(2)).unwrap(), Some(long));
    assert_eq!(store.read("series", Some(2)), [(place(3), value(3, 30))]);
}

#[test]
fn many_rows_at_the_newest_end_are_few_keys() {
    let store = Kept::new();
    let newest_last: Vec<Step> = (0..1000).rev().map(|n| (n, Some(32))).collect();
    assert!(store.apply("series", &newest_last[..800]) <= 800 / 12);
    assert!(store.apply("series", &newest_last[800..]) <= 200 / 12 + 1);
    assert_eq!(store.apply("series", &[(500, None)]), 2, "its block, and how many there are");
    assert_eq!(store.count("series"), 999);
}

#[test]
fn what_was_written_over_is_damage() {
    let store = Kept::new();
    let steps: Vec<Step> = (0..100).rev().map(|n| (n, Some(32))).collect();
    store.apply("series", &steps);
    for (key, value) in store.dump() {
        let damage = |value: Option<Vec<u8>>| {
            let change = (key.as_slice(), value.as_deref());
            store.store.write(&mut [change].into_iter()).unwrap();
        };
        for bad in [value[..value.len() - 1].to_vec(), b"?".to_vec()] {
            damage(Some(bad));
            let mut batch = Batch::over(store.store.as_ref(), 1);
            let errors =
                (0..100).filter_map(|n| series("series").remove(&mut batch, &place(n)).err());
            assert!(errors.inspect(|error| assert!(error.is_damage())).count() > 0);
            let series = series("series");
            let head = store.store.get(&series.head).unwrap().unwrap();
            let read = series.read(store.store.as_ref(), head, None).and_then(|mut reading| {
                while reading.next()?.is_some() {}
                Ok(())
            });
            assert!(matches!(read, Err(Error::Row { .. })));
        }
        damage(Some(value));
    }
    check_keys(&store, "series");
}
