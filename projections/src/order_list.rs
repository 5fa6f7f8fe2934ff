//! Order lists by owner, phase and time, newest first, and how many orders an owner has in each
//! phase.
//!
//! A list's key is (owner, phase, time placed, order), so that a filter by phases merges one range
//! a phase. Its value does not change while the order lives: a step moves it to another key.

use std::{cmp::Reverse, ops::Range};

use events::{
    AccountId, Channel, Event, Millis, Money, OrderId, OrderNumber, Phase, Recorded, StoreId,
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::{Batch, to_json},
    key::Key,
    projection::{View, order_event, unfit},
    store::{Error, Pair, Rows, Store, from_json},
};

/// Rows that an unpaged list gives at most.
pub const UNPAGED_MAX: usize = 10_000;
/// Rows that an unpaged list reads at once.
const SLICE: usize = 500;

const LISTS: u8 = 1;
const COUNTS: u8 = 2;

/// Whose orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Those that an account placed in a channel.
    Buyer(Channel, AccountId),
    /// Those placed in a store of a channel.
    Store(Channel, StoreId),
    /// All those placed in a channel.
    Channel(Channel),
}

impl Owner {
    fn key(&self, table: u8) -> Key {
        let key = Key::table(table);
        match self {
            Self::Buyer(channel, account) => key.byte(1).name(channel).id(account.0.as_bytes()),
            Self::Store(channel, store) => key.byte(2).name(channel).name(store),
            Self::Channel(channel) => key.byte(3).name(channel),
        }
    }

    /// The first version of the rows that has these lists.
    fn since(&self) -> u32 {
        match self {
            Self::Buyer(..) | Self::Store(..) => 1,
            Self::Channel(_) => 2,
        }
    }
}

/// What a list shows of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct ListRow {
    /// The order.
    pub id: OrderId,
    /// What people call it.
    pub number: OrderNumber,
    /// For whom it was placed.
    pub buyer: AccountId,
    /// Where.
    pub store: StoreId,
    /// When.
    pub placed_at: Millis,
    /// Where it is in its life.
    pub phase: Phase,
    /// What is to be paid.
    pub total: Money,
    /// How many lines it has.
    pub lines: u32,
    /// How many things it has, over all lines.
    pub items: i64,
}

/// A list's value: a row without what the key says.
#[derive(Serialize, Deserialize)]
struct Stored {
    id: OrderId,
    number: OrderNumber,
    buyer: AccountId,
    store: StoreId,
    placed_at: Millis,
    total: Money,
    lines: u32,
    items: i64,
}

/// How many orders are in each phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; Phase::ALL.len()]);

impl Counts {
    /// Orders in one phase.
    pub fn of(&self, phase: Phase) -> u64 {
        self.0[phase as usize]
    }

    /// Orders in all phases.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Answers whose orders there are. Rows of version 1 have no lists and counts by channel: asked
/// for those, they refuse with [`Error::Older`].
#[derive(Clone)]
pub struct OrderList {
    rows: Rows,
}

impl OrderList {
    /// Orders in any of these phases, newest first, at most `limit`; of those placed at the same
    /// moment the one with the higher id first. `after` is the last row of the page before.
    pub fn list(
        &self,
        owner: &Owner,
        phases: &[Phase],
        after: Option<(Millis, OrderId)>,
        limit: usize,
    ) -> Result<Vec<ListRow>, Error> {
        let prefix = owner.key(LISTS);
        self.rows.read_since(owner.since(), |store| {
            let mut ranges = Vec::with_capacity(phases.len().min(Phase::ALL.len()));
            for phase in Phase::ALL.into_iter().filter(|phase| phases.contains(phase)) {
                let (mut from, to) = prefix.clone().byte(phase as u8).range();
                if let Some((at, order)) = after {
                    from = prefix.clone().byte(phase as u8).newest_first(at, order).bytes();
                    from.push(0); // The first key behind it.
                }
                if let Some(range) = PhaseRange::begin(store, phase, &from..&to)? {
                    ranges.push(range);
                }
            }
            merge(ranges, limit)
        })
    }

