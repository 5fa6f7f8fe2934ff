//! Data keys in memory: bounded, and those least used go first.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use events::AccountId;

use super::AccountKey;

/// Two generations of keys. What is used moves to the young one; when that has grown to half of
/// what may be kept, the old one goes and the young one takes its place.
pub(super) struct Cache {
    young: HashMap<AccountId, AccountKey>,
    old: HashMap<AccountId, AccountKey>,
    generation_max: usize,
    forgettings: u64,
    /// Accounts whose stored keys are being destroyed, or could not be.
    closed: HashSet<AccountId>,
}

impl Cache {
    /// Keeps at most `keys_max` keys, at least 2.
    pub(super) fn new(keys_max: usize) -> Self {
        let generation_max = (keys_max / 2).max(1);
        let (young, old, closed) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { young, old, generation_max, forgettings: 0, closed }
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

    /// Drops a key that is going to be destroyed; until it is [forgotten](Self::forget) no other
    /// may be loaded in its place.
    pub(super) fn close(&mut self, account: AccountId) {
        self.forget(account);
        self.closed.insert(account);
    }

    pub(super) fn is_closed(&self, account: AccountId) -> bool {
        self.closed.contains(&account)
    }

    /// Drops a key that is destroyed.
    pub(super) fn forget(&mut self, account: AccountId) {
        self.young.remove(&account);
        self.old.remove(&account);
        self.closed.remove(&account);
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
