//! Rules that change while orders are open: each order lives on by the life cycle it was placed
//! under, deadlines that are set do not move, and a start from the journal alone knows it all.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use docket::{
    builtin::builtin_lifecycle,
    domain::{Action, Caller, Command, Credential, Order, Rejection, World, lifecycle::Word},
    engine::{self, Error, Missing, Request},
    node::Parts,
    projector::ViewName,
};
use events::{AccountId, Channel, CommandId, Millis, OrderId, Phase};
use projections::Pair;
use serde_json::json;
use support::{Hands, Shop, folder};
use tempfile::TempDir;
use uuid::Uuid;

const BEGIN: i64 = 1_700_000_000_000;
const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;
const SOON: Duration = Duration::from_secs(30);

/// One data folder, one clock, and the docket on it as it was started last.
struct Site {
    shop: Shop,
    data: PathBuf,
    clock: Hands,
    folder: TempDir,
}

impl Site {
    /// sam sells books at 1 fen, ann buys.
    async fn open() -> Self {
        let (folder, data) = folder();
        let clock = Hands::at(BEGIN);
        let shop = start(&data, "", &clock).await;
        let (sam, ann) = (shop.user("sam").await, shop.user("ann").await);
        let site = Self { shop, data, clock, folder };
        let store = json!({ "user_id": "sam", "store_id": "s" });
        site.shop.ok("/seller/create_store", &sam, store).await;
        let book = json!({ "user_id": "sam", "store_id": "s", "book_id": "b",
            "book_info": { "id": "b", "title": "B", "price": 1 }, "stock_level": 1000 });
        site.shop.ok("/seller/add_book", &sam, book).await;
        let funds = json!({ "user_id": "ann", "password": "pw-ann", "add_value": 100 });
        site.shop.ok("/buyer/add_funds", &ann, funds).await;
        site
    }

    /// Ends, and starts anew under other settings; the world is the same in between.
    async fn restart(self, toml: &str) -> Self {
        let before = self.shop.node.shut_down().await.unwrap();
        let shop = start(&self.data, toml, &self.clock).await;
        let site = Self { shop, ..self };
        let (after, before) = (site.world(), before.orders);
        assert_eq!(after.orders, before, "what is adopted changes no order");
        site
    }

    /// An order that has come so far.
    async fn order(&self, phase: Phase) -> OrderId {
        let body =
            json!({ "user_id": "ann", "store_id": "s", "books": [{ "id": "b", "count": 1 }] });
        let token = self.shop.login("ann").await; // The last one may have died.
        let placed = self.shop.ok("/buyer/new_order", &token, body).await;
        let order = placed["order_id"].as_str().unwrap().parse().unwrap();
        let steps: &[Word] = match phase {
            Phase::AwaitingPayment => &[],
            Phase::Paid => &[Word::Pay],
            Phase::Shipped => &[Word::Pay, Word::Ship],
            Phase::Completed => &[Word::Pay, Word::Ship, Word::Receive],
            Phase::Cancelled => &[Word::Cancel],
            other => panic!("a book is never {other:?}"),
        };
        for word in steps {
            let name = if *word == Word::Ship { "sam" } else { "ann" };
            self.step(name, order, *word).await.unwrap();
        }
        assert_eq!(self.look_at(order).phase, phase);
        order
    }

    /// One in each phase.
    async fn one_in_each(&self) -> [OrderId; 5] {
        [
            self.order(Phase::AwaitingPayment).await,
            self.order(Phase::Paid).await,
            self.order(Phase::Shipped).await,
            self.order(Phase::Completed).await,
            self.order(Phase::Cancelled).await,
        ]
    }

    async fn step(&self, name: &str, order: OrderId, word: Word) -> Result<(), Error> {
        let account = self.account(name);
        let caller = Caller::Somebody { account: Some(account), credential: Credential::Waived };
        let action = Action::Step { order, store: None, word };
        let id = CommandId(Uuid::now_v7());
        let command = Command { id, channel: channel(), caller, action };
        self.shop.node.engine.submit(Request::new(command)).await.map(drop)
    }

    fn account(&self, name: &str) -> AccountId {
        let world = self.world();
        let store = &world.channels[&channel()].stores[&events::StoreId::new("s").unwrap()];
        let other = world.accounts.keys().find(|id| **id != store.owner).unwrap();
        if name == "sam" { store.owner } else { *other }
    }

    /// What a start on the journal as it is now would know.
    fn world(&self) -> World {
        engine::replay(self.shop.node.journal.as_ref()).unwrap().0
    }

    /// An order, over or not.
    fn look_at(&self, order: OrderId) -> Order {
        let world = self.world();
        if let Some(known) = world.orders.get(&order) {
            return known.clone();
        }
        let (channel, journal) = (channel(), self.shop.node.journal.as_ref());
        let position = world.left(&channel, order).unwrap();
        let finished = engine::read_back(journal, &Missing { channel, order, position }).unwrap();
        finished.order().clone()
    }

