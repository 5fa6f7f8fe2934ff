//! Named tokens: issued once, listed without their secret, revoked.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use events::{Channel, Millis, Role, StoreId, TokenIssued, TokenName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    body::Whole,
    call::Call,
    problem::Problem,
    receipt::Receipt,
    route::{Answer, Reply},
};
use crate::{
    domain::Action,
    keys::{self, random},
    projector::ViewName,
};

/// The channel in whose name tokens are recorded; nobody sells there.
pub const CHANNEL: &str = "docket";

/// How long a token may live at most where it says how long, in seconds: 100 years.
const EXPIRES_IN_MAX: i64 = 100 * 365 * 24 * 3600;

/// A token that somebody shall have.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "name": "watcher", "role": "auditor" }]))]
pub(super) struct NewToken {
    /// What it is called; no two live tokens share a name.
    name: TokenName,
    /// What its bearer may do.
    role: Role,
    /// The one channel it is good for; all where it is not said.
    channel: Option<Channel>,
    /// The one store it is good for; all where it is not said.
    store: Option<StoreId>,
    /// How many seconds it lives; until it is revoked where it is not said.
    #[schemars(range(max = 3_153_600_000_i64))]
    expires_in: Option<Whole<1>>,
}

/// A token, just issued.
#[derive(Serialize, JsonSchema)]
pub(super) struct MadeToken {
    /// The token. It is shown this once.
    token: String,
    /// What it is called.
    name: TokenName,
    /// When it dies by itself; absent where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Millis>,
}

/// A token that was issued and not revoked.
#[derive(Serialize, JsonSchema)]
pub(super) struct IssuedToken {
    /// What it is called.
    name: TokenName,
    /// What its bearer may do.
    role: Role,
    /// The one channel it is good for; absent where it is good for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<Channel>,
    /// The one store it is good for; absent where it is good for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<StoreId>,
    /// When it dies by itself; absent where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Millis>,
    /// Whether it can be used: it has not expired.
    live: bool,
}

/// Every token that was issued and not revoked.
#[derive(Serialize, JsonSchema)]
pub(super) struct IssuedTokens {
    /// By name.
    items: Vec<IssuedToken>,
}

/// The text of a new named token.
pub fn new_text() -> String {
    format!("docket_{}", URL_SAFE_NO_PAD.encode(random::<32>()))
}

pub(super) async fn issue_token(call: Call, body: NewToken) -> Reply<MadeToken> {
    call.whole_site()?;
    let NewToken { name, role, channel, store, expires_in } = body;
    if let Some(channel) = &channel
        && call.app.engine.credentials().lifecycle(channel).is_none()
    {
        return Err(Problem::no_channel(channel));
    }
    let expires_at = match expires_in {
        None => None,
        Some(Whole(seconds @ 1..=EXPIRES_IN_MAX)) => {
            Some(Millis(call.app.engine.now().0 + seconds * 1000))
        }
        Some(_) => {
            let wanted = format!("must be 1 to {EXPIRES_IN_MAX} seconds");
            return Err(Problem::field("expires_in", wanted));
        }
    };
    let text = new_text();
    let token = keys::token_digest(&text);
    let issued = TokenIssued { token, name: name.clone(), role, channel, store, expires_at };
    let accepted = call.submit(&docket(), Action::IssueToken(Box::new(issued))).await?;
    Ok(Answer::of(&accepted, MadeToken { token: text, name, expires_at }))
}

pub(super) async fn tokens(call: Call) -> Reply<IssuedTokens> {
    call.whole_site()?;
    let position = call.fresh(ViewName::Wallets).await?;
    let now = call.app.engine.now();
    let items = call.app.engine.credentials().tokens().into_iter().map(|it| {
        let live = it.expires_at.is_none_or(|at| at > now);
        let TokenIssued { name, role, channel, store, expires_at, .. } = it;
        IssuedToken { name, role, channel, store, expires_at, live }
    });
    Ok(Answer::at(position, IssuedTokens { items: items.collect() }))
}

pub(super) async fn revoke_token(call: Call) -> Reply<Receipt> {
    call.whole_site()?;
    let name = call.part("name", |text| TokenName::new(text).ok())?;
    let accepted = call.submit(&docket(), Action::RevokeToken { name }).await?;
    let receipt = Receipt::of(&accepted);
    Ok(Answer::of(&accepted, receipt))
}

fn docket() -> Channel {
    Channel::new(CHANNEL).expect("it is short")
}
