//! What the writer knows of an order, and the orders that are in memory. Each lies in a box of its own, so that a table that has just
//! grown is half empty in pointers and not in orders.

use std::{
    collections::{HashMap, hash_map},
    ops::Index,
};

use events::{
    AccountId, Channel, Kind, Method, Millis, Money, OrderId, OrderNumber, PayableId, Phase,
    Position, Pot, Sku, StoreId,
};

/// An order: a phase and facets that do not depend on each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The channel it belongs to.
    pub channel: Channel,
    /// What people call it.
    pub number: OrderNumber,
    /// For whom it was placed.
    pub buyer: AccountId,
    /// Where.
    pub store: StoreId,
    /// When.
    pub placed_at: Millis,
    /// The version of the life cycle that it lives by.
    pub lifecycle: u32,
    /// Where it is in its life.
    pub phase: Phase,
    /// How it reaches the buyer.
    pub kind: Kind,
    /// How it is to be paid.
    pub method: Method,
    /// What was ordered and how many; each thing once.
    pub lines: Vec<(Sku, i64)>,
    /// What is to be paid.
    pub total: Money,
    /// What is held for it, in minor units of the total's currency.
    pub held: i64,
    /// Where the money came from that was held for it, wherever it is now; `None` before any came.
    pub paid_from: Option<Pot>,
    /// Where the things are.
    pub stock: LineStock,
    /// Its payables that are open.
    pub open_payables: Vec<PayableId>,
    /// Its other payables.
    pub closed_payables: Vec<PayableId>,
    /// Its deadlines that are set.
    pub deadlines: Vec<(String, Millis)>,
    /// Where its newest event stands.
    pub changed_at: Position,
    /// When it leaves the world, if it is over.
    pub leaves_at: Option<Millis>,
}

/// Where the things of an order are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineStock {
    /// On the shelf.
    None,
    /// Put aside.
    Reserved,
    /// Gone to the buyer.
    Consumed,
    /// Put back.
    Returned,
}

/// Orders by their ids.
#[derive(Debug, Default, PartialEq)]
pub struct Orders(HashMap<OrderId, Box<Order>>);

/// Every order with its id, in no order.
pub type Iter<'a> = std::iter::Map<
    hash_map::Iter<'a, OrderId, Box<Order>>,
    fn((&'a OrderId, &'a Box<Order>)) -> (&'a OrderId, &'a Order),
>;

impl Orders {
    /// An order, if it is here.
    pub fn get(&self, id: &OrderId) -> Option<&Order> {
        self.0.get(id).map(Box::as_ref)
    }

    /// Whether an order is here.
    pub fn contains_key(&self, id: &OrderId) -> bool {
        self.0.contains_key(id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every order with its id, in no order.
    pub fn iter(&self) -> Iter<'_> {
        self.0.iter().map(|(id, order)| (id, order))
    }

    /// The id of every order, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &OrderId> {
        self.0.keys()
    }

    /// Every order, in no order.
    pub fn values(&self) -> impl Iterator<Item = &Order> {
        self.0.values().map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, id: &OrderId) -> Option<&mut Order> {
        self.0.get_mut(id).map(Box::as_mut)
    }

    pub(super) fn insert(&mut self, id: OrderId, order: Order) {
        self.0.insert(id, Box::new(order));
    }

    pub(super) fn remove(&mut self, id: &OrderId) -> Option<Order> {
        self.0.remove(id).map(|order| *order)
    }
}

impl Index<&OrderId> for Orders {
    type Output = Order;

    fn index(&self, id: &OrderId) -> &Order {
        &self.0[id]
    }
}

impl<'a> IntoIterator for &'a Orders {
    type Item = (&'a OrderId, &'a Order);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
