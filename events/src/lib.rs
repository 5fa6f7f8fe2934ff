//! What docket records, and how to read it: ids, money, sealed fields, events, commits; and what
//! of it everybody may know.
//!
//! A fact never changes once written: a new shape gets a new version and one more arm in
//! [`decode`], so every journal can be replayed. A consumer of docket's events depends on this
//! crate alone.
//!
//! **Invariant:** this crate does no I/O, reads no clock and opens no sealed field.

pub mod codec;
pub mod commit;
pub mod envelope;
pub mod event;
pub mod ids;
pub mod money;
pub mod publish;
pub mod sealed;

pub use codec::{DecodeError, NotYet, decode, decode_event};
pub use commit::{Commit, CommitError, Hash, Head, RecordedDecision};
pub use envelope::{DecisionHeader, Envelope, KeyRecord, OrderReceipt, Receipt, Recorded};
pub use event::account::{
    AccountForgotten, AccountRegistered, AccountUnregistered, PasswordChanged, SessionClosed,
    SessionOpened,
};
pub use event::channel::{LifecycleAdopted, SettingsAdopted};
pub use event::cluster::{ClusterUpgraded, WriterOpened};
pub use event::order::{
    By, DeadlineChange, Effect, Kind, Line, Method, OrderMoved, OrderPlaced, OrderRef, OrderStep,
    Payable, PayableChange, PayableState, Phase, StockLine, StockMove, StockWord,
};
pub use event::store::{ListingAdded, StockAdded, StoreOpened};
pub use event::token::{Role, TokenIssued, TokenRevoked};
pub use event::wallet::{MoneyMove, Pot, WalletCharged, WalletWithdrawn};
pub use event::{Event, KINDS, LEVEL, LEVEL_FIRST};
pub use ids::{
    AccountId, Channel, CommandId, CommitNumber, Digest, Epoch, EventId, IdempotencyKey,
    InvalidName, InvalidNodeName, Millis, NodeName, OrderId, OrderNumber, PayableId, Position, Sku,
    StoreId, Subject, TokenName,
};
pub use money::{Currency, Money};
pub use publish::{CloudEvent, Topic, publish};
pub use sealed::{InvalidSealed, Sealed, WrappedKey};
