//! Order detail: all that is known of one order, but for who did what to it, which is its history.

use events::{
    AccountId, Channel, Effect, Event, Kind, Line, Method, Millis, Money, MoneyMove, OrderId,
    OrderRef, PayableId, PayableState, Phase, Pot, Recorded, StoreId,
};
use serde::{Deserialize, Serialize};

use crate::{
    batch::{Batch, to_json},
    blocks::Series,
    key::{Key, Place, newest_first},
    pack::{Number, pack, unpack},
    projection::{View, order_event, unfit},
    store::{Error, Rows, from_json},
};

/// Of version 1: a key for each order, which is JSON.
const ORDERS: u8 = 1;
const HEAD: u8 = 2;
const BLOCKS: u8 = 3;
/// The first version of the rows that packs them, in blocks.
const PACKED_SINCE: u32 = 2;
/// Some ten rows.
const BLOCK_BYTES: usize = 4096;

/// One order, as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderRow {
    /// The channel it was placed in.
    pub channel: Channel,
    /// What never changes about it: number, buyer, store, when it was placed.
    #[serde(flatten)]
    pub order: OrderRef,
    /// The version of the channel's life cycle that it lives by.
    pub lifecycle: u32,
    /// How it reaches the buyer.
    pub kind: Kind,
    /// How it is to be paid.
    pub method: Method,
    /// Where it is in its life.
    pub phase: Phase,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// What is to be paid.
    pub total: Money,
    /// What is held for it.
    pub held: Money,
    /// What went back to the buyer.
    pub refunded: Money,
    /// What went on to the seller.
    pub released: Money,
    /// Each phase it was in, oldest first, with the time it last came there.
    pub phases: Vec<(Phase, Millis)>,
    /// Deadlines that are set, by name.
    pub deadlines: Vec<DeadlineRow>,
    /// What was asked for it, oldest first.
    pub payables: Vec<PayableRow>,
}

/// A deadline that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlineRow {
    /// Its name in the life cycle.
    pub name: String,
    /// When it is due.
    pub at: Millis,
}

/// What a payer was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayableRow {
    /// Its own number.
    pub id: PayableId,
    /// How much.
    pub amount: Money,
    /// How far it is.
    pub state: PayableState,
}

impl OrderRow {
    /// When the order last came to a phase; `None` where it never did.
    pub fn entered(&self, phase: Phase) -> Option<Millis> {
        self.phases.iter().find(|(known, _)| *known == phase).map(|(_, at)| *at)
    }

    fn enter(&mut self, phase: Phase, at: Millis) {
        self.phase = phase;
        self.phases.retain(|(known, _)| *known != phase);
        self.phases.push((phase, at));
    }

    /// Takes in what an event does.
    fn step(&mut self, recorded: &Recorded, effect: &Effect) -> Result<(), Error> {
        if self.phase != effect.to {
            self.enter(effect.to, recorded.recorded_at);
        }
        let arrived = matches!(recorded.event, Event::OrderReceived(_));
        for money in &effect.money {
            self.account(money, arrived).ok_or_else(|| unfit(recorded, "a sum does not fit"))?;
        }
        for change in &effect.deadlines {
            self.deadlines.retain(|deadline| deadline.name != change.name);
            if let Some(at) = change.at {
                self.deadlines.push(DeadlineRow { name: change.name.clone(), at });
            }
        }
        self.deadlines.sort_by(|one, other| one.name.cmp(&other.name));
        for change in &effect.payables {
            let payable = self.payables.iter_mut().find(|payable| payable.id == change.id);
            payable.ok_or_else(|| unfit(recorded, "the payable is unknown"))?.state = change.state;
        }
        Ok(())
    }

    /// Money goes back when it leaves what is held for the buyer or for outside, unless the order
    /// has arrived: then the buyer is the seller too. `None` where a sum does not fit.
    fn account(&mut self, money: &MoneyMove, arrived: bool) -> Option<()> {
        if money.to == Pot::Held {
            self.held = self.held.checked_add(money.amount)?;
        }
        if money.from == Pot::Held {
            self.held = self.held.checked_sub(money.amount)?;
            let back = match money.to {
                Pot::Wallet(account) => account == self.order.buyer && !arrived,
                Pot::Outside => !arrived,
                Pot::Held => return Some(()),
            };
            let sum = if back { &mut self.refunded } else { &mut self.released };
            *sum = sum.checked_add(money.amount)?;
        }
        Some(())
    }
}

/// Answers what one order is like.
#[derive(Clone)]
pub struct OrderDetail {
    rows: Rows,
}

