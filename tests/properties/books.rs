//! An account of its own of all stock, money and orders, kept from the events alone and compared
//! with the world.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use docket::domain::{Account, LineStock, Order, World};
use events::*;

use super::{
    law::{STEPS, ended},
    site::channel,
};

/// What the events say.
#[derive(Default)]
pub struct Books {
    stock: HashMap<(StoreId, Sku), Stock>,
    money: BTreeMap<(String, Currency), i128>,
    orders: HashMap<OrderId, Known>,
    accounts: BTreeSet<AccountId>,
    position: Position,
    recorded_at: Millis,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Stock {
    added: i128,
    shelf: i128,
    reserved: i128,
    consumed: i128,
}

struct Known {
    phase: Phase,
    total: Money,
    lines: Vec<(Sku, i64)>,
    placed: OrderRef,
    deadlines: BTreeMap<String, Millis>,
}

impl Books {
    /// All of a journal.
    pub fn of<'e>(events: impl IntoIterator<Item = &'e Recorded>) -> Self {
        let mut books = Self::default();
        for recorded in events {
            books.enter(recorded);
        }
        books
    }

    /// Takes in an event; panics where it is not lawful.
    pub fn enter(&mut self, recorded: &Recorded) {
        assert_eq!(recorded.position.0, self.position.0 + 1, "positions have no gaps");
        assert!(recorded.recorded_at >= self.recorded_at, "time never goes back");
        (self.position, self.recorded_at) = (recorded.position, recorded.recorded_at);
        match &recorded.event {
            Event::AccountRegistered(it) => assert!(self.accounts.insert(it.account)),
            Event::AccountUnregistered(it) => {
                assert!(self.accounts.remove(&it.account));
                self.pay(None, &it.money);
                let mut left =
                    self.money.range((format!("wallet/{}", it.account), Currency::CNY)..);
                let own = format!("wallet/{}", it.account);
                assert!(left.next().is_none_or(|((pot, _), minor)| *pot != own || *minor == 0));
            }
            Event::ListingAdded(it) => self.add(&it.store, &it.sku, it.quantity),
            Event::StockAdded(it) => self.add(&it.store, &it.sku, it.quantity),
            Event::WalletCharged(it) => self.pay(None, &[it.money]),
            Event::WalletWithdrawn(it) => self.pay(None, &[it.money]),
            Event::OrderPlaced(it) => self.place(recorded, it),
            Event::OrderPaid(it) => self.step(recorded, "pay", it),
            Event::OrderCancelled(it) => self.step(recorded, "cancel", it),
            Event::OrderExpired(it) => self.step(recorded, "expire", it),
            Event::OrderShipped(it) => self.step(recorded, "ship", it),
            Event::OrderReceived(it) => self.step(recorded, "receive", it),
            _ => {}
        }
        for (place, stock) in &self.stock {
            let parts = [stock.shelf, stock.reserved, stock.consumed];
            assert!(parts.iter().all(|part| *part >= 0), "{place:?}: {stock:?}");
            assert_eq!(parts.iter().sum::<i128>(), stock.added, "{place:?}: {stock:?}");
        }
        for ((pot, currency), minor) in &self.money {
            assert!(*minor >= 0 || pot == "outside", "{pot} has {minor} {currency:?}");
        }
    }

    /// Whether a world says what the events say; panics where it does not.
    pub fn agree(&self, world: &World) {
        self.agree_on_stock(world);
        self.agree_on_money(world);
        self.agree_on_orders(world);
        let accounts: BTreeSet<AccountId> = world.accounts.keys().copied().collect();
        assert_eq!(accounts, self.accounts);
        let logins = world.accounts.iter().map(|(id, it)| ((it.channel.clone(), it.login), *id));
        assert_eq!(world.logins, logins.collect::<HashMap<_, _>>());
    }

