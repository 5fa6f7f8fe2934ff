//! Series: rows under one key prefix that are read from the newest on, packed, so that many rows
//! that come at the newest end change one key.
//!
//! A series has a head and blocks. The head is one key, known without looking for it: how many rows
//! the series has, and the newest of them. Where the head overflows, its older rows become a block.
//! A block's key names the place of the oldest row that may be in it, or [`OLDEST`]; so the block of
//! a place is the first one that is not before it. One that overflows becomes two, and one that has
//! lost its last row goes.
//!
//! **Invariant:** places rise from the head's first row to the last block's last. A series without
//! rows has no keys, and a head is never empty. How rows lie depends on the order in which they came
//! and went, and not on how that was batched.

use std::{iter, ops::Range};

use crate::{
    batch::Batch,
    key::{Key, Place},
    store::{Error, Pair, Store},
};

/// Stands behind every place.
const OLDEST: Place = [u8::MAX; size_of::<Place>()];
/// What a head begins with: how many rows the whole series has, big-endian.
const COUNT_BYTES: usize = size_of::<u64>();
/// A row: its place, how long its value is, big-endian, and that.
const ROW_BYTES: usize = size_of::<Place>() + size_of::<u16>();
/// A head or a block with more bytes of rows, and more than one row, overflows. Larger ones are
/// fewer keys where rows come at the newest end, and more bytes where one row changes.
const OVERFLOWS_BYTES: usize = 1024;

/// A series, by its keys.
pub(crate) struct Series {
    head: Vec<u8>,
    blocks: Key,
}

impl Series {
    /// The series with this key for its head, and these keys for its blocks.
    pub fn new(head: Key, blocks: Key) -> Self {
        Self { head: head.bytes(), blocks }
    }

    /// Adds a row. `false` where its place is taken.
    pub fn insert(&self, rows: &mut Batch<'_>, at: &Place, value: &[u8]) -> Result<bool, Error> {
        let head = rows.modify(self.head.clone())?;
        let head = head.get_or_insert_with(|| vec![0; COUNT_BYTES]);
        // Most rows are newer than any before: nothing else of the head is looked at.
        let newest = row(&self.head, head, COUNT_BYTES)?.is_none_or(|first| at < first.at);
        if !newest && !Head::read(&self.head, head)?.takes(at) {
            let inserted = self.insert_into_block(rows, at, value)?;
            if inserted {
                self.count(rows, |count| count.checked_add(1))?;
            }
            return Ok(inserted);
        }
        if !insert(&self.head, head, COUNT_BYTES, at, value)? {
            return Ok(false);
        }
        let head = self.count(rows, |count| count.checked_add(1))?;
        // The newest quarter stays: a row that comes a little late finds its place there.
        if let Some(cut) = overflow(&self.head, head, COUNT_BYTES, 4)? {
            let all = Head::read(&self.head, head)?.is_all();
            let block = head.split_off(cut);
            let key = if all { OLDEST } else { last_place(&self.head, &block)? };
            rows.insert(self.block(&key), block);
        }
        Ok(true)
    }

    /// Takes a row away and gives its value, or `None` where there is none.
    pub fn remove(&self, rows: &mut Batch<'_>, at: &Place) -> Result<Option<Vec<u8>>, Error> {
        let Some(head) = rows.modify(self.head.clone())? else { return Ok(None) };
        let parts = Head::read(&self.head, head)?;
        let (in_head, alone, last) = (parts.takes(at), parts.rows == 1, parts.count == 1);
        let value = if in_head {
            remove(&self.head, head, COUNT_BYTES, at)?
        } else {
            self.remove_from_block(rows, at)?
        };
        if value.is_none() {
            return Ok(None);
        }
        if last {
            rows.remove(self.head.clone());
            return Ok(value);
        }
        let newest = if in_head && alone { self.take_newest_block(rows)? } else { Vec::new() };
        self.count(rows, |count| count.checked_sub(1))?.extend(newest);
        Ok(value)
    }