    /// The deadlines of an order, and when they are due after the beginning.
    fn due(&self, order: OrderId) -> Vec<(String, i64)> {
        let order = self.look_at(order);
        let deadlines = order.deadlines.iter();
        deadlines.map(|(name, Millis(at))| (name.clone(), at - BEGIN)).collect()
    }

    /// The versions of the life cycles there are, and of the one an order lives by.
    fn versions(&self, order: OrderId) -> (Vec<u32>, u32) {
        let world = self.world();
        let all = world.channels[&channel()].lifecycles.keys().copied().collect();
        (all, self.look_at(order).lifecycle)
    }

    fn file(&self, text: &str) -> String {
        fs::write(self.folder.path().join("bookstore.toml"), text).unwrap();
        format!("lifecycles = {:?}\n", self.folder.path().to_str().unwrap())
    }

    async fn dumps(&self) -> [Vec<Pair>; 4] {
        let views = &self.shop.node.views;
        let position = self.shop.node.engine.head().position;
        for view in ViewName::ALL {
            views.reached(view, position, SOON).await.unwrap();
        }
        ViewName::ALL.map(|view| views.dump(view).unwrap())
    }

    /// Waits until an order is in a phase.
    async fn until(&self, order: OrderId, phase: Phase) {
        let waits = async {
            let mut head = self.shop.node.journal.head();
            while self.look_at(order).phase != phase {
                head.changed().await.unwrap();
            }
        };
        tokio::time::timeout(SOON, waits).await.unwrap();
    }

    /// A start from nothing but the journal gives the same views and the same world.
    async fn rebuild(self, toml: &str) -> Self {
        let before = self.dumps().await;
        let Self { shop, data, .. } = self;
        let world = shop.node.shut_down().await.unwrap();
        fs::remove_dir_all(data.join("views")).unwrap();
        let shop = start(&data, toml, &self.clock).await;
        let site = Self { shop, data, ..self };
        assert!(site.dumps().await == before, "the views are not what they were");
        assert_eq!(site.world(), world);
        site
    }
}

async fn start(data: &Path, toml: &str, clock: &Hands) -> Shop {
    let parts = Parts { clock: Some(clock.clock()), ..Parts::default() };
    Shop::start(data, &format!("tick = \"10ms\"\nclock_jump_max = \"3650d\"\n{toml}"), parts)
        .await
        .unwrap()
}

fn channel() -> Channel {
    Channel::new("bookstore").unwrap()
}

/// The built-in life cycle with another version; sellers may call paid orders off, and receipt is
/// taken for granted after a day.
fn changed(version: u32) -> String {
    let text = builtin_lifecycle(&channel()).unwrap();
    let text = text.replace("\nversion = 1\n", &format!("\nversion = {version}\n"));
    let text = text.replace("receive_within = \"7d\"", "receive_within = \"1d\"");
    let row = "[[on]]\ncommand = \"cancel\"\nfrom = [\"Paid\"]\nby = [\"seller\"]\n\
               to = \"Cancelled\"\nstock = \"return\"\nmoney = \"refund\"\n";
    let text = format!("{text}\n{row}");
    assert!(text.contains("\"1d\"") && text.contains(&format!("version = {version}\n")));
    text
}

fn refused(phase: Phase, word: Word) -> Result<(), Error> {
    Err(Error::Rejected(Rejection::Phase { phase: Some(phase), word }))
}

fn pay(at: i64) -> Vec<(String, i64)> {
    vec![("pay".into(), at)]
}

fn receive(at: i64) -> Vec<(String, i64)> {
    vec![("receive".into(), at)]
}

