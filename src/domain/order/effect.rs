//! What a row does to an order, as its event says it: where stock and money go, which deadlines are
//! set, what becomes of payables.

use std::collections::BTreeMap;

use events::{
    AccountId, Currency, DeadlineChange, Effect, Millis, Money, MoneyMove, PayableChange,
    PayableState, Phase, Pot, Sku, StockLine, StockMove, StockWord, StoreId,
};

use super::{
    super::{
        ChannelState, Deciding, InForce, Order, Rejection,
        lifecycle::{DeadlineWord, Due, MoneyWord, Next},
    },
    balance,
};

/// All that a row does to an order, whether the order exists already or is being placed.
pub(super) fn effect(
    it: &Deciding<'_>,
    channel: &ChannelState,
    rules: &InForce,
    order: &Order,
    from: Option<Phase>,
    next: &Next<'_>,
) -> Result<Effect, Rejection> {
    Ok(Effect {
        from,
        to: next.to,
        stock: stock(channel, order, next)?,
        money: money(it, channel, order, next)?,
        deadlines: deadlines(it, rules, next, &order.deadlines)?,
        payables: payables(order, next),
    })
}

/// What the row's stock words move. Nothing is reserved that the shelf does not hold.
fn stock(
    channel: &ChannelState,
    order: &Order,
    next: &Next<'_>,
) -> Result<Vec<StockMove>, Rejection> {
    let lines = || {
        let line =
            |(sku, quantity): &(Sku, i64)| StockLine { sku: sku.clone(), quantity: *quantity };
        order.lines.iter().map(line).collect()
    };
    let moves = next.stock().map(|word| {
        if word == StockWord::Reserve
            && let Some((sku, _)) =
                order.lines.iter().find(|line| !on_shelf(channel, &order.store, line))
        {
            return Err(Rejection::Short { sku: sku.clone() });
        }
        Ok(StockMove { word, store: order.store.clone(), lines: lines() })
    });
    moves.collect()
}

pub(super) fn on_shelf(
    channel: &ChannelState,
    store: &StoreId,
    (sku, quantity): &(Sku, i64),
) -> bool {
    let store = channel.stores.get(store);
    let listing = store.and_then(|store| store.listings.get(sku));
    listing.is_some_and(|listing| listing.shelf >= *quantity)
}

/// What the row's money words move, in their order; nothing is moved where nothing is due.
fn money(
    it: &Deciding<'_>,
    channel: &ChannelState,
    order: &Order,
    next: &Next<'_>,
) -> Result<Vec<MoneyMove>, Rejection> {
    let (mut held, mut source) = (order.held, order.paid_from);
    let mut moves = Vec::new();
    for step in next.money() {
        let (from, to, minor) = match step.word {
            MoneyWord::Hold => {
                if balance(it, order) < order.total.minor {
                    return Err(Rejection::Funds);
                }
                (Pot::Wallet(order.buyer), Pot::Held, order.total.minor)
            }
            MoneyWord::Capture => {
                room(it, order.buyer, order.total)?;
                (Pot::Outside, Pot::Held, order.total.minor)
            }
            MoneyWord::Release => {
                let store = channel.stores.get(&order.store);
                let seller = store.map(|store| store.owner).ok_or(Rejection::NotOwn)?;
                // What is held for the seller's own order is among what may come back already.
                let own = if seller == order.buyer { order.held } else { 0 };
                room(it, seller, Money { minor: held - own, ..order.total })?;
                (Pot::Held, Pot::Wallet(seller), held)
            }
            // Where nothing has come from anywhere, nothing is held either.
            MoneyWord::Refund => (Pot::Held, source.unwrap_or(Pot::Outside), held),
        };
        if to == Pot::Held {
            source = Some(from);
        }
        held = if to == Pot::Held { held + minor } else { held - minor };
        if minor > 0 {
            let amount = Money { minor, currency: order.total.currency };
            moves.push(MoneyMove { from, to, amount });
        }
    }
    Ok(moves)
}

/// What an account has and what may come back to it from its orders always fit together.
fn room(it: &Deciding<'_>, account: AccountId, more: Money) -> Result<(), Rejection> {
    let account = it.world.accounts.get(&account).ok_or(Rejection::AccountUnknown)?;
    let of = |pot: &BTreeMap<Currency, i64>| pot.get(&more.currency).copied().unwrap_or(0);
    let most = of(&account.wallet).checked_add(of(&account.held));
    most.and_then(|most| most.checked_add(more.minor)).map(drop).ok_or(Rejection::Overflow)
}

fn deadlines(
    it: &Deciding<'_>,
    rules: &InForce,
    next: &Next<'_>,
    pending: &[(String, Millis)],
) -> Result<Vec<DeadlineChange>, Rejection> {
    let mut changes = Vec::new();
    for (name, word) in next.deadlines() {
        let at = match word {
            DeadlineWord::Set => Some(due(it, rules, name)?),
            DeadlineWord::Clear if pending.iter().any(|(known, _)| known == name) => None,
            DeadlineWord::Clear => continue,
        };
        changes.push(DeadlineChange { name: name.to_owned(), at });
    }
    Ok(changes)
}

/// When a deadline is due that is set now.
fn due(it: &Deciding<'_>, rules: &InForce, name: &str) -> Result<Millis, Rejection> {
    let after = match &rules.lifecycle.deadline(name).map(|rule| &rule.due) {
        Some(Due::After(setting)) => rules.settings.duration_ms(setting),
        // No listing carries dates yet, and no such life cycle is adopted.
        Some(Due::At(_)) | None => None,
    };
    let at = it.now.0.checked_add(after.ok_or(Rejection::Overflow)?);
    at.map(Millis).ok_or(Rejection::Overflow)
}

/// Money taken captures what was asked for; an order that ends asks for nothing more.
fn payables(order: &Order, next: &Next<'_>) -> Vec<PayableChange> {
    let taken = next.money().any(|step| matches!(step.word, MoneyWord::Hold | MoneyWord::Capture));
    let state = match (taken, next.to.is_final()) {
        (true, _) => PayableState::Captured,
        (false, true) => PayableState::Closed,
        (false, false) => return Vec::new(),
    };
    order.open_payables.iter().map(|id| PayableChange { id: id.clone(), state }).collect()
}
