//! Who has an account and what proves it: a read-only table for the edge, brought up to date with
//! each durable commit before that commit's answers go out.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use events::{
    AccountId, Channel, Digest, Event, LEVEL_FIRST, Millis, Position, Recorded, Sealed, StoreId,
    TokenIssued,
};

/// The table. Every method is a short look under a lock.
#[derive(Debug, Default)]
pub struct Credentials(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    /// The newest event that it has taken in.
    position: Position,
    logins: HashMap<(Channel, Digest), AccountId>,
    accounts: HashMap<AccountId, KnownAccount>,
    sessions: HashMap<Digest, (AccountId, Millis)>,
    tokens: HashMap<Digest, TokenIssued>,
    lifecycles: BTreeMap<Channel, KnownLifecycle>,
    stores: HashMap<AccountId, Vec<StoreId>>,
    /// None before the first upgrade.
    level: Option<u32>,
}

/// An account, as the edge needs to know it.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownAccount {
    /// The account.
    pub id: AccountId,
    /// The channel it belongs to.
    pub channel: Channel,
    /// Keyed digest of its login name.
    pub login: Digest,
    /// Its login name.
    pub login_sealed: Sealed,
    /// Its password's hash.
    pub password: Sealed,
    /// Changes with each new password.
    pub password_version: u64,
}

/// A channel's newest life cycle, as the edge needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownLifecycle {
    /// Its version.
    pub version: u32,
    /// SHA-256 of its text.
    pub digest: Digest,
    /// Where its adoption is recorded.
    pub position: Position,
}

impl Credentials {
    /// The account of a login name.
    pub fn by_login(&self, channel: &Channel, login: Digest) -> Option<KnownAccount> {
        let table = self.table();
        let id = table.logins.get(&(channel.clone(), login))?;
        table.accounts.get(id).cloned()
    }

    /// An account by its id.
    pub fn account(&self, id: AccountId) -> Option<KnownAccount> {
        self.table().accounts.get(&id).cloned()
    }

    /// Whose live session has a token of this digest, and in which channel that account is.
    pub fn session(&self, token: Digest, now: Millis) -> Option<(AccountId, Channel)> {
        let table = self.table();
        let (account, expires_at) = table.sessions.get(&token)?;
        let known = table.accounts.get(account)?;
        (*expires_at > now).then(|| (*account, known.channel.clone()))
    }

    /// A live named token by the digest of its text.
    pub fn token(&self, token: Digest, now: Millis) -> Option<TokenIssued> {
        let table = self.table();
        let known = table.tokens.get(&token)?;
        known.expires_at.is_none_or(|expires_at| expires_at > now).then(|| known.clone())
    }

    /// Every named token that is not revoked, by name; of those that died by themselves the ones
    /// that did so since the newest was issued.
    pub fn tokens(&self) -> Vec<TokenIssued> {
        let mut tokens: Vec<_> = self.table().tokens.values().cloned().collect();
        tokens.sort_by(|one, other| one.name.cmp(&other.name));
        tokens
    }

    /// Whether an account sells in a store.
    pub fn sells_in(&self, account: AccountId, store: &StoreId) -> bool {
        self.table().stores.get(&account).is_some_and(|stores| stores.contains(store))
    }

    /// The stores that an account opened, in that order.
    pub fn stores(&self, account: AccountId) -> Vec<StoreId> {
        self.table().stores.get(&account).cloned().unwrap_or_default()
    }

    /// The newest life cycle of every channel.
    pub fn lifecycles(&self) -> BTreeMap<Channel, KnownLifecycle> {
        self.table().lifecycles.clone()
    }

    /// The newest life cycle of a channel; `None` where there is no such channel.
    pub fn lifecycle(&self, channel: &Channel) -> Option<KnownLifecycle> {
        self.table().lifecycles.get(channel).copied()
    }

    /// The newest event that it has taken in.
    pub fn position(&self) -> Position {
        self.table().position
    }

    /// The level of the events that may be written.
    pub fn level(&self) -> u32 {
        self.table().level.unwrap_or(LEVEL_FIRST)
    }

    /// Takes in a durable event; one that it has taken in before changes nothing, so that a journal
    /// may be read again behind it.
    pub(crate) fn apply(&self, recorded: &Recorded) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if recorded.position <= table.position {
            return;
        }
        table.position = recorded.position;
        match &recorded.event {
            Event::AccountRegistered(it) => {
                table.logins.insert((recorded.channel.clone(), it.login), it.account);
                let known = KnownAccount {
                    id: it.account,
                    channel: recorded.channel.clone(),
                    login: it.login,
                    login_sealed: it.login_sealed.clone(),
                    password: it.password.clone(),
                    password_version: recorded.position.0,
                };
                table.accounts.insert(it.account, known);
            }
            Event::PasswordChanged(it) => {
                table.close(&it.closed);
                if let Some(account) = table.accounts.get_mut(&it.account) {
                    account.password = it.password.clone();
                    account.password_version = recorded.position.0;
                }
            }
            Event::AccountUnregistered(it) => {
                table.close(&it.closed);
                table.logins.remove(&(recorded.channel.clone(), it.login));
                table.accounts.remove(&it.account);
                table.stores.remove(&it.account);
            }
            Event::SessionOpened(it) => {
                table.close(&it.closed);
                table.sessions.insert(it.token, (it.account, it.expires_at));
            }
            Event::SessionClosed(it) => table.close(&[it.token]),
            Event::AccountForgotten(it) => {
                table.close(&it.closed);
                if let Some(login) = it.login {
                    table.logins.remove(&(recorded.channel.clone(), login));
                }
                table.accounts.remove(&it.account);
                table.stores.remove(&it.account);
            }
            Event::TokenIssued(it) => {
                let lives = |at: Option<Millis>| at.is_none_or(|at| at > recorded.recorded_at);
                table.tokens.retain(|_, known| lives(known.expires_at));
                table.tokens.insert(it.token, it.clone());
            }
            Event::TokenRevoked(it) => {
                table.tokens.remove(&it.token);
            }
            Event::LifecycleAdopted(it) => {
                let (version, digest, position) = (it.version, it.digest, recorded.position);
                let known = KnownLifecycle { version, digest, position };
                table.lifecycles.insert(recorded.channel.clone(), known);
            }
            Event::ClusterUpgraded(it) => table.level = Some(it.level),
            Event::StoreOpened(it) => {
                table.stores.entry(it.owner).or_default().push(it.store.clone());
            }
            Event::ListingAdded(_)
            | Event::StockAdded(_)
            | Event::WalletCharged(_)
            | Event::WalletWithdrawn(_)
            | Event::OrderPlaced(_)
            | Event::OrderPaid(_)
            | Event::OrderCancelled(_)
            | Event::OrderExpired(_)
            | Event::OrderPrepared(_)
            | Event::OrderShipped(_)
            | Event::OrderDelivered(_)
            | Event::OrderDeliveryFailed(_)
            | Event::OrderReceived(_)
            | Event::OrderRefundRequested(_)
            | Event::OrderRefunded(_)
            | Event::OrderRejected(_)
            | Event::OrderMoved(_)
            | Event::SettingsAdopted(_)
            | Event::WriterOpened(_) => {}
        }
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn close(&mut self, tokens: &[Digest]) {
        for token in tokens {
            self.sessions.remove(token);
        }
    }
}
