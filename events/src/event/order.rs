//! Orders. A command on an order writes one event, and the event is complete: the phase it leads
//! to, the stock and the money it moves, the deadlines it sets or clears.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountId, Millis, Money, MoneyMove, OrderNumber, PayableId, Sku, StoreId};

/// Where an order is in its life. What a dialect calls it is a function of this and the facets.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Phase {
    /// Placed, to be paid.
    AwaitingPayment,
    /// Paid, to be prepared or shipped.
    Paid,
    /// Being made ready.
    Preparing,
    /// Waits to be fetched.
    Ready,
    /// On its way.
    Shipped,
    /// Could not be delivered; may be tried again.
    DeliveryFailed,
    /// Arrived; something may still be asked of the buyer.
    Received,
    /// Done.
    Completed,
    /// Called off.
    Cancelled,
    /// Money is on its way back.
    Refunding,
    /// Money is back.
    Refunded,
    /// Refused by the seller.
    Rejected,
}

impl Phase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 12] = [
        Self::AwaitingPayment,
        Self::Paid,
        Self::Preparing,
        Self::Ready,
        Self::Shipped,
        Self::DeliveryFailed,
        Self::Received,
        Self::Completed,
        Self::Cancelled,
        Self::Refunding,
        Self::Refunded,
        Self::Rejected,
    ];

    /// Whether an order may rest here for ever.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Refunded | Self::Rejected)
    }
}

/// What the caller of a command is to the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The account for which it was placed.
    Buyer,
    /// An account that sells in the order's store.
    Seller,
    /// A staff or point token of the channel.
    Staff,
    /// An operator of the site.
    Operator,
    /// A payment or delivery service, by a verified notice.
    Gateway,
    /// A deadline.
    Timer,
}

/// How what is ordered reaches the buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Shipped.
    Physical,
    /// Handed over as codes.
    Virtual,
    /// Fetched at a store.
    PickUp,
}

/// How the order is to be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// From the buyer's wallet.
    Wallet,
    /// Through a payment gateway.
    Online,
    /// By a bank transfer that an operator confirms.
    Bank,
    /// In cash when it arrives.
    OnDelivery,
    /// In the store where it is fetched.
    AtStore,
}

/// What never changes about an order and every reader wants to know: in each of its events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderRef {
    /// What people call it.
    pub number: OrderNumber,
    /// For whom it was placed.
    pub buyer: AccountId,
    /// Where.
    pub store: StoreId,
    /// When.
    pub placed_at: Millis,
}

/// One thing ordered, and how many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The thing; each at most once in an order.
    pub sku: Sku,
    /// How many; at least 1.
    #[schemars(range(min = 1))]
    pub quantity: i64,
    /// What one costs.
    pub price: Money,
    /// What they cost together.
    pub amount: Money,
}

/// What a payer is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Payable {
    /// Its own number.
    pub id: PayableId,
    /// How much.
    pub amount: Money,
}

/// How far a payable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayableState {
    /// Money may come.
    Open,
    /// Money has come and was taken for the order.
    Captured,
    /// No money is wanted any more.
    Closed,
}

/// A payable is in another state from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PayableChange {
    /// Which.
    pub id: PayableId,
    /// Its state now.
    pub state: PayableState,
}

/// Which way stock goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StockWord {
    /// From the shelf to the order.
    Reserve,
    /// From the order to the buyer.
    Consume,
    /// From the order back to the shelf.
    Return,
}

/// So many of one thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StockLine {
    /// The thing.
    pub sku: Sku,
    /// How many; at least 1.
    #[schemars(range(min = 1))]
    pub quantity: i64,
}

/// Stock of one store goes one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StockMove {
    /// Which way.
    pub word: StockWord,
    /// Whose stock.
    pub store: StoreId,
    /// What and how many; each thing once.
    pub lines: Vec<StockLine>,
}

/// A deadline is set, moved or cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadlineChange {
    /// Its name in the life cycle.
    pub name: String,
    /// When it is due; absent when it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Millis>,
}

/// All that an event does to its order, and to stock, wallets and payables with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// The phase before; absent for an order that did not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Phase>,
    /// The phase after.
    pub to: Phase,
    /// Stock that moves, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stock: Vec<StockMove>,
    /// Money that moves, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub money: Vec<MoneyMove>,
    /// Deadlines set, moved or cleared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deadlines: Vec<DeadlineChange>,
    /// Payables that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payables: Vec<PayableChange>,
}

/// An order exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// What never changes about it.
    pub order: OrderRef,
    /// What the caller is to it.
    pub by: By,
    /// The version of the channel's life cycle that it lives by.
    pub lifecycle: u32,
    /// How it reaches the buyer.
    pub kind: Kind,
    /// How it is to be paid.
    pub method: Method,
    /// What is ordered; at least one line.
    pub lines: Vec<Line>,
    /// What is to be paid.
    pub total: Money,
    /// What the payer is asked for; absent where nobody is asked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payable: Option<Payable>,
    /// What this does.
    pub effect: Effect,
}

/// An order goes on. The kind of the event says what happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderStep {
    /// What never changes about it.
    pub order: OrderRef,
    /// What the caller is to it.
    pub by: By,
    /// What this does.
    pub effect: Effect,
}

/// An order lives by a newer version of its channel's life cycle from here on. Deadlines that are
/// set stay as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderMoved {
    /// What never changes about it.
    pub order: OrderRef,
    /// The version it lived by.
    #[schemars(range(min = 1))]
    pub from: u32,
    /// The version it lives by now.
    #[schemars(range(min = 1))]
    pub lifecycle: u32,
}
