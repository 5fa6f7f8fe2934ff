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
    store::{Error, Pair, Source},
};

/// Stands behind every place.
const OLDEST: Place = [u8::MAX; size_of::<Place>()];
/// What a head begins with: how many rows the whole series has, big-endian.
const COUNT_BYTES: usize = size_of::<u64>();
/// How long a row's value is.
const LENGTH_BYTES: usize = size_of::<u32>();
/// A row: its place, how long its value is, big-endian, and that.
const ROW_BYTES: usize = size_of::<Place>() + LENGTH_BYTES;

/// A series, by its keys.
pub(crate) struct Series {
    head: Vec<u8>,
    blocks: Key,
    /// A head or a block with more bytes of rows, and more than one row, overflows.
    overflows_bytes: usize,
}

impl Series {
    /// The series with this key for its head, and these keys for its blocks, each of so many bytes
    /// at most, one row aside. More are fewer keys where rows come at the newest end, and more bytes
    /// where one row changes.
    pub fn new(head: Key, blocks: Key, overflows_bytes: usize) -> Self {
        Self { head: head.bytes(), blocks, overflows_bytes }
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
        self.count(rows, |count| count.checked_add(1))?;
        self.divide_head(rows)?;
        Ok(true)
    }

    /// Changes the value of a row. `None` where there is none.
    pub fn change(
        &self,
        rows: &mut Batch<'_>,
        at: &Place,
        change: impl FnOnce(&[u8]) -> Result<Vec<u8>, Error>,
    ) -> Result<Option<()>, Error> {
        let Some(head) = rows.modify(self.head.clone())? else { return Ok(None) };
        if Head::read(&self.head, head)?.takes(at) {
            if replace(&self.head, head, COUNT_BYTES, at, change)?.is_none() {
                return Ok(None);
            }
            return self.divide_head(rows).map(Some);
        }
        let (from, to) = self.blocks_from(at);
        let Some((key, block)) = rows.modify_first(&from, &to)? else { return Ok(None) };
        if replace(&key, block, 0, at, change)?.is_none() {
            return Ok(None);
        }
        let newer = self.divide_block(&key, block)?;
        self.add_block(rows, newer);
        Ok(Some(()))
    }

    /// The value of a row, or `None` where there is none.
    pub fn get(&self, rows: &dyn Source, at: &Place) -> Result<Option<Vec<u8>>, Error> {
        let Some(head) = rows.get(&self.head)? else { return Ok(None) };
        if Head::read(&self.head, &head)?.takes(at) {
            return value(&self.head, &head, COUNT_BYTES, at);
        }
        let (from, to) = self.blocks_from(at);
        let Some((key, block)) = rows.range(&from..&to).next().transpose()? else {
            return Ok(None);
        };
        value(&key, &block, 0, at)
    }

    /// Makes a block of what the head has too much of.
    fn divide_head(&self, rows: &mut Batch<'_>) -> Result<(), Error> {
        let Some(head) = rows.modify(self.head.clone())? else { return Ok(()) };
        // The newest quarter stays: a row that comes a little late finds its place there.
        if let Some(cut) = self.overflow(&self.head, head, COUNT_BYTES, 4)? {
            let all = Head::read(&self.head, head)?.is_all();
            let block = head.split_off(cut);
            let key = if all { OLDEST } else { last_place(&self.head, &block)? };
            rows.insert(self.block(&key), block);
        }
        Ok(())
    }

    /// Takes the newer half out of a block that has too much.
    fn divide_block(&self, key: &[u8], block: &mut Vec<u8>) -> Result<Option<Pair>, Error> {
        let Some(cut) = self.overflow(key, block, 0, 2)? else { return Ok(None) };
        let older = block.split_off(cut);
        let newer = std::mem::replace(block, older);
        Ok(Some((self.block(&last_place(key, &newer)?), newer)))
    }

    fn add_block(&self, rows: &mut Batch<'_>, block: Option<Pair>) {
        if let Some((key, block)) = block {
            rows.insert(key, block);
        }
    }

    /// Where rows that are too many bytes are cut: behind this part of them, about, and with at
    /// least one on each side. `None` where they are not too many.
    fn overflow(
        &self,
        key: &[u8],
        bytes: &[u8],
        from: usize,
        part: usize,
    ) -> Result<Option<usize>, Error> {
        let whole = bytes.len() - from;
        if whole <= self.overflows_bytes {
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
        let newer = self.divide_block(&key, block)?;
        self.add_block(rows, newer);
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
        store: &'a dyn Source,
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
    store: &'a dyn Source,
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
    let length = length_of(key, value)?;
    bytes.extend(at);
    bytes.extend(length);
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
    let Some(Row { whole, value, .. }) = find(key, bytes, from, at)? else { return Ok(None) };
    let value = bytes[value].to_vec();
    bytes.drain(whole);
    Ok(Some(value))
}

/// The value of a row; `None` where there is none.
fn value(key: &[u8], bytes: &[u8], from: usize, at: &Place) -> Result<Option<Vec<u8>>, Error> {
    Ok(find(key, bytes, from, at)?.map(|row| bytes[row.value].to_vec()))
}

/// Puts another value in the place of a row's; `None` where there is no such row.
fn replace(
    key: &[u8],
    bytes: &mut Vec<u8>,
    from: usize,
    at: &Place,
    change: impl FnOnce(&[u8]) -> Result<Vec<u8>, Error>,
) -> Result<Option<()>, Error> {
    let Some(Row { value, .. }) = find(key, bytes, from, at)? else { return Ok(None) };
    let changed = change(&bytes[value.clone()])?;
    let length = value.start - LENGTH_BYTES..value.start;
    bytes[length].copy_from_slice(&length_of(key, &changed)?);
    bytes.splice(value, changed);
    Ok(Some(()))
}

/// The row at a place, where there is one.
fn find<'a>(
    key: &'a [u8],
    bytes: &'a [u8],
    from: usize,
    at: &Place,
) -> Result<Option<Row<'a>>, Error> {
    rows(key, bytes, from).find(|row| row.as_ref().map_or(true, |row| row.at == at)).transpose()
}

/// How long a row's value is, as that is written.
fn length_of(key: &[u8], value: &[u8]) -> Result<[u8; LENGTH_BYTES], Error> {
    let length = u32::try_from(value.len()).map_err(|_| Error::row(key, "a row is too long"))?;
    Ok(length.to_be_bytes())
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
        let length = u32::from_be_bytes(*length) as usize;
        let value = from + ROW_BYTES..from + ROW_BYTES + length;
        (length <= rest.len()).then_some(Row { at, whole: from..value.end, value })
    };
    parts().map(Some).ok_or_else(|| damaged(key))
}

fn damaged(key: &[u8]) -> Error {
    Error::row(key, "the rows in it do not add up")
}

#[cfg(test)]
mod tests;