#[tokio::test]
async fn a_changed_delay_moves_no_deadline_that_is_set() {
    let site = Site::open().await;
    let [unpaid, paid, shipped, completed, cancelled] = site.one_in_each().await;
    assert_eq!(site.due(unpaid), pay(600 * SECOND));
    assert_eq!(site.due(shipped), receive(7 * DAY));

    let toml = "[channel.bookstore]\npay_within = \"60s\"\nreceive_within = \"2h\"\n";
    let site = site.restart(toml).await;
    assert_eq!(site.due(unpaid), pay(600 * SECOND));
    assert_eq!(site.due(shipped), receive(7 * DAY));
    for order in [paid, completed, cancelled] {
        assert_eq!(site.due(order), []);
    }
    assert_eq!(site.world().channels[&channel()].settings_number, 2);
    let newer = site.order(Phase::AwaitingPayment).await;
    assert_eq!(site.due(newer), pay(60 * SECOND));
    // A deadline that is set from here on is set by what is in force now, for old orders too.
    site.step("sam", paid, Word::Ship).await.unwrap();
    assert_eq!(site.due(paid), receive(2 * HOUR));

    let site = site.rebuild(toml).await;
    assert_eq!(
        site.world().channels[&channel()].settings_number,
        2,
        "nothing new, nothing recorded"
    );
    site.clock.advance(Duration::from_secs(60));
    site.until(newer, Phase::Cancelled).await;
    assert_eq!(site.look_at(unpaid).phase, Phase::AwaitingPayment);
    site.clock.advance(Duration::from_secs(540));
    site.until(unpaid, Phase::Cancelled).await;
    site.clock.advance(Duration::from_secs(6600));
    site.until(paid, Phase::Completed).await;
    assert_eq!(site.look_at(shipped).phase, Phase::Shipped);

    // Taking the setting back is a change, too.
    let site = site.restart("").await;
    assert_eq!(site.world().channels[&channel()].settings_number, 3);
    let newest = site.order(Phase::AwaitingPayment).await;
    assert_eq!(site.due(newest), pay(7200 * SECOND + 600 * SECOND));
    site.rebuild("").await.shop.stop().await;
}

#[tokio::test]
async fn an_order_lives_by_the_version_it_was_placed_under() {
    let site = Site::open().await;
    let old @ [unpaid, paid, shipped, completed, cancelled] = site.one_in_each().await;
    let toml = site.file(&changed(2));
    let site = site.restart(&toml).await;
    for order in old {
        assert_eq!(site.versions(order), (vec![1, 2], 1));
    }
    assert_eq!(site.due(unpaid), pay(600 * SECOND));
    assert_eq!(site.due(shipped), receive(7 * DAY));

    // Old orders: only the buyer calls a paid one off.
    assert_eq!(site.step("sam", paid, Word::Cancel).await, Err(Error::Rejected(Rejection::NotOwn)));
    for (order, phase) in
        [(shipped, Phase::Shipped), (completed, Phase::Completed), (cancelled, Phase::Cancelled)]
    {
        assert_eq!(site.step("ann", order, Word::Cancel).await, refused(phase, Word::Cancel));
    }
    // New ones: the seller may.
    let new @ [_, newly_paid, newly_shipped, ..] = site.one_in_each().await;
    for order in new {
        assert_eq!(site.versions(order), (vec![1, 2], 2));
    }
    assert_eq!(site.due(newly_shipped), receive(DAY));
    site.step("sam", newly_paid, Word::Cancel).await.unwrap();
    assert_eq!(site.look_at(newly_paid).held, 0);

    let site = site.rebuild(&toml).await;
    site.step("ann", unpaid, Word::Pay).await.unwrap();
    site.step("ann", paid, Word::Cancel).await.unwrap();
    site.clock.advance(Duration::from_secs(24 * 3600));
    site.until(newly_shipped, Phase::Completed).await;
    assert_eq!(site.look_at(shipped).phase, Phase::Shipped);
    site.clock.advance(Duration::from_secs(6 * 24 * 3600));
    site.until(shipped, Phase::Completed).await;
    site.rebuild(&toml).await.shop.stop().await;
}

#[tokio::test]
async fn what_is_not_newer_is_not_adopted() {
    let site = Site::open().await;
    let toml = site.file(&changed(5));
    let site = site.restart(&toml).await;
    let first = site.order(Phase::Paid).await;
    assert_eq!(site.versions(first), (vec![1, 5], 5));
    let digest = |site: &Site| site.world().channels[&channel()].newest().unwrap().digest;
    let in_force = digest(&site);

    let mut site = site;
    let other_text = changed(5).replace(
        "by = [\"seller\"]\nto = \"Cancelled\"",
        "by = [\"operator\"]\nto = \"Cancelled\"",
    );
    for text in [other_text, changed(4), builtin_lifecycle(&channel()).unwrap().to_owned()] {
        let toml = site.file(&text);
        site = site.restart(&toml).await;
        let order = site.order(Phase::Paid).await;
        assert_eq!((site.versions(order), digest(&site)), ((vec![1, 5], 5), in_force));
        site.step("sam", order, Word::Cancel).await.unwrap();
    }
    // One that is not sound is a reason not to start; the one in force stays.
    let toml = site.file(&changed(6).replace("command = \"ship\"", "command = \"sink\""));
    site.shop.node.shut_down().await.unwrap();
    let parts = Parts { clock: Some(site.clock.clock()), ..Parts::default() };
    let error = Shop::start(&site.data, &toml, parts).await.err().unwrap().to_string();
    assert!(error.contains("bookstore.toml is not adopted") && error.contains("sink"), "{error}");
    let shop = start(&site.data, "", &site.clock).await;
    let site = Site { shop, ..site };
    assert_eq!((site.versions(first), digest(&site)), ((vec![1, 5], 5), in_force));
    site.shop.stop().await;
}
