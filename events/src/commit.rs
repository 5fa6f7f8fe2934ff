//! Commits: decisions that became durable together, chained by hash so that nothing can be put
//! in, taken out or changed unseen.
//!
//! `leaf = SHA-256(0x00 ‖ bytes)` for a decision's header and `SHA-256(0x02 ‖ bytes)` for an event;
//! `hash = SHA-256(0x01 ‖ prev_hash ‖ number ‖ epoch ‖ leaves)`, the leaves in order: header, its
//! events, next header …; `number` and `epoch` as 64-bit big-endian integers. What is hashed is
//! stored and sent as exactly those bytes.

use sha2::{Digest as _, Sha256};

use crate::{CommitNumber, DecisionHeader, Digest, Envelope, Epoch, Position};

/// A SHA-256 of the chain.
pub type Hash = Digest;

/// A decision as recorded: the bytes that are hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedDecision {
    /// A [`DecisionHeader`] as JSON.
    pub header: String,
    /// Each event's [`Envelope`] as JSON.
    pub events: Vec<String>,
}

/// Decisions that became durable together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Where it stands.
    pub number: CommitNumber,
    /// Which writer made it.
    pub epoch: Epoch,
    /// The hash of the commit before; 32 zero bytes for the first.
    pub prev_hash: Hash,
    /// The position of its first event.
    pub first_position: Position,
    /// What was decided, in order; at least one.
    pub decisions: Vec<RecordedDecision>,
    /// The hash of all this; see the module.
    pub hash: Hash,
}

/// A commit that does not continue what came before it, or is not what it says it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Its number is not the next one.
    #[error("commit {found} stands where commit {expected} belongs")]
    Number {
        /// The next number.
        expected: CommitNumber,
        /// Its number.
        found: CommitNumber,
    },
    /// It continues another chain.
    #[error(
        "commit {number} does not continue the chain: its prev_hash is {found}, not {expected}"
    )]
    Chain {
        /// Its number.
        number: CommitNumber,
        /// The hash of the commit before.
        expected: Hash,
        /// Its `prev_hash`.
        found: Hash,
    },
    /// Its hash is not the hash of its bytes.
    #[error("commit {number} was changed: its bytes hash to {computed}, not to {recorded}")]
    Hash {
        /// Its number.
        number: CommitNumber,
        /// The hash it claims.
        recorded: Hash,
        /// The hash of its bytes.
        computed: Hash,
    },
    /// Its epoch is lower than an earlier commit's.
    #[error("commit {number} is of epoch {found}, after one of epoch {expected}")]
    Epoch {
        /// Its number.
        number: CommitNumber,
        /// The epoch of the commit before.
        expected: Epoch,
        /// Its epoch.
        found: Epoch,
    },
    /// Its first event does not stand where the commit before ends.
    #[error("commit {number} begins at position {found}, not at {expected}")]
    Position {
        /// Its number.
        number: CommitNumber,
        /// Where it should begin.
        expected: Position,
        /// Where it begins.
        found: Position,
    },
    /// A header or an event cannot be read, or does not say what its place says.
    #[error("commit {number}: {reason}")]
    Content {
        /// Its number.
        number: CommitNumber,
        /// What is wrong.
        reason: String,
    },
}

/// Where a journal ends: enough to tell whether a commit continues it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The newest commit; 0 where there is none.
    pub number: CommitNumber,
    /// Its writer.
    pub epoch: Epoch,
    /// Its hash; 32 zero bytes where there is none.
    pub hash: Hash,
    /// The newest event; 0 where there is none.
    pub position: Position,
}

impl RecordedDecision {
    /// How many bytes it takes, header and events.
    pub fn bytes(&self) -> usize {
        self.header.len() + self.events.iter().map(String::len).sum::<usize>()
    }
}

impl Commit {
    /// The commit that continues `head` with these decisions.
    pub fn seal(head: &Head, epoch: Epoch, decisions: Vec<RecordedDecision>) -> Self {
        let number = CommitNumber(head.number.0 + 1);
        let hash = hash(head.hash, number, epoch, &decisions);
        let first_position = Position(head.position.0 + 1);
        Self { number, epoch, prev_hash: head.hash, first_position, decisions, hash }
    }

    /// The head of a journal that ends with this commit.
    pub fn head(&self) -> Head {
        let events: usize = self.decisions.iter().map(|decision| decision.events.len()).sum();
        Head {
            number: self.number,
            epoch: self.epoch,
            hash: self.hash,
            position: Position(self.first_position.0 + events as u64 - 1),
        }
    }

