//! What is published of a journal that has every event: it fits its schema and the rules of
//! CloudEvents 1.0, and has nothing that is nobody's business.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use docket::journal::{Journal as _, SqliteJournal};
use events::{
    CloudEvent, CommitNumber, Envelope, Recorded,
    publish::{Type, publish},
};
use serde_json::Value;

use super::{check::fits, expected, public_path};

/// Of the journals that are kept for ever, the first: it has every event that was ever released.
fn kept() -> Vec<Envelope> {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(root.join("tests/journals/1.sqlite"), folder.path().join("journal.sqlite")).unwrap();
    let journal = SqliteJournal::open_read_only(folder.path()).unwrap();
    let commits = journal.read(CommitNumber(0), usize::MAX).unwrap();
    let decisions = commits.iter().flat_map(|commit| commit.contents().unwrap());
    decisions.flat_map(|(_, envelopes)| envelopes).collect()
}

pub fn published() -> Vec<CloudEvent> {
    kept().iter().flat_map(|it| publish(&Recorded::decode(it).unwrap())).collect()
}

#[test]
fn every_type_is_published_and_fits_its_schema() {
    let schemas: BTreeMap<_, _> =
        expected().into_iter().map(|(path, text)| (path, text.parse::<Value>().unwrap())).collect();
    let mut seen = BTreeSet::new();
    for record in published() {
        let (path, value) = (public_path(record.kind), record.value().parse::<Value>().unwrap());
        fits(&value, &schemas[&path], &schemas[&path], record.kind.name());
        // Nothing is told that its schema does not know.
        let known = schemas[&path]["properties"].as_object().unwrap();
        let told = value.as_object().unwrap();
        assert!(told.keys().all(|name| known.contains_key(name)), "{value}");
        seen.insert(record.kind);
    }
    let missing: Vec<_> = Type::ALL.iter().filter(|kind| !seen.contains(kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_schema_refuses_what_does_not_fit() {
    let record = published().into_iter().find(|it| it.kind == Type::OrderPlaced).unwrap();
    let schema = serde_json::to_value(Type::OrderPlaced.schema()).unwrap();
    let value: Value = record.value().parse().unwrap();
    fits(&value, &schema, &schema, "as it is");
    for (at, wrong) in [
        ("/phase", "Lost".into()),
        ("/store", Value::Null),
        ("/total/minor", "12".into()),
        ("/lines/0/quantity", 0.into()),
    ] {
        let mut value = value.clone();
        *value.pointer_mut(at).unwrap() = wrong;
        let refused = std::panic::catch_unwind(|| fits(&value, &schema, &schema, at));
        assert!(refused.is_err(), "{at}: {value}");
    }
}

#[test]
fn every_record_is_a_cloud_event() {
    let (mut ids, mut last) = (BTreeSet::new(), String::new());
    for record in published() {
        let whole: Value = record.to_json().parse().unwrap();
        let object = whole.as_object().unwrap();
        for required in ["id", "source", "specversion", "type"] {
            assert!(object.contains_key(required), "{whole}");
        }
        assert_eq!(whole["specversion"], "1.0");
        let mut attributes = BTreeMap::new();
        for (name, value) in object.iter().filter(|(name, _)| *name != "data") {
            let lawful = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
            assert!(name.bytes().all(lawful) && (1..=20).contains(&name.len()), "{name}");
            let value = value.as_str().unwrap();
            assert!(!value.is_empty() && !value.contains(char::is_control), "{name}: {value:?}");
            attributes.insert(name.as_str(), value);
        }
        let headers: BTreeMap<_, _> = record
            .headers()
            .iter()
            .map(|(name, value)| match *name {
                "content-type" => ("datacontenttype", *value),
                name => (name.strip_prefix("ce_").unwrap(), *value),
            })
            .collect();
        assert_eq!(headers, attributes, "both modes say the same");
        assert_eq!(whole["data"], record.value().parse::<Value>().unwrap());
        let time = chrono::DateTime::parse_from_rfc3339(&record.time).unwrap();
        assert!(record.time.ends_with('Z') && time.timestamp() > 1_600_000_000, "{}", record.time);
        assert!(record.source.starts_with("/docket/"), "{}", record.source);
        assert_eq!(record.key(), attributes["subject"]);
        assert!(ids.insert((record.source.clone(), record.id.clone())), "{} again", record.id);
        assert!(record.sequence > last, "{} after {last}", record.sequence);
        last = record.sequence;
    }
    assert!(ids.len() > 50, "{}", ids.len());
}

/// No sealed field and no digest, of a login, a session, a token or a picture, of all the journal.
#[test]
fn nothing_is_published_that_is_nobodys_business() {
    let mut secrets = BTreeSet::new();
    for envelope in kept() {
        collect(&envelope.payload.get().parse().unwrap(), &mut secrets);
    }
    assert!(secrets.len() > 20, "{secrets:?}");
    assert!(secrets.iter().any(|it| it.contains(':')), "sealed fields are among them");
    let told: String = published().iter().map(CloudEvent::to_json).collect();
    for secret in secrets {
        assert!(!told.contains(&secret), "{secret} is published");
    }
}

/// Sealed fields and digests: by their looks, so that a field that is new is found.
fn collect(value: &Value, secrets: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.values().for_each(|it| collect(it, secrets)),
        Value::Array(items) => items.iter().for_each(|it| collect(it, secrets)),
        Value::String(text) => {
            let sealed = text.get(36..37) == Some(":");
            let digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if sealed || digest {
                secrets.insert(text.clone());
            }
        }
        _ => {}
    }
}
