//! Events as a small shop might have them, so that each type of record has an example.

use events::{
    AccountId, By, Channel, CommandId, Currency, Effect, Event, EventId, Kind, Line, ListingAdded,
    Method, Millis, Money, MoneyMove, OrderId, OrderNumber, OrderPlaced, OrderRef, OrderStep,
    Phase, Position, Pot, Recorded, Sku, StockAdded, StockLine, StockMove, StockWord, StoreId,
    Subject, WalletCharged, WalletWithdrawn,
};
use uuid::Uuid;

/// 2026-01-05T09:00:00Z.
const BEGIN: Millis = Millis(1_767_603_600_000);
/// Between one event and the next.
const STEP_MS: i64 = 61_250;

const BUYER: AccountId = AccountId(Uuid::from_u128(0x019b_8d3e_a100_7c11_9e52_0000_0000_0001));
const SELLER: AccountId = AccountId(Uuid::from_u128(0x019b_8d3e_a100_7c11_9e52_0000_0000_0002));
const ORDER: u128 = 0x019b_8d40_2b00_7a2c_8f10_0000_0000_0000;
const COMMAND: u128 = 0x019b_8d40_2c00_7d04_b1c7_0000_0000_0000;

const WALLET: Pot = Pot::Wallet(BUYER);

/// The events, in the order of a journal.
pub fn journal() -> Vec<Recorded> {
    let mut shop = Shop::default();
    shop.stock_up();
    shop.order(1, |order| {
        order.step(Event::OrderPaid, By::Buyer, Phase::Paid).hold();
        order.step(Event::OrderPrepared, By::Seller, Phase::Preparing);
        order.step(Event::OrderShipped, By::Seller, Phase::Shipped).stock(StockWord::Consume);
        order.step(Event::OrderDeliveryFailed, By::Gateway, Phase::DeliveryFailed);
        order.step(Event::OrderDelivered, By::Gateway, Phase::Received);
        let seller = Pot::Wallet(SELLER);
        order.step(Event::OrderReceived, By::Buyer, Phase::Completed).money(Pot::Held, seller);
    });
    shop.order(2, |order| {
        order.step(Event::OrderCancelled, By::Buyer, Phase::Cancelled).stock(StockWord::Return);
    });
    shop.order(3, |order| {
        order.step(Event::OrderExpired, By::Timer, Phase::Cancelled).stock(StockWord::Return);
    });
    shop.order(4, |order| {
        order.step(Event::OrderPaid, By::Buyer, Phase::Paid).hold();
        let rejected = order.step(Event::OrderRejected, By::Seller, Phase::Rejected);
        rejected.stock(StockWord::Return).money(Pot::Held, WALLET);
    });
    shop.order(5, |order| {
        order.step(Event::OrderPaid, By::Buyer, Phase::Paid).hold();
        order.step(Event::OrderRefundRequested, By::Buyer, Phase::Refunding);
        let refunded = order.step(Event::OrderRefunded, By::Staff, Phase::Refunded);
        refunded.stock(StockWord::Return).money(Pot::Held, WALLET);
    });
    shop.events
}

#[derive(Default)]
struct Shop {
    events: Vec<Recorded>,
}

impl Shop {
    fn record(&mut self, subject: Subject, event: Event) {
        let position = self.events.len() as u64 + 1;
        self.events.push(Recorded {
            position: Position(position),
            id: EventId {
                command: CommandId(Uuid::from_u128(COMMAND + u128::from(position))),
                n: 0,
            },
            subject,
            recorded_at: self.now(),
            channel: Channel::new("bookstore").expect("it is short"),
            event,
        });
    }

    fn now(&self) -> Millis {
        Millis(BEGIN.0 + self.events.len() as i64 * STEP_MS)
    }

    /// A listing, more of it, and money in the buyer's wallet.
    fn stock_up(&mut self) {
        let listing = Subject::listing(&store(), &sku());
        let added = ListingAdded {
            store: store(),
            sku: sku(),
            title: "The Ledger".to_owned(),
            price: cny(2500),
            quantity: 40,
            tags: Vec::new(),
            attributes: Default::default(),
            pictures: Vec::new(),
        };
        self.record(listing.clone(), Event::ListingAdded(added));
        let more = StockAdded { store: store(), sku: sku(), quantity: 10 };
        self.record(listing, Event::StockAdded(more));
        let (account, wallet) = (BUYER, Subject::account(BUYER));
        let money = MoneyMove { from: Pot::Outside, to: WALLET, amount: cny(20_000) };
        self.record(wallet.clone(), Event::WalletCharged(WalletCharged { account, money }));
        let money = MoneyMove { from: WALLET, to: Pot::Outside, amount: cny(1000) };
        self.record(wallet, Event::WalletWithdrawn(WalletWithdrawn { account, money }));
    }

    /// An order, and what happens to it.
    fn order(&mut self, n: u128, life: impl FnOnce(&mut Order)) {
        let id = OrderId(Uuid::from_u128(ORDER + n));
        let order = OrderRef {
            number: OrderNumber::new(id.to_string()).expect("it is short"),
            buyer: BUYER,
            store: store(),
            placed_at: self.now(),
        };
        let amount = cny(5000);
        let mut placing = Effect { from: None, ..going(Phase::AwaitingPayment) };
        placing.stock.push(moved(StockWord::Reserve));
        let placed = OrderPlaced {
            order: order.clone(),
            by: By::Buyer,
            lifecycle: 1,
            kind: Kind::Physical,
            method: Method::Wallet,
            lines: vec![Line { sku: sku(), quantity: 2, price: cny(2500), amount }],
            total: amount,
            payable: None,
            effect: placing,
        };
        self.record(Subject::order(id), Event::OrderPlaced(placed));
        let mut lived = Order { phase: Phase::AwaitingPayment, steps: Vec::new() };
        life(&mut lived);
        for (event, by, Step(effect)) in lived.steps {
            let step = OrderStep { order: order.clone(), by, effect };
            self.record(Subject::order(id), event(step));
        }
    }
}

/// What happens to an order.
struct Order {
    phase: Phase,
    steps: Vec<(Happening, By, Step)>,
}

/// What happens, of the kinds that an order's event has.
type Happening = fn(OrderStep) -> Event;

struct Step(Effect);

impl Order {
    fn step(&mut self, event: Happening, by: By, to: Phase) -> &mut Step {
        let from = std::mem::replace(&mut self.phase, to);
        self.steps.push((event, by, Step(Effect { from: Some(from), ..going(to) })));
        &mut self.steps.last_mut().expect("it was just put there").2
    }
}

impl Step {
    fn hold(&mut self) -> &mut Self {
        self.money(WALLET, Pot::Held)
    }

    fn money(&mut self, from: Pot, to: Pot) -> &mut Self {
        self.0.money.push(MoneyMove { from, to, amount: cny(5000) });
        self
    }

    fn stock(&mut self, word: StockWord) -> &mut Self {
        self.0.stock.push(moved(word));
        self
    }
}

fn going(to: Phase) -> Effect {
    Effect {
        from: None,
        to,
        stock: Vec::new(),
        money: Vec::new(),
        deadlines: Vec::new(),
        payables: Vec::new(),
    }
}

fn moved(word: StockWord) -> StockMove {
    let lines = vec![StockLine { sku: sku(), quantity: 2 }];
    StockMove { word, store: store(), lines }
}

fn store() -> StoreId {
    StoreId::new("corner").expect("it is short")
}

fn sku() -> Sku {
    Sku::new("b1").expect("it is short")
}

fn cny(minor: i64) -> Money {
    Money { minor, currency: Currency::CNY }
}
