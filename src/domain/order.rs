//! Orders: placing one, and every step of its life. What is allowed and what follows is said by
//! the life cycle's rows; here the checks are made and the event is put together, complete.

use std::collections::HashMap;

use events::{
    AccountId, By, Event, Line, Money, OrderId, OrderMoved, OrderPlaced, OrderReceipt, OrderRef,
    OrderStep, Payable, PayableId, PayableState, Phase, Position, Sku, StockWord, StoreId, Subject,
};

use super::{
    Caller, ChannelState, Decided, Deciding, InForce, LineStock, Listing, Order, Place, Rejection,
    Store, Token,
    lifecycle::{self, Bound, Check, Facets, Kept, MoneyWord, Next, Standing, Word},
};

mod effect;
mod roles;

use effect::{effect, on_shelf};
use roles::{is_for, placers, roles};

/// What a decision may weigh in a journal, in bytes.
pub const DECISION_BYTES_MAX: usize = 256 * 1024;

pub(super) fn place(it: &Deciding<'_>, place: &Place) -> Result<Decided, Rejection> {
    let lines = folded(&place.lines)?;
    let channel = it.channel().ok_or(Rejection::NoLifecycle)?;
    let rules = channel.newest().ok_or(Rejection::NoLifecycle)?;
    fits(rules, &lines)?;

    let mut facets = Facets { kind: place.kind, method: place.method, ..Facets::default() };
    if !lines.iter().all(|line| on_shelf(channel, &place.store, line)) {
        facets.stock = lifecycle::Stock::Short;
    }
    let roles = placers(it, place);
    let search = || next(rules, None, &facets, Word::Place, &roles);
    let price = || {
        // What is not put aside yet may come later.
        let reserves = search().is_ok_and(|next| next.stock().any(|it| it == StockWord::Reserve));
        priced(open_store(it, &place.store)?, &lines, reserves)
    };
    let (mut found, mut prices) = (None, None);
    for check in rules.lifecycle.checks(Word::Place) {
        match check {
            Check::Account => drop(it.account()?),
            Check::Credential => {
                it.authentic()?;
                if !is_for(rules, Word::Place, &roles) {
                    return Err(Rejection::Forbidden);
                }
            }
            Check::Store => drop(open_store(it, &place.store)?),
            Check::Lines => prices = Some(price()?),
            Check::Phase => found = Some(search()?),
            Check::Known | Check::Own | Check::Funds => {}
        }
    }
    let buyer = buyer(it, place)?;
    let next = found.map_or_else(search, Ok)?;
    let lines = prices.map_or_else(price, Ok)?;
    let taken = it.world.is_taken(&it.command.channel, &place.number);
    if taken || it.world.knows(place.order) {
        return Err(Rejection::Invalid { field: "order".into(), reason: "exists already".into() });
    }
    open_one_more(it, buyer, None, next.to)?;

    let total = sum(&lines)?;
    let payable = (next.to == Phase::AwaitingPayment).then(|| {
        let id = PayableId::new(place.number.as_str()).expect("a number is as long as a name");
        Payable { id, amount: total }
    });
    let order = Order {
        channel: it.command.channel.clone(),
        number: place.number.clone(),
        buyer,
        store: place.store.clone(),
        placed_at: it.now,
        lifecycle: rules.lifecycle.version(),
        phase: next.to,
        kind: place.kind,
        method: place.method,
        lines: lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect(),
        total,
        held: 0,
        paid_from: None,
        stock: LineStock::None,
        open_payables: payable.iter().map(|payable| payable.id.clone()).collect(),
        closed_payables: Vec::new(),
        deadlines: Vec::new(),
        changed_at: Position(0), // Nowhere yet.
        leaves_at: None,
    };
    let event = OrderPlaced {
        order: reference(&order),
        by: next.by,
        lifecycle: order.lifecycle,
        kind: order.kind,
        method: order.method,
        lines,
        total,
        payable,
        effect: effect(it, channel, rules, &order, None, &next)?,
    };
    Ok(decided(place.order, &order, Event::OrderPlaced(event)))
}

