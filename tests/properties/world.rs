//! What the writer keeps in memory is bounded, map by map. Each is filled up to its bound by
//! commands; one more is refused clearly and leaves no trace, or older entries go; what
//! `docket_world_size` tells shows it, and a start on the journal comes to the same and holds the
//! same bound. The README's section on memory has the table of what bounds each.

use std::time::Duration;

use docket::{
    domain::{Action, Caller, Command, Credential, Rejection, World, lifecycle::Word},
    engine::{self, Error},
};
use events::*;

use super::{
    finished::leads_back,
    site::{
        BEGIN, MINUTE, Site, adopt, channel, cny, command, command_in, digest, in_each_channel,
        keyed, listing, login, paused, place, place_in, register, register_in, sku, somebody,
        store,
    },
};

#[path = "world/site_wide.rs"]
mod site_wide;

/// How many entries these maps have, as `/metrics` tells it.
fn sizes<const N: usize>(world: &World, maps: [&str; N]) -> [usize; N] {
    let all = engine::world_sizes(world);
    maps.map(|map| all.iter().find(|(name, _)| *name == map).unwrap().1)
}

/// Sets something over the channel's life cycle.
async fn set(site: &Site, overrides: &[(&str, &str)]) {
    let [_, settings] = adopt(&channel(), overrides);
    site.give(settings).await.unwrap();
}

/// Gives one more than the "3 stores" that fit; nothing comes of it but the reason.
async fn full(site: &Site, one_more: Command, bound: &str) {
    let before = site.head();
    let Err(Error::Rejected(refused)) = site.give(one_more).await else {
        panic!("one more than {bound} was taken");
    };
    let (most, what) = bound.split_once(' ').unwrap();
    let reason = format!("there are as many {what} as there may be: {most}");
    assert_eq!(refused.to_string(), reason);
    assert_eq!(site.head(), before, "a refused command leaves no trace");
}

/// A start on the journal, which finds what the writer had.
async fn restarted(site: Site) -> Site {
    let (store, at, replayed) = (site.journal.store(), site.clock.now(), site.world());
    assert_eq!(site.stop().await.unwrap(), replayed);
    Site::on(store, at, |options| options.clock_jump_max = Duration::MAX)
}

/// Another channel than the one the test is about.
fn elsewhere() -> Channel {
    let other = if channel().as_str() == "native" { "bookstore" } else { "native" };
    Channel::new(other).unwrap()
}

fn step(by: AccountId, order: OrderId, word: Word) -> Command {
    command(somebody(by), Action::Step { order, store: None, word })
}

/// Each map that is told is in the README's table, and no other.
#[test]
fn every_map_is_said_to_be_bounded() {
    let readme = include_str!("../../README.md");
    let (_, table) = readme.split_once("\n| map | bounded by |\n|---|---|\n").unwrap();
    let rows = table.lines().map_while(|line| line.strip_prefix("| "));
    let mut named: Vec<&str> = rows
        .flat_map(|row| row.split_once(" | ").unwrap().0.split(", "))
        .map(|name| name.trim_matches('`'))
        .collect();
    let told = engine::world_sizes(&World::default());
    let mut told = told.map(|(map, _)| map);
    named.sort_unstable();
    told.sort_unstable();
    assert_eq!(named, told);
}

#[test]
fn accounts_are_so_many() {
    in_each_channel(async || {
        let mut site = Site::new(|_| {}).await;
        set(&site, &[("max_accounts", "5")]).await;
        let mut people = Vec::new();
        for n in 0..5 {
            let (account, registered) = register(n);
            site.give(registered).await.unwrap();
            people.push(account);
        }
        for again in [false, true] {
            if again {
                site = restarted(site).await;
            }
            full(&site, register(9).1, "5 accounts in a channel").await;
            assert_eq!(sizes(&site.world(), ["accounts", "logins"]), [5, 5]);
        }
        // A name that is taken is said to be taken, and each channel counts for itself.
        let taken = site.give(register(3).1).await;
        assert_eq!(taken.unwrap_err().to_string(), "the login name is taken");
        site.give(register_in(&elsewhere(), 9).1).await.unwrap();

        // Who leaves or is forgotten makes room for one, and being forgotten once more for none.
        site.give(command(somebody(people[0]), Action::Unregister)).await.unwrap();
        site.give(register(10).1).await.unwrap();
        for n in [11, 12] {
            let forgotten = Action::Forget { account: people[1] };
            site.give(command(Caller::System, forgotten)).await.unwrap();
            if n == 11 {
                site.give(register(11).1).await.unwrap();
            }
            full(&site, register(12).1, "5 accounts in a channel").await;
        }
        assert_eq!(sizes(&site.world(), ["accounts", "logins"]), [6, 6]);

        // Set lower it sends nobody away, and set higher it lets more in.
        set(&site, &[("max_accounts", "2")]).await;
        full(&site, register(12).1, "2 accounts in a channel").await;
        assert_eq!(sizes(&site.world(), ["accounts"]), [6]);
        set(&site, &[("max_accounts", "6")]).await;
        site.give(register(12).1).await.unwrap();
        full(&restarted(site).await, register(13).1, "6 accounts in a channel").await;
    });
}

