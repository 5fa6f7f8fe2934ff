//! The key ring: what seals personal data, and what makes the digests that stand for it.
//!
//! Every account has a data key of its own, wrapped by the master key and stored beside the
//! journal; destroying it erases what it sealed. The site has three more keys, for look-ups,
//! idempotency and sessions.
//!
//! **Invariant:** no key and no plaintext is ever printed, not by `Debug` and not in an error.
//! A field opens only under the account and the purpose that it was sealed for.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use events::{AccountId, Channel, Digest, Sealed, WrappedKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

mod cache;
mod cipher;
mod master;

pub(crate) use cipher::random;
pub use master::{MasterKey, MasterKeyError};

use cache::Cache;
use cipher::{Cipher, SEALED_SECRET_LENGTH, Secret};

/// Data keys kept in memory at most; one takes less than 1 KiB.
const DATA_KEYS_MAX: usize = 10_000;

/// Where wrapped keys lie: beside the journal. All methods block on storage.
pub trait WrappedKeys: Send + Sync {
    /// The wrapped key of this id, or `None` when it was never stored or is destroyed.
    fn load(&self, id: &str) -> Result<Option<WrappedKey>, StoreError>;

    /// Stores a key durably unless there is one of its id, and gives the one that is stored.
    fn ensure(&self, key: WrappedKey) -> Result<WrappedKey, StoreError>;

    /// Destroys a key, if it is there, so that nothing of it is left. Durable when it returns;
    /// after an error it may be called again to finish.
    fn destroy(&self, id: &str) -> Result<(), StoreError>;
}

/// Whatever the store of wrapped keys says went wrong.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Why a field was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account's data key is gone, and all it sealed with it.
    #[error("the key of account {0} is destroyed, or was never stored")]
    Erased(AccountId),
    /// A sealed field is not what was sealed, or not for this purpose.
    #[error(
        "a field of account {account} does not open as {purpose:?}: damaged, or sealed as something else"
    )]
    Damaged {
        /// Whose field.
        account: AccountId,
        /// What it was to be opened as.
        purpose: String,
    },
    /// The site's own keys were wrapped by another master key.
    #[error(
        "the master key does not open this journal's key ring; start with the master key that the \
         journal was made with"
    )]
    WrongMaster,
    /// A stored key is not what was wrapped, though the master key is the right one.
    #[error("the stored key {id} is damaged: the master key does not open it")]
    DamagedKey {
        /// Which key.
        id: String,
    },
    /// The store of wrapped keys failed.
    #[error("cannot reach the stored keys: {0}")]
    Store(#[source] StoreError),
}

/// The data key of one account. Cheap to clone; wiped from memory with its last clone.
#[derive(Clone)]
pub struct AccountKey {
    account: AccountId,
    cipher: Arc<Cipher>,
}

impl AccountKey {
    /// The account whose data this key seals.
    pub fn account(&self) -> AccountId {
        self.account
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({})", self.account)
    }
}

/// All the keys of one site. Cheap to clone; clones share everything.
///
/// A *purpose* says what a sealed field is (`login`, `password` …). It is no secret, and must be
/// the same for sealing and opening.
#[derive(Clone)]
pub struct KeyRing(Arc<Ring>);

struct Ring {
    master: MasterKey,
    store: Arc<dyn WrappedKeys>,
    lookup: Hmac<Sha256>,
    request: Hmac<Sha256>,
    session: Secret,
    cache: Mutex<Cache>,
}

impl KeyRing {
    /// Loads the site's own keys, and makes those that are not there yet. Blocks on storage.
    ///
    /// Fails with [`Error::WrongMaster`] when they were wrapped by another master key.
    pub fn load(master: MasterKey, store: Arc<dyn WrappedKeys>) -> Result<Self, Error> {
        let own_key = |id: &str| {
            let stored = match store.load(id).map_err(Error::Store)? {
                Some(stored) => stored,
                None => store.ensure(wrap(&master, id, &Secret::random())).map_err(Error::Store)?,
            };
            unwrap(&master, id, &stored).ok_or(Error::WrongMaster)
        };
        let lookup = keyed(&own_key("ring/lookup")?);
        let request = keyed(&own_key("ring/request")?);
        let session = own_key("ring/session")?;
        let cache = Mutex::new(Cache::new(DATA_KEYS_MAX));
        Ok(Self(Arc::new(Ring { master, store, lookup, request, session, cache })))
    }