pub(super) fn step(
    it: &Deciding<'_>,
    id: OrderId,
    store: Option<&StoreId>,
    word: Word,
) -> Result<Decided, Rejection> {
    let channel = it.channel().ok_or(Rejection::NoLifecycle)?;
    let known = it.world.orders.get(&id).filter(|order| {
        order.channel == it.command.channel && store.is_none_or(|store| order.store == *store)
    });
    let rules = known
        .and_then(|order| channel.lifecycles.get(&order.lifecycle))
        .or_else(|| channel.newest())
        .ok_or(Rejection::NoLifecycle)?;
    let find = || known.ok_or(Rejection::OrderUnknown { order: id });
    let roles = known.map(|order| roles(it, order)).unwrap_or_default();
    let search = || {
        let order = find()?;
        next(rules, Some(order.phase), &facets(channel, order), word, &roles)
    };
    let mut found = None;
    for check in rules.lifecycle.checks(word) {
        match check {
            Check::Account => drop(it.account()?),
            Check::Credential => it.authentic()?,
            Check::Store => known_store(it, store)?,
            Check::Known => drop(find()?),
            Check::Own => {
                find()?;
                if !is_for(rules, word, &roles) {
                    return Err(Rejection::NotOwn);
                }
            }
            Check::Phase => found = Some(search()?),
            Check::Funds => {
                let pays =
                    found.map_or_else(search, Ok)?.money().any(|step| step.word == MoneyWord::Hold);
                if pays && balance(it, find()?) < find()?.total.minor {
                    return Err(Rejection::Funds);
                }
            }
            Check::Lines => {}
        }
    }
    it.authentic()?;
    let (order, next) = (find()?, found.map_or_else(search, Ok)?);
    open_one_more(it, order.buyer, Some(order.phase), next.to)?;
    let step = OrderStep {
        order: reference(order),
        by: next.by,
        effect: effect(it, channel, rules, order, Some(order.phase), &next)?,
    };
    let event = match next.event_kind() {
        "order.paid" => Event::OrderPaid(step),
        "order.prepared" => Event::OrderPrepared(step),
        "order.delivered" => Event::OrderDelivered(step),
        "order.delivery_failed" => Event::OrderDeliveryFailed(step),
        "order.refund_requested" => Event::OrderRefundRequested(step),
        "order.refunded" => Event::OrderRefunded(step),
        "order.rejected" => Event::OrderRejected(step),
        "order.cancelled" => Event::OrderCancelled(step),
        "order.expired" => Event::OrderExpired(step),
        "order.shipped" => Event::OrderShipped(step),
        "order.received" => Event::OrderReceived(step),
        // No life cycle is adopted that writes another.
        _ => return Err(Rejection::Phase { phase: Some(order.phase), word }),
    };
    Ok(decided(id, order, event))
}

/// Lets an open order live by the newest version of its channel's life cycle, where it can go on
/// from where it stands. One that does already, or that is over, stays as it is.
pub(super) fn move_on(it: &Deciding<'_>, id: OrderId) -> Result<Decided, Rejection> {
    it.operator()?;
    let channel = it.channel().ok_or(Rejection::NoLifecycle)?;
    let newest = channel.newest().ok_or(Rejection::NoLifecycle)?;
    let order = it.world.orders.get(&id).filter(|order| order.channel == it.command.channel);
    let order = order.ok_or(Rejection::OrderUnknown { order: id })?;
    let version = newest.lifecycle.version();
    if order.phase.is_final() || order.lifecycle == version {
        return Ok(Decided::nothing());
    }
    let deadlines: Vec<_> = order.deadlines.iter().map(|(name, _)| name.as_str()).collect();
    let fits = |money| {
        let stock = match order.stock {
            LineStock::None => Kept::Never,
            LineStock::Reserved => Kept::Whole,
            LineStock::Consumed | LineStock::Returned => Kept::Gone,
        };
        let facets = &facets(channel, order);
        let standing = Standing { phase: order.phase, facets, money, stock, deadlines: &deadlines };
        newest.lifecycle.takes_over(&standing)
    };
    let fits = match (is_paid(channel, order), order.total.minor, order.held) {
        (false, _, _) => fits(Kept::Never),
        // Nothing is neither here nor gone: either will do.
        (true, 0, _) => fits(Kept::Whole).or_else(|why| fits(Kept::Gone).map_err(|_| why)),
        (true, _, 0) => fits(Kept::Gone),
        (true, _, _) => fits(Kept::Whole),
    };
    fits.map_err(|reasons| Rejection::Stuck(reasons.join("; ")))?;
    let event = OrderMoved { order: reference(order), from: order.lifecycle, lifecycle: version };
    let mut decided = decided(id, order, Event::OrderMoved(event));
    decided.lifecycle = Some(version);
    Ok(decided)
}

