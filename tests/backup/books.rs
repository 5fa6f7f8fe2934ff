//! What commits say of money, stock and orders, folded from the events alone.

use std::collections::BTreeMap;

use events::{Commit, Event, MoneyMove, OrderId, Phase, Pot, Recorded, StockMove, StockWord};

/// The books of one store's site, in one currency.
#[derive(Debug, Default)]
pub struct Books {
    /// By account.
    pub wallets: BTreeMap<String, i64>,
    /// On the shelf and reserved, by SKU.
    pub stock: BTreeMap<String, (i64, i64)>,
    pub orders: BTreeMap<OrderId, Order>,
}

#[derive(Debug)]
pub struct Order {
    /// The account for which it was placed.
    pub buyer: String,
    pub phase: Phase,
    pub total: i64,
}

impl Books {
    pub fn of(commits: &[Commit]) -> Self {
        let mut books = Self::default();
        for commit in commits {
            for (_, envelopes) in commit.contents().unwrap() {
                for envelope in envelopes {
                    books.take(&Recorded::decode(&envelope).unwrap());
                }
            }
        }
        books
    }

    fn take(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::AccountRegistered(it) => {
                self.wallets.insert(it.account.to_string(), 0);
            }
            Event::ListingAdded(it) => {
                self.stock.insert(it.sku.to_string(), (it.quantity, 0));
            }
            Event::StockAdded(it) => self.stock.get_mut(it.sku.as_str()).unwrap().0 += it.quantity,
            Event::WalletCharged(it) => self.pay(&it.money),
            Event::WalletWithdrawn(it) => self.pay(&it.money),
            Event::OrderPlaced(it) => {
                let (buyer, phase) = (it.order.buyer.to_string(), it.effect.to);
                let order = Order { buyer, phase, total: it.total.minor };
                self.orders.insert(recorded.subject.as_order().unwrap(), order);
            }
            event => {
                if let Some(step) = event.as_step() {
                    let order = self.orders.get_mut(&recorded.subject.as_order().unwrap());
                    order.unwrap().phase = step.effect.to;
                }
            }
        }
        if let Some(effect) = recorded.event.effect() {
            effect.money.iter().for_each(|it| self.pay(it));
            effect.stock.iter().for_each(|it| self.carry(it));
        }
    }

    fn pay(&mut self, it: &MoneyMove) {
        for (pot, amount) in [(it.from, -it.amount.minor), (it.to, it.amount.minor)] {
            if let Pot::Wallet(account) = pot {
                *self.wallets.get_mut(&account.to_string()).unwrap() += amount;
            }
        }
    }

    fn carry(&mut self, it: &StockMove) {
        for line in &it.lines {
            let (shelf, reserved) = self.stock.get_mut(line.sku.as_str()).unwrap();
            let (to_shelf, to_order) = match it.word {
                StockWord::Reserve => (-1, 1),
                StockWord::Consume => (0, -1),
                StockWord::Return => (1, -1),
            };
            *shelf += to_shelf * line.quantity;
            *reserved += to_order * line.quantity;
        }
    }
}
