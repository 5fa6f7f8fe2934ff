//! The key ring: what it makes, keeps, opens, and no longer opens.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use expect_test::expect;
use uuid::Uuid;

use super::*;

/// Wrapped keys in memory, which count how often they are asked for.
#[derive(Default)]
struct Shelf {
    keys: Mutex<HashMap<String, WrappedKey>>,
    loads: AtomicUsize,
    /// What happens once while a key is being loaded.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Whether keys cannot be destroyed.
    stuck: AtomicBool,
}

impl Shelf {
    fn put(&self, key: WrappedKey) {
        self.keys.lock().unwrap().insert(key.id.clone(), key);
    }
    fn destroy(&self, account: AccountId) {
        self.keys.lock().unwrap().remove(&key_id(account));
    }
}

impl WrappedKeys for Shelf {
    fn load(&self, id: &str) -> Result<Option<WrappedKey>, StoreError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let found = self.keys.lock().unwrap().get(id).cloned();
        if let Some(happen) = self.meanwhile.lock().unwrap().take() {
            happen();
        }
        Ok(found)
    }
    fn ensure(&self, key: WrappedKey) -> Result<WrappedKey, StoreError> {
        Ok(self.keys.lock().unwrap().entry(key.id.clone()).or_insert(key).clone())
    }
    fn destroy(&self, id: &str) -> Result<(), StoreError> {
        if self.stuck.load(Ordering::Relaxed) {
            return Err("the disk fails".into());
        }
        self.keys.lock().unwrap().remove(id);
        Ok(())
    }
}

fn master(byte: u8) -> MasterKey {
    MasterKey::parse(&format!("{byte:02x}").repeat(32)).unwrap()
}

fn ring_on(shelf: &Arc<Shelf>) -> KeyRing {
    KeyRing::load(master(7), shelf.clone()).unwrap()
}

/// A ring with one recorded account.
fn ring() -> (KeyRing, Arc<Shelf>, AccountId) {
    let shelf = Arc::new(Shelf::default());
    let ring = ring_on(&shelf);
    let account = recorded(&ring, &shelf);
    (ring, shelf, account)
}

fn recorded(ring: &KeyRing, shelf: &Shelf) -> AccountId {
    let account = AccountId(Uuid::new_v4());
    shelf.put(ring.new_account_key(account).1);
    account
}

#[test]
fn what_is_sealed_opens_again_and_never_looks_the_same() {
    let (ring, shelf, account) = ring();
    let sealed = ring.seal(account, "login", "小明").unwrap();
    assert_eq!(ring.open(&sealed, "login").unwrap(), "小明");
    assert_ne!(ring.seal(account, "login", "小明").unwrap(), sealed);
    assert_eq!(ring_on(&shelf).open(&sealed, "login").unwrap(), "小明", "after a restart");
}

#[test]
fn a_new_account_is_sealed_for_before_its_key_is_stored() {
    let (ring, shelf, _) = ring();
    let account = AccountId(Uuid::new_v4());
    let (key, wrapped) = ring.new_account_key(account);
    let sealed = ring.seal_with(&key, "login", "a");
    assert_eq!((key.account(), sealed.account()), (account, account));
    assert!(matches!(ring.open(&sealed, "login"), Err(Error::Erased(it)) if it == account));
    assert_eq!(wrapped.id, format!("account/{account}"));
    shelf.put(wrapped);
    assert_eq!(ring.open(&sealed, "login").unwrap(), "a");
}

#[test]
fn a_field_opens_only_as_what_it_was_sealed_for() {
    let (ring, shelf, account) = ring();
    let sealed = ring.seal(account, "login", "a").unwrap();
    let refused = |sealed: &Sealed, purpose: &str| {
        matches!(ring.open(sealed, purpose), Err(Error::Damaged { .. }))
    };
    assert!(refused(&sealed, "password"));
    let other = recorded(&ring, &shelf);
    assert!(refused(&Sealed::new(other, sealed.ciphertext().to_owned()), "login"));
    // The same key under another account's name: the field still knows whose it is.
    let mut moved = shelf.load(&key_id(account)).unwrap().unwrap();
    moved.id = key_id(other);
    shelf.put(moved);
    ring.forget(other);
    assert!(matches!(ring.seal(other, "login", "a"), Err(Error::DamagedKey { .. })));
}

