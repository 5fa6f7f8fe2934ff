//! Orders: placing them, steps of their lives, lists, counts, details and histories.

use std::collections::BTreeMap;

use events::{
    AccountId, Channel, Envelope, Kind, Line, Method, Millis, Money, OrderId, OrderNumber, Phase,
    Position, Sku, StoreId, Subject,
};
use projections::{DeadlineRow, ListRow, OrderRow, Owner};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use super::{
    super::access::Bearer,
    body::Whole,
    call::{Call, off_thread},
    cursor::Page,
    problem::Problem,
    receipt::{OrderReceipt, Receipt},
    route::{Answer, Reply},
};
use crate::{
    domain::{Action, Place, lifecycle::Word},
    projector::ViewName,
};

/// An order that somebody wants.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "store": "corner", "lines": [{ "sku": "tea", "quantity": 2 }] }]))]
pub(super) struct NewOrder {
    /// The channel; the token's own where it is not said.
    channel: Option<Channel>,
    /// Where.
    store: StoreId,
    /// What; lines of one thing become one.
    #[schemars(length(min = 1))]
    lines: Vec<NewLine>,
    /// For whom; the caller where it is not said. Who may place orders for others, and must say for
    /// whom, is for the channel's life cycle to say.
    buyer: Option<AccountId>,
    /// How it reaches the buyer; physical where it is not said.
    kind: Option<Kind>,
    /// How it is to be paid; from the wallet where it is not said.
    method: Option<Method>,
}

/// One thing wanted, and how many.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLine {
    /// The thing.
    sku: Sku,
    /// How many.
    quantity: Whole<1>,
}

/// An order, just placed.
#[derive(Serialize, JsonSchema)]
pub(super) struct PlacedOrder {
    /// The order.
    #[serde(flatten)]
    order: OrderReceipt,
    /// The channel it belongs to.
    channel: Channel,
    /// The command that placed it.
    command: events::CommandId,
    /// Where that is recorded.
    position: Position,
    /// When it was recorded.
    placed_at: Millis,
}

/// A step of an order.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{}]))]
pub(super) struct Step {}

/// An order, as lists show it.
#[derive(Serialize, JsonSchema)]
pub(super) struct ListedOrder {
    /// The order.
    id: OrderId,
    /// What people call it.
    number: OrderNumber,
    /// For whom it was placed.
    buyer: AccountId,
    /// Where.
    store: StoreId,
    /// When.
    placed_at: Millis,
    /// Where it is in its life.
    phase: Phase,
    /// What is to be paid.
    total: Money,
    /// How many lines it has.
    lines: u32,
    /// How many things it has, over all lines.
    items: i64,
}

/// An order, with all that is known of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Order {
    /// The order.
    id: OrderId,
    /// What people call it.
    number: OrderNumber,
    /// The channel it was placed in.
    channel: Channel,
    /// For whom it was placed.
    buyer: AccountId,
    /// Where.
    store: StoreId,
    /// When.
    placed_at: Millis,
    /// The version of the channel's life cycle that it lives by.
    lifecycle: u32,
    /// How it reaches the buyer.
    kind: Kind,
    /// How it is to be paid.
    method: Method,
    /// Where it is in its life.
    phase: Phase,
    /// What was ordered.
    lines: Vec<Line>,
    /// What is to be paid.
    total: Money,
    /// What is held for it.
    held: Money,
    /// What went back to the buyer.
    refunded: Money,
    /// What went on to the seller.
    released: Money,
    /// Each phase it was in, oldest first.
    phases: Vec<Entered>,
    /// When something happens by itself, by the life cycle's name for it.
    deadlines: BTreeMap<String, Millis>,
}

/// A phase that an order was in.
#[derive(Serialize, JsonSchema)]
pub(super) struct Entered {
    /// Which.
    phase: Phase,
    /// When it last came there.
    at: Millis,
}

/// How many orders there are.
#[derive(Serialize, JsonSchema)]
pub(super) struct Counts {
    /// All of them.
    total: u64,
    /// In each phase that has any.
    phases: BTreeMap<String, u64>,
}

/// One event of an order.
#[derive(Serialize, JsonSchema)]
pub(super) struct Happened {
    /// Where it stands in the journal.
    position: Position,
    /// `<command id>.<n>`.
    id: String,
    /// `order.placed`, for example.
    kind: String,
    /// Of this kind's payload.
    version: u16,
    /// When it was recorded.
    recorded_at: Millis,
    /// As recorded; sealed fields stay sealed.
    #[schemars(with = "serde_json::Map<String, Value>")]
    payload: Box<RawValue>,
}

