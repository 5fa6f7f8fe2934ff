//! Orders that are over. They leave the world, which so grows with what is open and not with all
//! that ever was: an id and a position stay of each, and its number where that is not its id. One
//! that a command names is read back from its own events and recalled before it is decided.
//!
//! **Invariant:** which orders have left is a fold of the journal, like all of the world, and no
//! decision depends on it: the same command has the same answer before and after.

use events::{Channel, Millis, OrderId, OrderNumber, PayableId, Position, Recorded};

use super::{
    World,
    orders::{LineStock, Order},
    world::PayableEntry,
};

/// Where a life cycle says how long an order that is over is kept in memory, for what may still be
/// asked of it. Without it, it leaves at once.
const KEPT: &str = "after_sale";

/// So many leave with one event at most. One event brings one order to its end at most, so that
/// those whose time has come do not pile up.
const LEAVE_MAX: usize = 2;

/// An order that was over, with all that left with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    id: OrderId,
    order: Order,
    payables: Vec<(PayableId, PayableEntry)>,
}

impl Finished {
    /// Takes an order out of a world into which nothing but its own events was folded; `None` where
    /// they are not those of an order.
    pub fn out_of(mut alone: World, id: OrderId) -> Option<Self> {
        let order = alone.orders.remove(&id)?;
        let state = alone.channels.remove(&order.channel)?;
        Some(Self { id, order, payables: state.payables.into_iter().collect() })
    }

    /// Which it is.
    pub fn id(&self) -> OrderId {
        self.id
    }

    /// The order, as it is.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// What was asked for it.
    pub fn payables(&self) -> &[(PayableId, PayableEntry)] {
        &self.payables
    }
}

impl World {
    /// Applies a fact as the engine does: [evolves](Self::evolve), and lets those go that are over.
    /// The order that it is about must be here, or be [recalled](Self::recall) before.
    pub fn apply(&mut self, recorded: &Recorded) {
        self.evolve(recorded);
        if let Some(id) = recorded.subject.as_order() {
            self.rest(id, recorded.recorded_at);
        }
        for _ in 0..LEAVE_MAX {
            match self.leaving.first() {
                Some((at, id)) if *at <= recorded.recorded_at => self.leave(*id),
                _ => break,
            }
        }
    }

    /// Where the newest event of an order stands, if that is over and has left.
    pub fn left(&self, channel: &Channel, order: OrderId) -> Option<Position> {
        if self.orders.contains_key(&order) {
            return None; // As most are that anybody asks for, and this is the shorter look.
        }
        self.channels.get(channel)?.finished.get(&order).copied()
    }

    /// Brings an order back, as it is: nothing of what it once moved is moved again.
    pub fn recall(&mut self, finished: Finished) {
        let Finished { id, mut order, payables } = finished;
        self.share_names(&mut order);
        let state = self.channel_mut(&order.channel);
        state.finished.remove(&id);
        state.payables.extend(payables);
        self.orders.insert(id, order);
    }

    /// Lets an order go again that was [recalled](Self::recall) and of which nothing was recorded.
    pub fn dismiss(&mut self, order: OrderId) {
        self.leave(order);
    }

    /// Whether an order of this id exists, in whatever channel.
    pub fn knows(&self, order: OrderId) -> bool {
        self.orders.contains_key(&order)
            || self.channels.values().any(|state| state.finished.contains_key(&order))
    }

    /// Whether an order of this channel is called that. Its id counts as its number, whatever its
    /// number is.
    pub fn is_taken(&self, channel: &Channel, number: &OrderNumber) -> bool {
        let Some(state) = self.channels.get(channel) else { return false };
        let here = |id: OrderId| {
            let open = self.orders.get(&id).is_some_and(|order| order.channel == *channel);
            open || state.finished.contains_key(&id)
        };
        state.numbers.contains(number) || as_id(number).is_some_and(here)
    }

    /// Sets when an order leaves, if it is over.
    fn rest(&mut self, id: OrderId, now: Millis) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        if let Some(at) = order.leaves_at.take() {
            self.leaving.remove(&(at, id));
        }
        if !order.is_over() {
            return;
        }
        let state = self.channels.get(&order.channel);
        let rules = state.and_then(|state| state.lifecycles.get(&order.lifecycle));
        let kept = rules.and_then(|rules| rules.settings.duration_ms(KEPT)).unwrap_or(0);
        let at = Millis(now.0.saturating_add(kept));
        order.leaves_at = Some(at);
        self.leaving.insert((at, id));
    }

    fn leave(&mut self, id: OrderId) {
        let Some(order) = self.orders.remove(&id) else { return };
        if let Some(at) = order.leaves_at {
            self.leaving.remove(&(at, id));
        }
        let state = self.channel_mut(&order.channel);
        for payable in order.open_payables.iter().chain(&order.closed_payables) {
            state.payables.remove(payable);
        }
        state.finished.insert(id, order.changed_at);
    }
}