/// A store stays when its owner goes, so that its name is nobody else's, and counts.
#[test]
fn stores_are_so_many_whoever_leaves() {
    in_each_channel(async || {
        let mut site = Site::new(|_| {}).await;
        set(&site, &[("max_stores", "3")]).await;
        let opened = |owner, n| command(somebody(owner), Action::OpenStore { store: store(n) });
        for n in 0..3 {
            let (owner, registered) = register(n);
            site.give(registered).await.unwrap();
            site.give(opened(owner, n)).await.unwrap();
            site.give(command(somebody(owner), Action::Unregister)).await.unwrap();
        }
        let (owner, registered) = register(3);
        site.give(registered).await.unwrap();
        for again in [false, true] {
            if again {
                site = restarted(site).await;
            }
            full(&site, opened(owner, 3), "3 stores in a channel").await;
            assert_eq!(sizes(&site.world(), ["stores", "accounts"]), [3, 1]);
        }
        let taken = site.give(opened(owner, 0)).await;
        assert_eq!(taken.unwrap_err().to_string(), "the store exists: store-0");
        let (other, registered) = register_in(&elsewhere(), 3);
        site.give(registered).await.unwrap();
        let there = Action::OpenStore { store: store(3) };
        site.give(command_in(&elsewhere(), somebody(other), there)).await.unwrap();
        assert!(site.world().accounts[&owner].stores.is_empty());
    });
}

#[test]
fn a_store_s_listings_are_so_many() {
    in_each_channel(async || {
        let mut site = Site::new(|_| {}).await;
        set(&site, &[("max_listings", "4")]).await;
        let (seller, _) = site.shop(&[7; 4], 0).await;
        let second = Action::OpenStore { store: store(1) };
        site.give(command(somebody(seller), second)).await.unwrap();
        let added = |at, n| command(somebody(seller), listing(store(at), sku(n), cny(1), 1));
        for again in [false, true] {
            if again {
                site = restarted(site).await;
            }
            full(&site, added(0, 4), "4 listings in a store").await;
            assert_eq!(sizes(&site.world(), ["listings"]), [4]);
        }
        let taken = site.give(added(0, 3)).await;
        assert_eq!(taken.unwrap_err().to_string(), "the store has it already: book-3");
        // What is there goes on being stocked, and each store counts for itself.
        let more = Action::AddStock { store: store(0), sku: sku(3), quantity: 1 };
        site.give(command(somebody(seller), more)).await.unwrap();
        site.give(added(1, 4)).await.unwrap();
        assert_eq!(sizes(&site.world(), ["listings"]), [5]);
    });
}

/// What an account has under way is so much; each order has one payable and the deadlines that are
/// set, and all of it goes with the order.
#[test]
fn open_orders_are_so_many_and_leave_with_all_they_have() {
    const MAPS: [&str; 5] = ["orders", "payables", "deadlines", "leaving", "finished"];
    in_each_channel(async || {
        let mut site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        let (seller, buyer) = site.shop(&[100], 1_000).await;
        set(&site, &[("max_open_orders", "3")]).await;
        let order = |by| {
            let (order, placed) = place(&[(0, 1)]);
            (order, command(somebody(by), placed))
        };
        let mut orders = Vec::new();
        for _ in 0..3 {
            let (id, placed) = order(buyer);
            site.give(placed).await.unwrap();
            orders.push(id);
        }
        let [paid, cancelled, _expires] = orders[..] else { unreachable!("three were placed") };
        for again in [false, true] {
            if again {
                site = restarted(site).await;
            }
            full(&site, order(buyer).1, "3 open orders of one account").await;
            assert_eq!(sizes(&site.world(), MAPS), [3, 3, 3, 0, 0]);
        }
        // Another's count for themselves.
        site.give(order(seller).1).await.unwrap();
        // Paid is open still, and over is over.
        site.give(step(buyer, paid, Word::Pay)).await.unwrap();
        full(&site, order(buyer).1, "3 open orders of one account").await;
        assert_eq!(sizes(&site.world(), MAPS), [4, 4, 3, 0, 0]);
        site.give(step(buyer, cancelled, Word::Cancel)).await.unwrap();
        assert_eq!(sizes(&site.world(), MAPS), [3, 3, 2, 0, 1]);
        site.give(order(buyer).1).await.unwrap();
        full(&site, order(buyer).1, "3 open orders of one account").await;

        // Time ends what nobody pays: the two of the buyer, and the seller's.
        site.clock.pass(10 * MINUTE).await;
        assert_eq!(sizes(&site.world(), MAPS), [1, 1, 0, 0, 4]);
        site.give(step(seller, paid, Word::Ship)).await.unwrap();
        assert_eq!(sizes(&site.world(), MAPS), [1, 1, 1, 0, 4]);
        // And what nobody says has come.
        site.clock.pass(Duration::from_secs(7 * 24 * 3600)).await;
        assert_eq!(sizes(&site.world(), MAPS), [0, 0, 0, 0, 5]);
        // An id is its own order's number, and takes no room beside it.
        assert_eq!(sizes(&site.world(), ["numbers"]), [0]);
        let site = restarted(site).await;
        for _ in 0..3 {
            site.give(order(buyer).1).await.unwrap();
        }
        full(&site, order(buyer).1, "3 open orders of one account").await;
    });
}

