//! A bounded memory of what was let in, so that nothing is let in twice.

use std::collections::{BTreeMap, HashSet};

use events::Millis;

/// How much time one heap of nonces covers, in milliseconds; they are forgotten together.
const HEAP_MS: i64 = 1000;

/// Nonces by the time that was signed with them: who repeats a request repeats its time too.
///
/// **Invariant:** a nonce is remembered as long as its time may be let in, whatever the clock does.
pub(super) struct Seen {
    heaps: BTreeMap<i64, HashSet<u128>>,
    count: usize,
    most: usize,
    /// What was signed before this time is no longer known, so none of it may be let in.
    forgotten_before: Millis,
}

/// Why a nonce may not be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It was.
    Replayed,
    /// It may have been: nothing of its time is remembered.
    Forgotten,
    /// It could not be remembered.
    Full,
}

impl Seen {
    /// Remembers at most so many nonces, and knows nothing of what came before `now`.
    pub(super) fn new(most: usize, now: Millis) -> Self {
        Self { heaps: BTreeMap::new(), count: 0, most, forgotten_before: now }
    }

    /// Forgets what is older than `old`, which nobody lets in any more, and takes in a nonce.
    pub(super) fn take_in(&mut self, nonce: u128, time: Millis, old: Millis) -> Result<(), Again> {
        self.forget(old);
        if time < self.forgotten_before {
            return Err(Again::Forgotten);
        }
        let key = time.0.div_euclid(HEAP_MS);
        if self.heaps.get(&key).is_some_and(|heap| heap.contains(&nonce)) {
            return Err(Again::Replayed);
        }
        if self.count >= self.most {
            return Err(Again::Full);
        }
        self.heaps.entry(key).or_default().insert(nonce);
        self.count += 1;
        Ok(())
    }

    fn forget(&mut self, old: Millis) {
        while let Some(heap) = self.heaps.first_entry() {
            let end = Millis(heap.key().saturating_add(1).saturating_mul(HEAP_MS));
            if end > old {
                break;
            }
            self.count -= heap.remove().len();
            self.forgotten_before = self.forgotten_before.max(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_000_000;

    fn take(seen: &mut Seen, nonce: u128, time: i64, old: i64) -> Result<(), Again> {
        seen.take_in(nonce, Millis(START + time), Millis(START + old))
    }

    #[test]
    fn a_nonce_is_let_in_once_while_its_time_counts_and_not_after() {
        let seen = &mut Seen::new(10, Millis(START));
        assert_eq!(take(seen, 1, 500, -30_000), Ok(()));
        assert_eq!(take(seen, 1, 500, -30_000), Err(Again::Replayed));
        assert_eq!(take(seen, 2, 500, -30_000), Ok(()));
        for old in [0, 400, 500, 501, 999, 1000, 9000, 0] {
            let again = take(seen, 1, 500, old);
            assert!(matches!(again, Err(Again::Replayed | Again::Forgotten)), "{old}: {again:?}");
        }
        assert_eq!(seen.count, 0, "what nobody lets in takes no room");
    }

    #[test]
    fn what_was_before_the_start_is_not_let_in() {
        let seen = &mut Seen::new(10, Millis(START));
        assert_eq!(take(seen, 1, -1, -30_000), Err(Again::Forgotten));
        assert_eq!(take(seen, 1, 0, -30_000), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_lets_nothing_in_twice() {
        let seen = &mut Seen::new(10, Millis(START));
        assert_eq!(take(seen, 1, 5_000, -25_000), Ok(()));
        // Ahead by an hour, whereby all is forgotten, and back.
        assert_eq!(take(seen, 2, 3_600_000, 3_570_000), Ok(()));
        assert_eq!(take(seen, 1, 5_000, -20_000), Err(Again::Forgotten));
        assert_eq!(take(seen, 3, 6_000, -20_000), Ok(()), "time goes on where it was");
        assert_eq!(take(seen, 2, 3_600_000, 3_570_000), Err(Again::Replayed));
    }

    #[test]
    fn a_full_memory_lets_nothing_in_and_forgets_nothing() {
        let seen = &mut Seen::new(2, Millis(START));
        assert_eq!(take(seen, 1, 0, -30_000), Ok(()));
        assert_eq!(take(seen, 2, 1_000, -30_000), Ok(()));
        assert_eq!(take(seen, 3, 2_000, -30_000), Err(Again::Full));
        assert_eq!(take(seen, 1, 0, -30_000), Err(Again::Replayed));
        assert_eq!(take(seen, 3, 2_000, 1_000), Ok(()), "room was made");
        assert_eq!(take(seen, 4, 2_000, 1_000), Err(Again::Full));
        assert_eq!(take(seen, 2, 1_000, 1_000), Err(Again::Replayed));
    }
}
