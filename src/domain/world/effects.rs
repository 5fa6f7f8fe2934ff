//! What an event moves: money between pots, stock between shelf and order, an order to a phase.

use events::{
    Channel, Currency, DeadlineChange, MoneyMove, OrderId, PayableState, Phase, Pot, Recorded,
    StockMove, StockWord,
};

use super::World;
use crate::domain::orders::LineStock;

impl World {
    /// What an order's step changes beside the order: money, stock, deadlines, payables, counts.
    pub(super) fn apply_effect(
        &mut self,
        recorded: &Recorded,
        id: OrderId,
        effect: &events::Effect,
    ) {
        let channel = &recorded.channel;
        self.move_money(Some(id), &effect.money);
        for stock in &effect.stock {
            self.move_stock(channel, id, stock);
        }
        let Some(order) = self.orders.get_mut(&id) else { return };
        (order.phase, order.changed_at) = (effect.to, recorded.position);
        for DeadlineChange { name, at } in &effect.deadlines {
            order.deadlines.retain(|(known, due)| {
                let stays = known != name;
                if !stays {
                    self.deadlines.remove(&(*due, id, name.clone()));
                }
                stays
            });
            if let Some(at) = at {
                order.deadlines.reserve_exact(1); // Few have a second one.
                order.deadlines.push((name.clone(), *at));
                self.deadlines.insert((*at, id, name.clone()));
            }
        }
        let Some(state) = self.channels.get_mut(channel) else { return };
        for change in &effect.payables {
            order.open_payables.retain(|open| *open != change.id);
            if change.state != PayableState::Open && !order.closed_payables.contains(&change.id) {
                order.closed_payables.push(change.id.clone());
            }
            if let Some(payable) = state.payables.get_mut(&change.id) {
                payable.state = change.state;
            }
        }
        let (was_over, is_over) = (effect.from.is_some_and(Phase::is_final), effect.to.is_final());
        let account = self.accounts.get_mut(&order.buyer).map(|it| &mut it.open_orders);
        let store = state.stores.get_mut(&order.store).map(|it| &mut it.open_orders);
        for open in account.into_iter().chain(store) {
            match (was_over, is_over) {
                (false, true) => *open -= 1,
                (true, false) => *open += 1, // A life cycle may lead back from an end.
                (true, true) | (false, false) => {}
            }
        }
    }

    fn move_stock(&mut self, channel: &Channel, id: OrderId, stock: &StockMove) {
        for line in &stock.lines {
            let Some(listing) = self.listing_mut(channel, &stock.store, &line.sku) else {
                continue;
            };
            let (shelf, reserved) = match stock.word {
                StockWord::Reserve => (-line.quantity, line.quantity),
                StockWord::Consume => (0, -line.quantity),
                StockWord::Return => (line.quantity, -line.quantity),
            };
            listing.shelf += shelf;
            listing.reserved += reserved;
        }
        if let Some(order) = self.orders.get_mut(&id) {
            order.stock = match stock.word {
                StockWord::Reserve => LineStock::Reserved,
                StockWord::Consume => LineStock::Consumed,
                StockWord::Return => LineStock::Returned,
            };
        }
    }

    /// Moves money; `order` is the one that `held` means.
    pub(super) fn move_money(&mut self, order: Option<OrderId>, moves: &[MoneyMove]) {
        for MoneyMove { from, to, amount } in moves {
            self.add_money(order, *from, amount.currency, -amount.minor);
            self.add_money(order, *to, amount.currency, amount.minor);
            if *to == Pot::Held
                && let Some(order) = order.and_then(|id| self.orders.get_mut(&id))
            {
                order.paid_from = Some(*from);
            }
        }
    }

    fn add_money(&mut self, order: Option<OrderId>, pot: Pot, currency: Currency, minor: i64) {
        let total = match pot {
            Pot::Outside => &mut self.pots.outside,
            Pot::Wallet(account) => {
                if let Some(account) = self.accounts.get_mut(&account) {
                    *account.wallet.entry(currency).or_default() += minor;
                }
                &mut self.pots.wallets
            }
            Pot::Held => {
                if let Some(order) = order.and_then(|id| self.orders.get_mut(&id)) {
                    order.held += minor;
                    if let Some(buyer) = self.accounts.get_mut(&order.buyer) {
                        *buyer.held.entry(currency).or_default() += minor;
                    }
                }
                &mut self.pots.held
            }
        };
        *total.entry(currency).or_default() += i128::from(minor);
    }
}
