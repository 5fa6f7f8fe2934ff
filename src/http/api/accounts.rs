//! Accounts, their sessions and their wallets.

use events::{
    AccountId, AccountRegistered, Channel, Event, Millis, Money, Position, Recorded, StoreId,
    Subject,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        checked::Checked,
        passwords::{LOGIN, PASSWORD, TERMINAL},
    },
    body::Whole,
    call::{Call, off_thread, wrong_password},
    problem::{Problem, TAKEN},
    receipt::Receipt,
    route::{Answer, Empty, Reply},
};
use crate::{
    domain::{Action, Caller, Credential, lifecycle::Check},
    engine::{KeyOwner, KnownAccount},
    keys,
    projector::ViewName,
};

/// Somebody who wants an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "login": "sam", "password": "correct horse" }]))]
pub(super) struct NewAccount {
    /// The channel it shall belong to; native where it is not said.
    channel: Option<Channel>,
    /// A name to log in with; free in the channel.
    login: Login,
    /// A password.
    password: Password,
}

/// An account, just made.
#[derive(Serialize, JsonSchema)]
pub(super) struct MadeAccount {
    /// Its id, for ever.
    account: AccountId,
    /// The channel it belongs to.
    channel: Channel,
}

/// Somebody who wants a session.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "login": "sam", "password": "correct horse", "terminal": "sh" }]))]
pub(super) struct NewSession {
    /// The channel of the account; native where it is not said.
    channel: Option<Channel>,
    /// The name to log in with.
    login: Login,
    /// Its password.
    password: Password,
    /// What the device is called that the session is for.
    terminal: Option<Terminal>,
}

/// A session, just opened. It replaces the account's other sessions.
#[derive(Serialize, JsonSchema)]
pub(super) struct MadeSession {
    /// The token. It is shown this once.
    token: String,
    /// When it dies by itself.
    expires_at: Millis,
    /// Whose it is.
    account: AccountId,
    /// The channel it is good for.
    channel: Channel,
}

/// Another password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "old": "correct horse", "new": "battery staple" }]))]
pub(super) struct OtherPassword {
    /// The password that is to go.
    old: Password,
    /// The password that is to come.
    new: Password,
}

/// That it is the account's own wish.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "password": "correct horse" }]))]
pub(super) struct Farewell {
    /// The account's password.
    password: Password,
}

/// The calling account.
#[derive(Serialize, JsonSchema)]
pub(super) struct Me {
    /// Its id, for ever.
    account: AccountId,
    /// The channel it belongs to.
    channel: Channel,
    /// The name it logs in with.
    login: String,
    /// The stores it sells in.
    stores: Vec<StoreId>,
}

/// An account, as an operator sees it.
#[derive(Serialize, JsonSchema)]
pub(super) struct SeenAccount {
    /// Its id, for ever.
    account: AccountId,
    /// The channel it belongs to.
    channel: Channel,
    /// Whether it can be used.
    open: bool,
    /// The name it logs in with, or `erased` where it is forgotten.
    login: String,
    /// Whether what was recorded of the person cannot be read any more.
    erased: bool,
    /// When it was made.
    registered_at: Millis,
    /// The stores it opened.
    stores: Vec<StoreId>,
}

/// What a wallet holds.
#[derive(Serialize, JsonSchema)]
pub(super) struct Wallet {
    /// Whose it is.
    account: AccountId,
    /// One sum for each currency it ever held.
    balances: Vec<Money>,
    /// When money last came or went; absent where it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_at: Option<Millis>,
}

/// Money into a wallet from outside, or, where it is negative, out of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "amount": { "minor": 10_000, "currency": "CNY" } }]))]
pub(super) struct Charge {
    /// How much.
    amount: Amount,
}

/// Money, either way.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Amount {
    /// Minor units: fen, cents, coins.
    minor: Whole,
    /// What is counted.
    currency: events::Currency,
}

