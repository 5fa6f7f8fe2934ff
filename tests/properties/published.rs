//! What is published is enough: whoever has the records alone counts the same orders, stock and
//! money as the world that decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use docket::domain::World;
use events::{
    publish::{Data, OrderChanged, Place, Type},
    *,
};
use proptest::prelude::*;
use serde_json::Value;

use super::{
    check::fits,
    play::Play,
    site::cases,
    steps::{Proof, Step, What, Who, beginning, opening, step},
};

type Counts<K> = BTreeMap<K, i128>;

/// What a reader of the public topics knows.
#[derive(Debug, Default, PartialEq)]
struct Known {
    orders: Counts<(Channel, StoreId, Phase)>,
    /// On the shelf and reserved.
    stock: [Counts<(Channel, StoreId, Sku)>; 2],
    wallets: Counts<(AccountId, Currency)>,
    held: Counts<(OrderId, Currency)>,
    outside: Counts<Currency>,
}

impl Known {
    /// From the values of records alone, as they come out of Kafka.
    fn of(records: &[CloudEvent]) -> Self {
        let mut known = Self::default();
        for record in records {
            known.read(record.kind, &record.value());
        }
        known.tidy()
    }

    fn read(&mut self, kind: Type, value: &str) {
        match kind.topic() {
            Topic::Orders => {
                // Every type of it has these, placing too.
                let it: OrderChanged = serde_json::from_str(value).unwrap();
                let at = |phase| (it.channel.clone(), it.store.clone(), phase);
                if let Some(previous) = it.previous_phase {
                    *self.orders.entry(at(previous)).or_default() -= 1;
                }
                *self.orders.entry(at(it.phase)).or_default() += 1;
            }
            Topic::Stock => {
                let it: publish::StockMoved = serde_json::from_str(value).unwrap();
                let listing = (it.channel, it.store, it.sku);
                for (stock, change) in
                    self.stock.iter_mut().zip([it.shelf_change, it.reserved_change])
                {
                    *stock.entry(listing.clone()).or_default() += i128::from(change);
                }
            }
            Topic::Payments => {
                let it: publish::MoneyMoved = serde_json::from_str(value).unwrap();
                let (currency, minor) = (it.amount.currency, i128::from(it.amount.minor));
                for (place, minor) in [(it.from, -minor), (it.to, minor)] {
                    *match place {
                        Place::Outside => self.outside.entry(currency).or_default(),
                        Place::Wallet(account) => {
                            self.wallets.entry((account, currency)).or_default()
                        }
                        Place::Order(order) => self.held.entry((order, currency)).or_default(),
                    } += minor;
                }
            }
        }
    }

    /// From the world that decides.
    fn of_world(world: &World) -> Self {
        let mut known = Self::default();
        for (id, order) in &world.orders {
            let at = (order.channel.clone(), order.store.clone(), order.phase);
            *known.orders.entry(at).or_default() += 1;
            known.held.insert((*id, order.total.currency), order.held.into());
        }
        for (channel, state) in &world.channels {
            for (store, it) in &state.stores {
                for (sku, listing) in &it.listings {
                    let at = (channel.clone(), store.clone(), sku.clone());
                    known.stock[0].insert(at.clone(), listing.shelf.into());
                    known.stock[1].insert(at, listing.reserved.into());
                }
            }
        }
        for (id, account) in &world.accounts {
            for (currency, balance) in &account.wallet {
                known.wallets.insert((*id, *currency), (*balance).into());
            }
        }
        known.outside = world.pots.outside.clone();
        known.tidy()
    }

    /// Nothing is the same as not there.
    fn tidy(mut self) -> Self {
        fn some<K: Ord>(counts: &mut Counts<K>) {
            counts.retain(|_, count| *count != 0);
        }
        some(&mut self.orders);
        self.stock.iter_mut().for_each(some);
        some(&mut self.wallets);
        some(&mut self.held);
        some(&mut self.outside);
        self
    }
}

/// Every text in a value that is no name, number or phase: what is sealed, and digests.
fn private(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.values().for_each(|it| private(it, found)),
        Value::Array(items) => items.iter().for_each(|it| private(it, found)),
        Value::String(text) => {
            let sealed = text.get(36..37) == Some(":");
            if sealed || text.parse::<Digest>().is_ok() {
                found.insert(text.clone());
            }
        }
        _ => {}
    }
}

