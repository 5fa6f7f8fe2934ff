//! One time for the whole engine and its edge. It never goes back behind what is recorded.

use std::sync::{Mutex, MutexGuard};

use events::Millis;
use tokio::time::Instant;

use super::Clock;

/// The machine's clock while it is right; while it is behind the newest event, that event's time
/// and what has passed since. So sessions that are opened after a clock was ahead live as long as
/// others, and recorded times never go back.
pub struct Time {
    clock: Clock,
    /// The newest recorded time, and when it was known.
    newest: Mutex<(Millis, Instant)>,
}

impl Time {
    /// From the newest recorded time on.
    pub fn new(clock: Clock, recorded_at: Millis) -> Self {
        Self { clock, newest: Mutex::new((recorded_at, Instant::now())) }
    }

    /// What the machine's clock says, right or wrong.
    pub fn clock(&self) -> Millis {
        (self.clock)()
    }

    /// The time by which everything is decided and recorded.
    pub fn now(&self) -> Millis {
        let clock = self.clock();
        let (newest, since) = *self.newest();
        if clock >= newest {
            return clock;
        }
        let passed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
        Millis(newest.0.saturating_add(passed))
    }

    /// How far the clock is behind the newest recorded time, in milliseconds; 0 where it is not.
    pub fn behind_ms(&self) -> i64 {
        let newest = self.newest().0;
        newest.0.saturating_sub(self.clock().0).max(0)
    }

    /// Something is recorded at this time, which [`now`](Self::now) gave.
    pub(super) fn recorded(&self, at: Millis) {
        *self.newest() = (at, Instant::now());
    }

    /// Something was recorded at this time, here or elsewhere, before now.
    pub(super) fn reached(&self, at: Millis) {
        let mut newest = self.newest();
        if at > newest.0 {
            *newest = (at, Instant::now());
        }
    }

    fn newest(&self) -> MutexGuard<'_, (Millis, Instant)> {
        self.newest.lock().expect("nothing panics while it holds the time")
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicI64, Ordering},
        },
        time::Duration,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_from_what_is_recorded_while_the_clock_is_behind() {
        let hands = Arc::new(AtomicI64::new(5_000));
        let clock = Arc::clone(&hands);
        let time = Time::new(Arc::new(move || Millis(clock.load(Ordering::SeqCst))), Millis(0));
        assert_eq!((time.now(), time.behind_ms()), (Millis(5_000), 0));
        time.recorded(Millis(5_000));
        hands.store(1_000, Ordering::SeqCst);
        assert_eq!((time.now(), time.behind_ms()), (Millis(5_000), 4_000));
        tokio::time::advance(Duration::from_millis(300)).await;
        assert_eq!(time.now(), Millis(5_300));
        time.recorded(time.now());
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!((time.now(), time.behind_ms()), (Millis(5_500), 4_300));
        hands.store(9_000, Ordering::SeqCst);
        assert_eq!((time.now(), time.behind_ms()), (Millis(9_000), 0));
    }
}
