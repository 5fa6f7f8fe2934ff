//! `docket topics`: the public topics, what is in them, and a record of each type as it goes out.

use std::fmt::Write as _;

use events::{
    CloudEvent,
    publish::{PARTITIONS, Topic, Type, publish},
};
use serde_json::{Value, json};

mod example;

/// Every topic with its types and a record of each, to be read.
pub fn told(prefix: &str) -> String {
    let records = examples();
    let mut text = String::new();
    for topic in Topic::ALL {
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        line(&topic.address(prefix));
        line(&format!("  {}", topic.about()));
        for (kind, record) in records.iter().filter(|(kind, _)| kind.topic() == topic) {
            line(&format!("\n  {}\n    {}", kind.name(), kind.about()));
            line(&row("key", record.key()));
            for (name, value) in record.headers() {
                line(&row(name, value));
            }
            line(&row("value", &record.value()));
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "Each topic has {PARTITIONS} partitions. Records are CloudEvents 1.0 in Kafka's binary \
         mode: the headers are\nthe attributes, the value is the data as JSON. Records of one key \
         are in order."
    );
    text
}

/// The same to be read by programs, with the JSON Schema of each type's data.
pub fn as_json(prefix: &str) -> Value {
    let records = examples();
    let told = |(kind, record): &(Type, CloudEvent)| {
        let headers = record.headers().map(|(name, value)| (name.to_owned(), value.into()));
        json!({
            "type": kind.name(),
            "about": kind.about(),
            "schema": kind.schema(),
            "example": {
                "key": record.key(),
                "headers": serde_json::Map::from_iter(headers),
                "value": record.data,
            },
        })
    };
    let topics = Topic::ALL.map(|topic| {
        let own = records.iter().filter(|(kind, _)| kind.topic() == topic);
        json!({
            "topic": topic.address(prefix),
            "about": topic.about(),
            "partitions": PARTITIONS,
            "types": own.map(told).collect::<Vec<_>>(),
        })
    });
    json!({ "topics": topics })
}

/// A record of each type, published from the events of an example.
fn examples() -> Vec<(Type, CloudEvent)> {
    let records: Vec<_> = example::journal().iter().flat_map(publish).collect();
    let first = |kind: &Type| records.iter().find(|record| record.kind == *kind);
    Type::ALL.iter().filter_map(|kind| Some((*kind, first(kind)?.clone()))).collect()
}

fn row(name: &str, value: &str) -> String {
    format!("    {name:<15}  {value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_example_of_each_type() {
        let kinds: Vec<_> = examples().into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, Type::ALL);
    }
}
