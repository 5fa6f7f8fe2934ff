//! Reading what was recorded. Readers ignore fields they do not know, and refuse kinds and
//! versions they do not know, by name.

use serde::de::DeserializeOwned;

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

fn read<T: DeserializeOwned>(
    payload: &str,
    newest: impl FnOnce(T) -> Event,
) -> Result<Event, serde_json::Error> {
    serde_json::from_str(payload).map(newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountId, Digest, KINDS, SessionClosed};

    /// A version that never was: the token's digest stood under another name, and the account
    /// was text with a prefix.
    #[derive(serde::Deserialize)]
    pub struct SessionClosedV0 {
        who: String,
        digest: Digest,
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
}
