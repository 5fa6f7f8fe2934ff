//! Everything that a replay of a journal gives, as JSON that says the same for ever.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use docket::{
    domain::{LineStock, Order, PayableEntry, World},
    engine::{self, Missing},
    journal::Journal,
    projector::{self, Views},
};
use events::{Channel, Currency, OrderId, PayableId, Subject};
use serde_json::{Value, json};

/// Replays a journal into the world and into the views.
pub fn dump(journal: &Arc<dyn Journal>, scratch: &Path) -> Value {
    let (world, head) = engine::replay(journal.as_ref()).unwrap();
    let known = Known::of(&world, journal.as_ref());
    let options = projector::Options::default();
    let views = Views::fold(Arc::clone(journal), head.position, scratch, &options).unwrap();
    json!({
        "head": {
            "commit": head.number.0, "position": head.position.0, "hash": head.hash,
        },
        "accounts": accounts(&world),
        "tokens": tokens(&world),
        "channels": channels(&world, &known),
        "orders": orders(&known, journal.as_ref(), &views),
        "pots": {
            "outside": money(&world.pots.outside),
            "wallets": money(&world.pots.wallets),
            "held": money(&world.pots.held),
        },
        "deadlines": world.deadlines.iter()
            .map(|(at, order, name)| json!([at, order, name])).collect::<Vec<_>>(),
        "idempotency_keys": world.keys.len(),
        "level": world.level,
    })
}

/// The orders that are in the world, and those that have left it and are read back.
struct Known {
    orders: BTreeMap<OrderId, Order>,
    payables: Vec<(Channel, PayableId, PayableEntry)>,
}

impl Known {
    fn of(world: &World, journal: &dyn Journal) -> Self {
        let here = world.orders.iter().map(|(id, order)| (*id, order.clone()));
        let mut known = Self { orders: here.collect(), payables: Vec::new() };
        for (channel, state) in &world.channels {
            let here = state.payables.iter().map(|(id, it)| (id.clone(), it.clone()));
            let mut payables: Vec<_> = here.collect();
            for (id, position) in &state.finished {
                let (order, position) = (*id, *position);
                let missing = Missing { channel: channel.clone(), order, position };
                let finished = engine::read_back(journal, &missing).unwrap();
                payables.extend_from_slice(finished.payables());
                assert!(known.orders.insert(order, finished.order().clone()).is_none());
            }
            let payables = payables.into_iter().map(|(id, it)| (channel.clone(), id, it));
            known.payables.extend(payables);
        }
        known
    }

    fn orders_of(&self, channel: &Channel) -> impl Iterator<Item = &Order> {
        self.orders.values().filter(move |order| order.channel == *channel)
    }
}

fn object(pairs: impl IntoIterator<Item = (String, Value)>) -> Value {
    let sorted: BTreeMap<_, _> = pairs.into_iter().collect();
    Value::Object(sorted.into_iter().collect())
}

fn money<T: ToString>(sums: &BTreeMap<Currency, T>) -> Value {
    object(sums.iter().map(|(currency, sum)| (format!("{currency:?}"), sum.to_string().into())))
}

fn accounts(world: &World) -> Value {
    let one = |account: &docket::domain::Account| {
        json!({
            "channel": account.channel,
            "login": account.login,
            "password": account.password,
            "sessions": account.sessions.iter().map(|(token, at)| json!([token, at]))
                .collect::<Vec<_>>(),
            "wallet": money(&account.wallet),
            "held": money(&account.held),
            "open_orders": account.open_orders,
            "stores": account.stores,
        })
    };
    let logins: Vec<_> = world.logins.values().collect();
    assert!(world.accounts.keys().all(|id| logins.contains(&id)), "an account without a login");
    object(world.accounts.iter().map(|(id, account)| (id.to_string(), one(account))))
}

fn tokens(world: &World) -> Value {
    let one = |token: &docket::domain::Token| {
        json!({
            "name": token.name, "role": token.role, "channel": token.channel,
            "store": token.store, "expires_at": token.expires_at,
        })
    };
    object(world.tokens.iter().map(|(digest, token)| (digest.to_string(), one(token))))
}

fn channels(world: &World, known: &Known) -> Value {
    let store = |store: &docket::domain::Store| {
        let listings = store.listings.iter().map(|(sku, it)| {
            let listing = json!({ "price": it.price, "shelf": it.shelf, "reserved": it.reserved });
            (sku.to_string(), listing)
        });
        json!({
            "owner": store.owner, "open_orders": store.open_orders, "listings": object(listings),
        })
    };
    let one = |channel: &Channel, state: &docket::domain::ChannelState| {
        let lifecycles = state.lifecycles.iter();
        let payables =
            known.payables.iter().filter(|(of, _, _)| of == channel).map(|(_, id, it)| {
                (
                    id.to_string(),
                    json!({ "amount": it.amount, "order": it.order, "state": it.state }),
                )
            });
        let mut numbers: Vec<_> = known.orders_of(channel).map(|order| &order.number).collect();
        numbers.sort();
        assert!(numbers.iter().all(|number| world.is_taken(channel, number)));
        json!({
            "lifecycles": object(lifecycles.map(|(n, it)| (n.to_string(), json!(it.digest)))),
            "settings": state.settings,
            "settings_number": state.settings_number,
            "stores": object(state.stores.iter().map(|(id, it)| (id.to_string(), store(it)))),
            "payables": object(payables),
            "numbers": numbers,
        })
    };
    object(world.channels.iter().map(|(name, state)| (name.to_string(), one(name, state))))
}

/// What the writer knows of each order, what readers see of it, and what happened to it.
fn orders(known: &Known, journal: &dyn Journal, views: &Views) -> Value {
    let one = |(id, order): (&OrderId, &Order)| {
        let stock = match order.stock {
            LineStock::None => "none",
            LineStock::Reserved => "reserved",
            LineStock::Consumed => "consumed",
            LineStock::Returned => "returned",
        };
        let subject =
            journal.read_subject(&order.channel, &Subject::order(*id), events::Position(0), 1000);
        let history: Vec<_> =
            subject.unwrap().iter().map(|it| json!([it.position, it.kind])).collect();
        let value = json!({
            "channel": order.channel,
            "number": order.number,
            "buyer": order.buyer,
            "store": order.store,
            "placed_at": order.placed_at,
            "lifecycle": order.lifecycle,
            "phase": order.phase,
            "kind": order.kind,
            "method": order.method,
            "lines": order.lines,
            "total": order.total,
            "held": order.held,
            "paid_from": order.paid_from,
            "stock": stock,
            "open_payables": order.open_payables,
            "deadlines": order.deadlines,
            "history": history,
            "detail": views.order_detail.get(*id).unwrap(),
        });
        (id.to_string(), value)
    };
    object(known.orders.iter().map(one))
}
