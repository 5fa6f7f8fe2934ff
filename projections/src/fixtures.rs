//! What the tests of this crate fold: a small shop's history, and a view kept in a folder.

use std::collections::BTreeMap;

use events::*;
use tempfile::TempDir;

use crate::{Error, Mark, Options, Projection, View};

pub fn uuid<T: std::str::FromStr>(n: u128) -> T {
    let hex = format!("{n:032x}");
    hex.parse().unwrap_or_else(|_| panic!("32 hexadecimal digits are a UUID"))
}
pub fn order_id(n: u128) -> OrderId {
    uuid(n)
}
pub fn account(n: u128) -> AccountId {
    uuid(n)
}
pub fn shop() -> Channel {
    Channel::new("shop").unwrap()
}
pub fn store(name: &str) -> StoreId {
    StoreId::new(name).unwrap()
}
pub fn sku(name: &str) -> Sku {
    Sku::new(name).unwrap()
}
pub fn cny(minor: i64) -> Money {
    Money { minor, currency: Currency::CNY }
}

/// A history in the making. Account 1 buys, account 2 sells; every order costs 12.00.
pub struct Log {
    pub events: Vec<Recorded>,
    pub tick_ms: i64,
    pub orders: BTreeMap<u128, (OrderRef, StockMove, Phase)>,
}

impl Default for Log {
    fn default() -> Self {
        Self { events: Vec::new(), tick_ms: 1000, orders: BTreeMap::new() }
    }
}

impl Log {
    pub fn record(&mut self, subject: Subject, event: Event) {
        let position = self.events.len() as u64 + 1;
        self.events.push(Recorded {
            position: Position(position),
            id: EventId { command: uuid(position.into()), n: 0 },
            subject,
            recorded_at: self.now(),
            channel: shop(),
            event,
        });
    }

    fn now(&self) -> Millis {
        Millis(1000 + self.events.len() as i64 * self.tick_ms)
    }

    pub fn open(&mut self, name: &str, skus: &[&str]) {
        let owner = account(2);
        let opened = Event::StoreOpened(StoreOpened { store: store(name), owner });
        self.record(Subject::store(&store(name)), opened);
        for it in skus {
            let author = serde_json::Value::from(format!("Author of {it}"));
            let added = ListingAdded {
                store: store(name),
                sku: sku(it),
                title: format!("Title of {it}"),
                price: cny(400),
                quantity: 100,
                tags: vec!["tag".to_owned()],
                attributes: [("author".to_owned(), author)].into(),
                pictures: Vec::new(),
            };
            self.record(Subject::listing(&store(name), &sku(it)), Event::ListingAdded(added));
        }
    }

    pub fn add_stock(&mut self, name: &str, it: &str, quantity: i64) {
        let added = StockAdded { store: store(name), sku: sku(it), quantity };
        self.record(Subject::listing(&store(name), &sku(it)), Event::StockAdded(added));
    }

    pub fn charge(&mut self, n: u128, amount: i64) {
        let money =
            MoneyMove { from: Pot::Outside, to: Pot::Wallet(account(n)), amount: cny(amount) };
        let charged = WalletCharged { account: account(n), money };
        self.record(Subject::account(account(n)), Event::WalletCharged(charged));
    }

    pub fn unregister(&mut self, n: u128, balance: i64) {
        let out =
            MoneyMove { from: Pot::Wallet(account(n)), to: Pot::Outside, amount: cny(balance) };
        let unregistered = AccountUnregistered {
            account: account(n),
            login: Digest([1; 32]),
            closed: Vec::new(),
            money: if balance == 0 { Vec::new() } else { vec![out] },
        };
        self.record(Subject::account(account(n)), Event::AccountUnregistered(unregistered));
    }

    pub fn close_session(&mut self) {
        let closed = SessionClosed { account: account(1), token: Digest([2; 32]) };
        self.record(Subject::account(account(1)), Event::SessionClosed(closed));
    }

    pub fn place(&mut self, n: u128, at: &str, lines: &[(&str, i64)]) {
        let number = OrderNumber::new(format!("N{n}")).unwrap();
        let order = OrderRef { number, buyer: account(1), store: store(at), placed_at: self.now() };
        let stock: Vec<StockLine> = lines
            .iter()
            .map(|(it, quantity)| StockLine { sku: sku(it), quantity: *quantity })
            .collect();
        let stock = StockMove { word: StockWord::Reserve, store: store(at), lines: stock };
        self.orders.insert(n, (order.clone(), stock.clone(), Phase::AwaitingPayment));
        let line = |(it, quantity): &(&str, i64)| Line {
            sku: sku(it),
            quantity: *quantity,
            price: cny(400),
            amount: cny(400 * quantity),
        };
        let placed = OrderPlaced {
            order,
            by: By::Buyer,
            lifecycle: 1,
            kind: Kind::Physical,
            method: Method::Wallet,
            lines: lines.iter().map(line).collect(),
            total: cny(1200),
            payable: Some(Payable { id: payable(n), amount: cny(1200) }),
            effect: Effect {
                from: None,
                to: Phase::AwaitingPayment,
                stock: vec![stock],
                money: Vec::new(),
                deadlines: vec![DeadlineChange { name: "pay".into(), at: Some(Millis(600_000)) }],
                payables: Vec::new(),
            },
        };
        self.record(Subject::order(order_id(n)), Event::OrderPlaced(placed));
    }

