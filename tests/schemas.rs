//! The JSON Schemas in `schemas/` are those of the code: of every kind of event that is written,
//! of the envelope around it, of a decision's header, and of every type of record that is
//! published. `schemas/asyncapi.yaml` says where those go.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

#[path = "schemas/asyncapi.rs"]
mod asyncapi;
#[path = "schemas/check.rs"]
mod check;
#[path = "schemas/published.rs"]
mod published;

use std::{collections::BTreeMap, fs, path::Path};

use check::fits;

use docket::{
    demo,
    journal::{Journal as _, SqliteJournal, sqlite},
};
use events::{CommitNumber, DecisionHeader, Envelope, Event, KINDS, publish::Type};
use schemars::{Schema, schema_for};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

#[test]
fn the_files_are_what_the_code_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let expected = expected();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for folder in ["", "events/", "public/"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".json") {
                let path = format!("{folder}{name}");
                found.insert(path.clone(), fs::read_to_string(root.join(path)).unwrap());
            }
        }
    }
    let released = released();
    let mut findings = Vec::new();
    for (path, digest) in &released {
        match expected.get(path).or_else(|| found.get(path)) {
            Some(text) if sha256(text) == *digest => {}
            Some(_) => findings.push(format!(
                "{path} is released and changes no more, its descriptions included: a new shape \
                 is a new version with an arm in `decode`"
            )),
            None => findings.push(format!("schemas/{path} is released, and missing")),
        }
    }
    let stray = |path: &&String| !expected.contains_key(*path) && !released.contains_key(*path);
    if findings.is_empty() && std::env::var_os("UPDATE_EXPECT").is_some() {
        for path in found.keys().filter(stray) {
            fs::remove_file(root.join(path)).unwrap();
        }
        for (path, text) in &expected {
            fs::write(root.join(path), text).unwrap();
        }
        return;
    }
    for (path, text) in &expected {
        match found.get(path) {
            None => findings.push(format!("schemas/{path} is missing")),
            Some(found) if found != text => {
                findings.push(format!("schemas/{path} is not what the code says"));
            }
            Some(_) => {}
        }
    }
    for path in found.keys().filter(stray) {
        findings.push(format!("schemas/{path} is of no kind and version that the code writes"));
    }
    assert!(
        findings.is_empty(),
        "\n\n{}\n\nWhere that is meant, write the files anew and read the difference:\n\
         UPDATE_EXPECT=1 cargo test --workspace --test schemas\n",
        findings.join("\n")
    );
}

#[test]
fn every_kind_has_a_schema_that_explains_itself() {
    let schemas = Event::schemas();
    let kinds: Vec<_> = schemas.iter().map(|(kind, version, _)| (*kind, *version)).collect();
    assert_eq!(kinds, KINDS);
    for (path, text) in expected() {
        let schema: Value = serde_json::from_str(&text).unwrap();
        explained(&schema, &path);
    }
}

#[tokio::test]
async fn what_is_recorded_fits_its_schema() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    demo::run(&data, |_| ()).await.unwrap();
    let journal = SqliteJournal::open(&data, sqlite::Options::default()).unwrap();
    let schemas: BTreeMap<_, _> =
        expected().into_iter().map(|(path, text)| (path, text.parse::<Value>().unwrap())).collect();
    let mut checked = 0;
    for commit in journal.read(CommitNumber(0), 1000).unwrap() {
        for decision in &commit.decisions {
            let header: Value = decision.header.parse().unwrap();
            fits(&header, &schemas["decision.json"], &schemas["decision.json"], "decision");
            for event in &decision.events {
                let event: Value = event.parse().unwrap();
                fits(&event, &schemas["envelope.json"], &schemas["envelope.json"], "envelope");
                let (kind, version) = (event["kind"].as_str().unwrap(), &event["version"]);
                let schema = &schemas[&format!("events/{kind}.v{version}.json")];
                fits(&event["payload"], schema, schema, kind);
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "the demo records more than {checked} events");
}

/// Every property says what it is, and none that a reader does not know is forbidden.
fn explained(schema: &Value, at: &str) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            let about = property["description"].as_str().unwrap_or_default();
            assert!(!about.is_empty(), "{at}: {name} has no description");
        }
        let closed = schema["additionalProperties"] == Value::Bool(false);
        assert!(!closed, "{at} forbids fields that a reader does not know");
    }
    let definitions = ["$defs", "definitions"].map(|name| schema[name].as_object());
    for (name, definition) in definitions.into_iter().flatten().flatten() {
        let about = definition["description"].as_str().unwrap_or_default();
        assert!(!about.is_empty(), "{at}: {name} has no description");
        explained(definition, &format!("{at}: {name}"));
    }
}

/// The schemas that change no more, by path below `schemas/`, with their digests.
fn released() -> BTreeMap<String, String> {
    let lines = include_str!("../schemas/events/RELEASED").lines();
    let pairs = lines.map(|line| line.split_once("  ").unwrap());
    let released: BTreeMap<_, _> =
        pairs.map(|(digest, name)| (format!("events/{name}"), digest.to_owned())).collect();
    assert!(released.len() >= 28, "what was released stays so");
    released
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the schema of a type of record is, below `schemas/`.
fn public_path(kind: Type) -> String {
    format!("public/{}.json", kind.name().trim_start_matches("docket."))
}

/// Every file below `schemas/`, by path.
fn expected() -> BTreeMap<String, String> {
    let text = |schema: &Schema| serde_json::to_string_pretty(schema).unwrap() + "\n";
    let mut files = BTreeMap::new();
    for (kind, version, schema) in Event::schemas() {
        files.insert(format!("events/{kind}.v{version}.json"), text(&schema));
    }
    for kind in Type::ALL {
        files.insert(public_path(*kind), text(&kind.schema()));
    }
    files.insert("envelope.json".to_owned(), text(&schema_for!(Envelope)));
    files.insert("decision.json".to_owned(), text(&schema_for!(DecisionHeader)));
    files
}
