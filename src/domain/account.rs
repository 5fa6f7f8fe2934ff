//! Accounts and sessions.

use events::{
    AccountForgotten, AccountId, AccountRegistered, AccountUnregistered, Digest, Event, Millis,
    Money, MoneyMove, PasswordChanged, Pot, Sealed, SessionClosed, SessionOpened, Subject,
};

use super::{Decided, Deciding, Rejection, lifecycle::Bound, world::Account};

pub(super) fn register(
    it: &Deciding<'_>,
    account: AccountId,
    login: Digest,
    login_sealed: &Sealed,
    password: &Sealed,
) -> Result<Decided, Rejection> {
    if it.world.logins.contains_key(&(it.command.channel.clone(), login)) {
        return Err(Rejection::LoginTaken);
    }
    if it.world.accounts.contains_key(&account) {
        return Err(Rejection::Invalid {
            field: "account".into(),
            reason: "exists already".into(),
        });
    }
    it.one_more(Bound::Accounts, it.channel().ok_or(Rejection::NoLifecycle)?.accounts)?;
    let event = AccountRegistered {
        account,
        login,
        login_sealed: login_sealed.clone(),
        password: password.clone(),
    };
    Ok(Decided::one(Subject::account(account), Event::AccountRegistered(event)))
}

pub(super) fn change_password(it: &Deciding<'_>, password: &Sealed) -> Result<Decided, Rejection> {
    let (id, account) = it.proven()?;
    let closed = tokens(account);
    let event = PasswordChanged { account: id, password: password.clone(), closed };
    Ok(Decided::one(Subject::account(id), Event::PasswordChanged(event)))
}

/// An account goes only when nothing of its is under way; its balance is paid out.
pub(super) fn unregister(it: &Deciding<'_>) -> Result<Decided, Rejection> {
    let (id, account) = it.proven()?;
    let event = AccountUnregistered {
        account: id,
        login: account.login,
        closed: tokens(account),
        money: leaving(it, id, account)?,
    };
    Ok(Decided::one(Subject::account(id), Event::AccountUnregistered(event)))
}

/// An account that is still there goes as one that is given up. One that is gone already is
/// forgotten all the same: what matters is the key that is destroyed after.
pub(super) fn forget(it: &Deciding<'_>, id: AccountId) -> Result<Decided, Rejection> {
    it.operator()?;
    let known = it.world.accounts.get(&id);
    if known.is_some_and(|account| account.channel != it.command.channel) {
        return Err(Rejection::AccountUnknown);
    }
    let event = AccountForgotten {
        account: id,
        login: known.map(|account| account.login),
        closed: known.map(tokens).unwrap_or_default(),
        money: known.map(|account| leaving(it, id, account)).transpose()?.unwrap_or_default(),
    };
    Ok(Decided::one(Subject::account(id), Event::AccountForgotten(event)))
}

/// The balance on its way out, if nothing of the account's is under way.
fn leaving(
    it: &Deciding<'_>,
    id: AccountId,
    account: &Account,
) -> Result<Vec<MoneyMove>, Rejection> {
    if account.open_orders > 0 {
        return Err(Rejection::StillOpen("orders that are neither finished nor cancelled".into()));
    }
    let selling = |store| it.store(store).is_some_and(|store| store.open_orders > 0);
    if account.stores.iter().any(selling) {
        return Err(Rejection::StillOpen(
            "a store with orders neither finished nor cancelled".into(),
        ));
    }
    let balances = account.wallet.iter().filter(|(_, minor)| **minor > 0);
    let paid_out = balances.map(|(currency, minor)| MoneyMove {
        from: Pot::Wallet(id),
        to: Pot::Outside,
        amount: Money { minor: *minor, currency: *currency },
    });
    Ok(paid_out.collect())
}

pub(super) fn open_session(
    it: &Deciding<'_>,
    token: Digest,
    expires_at: Millis,
    terminal: Option<&Sealed>,
) -> Result<Decided, Rejection> {
    let (id, account) = it.proven()?;
    let closed = tokens(account);
    let event =
        SessionOpened { account: id, token, expires_at, terminal: terminal.cloned(), closed };
    Ok(Decided::one(Subject::account(id), Event::SessionOpened(event)))
}

/// A session that the account does not have is at its end already; another's stays.
pub(super) fn close_session(it: &Deciding<'_>, token: Digest) -> Result<Decided, Rejection> {
    let (id, account) = it.proven()?;
    if !tokens(account).contains(&token) {
        return Ok(Decided::nothing());
    }
    let event = SessionClosed { account: id, token };
    Ok(Decided::one(Subject::account(id), Event::SessionClosed(event)))
}

fn tokens(account: &Account) -> Vec<Digest> {
    account.sessions.iter().map(|(token, _)| *token).collect()
}
