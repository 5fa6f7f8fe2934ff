//! An account of its own of all stock, money and orders, kept from the events alone. Each event is
//! held against the [life cycle](super::law) that its order lives by: what it moves must be what
//! the row says, no more and no less. [`Books::agree`] compares the books with a world.

use std::collections::{BTreeMap, HashMap};

use docket::domain::{
    LineStock,
    lifecycle::{MoneyWord, Word},
};
use events::*;

use super::{
    judge::{ended, time_ms},
    law::{Facets, Law, Row},
};

#[path = "agree.rs"]
mod agree;

/// What the events say.
#[derive(Default)]
pub struct Books {
    stock: HashMap<(Channel, StoreId, Sku), Stock>,
    money: BTreeMap<(String, Currency), i128>,
    orders: HashMap<OrderId, Known>,
    accounts: BTreeMap<AccountId, Person>,
    stores: HashMap<(Channel, StoreId), AccountId>,
    tokens: BTreeMap<Digest, TokenIssued>,
    channels: BTreeMap<Channel, InForce>,
    position: Position,
    recorded_at: Millis,
}

/// Somebody with an account.
#[derive(Debug, PartialEq)]
struct Person {
    channel: Channel,
    login: Digest,
    sessions: Vec<(Digest, Millis)>,
    stores: Vec<StoreId>,
}

