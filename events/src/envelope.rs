//! Envelopes: an event, or a decision, with the circumstances of its recording.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    Channel, CommandId, Digest, Event, EventId, IdempotencyKey, Millis, Money, OrderId,
    OrderNumber, Position, Subject, event::Payload,
};

/// An event as recorded. Its bytes in the journal are this as one JSON object.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// Set by the single writer; dense and rising.
    pub position: Position,
    /// `<command id>.<n>`.
    pub id: EventId,
    /// `order.placed`, for example.
    pub kind: String,
    /// Of this kind's payload.
    pub version: u16,
    /// `order/<id>`, for example.
    pub subject: Subject,
    /// Set by the single writer; never goes back from one event to the next.
    pub recorded_at: Millis,
    /// The channel it belongs to.
    pub channel: Channel,
    /// As recorded; decoded once, never encoded again. An object, whose schema is that of the
    /// kind and version.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub payload: Box<RawValue>,
}

impl Envelope {
    /// Its bytes in the journal.
    pub fn to_json(&self) -> String {
        json(self, EVENT_USUAL_BYTES)
    }
}

/// An event, decoded, with the circumstances of its recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Where it stands.
    pub position: Position,
    /// Its name for ever.
    pub id: EventId,
    /// What it is about.
    pub subject: Subject,
    /// When it was recorded.
    pub recorded_at: Millis,
    /// The channel it belongs to.
    pub channel: Channel,
    /// The fact itself.
    pub event: Event,
}

impl Recorded {
    /// As it goes into the journal.
    pub fn envelope(&self) -> Envelope {
        Envelope {
            position: self.position,
            id: self.id,
            kind: self.event.kind().to_owned(),
            version: self.event.version(),
            subject: self.subject.clone(),
            recorded_at: self.recorded_at,
            channel: self.channel.clone(),
            payload: self.event.payload(),
        }
    }

    /// The bytes of the [envelope](Self::envelope), without making one.
    pub fn to_json(&self) -> String {
        let written = Written {
            position: self.position,
            id: self.id,
            kind: self.event.kind(),
            version: self.event.version(),
            subject: &self.subject,
            recorded_at: self.recorded_at,
            channel: &self.channel,
            payload: Payload(&self.event),
        };
        json(&written, EVENT_USUAL_BYTES)
    }
}

/// What most events weigh less than.
const EVENT_USUAL_BYTES: usize = 1024;
/// What most headers weigh less than.
const HEADER_USUAL_BYTES: usize = 448;

/// A header or an envelope, written where there is room for what it is expected to weigh.
fn json(value: &impl Serialize, expected_bytes: usize) -> String {
    let mut bytes = Vec::with_capacity(expected_bytes);
    serde_json::to_writer(&mut bytes, value)
        .expect("headers and envelopes have text keys and no failing parts");
    String::from_utf8(bytes).expect("JSON is text")
}

/// An [`Envelope`] of borrowed parts: the same fields in the same order.
#[derive(Serialize)]
struct Written<'a> {
    position: Position,
    id: EventId,
    kind: &'static str,
    version: u16,
    subject: &'a Subject,
    recorded_at: Millis,
    channel: &'a Channel,
    payload: Payload<'a>,
}

/// What one accepted command decided, its events aside. Its bytes in the journal are this as one
/// JSON object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionHeader {
    /// The command.
    pub command: CommandId,
    /// The command's word: `place`, `pay`, `register` …
    pub name: String,
    /// Who gave it: `account/<id>`, `login/<digest>`, `system`, `timer`.
    pub actor: String,
    /// The channel it belongs to.
    pub channel: Channel,
    /// The version of the life cycle it was decided under, where one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<u32>,
    /// What the caller says this belongs together with: a request id, a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// The idempotency key that the command took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyRecord>,
    /// All that an answer is made of.
    pub receipt: Receipt,
    /// How many events follow; at least 1.
    pub events: u32,
}

impl DecisionHeader {
    /// Its bytes in the journal.
    pub fn to_json(&self) -> String {
        json(self, HEADER_USUAL_BYTES)
    }
}

/// An idempotency key that an accepted command took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyRecord {
    /// Whose it is: `account/<id>`, `login/<digest>` or `token/<digest>`.
    pub owner: String,
    /// What it was used for: the operation, `new_order` for example.
    pub operation: String,
    /// The key as the client sent it.
    pub key: IdempotencyKey,
    /// HMAC-SHA256 of the request: method, path and raw body.
    pub request: Digest,
    /// When the writer forgets it.
    pub expires_at: Millis,
}

/// What an accepted command can be answered from, now and for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// Where the last event of the decision stands.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: Millis,
    /// The orders it placed or changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<OrderReceipt>,
}

/// What an answer may say of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderReceipt {
    /// The order.
    pub id: OrderId,
    /// What people call it.
    pub number: OrderNumber,
    /// What is to be paid for it.
    pub total: Money,
}
