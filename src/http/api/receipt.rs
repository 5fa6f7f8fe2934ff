//! What every command is answered from.

use events::{Channel, CommandId, Millis, Money, OrderId, OrderNumber, Position};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    super::access::{Bearer, Who},
    call::{Call, off_thread},
    problem::Problem,
    route::{Answer, Reply},
};
use crate::{engine::Accepted, projector::ViewName};

/// That a command was recorded. The same for ever.
#[derive(Serialize, JsonSchema)]
pub(super) struct Receipt {
    /// The command.
    command: CommandId,
    /// Where its last event stands in the journal.
    position: Position,
    /// When it was recorded.
    recorded_at: Millis,
    /// The orders it placed or changed.
    orders: Vec<OrderReceipt>,
}

/// An order that a command placed or changed.
#[derive(Serialize, JsonSchema)]
pub(super) struct OrderReceipt {
    /// The order.
    pub(super) id: OrderId,
    /// What people call it.
    number: OrderNumber,
    /// What is to be paid for it.
    total: Money,
}

/// A command that was recorded.
#[derive(Serialize, JsonSchema)]
pub(super) struct Outcome {
    /// What was asked for: `place`, `pay`, `register` …
    name: String,
    /// The channel it belongs to.
    channel: Channel,
    /// What it was answered from.
    #[serde(flatten)]
    receipt: Receipt,
}

impl Receipt {
    pub(super) fn of(accepted: &Accepted) -> Self {
        Self::new(accepted.command, &accepted.receipt)
    }

    fn new(command: CommandId, receipt: &events::Receipt) -> Self {
        let orders = receipt.orders.iter().map(OrderReceipt::of).collect();
        let (position, recorded_at) = (receipt.position, receipt.recorded_at);
        Self { command, position, recorded_at, orders }
    }
}

impl OrderReceipt {
    pub(super) fn of(order: &events::OrderReceipt) -> Self {
        Self { id: order.id, number: order.number.clone(), total: order.total }
    }
}

/// What became of a command: for its own caller, and for those who see everything.
pub(super) async fn command(call: Call) -> Reply<Outcome> {
    let id: CommandId = call.part("id", |text| text.parse().ok())?;
    let position = call.fresh(ViewName::Wallets).await?;
    let feed = call.app.feed.clone();
    let unknown = || Problem::not_found(format!("no command {id} is recorded")).at("id");
    let header = off_thread(move || feed.decision(id)).await?.ok_or_else(unknown)?;
    let sees_all = match &call.bearer {
        Bearer::Token(token) => {
            let reads = [Who::Operator, Who::Auditor];
            let here = token.channel.as_ref().is_none_or(|own| *own == header.channel);
            call.bearer.admitted(&reads).is_ok() && here && token.store.is_none()
        }
        Bearer::Account { .. } | Bearer::Dead { .. } | Bearer::Nobody => false,
    };
    if !sees_all && call.bearer.actor().as_deref() != Some(header.actor.as_str()) {
        return Err(unknown());
    }
    let receipt = Receipt::new(header.command, &header.receipt);
    Ok(Answer::at(position, Outcome { name: header.name, channel: header.channel, receipt }))
}