macro_rules! text {
    ($(#[doc = $doc:literal])+ $name:ident, $max:literal) => {
        $(#[doc = $doc])+
        #[derive(Deserialize)]
        #[serde(try_from = "String")]
        pub(super) struct $name(String);

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                match text.len() {
                    1..=$max => Ok(Self(text)),
                    length => Err(format!("must be 1 to {} bytes long, not {length}", $max)),
                }
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "description": concat!($($doc),+).trim(),
                    "type": "string", "minLength": 1, "maxLength": $max,
                })
            }
        }
    };
}

text!(
    /// A name to log in with: 1 to 255 bytes.
    Login, 255
);
text!(
    /// A password: 1 to 1024 bytes.
    Password, 1024
);
text!(
    /// What a device is called: 1 to 1024 bytes.
    Terminal, 1024
);

pub(super) async fn create_account(call: Call, body: NewAccount) -> Reply<MadeAccount> {
    let channel = call.channel(body.channel)?;
    let (login, password) = (body.login.0, body.password.0);
    let looked_up = call.app.keys.lookup(&channel, LOGIN, &login);
    if call.app.engine.credentials().by_login(&channel, looked_up).is_some() && !call.has_key() {
        // Spares a hash; the engine would say so too.
        let taken = Problem::new(TAKEN, "the login name is taken");
        return Err(taken.at("login").by(Check::Account));
    }
    let hash = call.app.passwords.hash(&password).await?;
    let caller = Caller::Login(looked_up);
    let mut command = call.command(&channel, caller, Action::Unregister);
    // The account is called as the command that makes it, so that a repeated request learns it
    // from the receipt.
    let account = AccountId(command.id.0);
    let (key, wrapped) = call.app.keys.new_account_key(account);
    command.action = Action::Register {
        account,
        login: looked_up,
        login_sealed: call.app.keys.seal_with(&key, LOGIN, &login),
        password: call.app.keys.seal_with(&key, PASSWORD, &hash),
    };
    let accepted = call.submit_as(command, KeyOwner::Login(looked_up), vec![wrapped]).await?;
    let account = AccountId(accepted.command.0);
    let answer = Answer::of(&accepted, MadeAccount { account, channel });
    Ok(answer.found_at("/v1/accounts/me".to_owned()))
}

pub(super) async fn open_session(call: Call, body: NewSession) -> Reply<MadeSession> {
    let channel = call.channel(body.channel)?;
    let login = call.app.keys.lookup(&channel, LOGIN, &body.login.0);
    let known = call.app.engine.credentials().by_login(&channel, login);
    let known = known.ok_or_else(wrong_password)?;
    let checked = call.by_password(&known, &body.password.0, None).await?;
    if !checked.proves() {
        return Err(wrong_password());
    }
    let terminal = match body.terminal {
        Some(terminal) => Some(call.sealed(known.id, TERMINAL, terminal.0).await?),
        None => None,
    };
    let lives = call.app.settings.api.session_lives_ms;
    let token = call.app.tokens.issue(known.id, call.app.engine.now(), lives);
    let action =
        Action::OpenSession { token: token.digest, expires_at: token.expires_at, terminal };
    let caller = Caller::Somebody { account: Some(known.id), credential: checked.credential };
    let command = call.command(&channel, caller, action);
    let accepted = call.submit_as(command, KeyOwner::Account, Vec::new()).await?;
    let (expires_at, account) = (token.expires_at, known.id);
    Ok(Answer::of(&accepted, MadeSession { token: token.text, expires_at, account, channel }))
}

pub(super) async fn close_session(call: Call) -> Reply<Empty> {
    let token = call.token_digest().ok_or_else(Problem::unauthenticated)?;
    let channel = channel_of_bearer(&call)?;
    let command = call.command(&channel, call.caller(), Action::CloseSession { token });
    let accepted = call.submit_as(command, KeyOwner::Token(token), Vec::new()).await?;
    Ok(Answer::of(&accepted, Empty))
}

