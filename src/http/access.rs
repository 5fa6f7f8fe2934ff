//! Who may call which route. Every route says so where it is declared, and is made from what it
//! says: a path that is in no row of [`table`] does not exist.
//!
//! **Invariant:** this is the outer gate. What is decided about an order, a store or an account is
//! decided by the engine, which asks again.

use std::fmt;

use events::{AccountId, Channel, Digest, Role, TokenIssued};

use super::{App, api, dialects::bookstore};
use crate::keys;

/// One kind of caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// Anybody, without a token.
    Public,
    /// An account, about what is its own.
    Account,
    /// An account that sells in the store named.
    Seller,
    /// A staff or point token.
    Staff,
    /// A payment or delivery service.
    Gateway,
    /// Who reads everything and writes nothing.
    Auditor,
    /// Who runs the site.
    Operator,
}

impl Who {
    /// As `docket routes` prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Account => "account",
            Self::Seller => "seller",
            Self::Staff => "staff",
            Self::Gateway => "gateway",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }

    fn of(role: Role) -> Self {
        match role {
            Role::Operator => Self::Operator,
            Role::Auditor => Self::Auditor,
            Role::Staff => Self::Staff,
            Role::Gateway => Self::Gateway,
        }
    }
}

/// One route: how it is called, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What it belongs to: `site`, `v1`, or a dialect's name.
    pub face: &'static str,
    /// `GET`, `POST` …
    pub method: &'static str,
    /// With the names of its parts in braces.
    pub path: &'static str,
    /// Who may call it; any of these.
    pub who: &'static [Who],
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who: Vec<_> = self.who.iter().map(|who| who.as_str()).collect();
        write!(f, "{:<7} {:<42} {:<10} {}", self.method, self.path, self.face, who.join(", "))
    }
}

/// Every route there is.
pub fn table() -> Vec<Row> {
    let site = super::site_routes().into_iter().map(|(row, _)| row);
    site.chain(api::rows()).chain(bookstore::rows()).collect()
}

/// Who a request comes from, by its `Authorization`.
#[derive(Debug, Clone, PartialEq)]
pub enum Bearer {
    /// No token.
    Nobody,
    /// A token that is not live: expired, revoked, closed, or never issued.
    Dead {
        /// SHA-256 of its text.
        token: Digest,
        /// Whose session it was, where it is one that was issued here.
        account: Option<AccountId>,
    },
    /// An account's session.
    Account {
        /// The account.
        id: AccountId,
        /// The channel it belongs to.
        channel: Channel,
        /// SHA-256 of the token.
        session: Digest,
    },
    /// A named token.
    Token(Box<TokenIssued>),
}

impl Bearer {
    /// Looks a token up.
    pub fn of(app: &App, text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::Nobody };
        let (token, now) = (keys::token_digest(text), app.engine.now());
        let credentials = app.engine.credentials();
        if let Some(named) = credentials.token(token, now) {
            return Self::Token(Box::new(named));
        }
        // A digest that is recorded is that of a token that was issued here: no signature says more.
        if let Some((id, channel)) = credentials.session(token, now) {
            return Self::Account { id, channel, session: token };
        }
        Self::Dead { token, account: app.tokens.check(text, now).ok() }
    }

    /// Whether the bearer is one of these. Whether an account sells in a store is for the engine
    /// to say.
    pub fn admitted(&self, who: &[Who]) -> Result<(), Denied> {
        let is = match self {
            _ if who.contains(&Who::Public) => return Ok(()),
            Self::Nobody | Self::Dead { .. } => return Err(Denied::Unproven),
            Self::Account { .. } => who.contains(&Who::Account) || who.contains(&Who::Seller),
            Self::Token(token) => who.contains(&Who::of(token.role)),
        };
        if is { Ok(()) } else { Err(Denied::Role) }
    }

    /// Who acts, as decisions name it; nobody has no name.
    pub fn actor(&self) -> Option<String> {
        match self {
            Self::Nobody | Self::Dead { .. } => None,
            Self::Account { id, .. } => Some(format!("account/{id}")),
            Self::Token(token) => Some(format!("token/{}", token.name)),
        }
    }
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// There is no token, or no live one.
    Unproven,
    /// The token is live, and not good for this.
    Role,
}
