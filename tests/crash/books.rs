//! What the journal says, counted.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::Arc,
};

use docket::{
    domain::{Account, LineStock, Order, World},
    engine,
    journal::{Journal, SqliteJournal},
    projector::{self, ViewName, Views},
};
use events::{Channel, CommitNumber, Currency, Event, Head, Phase, Recorded, Sku, StoreId};

use super::{customer::Customer, shop::SKUS};

/// Replays the journal, beside whoever writes it, and counts: chain, keys, money, stock. Where the
/// customers are at rest, their books and the journal's are the same.
pub fn balanced(data: &Path, customers: Option<&[Customer]>) -> Head {
    let journal = SqliteJournal::open_read_only(data).unwrap();
    let (world, head) = engine::replay(&journal).unwrap();
    assert_eq!(head, *journal.head().borrow());
    let (added, everything) = read_again(&journal);
    for (id, order) in &world.orders {
        assert_eq!(order.phase, everything.orders[id].phase, "{id}");
    }
    let holds = |order: &&Order| order.held > 0 || order.stock == LineStock::Reserved;
    let of_all = everything.orders.values().filter(holds).count();
    assert_eq!(world.orders.values().filter(holds).count(), of_all, "who holds something stays");

    let cny = Currency::CNY;
    let of = |pot: &BTreeMap<Currency, i128>| pot.get(&cny).copied().unwrap_or_default();
    let pots = &world.pots;
    assert_eq!(of(&pots.outside) + of(&pots.wallets) + of(&pots.held), 0);
    let held: i64 = everything.orders.values().map(|order| order.held).sum();
    assert_eq!(of(&pots.held), i128::from(held));
    let wallets: i64 = world.accounts.values().map(wallet_of).sum();
    assert_eq!(of(&pots.wallets), i128::from(wallets));
    for (id, order) in &everything.orders {
        let holds = matches!(order.phase, Phase::Paid | Phase::Shipped);
        assert_eq!(order.held, if holds { order.total.minor } else { 0 }, "order {id}");
    }

    let mut stock: BTreeMap<(StoreId, Sku), [i64; 2]> = BTreeMap::new(); // Reserved, consumed.
    for order in everything.orders.values() {
        for (sku, count) in &order.lines {
            let [reserved, consumed] = stock.entry((order.store.clone(), sku.clone())).or_default();
            match order.stock {
                LineStock::Reserved => *reserved += count,
                LineStock::Consumed => *consumed += count,
                LineStock::None | LineStock::Returned => {}
            }
        }
    }
    for state in world.channels.values() {
        for (store, it) in &state.stores {
            for (sku, listing) in &it.listings {
                let which = (store.clone(), sku.clone());
                let [reserved, consumed] = stock.get(&which).copied().unwrap_or_default();
                assert_eq!(listing.reserved, reserved, "{which:?}");
                assert!(listing.shelf >= 0, "{which:?}");
                assert_eq!(listing.shelf + reserved + consumed, added[&which], "{which:?}");
            }
        }
    }
    if let Some(customers) = customers {
        same_books(&world, &everything, customers);
    }
    head
}

/// What was ever put on each shelf, and a world that no order leaves. No key was taken twice.
fn read_again(journal: &SqliteJournal) -> (BTreeMap<(StoreId, Sku), i64>, World) {
    let mut everything = World::default();
    let mut added: BTreeMap<(StoreId, Sku), i64> = BTreeMap::new();
    let (mut keys, mut commands) = (HashSet::new(), HashSet::new());
    let mut at = CommitNumber(0);
    loop {
        let commits = journal.read(at, 2000).unwrap();
        let Some(last) = commits.last() else { return (added, everything) };
        at = last.number;
        for (header, envelopes) in commits.iter().flat_map(|commit| commit.contents().unwrap()) {
            assert!(commands.insert(header.command), "{} is there twice", header.command);
            if let Some(key) = header.key {
                let taken = (key.owner, key.operation, key.key);
                assert!(keys.insert(taken.clone()), "{taken:?} is there twice");
            }
            for envelope in envelopes {
                let recorded = Recorded::decode(&envelope).unwrap();
                everything.evolve(&recorded);
                match recorded.event {
                    Event::ListingAdded(it) => {
                        *added.entry((it.store, it.sku)).or_default() += it.quantity;
                    }
                    Event::StockAdded(it) => {
                        *added.entry((it.store, it.sku)).or_default() += it.quantity;
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The customers' books against the journal's.
fn same_books(world: &World, everything: &World, customers: &[Customer]) {
    let mut wallets = Vec::new();
    let mut orders = BTreeMap::new();
    for customer in customers.iter().filter(|customer| customer.accepted() > 0) {
        let shop = &customer.shop;
        for person in shop.buyers.iter().chain([&shop.seller]) {
            wallets.push(person.wallet);
            if let Some(account) = &person.account {
                let account = &world.accounts[&account.parse().unwrap()];
                assert_eq!(wallet_of(account), person.wallet, "{}", person.name);
            }
        }
        orders.extend(shop.orders.iter().map(|order| (order.id.clone(), order.phase)));
        let Some(store) = &shop.store else { continue };
        let channel = &world.channels[&Channel::new(shop.channel).unwrap()];
        let store = &channel.stores[&StoreId::new(store.as_str()).unwrap()];
        for (n, sku) in SKUS.into_iter().enumerate() {
            let listing = store.listings.get(&Sku::new(sku).unwrap());
            let found = listing.map(|listing| (listing.shelf, listing.reserved));
            assert_eq!(found, shop.shelf[n].map(|shelf| (shelf, shop.reserved(n))), "{sku}");
        }
    }
    let found: BTreeMap<_, _> =
        everything.orders.iter().map(|(id, order)| (id.to_string(), order.phase)).collect();
    assert_eq!(found, orders);
    // Not everybody was told which account is whose.
    let mut found: Vec<_> = world.accounts.values().map(wallet_of).collect();
    found.sort_unstable();
    wallets.sort_unstable();
    assert_eq!(found, wallets);
}

fn wallet_of(account: &Account) -> i64 {
    account.wallet.get(&Currency::CNY).copied().unwrap_or_default()
}

/// The rows that the program left behind are, byte for byte, those of a fresh fold.
pub async fn views_are_the_fold(data: &Path, head: Head) {
    let journal: Arc<dyn Journal> = Arc::new(SqliteJournal::open_read_only(data).unwrap());
    let options = projector::Options::default();
    let (left, projectors) =
        Views::start(Arc::clone(&journal), &data.join("views"), &options).unwrap();
    let anew = tempfile::tempdir().unwrap();
    let folded = Views::fold(journal, head.position, anew.path(), &options).unwrap();
    for status in left.status() {
        assert_eq!((status.position, status.writes), (head.position, 0), "{status:?}");
    }
    for view in ViewName::ALL {
        assert!(left.dump(view).unwrap() == folded.dump(view).unwrap(), "view {view} is no fold");
    }
    projectors.stop().await;
}