pub(super) async fn place_order(call: Call, body: NewOrder) -> Reply<PlacedOrder> {
    let channel = call.channel(body.channel)?;
    if body.lines.is_empty() {
        return Err(Problem::field("lines", "must not be empty"));
    }
    let id = OrderId(Uuid::now_v7());
    let place = Place {
        order: id,
        number: OrderNumber::new(id.to_string()).expect("a UUID is as long as a name may be"),
        store: body.store,
        lines: body.lines.into_iter().map(|line| (line.sku, line.quantity.0)).collect(),
        buyer: body.buyer,
        kind: body.kind.unwrap_or(Kind::Physical),
        method: body.method.unwrap_or(Method::Wallet),
    };
    let accepted = call.submit(&channel, Action::Place(place)).await?;
    let placed = accepted.receipt.orders.first().map(OrderReceipt::of);
    let order = placed.ok_or_else(Problem::storage)?; // There always is one.
    let location = format!("/v1/orders/{}", order.id);
    let (command, receipt) = (accepted.command, &accepted.receipt);
    let (position, placed_at) = (receipt.position, receipt.recorded_at);
    let body = PlacedOrder { order, channel, command, position, placed_at };
    Ok(Answer::of(&accepted, body).found_at(location))
}

/// Who may do what to it in which phase is for the engine to say.
pub(super) async fn step(call: Call, _: Step) -> Reply<Receipt> {
    let word = call.part("command", Word::parse)?;
    let (_, id, row) = seen(&call).await?;
    let action = Action::Step { order: id, store: None, word };
    let accepted = call.submit(&row.channel, action).await?;
    let receipt = Receipt::of(&accepted);
    Ok(Answer::of(&accepted, receipt))
}

pub(super) async fn order(call: Call) -> Reply<Order> {
    let (position, id, row) = seen(&call).await?;
    Ok(Answer::at(position, Order::of(id, row)))
}

pub(super) async fn history(call: Call) -> Reply<Page<Happened>> {
    let (position, id, row) = seen(&call).await?;
    let limit = call.query.limit()?;
    let list = call.list(id);
    let after = match call.after(&list)?.map(<[u8; 8]>::try_from) {
        None => Position(0),
        Some(Ok(bytes)) => Position(u64::from_be_bytes(bytes)),
        Some(Err(_)) => return Err(Problem::field("cursor", "is not one of this list")),
    };
    let feed = call.app.feed.clone();
    let read =
        move || feed.history(&row.channel, &Subject::order(id), after, limit.saturating_add(1));
    let happened = off_thread(read).await?.into_iter().map(Happened::of).collect();
    let at = |it: &Happened| it.position.0.to_be_bytes().to_vec();
    Ok(Answer::at(position, list.page(happened, limit, at)))
}

pub(super) async fn orders(call: Call) -> Reply<Page<ListedOrder>> {
    let owner = owner(&call)?;
    let (phases, limit) = (call.query.phases()?, call.query.limit()?);
    let list = call.list((&owner, &phases));
    let after = call.after(&list)?.map(|at| read_place(&at)).transpose()?;
    let position = call.fresh(ViewName::OrderList).await?;
    let view = call.app.views.order_list.clone();
    let rows = view.list(&owner, &phases, after, limit + 1)?;
    let items = rows.into_iter().map(ListedOrder::of).collect();
    let at = |it: &ListedOrder| [&it.placed_at.0.to_be_bytes()[..], it.id.0.as_bytes()].concat();
    Ok(Answer::at(position, list.page(items, limit, at)))
}

pub(super) async fn counts(call: Call) -> Reply<Counts> {
    let (owner, wanted) = (owner(&call)?, call.query.phases()?);
    let position = call.fresh(ViewName::OrderList).await?;
    let view = call.app.views.order_list.clone();
    let counts = view.counts(&owner)?;
    let phases: BTreeMap<_, _> = wanted
        .into_iter()
        .map(|phase| (format!("{phase:?}"), counts.of(phase)))
        .filter(|(_, count)| *count > 0)
        .collect();
    Ok(Answer::at(position, Counts { total: phases.values().sum(), phases }))
}

