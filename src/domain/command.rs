//! Commands: what somebody asks for, with all that a decision needs and the world does not know.

use events::{
    AccountId, Channel, CommandId, Digest, Kind, ListingAdded, Method, Millis, Money, OrderId,
    OrderNumber, Sealed, Sku, StoreId, TokenIssued, TokenName, WriterOpened,
};
use serde::{Deserialize, Serialize};

use super::lifecycle::Word;

/// One request to change the world. Ids and times in it were made at the edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Names the command, and through it its events.
    pub id: CommandId,
    /// The channel it belongs to.
    pub channel: Channel,
    /// Who asks.
    pub caller: Caller,
    /// What for.
    pub action: Action,
}

/// Who gives a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Caller {
    /// docket itself, when it starts.
    System,
    /// A deadline that is due.
    Timer,
    /// Somebody without an account who proves to know a login name's password, or gives a new one.
    Login(Digest),
    /// Who bears a named token.
    Token {
        /// SHA-256 of the token.
        token: Digest,
        /// What it is called.
        name: TokenName,
    },
    /// Somebody with an account, or who says so.
    Somebody {
        /// The account named; `None` where the name is nobody's.
        account: Option<AccountId>,
        /// How well it is proven.
        credential: Credential,
    },
}

impl Caller {
    /// As a decision's header writes it.
    pub fn actor(&self) -> String {
        match self {
            Self::System => "system".to_owned(),
            Self::Timer => "timer".to_owned(),
            Self::Login(login) => format!("login/{login}"),
            Self::Token { name, .. } => format!("token/{name}"),
            Self::Somebody { account: Some(account), .. } => format!("account/{account}"),
            Self::Somebody { account: None, .. } => "nobody".to_owned(),
        }
    }
}

/// What the edge found of the proof that a caller is the account it names. [`super::decide`]
/// checks that it still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Credential {
    /// No proof, or a wrong one.
    Failed,
    /// The site does not ask for one.
    Waived,
    /// Proven.
    Verified {
        /// By the digest of a live session's token.
        session: Option<Digest>,
        /// By the password, of this version.
        password: Option<u64>,
    },
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Action {
    /// A new account.
    Register {
        /// Its id, new.
        account: AccountId,
        /// Keyed digest of the login name.
        login: Digest,
        /// The login name.
        login_sealed: Sealed,
        /// The password's hash.
        password: Sealed,
    },
    /// Another password. Ends every session.
    ChangePassword {
        /// The new password's hash.
        password: Sealed,
    },
    /// Give the account up.
    Unregister,
    /// That what was recorded of a person can no longer be read.
    Forget {
        /// Whose account, which may be given up already.
        account: AccountId,
    },
    /// A named token.
    IssueToken(Box<TokenIssued>),
    /// The end of a named token.
    RevokeToken {
        /// What it is called.
        name: TokenName,
    },
    /// Money into or, where negative, out of somebody's wallet, by an operator.
    Charge {
        /// Whose.
        account: AccountId,
        /// How much.
        amount: Money,
    },
    /// A session. Replaces the account's others.
    OpenSession {
        /// SHA-256 of the token.
        token: Digest,
        /// When the token dies by itself.
        expires_at: Millis,
        /// What the client calls its device.
        terminal: Option<Sealed>,
    },
    /// The end of a session.
    CloseSession {
        /// SHA-256 of the token.
        token: Digest,
    },
    /// A store.
    OpenStore {
        /// Its id, as the owner chose it.
        store: StoreId,
    },
    /// One thing more to sell.
    AddListing(Box<ListingAdded>),
    /// More on the shelf.
    AddStock {
        /// The store.
        store: StoreId,
        /// The thing.
        sku: Sku,
        /// How many more.
        quantity: i64,
    },
    /// Money into the caller's wallet, or, where negative, out of it.
    Fund {
        /// How much.
        amount: Money,
    },
    /// An order.
    Place(Place),
    /// A step of an order that exists.
    Step {
        /// The order.
        order: OrderId,
        /// The store it must be of, where the caller names one.
        store: Option<StoreId>,
        /// What to do.
        word: Word,
    },
    /// That an order lives by the newest version of its channel's life cycle from here on.
    Move {
        /// The order.
        order: OrderId,
    },
    /// A life cycle for the channel.
    AdoptLifecycle {
        /// SHA-256 of the text.
        digest: Digest,
        /// The whole file.
        text: String,
    },
    /// Settings for the channel, over its life cycle's defaults.
    AdoptSettings {
        /// What the site overrides, by name.
        overrides: std::collections::BTreeMap<String, String>,
    },
    /// That a node decides from here on. Given by that node, to itself.
    OpenWriter(WriterOpened),
    /// That events of a newer level may be written.
    UpgradeCluster {
        /// The level.
        level: u32,
    },
}

impl Action {
    /// The word a decision's header names it by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register",
            Self::ChangePassword { .. } => "change_password",
            Self::Unregister => "unregister",
            Self::Forget { .. } => "forget",
            Self::IssueToken(_) => "issue_token",
            Self::RevokeToken { .. } => "revoke_token",
            Self::Charge { .. } => "charge",
            Self::Move { .. } => "move",
            Self::OpenSession { .. } => "open_session",
            Self::CloseSession { .. } => "close_session",
            Self::OpenStore { .. } => "open_store",
            Self::AddListing(_) => "add_listing",
            Self::AddStock { .. } => "add_stock",
            Self::Fund { .. } => "fund",
            Self::Place(_) => "place",
            Self::Step { word, .. } => word.as_str(),
            Self::AdoptLifecycle { .. } => "adopt_lifecycle",
            Self::AdoptSettings { .. } => "adopt_settings",
            Self::OpenWriter(_) => "open_writer",
            Self::UpgradeCluster { .. } => "upgrade_cluster",
        }
    }

    /// The order that must exist for it, and that the decision depends on.
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Self::Step { order, .. } | Self::Move { order } => Some(*order),
            Self::Register { .. }
            | Self::ChangePassword { .. }
            | Self::Unregister
            | Self::Forget { .. }
            | Self::IssueToken(_)
            | Self::RevokeToken { .. }
            | Self::Charge { .. }
            | Self::OpenSession { .. }
            | Self::CloseSession { .. }
            | Self::OpenStore { .. }
            | Self::AddListing(_)
            | Self::AddStock { .. }
            | Self::Fund { .. }
            | Self::Place(_)
            | Self::AdoptLifecycle { .. }
            | Self::AdoptSettings { .. }
            | Self::OpenWriter(_)
            | Self::UpgradeCluster { .. } => None,
        }
    }
}

/// An order as it is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its id, new.
    pub order: OrderId,
    /// What people shall call it; made by the channel's scheme.
    pub number: OrderNumber,
    /// Where.
    pub store: StoreId,
    /// What and how many. Lines of one thing become one, at the place of the first.
    pub lines: Vec<(Sku, i64)>,
    /// For whom; the calling account itself where it is not said. Who may place for others is for
    /// the life cycle's rows to say.
    pub buyer: Option<AccountId>,
    /// How it reaches the buyer.
    pub kind: Kind,
    /// How it is to be paid.
    pub method: Method,
}