fn is_lawful(record: &CloudEvent, schemas: &BTreeMap<Type, Value>) {
    let schema = &schemas[&record.kind];
    fits(&record.value().parse().unwrap(), schema, schema, record.kind.name());
    for (name, value) in record.headers() {
        let name = name.strip_prefix("ce_").unwrap_or("contenttype");
        assert!(name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit()), "{name}");
        assert!(!value.is_empty() && !value.contains(char::is_control), "{name}: {value:?}");
    }
    chrono::DateTime::parse_from_rfc3339(&record.time).unwrap();
    assert_eq!(record.topic(), record.kind.topic());
}

fn rising<T: Ord + Debug>(all: impl IntoIterator<Item = T>) {
    all.into_iter().reduce(|last, next| {
        assert!(last < next, "{next:?} after {last:?}");
        next
    });
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn what_is_published_says_what_the_world_says(
        steps in prop::collection::vec((step(), 0..400_000i64), 1..80),
    ) {
        let schemas = Type::ALL.iter().map(|kind| (*kind, kind.schema().to_value()));
        let schemas: BTreeMap<_, _> = schemas.collect();
        let mut play = Play::new();
        for step in beginning().iter().chain(&opening(2)) {
            play.give(&step.command(&play.world)).unwrap();
        }
        for (step, wait) in steps {
            play.now.0 += wait;
            let _ = play.give(&step.command(&play.world)); // Refused, many of them.
        }
        let records: Vec<_> = play.events.iter().flat_map(publish::publish).collect();
        let again: Vec<_> = play.events.iter().flat_map(publish::publish).collect();
        prop_assert_eq!(&again, &records, "the same events give the same records");
        prop_assert!(records.len() > 10);
        rising(records.iter().map(|it| &it.sequence));
        rising(records.iter().map(|it| {
            let (position, n) = it.id.split_once('.').unwrap();
            (position.parse::<u64>().unwrap(), n.parse::<u64>().unwrap())
        }));
        records.iter().for_each(|record| is_lawful(record, &schemas));

        let mut secrets = BTreeSet::new();
        play.events.iter().for_each(|it| private(&it.to_json().parse().unwrap(), &mut secrets));
        prop_assert!(secrets.len() > 10);
        let told: String = records.iter().map(CloudEvent::to_json).collect();
        for secret in secrets {
            prop_assert!(!told.contains(&secret), "{secret} is published");
        }
        prop_assert_eq!(Known::of(&records), Known::of_world(&play.world));
    }
}

/// Two orders go from the shelf to their buyers: each event of theirs gives one record of the
/// order, as much as the event says, and then those of what goes with it.
#[test]
fn each_event_of_an_order_gives_one_record_of_it() {
    let go = |channel: usize| {
        let (who, proof) = (Who::Right, Proof::Password);
        Step { channel, home: channel, who, proof, what: What::Go { order: 0, nth: 1 } }
    };
    let mut play = Play::new();
    for step in beginning() {
        play.give(&step.command(&play.world)).unwrap();
    }
    for step in (0..12).map(|n| go(n % 2)) {
        let _ = play.give(&step.command(&play.world)); // Refused once they are over.
    }
    let mut seen = BTreeMap::new();
    for event in &play.events {
        let records = publish::publish(event);
        let own = records.iter().filter(|it| it.topic() == Topic::Orders).count();
        assert_eq!(own, usize::from(event.event.effect().is_some()), "{event:?}");
        for record in &records {
            *seen.entry(record.topic()).or_insert(0) += 1;
        }
        if let Some(effect) = event.event.effect() {
            let (Data::OrderPlaced(publish::OrderPlaced { order: it, .. })
            | Data::OrderChanged(it)) = &records[0].data
            else {
                panic!("{records:?}")
            };
            assert_eq!((it.previous_phase, it.phase), (effect.from, effect.to));
            assert_eq!(Subject::order(it.order), event.subject);
            let lines = effect.stock.iter().map(|it| it.lines.len()).sum::<usize>();
            assert_eq!(records.len(), 1 + lines + effect.money.len());
        }
    }
    assert!(seen.len() == 3 && seen.values().all(|count| *count >= 6), "{seen:?}");
    let records: Vec<_> = play.events.iter().flat_map(publish::publish).collect();
    let known = Known::of(&records);
    assert_eq!(known, Known::of_world(&play.world));
    let done = known.orders.iter().filter(|((_, _, phase), _)| phase.is_final());
    assert_eq!(done.map(|(_, count)| count).sum::<i128>(), 2, "{known:?}");
}
