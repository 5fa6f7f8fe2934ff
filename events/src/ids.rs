//! Names and numbers: who, what, where in the journal, and when.

use std::{fmt, ops::Deref, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// A text that cannot be a name: empty, or longer than 255 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 bytes long, not {length}")]
pub struct InvalidName {
    /// Bytes found.
    pub length: usize,
}

macro_rules! name {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        /// 1 to 255 bytes of UTF-8, cheap to clone.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the length; nothing else is asked of a name.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                let text = text.as_ref();
                match text.len() {
                    1..=255 => Ok(Self(text.into())),
                    length => Err(InvalidName { length }),
                }
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string")
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::new(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": concat!($($doc),+).trim(),
                    "type": "string", "minLength": 1, "maxLength": 255,
                })
            }
        }
    };
}

name!(
    /// An order API and all that belongs to it: accounts, stores, orders, one life cycle.
    Channel
);
name!(
    /// Names a store within its channel; chosen by the client.
    StoreId
);
name!(
    /// Names what a store sells (stock keeping unit), within the store; chosen by the client.
    Sku
);
name!(
    /// What people call an order: unique within its channel, made by the channel's scheme.
    OrderNumber
);
name!(
    /// Names a payable within its channel: what a payer is asked for.
    PayableId
);
name!(
    /// What a named token is called: the actor of what its bearer does.
    TokenName
);
name!(
    /// A client's name for one request, so that sending it twice has one effect.
    IdempotencyKey
);

/// A text that is no node's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node's name or address has 1 to 255 visible ASCII characters and no space")]
pub struct InvalidNodeName;

/// What a node is called, or its address `host:port`: 1 to 255 visible ASCII characters. Cheap to
/// clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Checks length and characters.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidNodeName> {
        let text = text.as_ref();
        let visible = text.bytes().all(|it| it.is_ascii_graphic());
        if visible && (1..=255).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidNodeName)
        }
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeName {
    type Error = InvalidNodeName;
    fn try_from(text: String) -> Result<Self, InvalidNodeName> {
        Self::new(text)
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for NodeName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NodeName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What a node is called, or its address `host:port`.",
            "type": "string", "pattern": "^[!-~]{1,255}$",
        })
    }
}

macro_rules! uuid_id {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": concat!($($doc),+).trim(),
                    "type": "string", "format": "uuid",
                })
            }
        }
    };
}

uuid_id!(
    /// One account for ever; a login name given up and taken again is another account.
    AccountId
);
uuid_id!(
    /// One order, in whatever channel; a version 7 UUID minted at the edge.
    OrderId
);
uuid_id!(
    /// One command; a version 7 UUID minted at the edge.
    CommandId
);

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize,
            Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter!(
    /// Where an event stands in the journal: 1, 2, 3 … without gaps; 0 is before the first.
    Position(u64)
);
counter!(
    /// Where a commit stands in the journal: 1, 2, 3 … without gaps; 0 is before the first.
    CommitNumber(u64)
);
counter!(
    /// Which writer made a commit; a later writer has a higher epoch.
    Epoch(u64)
);
counter!(
    /// A moment, in milliseconds since 1970-01-01T00:00:00Z.
    Millis(i64)
);

/// Names one event for ever: the command that caused it and which of its events it is, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct EventId {
    /// The command.
    pub command: CommandId,
    /// Which of the command's events, from 0.
    pub n: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.command, self.n)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl TryFrom<String> for EventId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let bad = || format!("{text:?} is no event id; one reads <command id>.<n>");
        let (command, n) = text.split_once('.').ok_or_else(bad)?;
        Ok(Self { command: command.parse().map_err(|_| bad())?, n: n.parse().map_err(|_| bad())? })
    }
}

impl JsonSchema for EventId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventId".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "<command id>.<n>: which command caused it, and which of its events it \
                            is, from 0.",
            "type": "string", "pattern": "^[0-9a-f-]{36}\\.[0-9]+$",
        })
    }
}

/// What an event is about, as text: `order/<id>`, `account/<id>`, `store/<id>`,
/// `listing/<store>/<sku>`, `token/<digest>`, `lifecycle/<channel>`, `settings/<channel>`, `cluster`.
/// Within names `%` and `/` are written `%25` and `%2F`. Unique together with the event's channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Subject(String);

impl Subject {
    /// The subject of an order's events.
    pub fn order(id: OrderId) -> Self {
        Self(format!("order/{id}"))
    }
    /// The subject of an account's events, its sessions and wallet included.
    pub fn account(id: AccountId) -> Self {
        Self(format!("account/{id}"))
    }
    /// The subject of a store's events.
    pub fn store(store: &StoreId) -> Self {
        Self(format!("store/{}", escaped(store)))
    }
    /// The subject of a listing's events, its stock included.
    pub fn listing(store: &StoreId, sku: &Sku) -> Self {
        Self(format!("listing/{}/{}", escaped(store), escaped(sku)))
    }
    /// The subject of a named token's events.
    pub fn token(token: Digest) -> Self {
        Self(format!("token/{token}"))
    }
    /// The subject of a channel's life cycles.
    pub fn lifecycle(channel: &Channel) -> Self {
        Self(format!("lifecycle/{}", escaped(channel)))
    }
    /// The subject of a channel's settings.
    pub fn settings(channel: &Channel) -> Self {
        Self(format!("settings/{}", escaped(channel)))
    }
    /// The subject of who decides, and of what every node reads.
    pub fn cluster() -> Self {
        Self("cluster".to_owned())
    }
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The order that this subject names, if it names one.
    pub fn as_order(&self) -> Option<OrderId> {
        self.0.strip_prefix("order/")?.parse().ok()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 32 bytes that stand for a text without telling it: a keyed digest of a login name, a digest of
/// a token, the name of a blob. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |half: u8| char::from(HEX[usize::from(half)]);
        digest.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Digest {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("a digest is 64 lower-case hexadecimal digits, not {text:?}");
        let digit = |c: u8| match c {
            b'0'..=b'9' => Ok(c - b'0'),
            b'a'..=b'f' => Ok(c - b'a' + 10),
            _ => Err(bad()),
        };
        let digits: [u8; 64] = text.as_bytes().try_into().map_err(|_| bad())?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "32 bytes that stand for a text without telling it.",
            "type": "string", "pattern": "^[0-9a-f]{64}$",
        })
    }
}

fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_255_bytes() {
        assert_eq!(StoreId::new(""), Err(InvalidName { length: 0 }));
        assert_eq!(StoreId::new("书".repeat(86)), Err(InvalidName { length: 258 }));
        assert_eq!(StoreId::new("书".repeat(85)).unwrap().len(), 255);
    }

    #[test]
    fn names_with_slashes_make_different_subjects() {
        let subject = |store: &str, sku: &str| {
            Subject::listing(&StoreId::new(store).unwrap(), &Sku::new(sku).unwrap())
        };
        assert_eq!(subject("a/b", "c").as_str(), "listing/a%2Fb/c");
        assert_ne!(subject("a/b", "c"), subject("a", "b/c"));
        assert_ne!(subject("a%2Fb", "c"), subject("a/b", "c"));
    }

    #[test]
    fn a_digest_reads_back_what_it_writes() {
        let digest = Digest(std::array::from_fn(|i| (i * 7) as u8));
        assert_eq!(String::from(digest), digest.to_string());
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("00".parse::<Digest>().is_err());
        assert!("AB".repeat(32).parse::<Digest>().is_err());
    }
}
