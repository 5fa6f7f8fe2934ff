//! The tail: the newest durable commits, as the engine recorded them. Who follows the journal closely
//! need not read, hash and decode what this very process has just encoded.
//!
//! **Invariant:** what is here is durable, and is what reading the journal gives. What has fallen out
//! of it is read from the journal.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use events::{Head, Recorded};

/// A commit, decoded.
#[derive(Debug)]
pub struct Followed {
    /// The head that it continues.
    pub before: Head,
    /// The head that it made.
    pub after: Head,
    /// Its events, of all its decisions.
    pub events: Vec<Recorded>,
}

/// Commits that continue each other, the newest; cheap to clone, one for all clones.
#[derive(Clone, Default)]
pub struct Tail(Arc<Shared>);

#[derive(Default)]
struct Shared {
    events_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    commits: VecDeque<Arc<Followed>>,
    events: usize,
}

impl Tail {
    /// Keeps so many events, about: commits stay whole, and the newest one is always there.
    pub fn keeping(events_max: usize) -> Self {
        Self(Arc::new(Shared { events_max, kept: Mutex::default() }))
    }

    /// How many events are kept, about; none by default.
    pub fn events_max(&self) -> usize {
        self.0.events_max
    }

    /// Adds the newest commit. One that does not continue those before leaves nothing of them.
    pub fn push(&self, commit: Arc<Followed>) {
        if self.0.events_max == 0 {
            return;
        }
        let mut kept = self.kept();
        if kept.commits.back().is_some_and(|last| last.after != commit.before) {
            *kept = Kept::default();
        }
        kept.events += commit.events.len();
        kept.commits.push_back(commit);
        while kept.events > self.0.events_max && kept.commits.len() > 1 {
            kept.events -= kept.commits.pop_front().map_or(0, |oldest| oldest.events.len());
        }
    }

    /// The commits that continue `head`, as many as hold together `events_max` events, at least one
    /// where there is one. None where the next one is not, or not any more, here.
    pub fn after(&self, head: &Head, events_max: usize) -> Vec<Arc<Followed>> {
        let kept = self.kept();
        let Some(first) = kept.commits.front() else { return Vec::new() };
        let skipped = head.number.0.checked_sub(first.before.number.0);
        let mut found: Vec<Arc<Followed>> = Vec::new();
        let mut events = 0;
        for commit in kept.commits.iter().skip(skipped.map_or(usize::MAX, |n| n as usize)) {
            let continued = found.last().map_or(head, |last| &last.after);
            events += commit.events.len();
            if commit.before != *continued || (events > events_max && !found.is_empty()) {
                break;
            }
            found.push(Arc::clone(commit));
        }
        found
    }

    /// A panic leaves nothing half-done behind this lock: at worst a commit is read again.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("events_max", &self.0.events_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use events::{
        AccountId, Channel, CommandId, CommitNumber, Currency, Digest, Event, EventId, Millis,
        Money, MoneyMove, Position, Pot, Subject, WalletCharged,
    };
    use uuid::Uuid;

    use super::*;

    fn head(number: u8) -> Head {
        let (number, position) = (CommitNumber(number.into()), Position(2 * u64::from(number)));
        Head { number, hash: Digest([position.0 as u8; 32]), position, ..Head::default() }
    }

    /// A commit of two events.
    fn commit(number: u8) -> Arc<Followed> {
        let account = AccountId(Uuid::nil());
        let amount = Money { minor: 1, currency: Currency::CNY };
        let money = MoneyMove { from: Pot::Outside, to: Pot::Wallet(account), amount };
        let event = |n| Recorded {
            position: Position(2 * u64::from(number) - 1 + u64::from(n)),
            id: EventId { command: CommandId(Uuid::nil()), n },
            subject: Subject::account(account),
            recorded_at: Millis(0),
            channel: Channel::new("shop").unwrap(),
            event: Event::WalletCharged(WalletCharged { account, money }),
        };
        Arc::new(Followed {
            before: head(number - 1),
            after: head(number),
            events: vec![event(0), event(1)],
        })
    }

    fn numbers(found: &[Arc<Followed>]) -> Vec<u64> {
        found.iter().map(|commit| commit.after.number.0).collect()
    }

    #[test]
    fn the_newest_are_there_and_older_ones_are_not() {
        let tail = Tail::keeping(6);
        assert!(tail.after(&head(0), 100).is_empty());
        (1..=5).for_each(|number| tail.push(commit(number)));
        assert_eq!(numbers(&tail.after(&head(2), 100)), [3, 4, 5]);
        assert_eq!(numbers(&tail.after(&head(3), 100)), [4, 5]);
        assert_eq!(numbers(&tail.after(&head(2), 5)), [3, 4]);
        assert_eq!(numbers(&tail.after(&head(2), 1)), [3], "at least one");
        for gone in [0, 1, 5, 6] {
            assert!(tail.after(&head(gone), 100).is_empty(), "after {gone}");
        }
        let elsewhere = Head { hash: Digest([99; 32]), ..head(3) };
        assert!(tail.after(&elsewhere, 100).is_empty(), "a place in another chain");
    }

    #[test]
    fn a_gap_leaves_nothing_of_what_was_before() {
        let tail = Tail::keeping(100);
        [1, 2, 4].into_iter().for_each(|number| tail.push(commit(number)));
        assert!(tail.after(&head(1), 100).is_empty());
        assert_eq!(numbers(&tail.after(&head(3), 100)), [4]);
    }

    #[test]
    fn one_that_keeps_nothing_keeps_nothing() {
        let tail = Tail::default();
        tail.push(commit(1));
        assert!(tail.after(&head(0), 100).is_empty());
    }
}
