//! Where money lies and how it moves.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{AccountId, Money};

/// A place where money lies. Money is never made or lost, it moves from pot to pot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pot {
    /// Everything outside docket: banks, gateways, cash. May go below zero.
    Outside,
    /// An account's wallet.
    Wallet(AccountId),
    /// What is held for the order that the event is about.
    Held,
}

impl fmt::Display for Pot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside => f.write_str("outside"),
            Self::Wallet(account) => write!(f, "wallet/{account}"),
            Self::Held => f.write_str("held"),
        }
    }
}

impl From<Pot> for String {
    fn from(pot: Pot) -> String {
        pot.to_string()
    }
}

impl TryFrom<String> for Pot {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match (text.as_str(), text.strip_prefix("wallet/").map(str::parse)) {
            ("outside", _) => Ok(Self::Outside),
            ("held", _) => Ok(Self::Held),
            (_, Some(Ok(account))) => Ok(Self::Wallet(account)),
            _ => Err(format!("{text:?} names no pot: outside, held or wallet/<account id>")),
        }
    }
}

impl JsonSchema for Pot {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pot".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where money lies: outside docket, held for the order that the event is \
                            about, or in an account's wallet.",
            "type": "string", "pattern": "^(outside|held|wallet/[0-9a-f-]{36})$",
        })
    }
}

/// Money goes from one pot to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoneyMove {
    /// Where it leaves.
    pub from: Pot,
    /// Where it arrives.
    pub to: Pot,
    /// How much; more than nothing.
    pub amount: Money,
}

/// Money has come into a wallet from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WalletCharged {
    /// Whose wallet.
    pub account: AccountId,
    /// From outside into the wallet.
    pub money: MoneyMove,
}

/// Money has left a wallet for outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WalletWithdrawn {
    /// Whose wallet.
    pub account: AccountId,
    /// From the wallet to outside.
    pub money: MoneyMove,
}
