//! `/seller`: stores, books, stock, deliveries.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use events::{Currency, Digest, ListingAdded, Money, StoreId};
use serde_json::Value;

use super::{
    super::super::fields::{Bad, Fields},
    Reply,
    call::{Call, order_id},
    failure::{Failure, Named},
};
use crate::domain::{Action, Credential, lifecycle::Word};

/// How many pictures a book may have.
const PICTURES_MAX: usize = 100;

pub(super) async fn create_store(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let store = call.fields.name("store_id")?;
    let named = Named { user: &user.name, ..Named::default() };
    let action = Action::OpenStore { store };
    Ok(call.command_of(&user, call.by_token(&user), action, &named).await?.into())
}

pub(super) async fn add_book(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let store = call.fields.name("store_id")?;
    let (mut listing, pictures) = if call.fields.has("book_info") {
        described(&call.fields, store)?
    } else {
        (bare(&call.fields, store)?, Vec::new())
    };
    if listing.price.minor < 0 {
        let field = if call.fields.has("book_info") { "book_info.price" } else { "price" };
        return Err(call.fields.bad(field, "must not be negative").into());
    }
    if listing.quantity < 0 {
        return Err(call.fields.bad("stock_level", "must not be negative").into());
    }
    listing.pictures = vec![Digest::default(); pictures.len()];
    let bytes = serde_json::to_string(&listing).map_or(usize::MAX, |json| json.len());
    call.fits("book_info", bytes)?; // The pictures are kept elsewhere.
    let credential = call.by_token(&user);
    let seller = user.account.as_ref().filter(|_| credential != Credential::Failed);
    let credentials = call.app.engine.credentials();
    listing.pictures = match seller {
        Some(seller) if credentials.sells_in(seller.id, &listing.store) => {
            kept(&call, pictures).await?
        }
        Some(_) | None => Vec::new(), // The command is refused; nothing of it is kept.
    };
    let named = Named { user: &user.name, ..Named::default() };
    let action = Action::AddListing(Box::new(listing));
    Ok(call.command_of(&user, credential, action, &named).await?.into())
}

pub(super) async fn add_stock_level(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let (store, sku) = (call.fields.name("store_id")?, call.fields.name("book_id")?);
    let quantity = call.fields.integer("add_stock_level")?;
    if quantity < 1 {
        return Err(call.fields.bad("add_stock_level", "must be at least 1").into());
    }
    let named = Named { user: &user.name, ..Named::default() };
    let action = Action::AddStock { store, sku, quantity };
    Ok(call.command_of(&user, call.by_token(&user), action, &named).await?.into())
}

pub(super) async fn deliver(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let order = call.order()?;
    let store = call.fields.optional_name("store_id")?;
    let named = Named { user: &user.name, order: &order, ..Named::default() };
    let action = Action::Step { order: order_id(&order), store, word: Word::Ship };
    Ok(call.command_of(&user, call.by_token(&user), action, &named).await?.into())
}

/// The short form: an id, a price, a stock.
fn bare(fields: &Fields, store: StoreId) -> Result<ListingAdded, Bad> {
    Ok(ListingAdded {
        store,
        sku: fields.name("book_id")?,
        title: String::new(),
        price: fen(fields.integer("price")?),
        quantity: fields.integer("stock_level")?,
        tags: Vec::new(),
        attributes: BTreeMap::new(),
        pictures: Vec::new(),
    })
}

/// The long form, and the pictures' bytes.
fn described(fields: &Fields, store: StoreId) -> Result<(ListingAdded, Vec<Vec<u8>>), Bad> {
    const TEXTS: [&str; 10] = [
        "author",
        "publisher",
        "original_title",
        "translator",
        "pub_year",
        "currency_unit",
        "binding",
        "isbn",
        "author_intro",
        "book_intro",
    ];
    let info = fields.object("book_info")?;
    let mut attributes = BTreeMap::new();
    for name in TEXTS.into_iter().chain(["content"]) {
        if let Some(text) = info.optional_text(name)? {
            attributes.insert(name.to_owned(), Value::from(text));
        }
    }
    if info.has("pages") {
        attributes.insert("pages".to_owned(), Value::from(info.integer("pages")?));
    }
    let pictures = info.texts("pictures")?;
    if pictures.len() > PICTURES_MAX {
        return Err(info.bad("pictures", format!("must be at most {PICTURES_MAX}")));
    }
    let pictures = pictures.into_iter().enumerate().map(|(n, text)| {
        STANDARD.decode(text).map_err(|_| info.bad(&format!("pictures[{n}]"), "is not base64"))
    });
    let listing = ListingAdded {
        store,
        sku: info.name("id")?,
        title: info.optional_text("title")?.unwrap_or_default().to_owned(),
        price: fen(info.integer("price")?),
        quantity: fields.integer_or("stock_level", 0)?,
        tags: info.texts("tags")?.into_iter().map(str::to_owned).collect(),
        attributes,
        pictures: Vec::new(),
    };
    Ok((listing, pictures.collect::<Result<_, _>>()?))
}

/// Puts pictures among the blobs, durably, before the event that names them.
async fn kept(call: &Call<'_>, pictures: Vec<Vec<u8>>) -> Result<Vec<Digest>, Failure> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    let blobs = call.app.blobs.clone();
    let put = move || pictures.iter().map(|bytes| blobs.put(bytes)).collect::<Result<_, _>>();
    let kept = tokio::task::spawn_blocking(put).await.map_err(|_| Failure::storage())?;
    kept.map_err(|error: crate::blobs::Error| {
        tracing::error!(%error, "a picture cannot be kept");
        Failure::storage()
    })
}

pub(super) fn fen(minor: i64) -> Money {
    Money { minor, currency: Currency::CNY }
}