pub(super) async fn change_password(call: Call, body: OtherPassword) -> Reply<Empty> {
    let token = call.token_digest().ok_or_else(Problem::unauthenticated)?;
    let known = bearer(&call).ok_or_else(Problem::unauthenticated)?;
    let (checked, caller) = proven(&call, &known, &body.old.0).await?;
    // Where the old one is wrong the command is refused, unless it is a repeated one: then the new
    // password is in force already, and no hash is wanted.
    let password = if checked.proves() {
        let hash = call.app.passwords.hash(&body.new.0).await?;
        call.sealed(known.id, PASSWORD, hash).await?
    } else {
        known.password.clone()
    };
    let command = call.command(&known.channel, caller, Action::ChangePassword { password });
    let reply = call.submit_as(command, KeyOwner::Token(token), Vec::new()).await;
    checked.settle(&reply);
    Ok(Answer::of(&reply?, Empty))
}

pub(super) async fn leave(call: Call, body: Farewell) -> Reply<Empty> {
    let token = call.token_digest().ok_or_else(Problem::unauthenticated)?;
    let channel = channel_of_bearer(&call)?;
    let Some(known) = bearer(&call) else {
        // Gone already: only a repeated request is answered.
        let command = call.command(&channel, call.caller(), Action::Unregister);
        let accepted = call.submit_as(command, KeyOwner::Token(token), Vec::new()).await?;
        return Ok(Answer::of(&accepted, Empty));
    };
    let (checked, caller) = proven(&call, &known, &body.password.0).await?;
    let command = call.command(&channel, caller, Action::Unregister);
    let reply = call.submit_as(command, KeyOwner::Token(token), Vec::new()).await;
    checked.settle(&reply);
    Ok(Answer::of(&reply?, Empty))
}

pub(super) async fn me(call: Call) -> Reply<Me> {
    let position = call.fresh(ViewName::Wallets).await?;
    let known = call.account()?;
    let ring = call.app.keys.clone();
    let login = off_thread(move || ring.open(&known.login_sealed, LOGIN)).await?;
    let stores = call.app.engine.credentials().stores(known.id);
    Ok(Answer::at(position, Me { account: known.id, channel: known.channel, login, stores }))
}

pub(super) async fn wallet(call: Call) -> Reply<Wallet> {
    let account = call.account()?.id;
    wallet_of(&call, account).await
}

pub(super) async fn account_wallet(call: Call) -> Reply<Wallet> {
    let known = known(&call)?;
    call.every_store()?;
    in_scope(&call, &known)?;
    wallet_of(&call, known.id).await
}

pub(super) async fn charge_wallet(call: Call, body: Charge) -> Reply<Receipt> {
    let known = known(&call)?;
    in_scope(&call, &known)?;
    let amount = Money { minor: body.amount.minor.0, currency: body.amount.currency };
    let action = Action::Charge { account: known.id, amount };
    let accepted = call.submit(&known.channel, action).await?;
    let receipt = Receipt::of(&accepted);
    Ok(Answer::of(&accepted, receipt))
}

pub(super) async fn account(call: Call) -> Reply<SeenAccount> {
    call.every_store()?;
    let id = call.part("id", |text| text.parse().ok())?;
    let (channel, open) = whereabouts(&call, id)?;
    let position = call.fresh(ViewName::Wallets).await?;
    let (registered_at, it) = registered(&call, &channel, id).await?;
    let ring = call.app.keys.clone();
    let read = move || match ring.open(&it.login_sealed, LOGIN) {
        Ok(login) => Ok((login, false)),
        Err(keys::Error::Erased(_)) => Ok(("erased".to_owned(), true)),
        Err(error) => Err(error),
    };
    let (login, erased) = off_thread(read).await?;
    let stores = call.app.engine.credentials().stores(id);
    let seen = SeenAccount { account: id, channel, open, login, erased, registered_at, stores };
    Ok(Answer::at(position, seen))
}

