//! Guessing passwords is slow: after five wrong ones within a minute, an account and a client's
//! address have to wait until the first of the five is a minute old.
//!
//! **Invariant:** an attempt takes its place before the password is looked at, so however many
//! are on their way at once, no more than five wrong passwords are looked at in a minute. That
//! holds for passwords remembered as right too, or a guesser could ask for those without end.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use events::Digest;
use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::{Instant, timeout_at},
};

/// What to tell a client that need only wait for others of its own attempts.
const SOON: Duration = Duration::from_secs(1);

/// How much guessing is too much.
#[derive(Debug, Clone)]
pub struct Options {
    /// Wrong passwords that one account and address may send within [`Options::within`].
    pub failures_max: usize,
    /// How long a wrong password counts.
    pub within: Duration,
    /// How long an attempt waits for others of the same account and address to be decided.
    pub wait_max: Duration,
    /// Pairs of account and address remembered at most; the one quiet for longest goes first.
    pub pairs_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            failures_max: 5,
            within: Duration::from_secs(60),
            wait_max: Duration::from_secs(5),
            pairs_max: 10_000,
        }
    }
}

/// Too many wrong passwords; the next is looked at after this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many wrong passwords; try again in {} s", self.seconds())]
pub struct RetryAfter(pub Duration);

impl RetryAfter {
    /// Whole seconds, rounded up, as the header `Retry-After` has them.
    pub fn seconds(&self) -> u64 {
        self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0)
    }
}

/// Counts wrong passwords. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct Lockout(Arc<Shared>);

/// A place for one look at a password. Say how it went; dropped without a word, as when the
/// client goes away, it counts as failed.
#[must_use = "an attempt that is dropped counts as failed"]
pub struct Attempt {
    shared: Arc<Shared>,
    pair: Pair,
    outcome: Outcome,
}

type Pair = (Digest, IpAddr);

struct Shared {
    options: Options,
    pairs: Mutex<HashMap<Pair, Attempts>>,
}

/// The attempts of one pair. There is an entry while one is in flight or has failed of late.
#[derive(Default)]
struct Attempts {
    /// When, oldest first.
    failed: VecDeque<Instant>,
    in_flight: usize,
    /// Wakes those who wait for the ones in flight.
    decided: Arc<Notify>,
}

#[derive(Clone, Copy)]
enum Outcome {
    Failed,
    Succeeded,
    Unused,
}

enum Place {
    Taken(Attempt),
    Wait(OwnedNotified),
}

impl Lockout {
    /// Nobody has failed yet.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Shared { options, pairs: Mutex::default() }))
    }

    /// Takes a place for one look at a password of `who` (a digest of the account or the login
    /// name) from an address. Where the attempts in flight have taken all places, waits until one
    /// of them is decided, so that a client with the right password may send many requests at
    /// once.
    pub async fn check(&self, who: Digest, address: IpAddr) -> Result<Attempt, RetryAfter> {
        let pair = (who, network(address));
        let deadline = Instant::now() + self.0.options.wait_max;
        loop {
            match self.0.take_place(pair)? {
                Place::Taken(attempt) => return Ok(attempt),
                Place::Wait(decided) => {
                    timeout_at(deadline, decided).await.map_err(|_| RetryAfter(SOON))?;
                }
            }
        }
    }
}

impl Attempt {
    /// The password was wrong.
    pub fn failed(self) {}

    /// The password was right. The wrong ones before it still count: where many clients share an
    /// address, it may have been somebody else's.
    pub fn succeeded(mut self) {
        self.outcome = Outcome::Succeeded;
    }

    /// No password was looked at, as when the server is too busy.
    pub fn unused(mut self) {
        self.outcome = Outcome::Unused;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.shared.decide(self.pair, self.outcome);
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt(..)")
    }
}

impl Shared {
    fn take_place(self: &Arc<Self>, pair: Pair) -> Result<Place, RetryAfter> {
        let now = Instant::now();
        let Options { failures_max, within, pairs_max, .. } = self.options;
        let mut pairs = self.pairs();
        if !pairs.contains_key(&pair) && pairs.len() >= pairs_max {
            make_room(&mut pairs, pairs_max, now, within)?;
        }
        let attempts = pairs.entry(pair).or_default();
        while attempts.failed.front().is_some_and(|at| now - *at >= within) {
            attempts.failed.pop_front();
        }
        if attempts.failed.len() >= failures_max {
            let oldest = attempts.failed.front().copied().unwrap_or(now);
            return Err(RetryAfter(oldest + within - now));
        }
        if attempts.failed.len() + attempts.in_flight >= failures_max {
            return Ok(Place::Wait(attempts.decided.clone().notified_owned()));
        }
        attempts.in_flight += 1;
        Ok(Place::Taken(Attempt { shared: self.clone(), pair, outcome: Outcome::Failed }))
    }

    fn decide(&self, pair: Pair, outcome: Outcome) {
        let mut pairs = self.pairs();
        let attempts = pairs.get_mut(&pair).expect("a pair with an attempt in flight is kept");
        attempts.in_flight -= 1;
        match outcome {
            Outcome::Failed => attempts.failed.push_back(Instant::now()),
            Outcome::Succeeded | Outcome::Unused => {}
        }
        attempts.decided.notify_waiters();
        if attempts.in_flight == 0 && attempts.failed.is_empty() {
            pairs.remove(&pair);
        }
    }

    fn pairs(&self) -> MutexGuard<'_, HashMap<Pair, Attempts>> {
        self.pairs.lock().expect("nothing panics while it holds the attempts")
    }
}

