//! The catalogue: stores, what they sell, and how much of it there is.
//!
//! A listing's value begins with its stock, two big-endian numbers, so that an order moves it
//! without reading the text behind, which is JSON.

use events::{
    AccountId, Channel, Event, ListingAdded, Millis, Money, Recorded, Sku, StockMove, StockWord,
    StoreId,
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::Batch,
    key::{Key, read_name},
    projection::{View, order_event, unfit},
    store::{Error, Rows},
};

const STORES: u8 = 1;
const LISTINGS: u8 = 2;
/// Listings that a search reads at once.
const SLICE: usize = 512;

/// One store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRow {
    /// Who sells there. The store stays when the account goes.
    pub owner: AccountId,
    /// When it was opened.
    pub opened_at: Millis,
}

/// One thing that a store sells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingRow {
    /// What people call it; may be empty.
    pub title: String,
    /// What one costs.
    pub price: Money,
    /// Who wrote it, where the channel says so.
    pub author: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// How many lie on the shelf.
    pub shelf: i64,
    /// How many are in orders that have not been shipped.
    pub reserved: i64,
}

/// A listing and where it stands: its store, and its name there.
pub type Listed = (StoreId, Sku, ListingRow);

/// What of a listing does not change with its stock.
#[derive(Serialize, Deserialize)]
struct Text<S, T> {
    title: S,
    price: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<S>,
    tags: T,
}

/// Answers what can be bought.
#[derive(Clone)]
pub struct Catalogue {
    rows: Rows,
}

impl Catalogue {
    /// A store, or `None` where there is none.
    pub fn store(&self, channel: &Channel, store: &StoreId) -> Result<Option<StoreRow>, Error> {
        self.rows.get_json(&store_key(channel, store))
    }

    /// A listing, or `None` where there is none.
    pub fn listing(
        &self,
        channel: &Channel,
        store: &StoreId,
        sku: &Sku,
    ) -> Result<Option<ListingRow>, Error> {
        let key = listing_key(channel, store, sku);
        self.rows.read(|rows| match rows.get(&key)? {
            Some(value) => read_listing(&key, &value).map(Some),
            None => Ok(None),
        })
    }

    /// What a store sells, by SKU, at most `limit` listings. `after` is the last of the page before.
    pub fn list(
        &self,
        channel: &Channel,
        store: &StoreId,
        after: Option<&Sku>,
        limit: usize,
    ) -> Result<Vec<(Sku, ListingRow)>, Error> {
        let prefix = Key::table(LISTINGS).name(channel).name(store);
        let skipped = prefix.clone().bytes().len();
        let (mut from, to) = prefix.range();
        if let Some(after) = after {
            from = listing_key(channel, store, after);
            from.push(0); // The first key behind it.
        }
        self.rows.read(|rows| {
            let listed = rows.range(&from..&to).take(limit).map(|pair| {
                let (key, value) = pair?;
                let row = read_listing(&key, &value)?;
                let sku = read_name(&mut &key[skipped..]).and_then(|name| Sku::new(name).ok());
                let sku = sku.ok_or_else(|| Error::row(&key, "the key names no listing"))?;
                Ok((sku, row))
            });
            listed.collect()
        })
    }

    /// How many listings of a channel, or of one of its stores, match, and `size` of them from the
    /// `first` on, which is counted from 1; by store, then by SKU. Reads every listing: call it
    /// off the async threads.
    pub fn search(
        &self,
        channel: &Channel,
        store: Option<&StoreId>,
        matches: impl Fn(&ListingRow) -> bool,
        first: usize,
        size: usize,
    ) -> Result<(usize, Vec<Listed>), Error> {
        let prefix = Key::table(LISTINGS).name(channel);
        let skipped = prefix.clone().bytes().len();
        let prefix = match store {
            Some(store) => prefix.name(store),
            None => prefix,
        };
        let (mut from, to) = prefix.range();
        let wanted = first.saturating_sub(1)..first.saturating_sub(1).saturating_add(size);
        let (mut total, mut found) = (0, Vec::new());
        loop {
            let slice = self
                .rows
                .read(|rows| rows.range(&from..&to).take(SLICE).collect::<Result<Vec<_>, _>>())?;
            let Some((last, _)) = slice.last() else { break };
            from.clone_from(last);
            from.push(0); // The first key behind it.
            let ended = slice.len() < SLICE;
            for (key, value) in slice {
                let row = read_listing(&key, &value).inspect_err(|error| self.rows.noted(error))?;
                if matches(&row) {
                    if wanted.contains(&total) {
                        let (store, sku) = read_key(&key, skipped)
                            .ok_or_else(|| Error::row(&key, "the key names no listing"))
                            .inspect_err(|error| self.rows.noted(error))?;
                        found.push((store, sku, row));
                    }
                    total += 1;
                }
            }
            if ended {
                break;
            }
        }
        Ok((total, found))
    }
}