    /// Orders in any of these phases, newest first, the newest [`UNPAGED_MAX`]; read slice by
    /// slice, so that writing goes on meanwhile. An order that stays in these phases is there
    /// exactly once.
    pub fn iter(
        &self,
        owner: Owner,
        phases: Vec<Phase>,
    ) -> impl Iterator<Item = Result<ListRow, Error>> + Send + 'static {
        let (view, mut after, mut ended) = (self.clone(), None, false);
        let slices = std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let slice = view.list(&owner, &phases, after, SLICE);
            ended = slice.as_ref().map_or(true, |rows| rows.len() < SLICE);
            after =
                slice.as_ref().ok().and_then(|rows| rows.last()).map(|row| (row.placed_at, row.id));
            Some(slice)
        });
        let rows = slices.flat_map(|slice| {
            let (rows, error) = match slice {
                Ok(rows) => (rows, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            rows.into_iter().map(Ok).chain(error)
        });
        rows.take(UNPAGED_MAX)
    }

    /// How many orders are in each phase.
    pub fn counts(&self, owner: &Owner) -> Result<Counts, Error> {
        let key = owner.key(COUNTS).bytes();
        self.rows.read_since(owner.since(), |store| match store.get(&key)? {
            None => Ok(Counts::default()),
            Some(value) => {
                let mut counts = Counts::default();
                for (phase, count) in counts.0.iter_mut().enumerate() {
                    *count = read_count(&value, phase).ok_or_else(|| short(&key))?;
                }
                Ok(counts)
            }
        })
    }
}

impl View for OrderList {
    const NAME: &'static str = "order_list";
    /// 2: by channel, too.
    const VERSION: u32 = 2;
    const SERVES: &'static [u32] = &[1];

    fn apply(recorded: &Recorded, rows: &mut Batch<'_>) -> Result<(), Error> {
        let Some((id, order, effect)) = order_event(recorded)? else { return Ok(()) };
        let from = match (&recorded.event, effect.from) {
            (Event::OrderPlaced(_), _) => None,
            (_, Some(from)) if from == effect.to => return Ok(()),
            (_, Some(from)) => Some(from),
            (_, None) => return Err(unfit(recorded, "a step leaves no phase")),
        };
        let owners = [
            Owner::Buyer(recorded.channel.clone(), order.buyer),
            Owner::Store(recorded.channel.clone(), order.store.clone()),
            Owner::Channel(recorded.channel.clone()),
        ];
        let version = rows.version();
        let key = |owner: &Owner, phase: Phase| {
            owner.key(LISTS).byte(phase as u8).newest_first(order.placed_at, id).bytes()
        };
        // The same in each list.
        let value = match (&recorded.event, from) {
            (Event::OrderPlaced(placed), _) => to_json(&Stored {
                id,
                number: order.number.clone(),
                buyer: order.buyer,
                store: order.store.clone(),
                placed_at: order.placed_at,
                total: placed.total,
                lines: placed.lines.len() as u32,
                items: placed.lines.iter().fold(0, |sum, it| sum.saturating_add(it.quantity)),
            }),
            (_, Some(from)) => {
                let value = rows.get(&key(&owners[0], from))?;
                value.ok_or_else(|| unfit(recorded, "the order is not in that phase"))?.into_owned()
            }
            (_, None) => unreachable!("only placing leaves no phase"),
        };
        for owner in owners.iter().filter(|owner| owner.since() <= version) {
            if let Some(from) = from {
                rows.remove(key(owner, from));
            }
            rows.insert(key(owner, effect.to), value.clone());
            count(rows, owner, from, effect.to)?;
        }
        Ok(())
    }

    fn over(rows: Rows) -> Self {
        Self { rows }
    }
}

