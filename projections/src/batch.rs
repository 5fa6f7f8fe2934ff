//! A batch: the changes of many events, folded, so that each key is written once.

use std::{borrow::Cow, collections::btree_map::Entry, ops::Bound};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    layers::{Changes, Pending},
    store::{Error, Source, from_json},
};

/// Rows as they are after the events taken in so far, over those that there were.
pub struct Batch<'a> {
    below: &'a dyn Source,
    version: u32,
    changes: Changes,
}

/// A key that has a value, and that, to be changed in place.
pub(crate) type Found<'b> = (Vec<u8>, &'b mut Vec<u8>);

impl<'a> Batch<'a> {
    pub(crate) fn over(below: &'a dyn Source, version: u32) -> Self {
        Self { below, version, changes: Changes::new() }
    }

    /// The version of the rows: the view's own, or one that it [serves](crate::View::SERVES).
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The value of a key: the batch's own, else the store's.
    pub fn get(&self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Error> {
        match self.changes.get(key) {
            Some(pending) => Ok(pending.value.as_deref().map(Cow::Borrowed)),
            None => Ok(self.below.get(key)?.map(Cow::Owned)),
        }
    }

    /// The value of a key, read as JSON.
    pub fn get_json<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        self.get(key)?.map(|value| from_json(key, &value)).transpose()
    }

    /// The value of a key, to be changed in place. Counts as a change whether or not it is one.
    pub fn modify(&mut self, key: Vec<u8>) -> Result<&mut Option<Vec<u8>>, Error> {
        let pending = match self.changes.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let value = self.below.get(unknown.key())?;
                let fresh = value.is_none();
                unknown.insert(Pending { value, fresh })
            }
        };
        Ok(&mut pending.value)
    }

    /// The first key from `from` on and before `to` that has a value, and that, to be changed in
    /// place. Counts as a change whether or not it is one.
    pub fn modify_first(&mut self, from: &[u8], to: &[u8]) -> Result<Option<Found<'_>>, Error> {
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let mut known = self.changes.range::<[u8], _>(bounds);
        let known = known.find(|(_, pending)| pending.value.is_some()).map(|(key, _)| key.clone());
        let mut stored = self.below.range(from..known.as_deref().unwrap_or(to));
        // Where the batch has a key, it knows better.
        let first =
            stored.find(|pair| !matches!(pair, Ok((key, _)) if self.changes.contains_key(key)));
        drop(stored);
        let key = match (first.transpose()?, known) {
            (Some((key, value)), _) => {
                self.changes.insert(key.clone(), Pending { value: Some(value), fresh: false });
                key
            }
            (None, Some(key)) => key,
            (None, None) => return Ok(None),
        };
        let value = self.changes.get_mut(&key).and_then(|pending| pending.value.as_mut());
        Ok(value.map(|value| (key, value)))
    }

    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.set(key, value, false);
    }

    /// Sets a key that has no value until now.
    pub fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.set(key, value, true);
    }

    /// Sets a key to a value as JSON.
    pub fn put_json(&mut self, key: Vec<u8>, value: &impl Serialize) {
        self.put(key, to_json(value));
    }

    /// Sets a key that has no value until now to a value as JSON.
    pub fn insert_json(&mut self, key: Vec<u8>, value: &impl Serialize) {
        self.insert(key, to_json(value));
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Vec<u8>) {
        match self.changes.entry(key) {
            Entry::Occupied(known) if known.get().fresh => drop(known.remove()),
            Entry::Occupied(mut known) => known.get_mut().value = None,
            Entry::Vacant(unknown) => {
                unknown.insert(Pending { value: None, fresh: false });
            }
        }
    }

    fn set(&mut self, key: Vec<u8>, value: Vec<u8>, fresh: bool) {
        match self.changes.entry(key) {
            Entry::Occupied(mut known) => known.get_mut().value = Some(value),
            Entry::Vacant(unknown) => {
                unknown.insert(Pending { value: Some(value), fresh });
            }
        }
    }

    /// What changes, in the order of the keys.
    pub(crate) fn into_changes(mut self) -> Changes {
        self.changes.retain(|_, pending| !pending.fresh || pending.value.is_some());
        self.changes
    }
}

/// A row as JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    serde_json::to_writer(&mut bytes, value).expect("rows have text keys and no failing parts");
    bytes
}
