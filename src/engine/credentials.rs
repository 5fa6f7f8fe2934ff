//! Who has an account and what proves it: a read-only table for the edge, brought up to date with
//! each durable commit before that commit's answers go out.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use events::{AccountId, Channel, Digest, Event, Millis, Recorded, Sealed};

/// The table. Every method is a short look under a lock.
#[derive(Debug, Default)]
pub struct Credentials(RwLock<Table>);

#[derive(Debug, Default)]
struct Table {
    logins: HashMap<(Channel, Digest), AccountId>,
    accounts: HashMap<AccountId, KnownAccount>,
    sessions: HashMap<Digest, (AccountId, Millis)>,
}

/// An account, as the edge needs to know it.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownAccount {
    /// The account.
    pub id: AccountId,
    /// The channel it belongs to.
    pub channel: Channel,
    /// Its login name.
    pub login_sealed: Sealed,
    /// Its password's hash.
    pub password: Sealed,
    /// Changes with each new password.
    pub password_version: u64,
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

    /// The account whose live session has a token of this digest, in this channel.
    pub fn by_session(&self, channel: &Channel, token: Digest, now: Millis) -> Option<AccountId> {
        let table = self.table();
        let (account, expires_at) = table.sessions.get(&token)?;
        let known = table.accounts.get(account)?;
        (*expires_at > now && known.channel == *channel).then_some(*account)
    }

    /// Takes in a durable event.
    pub(super) fn apply(&self, recorded: &Recorded) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match &recorded.event {
            Event::AccountRegistered(it) => {
                table.logins.insert((recorded.channel.clone(), it.login), it.account);
                let known = KnownAccount {
                    id: it.account,
                    channel: recorded.channel.clone(),
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
            }
            Event::SessionOpened(it) => {
                table.close(&it.closed);
                table.sessions.insert(it.token, (it.account, it.expires_at));
            }
            Event::SessionClosed(it) => table.close(&[it.token]),
            Event::StoreOpened(_)
            | Event::ListingAdded(_)
            | Event::StockAdded(_)
            | Event::WalletCharged(_)
            | Event::WalletWithdrawn(_)
            | Event::OrderPlaced(_)
            | Event::OrderPaid(_)
            | Event::OrderCancelled(_)
            | Event::OrderExpired(_)
            | Event::OrderShipped(_)
            | Event::OrderReceived(_)
            | Event::LifecycleAdopted(_)
            | Event::SettingsAdopted(_) => {}
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
