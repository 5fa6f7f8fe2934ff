//! Decisions of one event each, for journals whose content does not matter.

use events::{
    Channel, CommandId, DecisionHeader, Event, EventId, Millis, Position, Receipt, Recorded,
    RecordedDecision, Sku, StockAdded, StoreId, Subject,
};
use uuid::Uuid;

/// The decision that recorded this event alone.
pub fn deciding(name: &str, recorded: &Recorded) -> RecordedDecision {
    let Recorded { position, id, recorded_at, channel, .. } = recorded;
    let header = DecisionHeader {
        command: id.command,
        name: name.into(),
        actor: "system".into(),
        channel: channel.clone(),
        lifecycle: None,
        correlation: None,
        key: None,
        receipt: Receipt { position: *position, recorded_at: *recorded_at, orders: Vec::new() },
        events: 1,
    };
    RecordedDecision { header: header.to_json(), events: vec![recorded.to_json()] }
}

/// An event that somebody recorded once.
pub fn recorded(position: Position, subject: Subject, event: Event) -> Recorded {
    Recorded {
        position,
        id: EventId { command: CommandId(Uuid::new_v4()), n: 0 },
        subject,
        recorded_at: Millis(1_700_000_000_000),
        channel: Channel::new("test").unwrap(),
        event,
    }
}

/// One of these goods more in the store `corner`.
pub fn adding(position: Position, sku: &str) -> RecordedDecision {
    let (store, sku) = (StoreId::new("corner").unwrap(), Sku::new(sku).unwrap());
    let subject = Subject::listing(&store, &sku);
    let event = Event::StockAdded(StockAdded { store, sku, quantity: 1 });
    deciding("add_stock", &recorded(position, subject, event))
}
