//! What a node needs to be one of several, and what two that are told differently make of it.

use docket::{config::Config, node};

use super::{
    site::{Nodes, OPERATOR, Site, get},
    support::kafka,
};

#[test]
fn what_is_missing_is_named() {
    let site = |without: &str| Site::on("127.0.0.1:1", 1).without(without);
    for name in ["BROKERS", "MASTER_KEY", "CLUSTER_SECRET", "OPERATOR_TOKEN", "BLOBS"] {
        let ended = site(name).spawn(0).ended();
        assert!(!ended.status.success(), "{ended:?}");
        let setting = name.to_lowercase();
        let says = format!("a node of several needs the setting {setting}");
        assert!(ended.log.contains(&says), "{}", ended.log);
        assert!(ended.log.contains(&format!("DOCKET_{name}")), "{}", ended.log);
    }
    for (name, value, says) in [
        ("CLUSTER_SECRET", "short", "at least 32 bytes"),
        ("OPERATOR_TOKEN", "short", "at least 43 bytes"),
        ("INNER_LISTEN", "0.0.0.0:0", "set inner_address"),
    ] {
        let ended = Site::on("127.0.0.1:1", 1).with(name, value).spawn(0).ended();
        assert!(!ended.status.success() && ended.log.contains(says), "{name}: {}", ended.log);
        assert!(!ended.log.contains(&format!("\"{value}\"")), "a secret is shown: {}", ended.log);
    }
}

#[test]
fn settings_of_the_kafka_client_reach_it_and_are_shown_to_nobody() {
    let file = "brokers = 'b:1'\n[kafka]\nsecurity.protocol = 'SASL_SSL'\nsasl.username = 'shop'";
    let password = ("DOCKET_KAFKA_SASL_PASSWORD".to_owned(), "hush-hush".to_owned());
    let config = Config::resolve(&[], Some(("docket.toml", file)), [password]).unwrap();
    let client = node::kafka_options(&config).unwrap().client();
    for (name, value) in [
        ("bootstrap.servers", "b:1"),
        ("security.protocol", "SASL_SSL"),
        ("sasl.username", "shop"),
        ("sasl.password", "hush-hush"),
    ] {
        assert_eq!(client.get(name), Some(value));
    }
    // One that librdkafka does not know stops the start, by its name.
    let ended = Site::on(&kafka::bootstrap(), 1)
        .with("KAFKA_SASL_PASSWORD", "hush-hush")
        .with("KAFKA_SASL_PASSWRD", "hush-hush")
        .spawn(0)
        .ended();
    assert!(!ended.status.success() && ended.log.contains("sasl.passwrd"), "{}", ended.log);
    assert!(!ended.log.contains("hush-hush"), "{}", ended.log);
}

/// A setting that can never hold stops the start, and not the taking over of some night.
#[test]
fn a_setting_of_a_channel_that_is_wrong_stops_the_start() {
    let site = Site::on("127.0.0.1:1", 1).with("CHANNEL_NATIVE_PAY_WITHIN", "soon");
    let ended = site.spawn(0).ended();
    assert!(!ended.status.success(), "{ended:?}");
    assert!(
        ended.log.contains("channel native") && ended.log.contains("pay_within"),
        "{}",
        ended.log
    );
}

/// A node that is newer, or told more, than the one that writes serves what there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_knows_one_channel_more_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let native = docket::builtin::builtin_lifecycle(&events::Channel::new("native").unwrap());
    std::fs::write(folder.path().join("corner.toml"), native.unwrap()).unwrap();
    let mut nodes = Nodes::start(Site::on(&kafka::bootstrap(), 1), 1).await;
    nodes.site.tell("LIFECYCLES", folder.path().to_str().unwrap());
    nodes.nodes.push(Some(nodes.site.start(1)));
    assert_eq!(nodes.ready(1).await.status, 200);
    let there =
        async |nodes: &Nodes| get(&nodes.client(1), OPERATOR, "/v1/lifecycles/corner").await.status;
    assert_eq!(there(&nodes).await, 404);
    nodes.kill(0);
    nodes.writer().await;
    assert_eq!(there(&nodes).await, 200);
}

/// Whoever starts a node before its brokers are told so, in a time that a supervisor can wait.
#[test]
fn brokers_that_do_not_answer_are_named() {
    let ended = Site::on("127.0.0.1:1", 1).spawn(0).ended();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let says = "the journal on 127.0.0.1:1: cannot";
    assert!(ended.log.contains(says) && ended.log.contains("no broker answers"), "{}", ended.log);
}