fn decided(id: OrderId, order: &Order, event: Event) -> Decided {
    let receipt = OrderReceipt { id, number: order.number.clone(), total: order.total };
    Decided {
        events: vec![(Subject::order(id), event)],
        orders: vec![receipt],
        lifecycle: Some(order.lifecycle),
    }
}

fn reference(order: &Order) -> OrderRef {
    OrderRef {
        number: order.number.clone(),
        buyer: order.buyer,
        store: order.store.clone(),
        placed_at: order.placed_at,
    }
}

/// Lines of one thing become one, at the place of the first.
fn folded(asked: &[(Sku, i64)]) -> Result<Vec<(Sku, i64)>, Rejection> {
    if asked.is_empty() {
        return Err(Rejection::Invalid {
            field: "lines".into(),
            reason: "must not be empty".into(),
        });
    }
    let mut places: HashMap<&Sku, usize> = HashMap::with_capacity(asked.len());
    let mut lines: Vec<(Sku, i64)> = Vec::with_capacity(asked.len());
    for (sku, quantity) in asked {
        if *quantity < 1 {
            return Err(Rejection::Invalid {
                field: "count".into(),
                reason: "must be at least 1".into(),
            });
        }
        match places.get(sku) {
            Some(&at) => {
                lines[at].1 = lines[at].1.checked_add(*quantity).ok_or(Rejection::Overflow)?;
            }
            None => {
                places.insert(sku, lines.len());
                lines.push((sku.clone(), *quantity));
            }
        }
    }
    Ok(lines)
}

/// Refuses more lines than the setting `max_lines` allows, or than a journal takes.
fn fits(rules: &InForce, lines: &[(Sku, i64)]) -> Result<(), Rejection> {
    if let Some(most) = rules.settings.integer("max_lines")
        && lines.len() as i64 > most
    {
        let reason = format!("must have at most {most} lines, not {}", lines.len());
        return Err(Rejection::Invalid { field: "lines".into(), reason });
    }
    // Each name stands twice in the event, escaped as JSON; the numbers beside it are bounded.
    let bytes = 4096 + lines.iter().map(|(sku, _)| 2 * escaped_bytes(sku) + 200).sum::<usize>();
    if bytes > DECISION_BYTES_MAX { Err(Rejection::TooLarge { bytes }) } else { Ok(()) }
}

fn escaped_bytes(text: &str) -> usize {
    let escaped = text.bytes().map(|byte| match byte {
        0..0x20 => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    });
    escaped.sum()
}

/// What lines come to together; there is at least one.
fn sum(lines: &[Line]) -> Result<Money, Rejection> {
    let mut amounts = lines.iter().map(|line| line.amount);
    let first = amounts.next().ok_or(Rejection::Overflow)?;
    amounts.try_fold(first, Money::checked_add).ok_or(Rejection::Overflow)
}

