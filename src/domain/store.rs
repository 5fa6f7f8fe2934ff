//! Stores, listings and their stock.

use events::{Event, ListingAdded, Sku, StockAdded, StoreId, StoreOpened, Subject};

use super::{Decided, Deciding, Rejection, lifecycle::Bound, world::Store};

pub(super) fn open_store(it: &Deciding<'_>, store: &StoreId) -> Result<Decided, Rejection> {
    let (owner, _) = it.proven()?;
    if it.store(store).is_some() {
        return Err(Rejection::StoreTaken { store: store.clone() });
    }
    it.one_more(Bound::Stores, it.channel().map_or(0, |channel| channel.stores.len() as u64))?;
    let event = StoreOpened { store: store.clone(), owner };
    Ok(Decided::one(Subject::store(store), Event::StoreOpened(event)))
}

pub(super) fn add_listing(it: &Deciding<'_>, listing: &ListingAdded) -> Result<Decided, Rejection> {
    if listing.price.minor < 0 {
        return Err(Rejection::Invalid {
            field: "price".into(),
            reason: "must not be negative".into(),
        });
    }
    if listing.quantity < 0 {
        return Err(Rejection::Invalid {
            field: "quantity".into(),
            reason: "must not be negative".into(),
        });
    }
    let store = own_store(it, &listing.store)?;
    if store.listings.contains_key(&listing.sku) {
        return Err(Rejection::SkuTaken { sku: listing.sku.clone() });
    }
    it.one_more(Bound::Listings, store.listings.len() as u64)?;
    let subject = Subject::listing(&listing.store, &listing.sku);
    Ok(Decided::one(subject, Event::ListingAdded(listing.clone())))
}

/// Shelf and reserved together always fit, so that what is reserved can always go back.
pub(super) fn add_stock(
    it: &Deciding<'_>,
    store: &StoreId,
    sku: &Sku,
    quantity: i64,
) -> Result<Decided, Rejection> {
    if quantity < 1 {
        return Err(Rejection::Invalid {
            field: "quantity".into(),
            reason: "must be at least 1".into(),
        });
    }
    let listing = own_store(it, store)?
        .listings
        .get(sku)
        .ok_or_else(|| Rejection::SkuUnknown { sku: sku.clone() })?;
    let all = listing.shelf.checked_add(listing.reserved).ok_or(Rejection::Overflow)?;
    all.checked_add(quantity).ok_or(Rejection::Overflow)?;
    let event = StockAdded { store: store.clone(), sku: sku.clone(), quantity };
    Ok(Decided::one(Subject::listing(store, sku), Event::StockAdded(event)))
}

fn own_store<'a>(it: &Deciding<'a>, store: &StoreId) -> Result<&'a Store, Rejection> {
    let (caller, _) = it.proven()?;
    let found = it.store(store).ok_or_else(|| Rejection::StoreUnknown { store: store.clone() })?;
    if found.owner == caller { Ok(found) } else { Err(Rejection::NotOwn) }
}
