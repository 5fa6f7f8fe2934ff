//! Password hashes: argon2id, off the async threads, a few at a time.
//!
//! One hash costs 19 MiB and some 20 ms of a core. So at most two are made at once, others wait in
//! a bounded line, and a password found right moments ago is recognised without hashing.
//!
//! **Invariant:** only what was verified is remembered, and only as a keyed digest of the account,
//! the stored hash and the password: a changed password is never taken for the old one.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{self, phc::PasswordHash},
};
use events::{Digest, Sealed};
use hmac::{Hmac, KeyInit as _};
use metrics::Counter;
use sha2::Sha256;
use tokio::{
    sync::Semaphore,
    task,
    time::{Instant, timeout},
};

use super::measure;
use crate::keys;

/// What a sealed login name is sealed as; it must be the same in every dialect.
pub const LOGIN: &str = "login";
/// What a sealed password hash is sealed as.
pub const PASSWORD: &str = "password";
/// What a sealed name of a device is sealed as.
pub const TERMINAL: &str = "terminal";

/// How passwords are hashed, and how many at a time.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory of one hash, in KiB; at least 8 for each unit of parallelism.
    pub memory_kib: u32,
    /// Passes over the memory, at least 1.
    pub iterations: u32,
    /// Lanes, 1 to 16,777,215.
    pub parallelism: u32,
    /// Hashes made at the same time, at least 1.
    pub at_once: usize,
    /// Callers that may wait for their turn; further ones are told [`Busy`].
    pub waiting_max: usize,
    /// How long a caller waits for its turn before it is told [`Busy`].
    pub wait_max: Duration,
    /// How long a verified password is recognised without hashing.
    pub remember_for: Duration,
    /// Verified passwords remembered at most; the oldest go first.
    pub remember_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            at_once: 2,
            waiting_max: 64,
            wait_max: Duration::from_secs(5),
            remember_for: Duration::from_secs(5 * 60),
            remember_max: 10_000,
        }
    }
}

/// Options that argon2id cannot work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("passwords cannot be hashed like this: {0}")]
pub struct InvalidOptions(String);

/// There is no turn to be had now. Another try in a second or so may find one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

/// Why a password was neither found right nor wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No turn; nothing was checked.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The stored hash does not open.
    #[error(transparent)]
    Unreadable(#[from] keys::Error),
    /// What is stored is no password hash.
    #[error("the stored password hash is none: {0}")]
    Malformed(String),
}

/// Makes and checks password hashes. Cheap to clone; clones share turns and memory.
#[derive(Clone)]
pub struct Passwords(Arc<Shared>);

struct Shared {
    argon: Argon2<'static>,
    wait_max: Duration,
    /// Room for those who hash and those who wait.
    places: Arc<Semaphore>,
    /// Of these, who may hash now.
    turns: Arc<Semaphore>,
    key: Hmac<Sha256>,
    verified: Mutex<Verified>,
    made: Counter,
}

impl Passwords {
    /// Fails when argon2id cannot work with these options.
    pub fn new(options: Options) -> Result<Self, InvalidOptions> {
        let Options { memory_kib, iterations, parallelism, at_once, .. } = options;
        let params = Params::new(memory_kib, iterations, parallelism, None)
            .map_err(|error| InvalidOptions(error.to_string()))?;
        if at_once == 0 {
            return Err(InvalidOptions("at least one at a time".to_owned()));
        }
        let places = at_once.saturating_add(options.waiting_max).min(Semaphore::MAX_PERMITS);
        Ok(Self(Arc::new(Shared {
            argon: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            wait_max: options.wait_max,
            places: Arc::new(Semaphore::new(places)),
            turns: Arc::new(Semaphore::new(at_once.min(places))),
            key: Hmac::new_from_slice(&keys::random::<32>())
                .expect("HMAC takes a key of any length"),
            verified: Mutex::new(Verified::new(options.remember_for, options.remember_max)),
            made: measure::password_hashes(),
        })))
    }

