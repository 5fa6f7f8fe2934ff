//! Two nodes that know different versions of a life cycle, and the orders placed under each.

use std::path::Path;

use docket::client::Client;
use serde_json::{Value, json};

use super::{
    ann::{opens_a_shop, order},
    killed::all_agree,
    site::{Nodes, OPERATOR, PATIENCE, Site, get, post},
    support::kafka::Cluster,
    topics::Reader,
};

/// The newer version. Under it nobody but the operator calls off what is not paid.
const NEWER: u64 = 77;

/// Writes the newer version of the life cycle that docket comes with.
fn write_newer(folder: &Path) {
    let native = docket::builtin::builtin_lifecycle(&events::Channel::new("native").unwrap());
    let native = native.unwrap();
    let version = native.lines().find(|line| line.starts_with("version")).unwrap();
    let buyer_too = r#"by = ["buyer", "seller", "operator"]"#;
    assert_eq!(native.matches(buyer_too).count(), 1);
    let newer = native
        .replace(version, &format!("version = {NEWER}"))
        .replace(buyer_too, r#"by = ["operator"]"#);
    std::fs::write(folder.join("native.toml"), newer).unwrap();
}

async fn in_force(nodes: &Nodes, node: usize) -> u64 {
    let told = get(&nodes.client(node), OPERATOR, "/v1/lifecycles/native").await;
    assert_eq!(told.status, 200, "{told:?}");
    told.body["version"].as_u64().unwrap()
}

/// Orders one on a node, and looks by which version it lives, on every node.
async fn ordered(nodes: &Nodes, node: usize, ann: &str, version: u64) -> Value {
    let id = order(&nodes.client(node).patient(PATIENCE), ann).await;
    for node in nodes.running() {
        lives_by(&nodes.client(node), ann, &id, version).await;
    }
    id
}

async fn lives_by(client: &Client, ann: &str, id: &Value, version: u64) {
    let told = get(client, ann, &format!("/v1/orders/{}", id.as_str().unwrap())).await;
    assert_eq!(told.body["lifecycle"], version, "{told:?}");
}

/// How it is answered when the buyer calls an order off that is not paid.
async fn calls_off(client: &Client, ann: &str, id: &Value) -> axum::http::StatusCode {
    let path = format!("/v1/orders/{}/cancel", id.as_str().unwrap());
    post(&client.clone().patient(PATIENCE), ann, &path, &json!({})).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_versions_of_a_life_cycle_the_newer_one_holds_whoever_writes() {
    let folder = tempfile::tempdir().unwrap();
    write_newer(folder.path());
    let brokers = Cluster::start(3);
    // The first writes, and knows the version that docket comes with.
    let mut nodes = Nodes::start(Site::on(&brokers.bootstrap(), 3), 1).await;
    let reader = Reader::begin(&brokers.bootstrap(), &nodes.site.prefix);
    let before = in_force(&nodes, 0).await;
    assert!(before < NEWER);
    let ann = opens_a_shop(&nodes.client(0)).await;
    // The second follows, whatever it is told, until it writes.
    nodes.site.tell("LIFECYCLES", folder.path().to_str().unwrap());
    nodes.nodes.push(Some(nodes.site.start(1)));
    assert_eq!(in_force(&nodes, 1).await, before);
    let old = [ordered(&nodes, 0, &ann, before).await, ordered(&nodes, 1, &ann, before).await];
    nodes.kill(0);
    nodes.writer().await;
    assert_eq!(in_force(&nodes, 1).await, NEWER);
    let second = nodes.client(1);
    let new = ordered(&nodes, 1, &ann, NEWER).await;
    assert_eq!(calls_off(&second, &ann, &new).await, 409);
    // What was placed under the older version lives on by it.
    lives_by(&second, &ann, &old[0], before).await;
    assert_eq!(calls_off(&second, &ann, &old[0]).await, 200);
    // The first comes back with its older one, and takes over: the newer one stays.
    nodes.site.tell("LIFECYCLES", "");
    nodes.start_again(0);
    assert_eq!(in_force(&nodes, 0).await, NEWER);
    ordered(&nodes, 0, &ann, NEWER).await;
    nodes.kill(1);
    assert_eq!(nodes.writer().await, 0);
    assert_eq!(in_force(&nodes, 0).await, NEWER);
    let log = nodes.node(0).log();
    assert!(log.contains("is not newer than 77, which is in force"), "{log}");
    let first = nodes.client(0);
    let newest = ordered(&nodes, 0, &ann, NEWER).await;
    assert_eq!(calls_off(&first, &ann, &newest).await, 409);
    assert_eq!(calls_off(&first, &ann, &new).await, 409);
    lives_by(&first, &ann, &old[1], before).await;
    assert_eq!(calls_off(&first, &ann, &old[1]).await, 200);
    nodes.start_again(1);
    all_agree(nodes, None, reader).await;
}
