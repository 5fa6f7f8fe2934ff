//! Passwords: hashing, checking, waiting for a turn, and giving up.

use std::sync::{
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

use events::AccountId;
use tokio::sync::mpsc as tokio_mpsc;
use uuid::Uuid;

use super::*;

/// The cheapest hashes there are.
fn cheap() -> Options {
    Options { memory_kib: 8, iterations: 1, ..Options::default() }
}

fn passwords() -> Passwords {
    Passwords::new(cheap()).unwrap()
}

/// As if `phc` was sealed: here the "ciphertext" is the text itself.
fn stored(phc: &str) -> Sealed {
    Sealed::new(AccountId(Uuid::from_u128(1)), phc.to_owned())
}

fn open(sealed: &Sealed) -> Result<String, keys::Error> {
    Ok(sealed.ciphertext().to_owned())
}

fn must_not_open(_: &Sealed) -> Result<String, keys::Error> {
    panic!("this password needs no hashing")
}

#[tokio::test]
async fn a_password_is_right_or_wrong() {
    let passwords = passwords();
    let phc = passwords.hash("秘密").await.unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{phc}");
    assert_ne!(passwords.hash("秘密").await.unwrap(), phc, "the salt is random");
    let stored = stored(&phc);
    assert!(!passwords.verify(&stored, open, "").await.unwrap());
    assert!(!passwords.verify(&stored, open, "秘").await.unwrap());
    assert!(passwords.verify(&stored, open, "秘密").await.unwrap());
}

#[tokio::test]
async fn hashes_made_with_other_options_are_still_checked() {
    let stored = stored(&passwords().hash("a").await.unwrap());
    let dearer = Passwords::new(Options { memory_kib: 16, iterations: 2, ..cheap() }).unwrap();
    assert!(dearer.verify(&stored, open, "a").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_was_right_moments_ago_is_not_hashed_again() {
    let passwords = passwords();
    let stored = stored(&passwords.hash("a").await.unwrap());
    assert!(passwords.verify(&stored, open, "a").await.unwrap());
    assert!(passwords.verify(&stored, must_not_open, "a").await.unwrap());
    // Never a wrong one, nor the same password under another hash or for another account.
    assert!(!passwords.verify(&stored, open, "b").await.unwrap());
    let remembers =
        |stored: &Sealed| passwords.verified().contains(&passwords.credential(stored, "a"));
    assert!(!passwords.verified().contains(&passwords.credential(&stored, "b")));
    let other = Sealed::new(AccountId(Uuid::from_u128(2)), stored.ciphertext().to_owned());
    assert!(!remembers(&other));
    let changed = self::stored(&passwords.hash("b").await.unwrap());
    assert!(!remembers(&changed));
    assert!(!passwords.verify(&changed, open, "a").await.unwrap());

    tokio::time::advance(cheap().remember_for - Duration::from_millis(1)).await;
    assert!(remembers(&stored));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(!remembers(&stored), "being used does not prolong it");
    assert!(passwords.verify(&stored, open, "a").await.unwrap());
    assert_eq!(passwords.verified().order.len(), 1, "what is over is gone");
}

#[tokio::test(start_paused = true)]
async fn few_are_remembered() {
    let mut verified = Verified::new(Duration::from_secs(60), 3);
    for i in 0..10 {
        verified.insert(Digest([i; 32]));
        verified.insert(Digest([i; 32]));
        assert!(verified.until.len() <= 3 && verified.order.len() <= 3);
        assert!(verified.contains(&Digest([i; 32])));
    }
    let mut none = Verified::new(Duration::from_secs(60), 0);
    none.insert(Digest::default());
    assert!(!none.contains(&Digest::default()));
}

#[tokio::test]
async fn what_cannot_be_checked_is_an_error() {
    let passwords = passwords();
    let error = passwords.verify(&stored("plain"), open, "plain").await.unwrap_err();
    assert!(matches!(error, Error::Malformed(_)), "{error:?}");
    let erased = |it: &Sealed| Err(keys::Error::Erased(it.account()));
    let error = passwords.verify(&stored("x"), erased, "a").await.unwrap_err();
    assert!(matches!(error, Error::Unreadable(keys::Error::Erased(_))));
    for options in [
        Options { memory_kib: 7, ..cheap() },
        Options { iterations: 0, ..cheap() },
        Options { parallelism: 0, ..cheap() },
        Options { at_once: 0, ..cheap() },
    ] {
        assert!(Passwords::new(options).is_err());
    }
}

/// A piece of work that says when it has begun and ends when it is told to.
struct Gate {
    begun: tokio_mpsc::UnboundedSender<()>,
    open: Arc<Mutex<mpsc::Receiver<()>>>,
    running: Arc<AtomicUsize>,
    running_most: Arc<AtomicUsize>,
}

impl Gate {
    fn new() -> (Self, tokio_mpsc::UnboundedReceiver<()>, mpsc::Sender<()>) {
        let (begun, beginnings) = tokio_mpsc::unbounded_channel();
        let (opener, open) = mpsc::channel();
        let open = Arc::new(Mutex::new(open));
        (
            Self { begun, open, running: Arc::default(), running_most: Arc::default() },
            beginnings,
            opener,
        )
    }

    fn work(&self) -> impl FnOnce() + Send + 'static {
        let Self { begun, open, running, running_most } = self;
        let (begun, open) = (begun.clone(), open.clone());
        let (running, running_most) = (running.clone(), running_most.clone());
        move || {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            running_most.fetch_max(now, Ordering::SeqCst);
            begun.send(()).unwrap();
            open.lock().unwrap().recv().unwrap();
            running.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn two_are_hashed_at_a_time_and_a_few_wait() {
    let passwords = Passwords::new(Options { waiting_max: 3, ..cheap() }).unwrap();
    let (gate, mut beginnings, opener) = Gate::new();
    let spawn = || {
        let (passwords, work) = (passwords.clone(), gate.work());
        tokio::spawn(async move { passwords.in_turn(work).await })
    };
    let tasks: Vec<_> = (0..5).map(|_| spawn()).collect();
    beginnings.recv().await.unwrap();
    beginnings.recv().await.unwrap();
    while passwords.0.places.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(passwords.0.turns.available_permits(), 0);
    assert_eq!(
        passwords.hash("a").await,
        Err(Busy),
        "two hash, three wait, a sixth is one too many"
    );
    (0..5).for_each(|_| opener.send(()).unwrap());
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(gate.running_most.load(Ordering::SeqCst), 2);
    assert_eq!(passwords.0.places.available_permits(), 5);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let passwords = passwords();
    let held = passwords.0.turns.clone().acquire_many_owned(2).await.unwrap();
    let before = Instant::now();
    assert_eq!(passwords.hash("a").await, Err(Busy));
    assert_eq!(before.elapsed().as_secs(), 5);
    drop(held);
    passwords.hash("a").await.unwrap();
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_turn_back_when_the_hashing_ends() {
    let passwords = passwords();
    let (gate, mut beginnings, opener) = Gate::new();
    let task = tokio::spawn({
        let (passwords, work) = (passwords.clone(), gate.work());
        async move { passwords.in_turn(work).await }
    });
    beginnings.recv().await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(passwords.0.turns.available_permits(), 1, "the hashing goes on");
    opener.send(()).unwrap();
    drop(passwords.0.turns.acquire_many(2).await.unwrap());
}

#[tokio::test]
async fn many_with_one_password_cost_few_hashes() {
    let passwords = passwords();
    let stored = stored(&passwords.hash("a").await.unwrap());
    let hashed = Arc::new(AtomicUsize::new(0));
    let tasks = (0..20).map(|_| {
        let (passwords, stored, hashed) = (passwords.clone(), stored.clone(), hashed.clone());
        tokio::spawn(async move {
            let open = move |it: &Sealed| {
                hashed.fetch_add(1, Ordering::SeqCst);
                open(it)
            };
            passwords.verify(&stored, open, "a").await.unwrap()
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert!(task.await.unwrap());
    }
    assert!(hashed.load(Ordering::SeqCst) <= 2, "those at once, and nobody after them");
}