/// Where a life cycle leads on from an end, an order that is over is opened again only where there
/// is room for it.
#[test]
fn what_is_over_is_opened_again_where_there_is_room() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let text = leads_back(&channel(), 2, None);
        let adopted = Action::AdoptLifecycle { digest: digest(&text), text };
        site.give(command(Caller::System, adopted)).await.unwrap();
        set(&site, &[("max_open_orders", "1")]).await;
        let (seller, buyer) = site.shop(&[9], 0).await;
        let (over, first) = place(&[(0, 1)]);
        site.give(command(somebody(buyer), first)).await.unwrap();
        site.give(step(buyer, over, Word::Cancel)).await.unwrap();
        let (open, second) = place(&[(0, 1)]);
        site.give(command(somebody(buyer), second)).await.unwrap();
        assert_eq!(sizes(&site.world(), ["orders", "finished"]), [1, 1]);
        full(&site, step(seller, over, Word::Prepare), "1 open orders of one account").await;
        site.give(step(buyer, open, Word::Cancel)).await.unwrap();
        site.give(step(seller, over, Word::Prepare)).await.unwrap();
        assert_eq!(sizes(&site.world(), ["orders", "finished"]), [1, 1]);
        let site = restarted(site).await;
        full(&site, step(seller, open, Word::Prepare), "1 open orders of one account").await;
        // A step from one end to another, or that leads nowhere, opens nothing.
        site.give(step(buyer, open, Word::FailDelivery)).await.unwrap();
    });
}

#[test]
fn an_order_s_lines_are_so_many() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[9; 4], 1_000).await;
        set(&site, &[("max_lines", "3")]).await;
        let placed = |lines: &[u8]| {
            let lines = lines.iter().map(|n| (sku(*n), 1)).collect();
            let (order, action) = place_in(store(0), lines);
            (order, command(somebody(buyer), action))
        };
        let refused = site.give(placed(&[0, 1, 2, 3]).1).await.unwrap_err();
        assert_eq!(refused.to_string(), "lines must have at most 3 lines, not 4");
        // Lines of one thing are one.
        let (order, fits) = placed(&[0, 1, 2, 1, 0]);
        site.give(fits).await.unwrap();
        let site = restarted(site).await;
        assert_eq!(site.world().orders[&order].lines, [(sku(0), 2), (sku(1), 2), (sku(2), 1)]);
        let refused = site.give(placed(&[0, 1, 2, 3]).1).await.unwrap_err();
        assert_eq!(refused.to_string(), "lines must have at most 3 lines, not 4");
    });
}

/// A new session replaces the one before, live or dead.
#[test]
fn an_account_has_one_session() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[], 0).await;
        let expires_at = Millis(BEGIN.0 + 3_600_000);
        for n in 0..30 {
            let token = Digest([n; 32]);
            let opened = Action::OpenSession { token, expires_at, terminal: None };
            site.give(command(somebody(buyer), opened)).await.unwrap();
            assert_eq!(site.world().accounts[&buyer].sessions, [(token, expires_at)]);
            // It proves who its bearer is, and the one before no longer does.
            let by = |n| {
                let live = Credential::Verified { session: Some(Digest([n; 32])), password: None };
                Caller::Somebody { account: Some(buyer), credential: live }
            };
            let fund = |n| command(by(n), Action::Fund { amount: cny(1) });
            site.give(fund(n)).await.unwrap();
            if let Some(before) = n.checked_sub(1) {
                let refused = Error::Rejected(Rejection::Unauthenticated);
                assert_eq!(site.give(fund(before)).await, Err(refused));
            }
        }
        assert_eq!(restarted(site).await.world().accounts[&buyer].sessions.len(), 1);
    });
}