    /// Whether this commit is whole and continues `head`: number, chain, epoch, position, hash.
    pub fn continues(&self, head: &Head) -> Result<(), CommitError> {
        let number = self.number;
        let expected = CommitNumber(head.number.0 + 1);
        if number != expected {
            return Err(CommitError::Number { expected, found: number });
        }
        if self.prev_hash != head.hash {
            return Err(CommitError::Chain { number, expected: head.hash, found: self.prev_hash });
        }
        if self.epoch < head.epoch {
            return Err(CommitError::Epoch { number, expected: head.epoch, found: self.epoch });
        }
        let expected = Position(head.position.0 + 1);
        if self.first_position != expected {
            return Err(CommitError::Position { number, expected, found: self.first_position });
        }
        let computed = hash(self.prev_hash, number, self.epoch, &self.decisions);
        if computed != self.hash {
            return Err(CommitError::Hash { number, recorded: self.hash, computed });
        }
        Ok(())
    }

    /// Its headers and envelopes, read, in order. Refuses a decision whose header counts other
    /// events than it has, or an event whose position or id is not its place's.
    pub fn contents(&self) -> Result<Vec<(DecisionHeader, Vec<Envelope>)>, CommitError> {
        let bad = |reason: String| CommitError::Content { number: self.number, reason };
        let mut position = self.first_position;
        let mut contents = Vec::with_capacity(self.decisions.len());
        for decision in &self.decisions {
            let header: DecisionHeader = serde_json::from_str(&decision.header)
                .map_err(|error| bad(format!("a header cannot be read: {error}")))?;
            if header.events as usize != decision.events.len() || decision.events.is_empty() {
                let (said, found) = (header.events, decision.events.len());
                return Err(bad(format!("{} has {found} events, not {said}", header.command)));
            }
            let mut events = Vec::with_capacity(decision.events.len());
            for (n, bytes) in decision.events.iter().enumerate() {
                let envelope: Envelope = serde_json::from_str(bytes)
                    .map_err(|error| bad(format!("event {position} cannot be read: {error}")))?;
                let placed = envelope.position == position
                    && envelope.id.command == header.command
                    && envelope.id.n as usize == n;
                if !placed {
                    let (id, at) = (envelope.id, envelope.position);
                    return Err(bad(format!("event {id} at {at} stands at {position}")));
                }
                position.0 += 1;
                events.push(envelope);
            }
            contents.push((header, events));
        }
        Ok(contents)
    }
}

/// The leaf of a decision's header: `SHA-256(0x00 ‖ bytes)`.
pub fn header_leaf(bytes: &[u8]) -> Hash {
    leaf(0x00, bytes)
}

/// The leaf of an event: `SHA-256(0x02 ‖ bytes)`.
pub fn event_leaf(bytes: &[u8]) -> Hash {
    leaf(0x02, bytes)
}

/// The hash of a commit; see the module.
pub fn hash(
    prev: Hash,
    number: CommitNumber,
    epoch: Epoch,
    decisions: &[RecordedDecision],
) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0x01]);
    hasher.update(prev.0);
    hasher.update(number.0.to_be_bytes());
    hasher.update(epoch.0.to_be_bytes());
    for decision in decisions {
        hasher.update(header_leaf(decision.header.as_bytes()).0);
        for event in &decision.events {
            hasher.update(event_leaf(event.as_bytes()).0);
        }
    }
    Digest(hasher.finalize().into())
}

fn leaf(tag: u8, bytes: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([tag]);
    hasher.update(bytes);
    Digest(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(head: &Head, text: &str) -> Commit {
        let decision = RecordedDecision { header: text.into(), events: vec![text.into()] };
        Commit::seal(head, Epoch(1), vec![decision])
    }

    #[test]
    fn a_commit_continues_one_head_only() {
        let first = commit(&Head::default(), "a");
        assert_eq!(first.continues(&Head::default()), Ok(()));
        let second = commit(&first.head(), "b");
        assert_eq!(second.continues(&first.head()), Ok(()));
        assert!(matches!(second.continues(&Head::default()), Err(CommitError::Number { .. })));
        let other = commit(&Head::default(), "c");
        assert!(matches!(second.continues(&other.head()), Err(CommitError::Chain { .. })));
        let later = Head { epoch: Epoch(2), ..first.head() };
        assert!(matches!(second.continues(&later), Err(CommitError::Epoch { .. })));
    }

    #[test]
    fn every_byte_counts_and_a_header_is_no_event() {
        let whole = commit(&Head::default(), "a");
        let mut changed = whole.clone();
        changed.decisions[0].events[0] = "b".into();
        assert!(matches!(changed.continues(&Head::default()), Err(CommitError::Hash { .. })));
        let mut longer = whole.clone();
        longer.decisions[0].events.push("a".into());
        assert!(matches!(longer.continues(&Head::default()), Err(CommitError::Hash { .. })));
        let mut split = whole;
        split.decisions[0].events.clear();
        split.decisions.push(RecordedDecision { header: "a".into(), events: Vec::new() });
        assert!(matches!(split.continues(&Head::default()), Err(CommitError::Hash { .. })));
    }
}