impl OrderDetail {
    /// An order, or `None` where there is none.
    pub fn get(&self, id: OrderId) -> Result<Option<OrderRow>, Error> {
        self.rows.read_since(0, |rows, version| {
            let value = match version < PACKED_SINCE {
                true => rows.get(&key(id))?,
                false => orders().get(rows, &place(id))?,
            };
            value.map(|value| read(version, id, &value)).transpose()
        })
    }

    /// An order, if this account placed it in this channel.
    pub fn get_own(
        &self,
        channel: &Channel,
        buyer: AccountId,
        id: OrderId,
    ) -> Result<Option<OrderRow>, Error> {
        let row = self.get(id)?;
        Ok(row.filter(|row| row.channel == *channel && row.order.buyer == buyer))
    }

    /// An order, if it was placed in this store of this channel.
    pub fn get_in_store(
        &self,
        channel: &Channel,
        store: &StoreId,
        id: OrderId,
    ) -> Result<Option<OrderRow>, Error> {
        let row = self.get(id)?;
        Ok(row.filter(|row| row.channel == *channel && row.order.store == *store))
    }
}

impl View for OrderDetail {
    const NAME: &'static str = "order_detail";
    /// 2: packed, in blocks.
    const VERSION: u32 = 2;
    const SERVES: &'static [u32] = &[1];

    fn apply(recorded: &Recorded, rows: &mut Batch<'_>) -> Result<(), Error> {
        if let Event::OrderMoved(it) = &recorded.event {
            return change(recorded, rows, |row| {
                row.lifecycle = it.lifecycle;
                Ok(())
            });
        }
        let Some((id, order, effect)) = order_event(recorded)? else { return Ok(()) };
        let Event::OrderPlaced(it) = &recorded.event else {
            return change(recorded, rows, |row| row.step(recorded, effect));
        };
        let zero = Money::zero(it.total.currency);
        let payable = it.payable.as_ref().map(|payable| PayableRow {
            id: payable.id.clone(),
            amount: payable.amount,
            state: PayableState::Open,
        });
        let mut row = OrderRow {
            channel: recorded.channel.clone(),
            order: order.clone(),
            lifecycle: it.lifecycle,
            kind: it.kind,
            method: it.method,
            phase: effect.to,
            lines: it.lines.clone(),
            total: it.total,
            held: zero,
            refunded: zero,
            released: zero,
            phases: vec![(effect.to, recorded.recorded_at)],
            deadlines: Vec::new(),
            payables: payable.into_iter().collect(),
        };
        row.step(recorded, effect)?;
        let version = rows.version();
        let value = write(version, id, row);
        if version < PACKED_SINCE {
            rows.insert(key(id), value);
        } else if !orders().insert(rows, &place(id), &value)? {
            return Err(unfit(recorded, "the order is there already"));
        }
        Ok(())
    }

    fn over(rows: Rows) -> Self {
        Self { rows }
    }
}

/// Changes the row of the order that an event is about.
fn change(
    recorded: &Recorded,
    rows: &mut Batch<'_>,
    change: impl FnOnce(&mut OrderRow) -> Result<(), Error>,
) -> Result<(), Error> {
    let id = recorded.subject.as_order();
    let id = id.ok_or_else(|| unfit(recorded, format!("{} is no order", recorded.subject)))?;
    let unknown = || unfit(recorded, "the order is unknown");
    let version = rows.version();
    let changed = |value: &[u8]| {
        let mut row = read(version, id, value)?;
        change(&mut row)?;
        Ok(write(version, id, row))
    };
    if version < PACKED_SINCE {
        let key = key(id);
        let value = changed(&rows.get(&key)?.ok_or_else(unknown)?)?;
        rows.put(key, value);
        return Ok(());
    }
    orders().change(rows, &place(id), changed)?.ok_or_else(unknown)
}

/// A row without what its key says.
#[derive(Serialize, Deserialize)]
struct Stored {
    channel: Channel,
    number: Number,
    buyer: AccountId,
    store: StoreId,
    placed_at: Millis,
    lifecycle: u32,
    kind: Kind,
    method: Method,
    phase: Phase,
    lines: Vec<Line>,
    total: Money,
    held: Money,
    refunded: Money,
    released: Money,
    phases: Vec<(Phase, Millis)>,
    deadlines: Vec<DeadlineRow>,
    payables: Vec<PayableRow>,
}

fn write(version: u32, id: OrderId, row: OrderRow) -> Vec<u8> {
    if version < PACKED_SINCE {
        return to_json(&row);
    }
    let OrderRef { number, buyer, store, placed_at } = row.order;
    pack(&Stored {
        channel: row.channel,
        number: Number::pack(id, number),
        buyer,
        store,
        placed_at,
        lifecycle: row.lifecycle,
        kind: row.kind,
        method: row.method,
        phase: row.phase,
        lines: row.lines,
        total: row.total,
        held: row.held,
        refunded: row.refunded,
        released: row.released,
        phases: row.phases,
        deadlines: row.deadlines,
        payables: row.payables,
    })
}