    /// Makes a data key for an account that is about to be recorded: the key, to seal the
    /// account's fields with, and its wrapped form, to be stored with the commit that uses it
    /// first. The ring does not remember it, as that commit may never come.
    pub fn new_account_key(&self, account: AccountId) -> (AccountKey, WrappedKey) {
        let secret = Secret::random();
        let wrapped = wrap(&self.0.master, &key_id(account), &secret);
        (AccountKey { account, cipher: Arc::new(Cipher::new(&secret)) }, wrapped)
    }

    /// Seals a text of a recorded account. Blocks on storage where the account's key is not in
    /// memory; [`Error::Erased`] when there is none.
    pub fn seal(&self, account: AccountId, purpose: &str, text: &str) -> Result<Sealed, Error> {
        Ok(self.seal_with(&self.account_key(account)?, purpose, text))
    }

    /// Seals a text of an account that is not recorded yet.
    pub fn seal_with(&self, key: &AccountKey, purpose: &str, text: &str) -> Sealed {
        let bytes = key.cipher.seal(&associated(key.account, purpose), text.as_bytes());
        Sealed::new(key.account, STANDARD.encode(bytes))
    }

    /// Opens a sealed text. Blocks on storage where the account's key is not in memory.
    ///
    /// Fails with [`Error::Erased`] when the key is gone, and with [`Error::Damaged`] when the
    /// field was altered or sealed for another purpose.
    pub fn open(&self, sealed: &Sealed, purpose: &str) -> Result<String, Error> {
        let account = sealed.account();
        let key = self.account_key(account)?;
        let opened = STANDARD
            .decode(sealed.ciphertext())
            .ok()
            .and_then(|bytes| key.cipher.open(&associated(account, purpose), &bytes))
            .and_then(|bytes| String::from_utf8(bytes).ok());
        opened.ok_or_else(|| Error::Damaged { account, purpose: purpose.to_owned() })
    }

    /// Drops an account's data key from this process's memory. Call it once the stored key is
    /// destroyed, in every process that has the journal open.
    pub fn forget(&self, account: AccountId) {
        self.cache().forget(account);
    }

    /// Opens nothing more with an account's data key, which is going to be destroyed, until it is.
    pub fn close(&self, account: AccountId) {
        self.cache().close(account);
    }

    /// Whether an account's data key is stored, or not destroyed to the end. Blocks on storage.
    pub fn has(&self, account: AccountId) -> Result<bool, Error> {
        if self.cache().is_closed(account) {
            return Ok(true);
        }
        Ok(self.0.store.load(&key_id(account)).map_err(Error::Store)?.is_some())
    }

    /// Whether an account's data key opens under the master key. Blocks on storage.
    ///
    /// Fails with [`Error::Erased`] when it is destroyed, and with [`Error::DamagedKey`] when it is
    /// not what was wrapped.
    pub fn check(&self, account: AccountId) -> Result<(), Error> {
        self.account_key(account).map(drop)
    }

    /// Destroys an account's data key, stored and in memory: what it sealed is erased. Blocks on
    /// storage. After an error nothing is opened with it any more all the same, and it may be
    /// called again to finish.
    pub fn destroy(&self, account: AccountId) -> Result<(), Error> {
        self.cache().close(account);
        self.0.store.destroy(&key_id(account)).map_err(Error::Store)?;
        self.forget(account);
        Ok(())
    }

    /// The keyed digest that stands for a login name, an e-mail, a phone … (`kind`) of a channel.
    /// The same text gives the same digest at this site, and another one anywhere else.
    pub fn lookup(&self, channel: &Channel, kind: &str, text: &str) -> Digest {
        digest(&self.0.lookup, &[channel.as_bytes(), kind.as_bytes(), text.as_bytes()])
    }