/// What is left of one phase's range, with the next row already read.
struct PhaseRange<'a> {
    phase: Phase,
    next: Stored,
    rest: Box<dyn Iterator<Item = Result<Pair, Error>> + 'a>,
}

impl<'a> PhaseRange<'a> {
    fn begin(
        store: &'a dyn Store,
        phase: Phase,
        range: Range<&Vec<u8>>,
    ) -> Result<Option<Self>, Error> {
        let mut rest = store.range(range.start..range.end);
        Ok(read_next(&mut rest)?.map(|next| Self { phase, next, rest }))
    }

    fn newest(&self) -> (Millis, OrderId) {
        (self.next.placed_at, self.next.id)
    }
}

/// Rows of ranges that are each newest first, newest first. There are twelve at most: looking at
/// each is as good as a heap.
fn merge(mut ranges: Vec<PhaseRange<'_>>, limit: usize) -> Result<Vec<ListRow>, Error> {
    let mut rows = Vec::with_capacity(limit.min(SLICE));
    while rows.len() < limit {
        let newest = (0..ranges.len()).min_by_key(|at| Reverse(ranges[*at].newest()));
        let Some(newest) = newest else { break };
        let range = &mut ranges[newest];
        let phase = range.phase;
        let row = match read_next(&mut range.rest)? {
            Some(next) => std::mem::replace(&mut range.next, next),
            None => ranges.swap_remove(newest).next,
        };
        let Stored { id, number, buyer, store, placed_at, total, lines, items } = row;
        rows.push(ListRow { id, number, buyer, store, placed_at, phase, total, lines, items });
    }
    Ok(rows)
}

fn read_next(
    pairs: &mut dyn Iterator<Item = Result<Pair, Error>>,
) -> Result<Option<Stored>, Error> {
    let Some(pair) = pairs.next() else { return Ok(None) };
    let (key, value) = pair?;
    from_json(&key, &value).map(Some)
}

const COUNT_BYTES: usize = size_of::<u64>();

/// Moves one order between the counts of an owner: big-endian numbers, one a phase.
fn count(rows: &mut Batch<'_>, owner: &Owner, from: Option<Phase>, to: Phase) -> Result<(), Error> {
    let key = owner.key(COUNTS).bytes();
    let value = rows.modify(key.clone())?;
    let counts = value.get_or_insert_with(|| vec![0; Phase::ALL.len() * COUNT_BYTES]);
    if let Some(from) = from {
        change_count(counts, from, |count| count.checked_sub(1)).ok_or_else(|| short(&key))?;
    }
    change_count(counts, to, |count| count.checked_add(1)).ok_or_else(|| short(&key))
}

fn change_count(
    counts: &mut [u8],
    phase: Phase,
    change: impl FnOnce(u64) -> Option<u64>,
) -> Option<()> {
    let count = change(read_count(counts, phase as usize)?)?;
    let at = phase as usize * COUNT_BYTES;
    counts[at..at + COUNT_BYTES].copy_from_slice(&count.to_be_bytes());
    Some(())
}

fn read_count(counts: &[u8], phase: usize) -> Option<u64> {
    let at = phase * COUNT_BYTES;
    Some(u64::from_be_bytes(counts.get(at..at + COUNT_BYTES)?.try_into().ok()?))
}