    fn agree_on_stock(&self, world: &World) {
        let Some(state) = world.channels.get(&channel()) else { return };
        let mut listings = 0;
        for (store_id, store) in &state.stores {
            for (sku, listing) in &store.listings {
                listings += 1;
                let stock = self.stock[&(store_id.clone(), sku.clone())];
                let known = (listing.shelf.into(), listing.reserved.into());
                assert_eq!(known, (stock.shelf, stock.reserved), "{store_id} {sku}");
            }
            let open = world.orders.values().filter(|it| it.store == *store_id && !ended(it.phase));
            assert_eq!(store.open_orders, open.count() as u64, "{store_id}");
            if let Some(owner) = world.accounts.get(&store.owner) {
                assert!(owner.stores.contains(store_id));
            }
        }
        assert_eq!(listings, self.stock.len());
    }

    fn agree_on_money(&self, world: &World) {
        for currency in [Currency::CNY, Currency::USD, Currency::COIN] {
            let pot = |pot: &BTreeMap<_, i128>| pot.get(&currency).copied().unwrap_or(0);
            let [outside, wallets, held] =
                [&world.pots.outside, &world.pots.wallets, &world.pots.held].map(pot);
            assert_eq!(outside + wallets + held, 0, "{currency:?}");
            let sum = |of: fn(&Account) -> &BTreeMap<Currency, i64>| -> i128 {
                let all = world.accounts.values().map(|it| of(it).get(&currency).copied());
                all.map(|minor| i128::from(minor.unwrap_or(0))).sum()
            };
            assert_eq!(wallets, sum(|it| &it.wallet), "{currency:?}");
            assert_eq!(held, sum(|it| &it.held), "{currency:?}");
            assert_eq!(outside, self.minor("outside", currency));
            for (id, account) in &world.accounts {
                let wallet = account.wallet.get(&currency).copied().unwrap_or(0);
                assert_eq!(i128::from(wallet), self.minor(&format!("wallet/{id}"), currency));
                let own = |order: &&Order| order.buyer == *id && order.total.currency == currency;
                let back: i128 =
                    world.orders.values().filter(own).map(|it| i128::from(it.held)).sum();
                let held = account.held.get(&currency).copied().unwrap_or(0);
                assert_eq!(i128::from(held), back);
                assert!(i128::from(wallet) + back <= i128::from(i64::MAX), "all may come back");
            }
        }
    }

    fn agree_on_orders(&self, world: &World) {
        assert_eq!(world.orders.len(), self.orders.len());
        let mut deadlines = BTreeSet::new();
        for (id, order) in &world.orders {
            let known = &self.orders[id];
            assert_eq!((order.phase, order.total), (known.phase, known.total));
            assert_eq!(order.lines, known.lines);
            let set: BTreeMap<_, _> = order.deadlines.iter().cloned().collect();
            assert_eq!(set, known.deadlines);
            deadlines.extend(order.deadlines.iter().map(|(name, at)| (*at, *id, name.clone())));
            let waits: Vec<&str> = set.keys().map(String::as_str).collect();
            let (held, stock, awaits): (_, _, &[&str]) = match order.phase {
                Phase::AwaitingPayment => (0, LineStock::Reserved, &["pay"]),
                Phase::Paid => (order.total.minor, LineStock::Reserved, &[]),
                Phase::Shipped => (order.total.minor, LineStock::Consumed, &["receive"]),
                Phase::Completed => (0, LineStock::Consumed, &[]),
                Phase::Cancelled => (0, LineStock::Returned, &[]),
                phase => panic!("a book is never {phase:?}"),
            };
            assert_eq!((order.held, order.stock, &waits[..]), (held, stock, awaits));
            assert_eq!(i128::from(held), self.minor(&format!("held/{id}"), order.total.currency));
            let asked = order.phase == Phase::AwaitingPayment;
            assert_eq!(order.open_payables.len(), usize::from(asked));
        }
        assert_eq!(world.deadlines, deadlines);
        for (id, account) in &world.accounts {
            let own = world.orders.values().filter(|it| it.buyer == *id && !ended(it.phase));
            assert_eq!(account.open_orders, own.count() as u64);
        }
        if let Some(state) = world.channels.get(&channel()) {
            assert_eq!(state.numbers.len(), world.orders.len());
            for payable in state.payables.values() {
                let order = &world.orders[&payable.order];
                let expected = match (order.phase, &payable.state) {
                    (Phase::AwaitingPayment, PayableState::Open) => true,
                    // One that was paid before it was called off stays captured.
                    (Phase::Cancelled, state) => *state != PayableState::Open,
                    (_, state) => *state == PayableState::Captured,
                };
                assert!(expected, "{payable:?} of an order that is {:?}", order.phase);
            }
        }
    }