/// First the fact, then the key: whoever starts docket in between finishes it.
pub(super) async fn forget(call: Call) -> Reply<Empty> {
    let id = call.part("id", |text| text.parse().ok())?;
    let (channel, open) = whereabouts(&call, id)?;
    if !open {
        registered(&call, &channel, id).await?; // Who never was is not forgotten.
        let ring = call.app.keys.clone();
        if !call.has_key() && !off_thread(move || ring.has(id)).await? {
            return Err(Problem::no_account());
        }
    }
    let accepted = call.submit(&channel, Action::Forget { account: id }).await?;
    let ring = call.app.keys.clone();
    off_thread(move || ring.destroy(id)).await?;
    Ok(Answer::of(&accepted, Empty))
}

/// How an account came to be, and when; whether it is still there or not.
async fn registered(
    call: &Call,
    channel: &Channel,
    id: AccountId,
) -> Result<(Millis, AccountRegistered), Problem> {
    let (feed, channel) = (call.app.feed.clone(), channel.clone());
    let read = move || feed.history(&channel, &Subject::account(id), Position(0), 1);
    let first = off_thread(read).await?.first().and_then(|it| Recorded::decode(it).ok());
    match first {
        Some(Recorded { event: Event::AccountRegistered(it), recorded_at, .. }) => {
            Ok((recorded_at, it))
        }
        _ => Err(Problem::no_account()),
    }
}

/// The channel of an account, and whether it can be used; one that is gone is looked for in the
/// channel named.
fn whereabouts(call: &Call, id: AccountId) -> Result<(Channel, bool), Problem> {
    let named = call.named_channel()?;
    match call.app.engine.credentials().account(id) {
        Some(known) if named.is_some_and(|named| named != known.channel) => {
            Err(Problem::no_account())
        }
        Some(known) => in_scope(call, &known).map(|()| (known.channel, true)),
        None => Ok((call.channel(None)?, false)),
    }
}

/// The account that the path names, if it can be used.
fn known(call: &Call) -> Result<KnownAccount, Problem> {
    let id = call.part("id", |text| text.parse().ok())?;
    call.app.engine.credentials().account(id).ok_or_else(Problem::no_account)
}

/// An account of another channel than the token's is nobody to it.
fn in_scope(call: &Call, known: &KnownAccount) -> Result<(), Problem> {
    match call.own_channel() {
        Some(own) if *own != known.channel => Err(Problem::no_account()),
        _ => Ok(()),
    }
}

async fn wallet_of(call: &Call, account: AccountId) -> Reply<Wallet> {
    let position = call.fresh(ViewName::Wallets).await?;
    let view = call.app.views.wallets.clone();
    let row = view.get(account)?;
    let changed_at = row.as_ref().map(|row| row.changed_at);
    let balances = row.map(|row| row.balances).unwrap_or_default();
    Ok(Answer::at(position, Wallet { account, balances, changed_at }))
}

/// The account whose token came along, live or not, if it is still there.
fn bearer(call: &Call) -> Option<KnownAccount> {
    match call.caller() {
        Caller::Somebody { account: Some(id), .. } => call.app.engine.credentials().account(id),
        _ => None,
    }
}

/// The channel of the account whose token came along; of one that is gone, the one named.
fn channel_of_bearer(call: &Call) -> Result<Channel, Problem> {
    let named = call.named_channel()?;
    match bearer(call) {
        Some(known) if named.is_some_and(|named| named != known.channel) => {
            Err(Problem::other_channel(&known.channel))
        }
        Some(known) => Ok(known.channel),
        None => call.channel(None),
    }
}

/// What a session and a password prove together. A session that is over proves nothing, and then
/// no password is looked at.
async fn proven(
    call: &Call,
    known: &KnownAccount,
    password: &str,
) -> Result<(Checked, Caller), Problem> {
    let session = match call.caller() {
        Caller::Somebody { credential: Credential::Verified { session, .. }, .. } => session,
        _ => return Ok((Checked::unproven(), call.caller())),
    };
    let checked = call.by_password(known, password, session).await?;
    let caller = Caller::Somebody { account: Some(known.id), credential: checked.credential };
    Ok((checked, caller))
}
