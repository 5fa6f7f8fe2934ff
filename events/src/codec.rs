//! Reading what was recorded, and recording what all can read. Readers ignore fields they do not
//! know, and refuse kinds and versions they do not know, by name. Where several nodes are one
//! docket, a newer kind or version is written only when the level that it belongs to is in force.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::{Envelope, Event, Recorded};

/// An event that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer docket, or by something else.
    #[error("this docket cannot read version {version} of {kind}; a newer one may")]
    Unknown {
        /// The kind.
        kind: String,
        /// Its version.
        version: u16,
    },
    /// The payload is not what its kind and version say.
    #[error("version {version} of {kind} cannot be read")]
    Payload {
        /// The kind.
        kind: String,
        /// Its version.
        version: u16,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Reads every version ever written; only the newest shape leaves this crate.
pub fn decode(envelope: &Envelope) -> Result<Event, DecodeError> {
    decode_event(&envelope.kind, envelope.version, envelope.payload.get())
}

/// Reads one payload of any version ever written.
pub fn decode_event(kind: &str, version: u16, payload: &str) -> Result<Event, DecodeError> {
    let read = match (kind, version) {
        ("account.registered", 1) => read(payload, Event::AccountRegistered),
        ("account.password_changed", 1) => read(payload, Event::PasswordChanged),
        ("account.unregistered", 1) => read(payload, Event::AccountUnregistered),
        ("session.opened", 1) => read(payload, Event::SessionOpened),
        ("session.closed", 1) => read(payload, Event::SessionClosed),
        #[cfg(test)]
        ("session.closed", 0) => read(payload, |old: tests::SessionClosedV0| old.into()),
        ("store.opened", 1) => read(payload, Event::StoreOpened),
        ("listing.added", 1) => read(payload, Event::ListingAdded),
        ("stock.added", 1) => read(payload, Event::StockAdded),
        ("wallet.charged", 1) => read(payload, Event::WalletCharged),
        ("wallet.withdrawn", 1) => read(payload, Event::WalletWithdrawn),
        ("order.placed", 1) => read(payload, Event::OrderPlaced),
        ("order.paid", 1) => read(payload, Event::OrderPaid),
        ("order.cancelled", 1) => read(payload, Event::OrderCancelled),
        ("order.expired", 1) => read(payload, Event::OrderExpired),
        ("order.shipped", 1) => read(payload, Event::OrderShipped),
        ("order.received", 1) => read(payload, Event::OrderReceived),
        ("account.forgotten", 1) => read(payload, Event::AccountForgotten),
        ("token.issued", 1) => read(payload, Event::TokenIssued),
        ("token.revoked", 1) => read(payload, Event::TokenRevoked),
        ("order.prepared", 1) => read(payload, Event::OrderPrepared),
        ("order.delivered", 1) => read(payload, Event::OrderDelivered),
        ("order.delivery_failed", 1) => read(payload, Event::OrderDeliveryFailed),
        ("order.refund_requested", 1) => read(payload, Event::OrderRefundRequested),
        ("order.refunded", 1) => read(payload, Event::OrderRefunded),
        ("order.rejected", 1) => read(payload, Event::OrderRejected),
        ("order.lifecycle_moved", 1) => read(payload, Event::OrderMoved),
        ("lifecycle.adopted", 1) => read(payload, Event::LifecycleAdopted),
        ("settings.adopted", 1) => read(payload, Event::SettingsAdopted),
        ("writer.opened", 1) => read(payload, Event::WriterOpened),
        ("cluster.upgraded", 1) => read(payload, Event::ClusterUpgraded),
        _ => return Err(DecodeError::Unknown { kind: kind.to_owned(), version }),
    };
    read.map_err(|source| DecodeError::Payload { kind: kind.to_owned(), version, source })
}

impl Recorded {
    /// Reads an envelope of any version ever written.
    pub fn decode(envelope: &Envelope) -> Result<Self, DecodeError> {
        Ok(Self {
            event: decode(envelope)?,
            position: envelope.position,
            id: envelope.id,
            subject: envelope.subject.clone(),
            recorded_at: envelope.recorded_at,
            channel: envelope.channel.clone(),
        })
    }
}

/// An event that some node may not be able to read yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} is of level {needed}, and events up to level {level} are written")]
pub struct NotYet {
    /// The kind.
    pub kind: &'static str,
    /// The level that must be in force for it.
    pub needed: u32,
    /// The level in force.
    pub level: u32,
}

impl Recorded {
    /// The bytes of the event where those up to a level may be written. One whose shape is newer is
    /// written in the shape that it had at that level, and becomes what reading that back gives:
    /// who records it knows no more of it than everybody else.
    ///
    /// # Errors
    /// Where the kind has no shape of that level, or none that says this.
    pub fn to_json_at(&mut self, level: u32) -> Result<String, NotYet> {
        let needed = self.event.level();
        if needed <= level {
            return Ok(self.to_json());
        }
        let kind = self.event.kind();
        let shapes = OLDER.iter().filter(|it| it.kind == kind && it.level <= level);
        let older = shapes.max_by_key(|it| it.version);
        let written = older.and_then(|it| Some((it.version, (it.payload)(&self.event)?)));
        let (version, payload) = written.ok_or(NotYet { kind, needed, level })?;
        let envelope = Envelope { version, payload, ..self.envelope() };
        self.event = decode(&envelope).expect("every version that is written is read");
        Ok(envelope.to_json())
    }
}

/// A shape of a kind that has a newer one of a higher level, and is written until that is in force.
struct Older {
    kind: &'static str,
    version: u16,
    level: u32,
    /// The payload in this shape; `None` where this shape cannot say it.
    payload: fn(&Event) -> Option<Box<RawValue>>,
}

/// None so far: all kinds are in their first shape.
const OLDER: &[Older] = &[
    #[cfg(test)]
    Older { kind: "session.closed", version: 0, level: 0, payload: tests::SessionClosedV0::of },
];

fn read<T: DeserializeOwned>(
    payload: &str,
    newest: impl FnOnce(T) -> Event,
) -> Result<Event, serde_json::Error> {
    serde_json::from_str(payload).map(newest)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        AccountId, Channel, ClusterUpgraded, CommandId, Digest, EventId, KINDS, LEVEL, LEVEL_FIRST,
        Millis, NodeName, Position, SessionClosed, Subject, TokenName, TokenRevoked, WriterOpened,
    };

    /// A version that never was: the token's digest stood under another name, and the account
    /// was text with a prefix.
    #[derive(serde::Serialize, serde::Deserialize)]
    pub struct SessionClosedV0 {
        who: String,
        digest: Digest,
    }

    impl SessionClosedV0 {
        /// It had no word for the token of nothing but zeros.
        pub fn of(event: &Event) -> Option<Box<RawValue>> {
            let Event::SessionClosed(SessionClosed { account, token }) = event else { panic!() };
            let old = Self { who: format!("account/{account}"), digest: *token };
            (*token != Digest([0; 32])).then(|| serde_json::value::to_raw_value(&old).unwrap())
        }
    }

    impl From<SessionClosedV0> for Event {
        fn from(old: SessionClosedV0) -> Self {
            let account = old.who.trim_start_matches("account/").parse().unwrap();
            Event::SessionClosed(SessionClosed { account, token: old.digest })
        }
    }

    #[test]
    fn an_old_version_is_read_in_its_newest_shape() {
        let account = AccountId(uuid::Uuid::from_u128(7));
        let token = Digest([0xab; 32]);
        let old = format!(r#"{{"who":"account/{account}","digest":"{token}"}}"#);
        let event = decode_event("session.closed", 0, &old).unwrap();
        assert_eq!(event, Event::SessionClosed(SessionClosed { account, token }));
        let again = decode_event(event.kind(), event.version(), event.payload().get()).unwrap();
        assert_eq!(again, event);
    }

    #[test]
    fn an_unknown_field_is_ignored_and_an_unknown_version_named() {
        let payload = r#"{"store":"s","owner":"00000000-0000-0000-0000-000000000001","colour":1}"#;
        assert!(decode_event("store.opened", 1, payload).is_ok());
        let error = decode_event("store.opened", 9, payload).unwrap_err().to_string();
        assert_eq!(error, "this docket cannot read version 9 of store.opened; a newer one may");
        let error = decode_event("store.closed", 1, payload).unwrap_err();
        assert!(matches!(error, DecodeError::Unknown { .. }), "{error}");
    }

    #[test]
    fn every_kind_that_is_written_can_be_read() {
        for (kind, version) in KINDS {
            let error = decode_event(kind, *version, "[]").unwrap_err();
            assert!(matches!(error, DecodeError::Payload { .. }), "{kind}: {error}");
        }
    }

    fn recorded(event: Event) -> Recorded {
        Recorded {
            position: Position(3),
            id: EventId { command: CommandId(Uuid::from_u128(9)), n: 0 },
            subject: Subject::cluster(),
            recorded_at: Millis(1_800_000_000_000),
            channel: Channel::new("site").unwrap(),
            event,
        }
    }

    /// What somebody who knows a version of an event that is a level lower reads of it.
    #[test]
    fn an_event_is_written_as_the_level_in_force_has_it() {
        let account = AccountId(Uuid::from_u128(7));
        let closed =
            |token| Event::SessionClosed(SessionClosed { account, token: Digest([token; 32]) });
        let (mut new, mut old) = (recorded(closed(0xab)), recorded(closed(0xab)));
        assert_eq!(new.to_json_at(1), Ok(recorded(closed(0xab)).to_json()));
        let bytes = old.to_json_at(0).unwrap();
        let envelope: Envelope = serde_json::from_str(&bytes).unwrap();
        assert_eq!((envelope.version, envelope.position), (0, Position(3)));
        let text = format!(r#"{{"who":"account/{account}","digest":"{}"}}"#, "ab".repeat(32));
        assert_eq!(envelope.payload.get(), text);
        // Who wrote it knows what everybody reads, and no more.
        assert_eq!(Recorded::decode(&envelope).unwrap(), old);

        let kind = "session.closed";
        let mute = recorded(closed(0)).to_json_at(0);
        assert_eq!(mute, Err(NotYet { kind, needed: 1, level: 0 }), "no older shape says this");
        let name = TokenName::new("till").unwrap();
        let revoked = Event::TokenRevoked(TokenRevoked { token: Digest([1; 32]), name });
        let refused = recorded(revoked.clone()).to_json_at(0).unwrap_err().to_string();
        assert_eq!(refused, "token.revoked is of level 1, and events up to level 0 are written");
        assert!(recorded(revoked).to_json_at(1).is_ok());
    }

    /// Otherwise it could never be; and a node that takes over must be able to say so before.
    #[test]
    fn that_a_level_is_in_force_is_written_before_it_is() {
        let upgraded = Event::ClusterUpgraded(ClusterUpgraded { level: LEVEL });
        assert!(recorded(upgraded).to_json_at(LEVEL_FIRST - 1).is_ok());
        let name = || NodeName::new("node-1:8081").unwrap();
        let opened = Event::WriterOpened(WriterOpened { node: name(), address: name() });
        assert!(recorded(opened).to_json_at(LEVEL_FIRST).is_ok());
    }
}