    /// How many orders are in each phase.
    pub fn phases(&self) -> BTreeMap<Phase, usize> {
        let mut counts = BTreeMap::new();
        for order in self.orders.values() {
            *counts.entry(order.phase).or_default() += 1;
        }
        counts
    }

    fn minor(&self, pot: &str, currency: Currency) -> i128 {
        self.money.get(&(pot.to_owned(), currency)).copied().unwrap_or(0)
    }

    fn add(&mut self, store: &StoreId, sku: &Sku, quantity: i64) {
        let stock = self.stock.entry((store.clone(), sku.clone())).or_default();
        stock.added += i128::from(quantity);
        stock.shelf += i128::from(quantity);
    }

    fn pay(&mut self, order: Option<OrderId>, moves: &[MoneyMove]) {
        for MoneyMove { from, to, amount } in moves {
            assert!(amount.minor > 0, "nothing is moved where nothing is due");
            for (pot, minor) in [(from, -i128::from(amount.minor)), (to, amount.minor.into())] {
                let name = match pot {
                    Pot::Held => format!("held/{}", order.unwrap()),
                    Pot::Outside | Pot::Wallet(_) => pot.to_string(),
                };
                *self.money.entry((name, amount.currency)).or_default() += minor;
            }
        }
    }

    fn place(&mut self, recorded: &Recorded, it: &OrderPlaced) {
        let id = recorded.subject.as_order().unwrap();
        assert_eq!((it.effect.from, it.effect.to), (None, Phase::AwaitingPayment));
        let sum: i128 = it.lines.iter().map(|line| i128::from(line.amount.minor)).sum();
        assert_eq!(sum, i128::from(it.total.minor));
        for line in &it.lines {
            let amount = i128::from(line.price.minor) * i128::from(line.quantity);
            assert_eq!(amount, i128::from(line.amount.minor));
        }
        let known = Known {
            phase: it.effect.to,
            total: it.total,
            lines: it.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect(),
            placed: it.order.clone(),
            deadlines: BTreeMap::new(),
        };
        assert!(self.orders.insert(id, known).is_none(), "an order is placed once");
        self.take_effect(id, &it.effect);
    }

    fn step(&mut self, recorded: &Recorded, word: &str, it: &OrderStep) {
        let id = recorded.subject.as_order().unwrap();
        let known = &self.orders[&id];
        assert_eq!((&it.order, it.effect.from), (&known.placed, Some(known.phase)));
        let step = (word, known.phase, it.by, it.effect.to);
        let lawful =
            STEPS.iter().any(|(word, from, by, to)| (word.as_str(), *from, *by, *to) == step);
        assert!(lawful, "{step:?}");
        self.take_effect(id, &it.effect);
    }

    fn take_effect(&mut self, id: OrderId, effect: &Effect) {
        self.pay(Some(id), &effect.money);
        let order = self.orders.get_mut(&id).unwrap();
        order.phase = effect.to;
        for change in &effect.deadlines {
            match change.at {
                Some(at) => order.deadlines.insert(change.name.clone(), at),
                None => order.deadlines.remove(&change.name),
            };
        }
        for moved in &effect.stock {
            assert_eq!(moved.store, order.placed.store);
            let lines = moved.lines.iter().map(|line| (line.sku.clone(), line.quantity));
            assert_eq!(lines.collect::<Vec<_>>(), order.lines);
            for line in &moved.lines {
                let stock = self.stock.get_mut(&(moved.store.clone(), line.sku.clone())).unwrap();
                let quantity = i128::from(line.quantity);
                match moved.word {
                    StockWord::Reserve => {
                        stock.shelf -= quantity;
                        stock.reserved += quantity;
                    }
                    StockWord::Consume => {
                        stock.reserved -= quantity;
                        stock.consumed += quantity;
                    }
                    StockWord::Return => {
                        stock.reserved -= quantity;
                        stock.shelf += quantity;
                    }
                }
            }
        }
    }
}