fn known_store(it: &Deciding<'_>, store: Option<&StoreId>) -> Result<(), Rejection> {
    match store {
        Some(id) if it.store(id).is_none() => Err(Rejection::StoreUnknown { store: id.clone() }),
        _ => Ok(()),
    }
}

/// A store where somebody sells.
fn open_store<'a>(it: &Deciding<'a>, id: &StoreId) -> Result<&'a Store, Rejection> {
    it.store(id)
        .filter(|store| it.world.accounts.contains_key(&store.owner))
        .ok_or_else(|| Rejection::StoreUnknown { store: id.clone() })
}

/// Each line at the listing's price; of what is put aside at once, if the shelf holds it.
fn priced(store: &Store, lines: &[(Sku, i64)], reserves: bool) -> Result<Vec<Line>, Rejection> {
    let priced = lines.iter().map(|(sku, quantity)| {
        let unknown = || Rejection::SkuUnknown { sku: sku.clone() };
        let Listing { price, shelf, .. } = store.listings.get(sku).ok_or_else(unknown)?;
        if reserves && shelf < quantity {
            return Err(Rejection::Short { sku: sku.clone() });
        }
        let amount = price.checked_mul(*quantity).ok_or(Rejection::Overflow)?;
        Ok(Line { sku: sku.clone(), quantity: *quantity, price: *price, amount })
    });
    priced.collect()
}

/// For whom an order is placed: whom the caller names, else the caller itself.
fn buyer(it: &Deciding<'_>, place: &Place) -> Result<AccountId, Rejection> {
    let own = it.account()?.map(|(id, _)| id);
    let none = || Rejection::Invalid { field: "buyer".into(), reason: "must say for whom".into() };
    let buyer = place.buyer.or(own).ok_or_else(none)?;
    let known = it.world.accounts.get(&buyer);
    match known.filter(|account| account.channel == it.command.channel) {
        Some(_) => Ok(buyer),
        None => Err(Rejection::BuyerUnknown { buyer }),
    }
}

/// Refuses to open one more order, new or from an end, where its buyer has as many as may be.
fn open_one_more(
    it: &Deciding<'_>,
    buyer: AccountId,
    from: Option<Phase>,
    to: Phase,
) -> Result<(), Rejection> {
    let opens = from.is_none_or(Phase::is_final) && !to.is_final();
    let account = it.world.accounts.get(&buyer).filter(|_| opens);
    account.map_or(Ok(()), |account| it.one_more(Bound::OpenOrders, account.open_orders))
}

/// Whether money has come for an order. What costs nothing moves none: there it is seen from what
/// the payer was asked for.
fn is_paid(channel: &ChannelState, order: &Order) -> bool {
    let captured = || {
        let asked = PayableId::new(order.number.as_str()).ok();
        let asked = asked.and_then(|id| channel.payables.get(&id));
        asked.is_some_and(|it| it.state == PayableState::Captured)
    };
    order.paid_from.is_some() || order.total.minor == 0 && captured()
}

fn facets(channel: &ChannelState, order: &Order) -> Facets {
    let mut facets = Facets { kind: order.kind, method: order.method, ..Facets::default() };
    if is_paid(channel, order) {
        facets.payment = lifecycle::Payment::Captured;
    }
    let short = || order.lines.iter().any(|line| !on_shelf(channel, &order.store, line));
    if order.stock == LineStock::None && short() {
        facets.stock = lifecycle::Stock::Short;
    }
    facets
}

fn next<'a>(
    rules: &'a InForce,
    phase: Option<Phase>,
    facets: &Facets,
    word: Word,
    roles: &[By],
) -> Result<Next<'a>, Rejection> {
    lifecycle::next(&rules.lifecycle, &rules.settings, phase, facets, word, roles)
        .map_err(|refused| Rejection::Phase { phase: refused.phase, word: refused.command })
}

fn balance(it: &Deciding<'_>, order: &Order) -> i64 {
    let account = it.world.accounts.get(&order.buyer);
    account.and_then(|it| it.wallet.get(&order.total.currency)).copied().unwrap_or(0)
}