    /// The keyed digest of a request, by which a repeated one is told from another under the same
    /// idempotency key.
    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> Digest {
        digest(&self.0.request, &[method.as_bytes(), path.as_bytes(), body])
    }

    /// The keyed digest that proves a cursor: where a page ended, for whom and of which list.
    pub fn cursor(&self, list: &str, at: &[u8]) -> Digest {
        // No method of HTTP has a space in it, so no request has this digest.
        digest(&self.0.request, &[b"a cursor", list.as_bytes(), at])
    }

    /// The 32 bytes that sign sessions' tokens.
    pub fn session_key(&self) -> &[u8; 32] {
        self.0.session.bytes()
    }

    fn account_key(&self, account: AccountId) -> Result<AccountKey, Error> {
        let forgettings = {
            let mut cache = self.cache();
            if cache.is_closed(account) {
                return Err(Error::Erased(account));
            }
            if let Some(key) = cache.get(account) {
                return Ok(key);
            }
            cache.forgettings()
        };
        let id = key_id(account);
        let stored = self.0.store.load(&id).map_err(Error::Store)?.ok_or(Error::Erased(account))?;
        let secret = unwrap(&self.0.master, &id, &stored).ok_or(Error::DamagedKey { id })?;
        let key = AccountKey { account, cipher: Arc::new(Cipher::new(&secret)) };
        let mut cache = self.cache();
        // A key that was forgotten while it was being loaded must not come back.
        if cache.forgettings() == forgettings {
            cache.insert(key.clone());
        }
        Ok(key)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.0.cache.lock().expect("nothing panics while it holds the cache of keys")
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(..)")
    }
}

/// Whose key a stored one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// An account's data key.
    Account(AccountId),
    /// One of the site's own.
    Site,
}

/// Whose key this is, as far as that can be told without the master key: `None` where it is no
/// wrapped key at all. The bytes of one that is destroyed are all 0.
pub fn whose(key: &WrappedKey) -> Option<Whose> {
    if key.bytes.len() != SEALED_SECRET_LENGTH {
        return None;
    }
    match key.id.split_once('/')? {
        ("account", id) => {
            let account = id.parse().ok()?;
            (key.id == key_id(account)).then_some(Whose::Account(account))
        }
        ("ring", purpose) if !purpose.is_empty() => Some(Whose::Site),
        _ => None,
    }
}

/// Under which id the journal keeps an account's data key.
pub fn key_id(account: AccountId) -> String {
    format!("account/{account}")
}

/// What the journal records of a token: its SHA-256. A token is random, so no key is needed.
pub fn token_digest(token: &str) -> Digest {
    Digest(Sha256::digest(token.as_bytes()).into())
}

/// HMAC-SHA256 over the parts, each behind its length: no two lists of parts read the same.
pub(crate) fn digest(key: &Hmac<Sha256>, parts: &[&[u8]]) -> Digest {
    let mut mac = key.clone();
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    Digest(mac.finalize().into_bytes().into())
}

fn keyed(secret: &Secret) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.bytes()).expect("HMAC takes a key of any length")
}

/// What a field is bound to: 16 bytes of account id, then the purpose.
fn associated(account: AccountId, purpose: &str) -> Vec<u8> {
    [account.0.as_bytes(), purpose.as_bytes()].concat()
}

fn wrap(master: &MasterKey, id: &str, secret: &Secret) -> WrappedKey {
    let bytes = master.cipher().seal(id.as_bytes(), secret.bytes());
    WrappedKey { id: id.to_owned(), bytes }
}

fn unwrap(master: &MasterKey, id: &str, wrapped: &WrappedKey) -> Option<Secret> {
    let bytes = master.cipher().open(id.as_bytes(), &wrapped.bytes)?;
    Secret::take(bytes)
}

#[cfg(test)]
mod tests;