    /// Counts the rows anew, and gives the head.
    fn count<'b>(
        &self,
        rows: &'b mut Batch<'_>,
        change: impl FnOnce(u64) -> Option<u64>,
    ) -> Result<&'b mut Vec<u8>, Error> {
        let head = rows.modify(self.head.clone())?.as_mut();
        let counted = head.and_then(|head| {
            let count = head.first_chunk_mut()?;
            *count = change(u64::from_be_bytes(*count))?.to_be_bytes();
            Some(head)
        });
        counted.ok_or_else(|| damaged(&self.head))
    }

    fn insert_into_block(
        &self,
        rows: &mut Batch<'_>,
        at: &Place,
        value: &[u8],
    ) -> Result<bool, Error> {
        let (from, to) = self.blocks_from(at);
        let Some((key, block)) = rows.modify_first(&from, &to)? else {
            let mut block = Vec::with_capacity(ROW_BYTES + value.len());
            insert(&from, &mut block, 0, at, value)?;
            rows.insert(self.block(&OLDEST), block);
            return Ok(true);
        };
        if !insert(&key, block, 0, at, value)? {
            return Ok(false);
        }
        if let Some(cut) = overflow(&key, block, 0, 2)? {
            let older = block.split_off(cut);
            let newer = std::mem::replace(block, older);
            rows.insert(self.block(&last_place(&key, &newer)?), newer);
        }
        Ok(true)
    }

    fn remove_from_block(
        &self,
        rows: &mut Batch<'_>,
        at: &Place,
    ) -> Result<Option<Vec<u8>>, Error> {
        let (from, to) = self.blocks_from(at);
        let Some((key, block)) = rows.modify_first(&from, &to)? else { return Ok(None) };
        let value = remove(&key, block, 0, at)?;
        if block.is_empty() {
            rows.remove(key);
        }
        Ok(value)
    }

    /// The rows of the block behind the head, which goes.
    fn take_newest_block(&self, rows: &mut Batch<'_>) -> Result<Vec<u8>, Error> {
        let (from, to) = self.blocks.clone().range();
        let Some((key, block)) = rows.modify_first(&from, &to)? else {
            return Err(damaged(&self.head)); // It counts more rows than there are.
        };
        let newest = std::mem::take(block);
        rows.remove(key);
        Ok(newest)
    }

    fn block(&self, at: &Place) -> Vec<u8> {
        self.blocks.clone().place(at).bytes()
    }

    /// The keys of the blocks that may have rows at this place or behind it.
    fn blocks_from(&self, at: &Place) -> (Vec<u8>, Vec<u8>) {
        (self.block(at), self.blocks.clone().range().1)
    }

    /// How many rows the series with this head has.
    pub fn len(key: &[u8], head: &[u8]) -> Result<u64, Error> {
        Ok(Head::read(key, head)?.count)
    }

    /// The rows of the series with this head, from the newest on, or those behind a place.
    pub fn read<'a>(
        self,
        store: &'a dyn Store,
        head: Vec<u8>,
        after: Option<Place>,
    ) -> Result<Reading<'a>, Error> {
        let blocks = !Head::read(&self.head, &head)?.is_all();
        let block = Held { key: self.head, bytes: head, next: COUNT_BYTES };
        Ok(Reading { store, block, blocks: blocks.then_some(self.blocks), rest: None, after })
    }
}

/// What is left to read of a series.
pub(crate) struct Reading<'a> {
    store: &'a dyn Store,
    block: Held,
    /// Where there are more rows than the head has, and they have not been looked for.
    blocks: Option<Key>,
    rest: Option<Box<dyn Iterator<Item = Result<Pair, Error>> + 'a>>,
    after: Option<Place>,
}

/// A head or a block, and where in it the next row is.
struct Held {
    key: Vec<u8>,
    bytes: Vec<u8>,
    next: usize,
}

/// A row in a head or a block: its place, and where it and its value lie.
struct Row<'a> {
    at: &'a Place,
    whole: Range<usize>,
    value: Range<usize>,
}

impl Reading<'_> {
    /// The place of the next row, and what its value is; `None` behind the last.
    pub fn next(&mut self) -> Result<Option<(Place, Vec<u8>)>, Error> {
        loop {
            let Held { key, bytes, next } = &mut self.block;
            while let Some(row) = row(key, bytes, *next)? {
                *next = row.whole.end;
                if self.after.is_none_or(|after| after < *row.at) {
                    return Ok(Some((*row.at, bytes[row.value].to_vec())));
                }
            }
            let Some((key, bytes)) = self.next_block().transpose()? else { return Ok(None) };
            self.block = Held { key, bytes, next: 0 };
        }
    }

    fn next_block(&mut self) -> Option<Result<Pair, Error>> {
        if let Some(blocks) = self.blocks.take() {
            let (mut from, to) = blocks.clone().range();
            if let Some(after) = self.after {
                from = blocks.place(&after).bytes();
                from.push(0); // What ends there has no row behind it.
            }
            self.rest = Some(self.store.range(&from..&to));
        }
        self.rest.as_mut()?.next()
    }
}

/// What a head says.
struct Head<'a> {
    /// Rows of the whole series.
    count: u64,
    /// Rows in the head.
    rows: u64,
    /// Where the last of them is.
    last: Option<&'a Place>,
}

impl<'a> Head<'a> {
    fn read(key: &'a [u8], head: &'a [u8]) -> Result<Self, Error> {
        let count = head.first_chunk().ok_or_else(|| damaged(key))?;
        let mut this = Self { count: u64::from_be_bytes(*count), rows: 0, last: None };
        for row in rows(key, head, COUNT_BYTES) {
            (this.rows, this.last) = (this.rows + 1, Some(row?.at));
        }
        if this.rows > this.count || (this.rows == 0) != (this.count == 0) {
            return Err(damaged(key));
        }
        Ok(this)
    }

