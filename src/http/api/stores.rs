//! Stores, what they sell, and how much of it there is.

use std::collections::BTreeMap;

use events::{
    AccountId, Channel, Event, ListingAdded, Millis, Money, Position, Recorded, Sku, StoreId,
    Subject,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use projections::ListingRow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    body::Whole,
    call::{Call, off_thread},
    cursor::Page,
    problem::Problem,
    receipt::Receipt,
    route::{Answer, Reply},
};
use crate::{
    domain::{Action, lifecycle::Check},
    projector::ViewName,
};

/// A store that somebody wants to open.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "store": "corner" }]))]
pub(super) struct NewStore {
    /// The channel; the token's own where it is not said.
    channel: Option<Channel>,
    /// Its name; new in the channel.
    store: StoreId,
}

/// A store, just opened.
#[derive(Serialize, JsonSchema)]
pub(super) struct MadeStore {
    /// Its name.
    store: StoreId,
    /// The channel it belongs to.
    channel: Channel,
}

/// A store.
#[derive(Serialize, JsonSchema)]
pub(super) struct Store {
    /// Its name.
    store: StoreId,
    /// The channel it belongs to.
    channel: Channel,
    /// Who sells there.
    owner: AccountId,
    /// When it was opened.
    opened_at: Millis,
}

/// One thing more to sell.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{
    "sku": "tea", "title": "Green tea", "price": { "minor": 700, "currency": "CNY" },
    "quantity": 10, "tags": ["drink"],
}]))]
pub(super) struct NewListing {
    /// The store's channel; the token's own where it is not said.
    channel: Option<Channel>,
    /// Its name; new in the store.
    sku: Sku,
    /// What people call it.
    #[serde(default)]
    title: String,
    /// What one costs.
    price: Price,
    /// How many lie on the shelf.
    quantity: Whole<0>,
    /// Words to find it by.
    #[serde(default)]
    tags: Vec<String>,
    /// Whatever else there is to know about it, under any names.
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
}

/// What one costs; not negative.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Price {
    /// Minor units: fen, cents, coins.
    minor: Whole<0>,
    /// What is counted.
    currency: events::Currency,
}

/// A listing, just made.
#[derive(Serialize, JsonSchema)]
pub(super) struct MadeListing {
    /// The store.
    store: StoreId,
    /// Its name there.
    sku: Sku,
}

/// One thing that a store sells.
#[derive(Serialize, JsonSchema)]
pub(super) struct Listing {
    /// Its name in the store.
    sku: Sku,
    /// What people call it; may be empty.
    title: String,
    /// What one costs.
    price: Money,
    /// How many lie on the shelf.
    shelf: i64,
    /// How many are put aside for orders.
    reserved: i64,
    /// Words to find it by.
    tags: Vec<String>,
}

/// One thing that a store sells, with all that is known of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct WholeListing {
    /// What lists show of it.
    #[serde(flatten)]
    listing: Listing,
    /// Whatever else there is to know about it.
    attributes: BTreeMap<String, Value>,
}

/// More on the shelf.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "quantity": 5 }]))]
pub(super) struct MoreStock {
    /// The store's channel; the token's own where it is not said.
    channel: Option<Channel>,
    /// How many more.
    quantity: Whole<1>,
}

pub(super) async fn open_store(call: Call, body: NewStore) -> Reply<MadeStore> {
    let (channel, store) = (call.channel(body.channel)?, body.store);
    let accepted = call.submit(&channel, Action::OpenStore { store: store.clone() }).await?;
    let location = format!("/v1/stores/{}", encoded(&store));
    Ok(Answer::of(&accepted, MadeStore { store, channel }).found_at(location))
}

pub(super) async fn store(call: Call) -> Reply<Store> {
    let (channel, store) = (call.channel(None)?, named(&call)?);
    let position = call.fresh(ViewName::Catalogue).await?;
    let view = call.app.views.catalogue.clone();
    let row = view.store(&channel, &store)?.ok_or_else(|| unknown(&store))?;
    let (owner, opened_at) = (row.owner, row.opened_at);
    Ok(Answer::at(position, Store { store, channel, owner, opened_at }))
}

