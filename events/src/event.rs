//! Events: facts in the newest shape. One struct a kind; [`Event`] is any of them.

use schemars::{Schema, schema_for};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

pub mod account;
pub mod channel;
pub mod cluster;
pub mod order;
pub mod store;
pub mod token;
pub mod wallet;

use crate::{
    AccountForgotten, AccountRegistered, AccountUnregistered, ClusterUpgraded, Digest, Effect,
    LifecycleAdopted, ListingAdded, OrderMoved, OrderPlaced, OrderStep, PasswordChanged,
    SessionClosed, SessionOpened, SettingsAdopted, StockAdded, StoreOpened, TokenIssued,
    TokenRevoked, WalletCharged, WalletWithdrawn, WriterOpened,
};

/// The level that is in force before the first upgrade: every version of docket reads its events.
pub const LEVEL_FIRST: u32 = 1;

macro_rules! events {
    ($(
        #[doc = $doc:literal]
        $variant:ident($payload:ty) = $kind:literal v $version:literal level $level:literal,
    )*) => {
        /// A fact, in the newest shape of its kind.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            $(#[doc = $doc] $variant($payload),)*
        }

        /// Every kind that is written today, with the version it is written in.
        pub const KINDS: &[(&str, u16)] = &[$(($kind, $version)),*];

        /// The newest level of the events that this version reads and writes. What is above
        /// [`LEVEL_FIRST`] is written when a cluster is [upgraded](ClusterUpgraded) to its level.
        pub const LEVEL: u32 = highest(&[$($level),*]);

        impl Event {
            /// The kind as recorded, `order.placed` for example.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)* }
            }

            /// The version in which this kind is written today.
            pub fn version(&self) -> u16 {
                match self { $(Self::$variant(_) => $version,)* }
            }

            /// The level at which this kind may be written in this version: a docket that says it
            /// [reads that level](LEVEL) can read it.
            pub fn level(&self) -> u32 {
                match self { $(Self::$variant(_) => $level,)* }
            }

            /// The payload as it is recorded.
            pub fn payload(&self) -> Box<RawValue> {
                match self { $(Self::$variant(payload) => raw(payload),)* }
            }

            fn serialized<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$variant(payload) => payload.serialize(serializer),)* }
            }

            /// The JSON Schema of the payload of every kind and version that is written today,
            /// titled `order.placed v1`.
            pub fn schemas() -> Vec<(&'static str, u16, Schema)> {
                vec![$(($kind, $version, titled($kind, $version, $doc, schema_for!($payload)))),*]
            }
        }
    };
}

events! {
    /// Somebody has an account.
    AccountRegistered(AccountRegistered) = "account.registered" v 1 level 1,
    /// An account has a new password. The sessions named in it end.
    PasswordChanged(PasswordChanged) = "account.password_changed" v 1 level 1,
    /// An account is given up. Its login name is free again, its sessions end.
    AccountUnregistered(AccountUnregistered) = "account.unregistered" v 1 level 1,
    /// What was recorded of a person cannot be read any more.
    AccountForgotten(AccountForgotten) = "account.forgotten" v 1 level 1,
    /// Somebody has a named token.
    TokenIssued(TokenIssued) = "token.issued" v 1 level 1,
    /// A named token is dead.
    TokenRevoked(TokenRevoked) = "token.revoked" v 1 level 1,
    /// Somebody has logged in.
    SessionOpened(SessionOpened) = "session.opened" v 1 level 1,
    /// Somebody has logged out.
    SessionClosed(SessionClosed) = "session.closed" v 1 level 1,
    /// A store is open.
    StoreOpened(StoreOpened) = "store.opened" v 1 level 1,
    /// A store sells one thing more.
    ListingAdded(ListingAdded) = "listing.added" v 1 level 1,
    /// A listing has more on its shelf.
    StockAdded(StockAdded) = "stock.added" v 1 level 1,
    /// Money has come into a wallet from outside.
    WalletCharged(WalletCharged) = "wallet.charged" v 1 level 1,
    /// Money has left a wallet for outside.
    WalletWithdrawn(WalletWithdrawn) = "wallet.withdrawn" v 1 level 1,
    /// An order exists.
    OrderPlaced(OrderPlaced) = "order.placed" v 1 level 1,
    /// An order is paid.
    OrderPaid(OrderStep) = "order.paid" v 1 level 1,
    /// An order is cancelled by somebody.
    OrderCancelled(OrderStep) = "order.cancelled" v 1 level 1,
    /// An order ran out of time.
    OrderExpired(OrderStep) = "order.expired" v 1 level 1,
    /// An order is being made ready, or is ready.
    OrderPrepared(OrderStep) = "order.prepared" v 1 level 1,
    /// The carrier says that an order has arrived.
    OrderDelivered(OrderStep) = "order.delivered" v 1 level 1,
    /// The carrier says that an order could not be delivered.
    OrderDeliveryFailed(OrderStep) = "order.delivery_failed" v 1 level 1,
    /// The whole payment of an order is to go back.
    OrderRefundRequested(OrderStep) = "order.refund_requested" v 1 level 1,
    /// The whole payment of an order has gone back.
    OrderRefunded(OrderStep) = "order.refunded" v 1 level 1,
    /// The seller refuses an order.
    OrderRejected(OrderStep) = "order.rejected" v 1 level 1,
    /// An order lives by a newer version of its channel's life cycle from here on.
    OrderMoved(OrderMoved) = "order.lifecycle_moved" v 1 level 1,
    /// An order is on its way.
    OrderShipped(OrderStep) = "order.shipped" v 1 level 1,
    /// An order has arrived.
    OrderReceived(OrderStep) = "order.received" v 1 level 1,
    /// A channel has a new life cycle for the orders placed from here on. Open orders keep theirs.
    LifecycleAdopted(LifecycleAdopted) = "lifecycle.adopted" v 1 level 1,
    /// A channel has new settings for the decisions made from here on. Deadlines set already stay.
    SettingsAdopted(SettingsAdopted) = "settings.adopted" v 1 level 1,
    /// Another node decides from here on.
    WriterOpened(WriterOpened) = "writer.opened" v 1 level 1,
    /// Events of a newer level may be written from here on.
    // In any level, or none could begin.
    ClusterUpgraded(ClusterUpgraded) = "cluster.upgraded" v 1 level 0,
}