#[test]
fn an_altered_field_does_not_open() {
    let (ring, _, account) = ring();
    let sealed = ring.seal(account, "login", "a").unwrap();
    let bytes = STANDARD.decode(sealed.ciphertext()).unwrap();
    for (i, _) in bytes.iter().enumerate() {
        let mut altered = bytes.clone();
        altered[i] ^= 1;
        let altered = Sealed::new(account, STANDARD.encode(altered));
        assert!(matches!(ring.open(&altered, "login"), Err(Error::Damaged { .. })), "byte {i}");
    }
    for text in ["", "AAAA", "no base64!"] {
        let altered = Sealed::new(account, text.to_owned());
        assert!(matches!(ring.open(&altered, "login"), Err(Error::Damaged { .. })), "{text:?}");
    }
}

#[test]
fn what_was_sealed_under_a_destroyed_key_is_erased() {
    let (ring, shelf, account) = ring();
    let sealed = ring.seal(account, "login", "a").unwrap();
    shelf.destroy(account);
    ring.forget(account);
    assert!(matches!(ring.open(&sealed, "login"), Err(Error::Erased(it)) if it == account));
    assert!(matches!(ring.seal(account, "login", "a"), Err(Error::Erased(_))));
}

/// What is recorded as forgotten is erased, whatever the disk says; and the rest can be done again.
#[test]
fn a_key_that_cannot_be_destroyed_opens_nothing_any_more() {
    let (ring, shelf, account) = ring();
    let sealed = ring.seal(account, "login", "a").unwrap();
    shelf.stuck.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        assert!(matches!(ring.destroy(account), Err(Error::Store(_))));
        assert!(matches!(ring.open(&sealed, "login"), Err(Error::Erased(it)) if it == account));
        assert!(matches!(ring.seal(account, "login", "a"), Err(Error::Erased(_))));
        assert!(ring.has(account).unwrap(), "there is something left to destroy");
    }
    shelf.stuck.store(false, Ordering::Relaxed);
    ring.destroy(account).unwrap();
    assert!(!ring.has(account).unwrap());
    assert!(matches!(ring.open(&sealed, "login"), Err(Error::Erased(_))));
}

#[test]
fn a_key_forgotten_while_it_is_loaded_does_not_come_back() {
    let (ring, shelf, account) = ring();
    let forgetful = ring.clone();
    *shelf.meanwhile.lock().unwrap() = Some(Box::new(move || forgetful.forget(account)));
    ring.seal(account, "login", "a").unwrap();
    shelf.destroy(account);
    assert!(matches!(ring.seal(account, "login", "a"), Err(Error::Erased(_))));
}

