//! `schemas/asyncapi.yaml` names the topics, types and schemas that there are, no more and no less,
//! and what it says of a record is so.

use std::{collections::BTreeMap, path::Path};

use events::publish::{PARTITIONS, Topic, Type};
use yaml_rust2::{Yaml, YamlLoader};

use super::published::published;

fn document() -> Yaml {
    let mut documents =
        YamlLoader::load_from_str(include_str!("../../schemas/asyncapi.yaml")).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// The names in a mapping, in order, and what they name.
fn entries(yaml: &Yaml) -> Vec<(&str, &Yaml)> {
    let hash = yaml.as_hash().unwrap_or_else(|| panic!("{yaml:?} is no mapping"));
    hash.iter().map(|(name, value)| (name.as_str().unwrap(), value)).collect()
}

fn names(yaml: &Yaml) -> Vec<&str> {
    entries(yaml).into_iter().map(|(name, _)| name).collect()
}

fn text<'y>(yaml: &'y Yaml, at: &str) -> &'y str {
    yaml.as_str().unwrap_or_else(|| panic!("{at} is no text but {yaml:?}"))
}

/// How the document calls a type, and the file of its schema.
fn short(kind: &Type) -> &'static str {
    kind.name().trim_start_matches("docket.")
}

/// What one line has, where the code may have it in other words.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_document_has_every_topic_and_type() {
    let document = document();
    assert_eq!(document["asyncapi"].as_str(), Some("3.0.0"));
    assert_eq!(names(&document["channels"]), Topic::ALL.map(Topic::name));
    for topic in Topic::ALL {
        let channel = &document["channels"][topic.name()];
        assert_eq!(text(&channel["address"], "address"), topic.address("{prefix}"));
        let kafka = &channel["bindings"]["kafka"];
        assert_eq!(kafka["partitions"].as_i64(), Some(PARTITIONS.into()));
        let own: Vec<_> = Type::ALL.iter().filter(|kind| kind.topic() == topic).collect();
        let expected: Vec<_> = own.iter().map(|kind| short(kind)).collect();
        assert_eq!(names(&channel["messages"]), expected);
        for (name, message) in entries(&channel["messages"]) {
            assert_eq!(text(&message["$ref"], name), format!("#/components/messages/{name}"));
        }
    }
    let operations = entries(&document["operations"]).into_iter();
    let channels = operations.map(|(name, it)| text(&it["channel"]["$ref"], name));
    let expected = Topic::ALL.map(|topic| format!("#/channels/{}", topic.name()));
    assert_eq!(channels.collect::<Vec<_>>(), expected);
}

#[test]
fn each_message_is_the_type_it_names() {
    let document = document();
    let messages = entries(&document["components"]["messages"]);
    let expected: Vec<_> = Type::ALL.iter().map(short).collect();
    assert_eq!(messages.iter().map(|(name, _)| *name).collect::<Vec<_>>(), expected);
    for ((name, message), kind) in messages.iter().zip(Type::ALL) {
        assert_eq!(text(&message["name"], name), kind.name());
        assert_eq!(flat(text(&message["summary"], name)), kind.about());
        let traits: Vec<_> =
            message["traits"].as_vec().unwrap().iter().map(|it| text(&it["$ref"], name)).collect();
        let own = format!("#/components/messageTraits/{}", kind.topic().name());
        assert_eq!(traits, ["#/components/messageTraits/cloudEvent", &own]);
        let payload = &message["payload"];
        let draft = text(&payload["schemaFormat"], name);
        assert_eq!(draft, "application/schema+json;version=draft-07");
        let file = text(&payload["schema"]["$ref"], name);
        assert_eq!(file, format!("public/{name}.json"));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(file);
        let schema: serde_json::Value = std::fs::read_to_string(path).unwrap().parse().unwrap();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert_eq!(schema["title"], kind.name());
    }
}

/// Headers and keys are those of real records.
#[test]
fn the_headers_and_keys_are_those_of_records() {
    let document = document();
    let traits = &document["components"]["messageTraits"];
    let headers = &traits["cloudEvent"]["headers"];
    let properties: BTreeMap<_, _> = entries(&headers["properties"]).into_iter().collect();
    let required: Vec<_> =
        headers["required"].as_vec().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let mut begins = BTreeMap::new();
    for record in published() {
        assert_eq!(record.headers().map(|(name, _)| name).as_slice(), required);
        assert_eq!(properties.len(), required.len());
        for (name, value) in record.headers() {
            let property = properties[name];
            assert_eq!(property["type"].as_str(), Some("string"), "{name}");
            assert!(!flat(text(&property["description"], name)).is_empty());
            if let Some(always) = property["const"].as_str() {
                assert_eq!(value, always, "{name}");
            }
        }
        let (of, _) = record.key().split_once('/').unwrap();
        let topic = record.topic().name();
        let pattern = text(&traits[topic]["bindings"]["kafka"]["key"]["pattern"], topic);
        assert!(pattern.contains(of), "{} is no key as in {pattern}", record.key());
        *begins.entry((topic, of.to_owned())).or_insert(0) += 1;
    }
    let seen: Vec<_> = begins.keys().map(|(topic, of)| (*topic, of.as_str())).collect();
    let expected =
        [("orders", "order"), ("payments", "account"), ("payments", "order"), ("stock", "listing")];
    assert_eq!(seen, expected);
}
