//! The two journals side by side: whether one holds what the other does, and the keys of both.

use std::{cmp::Ordering, collections::VecDeque};

use events::{CommitNumber, Head, WrappedKey};

use super::{Copied, Error, SLICE_KEYS, go_on};
use crate::{
    backup::Tell,
    journal::{Journal, JournalError},
};

/// What the ids of the site's own keys begin with; the others are accounts'.
const OWN: &str = "ring/";

/// Refuses a destination whose commits are not the source's first ones.
pub fn check_history(from: &dyn Journal, to: &dyn Journal) -> Result<(), Error> {
    let (ours, theirs) = (*from.head().borrow(), *to.head().borrow());
    let both = ours.number.min(theirs.number);
    let heads = |number| -> Result<(Head, Head), Error> {
        let at = |journal: &dyn Journal| {
            let missing = || JournalError::Closed(format!("commit {number} is missing"));
            journal.head_at(number)?.ok_or_else(missing)
        };
        Ok((at(from)?, at(to)?))
    };
    // Commits are chained: once two are the same, so are all before them.
    let same = |number| heads(number).map(|(one, other)| one == other);
    if !same(both)? {
        let (mut known, mut other) = (0, both.0);
        while other - known > 1 {
            let middle = known + (other - known) / 2;
            match same(CommitNumber(middle))? {
                true => known = middle,
                false => other = middle,
            }
        }
        let number = CommitNumber(other);
        let (expected, found) = heads(number)?;
        return Err(Error::Differs { number, found: found.hash, expected: expected.hash });
    }
    match theirs.number > ours.number {
        true => Err(Error::GoneOn { number: CommitNumber(ours.number.0 + 1) }),
        false => Ok(()),
    }
}

/// Refuses a destination that has keys of another site. Gives how many it does not have yet.
pub fn check_keys(from: &dyn Journal, to: &dyn Journal) -> Result<u64, Error> {
    let mut is_known = to.head().borrow().number > CommitNumber(0);
    let (mut missing, mut extra) = (0, None);
    each(from, to, |pair| {
        let other = |key: &WrappedKey| Err(Error::Key { id: key.id.clone() });
        match pair {
            Pair::Both(ours, theirs) if ours.bytes != theirs.bytes => return other(&theirs),
            Pair::Both(ours, _) => is_known |= ours.id.starts_with(OWN),
            Pair::Ours(_) => missing += 1,
            Pair::Theirs(key) if key.id.starts_with(OWN) => return other(&key),
            Pair::Theirs(key) => extra = extra.take().or(Some(key)),
        }
        Ok(())
    })?;
    match extra.filter(|_| !is_known) {
        Some(key) => Err(Error::Key { id: key.id }),
        None => Ok(missing),
    }
}

/// Makes the destination's keys the source's: puts those that are missing, and destroys those that
/// the source has destroyed since they were copied.
pub fn copy_keys(
    from: &dyn Journal,
    to: &dyn Journal,
    missing: u64,
    tell: &mut Tell<'_>,
) -> Result<Copied, Error> {
    let mut copied = Copied::default();
    let (mut waiting, mut put) = (Vec::new(), 0);
    let mut put_waiting = |waiting: &mut Vec<WrappedKey>| -> Result<(), Error> {
        put += waiting.len() as u64;
        to.put_keys(std::mem::take(waiting))?;
        go_on(tell, "copying keys", put, missing)
    };
    each(from, to, |pair| {
        match pair {
            Pair::Both(..) => copied.keys += 1,
            Pair::Ours(key) => {
                copied.keys += 1;
                copied.keys_changed += 1;
                waiting.push(key);
                if waiting.len() >= SLICE_KEYS {
                    put_waiting(&mut waiting)?;
                }
            }
            Pair::Theirs(key) => {
                to.destroy_key(&key.id)?;
                copied.keys_changed += 1;
            }
        }
        Ok(())
    })?;
    if !waiting.is_empty() {
        put_waiting(&mut waiting)?;
    }
    Ok(copied)
}

/// A key that both have under its id, or one of them.
enum Pair {
    Both(WrappedKey, WrappedKey),
    Ours(WrappedKey),
    Theirs(WrappedKey),
}

/// Goes through the keys of both, in the order of their ids.
fn each(
    from: &dyn Journal,
    to: &dyn Journal,
    mut see: impl FnMut(Pair) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut ours, mut theirs) = (Keys::of(from), Keys::of(to));
    let (mut one, mut other) = (ours.next()?, theirs.next()?);
    loop {
        let order = match (&one, &other) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.id.cmp(&other.id),
        };
        let left = if order.is_le() { one.take() } else { None };
        let right = if order.is_ge() { other.take() } else { None };
        if left.is_some() {
            one = ours.next()?;
        }
        if right.is_some() {
            other = theirs.next()?;
        }
        match (left, right) {
            (Some(left), Some(right)) => see(Pair::Both(left, right))?,
            (Some(left), None) => see(Pair::Ours(left))?,
            (None, Some(right)) => see(Pair::Theirs(right))?,
            (None, None) => return Ok(()),
        }
    }
}

/// The keys of a journal, slice by slice.
struct Keys<'a> {
    journal: &'a dyn Journal,
    slice: VecDeque<WrappedKey>,
    after: String,
}

impl<'a> Keys<'a> {
    fn of(journal: &'a dyn Journal) -> Self {
        Self { journal, slice: VecDeque::new(), after: String::new() }
    }

    fn next(&mut self) -> Result<Option<WrappedKey>, JournalError> {
        if self.slice.is_empty() {
            self.slice = self.journal.wrapped_keys(&self.after, SLICE_KEYS)?.into();
        }
        let next = self.slice.pop_front();
        if let Some(key) = &next {
            self.after.clone_from(&key.id);
        }
        Ok(next)
    }
}
