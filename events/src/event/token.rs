//! Named tokens: what operators, auditors, staff and gateways show instead of a login.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Channel, Digest, Millis, StoreId, TokenName};

/// What the bearer of a named token may do. Buyers and sellers are accounts, not tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything that is nobody's own.
    Operator,
    /// Read everything, write nothing.
    Auditor,
    /// What staff and points of sale do to orders.
    Staff,
    /// Tell what a payment or delivery service has done.
    Gateway,
}

/// Somebody has a named token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenIssued {
    /// SHA-256 of the token.
    pub token: Digest,
    /// What it is called; no two live tokens share a name.
    pub name: TokenName,
    /// What its bearer may do.
    pub role: Role,
    /// The one channel it is good for; absent where it is good for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// The one store it is good for; absent where it is good for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreId>,
    /// When it dies by itself; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Millis>,
}

/// A named token is dead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenRevoked {
    /// SHA-256 of the token.
    pub token: Digest,
    /// What it was called; the name is free again.
    pub name: TokenName,
}
