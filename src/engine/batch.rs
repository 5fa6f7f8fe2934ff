//! What was decided and is not yet on its way to the journal.

use std::sync::Arc;

use events::{
    Channel, Commit, DecisionHeader, Epoch, EventId, Head, KeyRecord, Millis, NotYet, Position,
    Receipt, Recorded, RecordedDecision, WrappedKey,
};

use super::Request;
use crate::domain::{Decided, Rejection};

/// What a commit may weigh in every journal, in bytes.
pub(super) const COMMIT_BYTES_MAX: usize = 512 * 1024;
/// What a decision may weigh in every journal, in bytes.
pub(super) const DECISION_BYTES_MAX: usize = crate::domain::DECISION_BYTES_MAX;

/// Decisions that will become one commit.
#[derive(Default)]
pub(super) struct Batch {
    decisions: Vec<RecordedDecision>,
    events: Vec<Recorded>,
    keys: Vec<WrappedKey>,
    bytes: usize,
}

/// A decision in its recorded form, not yet in a batch.
pub(super) struct Encoded {
    decision: RecordedDecision,
    pub(super) events: Vec<Recorded>,
    pub(super) header: DecisionHeader,
}

impl Encoded {
    /// Its recorded form alone.
    pub(super) fn into_decision(self) -> RecordedDecision {
        self.decision
    }
}

impl Batch {
    /// Whether nothing is decided.
    pub(super) fn is_empty(&self) -> bool {
        self.decisions.is_empty()
    }

    /// Whether one more decision of any size fits.
    pub(super) fn has_room(&self) -> bool {
        self.bytes + DECISION_BYTES_MAX <= COMMIT_BYTES_MAX
    }

    /// Takes a decision in.
    pub(super) fn push(&mut self, encoded: Encoded, keys: Vec<WrappedKey>) {
        self.bytes += encoded.decision.bytes();
        self.decisions.push(encoded.decision);
        self.events.extend(encoded.events);
        self.keys.extend(keys);
    }

    /// Its decisions.
    pub(super) fn decisions(&self) -> &Vec<RecordedDecision> {
        &self.decisions
    }

    /// How many events there are.
    pub(super) fn events(&self) -> usize {
        self.events.len()
    }

    /// The events of the commit that was sealed.
    pub(super) fn take_events(&mut self) -> Vec<Recorded> {
        emptied(&mut self.events)
    }

    /// Seals the commit that continues `head`, and leaves the events.
    pub(super) fn seal(&mut self, head: &Head, epoch: Epoch) -> (Arc<Commit>, Vec<WrappedKey>) {
        let commit = Commit::seal(head, epoch, emptied(&mut self.decisions));
        self.bytes = 0;
        (Arc::new(commit), std::mem::take(&mut self.keys))
    }
}

/// Takes a list, and leaves one with room for as much again: commits are much like those before.
fn emptied<T>(list: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(list.len());
    std::mem::replace(list, room)
}

/// Puts a decision into its recorded form, its first event at `first`, in the shapes of the level
/// that is in force. Refuses one that no journal takes, or that this level has no shapes for.
pub(super) fn encode(
    request: &Request,
    channel: &Channel,
    decided: Decided,
    (first, level): (Position, u32),
    now: Millis,
    key_lives: i64,
) -> Result<Encoded, Rejection> {
    let command = &request.command;
    let count = decided.events.len() as u64;
    let mut events: Vec<Recorded> = decided
        .events
        .into_iter()
        .zip(0u32..)
        .map(|((subject, event), n)| Recorded {
            position: Position(first.0 + u64::from(n)),
            id: EventId { command: command.id, n },
            subject,
            recorded_at: now,
            channel: channel.clone(),
            event,
        })
        .collect();
    let header = DecisionHeader {
        command: command.id,
        name: command.action.name().to_owned(),
        actor: command.caller.actor(),
        channel: channel.clone(),
        lifecycle: decided.lifecycle,
        correlation: request.correlation.clone(),
        key: request.key.as_ref().map(|used| KeyRecord {
            owner: used.owner.text(&command.caller),
            operation: used.operation.to_string(),
            key: used.key.clone(),
            request: used.request,
            expires_at: Millis(now.0.saturating_add(key_lives)),
        }),
        receipt: Receipt {
            position: Position(first.0 + count - 1),
            recorded_at: now,
            orders: decided.orders,
        },
        events: count as u32,
    };
    let written: Result<Vec<String>, NotYet> =
        events.iter_mut().map(|it| it.to_json_at(level)).collect();
    let events_json = written.map_err(|it| Rejection::NotYet(it.to_string()))?;
    let decision = RecordedDecision { header: header.to_json(), events: events_json };
    let bytes = decision.bytes();
    if bytes > DECISION_BYTES_MAX {
        return Err(Rejection::TooLarge { bytes });
    }
    Ok(Encoded { decision, events, header })
}
