//! What everybody may know of what was recorded: [CloudEvents](https://cloudevents.io) 1.0 in
//! shapes of their own, made from recorded events by one function. Every way out of docket uses
//! it and nothing else, so the journal's shapes may change without a reader noticing.
//!
//! Published are orders, stock and money, with the ids of accounts. Accounts, sessions, tokens,
//! stores and life cycles are not, but for the money that leaves with an account.
//!
//! **Invariant:** no sealed field, and nothing of logins, passwords, sessions and tokens, is ever in
//! what is published.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::Serialize;

mod read;
mod record;
mod shape;

pub use read::ReadError;
pub use record::{CONTENT_TYPE, CloudEvent};
pub use shape::{MoneyMoved, OrderChanged, OrderPlaced, OrderedLine, Place, StockMoved};

use crate::{
    Effect, Event, Line, MoneyMove, OrderId, OrderRef, OrderStep, Pot, Recorded, StockWord,
    Subject, event::order,
};

/// How many partitions a public topic has. The key of a record says in which one it is.
pub const PARTITIONS: u32 = 12;

/// Where a record is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// What happens to orders.
    Orders,
    /// What happens to the stock of listings.
    Stock,
    /// Where money goes.
    Payments,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 3] = [Self::Orders, Self::Stock, Self::Payments];

    /// Its short name: `orders`, `stock`, `payments`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Stock => "stock",
            Self::Payments => "payments",
        }
    }

    /// Its name in Kafka: `<prefix>.orders`, for example.
    pub fn address(self, prefix: &str) -> String {
        format!("{prefix}.{}", self.name())
    }

    /// What is in it, and under which keys.
    pub fn about(self) -> &'static str {
        match self {
            Self::Orders => {
                "Every order: that it was placed, and each step of its life. The key is order/<id>."
            }
            Self::Stock => {
                "Every change of a listing's stock; summed up, they are the stock. The key is \
                 listing/<store>/<sku>."
            }
            Self::Payments => {
                "Every move of money between outside, wallets and orders; summed up, they are the \
                 balances. The key is order/<id>, or account/<id> where no order is concerned."
            }
        }
    }
}

macro_rules! types {
    ($(#[doc = $doc:literal] $variant:ident($shape:ident) = $topic:ident $name:literal,)*) => {
        /// The type of a record: what happened, and the version of the shape that tells it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Type {
            $(#[doc = $doc] $variant,)*
        }

        impl Type {
            /// Every type, topic by topic.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As CloudEvents write it, `docket.order.paid.v1` for example.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The type of this name; `None` where it is none of these.
            pub fn of_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Where records of this type are published.
            pub fn topic(self) -> Topic {
                match self { $(Self::$variant => Topic::$topic,)* }
            }

            /// What has happened, in a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $doc.trim_ascii(),)* }
            }

            /// The JSON Schema of a record's data, in draft 7, which AsyncAPI reads.
            pub fn schema(self) -> Schema {
                match self { $(Self::$variant => titled::<$shape>(self),)* }
            }

            /// The data of a record of this type.
            fn read(self, value: &[u8]) -> Result<Data, serde_json::Error> {
                match self {
                    $(Self::$variant => serde_json::from_slice(value).map(Data::$shape),)*
                }
            }
        }
    };
}

types! {
    /// An order exists.
    OrderPlaced(OrderPlaced) = Orders "docket.order.placed.v1",
    /// An order is paid.
    OrderPaid(OrderChanged) = Orders "docket.order.paid.v1",
    /// An order is being made ready, or is ready.
    OrderPrepared(OrderChanged) = Orders "docket.order.prepared.v1",
    /// An order is on its way.
    OrderShipped(OrderChanged) = Orders "docket.order.shipped.v1",
    /// The carrier says that an order has arrived.
    OrderDelivered(OrderChanged) = Orders "docket.order.delivered.v1",
    /// The carrier says that an order could not be delivered.
    OrderDeliveryFailed(OrderChanged) = Orders "docket.order.delivery_failed.v1",
    /// An order has arrived.
    OrderReceived(OrderChanged) = Orders "docket.order.received.v1",
    /// An order is cancelled by somebody.
    OrderCancelled(OrderChanged) = Orders "docket.order.cancelled.v1",
    /// An order ran out of time.
    OrderExpired(OrderChanged) = Orders "docket.order.expired.v1",
    /// The seller refuses an order.
    OrderRejected(OrderChanged) = Orders "docket.order.rejected.v1",
    /// The whole payment of an order is to go back.
    OrderRefundRequested(OrderChanged) = Orders "docket.order.refund_requested.v1",
    /// The whole payment of an order has gone back.
    OrderRefunded(OrderChanged) = Orders "docket.order.refunded.v1",
    /// A store sells one thing more, and so many of it lie on the shelf.
    StockListed(StockMoved) = Stock "docket.stock.listed.v1",
    /// A listing has more on its shelf.
    StockAdded(StockMoved) = Stock "docket.stock.added.v1",
    /// Things go from the shelf to an order.
    StockReserved(StockMoved) = Stock "docket.stock.reserved.v1",
    /// Things go from an order to its buyer.
    StockConsumed(StockMoved) = Stock "docket.stock.consumed.v1",
    /// Things go from an order back to the shelf.
    StockReturned(StockMoved) = Stock "docket.stock.returned.v1",
    /// Money comes into a wallet from outside.
    PaymentCharged(MoneyMoved) = Payments "docket.payment.charged.v1",
    /// Money leaves a wallet for outside.
    PaymentWithdrawn(MoneyMoved) = Payments "docket.payment.withdrawn.v1",
    /// Money comes in for an order, and is held for it.
    PaymentHeld(MoneyMoved) = Payments "docket.payment.held.v1",
    /// What was held for an order goes to its seller, or to somebody else who is not its buyer.
    PaymentReleased(MoneyMoved) = Payments "docket.payment.released.v1",
    /// What was held for an order goes back to its buyer's wallet, or outside.
    PaymentRefunded(MoneyMoved) = Payments "docket.payment.refunded.v1",
}