/// What a channel decides by.
#[derive(Default)]
struct InForce {
    versions: Vec<u32>,
    settings_number: u32,
    settings: BTreeMap<String, String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Stock {
    added: i128,
    shelf: i128,
    reserved: i128,
    consumed: i128,
}

struct Known {
    channel: Channel,
    lifecycle: u32,
    phase: Phase,
    kind: Kind,
    method: Method,
    total: Money,
    lines: Vec<(Sku, i64)>,
    placed: OrderRef,
    deadlines: BTreeMap<String, Millis>,
    stock: LineStock,
    held: i64,
    /// Where the money came from that was held for it.
    source: Option<Pot>,
    /// Whether money has come, be it none.
    paid: bool,
    /// Where its newest event stands.
    changed_at: Position,
    /// What was asked of a payer, if something was, and how far that is.
    payable: Option<(Payable, PayableState)>,
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
        let channel = &recorded.channel;
        match &recorded.event {
            Event::AccountRegistered(it) => {
                let taken = self
                    .accounts
                    .values()
                    .any(|known| (&known.channel, known.login) == (channel, it.login));
                assert!(!taken, "a login name is one account's");
                let (sessions, stores) = (Vec::new(), Vec::new());
                let person = Person { channel: channel.clone(), login: it.login, sessions, stores };
                assert!(self.accounts.insert(it.account, person).is_none());
            }
            Event::PasswordChanged(it) => self.close(channel, it.account, &it.closed),
            Event::AccountUnregistered(it) => {
                self.close(channel, it.account, &it.closed);
                self.leave(channel, it.account, it.login, &it.money);
            }
            Event::AccountForgotten(it) => match it.login {
                Some(login) => {
                    self.close(channel, it.account, &it.closed);
                    self.leave(channel, it.account, login, &it.money);
                }
                None => {
                    assert!(!self.accounts.contains_key(&it.account));
                    assert!(it.closed.is_empty() && it.money.is_empty());
                }
            },
            Event::WriterOpened(_) | Event::ClusterUpgraded(_) => {}
            Event::TokenIssued(it) => {
                let at = recorded.recorded_at;
                self.tokens.retain(|_, known| known.expires_at.is_none_or(|it| it > at));
                assert!(self.tokens.insert(it.token, it.clone()).is_none());
            }
            Event::TokenRevoked(it) => {
                assert_eq!(
                    self.tokens.remove(&it.token).map(|it| it.name).as_ref(),
                    Some(&it.name)
                );
            }
            Event::SessionOpened(it) => {
                self.close(channel, it.account, &it.closed);
                self.person(channel, it.account).sessions.push((it.token, it.expires_at));
            }
            Event::SessionClosed(it) => self.close(channel, it.account, &[it.token]),
            Event::StoreOpened(it) => {
                let owner = self.stores.insert((channel.clone(), it.store.clone()), it.owner);
                assert_eq!(owner, None, "a store is one account's");
                self.person(channel, it.owner).stores.push(it.store.clone());
            }
            Event::ListingAdded(it) => self.add(channel, &it.store, &it.sku, it.quantity),
            Event::StockAdded(it) => self.add(channel, &it.store, &it.sku, it.quantity),
            Event::WalletCharged(it) => self.change(channel, it.account, it.money),
            Event::WalletWithdrawn(it) => self.change(channel, it.account, it.money),
            Event::OrderPlaced(it) => self.place(recorded, it),
            Event::OrderPaid(it)
            | Event::OrderCancelled(it)
            | Event::OrderExpired(it)
            | Event::OrderPrepared(it)
            | Event::OrderShipped(it)
            | Event::OrderDelivered(it)
            | Event::OrderDeliveryFailed(it)
            | Event::OrderReceived(it)
            | Event::OrderRefundRequested(it)
            | Event::OrderRefunded(it)
            | Event::OrderRejected(it) => self.step(recorded, it),
            Event::OrderMoved(it) => self.move_on(recorded, it),
            Event::LifecycleAdopted(it) => {
                let law = Law::reading(channel, &it.text).expect("no unsound file is adopted");
                assert_eq!(law.version, it.version);
                let versions = &mut self.channels.entry(channel.clone()).or_default().versions;
                assert!(versions.last().is_none_or(|last| *last < it.version));
                versions.push(it.version);
            }
            Event::SettingsAdopted(it) => {
                let state = self.channels.entry(channel.clone()).or_default();
                assert_eq!(it.number, state.settings_number + 1);
                assert_ne!(it.values, state.settings, "nothing new is not recorded");
                (state.settings_number, state.settings) = (it.number, it.values.clone());
            }
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

    /// How many orders of each channel are in each phase.
    pub fn phases(&self) -> BTreeMap<(Channel, Phase), usize> {
        let mut counts = BTreeMap::new();
        for order in self.orders.values() {
            *counts.entry((order.channel.clone(), order.phase)).or_default() += 1;
        }
        counts
    }

    /// Whether an order of this id was ever placed, in whatever channel.
    pub fn knows(&self, id: OrderId) -> bool {
        self.orders.contains_key(&id)
    }

    /// Whether an order of a channel was ever called that; its id is its name as well.
    pub fn has_number(&self, channel: &Channel, number: &OrderNumber) -> bool {
        self.orders.iter().any(|(id, order)| {
            let named = order.placed.number == *number || id.to_string() == number.as_str();
            order.channel == *channel && named
        })
    }

    /// What a life cycle may ask about an order.
    pub fn facets(&self, id: OrderId) -> Facets {
        let order = &self.orders[&id];
        let on_shelf = |(sku, quantity): &(Sku, i64)| {
            let place = (order.channel.clone(), order.placed.store.clone(), sku.clone());
            self.stock[&place].shelf >= i128::from(*quantity)
        };
        let available = order.stock != LineStock::None || order.lines.iter().all(on_shelf);
        Facets { method: order.method, paid: order.paid, available }
    }

    fn minor(&self, pot: &str, currency: Currency) -> i128 {
        self.money.get(&(pot.to_owned(), currency)).copied().unwrap_or(0)
    }

    /// An account of this channel: that of another one is nobody here.
    fn person(&mut self, channel: &Channel, id: AccountId) -> &mut Person {
        let person = self.accounts.get_mut(&id).filter(|it| it.channel == *channel);
        person.unwrap_or_else(|| panic!("{id} is nobody in {channel}"))
    }

    fn close(&mut self, channel: &Channel, id: AccountId, tokens: &[Digest]) {
        let sessions = &mut self.person(channel, id).sessions;
        for token in tokens {
            let before = sessions.len();
            sessions.retain(|(known, _)| known != token);
            assert_eq!(sessions.len() + 1, before, "what ends was open");
        }
    }

    fn leave(&mut self, channel: &Channel, id: AccountId, login: Digest, money: &[MoneyMove]) {
        assert_eq!(self.person(channel, id).login, login);
        self.pay(None, money);
        let person = self.accounts.remove(&id).unwrap();
        assert_eq!(person.sessions, [], "every session ends");
        let own = format!("wallet/{id}");
        let mut left = self.money.range((own.clone(), Currency::CNY)..);
        assert!(left.next().is_none_or(|((pot, _), minor)| *pot != own || *minor == 0));
        let open = |it: &&Known| !ended(it.phase) && it.channel == *channel;
        for order in self.orders.values().filter(open) {
            assert!(order.placed.buyer != id && !person.stores.contains(&order.placed.store));
        }
    }

    fn change(&mut self, channel: &Channel, id: AccountId, money: MoneyMove) {
        self.person(channel, id);
        assert!([money.from, money.to].contains(&Pot::Wallet(id)));
        self.pay(None, &[money]);
    }

    fn add(&mut self, channel: &Channel, store: &StoreId, sku: &Sku, quantity: i64) {
        assert!(self.stores.contains_key(&(channel.clone(), store.clone())));
        let place = (channel.clone(), store.clone(), sku.clone());
        let stock = self.stock.entry(place).or_default();
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
        let (id, channel) = (recorded.subject.as_order().unwrap(), &recorded.channel);
        let newest = self.channels[channel].versions.last();
        assert_eq!(Some(&it.lifecycle), newest, "an order is placed under what is in force");
        assert!(self.accounts.get(&it.order.buyer).is_some_and(|it| it.channel == *channel));
        let owner = self.stores[&(channel.clone(), it.order.store.clone())];
        assert!(self.accounts.contains_key(&owner), "somebody sells");
        let number = &it.order.number;
        let same = |known: &Known| known.channel == *channel && known.placed.number == *number;
        assert!(!self.orders.values().any(same), "a number is one order's in a channel");
        let sum: i128 = it.lines.iter().map(|line| i128::from(line.amount.minor)).sum();
        assert_eq!(sum, i128::from(it.total.minor));
        for line in &it.lines {
            let amount = i128::from(line.price.minor) * i128::from(line.quantity);
            assert_eq!(amount, i128::from(line.amount.minor));
        }
        let asked = it.payable.as_ref().map(|payable| payable.amount);
        assert_eq!(asked, (it.effect.to == Phase::AwaitingPayment).then_some(it.total));
        let known = Known {
            channel: channel.clone(),
            lifecycle: it.lifecycle,
            phase: it.effect.to,
            kind: it.kind,
            method: it.method,
            total: it.total,
            lines: it.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect(),
            placed: it.order.clone(),
            deadlines: BTreeMap::new(),
            stock: LineStock::None,
            held: 0,
            source: None,
            paid: false,
            changed_at: self.position,
            payable: it.payable.clone().map(|it| (it, PayableState::Open)),
        };
        let law = Law::of(channel, it.lifecycle);
        assert!(self.orders.insert(id, known).is_none(), "an order is placed once");
        let row = law.find(Word::Place, None, self.facets(id), &[it.by]);
        assert_eq!(it.effect.from, None);
        self.take_effect(id, &it.effect, row.expect("a row places it"));
    }

    fn step(&mut self, recorded: &Recorded, it: &OrderStep) {
        let id = recorded.subject.as_order().unwrap();
        let known = &self.orders[&id];
        assert_eq!(recorded.channel, known.channel);
        assert_eq!((&it.order, it.effect.from), (&known.placed, Some(known.phase)));
        let law = Law::of(&known.channel, known.lifecycle);
        let (kind, from) = (recorded.event.kind(), Some(known.phase));
        let row = law.told(kind, from, self.facets(id), it.by);
        let row = row.unwrap_or_else(|| panic!("{kind} from {from:?} by {:?}: no row", it.by));
        self.take_effect(id, &it.effect, row);
    }

    fn move_on(&mut self, recorded: &Recorded, it: &OrderMoved) {
        let newest = self.channels[&recorded.channel].versions.last();
        assert_eq!(Some(&it.lifecycle), newest);
        let id = recorded.subject.as_order().unwrap();
        let order = self.orders.get_mut(&id).unwrap();
        assert_eq!((&recorded.channel, &it.order), (&order.channel, &order.placed));
        assert_eq!(it.from, order.lifecycle);
        assert!(it.lifecycle > it.from && !ended(order.phase));
        let law = Law::of(&order.channel, it.lifecycle);
        assert!(!law.stuck.contains(&order.phase), "it can go on");
        (order.lifecycle, order.changed_at) = (it.lifecycle, self.position);
    }

    fn take_effect(&mut self, id: OrderId, effect: &Effect, row: &Row) {
        let order = &self.orders[&id];
        assert_eq!(effect.to, row.to);
        let words: Vec<StockWord> = effect.stock.iter().map(|it| it.word).collect();
        assert_eq!(words, row.stock);
        assert_eq!(effect.money, self.due(order, &row.money));
        let state = &self.channels[&order.channel];
        let set = |name: &str| {
            let setting = Law::after(name);
            let recorded = state.settings.get(setting).map(String::as_str);
            let default = Law::of(&order.channel, order.lifecycle).settings[setting];
            Millis(self.recorded_at.0 + time_ms(recorded.unwrap_or(default)).unwrap())
        };
        // What is not pending need not be cleared.
        let pending = |(name, set): &&(&str, bool)| *set || order.deadlines.contains_key(*name);
        let changes = row.deadlines.iter().filter(pending).map(|(name, is_set)| DeadlineChange {
            name: (*name).into(),
            at: is_set.then(|| set(name)),
        });
        assert_eq!(effect.deadlines, changes.collect::<Vec<_>>());

        self.pay(Some(id), &effect.money);
        let order = self.orders.get_mut(&id).unwrap();
        (order.phase, order.changed_at) = (effect.to, self.position);
        for MoneyMove { from, to, amount } in &effect.money {
            if *to == Pot::Held {
                (order.held, order.source) = (order.held + amount.minor, Some(*from));
            } else {
                order.held -= amount.minor;
            }
        }
        for change in &effect.deadlines {
            match change.at {
                Some(at) => order.deadlines.insert(change.name.clone(), at),
                None => order.deadlines.remove(&change.name),
            };
        }
        let took = row.money.iter().any(|it| matches!(it, MoneyWord::Hold | MoneyWord::Capture));
        order.paid |= took;
        let asked = match (took, ended(effect.to)) {
            (true, _) => PayableState::Captured,
            (false, true) => PayableState::Closed,
            (false, false) => PayableState::Open,
        };
        let open = order.payable.as_mut().filter(|(_, state)| *state == PayableState::Open);
        let changed = open.filter(|_| asked != PayableState::Open).map(|(payable, state)| {
            *state = asked;
            PayableChange { id: payable.id.clone(), state: asked }
        });
        assert_eq!(effect.payables, changed.into_iter().collect::<Vec<_>>());
        for moved in &effect.stock {
            assert_eq!(moved.store, order.placed.store);
            let lines = moved.lines.iter().map(|line| (line.sku.clone(), line.quantity));
            assert_eq!(lines.collect::<Vec<_>>(), order.lines);
            for line in &moved.lines {
                let place = (order.channel.clone(), moved.store.clone(), line.sku.clone());
                let stock = self.stock.get_mut(&place).unwrap();
                let quantity = i128::from(line.quantity);
                match moved.word {
                    StockWord::Reserve => {
                        stock.shelf -= quantity;
                        stock.reserved += quantity;
                        order.stock = LineStock::Reserved;
                    }
                    StockWord::Consume => {
                        stock.reserved -= quantity;
                        stock.consumed += quantity;
                        order.stock = LineStock::Consumed;
                    }
                    StockWord::Return => {
                        stock.reserved -= quantity;
                        stock.shelf += quantity;
                        order.stock = LineStock::Returned;
                    }
                }
            }
        }
        if ended(order.phase) {
            let left = (order.held, order.deadlines.len(), order.stock == LineStock::Reserved);
            assert_eq!(left, (0, 0, false), "nothing of an order is left over when it ends");
        }
    }

    /// The moves that money words mean for an order.
    fn due(&self, order: &Known, words: &[MoneyWord]) -> Vec<MoneyMove> {
        let owner = self.stores[&(order.channel.clone(), order.placed.store.clone())];
        let (mut held, mut source) = (order.held, order.source);
        let moves = words.iter().map(|word| {
            let (from, to, minor) = match word {
                MoneyWord::Hold => (Pot::Wallet(order.placed.buyer), Pot::Held, order.total.minor),
                MoneyWord::Capture => (Pot::Outside, Pot::Held, order.total.minor),
                MoneyWord::Release => (Pot::Held, Pot::Wallet(owner), held),
                MoneyWord::Refund => (Pot::Held, source.unwrap_or(Pot::Outside), held),
            };
            if to == Pot::Held {
                (held, source) = (held + minor, Some(from));
            } else {
                held = 0;
            }
            MoneyMove { from, to, amount: Money { minor, ..order.total } }
        });
        moves.filter(|it| it.amount.minor > 0).collect()
    }
}