    /// Whether there are no blocks.
    fn is_all(&self) -> bool {
        self.rows == self.count
    }

    /// Whether a row at this place is in the head, if it is anywhere.
    fn takes(&self, at: &Place) -> bool {
        self.is_all() || self.last.is_some_and(|last| at <= last)
    }
}

/// Puts a row where it belongs among those from `from` on. `false` where its place is taken.
fn insert(
    key: &[u8],
    bytes: &mut Vec<u8>,
    from: usize,
    at: &Place,
    value: &[u8],
) -> Result<bool, Error> {
    let mut here = bytes.len();
    for row in rows(key, bytes, from) {
        let row = row?;
        if row.at >= at {
            if row.at == at {
                return Ok(false);
            }
            here = row.whole.start;
            break;
        }
    }
    let length = u16::try_from(value.len()).map_err(|_| Error::row(key, "a row is too long"))?;
    bytes.extend(at);
    bytes.extend(length.to_be_bytes());
    bytes.extend(value);
    bytes[here..].rotate_right(ROW_BYTES + value.len());
    Ok(true)
}

/// Takes a row out and gives its value; `None` where there is none.
fn remove(
    key: &[u8],
    bytes: &mut Vec<u8>,
    from: usize,
    at: &Place,
) -> Result<Option<Vec<u8>>, Error> {
    let here = rows(key, bytes, from).find(|row| row.as_ref().map_or(true, |row| row.at == at));
    let Some(Row { whole, value, .. }) = here.transpose()? else { return Ok(None) };
    let value = bytes[value].to_vec();
    bytes.drain(whole);
    Ok(Some(value))
}

/// Where rows that are too many bytes are cut: behind this part of them, about, and with at least
/// one on each side. `None` where they are not too many.
fn overflow(key: &[u8], bytes: &[u8], from: usize, part: usize) -> Result<Option<usize>, Error> {
    let whole = bytes.len() - from;
    if whole <= OVERFLOWS_BYTES {
        return Ok(None);
    }
    for row in rows(key, bytes, from) {
        let Range { start, end } = row?.whole;
        if end == bytes.len() {
            return Ok((start > from).then_some(start));
        }
        if (end - from) * part >= whole {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

fn last_place(key: &[u8], block: &[u8]) -> Result<Place, Error> {
    let last = rows(key, block, 0).last().ok_or_else(|| damaged(key))?;
    Ok(*last?.at)
}

fn rows<'a>(
    key: &'a [u8],
    bytes: &'a [u8],
    mut next: usize,
) -> impl Iterator<Item = Result<Row<'a>, Error>> {
    iter::from_fn(move || {
        let row = row(key, bytes, next).transpose()?;
        // After damage there is nothing more to read.
        next = row.as_ref().map_or(bytes.len(), |row| row.whole.end);
        Some(row)
    })
}

/// The row that begins at `from`, where one does.
fn row<'a>(key: &[u8], bytes: &'a [u8], from: usize) -> Result<Option<Row<'a>>, Error> {
    if from == bytes.len() {
        return Ok(None);
    }
    let parts = || {
        let (at, rest) = bytes.get(from..)?.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let value = from + ROW_BYTES..from + ROW_BYTES + length;
        (length <= rest.len()).then_some(Row { at, whole: from..value.end, value })
    };
    parts().map(Some).ok_or_else(|| damaged(key))
}

fn damaged(key: &[u8]) -> Error {
    Error::row(key, "the rows in it do not add up")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::{prelude::*, test_runner::Config};
    use tempfile::TempDir;

    use super::*;
    use crate::{SledStore, store::Change};

    /// What is done to a row: `Some` adds it with a value of so many bytes.
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
        Series::new(Key::table(1).name(name), Key::table(2).name(name))
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
                        series(name).insert(&mut batch, &place(*n), &value).unwrap();
                    }
                    None => drop(series(name).remove(&mut batch, &place(*n)).unwrap()),
                }
            }
            let changes = batch.into_changes();
            let written = changes.len();
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
        let step =
            (prop_oneof![3 => 0..6_u16, 1 => 0..400_u16], prop::option::weighted(0.7, bytes));
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
                    Some(bytes) => drop(model.entry(*n).or_insert_with(|| value(*n, *bytes))),
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
        let mut afters: BTreeSet<_> =
            model.keys().flat_map(|n| [n.saturating_sub(1), *n]).collect();
        afters.extend([0, u16::MAX]);
        for after in afters.into_iter().map(Some).chain([None]) {
            assert_eq!(store.read("series", after), expected(after), "after {after:?}");
        }
        assert_eq!(store.read("other", None), [(place(7), value(7, 3))]);

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
                let change: Change = (key.clone(), value);
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
}