    /// Hashes a new password under a random salt and gives the PHC string.
    pub async fn hash(&self, password: &str) -> Result<String, Busy> {
        let argon = self.0.argon.clone();
        let password = password.to_owned();
        let hashed = self.in_turn(move || {
            let salt = keys::random::<16>();
            let hash: Result<PasswordHash, _> =
                argon.hash_password_with_salt(password.as_bytes(), &salt);
            // The options were checked, so what is left is memory that is not to be had now.
            hash.map(|hash| hash.to_string()).map_err(|_| Busy)
        });
        hashed.await?
    }

    /// Whether this is the password whose hash is stored. `open` gives the PHC string of the
    /// stored hash; it runs off the async threads, and not at all where the password was verified
    /// moments ago.
    pub async fn verify(
        &self,
        stored: &Sealed,
        open: impl FnOnce(&Sealed) -> Result<String, keys::Error> + Send + 'static,
        password: &str,
    ) -> Result<bool, Error> {
        let credential = self.credential(stored, password);
        if self.verified().contains(&credential) {
            return Ok(true);
        }
        let argon = self.0.argon.clone();
        let (stored, password) = (stored.clone(), password.to_owned());
        let shared = self.clone();
        let right = self.in_turn(move || {
            // Somebody with the same password may have had a turn meanwhile.
            if shared.verified().contains(&credential) {
                return Ok(true);
            }
            let phc = open(&stored)?;
            let malformed = |error: &dyn std::error::Error| Error::Malformed(error.to_string());
            let hash = PasswordHash::new(&phc).map_err(|error| malformed(&error))?;
            match argon.verify_password(password.as_bytes(), &hash) {
                Ok(()) => {
                    shared.verified().insert(credential);
                    Ok(true)
                }
                Err(password_hash::Error::PasswordInvalid) => Ok(false),
                Err(password_hash::Error::OutOfMemory) => Err(Busy.into()),
                Err(error) => Err(malformed(&error)),
            }
        });
        right.await?
    }

    /// Runs `work` on a blocking thread once there is a turn. The turn ends with the work, even
    /// when the caller has gone away meanwhile.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let place = self.0.places.clone().try_acquire_owned().map_err(|_| Busy)?;
        let turn = timeout(self.0.wait_max, self.0.turns.clone().acquire_owned());
        let turn = turn.await.map_err(|_| Busy)?.expect("turns are never closed");
        self.0.made.increment(1);
        let done = task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        // The runtime is going down, or the work panicked and the trace says why.
        done.await.map_err(|_| Busy)
    }

    fn credential(&self, stored: &Sealed, password: &str) -> Digest {
        let account = stored.account();
        let parts = [account.0.as_bytes(), stored.ciphertext().as_bytes(), password.as_bytes()];
        keys::digest(&self.0.key, &parts)
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        self.0.verified.lock().expect("nothing panics while it holds what is verified")
    }
}

/// Credentials that were found right, until their time is up or there are too many.
struct Verified {
    until: HashMap<Digest, Instant>,
    /// Oldest first. All live equally long, so the first here is the first to go.
    order: VecDeque<(Digest, Instant)>,
    lives: Duration,
    max: usize,
}

impl Verified {
    fn new(lives: Duration, max: usize) -> Self {
        Self { until: HashMap::new(), order: VecDeque::new(), lives, max }
    }

    fn contains(&self, credential: &Digest) -> bool {
        self.until.get(credential).is_some_and(|until| Instant::now() < *until)
    }

    fn insert(&mut self, credential: Digest) {
        let now = Instant::now();
        self.order.push_back((credential, now + self.lives));
        self.until.insert(credential, now + self.lives);
        while self.order.len() > self.max || self.order.front().is_some_and(|it| it.1 <= now) {
            let Some((oldest, until)) = self.order.pop_front() else { break };
            // Unless it was verified again since.
            if self.until.get(&oldest) == Some(&until) {
                self.until.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests;
