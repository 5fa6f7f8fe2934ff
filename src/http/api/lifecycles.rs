//! Channels' life cycles: reading them, and bringing a new one into force.

use std::sync::Arc;

use events::{
    Channel, Digest, Event, LifecycleAdopted, OrderId, Phase, Position, Recorded, Subject,
};
use projections::Owner;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use super::{
    call::{Call, off_thread},
    problem::{BAD_LIFECYCLE, Problem},
    receipt::Receipt,
    route::{Answer, Reply},
};
use crate::{
    domain::{
        Action,
        lifecycle::{Lifecycle, Settings},
    },
    engine::{self, Request},
    projector::ViewName,
};

/// Orders that are moved at the same time.
const MOVES_AT_ONCE: usize = 64;
/// Refused orders that an answer names; the others are counted.
const NAMED_MAX: usize = 100;
/// Orders read at once.
const SLICE: usize = 500;

/// A life cycle: what is paid is done.
pub(super) const EXAMPLE: &str = r#"version = 1
late = "refund"

[[on]]
command = "place"
from = ["New"]
by = ["buyer"]
to = "AwaitingPayment"
stock = "reserve"

[[on]]
command = "pay"
from = ["AwaitingPayment"]
by = ["buyer"]
to = "Completed"
stock = "consume"
money = ["hold", "release"]
"#;

/// A channel's life cycle in force.
#[derive(Serialize, JsonSchema)]
pub(super) struct InForce {
    /// The channel.
    channel: Channel,
    /// Its version.
    version: u32,
    /// SHA-256 of the text.
    digest: Digest,
}

/// Every channel's.
#[derive(Serialize, JsonSchema)]
pub(super) struct AllInForce {
    /// By channel.
    items: Vec<InForce>,
}

/// A channel's life cycle in force, with its text.
#[derive(Serialize, JsonSchema)]
pub(super) struct Text {
    /// Which.
    #[serde(flatten)]
    in_force: InForce,
    /// The whole file.
    text: String,
}

/// A life cycle that is in force now.
#[derive(Serialize, JsonSchema)]
pub(super) struct Adopted {
    /// The channel.
    channel: Channel,
    /// Its version.
    version: u32,
    /// The command that adopted it.
    #[serde(flatten)]
    receipt: Receipt,
    /// What became of the open orders; absent where they were not to be moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_orders: Option<Moved>,
}

/// What became of open orders.
#[derive(Default, Serialize, JsonSchema)]
pub(super) struct Moved {
    /// How many live by the newest version now.
    moved: u64,
    /// How many cannot go on under it and stay as they are.
    refused: u64,
    /// The first hundred of those.
    reasons: Vec<Refused>,
}

/// An order that stays as it is.
#[derive(Serialize, JsonSchema)]
pub(super) struct Refused {
    /// The order.
    order: OrderId,
    /// Why it cannot go on under the newer life cycle.
    reason: String,
}

pub(super) async fn lifecycles(call: Call) -> Reply<AllInForce> {
    let position = call.fresh(ViewName::Wallets).await?;
    let own = call.own_channel();
    let all = call.app.engine.credentials().lifecycles().into_iter();
    let items = all
        .filter(|(channel, _)| own.is_none_or(|own| own == channel))
        .map(|(channel, it)| InForce { channel, version: it.version, digest: it.digest });
    Ok(Answer::at(position, AllInForce { items: items.collect() }))
}

pub(super) async fn lifecycle(call: Call) -> Reply<Text> {
    let channel = named(&call)?;
    let position = call.fresh(ViewName::Wallets).await?;
    let known = call.app.engine.credentials().lifecycle(&channel);
    let known = known.ok_or_else(|| Problem::no_channel(&channel))?;
    let (feed, of) = (call.app.feed.clone(), channel.clone());
    let before = Position(known.position.0.saturating_sub(1));
    let read = move || feed.history(&of, &Subject::lifecycle(&of), before, 1);
    let found = off_thread(read).await?;
    match found.first().and_then(|it| Recorded::decode(it).ok()).map(|it| it.event) {
        Some(Event::LifecycleAdopted(LifecycleAdopted { version, digest, text })) => {
            Ok(Answer::at(position, Text { in_force: InForce { channel, version, digest }, text }))
        }
        _ => Err(Problem::storage()),
    }
}