fn read(version: u32, id: OrderId, value: &[u8]) -> Result<OrderRow, Error> {
    if version < PACKED_SINCE {
        return from_json(&key(id), value);
    }
    let it: Stored = unpack(id.0.as_bytes(), value)?;
    let (number, placed_at) = (it.number.unpack(id), it.placed_at);
    Ok(OrderRow {
        channel: it.channel,
        order: OrderRef { number, buyer: it.buyer, store: it.store, placed_at },
        lifecycle: it.lifecycle,
        kind: it.kind,
        method: it.method,
        phase: it.phase,
        lines: it.lines,
        total: it.total,
        held: it.held,
        refunded: it.refunded,
        released: it.released,
        phases: it.phases,
        deadlines: it.deadlines,
        payables: it.payables,
    })
}

/// All orders, the newest id first: new ones come at one end.
fn orders() -> Series {
    Series::new(Key::table(HEAD), Key::table(BLOCKS), BLOCK_BYTES)
}

fn place(id: OrderId) -> Place {
    newest_first(Millis(0), id)
}

fn key(id: OrderId) -> Vec<u8> {
    Key::table(ORDERS).id(id.0.as_bytes()).bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;

    #[test]
    fn an_order_is_followed_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<OrderDetail>::open(&folder);
        let all = life_of_an_order();
        view.apply(&all);
        let row = view.query().get(order_id(1)).unwrap().unwrap();
        assert_eq!(row.phase, Phase::Completed);
        assert_eq!((row.held, row.refunded, row.released), (cny(0), cny(0), cny(1200)));
        assert_eq!(row.entered(Phase::AwaitingPayment), Some(all[0].recorded_at));
        assert_eq!(row.entered(Phase::Shipped), Some(all[3].recorded_at));
        assert_eq!(row.entered(Phase::Cancelled), None);
        assert_eq!(row.phases.len(), 4);
        assert_eq!(row.deadlines, []);
        assert_eq!(row.payables[0].state, PayableState::Captured);
        assert_eq!(row.order.number.as_str(), "N1");
        assert_eq!(view.query().get(order_id(2)).unwrap(), None);
    }

    #[test]
    fn each_step_shows() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<OrderDetail>::open(&folder);
        let all = life_of_an_order();
        view.apply(&all[..1]);
        let row = view.query().get(order_id(1)).unwrap().unwrap();
        assert_eq!((row.phase, row.held), (Phase::AwaitingPayment, cny(0)));
        assert_eq!(row.deadlines, [DeadlineRow { name: "pay".into(), at: Millis(600_000) }]);
        assert_eq!(row.payables[0].state, PayableState::Open);
        view.apply(&all[1..3]);
        let row = view.query().get(order_id(1)).unwrap().unwrap();
        assert_eq!((row.phase, row.held), (Phase::Paid, cny(1200)));
        assert_eq!(row.deadlines, []);
        let own = |channel, buyer| view.query().get_own(&channel, buyer, order_id(1)).unwrap();
        assert!(own(shop(), account(1)).is_some());
        assert!(own(shop(), account(2)).is_none());
        assert!(own(Channel::new("other").unwrap(), account(1)).is_none());
    }

    #[test]
    fn a_cancelled_order_gives_the_money_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<OrderDetail>::open(&folder);
        view.apply(&paid_and_cancelled());
        let row = view.query().get(order_id(1)).unwrap().unwrap();
        assert_eq!(row.phase, Phase::Cancelled);
        assert_eq!((row.held, row.refunded, row.released), (cny(0), cny(1200), cny(0)));
    }

    #[test]
    fn a_seller_who_buys_of_himself_is_paid_not_refunded() {
        let mut all = life_of_an_order();
        for recorded in &mut all {
            if let Event::OrderReceived(step) = &mut recorded.event {
                step.effect.money[0].to = Pot::Wallet(account(1));
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<OrderDetail>::open(&folder);
        view.apply(&all);
        let row = view.query().get(order_id(1)).unwrap().unwrap();
        assert_eq!((row.refunded, row.released), (cny(0), cny(1200)));
    }

    #[test]
    fn a_step_of_an_unknown_order_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<OrderDetail>::open(&folder);
        let mut step = life_of_an_order().remove(2);
        step.position.0 = 1;
        let error = view.try_apply(&[step]).unwrap_err();
        assert!(matches!(error, Error::Unfit { .. }), "{error}");
    }
}
