//! Data keys in memory: bounded, and those least used go first.

use std::{collections::HashMap, mem};

use events::AccountId;

use super::AccountKey;

/// Two generations of keys. What is used moves to the young one; when that has grown to half of
/// what may be kept, the old one goes and the young one takes its place.
pub(super) struct Cache {
    young: HashMap<AccountId, AccountKey>,
    old: HashMap<AccountId, AccountKey>,
    generation_max: usize,
    forgettings: u64,
}

impl Cache {
    /// Keeps at most `keys_max` keys, at least 2.
    pub(super) fn new(keys_max: usize) -> Self {
        let generation_max = (keys_max / 2).max(1);
        Self { young: HashMap::new(), old: HashMap::new(), generation_max, forgettings: 0 }
    }

    pub(super) fn get(&mut self, account: AccountId) -> Option<AccountKey> {
        if let Some(key) = self.young.get(&account) {
            return Some(key.clone());
        }
        let key = self.old.remove(&account)?;
        self.insert(key.clone());
        Some(key)
    }

    pub(super) fn insert(&mut self, key: AccountKey) {
        if self.young.len() >= self.generation_max {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key.account, key);
    }

    pub(super) fn forget(&mut self, account: AccountId) {
        self.young.remove(&account);
        self.old.remove(&account);
        self.forgettings += 1;
    }

    /// How many keys were forgotten so far.
    pub(super) fn forgettings(&self) -> u64 {
        self.forgettings
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
