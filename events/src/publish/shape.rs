//! The shapes of what is published. They are not the journal's: both may change without the other.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, By, Channel, Kind, Method, Millis, Money, OrderId, OrderNumber, Phase, Sku, StoreId,
};

/// An order as it is after something happened to it. Every record of an order has all of this, so
/// that orders can be counted by store and phase from any of them on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderChanged {
    /// The channel it belongs to.
    pub channel: Channel,
    /// The order.
    pub order: OrderId,
    /// What people call it.
    pub number: OrderNumber,
    /// Where it was placed.
    pub store: StoreId,
    /// The account for which it was placed.
    pub buyer: AccountId,
    /// When it was placed.
    pub placed_at: Millis,
    /// The phase before; absent for an order that did not exist. It may be the phase after, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_phase: Option<Phase>,
    /// The phase after.
    pub phase: Phase,
    /// What whoever did it is to the order.
    pub by: By,
}

/// An order that exists from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// The order.
    #[serde(flatten)]
    pub order: OrderChanged,
    /// How it reaches the buyer.
    pub kind: Kind,
    /// How it is to be paid.
    pub method: Method,
    /// What is ordered; at least one line.
    pub lines: Vec<OrderedLine>,
    /// What is to be paid.
    pub total: Money,
}

/// One thing ordered, and how many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderedLine {
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

/// Stock of one listing goes somewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StockMoved {
    /// The channel the store belongs to.
    pub channel: Channel,
    /// Whose stock.
    pub store: StoreId,
    /// The thing.
    pub sku: Sku,
    /// How many.
    #[schemars(range(min = 0))]
    pub quantity: i64,
    /// How many more lie on the shelf; negative where they are fewer. The sum over a listing's
    /// records is what lies on its shelf.
    pub shelf_change: i64,
    /// How many more are reserved for orders; negative where they are fewer.
    pub reserved_change: i64,
    /// The order for which they go, if they do for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
}

/// Money goes from one place to another. It is never made or lost: what a place holds is the sum
/// of what came to it less the sum of what left it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MoneyMoved {
    /// The channel it belongs to.
    pub channel: Channel,
    /// Where it leaves.
    pub from: Place,
    /// Where it arrives.
    pub to: Place,
    /// How much; more than nothing.
    pub amount: Money,
    /// The order for which it goes, if it does for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// The store of that order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreId>,
}

/// Where money lies: `outside`, `wallet/<account id>` or `order/<order id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    /// Outside docket: banks, gateways, cash.
    Outside,
    /// The wallet of an account.
    Wallet(AccountId),
    /// Held for an order.
    Order(OrderId),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside => f.write_str("outside"),
            Self::Wallet(account) => write!(f, "wallet/{account}"),
            Self::Order(order) => write!(f, "order/{order}"),
        }
    }
}

impl From<Place> for String {
    fn from(place: Place) -> String {
        place.to_string()
    }
}

impl TryFrom<String> for Place {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let bad =
            || format!("{text:?} names no place: outside, wallet/<account id> or order/<order id>");
        if text == "outside" {
            return Ok(Self::Outside);
        }
        match text.split_once('/').ok_or_else(bad)? {
            ("wallet", account) => account.parse().map(Self::Wallet).map_err(|_| bad()),
            ("order", order) => order.parse().map(Self::Order).map_err(|_| bad()),
            _ => Err(bad()),
        }
    }
}

impl JsonSchema for Place {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Place".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where money lies: outside docket, in an account's wallet, or held for \
                            an order.",
            "type": "string", "pattern": "^(outside|(wallet|order)/[0-9a-f-]{36})$",
        })
    }
}
