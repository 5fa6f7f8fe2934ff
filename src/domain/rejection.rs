//! The domain saying no. Expected, compared in tests, told to the caller by its dialect.

use std::borrow::Cow;

use events::{AccountId, OrderId, Phase, Sku, StoreId, TokenName};
use serde::{Deserialize, Serialize};

use super::lifecycle::Word;

/// Why a command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// The account named is nobody's.
    #[error("no such account")]
    AccountUnknown,
    /// The account for which an order is placed is nobody's, or of another channel.
    #[error("no such account: {buyer}")]
    BuyerUnknown {
        /// As named.
        buyer: AccountId,
    },
    /// The login name is somebody's.
    #[error("the login name is taken")]
    LoginTaken,
    /// The caller did not prove to be the account it names, or no longer is.
    #[error("the credential is missing, wrong, or no longer valid")]
    Unauthenticated,
    /// The caller is who it says it is, and may not do this.
    #[error("the caller's role does not allow this")]
    Forbidden,
    /// A live token is called that.
    #[error("a token of this name exists: {name}")]
    TokenTaken {
        /// As named.
        name: TokenName,
    },
    /// No live token is called that.
    #[error("no such token: {name}")]
    TokenUnknown {
        /// As named.
        name: TokenName,
    },
    /// There is no such store, or nobody sells there any more.
    #[error("no such store: {store}")]
    StoreUnknown {
        /// As named.
        store: StoreId,
    },
    /// There is a store of that id.
    #[error("the store exists: {store}")]
    StoreTaken {
        /// As named.
        store: StoreId,
    },
    /// The store does not sell that.
    #[error("no such thing in this store: {sku}")]
    SkuUnknown {
        /// As named.
        sku: Sku,
    },
    /// The store sells that already.
    #[error("the store has it already: {sku}")]
    SkuTaken {
        /// As named.
        sku: Sku,
    },
    /// The shelf does not hold so many.
    #[error("not enough in stock: {sku}")]
    Short {
        /// Of what.
        sku: Sku,
    },
    /// There is no such order (or it is not of the store named).
    #[error("no such order: {order}")]
    OrderUnknown {
        /// As named.
        order: OrderId,
    },
    /// The caller may not do that to this order or store.
    #[error("it belongs to somebody else")]
    NotOwn,
    /// The order's phase does not allow it.
    #[error("{} is not possible {}", word.as_str(), phase.map_or("for such an order".into(), |it| format!("while the order is {it:?}")))]
    Phase {
        /// Where the order is; `None` for one that does not exist yet.
        phase: Option<Phase>,
        /// What was asked.
        word: Word,
    },
    /// The wallet does not hold so much.
    #[error("not enough money in the wallet")]
    Funds,
    /// A number does not fit: of money, or of things.
    #[error("an amount is too large to count")]
    Overflow,
    /// There are as many as there may be.
    #[error("there are as many {what} as there may be: {most}")]
    TooMany {
        /// How many there may be.
        most: i64,
        /// Of what.
        what: Cow<'static, str>,
    },
    /// A value that can never be right, named.
    #[error("{field} {reason}")]
    Invalid {
        /// The field.
        field: Cow<'static, str>,
        /// What is wanted of it.
        reason: String,
    },
    /// The decision would be larger than a journal takes (256 KiB).
    #[error("the request is too large to record: {bytes} bytes, where 262144 fit")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// What follows would be recorded in a shape that some node may not be able to read yet.
    #[error("{0}: this is possible after `docket cluster upgrade`")]
    NotYet(String),
    /// Something of the account's is still under way.
    #[error("the account still has {0}")]
    StillOpen(Cow<'static, str>),
    /// The order cannot go on under the newer life cycle.
    #[error("the order cannot go on under the newer life cycle: {0}")]
    Stuck(String),
    /// The channel has no life cycle yet.
    #[error("this channel has no life cycle")]
    NoLifecycle,
    /// The life cycle is not newer than the one in force.
    #[error(
        "life cycle {version} is not newer than {current}, which is in force: give it a higher version"
    )]
    LifecycleOld {
        /// The version offered.
        version: u32,
        /// The version in force.
        current: u32,
    },
    /// The life cycle has problems; each with its line.
    #[error("the life cycle is not sound:\n{0}")]
    LifecycleBad(String),
    /// A setting has a problem.
    #[error("{0}")]
    SettingBad(String),
}
