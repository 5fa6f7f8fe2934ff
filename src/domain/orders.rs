//! The orders that are in memory. Each lies in a box of its own, so that a table that has just
//! grown is half empty in pointers and not in orders.

use std::{
    collections::{HashMap, hash_map},
    ops::Index,
};

use events::OrderId;

use super::Order;

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