/// Drops the pairs whose failures count no longer, or else the one quiet for longest. A pair with
/// an attempt in flight stays; the line for password hashes bounds how many those are.
fn make_room(
    pairs: &mut HashMap<Pair, Attempts>,
    pairs_max: usize,
    now: Instant,
    within: Duration,
) -> Result<(), RetryAfter> {
    let failed_last = |it: &Attempts| it.failed.back().copied();
    pairs.retain(|_, it| it.in_flight > 0 || failed_last(it).is_some_and(|at| now - at < within));
    if pairs.len() < pairs_max {
        return Ok(());
    }
    let idle = pairs.iter().filter(|(_, it)| it.in_flight == 0);
    let quiet = idle.min_by_key(|(_, it)| failed_last(it)).map(|(pair, _)| *pair);
    pairs.remove(&quiet.ok_or(RetryAfter(SOON))?);
    Ok(())
}

/// Whom an address stands for: itself, or for IPv6 its /64, all of which one client can use.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(it) => {
            let prefix = u128::from(it) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        it @ IpAddr::V4(_) => it,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Digest = Digest([1; 32]);
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn lockout() -> Lockout {
        Lockout::new(Options::default())
    }

    async fn fail(lockout: &Lockout, times: usize) {
        for _ in 0..times {
            lockout.check(WHO, HERE).await.unwrap().failed();
        }
    }

    async fn seconds_left(lockout: &Lockout) -> u64 {
        lockout.check(WHO, HERE).await.unwrap_err().seconds()
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn after_five_failures_the_pair_waits_until_the_first_is_a_minute_old() {
        let lockout = lockout();
        fail(&lockout, 1).await;
        pass(10).await;
        fail(&lockout, 4).await;
        assert_eq!(seconds_left(&lockout).await, 50);
        pass(49).await;
        assert_eq!(seconds_left(&lockout).await, 1);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(seconds_left(&lockout).await, 1, "rounded up");
        tokio::time::advance(Duration::from_millis(500)).await;
        fail(&lockout, 1).await;
        assert_eq!(seconds_left(&lockout).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn others_and_other_addresses_are_free() {
        let lockout = lockout();
        fail(&lockout, 5).await;
        lockout.check(Digest([2; 32]), HERE).await.unwrap().unused();
        lockout.check(WHO, "10.0.0.1".parse().unwrap()).await.unwrap().unused();
        lockout.check(WHO, "::ffff:127.0.0.1".parse().unwrap()).await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn the_addresses_of_one_ipv6_network_are_one() {
        let lockout = lockout();
        for i in 0..5 {
            let address = format!("2001:db8::{i}").parse().unwrap();
            lockout.check(WHO, address).await.unwrap().failed();
        }
        lockout.check(WHO, "2001:db8::ffff".parse().unwrap()).await.unwrap_err();
        lockout.check(WHO, "2001:db8:0:1::".parse().unwrap()).await.unwrap().unused();
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_password_does_not_forgive_the_wrong_ones() {
        let lockout = lockout();
        fail(&lockout, 4).await;
        lockout.check(WHO, HERE).await.unwrap().succeeded();
        fail(&lockout, 1).await;
        assert_eq!(seconds_left(&lockout).await, 60);
        pass(60).await;
        lockout.check(WHO, HERE).await.unwrap().succeeded();
        assert!(lockout.0.pairs().is_empty(), "nothing is left to remember");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_dropped_has_failed_and_what_is_unused_has_not() {
        let lockout = lockout();
        for _ in 0..10 {
            lockout.check(WHO, HERE).await.unwrap().unused();
        }
        for _ in 0..5 {
            drop(lockout.check(WHO, HERE).await.unwrap());
        }
        assert_eq!(seconds_left(&lockout).await, 60);
    }

    /// Sends 20 attempts at once, decides each as `decide` does, and counts how many got a place.
    async fn burst(decide: fn(Attempt)) -> usize {
        let lockout = lockout();
        let attempts = (0..20).map(|_| {
            let lockout = lockout.clone();
            tokio::spawn(async move {
                let Ok(attempt) = lockout.check(WHO, HERE).await else { return 0 };
                let in_flight = lockout.0.pairs().values().map(|it| it.in_flight).sum::<usize>();
                assert!(in_flight <= 5);
                tokio::task::yield_now().await;
                decide(attempt);
                1
            })
        });
        let mut placed = 0;
        for attempt in attempts.collect::<Vec<_>>() {
            placed += attempt.await.unwrap();
        }
        placed
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_attempts_at_once_five_may_fail_and_all_may_succeed() {
        assert_eq!(burst(Attempt::failed).await, 5);
        assert_eq!(burst(Attempt::succeeded).await, 20);
        assert_eq!(burst(Attempt::unused).await, 20);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_attempts_in_flight_has_an_end() {
        let lockout = lockout();
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(lockout.check(WHO, HERE).await.unwrap());
        }
        let before = Instant::now();
        assert_eq!(seconds_left(&lockout).await, 1);
        assert_eq!(before.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn few_pairs_are_remembered_and_the_quietest_goes_first() {
        let lockout = Lockout::new(Options { pairs_max: 3, failures_max: 1, ..Options::default() });
        let check = |i: u8| lockout.check(Digest([i; 32]), HERE);
        for i in 0..3 {
            check(i).await.unwrap().failed();
            pass(1).await;
        }
        check(3).await.unwrap().failed();
        assert_eq!(lockout.0.pairs().len(), 3);
        check(1).await.unwrap_err();
        let busy = check(0).await.unwrap();
        assert_eq!(lockout.0.pairs().len(), 3);
        check(2).await.unwrap_err();
        pass(60).await;
        check(4).await.unwrap().failed();
        assert_eq!(lockout.0.pairs().len(), 2, "the busy one and the new one");
        busy.failed();
        check(0).await.unwrap_err();
    }
}
