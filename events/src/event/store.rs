//! Stores, what they sell, and how much of it lies on the shelf.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountId, Digest, Money, Sku, StoreId};

/// A store is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoreOpened {
    /// The store, new in its channel.
    pub store: StoreId,
    /// Who sells there.
    pub owner: AccountId,
}

/// A store sells one thing more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListingAdded {
    /// The store.
    pub store: StoreId,
    /// The thing, new in its store.
    pub sku: Sku,
    /// What people call it; may be empty.
    pub title: String,
    /// What one costs; not negative.
    pub price: Money,
    /// How many lie on the shelf; not negative.
    #[schemars(range(min = 0))]
    pub quantity: i64,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whatever else the channel knows about it, under the channel's own names.
    #[serde(default)]
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// Pictures, by the SHA-256 of their bytes; they lie among the blobs.
    #[serde(default)]
    pub pictures: Vec<Digest>,
}

/// A listing has more on its shelf.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StockAdded {
    /// The store.
    pub store: StoreId,
    /// The thing.
    pub sku: Sku,
    /// How many more; at least 1.
    #[schemars(range(min = 1))]
    pub quantity: i64,
}
