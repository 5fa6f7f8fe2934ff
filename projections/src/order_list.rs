//! Order lists by owner, phase and time, newest first, and how many orders an owner has in each
//! phase.
//!
//! The orders of an owner in a phase are a [series](Series), so that a filter by phases merges one
//! series a phase. A row does not change while the order lives: a step moves it to another series.

use events::{
    AccountId, Channel, Event, Millis, Money, OrderId, OrderNumber, Phase, Recorded, StoreId,
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::Batch,
    blocks::Series,
    key::{Key, Place, newest_first, read_place},
    pack::{Number, pack, unpack},
    projection::{View, order_event, unfit},
    store::{Error, Rows, Source},
};

mod older;

/// Rows that an unpaged list gives at most.
pub const UNPAGED_MAX: usize = 10_000;
/// Rows that an unpaged list reads at once.
const SLICE: usize = 500;

const HEADS: u8 = 1;
const BLOCKS: u8 = 2;
/// Some twenty rows.
const BLOCK_BYTES: usize = 1024;
/// The first version of the rows that packs them.
const SERIES_SINCE: u32 = 3;

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

/// A row without what its key, its place and its series say.
#[derive(Serialize, Deserialize)]
struct Stored {
    number: Number,
    buyer: AccountId,
    store: StoreId,
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
        self.rows.read_since(owner.since(), |store, version| {
            let after = after.map(|(at, order)| newest_first(at, order));
            let lists = if version < SERIES_SINCE {
                older::lists(store, owner, phases, after)?
            } else {
                lists(store, owner, phases, after)?
            };
            merge(lists, limit)
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
        self.rows.read_since(owner.since(), |store, version| {
            if version < SERIES_SINCE {
                return older::counts(store, owner);
            }
            let mut counts = Counts::default();
            for head in heads(store, owner) {
                let (phase, key, head) = head?;
                counts.0[phase as usize] = Series::len(&key, &head)?;
            }
            Ok(counts)
        })
    }
}

impl View for OrderList {
    const NAME: &'static str = "order_list";
    /// 2: by channel, too. 3: packed.
    const VERSION: u32 = 3;
    const SERVES: &'static [u32] = &[1, 2];

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
        let row = match &recorded.event {
            Event::OrderPlaced(placed) => Some(ListRow {
                id,
                number: order.number.clone(),
                buyer: order.buyer,
                store: order.store.clone(),
                placed_at: order.placed_at,
                phase: effect.to,
                total: placed.total,
                lines: placed.lines.len() as u32,
                items: placed.lines.iter().fold(0, |sum, it| sum.saturating_add(it.quantity)),
            }),
            _ => None,
        };
        let moved = Moved { recorded, at: newest_first(order.placed_at, id), from, to: effect.to };
        if rows.version() < SERIES_SINCE {
            return older::apply(&moved, row, &owners, rows);
        }
        let placed = row.map(|row| pack(&Stored::of(row)));
        for owner in &owners {
            let taken = match from {
                Some(from) => series(owner, from).remove(rows, &moved.at)?,
                None => placed.clone(),
            };
            let value = taken.ok_or_else(|| moved.unfit("the order is not in that phase"))?;
            if !series(owner, effect.to).insert(rows, &moved.at, &value)? {
                return Err(moved.unfit("the order is in that phase already"));
            }
        }
        Ok(())
    }

    fn over(rows: Rows) -> Self {
        Self { rows }
    }
}

/// An order that came to a phase.
struct Moved<'a> {
    recorded: &'a Recorded,
    at: Place,
    /// The phase it was in; `None` for one that was placed.
    from: Option<Phase>,
    to: Phase,
}

impl Moved<'_> {
    fn unfit(&self, reason: &str) -> Error {
        unfit(self.recorded, reason)
    }
}

impl Stored {
    fn of(row: ListRow) -> Self {
        let ListRow { id, number, buyer, store, total, lines, items, .. } = row;
        Self { number: Number::pack(id, number), buyer, store, total, lines, items }
    }

    fn read(self, at: &Place, phase: Phase) -> ListRow {
        let (placed_at, id) = read_place(at);
        let Self { number, buyer, store, total, lines, items } = self;
        let number = number.unpack(id);
        ListRow { id, number, buyer, store, placed_at, phase, total, lines, items }
    }
}

/// The orders of an owner in a phase.
fn series(owner: &Owner, phase: Phase) -> Series {
    let key = |table| owner.key(table).byte(phase as u8);
    Series::new(key(HEADS), key(BLOCKS), BLOCK_BYTES)
}

/// The heads of an owner's series, each with its phase and its key.
fn heads<'a>(
    store: &'a dyn Source,
    owner: &Owner,
) -> impl Iterator<Item = Result<(Phase, Vec<u8>, Vec<u8>), Error>> + 'a {
    let (from, to) = owner.key(HEADS).range();
    store.range(&from..&to).map(|pair| {
        let (key, head) = pair?;
        let phase = key.last().and_then(|phase| Phase::ALL.get(usize::from(*phase)));
        let phase = phase.ok_or_else(|| Error::row(&key, "the key names no phase"))?;
        Ok((*phase, key, head))
    })
}

/// An owner's orders in one phase, newest first.
type List<'a> = Box<dyn Iterator<Item = Result<ListRow, Error>> + 'a>;

/// One list for each of these phases that has orders, behind a place.
fn lists<'a>(
    store: &'a dyn Source,
    owner: &Owner,
    phases: &[Phase],
    after: Option<Place>,
) -> Result<Vec<List<'a>>, Error> {
    let mut lists: Vec<List<'a>> = Vec::new();
    for head in heads(store, owner) {
        let (phase, key, head) = head?;
        if phases.contains(&phase) {
            let mut rows = series(owner, phase).read(store, head, after)?;
            lists.push(Box::new(std::iter::from_fn(move || {
                let row = rows.next().transpose()?;
                Some(row.and_then(|(at, row)| Ok(unpack::<Stored>(&key, &row)?.read(&at, phase))))
            })));
        }
    }
    Ok(lists)
}

/// Rows of lists that are each newest first, newest first. There are twelve at most: looking at
/// each is as good as a heap.
fn merge(lists: Vec<List<'_>>, limit: usize) -> Result<Vec<ListRow>, Error> {
    let mut heads = Vec::with_capacity(lists.len());
    for mut rest in lists {
        if let Some(row) = rest.next().transpose()? {
            heads.push((row, rest));
        }
    }
    let mut rows = Vec::with_capacity(limit.min(SLICE));
    while rows.len() < limit {
        let newest = (0..heads.len()).max_by_key(|at| (heads[*at].0.placed_at, heads[*at].0.id));
        let Some(newest) = newest else { break };
        let (next, rest) = &mut heads[newest];
        rows.push(match rest.next().transpose()? {
            Some(row) => std::mem::replace(next, row),
            None => heads.swap_remove(newest).0,
        });
    }
    Ok(rows)
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