impl Order {
    /// Whether it rests until somebody asks for something: it is at an end, nothing is due or asked
    /// for, and neither money nor things are held for it.
    fn is_over(&self) -> bool {
        self.phase.is_final()
            && self.deadlines.is_empty()
            && self.open_payables.is_empty()
            && self.held == 0
            && self.stock != LineStock::Reserved
    }
}

/// The id of which a number is the text.
pub(super) fn as_id(number: &OrderNumber) -> Option<OrderId> {
    let id: OrderId = number.parse().ok()?;
    // An id is read in other forms, too: those are not its text.
    (*id.0.hyphenated().encode_lower(&mut [0; 36]) == **number).then_some(id)
}

#[cfg(test)]
mod tests {
    use events::{
        AccountId, By, CommandId, Currency, DeadlineChange, Effect, Event, EventId, Kind, Line,
        Method, Money, MoneyMove, OrderPlaced, OrderRef, OrderStep, Payable, PayableChange,
        PayableState, Phase, Pot, Sku, StockLine, StockMove, StockWord, StoreId, Subject,
    };
    use uuid::Uuid;

    use super::*;

    const PRICE: Money = Money { minor: 5, currency: Currency::CNY };

    fn recorded(position: u64, event: Event) -> Recorded {
        Recorded {
            position: Position(position),
            id: EventId { command: CommandId(Uuid::nil()), n: 0 },
            subject: Subject::order(OrderId(Uuid::nil())),
            recorded_at: Millis(0),
            channel: Channel::new("c").unwrap(),
            event,
        }
    }

    /// No sound life cycle leads to such an end, and history is never refused: what an order has
    /// at its end keeps it until the last of it is gone.
    #[test]
    fn an_order_that_has_something_stays() {
        let (name, sku) = (|| "receive".to_owned(), || Sku::new("k").unwrap());
        let order = OrderRef {
            number: OrderNumber::new("n").unwrap(),
            buyer: AccountId(Uuid::nil()),
            store: StoreId::new("s").unwrap(),
            placed_at: Millis(0),
        };
        let end = |from| Effect {
            from,
            to: Phase::Cancelled,
            stock: Vec::new(),
            money: Vec::new(),
            deadlines: Vec::new(),
            payables: Vec::new(),
        };
        let stock = |word| {
            let lines = vec![StockLine { sku: sku(), quantity: 1 }];
            vec![StockMove { word, store: StoreId::new("s").unwrap(), lines }]
        };
        let money = |from, to| vec![MoneyMove { from, to, amount: PRICE }];
        let deadline = |at| vec![DeadlineChange { name: name(), at }];
        let payable = PayableId::new("n").unwrap();
        let placed = OrderPlaced {
            order: order.clone(),
            by: By::Buyer,
            lifecycle: 1,
            kind: Kind::Physical,
            method: Method::Wallet,
            lines: vec![Line { sku: sku(), quantity: 1, price: PRICE, amount: PRICE }],
            total: PRICE,
            payable: Some(Payable { id: payable.clone(), amount: PRICE }),
            effect: Effect {
                stock: stock(StockWord::Reserve),
                money: money(Pot::Outside, Pot::Held),
                deadlines: deadline(Some(Millis(9))),
                ..end(None)
            },
        };
        let mut world = World::default();
        world.apply(&recorded(1, Event::OrderPlaced(placed)));
        let again = || end(Some(Phase::Cancelled));
        let closed = vec![PayableChange { id: payable, state: PayableState::Closed }];
        let effects = [
            Effect { stock: stock(StockWord::Return), ..again() },
            Effect { money: money(Pot::Held, Pot::Outside), ..again() },
            Effect { deadlines: deadline(None), ..again() },
            Effect { payables: closed, ..again() },
        ];
        for (effect, position) in effects.into_iter().zip(2..) {
            assert_eq!((world.orders.len(), world.leaving.len()), (1, 0), "before {effect:?}");
            let step = OrderStep { order: order.clone(), by: By::Seller, effect };
            world.apply(&recorded(position, Event::OrderCancelled(step)));
        }
        assert!(world.orders.is_empty() && world.leaving.is_empty());
        let channel = Channel::new("c").unwrap();
        assert_eq!(world.left(&channel, OrderId(Uuid::nil())), Some(Position(5)));
        assert!(world.channels[&channel].payables.is_empty());
    }
}