pub(super) async fn adopt_lifecycle(call: Call, text: String) -> Reply<Adopted> {
    call.every_store()?;
    let channel = named(&call)?;
    let move_open = call.query.flag("open_orders")?;
    let overrides = call.app.settings.api.overrides.get(&channel).cloned().unwrap_or_default();
    let version = checked(&channel, &text, &overrides)?;
    let digest = Digest(Sha256::digest(text.as_bytes()).into());
    let accepted = call.submit(&channel, Action::AdoptLifecycle { digest, text }).await?;
    // What the site sets goes before the new file's own settings, as at every start.
    let settings = call.command(&channel, call.caller(), Action::AdoptSettings { overrides });
    call.app.engine.submit(Request::new(settings)).await?;
    let open_orders = if move_open { Some(move_orders(&call, &channel).await?) } else { None };
    let receipt = Receipt::of(&accepted);
    let adopted = Adopted { channel, version, receipt, open_orders };
    Ok(Answer::of(&accepted, adopted))
}

/// The version of a life cycle that is sound, with what the site sets over it.
fn checked(
    channel: &Channel,
    text: &str,
    overrides: &std::collections::BTreeMap<String, String>,
) -> Result<u32, Problem> {
    let lifecycle = Lifecycle::parse(channel, text).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Problem::new(BAD_LIFECYCLE, lines.join("\n"))
    })?;
    Settings::override_with(lifecycle.default_settings(), overrides).map_err(|problem| {
        let text = format!("a setting of this site does not fit it: {problem}");
        Problem::new(BAD_LIFECYCLE, text)
    })?;
    Ok(lifecycle.version())
}

/// Lets every open order of a channel live by its newest life cycle, where it can.
async fn move_orders(call: &Call, channel: &Channel) -> Result<Moved, Problem> {
    let open: Vec<_> = Phase::ALL.into_iter().filter(|phase| !phase.is_final()).collect();
    let open: Arc<[Phase]> = open.into();
    call.fresh(ViewName::OrderList).await?;
    let (mut after, mut moved) = (None, Moved::default());
    loop {
        let (view, phases) = (call.app.views.order_list.clone(), Arc::clone(&open));
        let owner = Owner::Channel(channel.clone());
        let rows = off_thread(move || view.list(&owner, &phases, after, SLICE)).await?;
        for some in rows.chunks(MOVES_AT_ONCE) {
            let mut moves = JoinSet::new();
            for order in some.iter().map(|row| row.id) {
                let command = call.command(channel, call.caller(), Action::Move { order });
                let engine = call.app.engine.clone();
                moves.spawn(async move { (order, engine.submit(Request::new(command)).await) });
            }
            for (order, done) in moves.join_all().await {
                match done {
                    Ok(_) => moved.moved += 1,
                    Err(engine::Error::Rejected(why)) => {
                        moved.refused += 1;
                        if moved.reasons.len() < NAMED_MAX {
                            moved.reasons.push(Refused { order, reason: why.to_string() });
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        match rows.last() {
            Some(last) if rows.len() == SLICE => after = Some((last.placed_at, last.id)),
            _ => break,
        }
    }
    moved.reasons.sort_by_key(|it| it.order);
    Ok(moved)
}

/// The channel that the path names, if the token is good for it; it may have no life cycle yet.
fn named(call: &Call) -> Result<Channel, Problem> {
    let channel = call.part("channel", |text| Channel::new(text).ok())?;
    match call.own_channel() {
        Some(own) if *own != channel => Err(Problem::other_channel(own)),
        _ => Ok(channel),
    }
}
