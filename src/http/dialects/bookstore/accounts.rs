//! `/auth`: accounts, passwords, sessions.

use events::AccountId;
use serde_json::json;
use uuid::Uuid;

use super::{
    super::super::passwords::{LOGIN, PASSWORD, TERMINAL},
    Answer, Reply,
    call::Call,
    failure::{Failure, Named},
};
use crate::{
    domain::{Action, Caller, Credential},
    engine::KeyOwner,
    keys,
};

pub(super) async fn register(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let password = call.fields.text("password")?;
    if user.account.is_some() && !call.has_key() {
        return Err(Failure::taken_user(&user.name)); // Spares a hash; the engine would say so too.
    }
    let hash = call.app.passwords.hash(password).await?;
    let account = AccountId(Uuid::now_v7());
    let (key, wrapped) = call.app.keys.new_account_key(account);
    let action = Action::Register {
        account,
        login: user.login,
        login_sealed: call.app.keys.seal_with(&key, LOGIN, &user.name),
        password: call.app.keys.seal_with(&key, PASSWORD, &hash),
    };
    let named = Named { user: &user.name, ..Named::default() };
    let (caller, owner) = (Caller::Login(user.login), KeyOwner::Login(user.login));
    Ok(call.command(caller, action, owner, vec![wrapped], &named).await?.into())
}

pub(super) async fn unregister(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let password = call.fields.text("password")?;
    let checked = call.by_password(&user, password, Credential::Waived).await?;
    let named = Named { user: &user.name, hides_users: true, ..Named::default() };
    let (caller, owner) = (user.caller(checked.credential), KeyOwner::Login(user.login));
    let reply = call.command(caller, Action::Unregister, owner, Vec::new(), &named).await;
    checked.settle(&reply);
    Ok(reply?.into())
}

pub(super) async fn login(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let password = call.fields.text("password")?;
    let terminal = call.fields.text("terminal")?.to_owned();
    call.fits("terminal", sealed_bytes(&terminal))?;
    let checked = call.by_password(&user, password, Credential::Waived).await?;
    let Some(account) = user.account.as_ref().filter(|_| checked.proves()) else {
        return Err(Failure::unauthorised());
    };
    let id = account.id;
    let terminal = sealed(&call, id, TERMINAL, terminal).await?;
    let now = call.app.engine.now();
    let token = call.app.tokens.issue(id, now, call.settings.session_lives_ms);
    let action = Action::OpenSession {
        token: token.digest,
        expires_at: token.expires_at,
        terminal: Some(terminal),
    };
    let named = Named { user: &user.name, hides_users: true, ..Named::default() };
    let accepted = call.secret_command(user.caller(checked.credential), action, &named).await?;
    let mut answer = Answer::from(accepted);
    answer.fields.insert("token".into(), json!(token.text));
    Ok(answer)
}

/// The token is what is given up, so a missing one is refused wherever tokens are optional.
pub(super) async fn logout(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let token = call.token_digest().ok_or_else(Failure::unauthorised)?;
    let caller = user.caller(call.by_token(&user));
    let named = Named { user: &user.name, hides_users: true, ..Named::default() };
    let action = Action::CloseSession { token };
    Ok(call.command(caller, action, KeyOwner::Token(token), Vec::new(), &named).await?.into())
}

pub(super) async fn password(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let old = call.fields.text("oldPassword")?;
    let new = call.fields.text("newPassword")?;
    let checked = call.by_password(&user, old, Credential::Waived).await?;
    let named = Named { user: &user.name, hides_users: true, ..Named::default() };
    let Some(account) = &user.account else { return Err(Failure::unauthorised()) };
    // Where the old one is wrong the command is refused, unless it is a repeated one: then the
    // new password is in force already, and no hash is wanted.
    let password = if checked.proves() {
        let hash = call.app.passwords.hash(new).await?;
        sealed(&call, account.id, PASSWORD, hash).await?
    } else {
        account.password.clone()
    };
    let (caller, owner) = (user.caller(checked.credential), KeyOwner::Login(user.login));
    let action = Action::ChangePassword { password };
    let reply = call.command(caller, action, owner, Vec::new(), &named).await;
    checked.settle(&reply);
    Ok(reply?.into())
}

/// What a text weighs when it is sealed: a nonce and a tag go with it, and all of it is base64.
fn sealed_bytes(text: &str) -> usize {
    (text.len() + 12 + 16).div_ceil(3) * 4
}

/// Seals a text of a recorded account, off the async threads.
async fn sealed(
    call: &Call<'_>,
    account: AccountId,
    purpose: &'static str,
    text: String,
) -> Result<events::Sealed, Failure> {
    let ring = call.app.keys.clone();
    let sealing = tokio::task::spawn_blocking(move || ring.seal(account, purpose, &text));
    sealing.await.map_err(|_| Failure::storage())?.map_err(|error: keys::Error| {
        tracing::error!(%error, "a text cannot be sealed");
        Failure::storage()
    })
}