/// Keys go when their time is over, however many, with whatever is recorded next.
#[test]
fn keys_go_all_at_once_when_their_time_is_over() {
    in_each_channel(async || {
        let mut site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        let (_, buyer) = site.shop(&[], 0).await;
        set(&site, &[("key_ttl", "1h")]).await;
        let fund = || command(somebody(buyer), Action::Fund { amount: cny(1) });
        for n in 0..100 {
            let request = keyed(fund(), &format!("key-{n}"), 1);
            assert!(!site.engine.submit(request).await.unwrap().replay);
        }
        // What is sent again takes no more room.
        assert!(site.engine.submit(keyed(fund(), "key-7", 1)).await.unwrap().replay);
        assert_eq!(sizes(&site.world(), ["keys"]), [100]);
        site.clock.pass(60 * MINUTE - Duration::from_millis(501)).await;
        site.give(fund()).await.unwrap();
        assert_eq!(sizes(&site.world(), ["keys"]), [100]);
        site = restarted(site).await;
        site.clock.pass(Duration::from_secs(1)).await;
        assert_eq!(sizes(&site.world(), ["keys"]), [100], "the clock alone changes nothing");
        site.give(fund()).await.unwrap();
        assert_eq!(sizes(&site.world(), ["keys"]), [0]);
        assert!(!site.engine.submit(keyed(fund(), "key-7", 1)).await.unwrap().replay);
        assert_eq!(sizes(&restarted(site).await.world(), ["keys"]), [1]);
    });
}

/// Money of every currency, in every pot: there are no more than that.
#[test]
fn pots_are_as_many_as_currencies() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[9], 1_000).await;
        let currencies = [Currency::CNY, Currency::USD, Currency::COIN];
        for (n, currency) in (1..).zip(currencies) {
            let priced = listing(store(0), sku(n), Money { minor: 2, currency }, 9);
            site.give(command(somebody(seller), priced)).await.unwrap();
            for minor in [5, 5, -1] {
                let funded = Action::Fund { amount: Money { minor, currency } };
                site.give(command(somebody(buyer), funded)).await.unwrap();
            }
            for last in [Word::Receive, Word::Pay] {
                let (order, placed) = place(&[(n, 1)]);
                site.give(command(somebody(buyer), placed)).await.unwrap();
                for (by, word) in [(buyer, Word::Pay), (seller, Word::Ship), (buyer, Word::Receive)]
                {
                    site.give(step(by, order, word)).await.unwrap();
                    if word == last {
                        break; // What is paid and not received is held.
                    }
                }
            }
        }
        let world = restarted(site).await.world();
        assert_eq!(sizes(&world, ["pots"]), [3 * currencies.len()]);
        for account in [seller, buyer] {
            let account = &world.accounts[&account];
            assert_eq!(account.wallet.len(), currencies.len());
            assert!(account.held.len() <= currencies.len());
        }
    });
}

/// An order number that is not its order's own id stays taken for good, as finished orders do:
/// nothing else of them stays.
#[test]
fn names_stay_and_nothing_else_does() {
    const MAPS: [&str; 6] = ["numbers", "finished", "orders", "payables", "deadlines", "leaving"];
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[1], 0).await;
        for n in 1..=20 {
            let (order, mut placed) = place(&[(0, 1)]);
            if let Action::Place(place) = &mut placed {
                place.number = OrderNumber::new(format!("no-{n}")).unwrap();
            }
            site.give(command(somebody(buyer), placed)).await.unwrap();
            assert_eq!(sizes(&site.world(), MAPS), [n, n - 1, 1, 1, 1, 0]);
            site.give(step(buyer, order, Word::Cancel)).await.unwrap();
            assert_eq!(sizes(&site.world(), MAPS), [n, n, 0, 0, 0, 0]);
        }
        assert_eq!(sizes(&restarted(site).await.world(), MAPS), [20, 20, 0, 0, 0, 0]);
    });
}

/// Nobody has an account where nothing is in force, so that a channel is made by its life cycle
/// alone.
#[test]
fn a_channel_is_made_by_its_life_cycle_alone() {
    paused(async {
        let site = Site::new(|_| {}).await;
        let nowhere = Channel::new("nowhere").unwrap();
        let refused = site.give(register_in(&nowhere, 1).1).await;
        assert_eq!(refused.unwrap_err().to_string(), "this channel has no life cycle");
        assert_eq!(sizes(&site.world(), ["channels", "accounts"]), [2, 0]);
        let settings = Action::AdoptSettings { overrides: Default::default() };
        let refused = site.give(command_in(&nowhere, Caller::System, settings)).await;
        assert_eq!(refused.unwrap_err().to_string(), "this channel has no life cycle");
        assert!(!site.world().logins.contains_key(&(nowhere, login(1))));
        assert_eq!(sizes(&restarted(site).await.world(), ["channels"]), [2]);
    });
}