#[test]
fn another_master_key_is_refused_and_says_so() {
    let (_, shelf, _) = ring();
    let error = KeyRing::load(master(8), shelf).unwrap_err();
    assert!(matches!(error, Error::WrongMaster));
    expect![[r#"the master key does not open this journal's key ring; start with the master key that the journal was made with"#]]
        .assert_eq(&error.to_string());
}

#[test]
fn a_key_is_loaded_once_and_few_are_kept() {
    let (ring, shelf, account) = ring();
    let before = shelf.loads.load(Ordering::Relaxed);
    for _ in 0..3 {
        ring.seal(account, "login", "a").unwrap();
    }
    assert_eq!(shelf.loads.load(Ordering::Relaxed) - before, 1);

    let mut cache = Cache::new(10);
    let favourite = ring.new_account_key(AccountId(Uuid::new_v4())).0;
    cache.insert(favourite.clone());
    for _ in 0..100 {
        cache.insert(ring.new_account_key(AccountId(Uuid::new_v4())).0);
        assert!(cache.len() <= 10);
        assert!(cache.get(favourite.account()).is_some(), "what is used stays");
    }
}

#[test]
fn digests_are_the_sites_own_and_keep_their_parts_apart() {
    let (ring, shelf, _) = ring();
    let channel = |name: &str| Channel::new(name).unwrap();
    let digest = ring.lookup(&channel("c"), "login", "ab");
    assert_eq!(digest, ring_on(&shelf).lookup(&channel("c"), "login", "ab"), "after a restart");
    let elsewhere = KeyRing::load(master(7), Arc::new(Shelf::default())).unwrap();
    let others = [
        ring.lookup(&channel("cl"), "ogin", "ab"),
        ring.lookup(&channel("c"), "logina", "b"),
        ring.lookup(&channel("d"), "login", "ab"),
        ring.request("c", "login", b"ab"),
        elsewhere.lookup(&channel("c"), "login", "ab"),
    ];
    assert!(!others.contains(&digest));
    assert_ne!(ring.request("POST", "/a", b"b"), ring.request("POST", "/", b"ab"));
    assert_ne!(ring.session_key(), elsewhere.session_key());
    expect!["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]
        .assert_eq(&token_digest("abc").to_string());
}

#[test]
fn nothing_secret_is_printed() {
    let (ring, _, account) = ring();
    let (key, _) = ring.new_account_key(account);
    assert_eq!(format!("{ring:?} {:?}", master(7)), "KeyRing(..) MasterKey(..)");
    assert_eq!(format!("{key:?}"), format!("AccountKey({account})"));
    let error = MasterKey::parse("0707 nearly a key").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("0707"));
}

#[test]
fn a_master_key_reads_as_hexadecimal_or_base64() {
    let (_, shelf, _) = ring();
    let same = |text: &str| KeyRing::load(MasterKey::parse(text).unwrap(), shelf.clone()).is_ok();
    assert!(same(&format!(" {}\n", "07".repeat(32))));
    assert!(same(&STANDARD.encode([7; 32])));
    assert!(same(STANDARD.encode([7; 32]).trim_end_matches('=')));
    assert!(!same(&STANDARD.encode([8; 32])));
    for text in ["", "07", &"07".repeat(31), &"0g".repeat(32), &"é".repeat(32)] {
        assert!(matches!(MasterKey::parse(text), Err(MasterKeyError::Malformed)), "{text:?}");
    }
}

#[test]
fn a_key_file_is_made_once_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let shelf = Arc::new(Shelf::default());
    let (key, made) = MasterKey::from_file_or_new(&path).unwrap();
    assert!(made);
    KeyRing::load(key, shelf.clone()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");

    let (key, made) = MasterKey::from_file_or_new(&path).unwrap();
    assert!(!made);
    KeyRing::load(key, shelf).unwrap();
}

#[test]
fn processes_that_make_the_key_file_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let keys: Vec<_> = std::thread::scope(|scope| {
        let make = || MasterKey::from_file_or_new(&path).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(keys.iter().filter(|(_, made)| *made).count(), 1);
    let shelf = Arc::new(Shelf::default());
    for (key, _) in keys {
        KeyRing::load(key, shelf.clone()).unwrap();
    }
}

#[test]
fn a_stored_key_says_whose_it_is() {
    let (ring, shelf, account) = ring();
    let stored = |id: &str| shelf.load(id).unwrap().unwrap();
    assert_eq!(whose(&stored(&key_id(account))), Some(Whose::Account(account)));
    for id in ["ring/lookup", "ring/request", "ring/session"] {
        assert_eq!(whose(&stored(id)), Some(Whose::Site));
    }
    ring.check(account).unwrap();
    let mut key = stored(&key_id(account));
    let upper = format!("account/{}", account.to_string().to_uppercase());
    for id in ["ring/", "ring", "account/x", "other/lookup", &upper] {
        assert_eq!(whose(&WrappedKey { id: id.into(), ..key.clone() }), None, "{id}");
    }
    key.bytes.pop();
    assert_eq!(whose(&key), None);
    shelf.put(WrappedKey { id: key.id, bytes: stored("ring/lookup").bytes });
    let other = ring_on(&shelf);
    assert!(matches!(other.check(account), Err(Error::DamagedKey { .. })));
    shelf.destroy(account);
    assert!(matches!(other.check(account), Err(Error::Erased(_))));
}

#[test]
fn a_key_file_open_to_others_or_without_a_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    MasterKey::from_file_or_new(&path).unwrap();
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = MasterKey::from_file_or_new(&path).unwrap_err();
        assert!(matches!(error, MasterKeyError::TooOpen { mode: it, .. } if it == mode));
        assert!(error.to_string().ends_with(&format!("run: chmod 600 {}", path.display())));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for content in [b"".as_slice(), b"07", b"\xff"] {
        fs::write(&path, content).unwrap();
        let error = MasterKey::from_file_or_new(&path).unwrap_err();
        assert!(matches!(error, MasterKeyError::MalformedFile { .. }), "{content:?}");
    }
}