impl Event {
    /// The step of an order that this event is, placing aside.
    pub fn as_step(&self) -> Option<&OrderStep> {
        match self {
            Self::OrderPaid(step)
            | Self::OrderCancelled(step)
            | Self::OrderExpired(step)
            | Self::OrderPrepared(step)
            | Self::OrderShipped(step)
            | Self::OrderDelivered(step)
            | Self::OrderDeliveryFailed(step)
            | Self::OrderReceived(step)
            | Self::OrderRefundRequested(step)
            | Self::OrderRefunded(step)
            | Self::OrderRejected(step) => Some(step),
            Self::AccountRegistered(_)
            | Self::PasswordChanged(_)
            | Self::AccountUnregistered(_)
            | Self::AccountForgotten(_)
            | Self::TokenIssued(_)
            | Self::TokenRevoked(_)
            | Self::SessionOpened(_)
            | Self::SessionClosed(_)
            | Self::StoreOpened(_)
            | Self::ListingAdded(_)
            | Self::StockAdded(_)
            | Self::WalletCharged(_)
            | Self::WalletWithdrawn(_)
            | Self::OrderPlaced(_)
            | Self::OrderMoved(_)
            | Self::LifecycleAdopted(_)
            | Self::SettingsAdopted(_)
            | Self::WriterOpened(_)
            | Self::ClusterUpgraded(_) => None,
        }
    }

    /// The blobs that the event names: they lie beside the journal, and a copy takes them along.
    pub fn blobs(&self) -> &[Digest] {
        match self {
            Self::ListingAdded(it) => &it.pictures,
            Self::AccountRegistered(_)
            | Self::PasswordChanged(_)
            | Self::AccountUnregistered(_)
            | Self::AccountForgotten(_)
            | Self::TokenIssued(_)
            | Self::TokenRevoked(_)
            | Self::SessionOpened(_)
            | Self::SessionClosed(_)
            | Self::StoreOpened(_)
            | Self::StockAdded(_)
            | Self::WalletCharged(_)
            | Self::WalletWithdrawn(_)
            | Self::OrderPlaced(_)
            | Self::OrderPaid(_)
            | Self::OrderCancelled(_)
            | Self::OrderExpired(_)
            | Self::OrderPrepared(_)
            | Self::OrderDelivered(_)
            | Self::OrderDeliveryFailed(_)
            | Self::OrderRefundRequested(_)
            | Self::OrderRefunded(_)
            | Self::OrderRejected(_)
            | Self::OrderMoved(_)
            | Self::OrderShipped(_)
            | Self::OrderReceived(_)
            | Self::LifecycleAdopted(_)
            | Self::SettingsAdopted(_)
            | Self::WriterOpened(_)
            | Self::ClusterUpgraded(_) => &[],
        }
    }

    /// What the event does to its order, and to stock and money with it, if it is an order's.
    pub fn effect(&self) -> Option<&Effect> {
        match self {
            Self::OrderPlaced(it) => Some(&it.effect),
            it => it.as_step().map(|step| &step.effect),
        }
    }
}

/// The highest of some levels, and of the first.
const fn highest(levels: &[u32]) -> u32 {
    let (mut highest, mut n) = (LEVEL_FIRST, 0);
    while n < levels.len() {
        if levels[n] > highest {
            highest = levels[n];
        }
        n += 1;
    }
    highest
}

/// An event's payload, to be written where it goes.
pub(crate) struct Payload<'a>(pub(crate) &'a Event);

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialized(serializer)
    }
}

/// Kinds may share a payload, so a schema is named after its kind and not after its type.
fn titled(kind: &str, version: u16, about: &str, mut schema: Schema) -> Schema {
    schema.insert("title".to_owned(), format!("{kind} v{version}").into());
    schema.insert("description".to_owned(), about.trim().into());
    schema
}

fn raw(payload: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(payload).expect("payloads have text keys and no failing parts")
}