fn short(key: &[u8]) -> Error {
    Error::row(key, "the counts are too short or do not add up")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;

    fn buyer() -> Owner {
        Owner::Buyer(shop(), account(1))
    }

    fn numbers(rows: &[ListRow]) -> Vec<&str> {
        rows.iter().map(|row| row.number.as_str()).collect()
    }

    /// Seven orders; those with an even number are paid.
    fn some_orders(view: &mut Kept<OrderList>) {
        let mut log = Log::default();
        for n in 1..=7 {
            log.place(n, "s", &[("a", 1), ("b", 2)]);
        }
        for n in [2, 4, 6] {
            log.pay(n);
        }
        view.apply(&log.events);
    }

    #[test]
    fn lists_are_newest_first_whatever_the_phases() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<OrderList>::open(&folder);
        some_orders(&mut view);
        for owner in [buyer(), Owner::Store(shop(), store("s")), Owner::Channel(shop())] {
            let list = |phases: &[Phase]| view.query().list(&owner, phases, None, 100).unwrap();
            assert_eq!(numbers(&list(&Phase::ALL)), ["N7", "N6", "N5", "N4", "N3", "N2", "N1"]);
            assert_eq!(numbers(&list(&[Phase::Paid])), ["N6", "N4", "N2"]);
            assert_eq!(numbers(&list(&[Phase::AwaitingPayment])), ["N7", "N5", "N3", "N1"]);
            assert_eq!(numbers(&list(&[])), [""; 0]);
            let row = list(&[Phase::Paid]).remove(0);
            assert_eq!((row.phase, row.lines, row.items), (Phase::Paid, 2, 3));
            assert_eq!((row.id, row.total, row.buyer), (order_id(6), cny(1200), account(1)));
        }
        let other = Owner::Store(shop(), store("s\0"));
        assert_eq!(view.query().list(&other, &Phase::ALL, None, 100).unwrap(), []);
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<OrderList>::open(&folder);
        some_orders(&mut view);
        let (mut after, mut all) = (None, Vec::new());
        loop {
            let page = view.query().list(&buyer(), &Phase::ALL, after, 2).unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.placed_at, last.id));
            all.extend(page);
        }
        assert_eq!(numbers(&all), ["N7", "N6", "N5", "N4", "N3", "N2", "N1"]);
    }

    #[test]
    fn orders_of_one_moment_are_listed_by_id() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<OrderList>::open(&folder);
        let mut log = Log { tick_ms: 0, ..Log::default() };
        for n in 1..=4 {
            log.place(n, "s", &[("a", 1)]);
        }
        log.pay(3);
        view.apply(&log.events);
        let first = view.query().list(&buyer(), &Phase::ALL, None, 2).unwrap();
        assert_eq!(numbers(&first), ["N4", "N3"]);
        let after = Some((first[1].placed_at, first[1].id));
        let second = view.query().list(&buyer(), &Phase::ALL, after, 2).unwrap();
        assert_eq!(numbers(&second), ["N2", "N1"]);
    }

    #[test]
    fn an_unpaged_list_reads_slice_by_slice_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<OrderList>::open(&folder);
        let mut log = Log::default();
        for n in 1..=UNPAGED_MAX as u128 + 3 {
            log.place(n, "s", &[("a", 1)]);
        }
        view.apply(&log.events);
        let rows: Vec<_> =
            view.query().iter(buyer(), Phase::ALL.to_vec()).map(Result::unwrap).collect();
        assert_eq!(rows.len(), UNPAGED_MAX);
        assert!(rows.windows(2).all(|pair| pair[0].placed_at > pair[1].placed_at));
        assert_eq!(rows[0].id, order_id(UNPAGED_MAX as u128 + 3));
    }

    #[test]
    fn counts_follow_the_phases() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<OrderList>::open(&folder);
        some_orders(&mut view);
        let counts = view.query().counts(&Owner::Store(shop(), store("s"))).unwrap();
        assert_eq!((counts.of(Phase::AwaitingPayment), counts.of(Phase::Paid)), (4, 3));
        assert_eq!(counts.total(), 7);
        assert_eq!(view.query().counts(&buyer()).unwrap(), counts);
        assert_eq!(view.query().counts(&Owner::Channel(shop())).unwrap(), counts);
        let nobody = Owner::Buyer(shop(), account(9));
        assert_eq!(view.query().counts(&nobody).unwrap(), Counts::default());
    }

    #[test]
    fn a_phase_s_number_is_its_place() {
        for (place, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, place, "keys and counts hold this number");
        }
    }
}
