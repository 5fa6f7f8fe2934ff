//! Idempotency keys: which requests were accepted, and what they were told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use events::{Channel, CommandId, DecisionHeader, Digest, IdempotencyKey, Millis, Receipt};

/// The keys that accepted commands took and that have not expired.
#[derive(Debug, Default, PartialEq)]
pub struct Keys {
    /// In boxes, as [orders](super::Orders) are.
    taken: HashMap<Arc<Scope>, Box<Taken>>,
    /// In the order in which they expire, which is not that of recording where a setting changed.
    ages: BTreeMap<(Millis, CommandId), Arc<Scope>>,
}

/// Where a key is unique: one channel, one owner, one operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The channel.
    pub channel: Channel,
    /// `account/<id>`, `login/<digest>` or `token/<digest>`.
    pub owner: String,
    /// The operation.
    pub operation: String,
    /// The key itself.
    pub key: IdempotencyKey,
}

/// What the command that took a key was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// HMAC of its request.
    pub request: Digest,
    /// The command.
    pub command: CommandId,
    /// All that its answer is made of.
    pub receipt: Receipt,
    /// When the key is free again.
    pub expires_at: Millis,
}

impl Keys {
    /// What the command was told that took this key, if one did and the key is not free again.
    pub fn get(&self, scope: &Scope, now: Millis) -> Option<&Taken> {
        self.taken.get(scope).map(Box::as_ref).filter(|taken| taken.expires_at > now)
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Remembers the key of a decision, if it took one, and forgets those that expired before it.
    pub fn evolve(&mut self, header: &DecisionHeader) {
        let now = header.receipt.recorded_at;
        while let Some(oldest) = self.ages.first_entry()
            && oldest.key().0 <= now
        {
            self.taken.remove(&oldest.remove());
        }
        let Some(record) = &header.key else { return };
        let scope = Arc::new(Scope {
            channel: header.channel.clone(),
            owner: record.owner.clone(),
            operation: record.operation.clone(),
            key: record.key.clone(),
        });
        let taken = Taken {
            request: record.request,
            command: header.command,
            receipt: header.receipt.clone(),
            expires_at: record.expires_at,
        };
        self.ages.insert((record.expires_at, header.command), Arc::clone(&scope));
        self.taken.insert(scope, Box::new(taken));
    }
}
