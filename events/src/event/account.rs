//! Accounts and sessions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountId, Digest, Millis, MoneyMove, Sealed};

/// Somebody has an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccountRegistered {
    /// The account, new.
    pub account: AccountId,
    /// Keyed digest of the login name, for look-ups; free until now in this channel.
    pub login: Digest,
    /// The login name.
    pub login_sealed: Sealed,
    /// The password's hash (PHC string).
    pub password: Sealed,
}

/// An account has a new password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PasswordChanged {
    /// The account.
    pub account: AccountId,
    /// The new password's hash (PHC string).
    pub password: Sealed,
    /// Sessions that end with this, by digest of their token.
    #[serde(default)]
    pub closed: Vec<Digest>,
}

/// An account is given up. Its login name is free again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccountUnregistered {
    /// The account.
    pub account: AccountId,
    /// Keyed digest of the login name that is free again.
    pub login: Digest,
    /// Sessions that end with this, by digest of their token.
    #[serde(default)]
    pub closed: Vec<Digest>,
    /// The balance, paid out.
    #[serde(default)]
    pub money: Vec<MoneyMove>,
}

/// The key that sealed what was recorded of a person is destroyed after this; the account, where
/// it was still there, is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccountForgotten {
    /// The account.
    pub account: AccountId,
    /// Keyed digest of the login name that is free again, where the account was still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Digest>,
    /// Sessions that end with this, by digest of their token.
    #[serde(default)]
    pub closed: Vec<Digest>,
    /// The balance, paid out.
    #[serde(default)]
    pub money: Vec<MoneyMove>,
}

/// Somebody has logged in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionOpened {
    /// The account.
    pub account: AccountId,
    /// SHA-256 of the token.
    pub token: Digest,
    /// When the token dies by itself.
    pub expires_at: Millis,
    /// What the client calls the device it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Sealed>,
    /// Sessions that this one replaces, by digest of their token.
    #[serde(default)]
    pub closed: Vec<Digest>,
}

/// Somebody has logged out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionClosed {
    /// The account.
    pub account: AccountId,
    /// SHA-256 of the token that is dead now.
    pub token: Digest,
}
