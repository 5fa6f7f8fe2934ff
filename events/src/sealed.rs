//! Fields that this crate cannot read: personal data under the key of the account it belongs to.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::AccountId;

/// Personal data, encrypted under the data key of one account: `<account id>:<base64>`, where the
/// base64 (standard alphabet, padded) holds a 12-byte nonce and the AES-256-GCM ciphertext with
/// its tag. Opaque here; whoever has the key ring opens it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sealed {
    account: AccountId,
    ciphertext: String,
}

/// A text that is no sealed field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed field reads <account id>:<base64>")]
pub struct InvalidSealed;

impl Sealed {
    /// Puts together what was sealed: whose key, and base64 of nonce and ciphertext.
    pub fn new(account: AccountId, ciphertext: String) -> Self {
        Self { account, ciphertext }
    }

    /// The account whose data key opens this.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Base64 of nonce and ciphertext.
    pub fn ciphertext(&self) -> &str {
        &self.ciphertext
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.account)
    }
}

impl From<Sealed> for String {
    fn from(sealed: Sealed) -> String {
        format!("{}:{}", sealed.account, sealed.ciphertext)
    }
}

impl TryFrom<String> for Sealed {
    type Error = InvalidSealed;
    fn try_from(text: String) -> Result<Self, InvalidSealed> {
        let (account, ciphertext) = text.split_once(':').ok_or(InvalidSealed)?;
        let account = account.parse().map_err(|_| InvalidSealed)?;
        Ok(Self { account, ciphertext: ciphertext.to_owned() })
    }
}

impl JsonSchema for Sealed {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sealed".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Personal data, encrypted under the data key of one account: \
                            <account id>:<base64 of nonce and AES-256-GCM ciphertext>.",
            "type": "string", "pattern": "^[0-9a-f-]{36}:[A-Za-z0-9+/]+=*$",
        })
    }
}

/// A key of the key ring, encrypted under the master key. It lies beside the journal, never in it,
/// so that destroying it makes what it sealed unreadable while the chain still verifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// `account/<id>` for an account's data key, `ring/<purpose>` for one of the site's own.
    pub id: String,
    /// Nonce and ciphertext.
    pub bytes: Vec<u8>,
}
