//! Order lists of versions 1 and 2, which serve until those of this version are built: a key for each
//! row of a list, which is JSON, and one for an owner's counts.

use events::{AccountId, Millis, Money, OrderId, OrderNumber, Phase, StoreId};
use serde::{Deserialize, Serialize};

use super::{Counts, List, ListRow, Moved, Owner};
use crate::{
    batch::{Batch, to_json},
    key::Place,
    store::{Error, Source, from_json},
};

const LISTS: u8 = 1;
const COUNTS: u8 = 2;

/// A row without its phase.
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

/// Moves an order from list to list, or puts it, where it was placed, as this row into the first.
pub fn apply(
    moved: &Moved<'_>,
    placed: Option<ListRow>,
    owners: &[Owner; 3],
    rows: &mut Batch<'_>,
) -> Result<(), Error> {
    let key =
        |owner: &Owner, phase: Phase| owner.key(LISTS).byte(phase as u8).place(&moved.at).bytes();
    // The same in each list.
    let value = match (placed, moved.from) {
        (Some(row), _) => to_json(&Stored::of(row)),
        (None, Some(from)) => {
            let value = rows.get(&key(&owners[0], from))?;
            value.ok_or_else(|| moved.unfit("the order is not in that phase"))?.into_owned()
        }
        (None, None) => unreachable!("only placing leaves no phase"),
    };
    let version = rows.version();
    for owner in owners.iter().filter(|owner| owner.since() <= version) {
        if let Some(from) = moved.from {
            rows.remove(key(owner, from));
        }
        rows.insert(key(owner, moved.to), value.clone());
        count(rows, owner, moved.from, moved.to)?;
    }
    Ok(())
}

/// One list for each of these phases, behind a place.
pub fn lists<'a>(
    store: &'a dyn Source,
    owner: &Owner,
    phases: &[Phase],
    after: Option<Place>,
) -> Result<Vec<List<'a>>, Error> {
    let mut lists: Vec<List<'a>> = Vec::new();
    for phase in Phase::ALL.into_iter().filter(|phase| phases.contains(phase)) {
        let prefix = owner.key(LISTS).byte(phase as u8);
        let (mut from, to) = prefix.clone().range();
        if let Some(after) = after {
            from = prefix.place(&after).bytes();
            from.push(0); // The first key behind it.
        }
        lists.push(Box::new(store.range(&from..&to).map(move |pair| {
            let (key, value) = pair?;
            Ok(from_json::<Stored>(&key, &value)?.read(phase))
        })));
    }
    Ok(lists)
}

/// How many orders are in each phase.
pub fn counts(store: &dyn Source, owner: &Owner) -> Result<Counts, Error> {
    let key = owner.key(COUNTS).bytes();
    let mut counts = Counts::default();
    if let Some(value) = store.get(&key)? {
        for (phase, count) in counts.0.iter_mut().enumerate() {
            *count = read_count(&value, phase).ok_or_else(|| short(&key))?;
        }
    }
    Ok(counts)
}

impl Stored {
    fn of(row: ListRow) -> Self {
        let ListRow { id, number, buyer, store, placed_at, phase: _, total, lines, items } = row;
        Self { id, number, buyer, store, placed_at, total, lines, items }
    }

    fn read(self, phase: Phase) -> ListRow {
        let Self { id, number, buyer, store, placed_at, total, lines, items } = self;
        ListRow { id, number, buyer, store, placed_at, phase, total, lines, items }
    }
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
