//! The faces of docket: how each says what a customer wants, and what its answers tell.

mod bookstore;
mod native;

use std::collections::BTreeMap;

use axum::http::Method;
use docket::client::{Answer, Client};
use events::Phase;

use super::shop::{Change, Learnt, Order, Refusal, Shop};

/// A way to speak to docket. Where an account of the bookstore's speaks both, it is the same
/// account and the same session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    Bookstore,
    Native,
}

/// A request without its idempotency key.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub path: String,
    /// The header that proves who asks, and its value.
    pub credential: (&'static str, String),
    pub body: String,
}

impl Face {
    /// Whether it can say that, as far as the shop knows.
    pub fn can(self, shop: &Shop, change: &Change) -> bool {
        match (self, change) {
            (Self::Native, Change::Fund(buyer, _)) => shop.buyers[*buyer].account.is_some(),
            _ => true,
        }
    }

    pub fn request(self, shop: &Shop, change: &Change) -> Request {
        match self {
            Self::Bookstore => bookstore::request(shop, change),
            Self::Native => native::request(shop, change),
        }
    }

    /// Whether the answer is a refusal for this reason.
    pub fn refuses(self, refusal: Refusal, answer: &Answer) -> bool {
        match self {
            Self::Bookstore => bookstore::refuses(refusal, answer),
            Self::Native => native::refuses(refusal, answer),
        }
    }

    /// What the answer to an accepted request tells; `None` where it is no such answer.
    pub fn learn(self, change: &Change, answer: &Answer) -> Option<Learnt> {
        match self {
            Self::Bookstore => bookstore::learn(change, answer),
            Self::Native => native::learn(change, answer),
        }
    }

    /// The phase of every order of the shop's buyers.
    pub async fn orders(self, shop: &Shop, client: &Client) -> BTreeMap<String, Phase> {
        match self {
            Self::Bookstore => bookstore::orders(shop, client).await,
            Self::Native => native::orders(shop, client).await,
        }
    }

    /// Compares what is told of one order with what is known.
    pub async fn look_at(self, shop: &Shop, order: &Order, client: &Client) {
        match self {
            Self::Bookstore => bookstore::look_at(shop, order, client).await,
            Self::Native => native::look_at(shop, order, client).await,
        }
    }

    /// Compares the shelf and, where the face shows them, the wallets with what is known.
    pub async fn count(self, shop: &Shop, client: &Client) {
        match self {
            Self::Bookstore => bookstore::count(shop, client).await,
            Self::Native => native::count(shop, client).await,
        }
    }
}

pub use native::{outcome, outcome_of_newest};