/// The order that the path names, if the caller may see it, and the position it was seen at.
async fn seen(call: &Call) -> Result<(Position, OrderId, OrderRow), Problem> {
    let id: OrderId = call.part("id", |text| text.parse().ok())?;
    let position = call.fresh(ViewName::OrderDetail).await?;
    let view = call.app.views.order_detail.clone();
    let row = view.get(id)?.filter(|row| sees(call, row));
    Ok((position, id, row.ok_or_else(|| Problem::no_order(id))?))
}

fn sees(call: &Call, row: &OrderRow) -> bool {
    match &call.bearer {
        Bearer::Nobody | Bearer::Dead { .. } => false,
        Bearer::Account { id, channel, .. } => {
            let sells = || call.app.engine.credentials().sells_in(*id, &row.order.store);
            row.channel == *channel && (row.order.buyer == *id || sells())
        }
        Bearer::Token(token) => {
            token.channel.as_ref().is_none_or(|own| *own == row.channel)
                && token.store.as_ref().is_none_or(|own| *own == row.order.store)
        }
    }
}

/// Whose orders are asked for, if the caller may see them: an account its own and those of the
/// stores it sells in, a token all that it is good for.
fn owner(call: &Call) -> Result<Owner, Problem> {
    let channel = call.channel(None)?;
    let store = call.query.read_as("store", |text| StoreId::new(text))?;
    let buyer: Option<AccountId> =
        call.query.read_as("buyer", |text| text.parse().map_err(|_| "must be an account's id"))?;
    if store.is_some() && buyer.is_some() {
        return Err(Problem::field("buyer", "cannot be asked for together with store"));
    }
    match &call.bearer {
        Bearer::Nobody | Bearer::Dead { .. } => Err(Problem::unauthenticated()),
        Bearer::Account { id, .. } => match (store, buyer) {
            (Some(store), _) if call.app.engine.credentials().sells_in(*id, &store) => {
                Ok(Owner::Store(channel, store))
            }
            (Some(_), _) => {
                Err(Problem::forbidden("this account does not sell in that store").at("store"))
            }
            (None, Some(buyer)) if buyer != *id => {
                Err(Problem::forbidden("these are somebody else's orders").at("buyer"))
            }
            (None, _) => Ok(Owner::Buyer(channel, *id)),
        },
        Bearer::Token(token) => match (&token.store, store, buyer) {
            (Some(own), named, None) if named.as_ref().is_none_or(|named| named == own) => {
                Ok(Owner::Store(channel, own.clone()))
            }
            (Some(own), _, _) => {
                Err(Problem::forbidden(format!("this token is good for store {own} alone")))
            }
            (None, Some(store), _) => Ok(Owner::Store(channel, store)),
            (None, None, Some(buyer)) => Ok(Owner::Buyer(channel, buyer)),
            (None, None, None) => Ok(Owner::Channel(channel)),
        },
    }
}

fn read_place(at: &[u8]) -> Result<(Millis, OrderId), Problem> {
    let foreign = || Problem::field("cursor", "is not one of this list");
    let (placed_at, id) = at.split_first_chunk().ok_or_else(foreign)?;
    let id = Uuid::from_slice(id).map_err(|_| foreign())?;
    Ok((Millis(i64::from_be_bytes(*placed_at)), OrderId(id)))
}

impl ListedOrder {
    fn of(row: ListRow) -> Self {
        let ListRow { id, number, buyer, store, placed_at, phase, total, lines, items } = row;
        Self { id, number, buyer, store, placed_at, phase, total, lines, items }
    }
}

impl Order {
    fn of(id: OrderId, row: OrderRow) -> Self {
        let deadlines = row.deadlines.into_iter().map(|DeadlineRow { name, at }| (name, at));
        let phases = row.phases.into_iter().map(|(phase, at)| Entered { phase, at });
        Self {
            id,
            number: row.order.number,
            channel: row.channel,
            buyer: row.order.buyer,
            store: row.order.store,
            placed_at: row.order.placed_at,
            lifecycle: row.lifecycle,
            kind: row.kind,
            method: row.method,
            phase: row.phase,
            lines: row.lines,
            total: row.total,
            held: row.held,
            refunded: row.refunded,
            released: row.released,
            phases: phases.collect(),
            deadlines: deadlines.collect(),
        }
    }
}

impl Happened {
    fn of(envelope: Envelope) -> Self {
        let Envelope { position, id, kind, version, recorded_at, payload, .. } = envelope;
        Self { position, id: id.to_string(), kind, version, recorded_at, payload }
    }
}