pub(super) async fn add_listing(call: Call, body: NewListing) -> Reply<MadeListing> {
    let (channel, store) = (call.channel(body.channel)?, store_of(&call)?);
    let sku = body.sku;
    let listing = ListingAdded {
        store: store.clone(),
        sku: sku.clone(),
        title: body.title,
        price: Money { minor: body.price.minor.0, currency: body.price.currency },
        quantity: body.quantity.0,
        tags: body.tags,
        attributes: body.attributes,
        pictures: Vec::new(),
    };
    let accepted = call.submit(&channel, Action::AddListing(Box::new(listing))).await?;
    let location = format!("/v1/stores/{}/listings/{}", encoded(&store), encoded(&sku));
    Ok(Answer::of(&accepted, MadeListing { store, sku }).found_at(location))
}

pub(super) async fn listings(call: Call) -> Reply<Page<Listing>> {
    let (channel, store) = (call.channel(None)?, named(&call)?);
    let limit = call.query.limit()?;
    let list = call.list((&channel, &store));
    let after = call.after(&list)?.and_then(|at| String::from_utf8(at).ok()).map(Sku::new);
    let after = after.transpose().map_err(|error| Problem::field("cursor", error))?;
    let position = call.fresh(ViewName::Catalogue).await?;
    let view = call.app.views.catalogue.clone();
    let of = store.clone();
    let read = move || {
        let known = view.store(&channel, &of)?.is_some();
        known.then(|| view.list(&channel, &of, after.as_ref(), limit + 1)).transpose()
    };
    let rows = off_thread::<_, projections::Error>(read).await?.ok_or_else(|| unknown(&store))?;
    let items = rows.into_iter().map(|(sku, row)| Listing::of(sku, row)).collect();
    Ok(Answer::at(position, list.page(items, limit, |item: &Listing| item.sku.as_bytes().to_vec())))
}

pub(super) async fn listing(call: Call) -> Reply<WholeListing> {
    let (channel, store) = (call.channel(None)?, named(&call)?);
    let sku = call.part("sku", |text| Sku::new(text).ok())?;
    let position = call.fresh(ViewName::Catalogue).await?;
    let (view, feed) = (call.app.views.catalogue.clone(), call.app.feed.clone());
    let (of, name) = (store.clone(), sku.clone());
    let read = move || {
        let Some(row) = view.listing(&channel, &of, &name)? else { return Ok(None) };
        let first = feed.history(&channel, &Subject::listing(&of, &name), Position(0), 1)?;
        let attributes = match first.first().and_then(|it| Recorded::decode(it).ok()) {
            Some(Recorded { event: Event::ListingAdded(it), .. }) => it.attributes,
            _ => BTreeMap::new(),
        };
        Ok(Some((row, attributes)))
    };
    let found = off_thread::<_, Problem>(read).await?;
    let unknown = || {
        Problem::not_found(format!("no such thing in this store: {sku}")).at("sku").by(Check::Lines)
    };
    let (row, attributes) = found.ok_or_else(unknown)?;
    let listing = Listing::of(sku.clone(), row);
    Ok(Answer::at(position, WholeListing { listing, attributes }))
}

pub(super) async fn add_stock(call: Call, body: MoreStock) -> Reply<Receipt> {
    let (channel, store) = (call.channel(body.channel)?, store_of(&call)?);
    let sku = call.part("sku", |text| Sku::new(text).ok())?;
    let action = Action::AddStock { store, sku, quantity: body.quantity.0 };
    let accepted = call.submit(&channel, action).await?;
    let receipt = Receipt::of(&accepted);
    Ok(Answer::of(&accepted, receipt))
}

impl Listing {
    fn of(sku: Sku, row: ListingRow) -> Self {
        let ListingRow { title, price, tags, shelf, reserved, .. } = row;
        Self { sku, title, price, shelf, reserved, tags }
    }
}

fn store_of(call: &Call) -> Result<StoreId, Problem> {
    call.part("store", |text| StoreId::new(text).ok())
}

/// The store that the path names, if the token is good for it.
fn named(call: &Call) -> Result<StoreId, Problem> {
    let store = store_of(call)?;
    match call.own_store() {
        Some(own) if *own != store => {
            Err(Problem::forbidden(format!("this token is good for store {own} alone")).at("store"))
        }
        _ => Ok(store),
    }
}

fn unknown(store: &StoreId) -> Problem {
    Problem::not_found(format!("no such store: {store}")).at("store").by(Check::Store)
}

/// A name as part of a path.
fn encoded(name: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(name, NON_ALPHANUMERIC)
}
