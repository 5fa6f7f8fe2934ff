//! Whether a world says what the books say.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use docket::domain::{Account, Order, World};
use events::*;

use super::{super::judge::ended, Books, Known};

impl Books {
    /// Compares everything; panics where something differs.
    pub fn agree(&self, world: &World) {
        self.agree_on_people(world);
        self.agree_on_channels(world);
        self.agree_on_stock(world);
        self.agree_on_money(world);
        self.agree_on_orders(world);
    }

    fn agree_on_people(&self, world: &World) {
        assert_eq!(world.accounts.len(), self.accounts.len());
        for (id, account) in &world.accounts {
            let person = &self.accounts[id];
            assert_eq!((&account.channel, account.login), (&person.channel, person.login));
            assert_eq!((&account.sessions, &account.stores), (&person.sessions, &person.stores));
        }
        let logins = world.accounts.iter().map(|(id, it)| ((it.channel.clone(), it.login), *id));
        assert_eq!(world.logins, logins.collect::<HashMap<_, _>>());
        assert_eq!(world.tokens.len(), self.tokens.len());
        for (digest, token) in &world.tokens {
            let TokenIssued { name, role, channel, store, expires_at, .. } = &self.tokens[digest];
            assert_eq!((&token.name, token.role), (name, *role));
            let known = (&token.channel, &token.store, token.expires_at);
            assert_eq!(known, (channel, store, *expires_at));
        }
    }

    fn agree_on_channels(&self, world: &World) {
        for (channel, state) in &world.channels {
            let known = self.channels.get(channel);
            let versions: Vec<u32> = state.lifecycles.keys().copied().collect();
            assert_eq!(Some(&versions), known.map_or(Some(&vec![]), |it| Some(&it.versions)));
            let settings = known.map(|it| (it.settings_number, it.settings.clone()));
            let of_world = (state.settings_number, state.settings.clone());
            assert_eq!(of_world, settings.unwrap_or_default());
        }
    }

    fn agree_on_stock(&self, world: &World) {
        let (mut listings, mut stores) = (0, 0);
        for (channel, state) in &world.channels {
            for (store_id, store) in &state.stores {
                stores += 1;
                assert_eq!(store.owner, self.stores[&(channel.clone(), store_id.clone())]);
                for (sku, listing) in &store.listings {
                    listings += 1;
                    let place = (channel.clone(), store_id.clone(), sku.clone());
                    let stock = self.stock[&place];
                    let known = (listing.shelf.into(), listing.reserved.into());
                    assert_eq!(known, (stock.shelf, stock.reserved), "{place:?}");
                }
                let here = |it: &&Order| it.channel == *channel && it.store == *store_id;
                let open = world.orders.values().filter(here).filter(|it| !ended(it.phase));
                assert_eq!(store.open_orders, open.count() as u64, "{channel} {store_id}");
                if let Some(owner) = world.accounts.get(&store.owner) {
                    assert_eq!(owner.channel, *channel);
                    assert!(owner.stores.contains(store_id));
                }
            }
        }
        assert_eq!((listings, stores), (self.stock.len(), self.stores.len()));
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
        let (mut deadlines, mut here) = (BTreeSet::new(), 0);
        for (id, known) in &self.orders {
            assert!(world.knows(*id) && world.is_taken(&known.channel, &known.placed.number));
            let left = world.left(&known.channel, *id);
            let Some(order) = world.orders.get(id) else {
                assert!(ended(known.phase), "only what is over leaves");
                assert_eq!(left, Some(known.changed_at));
                continue;
            };
            here += 1;
            assert_eq!(left, None);
            known.agree(*id, order);
            deadlines.extend(order.deadlines.iter().map(|(name, at)| (*at, *id, name.clone())));
            let held = self.minor(&format!("held/{id}"), order.total.currency);
            assert_eq!(i128::from(order.held), held);
            if let Some((payable, state)) = &known.payable {
                let entry = &world.channels[&order.channel].payables[&payable.id];
                assert_eq!((entry.amount, entry.order), (payable.amount, *id));
                assert_eq!(entry.state, *state);
            }
        }
        assert_eq!(world.orders.len(), here);
        assert_eq!(world.deadlines, deadlines);
        for (id, account) in &world.accounts {
            let own = world.orders.values().filter(|it| it.buyer == *id && !ended(it.phase));
            assert_eq!(account.open_orders, own.count() as u64);
        }
        for (channel, state) in &world.channels {
            let orders = world.orders.iter().filter(|(_, it)| it.channel == *channel);
            let asked = orders.filter(|(id, _)| self.orders[id].payable.is_some());
            assert_eq!(state.payables.len(), asked.count());
        }
    }
}

impl Known {
    fn agree(&self, id: OrderId, order: &Order) {
        let lives = (&order.channel, order.lifecycle, order.phase, order.stock);
        assert_eq!(lives, (&self.channel, self.lifecycle, self.phase, self.stock), "{id}");
        assert_eq!((order.kind, order.method), (self.kind, self.method));
        assert_eq!((order.total, &order.lines), (self.total, &self.lines));
        let reference = OrderRef {
            number: order.number.clone(),
            buyer: order.buyer,
            store: order.store.clone(),
            placed_at: order.placed_at,
        };
        assert_eq!(reference, self.placed);
        let set: BTreeMap<_, _> = order.deadlines.iter().cloned().collect();
        assert_eq!(set, self.deadlines);
        assert_eq!((order.held, order.paid_from), (self.held, self.source));
        let open = self.payable.iter().filter(|(_, state)| *state == PayableState::Open);
        let open: Vec<_> = open.map(|(payable, _)| payable.id.clone()).collect();
        assert_eq!(order.open_payables, open);
    }
}
