//! A node that should not write for some reason: it cannot, or its clock is wrong.

use std::time::{Duration, Instant};

use docket::node::Parts;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};

use super::{
    site::{Nodes, PATIENCE, Site},
    support::{Answer, Hands, Shop, kafka},
};

/// A node whose client refuses to send what opens an epoch, or what comes then.
async fn leaves_its_turn(address: &str) {
    let mut site = Site::on(&kafka::bootstrap(), 1)
        .with("KAFKA_MESSAGE_MAX_BYTES", "1000")
        .with("INNER_ADDRESS", address);
    let cannot = site.start_as(0, address);
    let turn = "it is this node's turn to write";
    let began = Instant::now();
    while !cannot.log().contains(turn) {
        assert!(began.elapsed() < PATIENCE, "it has no turn:\n{}", cannot.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    site.tell("KAFKA_MESSAGE_MAX_BYTES", "1000000");
    site.tell("INNER_ADDRESS", "");
    let can = site.start(1);
    let nodes = Nodes { site, nodes: vec![Some(cannot), Some(can)] };
    assert_eq!(nodes.writer().await, 1);
    let said = nodes.node(0).log();
    assert!(said.contains("this node leaves its turn to another"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_open_an_epoch_leaves_its_turn_to_another() {
    leaves_its_turn(&format!("{}:8081", "node.".repeat(48))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_write_leaves_its_turn_to_another() {
    leaves_its_turn("node:8081").await;
}

/// A shop of one node of several, in this process.
async fn shop(folder: &std::path::Path, prefix: &str, clock: &Hands) -> Shop {
    let toml = format!(
        "journal = \"kafka\"\nbrokers = \"{}\"\ntopic_prefix = \"{prefix}\"\nreplication = 1\n\
         master_key = \"{}\"\ncluster_secret = \"a secret of the cluster that nobody else has\"\n\
         operator_token = \"{}\"\nblobs = \"{}\"\ninner_listen = \"127.0.0.1:0\"\n\
         writer_session = \"2s\"\ntick = \"10ms\"\n",
        kafka::bootstrap(),
        "5a".repeat(32),
        super::site::OPERATOR,
        folder.parent().unwrap().join("blobs").display(),
    );
    let parts = Parts { clock: Some(clock.clock()), ..Parts::default() };
    Shop::start(folder, &toml, parts).await.unwrap()
}

/// Asks until it is answered as it should be.
async fn until(shop: &Shop, path: &str, token: &str, body: Value, is: impl Fn(&Answer) -> bool) {
    let began = Instant::now();
    loop {
        let answer = shop.post(path, token, body.clone()).await;
        if is(&answer) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{path}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_ahead_takes_over_and_ends_no_order() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (Hands::at(1_800_000_000_000), Hands::at(1_800_000_000_000));
    let prefix = kafka::prefix();
    let first = shop(&folder.path().join("first"), &prefix, &right).await;
    let ok = |answer: &Answer| answer.code == 200;
    let sam = json!({ "user_id": "sam", "password": "pw-sam" });
    until(&first, "/auth/register", "", sam, ok).await;
    let sam = first.login("sam").await;
    let second = shop(&folder.path().join("second"), &prefix, &wrong).await;
    let store = json!({ "user_id": "sam", "store_id": "corner" });
    first.ok("/seller/create_store", &sam, store).await;
    let info = json!({ "id": "b1", "title": "The Ledger", "price": 25 });
    let book = json!({
        "user_id": "sam", "store_id": "corner", "stock_level": 10, "book_info": info,
    });
    first.ok("/seller/add_book", &sam, book).await;
    let ann = first.user("ann").await;
    let order = json!({
        "user_id": "ann", "store_id": "corner", "books": [{ "id": "b1", "count": 2 }],
    });
    let order = first.ok("/buyer/new_order", &ann, order).await["order_id"].clone();
    let asked = json!({ "order_id": order });
    let state = |state: i64| move |answer: &Answer| answer.body["order_state"] == state;
    until(&second, "/buyer/query_order_state", &ann, asked.clone(), state(0)).await;

    // Three hours, of which ten minutes would be enough.
    wrong.advance(Duration::from_secs(3 * 3600));
    first.stop().await;
    let login = json!({ "user_id": "ann", "password": "pw-ann", "terminal": "t" });
    until(&second, "/auth/login", "", login, ok).await;
    let began = Instant::now();
    while !metrics.render().contains("docket_deadlines_stopped 1") {
        assert!(began.elapsed() < PATIENCE, "{}", metrics.render());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ann = second.login("ann").await;
    let answer = second.ok("/buyer/query_order_state", &ann, asked.clone()).await;
    assert_eq!(answer["order_state"], 0, "it waits to be paid");
    second.stop().await;
}