/// What a record tells, in the shape of its type.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Data {
    /// Of `docket.order.placed`.
    OrderPlaced(OrderPlaced),
    /// Of the other types of orders.
    OrderChanged(OrderChanged),
    /// Of the types of stock.
    StockMoved(StockMoved),
    /// Of the types of payments.
    MoneyMoved(MoneyMoved),
}

/// What everybody may know of an event: none, one or several records, in order. The same event
/// always gives the same records.
pub fn publish(recorded: &Recorded) -> Vec<CloudEvent> {
    let mut it = Publishing { recorded, records: Vec::new() };
    match &recorded.event {
        Event::OrderPlaced(placed) => it.placed(placed),
        Event::OrderPaid(step) => it.stepped(Type::OrderPaid, step),
        Event::OrderPrepared(step) => it.stepped(Type::OrderPrepared, step),
        Event::OrderShipped(step) => it.stepped(Type::OrderShipped, step),
        Event::OrderDelivered(step) => it.stepped(Type::OrderDelivered, step),
        Event::OrderDeliveryFailed(step) => it.stepped(Type::OrderDeliveryFailed, step),
        Event::OrderReceived(step) => it.stepped(Type::OrderReceived, step),
        Event::OrderCancelled(step) => it.stepped(Type::OrderCancelled, step),
        Event::OrderExpired(step) => it.stepped(Type::OrderExpired, step),
        Event::OrderRejected(step) => it.stepped(Type::OrderRejected, step),
        Event::OrderRefundRequested(step) => it.stepped(Type::OrderRefundRequested, step),
        Event::OrderRefunded(step) => it.stepped(Type::OrderRefunded, step),
        Event::ListingAdded(added) => {
            let moved = it.shelved(&added.store, &added.sku, added.quantity);
            it.stock(Type::StockListed, moved);
        }
        Event::StockAdded(added) => {
            let moved = it.shelved(&added.store, &added.sku, added.quantity);
            it.stock(Type::StockAdded, moved);
        }
        Event::WalletCharged(charged) => it.money(None, &[charged.money]),
        Event::WalletWithdrawn(withdrawn) => it.money(None, &[withdrawn.money]),
        // Whose money it is is known already; why it leaves is nobody's business.
        Event::AccountUnregistered(gone) => it.money(None, &gone.money),
        Event::AccountForgotten(gone) => it.money(None, &gone.money),
        Event::AccountRegistered(_)
        | Event::PasswordChanged(_)
        | Event::TokenIssued(_)
        | Event::TokenRevoked(_)
        | Event::SessionOpened(_)
        | Event::SessionClosed(_)
        | Event::StoreOpened(_)
        | Event::OrderMoved(_)
        | Event::LifecycleAdopted(_)
        | Event::SettingsAdopted(_)
        | Event::WriterOpened(_)
        | Event::ClusterUpgraded(_) => {}
    }
    it.records
}

/// The records of one event, as they are made.
struct Publishing<'a> {
    recorded: &'a Recorded,
    records: Vec<CloudEvent>,
}

