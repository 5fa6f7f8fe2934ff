//! schemas/consumers.md keeps its word: its commands are the ones that are run here, and what it
//! says of topics, types and headers is what docket writes.

use std::{collections::BTreeSet, process::Command};

use events::publish::{Topic, Type};
use serde_json::{Value, json};

use crate::{
    example::EXAMPLES,
    page::{self, Page, code},
    site::Site,
    support::program,
    town::{Life, Town},
};

const GUIDE: Page =
    Page { path: "schemas/consumers.md", text: include_str!("../../schemas/consumers.md") };

/// Where the examples keep what they know.
pub const DATABASE: &str = "paid.sqlite";

/// How an example of this name is run.
pub fn command(name: &str) -> String {
    let section = GUIDE.section(&format!("## {name}"));
    let mut own: Vec<_> =
        section.blocks().into_iter().filter(|it| it.text.contains("\"$BROKERS\"")).collect();
    assert_eq!(own.len(), 1, "there is one way to run {name}");
    let command = own.remove(0).text;
    assert!(name.starts_with("kcat") || command.contains(DATABASE), "{command}");
    command
}

#[test]
fn every_command_for_kafka_is_run() {
    let all = GUIDE.blocks().into_iter().filter(|it| it.text.contains("\"$BROKERS\""));
    let all: BTreeSet<_> = all.map(|it| it.text).collect();
    let run: BTreeSet<_> = EXAMPLES.iter().map(|it| command(it.name)).collect();
    assert_eq!(all, run);
}

/// What the guide says to install is what tests/run installs.
#[test]
fn what_is_installed_is_what_the_guide_says() {
    let run = include_str!("../run");
    for words in ["tests/consumers/python/requirements.txt", "kcat:kcat", "jq:jq"] {
        assert!(run.contains(words), "tests/run has no {words}");
    }
    let says = |words: &str| assert!(GUIDE.text.contains(words), "the guide has no {words}");
    says("apt-get install kcat jq");
    says("cargo build --example paid_orders");
    says("--require-hashes --requirement tests/consumers/python/requirements.txt");
}

#[test]
fn links_lead_somewhere() {
    assert!(GUIDE.check_links() > 5);
    for (page, text) in [
        ("README.md", include_str!("../../README.md")),
        ("schemas/asyncapi.yaml", include_str!("../../schemas/asyncapi.yaml")),
    ] {
        assert!(text.contains("consumers.md"), "{page} does not lead to the guide");
    }
}

#[test]
fn topics_types_and_headers_are_what_docket_writes() {
    let tables = GUIDE.section("## What there is").tables();
    let [of_topics, of_headers] = &tables[..] else { panic!("{tables:?}") };
    let first =
        |rows: &[Vec<&'static str>]| rows.iter().flat_map(|row| code(row[0])).collect::<Vec<_>>();
    assert_eq!(first(&of_topics.rows), Topic::ALL.map(|it| it.address("docket")));
    for (row, topic) in of_topics.rows.iter().zip(Topic::ALL) {
        let own = Type::ALL.iter().filter(|it| it.topic() == topic);
        let own: BTreeSet<_> = own.map(|it| it.name()).collect();
        let prefix = format!("docket.{}.", topic.name().trim_end_matches('s'));
        let told = code(row[2]).into_iter().map(|word| format!("{prefix}{word}.v1"));
        let told: BTreeSet<_> = told.collect();
        assert_eq!(told.iter().map(String::as_str).collect::<BTreeSet<_>>(), own);
    }
    let shown = Command::new(program()).args(["topics", "--json"]).output().unwrap().stdout;
    let shown: Value = serde_json::from_slice(&shown).unwrap();
    let example = &shown["topics"][0]["types"][0]["example"]["headers"];
    let written: BTreeSet<_> = example.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(first(&of_headers.rows).into_iter().collect::<BTreeSet<_>>(), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_a_store_is_followed_over_http() {
    let site = Site::start().await;
    let town = Town::found(&site).await;
    let paid = town.order(&town.stores[0], 1, Life::Paid).await;
    let shipped = town.order(&town.stores[0], 2, Life::Shipped).await;
    let section = GUIDE.section("## Without Kafka");
    let blocks: Vec<_> = section.blocks().into_iter().filter(|it| it.language == "sh").collect();
    let script: String = blocks.iter().map(|it| it.text.as_str()).collect();
    let variables = "DOCKET=http://127.0.0.1:8080\nTOKEN=…\n";
    assert!(script.starts_with(variables), "{script}");
    let ended = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script[variables.len()..]])
        .env("DOCKET", site.base())
        .env("TOKEN", &site.operator)
        .env("no_proxy", "127.0.0.1") // Proxies are for other hosts.
        .output()
        .unwrap();
    let (printed, said) = (page::text(ended.stdout), page::text(ended.stderr));
    assert!(ended.status.success() && said.is_empty(), "{printed}\n{said}");
    let answers: Vec<Value> = printed.lines().map(|line| line.parse().unwrap()).collect();
    let [counts, list, history] = &answers[..] else { panic!("{printed}") };
    assert_eq!(counts["phases"], json!({ "Paid": 1, "Shipped": 1 }));
    let listed = list["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap());
    assert_eq!(listed.collect::<Vec<_>>(), [&shipped, &paid]);
    let kinds = history["items"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap());
    assert_eq!(kinds.collect::<Vec<_>>(), ["order.placed", "order.paid", "order.shipped"]);
}