    pub fn pay(&mut self, n: u128) {
        let hold = MoneyMove { from: Pot::Wallet(account(1)), to: Pot::Held, amount: cny(1200) };
        let captured = PayableChange { id: payable(n), state: PayableState::Captured };
        let cleared = DeadlineChange { name: "pay".into(), at: None };
        self.step(n, Event::OrderPaid, By::Buyer, Phase::Paid, None, |effect| {
            effect.money.push(hold);
            effect.payables.push(captured);
            effect.deadlines.push(cleared);
        });
    }

    pub fn ship(&mut self, n: u128) {
        let consume = Some(StockWord::Consume);
        self.step(n, Event::OrderShipped, By::Seller, Phase::Shipped, consume, |_| {});
    }

    pub fn receive(&mut self, n: u128) {
        let release = MoneyMove { from: Pot::Held, to: Pot::Wallet(account(2)), amount: cny(1200) };
        self.step(n, Event::OrderReceived, By::Buyer, Phase::Completed, None, |effect| {
            effect.money.push(release);
        });
    }

    pub fn cancel(&mut self, n: u128) {
        let paid = self.orders[&n].2 == Phase::Paid;
        let refund = MoneyMove { from: Pot::Held, to: Pot::Wallet(account(1)), amount: cny(1200) };
        let returned = Some(StockWord::Return);
        self.step(n, Event::OrderCancelled, By::Buyer, Phase::Cancelled, returned, |effect| {
            effect.money.extend(paid.then_some(refund));
        });
    }

    fn step(
        &mut self,
        n: u128,
        event: fn(OrderStep) -> Event,
        by: By,
        to: Phase,
        word: Option<StockWord>,
        more: impl FnOnce(&mut Effect),
    ) {
        let (order, stock, phase) = self.orders.get_mut(&n).unwrap();
        let mut effect = Effect {
            from: Some(std::mem::replace(phase, to)),
            to,
            stock: word.map(|word| StockMove { word, ..stock.clone() }).into_iter().collect(),
            money: Vec::new(),
            deadlines: Vec::new(),
            payables: Vec::new(),
        };
        more(&mut effect);
        let step = OrderStep { order: order.clone(), by, effect };
        self.record(Subject::order(order_id(n)), event(step));
    }
}

fn payable(n: u128) -> PayableId {
    PayableId::new(format!("U{n}")).unwrap()
}

/// Order 1 is placed, its buyer charges the wallet and pays; it is shipped and received.
pub fn life_of_an_order() -> Vec<Recorded> {
    let mut log = Log::default();
    log.place(1, "s", &[("a", 1), ("b", 2)]);
    log.charge(1, 5000);
    log.pay(1);
    log.ship(1);
    log.receive(1);
    log.events
}

/// Order 1 is placed, paid and cancelled.
pub fn paid_and_cancelled() -> Vec<Recorded> {
    let mut log = Log::default();
    log.place(1, "s", &[("a", 1), ("b", 2)]);
    log.charge(1, 5000);
    log.pay(1);
    log.cancel(1);
    log.events
}

pub fn mark(position: u64) -> Mark {
    let hash = Digest([position as u8; 32]);
    Mark {
        journal: Digest([9; 32]),
        commit: CommitNumber(position),
        hash,
        position: Position(position),
    }
}

/// A view in a folder.
pub struct Kept<V> {
    pub projection: Projection<V>,
}

impl<V: View> Kept<V> {
    pub fn open(folder: &TempDir) -> Self {
        Self::open_with(folder, &Options { boot: "boot".into(), ..small() })
    }

    pub fn open_with(folder: &TempDir, options: &Options) -> Self {
        Self { projection: Projection::open(folder.path(), options).unwrap() }
    }

    /// Takes in events, as one batch, and writes them.
    pub fn apply(&mut self, events: &[Recorded]) {
        self.try_apply(events).unwrap();
    }

    pub fn try_apply(&mut self, events: &[Recorded]) -> Result<(), Error> {
        self.projection.apply(events, mark(events.last().unwrap().position.0))?;
        self.projection.write()
    }

    pub fn query(&self) -> V {
        self.projection.view()
    }
}

/// A store with a cache of 1 MiB.
pub fn small() -> Options {
    Options { cache_bytes: 1 << 20, ..Options::default() }
}