impl Publishing<'_> {
    fn record(&mut self, kind: Type, subject: &Subject, data: Data) {
        let record = CloudEvent::new(self.recorded, self.records.len(), kind, subject, data);
        self.records.push(record);
    }

    fn placed(&mut self, it: &order::OrderPlaced) {
        let Some(order) = self.changed(&it.order, it.by, &it.effect) else { return };
        let line = |line: &Line| OrderedLine {
            sku: line.sku.clone(),
            quantity: line.quantity,
            price: line.price,
            amount: line.amount,
        };
        let placed = OrderPlaced {
            order,
            kind: it.kind,
            method: it.method,
            lines: it.lines.iter().map(line).collect(),
            total: it.total,
        };
        let subject = &self.recorded.subject;
        self.record(Type::OrderPlaced, subject, Data::OrderPlaced(placed));
        self.effect(&it.order, &it.effect);
    }

    fn stepped(&mut self, kind: Type, it: &OrderStep) {
        let Some(changed) = self.changed(&it.order, it.by, &it.effect) else { return };
        let subject = &self.recorded.subject;
        self.record(kind, subject, Data::OrderChanged(changed));
        self.effect(&it.order, &it.effect);
    }

    /// The order after the event. Every event of an order has its subject.
    fn changed(&self, order: &OrderRef, by: crate::By, effect: &Effect) -> Option<OrderChanged> {
        Some(OrderChanged {
            channel: self.recorded.channel.clone(),
            order: self.recorded.subject.as_order()?,
            number: order.number.clone(),
            store: order.store.clone(),
            buyer: order.buyer,
            placed_at: order.placed_at,
            previous_phase: effect.from,
            phase: effect.to,
            by,
        })
    }

    fn effect(&mut self, order: &OrderRef, effect: &Effect) {
        let id = self.recorded.subject.as_order();
        for moved in &effect.stock {
            for line in &moved.lines {
                let quantity = line.quantity;
                let (kind, shelf_change, reserved_change) = match moved.word {
                    StockWord::Reserve => (Type::StockReserved, -quantity, quantity),
                    StockWord::Consume => (Type::StockConsumed, 0, -quantity),
                    StockWord::Return => (Type::StockReturned, quantity, -quantity),
                };
                let shelved = self.shelved(&moved.store, &line.sku, quantity);
                let moved = StockMoved { order: id, shelf_change, reserved_change, ..shelved };
                self.stock(kind, moved);
            }
        }
        self.money(id.map(|id| (id, order)), &effect.money);
    }

    /// So many more on the shelf.
    fn shelved(&self, store: &crate::StoreId, sku: &crate::Sku, quantity: i64) -> StockMoved {
        StockMoved {
            channel: self.recorded.channel.clone(),
            store: store.clone(),
            sku: sku.clone(),
            quantity,
            shelf_change: quantity,
            reserved_change: 0,
            order: None,
        }
    }

    fn stock(&mut self, kind: Type, moved: StockMoved) {
        let subject = Subject::listing(&moved.store, &moved.sku);
        self.record(kind, &subject, Data::StockMoved(moved));
    }

    fn money(&mut self, order: Option<(OrderId, &OrderRef)>, moves: &[MoneyMove]) {
        let place = |pot| match pot {
            Pot::Outside => Some(Place::Outside),
            Pot::Wallet(account) => Some(Place::Wallet(account)),
            Pot::Held => order.map(|(id, _)| Place::Order(id)), // Nothing else holds money.
        };
        // Who buys of himself is paid when the order arrives.
        let arrives = matches!(self.recorded.event, Event::OrderReceived(_));
        for MoneyMove { from, to, amount } in moves {
            let (Some(from), Some(to)) = (place(*from), place(*to)) else { continue };
            let buyer = order.map(|(_, it)| Place::Wallet(it.buyer));
            let kind = match (from, to) {
                (_, Place::Order(_)) => Type::PaymentHeld,
                (Place::Order(_), _) if arrives => Type::PaymentReleased,
                (Place::Order(_), Place::Outside) => Type::PaymentRefunded,
                (Place::Order(_), wallet) if Some(wallet) == buyer => Type::PaymentRefunded,
                (Place::Order(_), Place::Wallet(_)) => Type::PaymentReleased,
                (Place::Outside, Place::Outside | Place::Wallet(_)) => Type::PaymentCharged,
                (Place::Wallet(_), Place::Outside | Place::Wallet(_)) => Type::PaymentWithdrawn,
            };
            let moved = MoneyMoved {
                channel: self.recorded.channel.clone(),
                from,
                to,
                amount: *amount,
                order: order.map(|(id, _)| id),
                store: order.map(|(_, it)| it.store.clone()),
            };
            let subject = &self.recorded.subject;
            self.record(kind, subject, Data::MoneyMoved(moved));
        }
    }
}

/// Types may share a shape, so a schema is named after its type.
fn titled<T: JsonSchema>(kind: Type) -> Schema {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), kind.name().into());
    schema.insert("description".to_owned(), kind.about().into());
    schema
}

/// A text as a CloudEvents string: what such a string may not have, control characters and
/// noncharacters, is percent-encoded.
fn plain(text: &str) -> Cow<'_, str> {
    let may_be = |c: char| {
        let code = u32::from(c);
        !c.is_control() && code & 0xfffe != 0xfffe && !(0xfdd0..=0xfdef).contains(&code)
    };
    if text.chars().all(may_be) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match may_be(c) {
            true => plain.push(c),
            false => encode(&mut plain, c),
        }
    }
    plain.into()
}

/// A text as one segment of a URI's path (RFC 3986).
fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii_alphanumeric() || "-._~".contains(c) {
            true => segment.push(c),
            false => encode(&mut segment, c),
        }
    }
    segment
}

fn encode(text: &mut String, c: char) {
    let mut bytes = [0; 4];
    for byte in c.encode_utf8(&mut bytes).bytes() {
        text.push_str(&format!("%{byte:02X}"));
    }
}

#[cfg(test)]
#[path = "publish/tests.rs"]
mod tests;