impl View for Catalogue {
    const NAME: &'static str = "catalogue";
    const VERSION: u32 = 1;

    fn apply(recorded: &Recorded, rows: &mut Batch<'_>) -> Result<(), Error> {
        let channel = &recorded.channel;
        match &recorded.event {
            Event::StoreOpened(it) => {
                let row = StoreRow { owner: it.owner, opened_at: recorded.recorded_at };
                rows.insert_json(store_key(channel, &it.store), &row);
            }
            Event::ListingAdded(it) => {
                rows.insert(listing_key(channel, &it.store, &it.sku), write_listing(it));
            }
            Event::StockAdded(it) => {
                move_stock(recorded, rows, &it.store, &it.sku, (it.quantity, 0))?;
            }
            event if event.effect().is_some() => {
                let stock = order_event(recorded)?.map_or(&[][..], |(_, _, effect)| &effect.stock);
                for StockMove { word, store, lines } in stock {
                    for line in lines {
                        let n = line.quantity;
                        let (shelf, reserved) = match word {
                            StockWord::Reserve => (-n, n),
                            StockWord::Consume => (0, -n),
                            StockWord::Return => (n, -n),
                        };
                        move_stock(recorded, rows, store, &line.sku, (shelf, reserved))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn over(rows: Rows) -> Self {
        Self { rows }
    }
}

const STOCK_BYTES: usize = 2 * size_of::<i64>();

/// Changes what lies on a listing's shelf and what is reserved of it, by so many.
fn move_stock(
    recorded: &Recorded,
    rows: &mut Batch<'_>,
    store: &StoreId,
    sku: &Sku,
    (shelf, reserved): (i64, i64),
) -> Result<(), Error> {
    let key = listing_key(&recorded.channel, store, sku);
    let value = rows.modify(key)?;
    let Some(value) = value else { return Err(unfit(recorded, "the listing is unknown")) };
    let moved = read_stock(value)
        .and_then(|stock| Some((stock.0.checked_add(shelf)?, stock.1.checked_add(reserved)?)));
    let (shelf, reserved) = moved.ok_or_else(|| unfit(recorded, "the stock does not fit"))?;
    let (first, second) = value[..STOCK_BYTES].split_at_mut(STOCK_BYTES / 2);
    first.copy_from_slice(&shelf.to_be_bytes());
    second.copy_from_slice(&reserved.to_be_bytes());
    Ok(())
}

fn write_listing(it: &ListingAdded) -> Vec<u8> {
    let mut value = Vec::with_capacity(256);
    value.extend(it.quantity.to_be_bytes());
    value.extend(0_i64.to_be_bytes());
    let author = it.attributes.get("author").and_then(|author| author.as_str());
    let text = Text { title: it.title.as_str(), price: it.price, author, tags: &it.tags };
    serde_json::to_writer(&mut value, &text).expect("texts have no failing parts");
    value
}

fn read_listing(key: &[u8], value: &[u8]) -> Result<ListingRow, Error> {
    let stock = read_stock(value).ok_or_else(|| Error::row(key, "the stock is missing"))?;
    let text: Text<String, Vec<String>> =
        serde_json::from_slice(&value[STOCK_BYTES..]).map_err(|error| Error::row(key, error))?;
    let Text { title, price, author, tags } = text;
    Ok(ListingRow { title, price, author, tags, shelf: stock.0, reserved: stock.1 })
}

fn read_stock(value: &[u8]) -> Option<(i64, i64)> {
    let (shelf, rest) = value.split_first_chunk()?;
    let (reserved, _) = rest.split_first_chunk()?;
    Some((i64::from_be_bytes(*shelf), i64::from_be_bytes(*reserved)))
}

fn store_key(channel: &Channel, store: &StoreId) -> Vec<u8> {
    Key::table(STORES).name(channel).name(store).bytes()
}

fn listing_key(channel: &Channel, store: &StoreId, sku: &Sku) -> Vec<u8> {
    Key::table(LISTINGS).name(channel).name(store).name(sku).bytes()
}

fn read_key(key: &[u8], skipped: usize) -> Option<(StoreId, Sku)> {
    let mut rest = key.get(skipped..)?;
    let store = StoreId::new(read_name(&mut rest)?).ok()?;
    let sku = Sku::new(read_name(&mut rest)?).ok()?;
    Some((store, sku))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;

    fn stock(view: &Kept<Catalogue>, name: &str) -> (i64, i64) {
        let row = view.query().listing(&shop(), &store("s"), &sku(name)).unwrap().unwrap();
        (row.shelf, row.reserved)
    }

    #[test]
    fn stock_moves_with_its_orders() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<Catalogue>::open(&folder);
        let mut log = Log::default();
        log.open("s", &["a", "b"]);
        log.place(1, "s", &[("a", 1), ("b", 2)]);
        log.place(2, "s", &[("b", 5)]);
        log.add_stock("s", "b", 10);
        view.apply(&log.events);
        assert_eq!((stock(&view, "a"), stock(&view, "b")), ((99, 1), (103, 7)));
        let seen = log.events.len();
        log.pay(1);
        log.ship(1);
        log.cancel(2);
        view.apply(&log.events[seen..]);
        assert_eq!((stock(&view, "a"), stock(&view, "b")), ((99, 0), (108, 0)));
    }

    #[test]
    fn a_store_outlives_its_owner_s_account() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<Catalogue>::open(&folder);
        let mut log = Log::default();
        log.open("s", &["a"]);
        log.unregister(2, 0);
        view.apply(&log.events);
        let row = view.query().store(&shop(), &store("s")).unwrap().unwrap();
        assert_eq!(row, StoreRow { owner: account(2), opened_at: log.events[0].recorded_at });
        assert_eq!(view.query().store(&shop(), &store("t")).unwrap(), None);
        let row = view.query().listing(&shop(), &store("s"), &sku("a")).unwrap().unwrap();
        assert_eq!(
            (row.author.as_deref(), row.tags.as_slice()),
            (Some("Author of a"), &["tag".to_owned()][..])
        );
    }

    #[test]
    fn a_search_counts_all_and_gives_one_page_by_store_and_sku() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<Catalogue>::open(&folder);
        let mut log = Log::default();
        let many: Vec<String> = (0..SLICE + 10).map(|n| format!("{n:05}")).collect();
        log.open("s", &many.iter().map(String::as_str).collect::<Vec<_>>());
        log.open("s\0", &["x", "a\0b", "a"]);
        log.open("r", &["z"]);
        view.apply(&log.events);
        let search = |store: Option<&StoreId>, title: &str, first, size| {
            let (total, rows) = view
                .query()
                .search(&shop(), store, |row| row.title.contains(title), first, size)
                .unwrap();
            let names = rows.into_iter().map(|(store, sku, _)| format!("{store}/{sku}"));
            (total, names.collect::<Vec<_>>())
        };
        let all = SLICE + 14;
        assert_eq!(search(None, "", 1, 2), (all, vec!["r/z".into(), "s/00000".into()]));
        assert_eq!(search(None, "", all - 1, 9), (all, vec!["s\0/a\0b".into(), "s\0/x".into()]));
        assert_eq!(search(None, "", all + 1, 9), (all, vec![]));
        assert_eq!(search(Some(&store("s\0")), "", 1, 1), (3, vec!["s\0/a".into()]));
        assert_eq!(search(None, "of 00521", 1, 9), (1, vec!["s/00521".into()]));
        let elsewhere = Channel::new("shop\0").unwrap();
        assert_eq!(view.query().search(&elsewhere, None, |_| true, 1, 9).unwrap(), (0, vec![]));
    }
}
