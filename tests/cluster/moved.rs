//! A docket of one machine moves into Kafka, goes on there as several, and moves back.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use docket::{
    client::Client,
    journal::{KafkaJournal, kafka::Options},
};
use serde_json::Value;

use super::{
    ann::{log_in, opens_a_shop, order},
    site::{Nodes, OPERATOR, PATIENCE, Site, get},
    support::{Process, kafka, program},
};

/// `docket journal copy` with what the site's nodes are told.
fn copy(site: &Site, words: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(["journal", "copy"]).args(words).envs(site.variables()).stdin(Stdio::null());
    command.output().unwrap()
}

/// Starts a docket that is alone, under the site's master key, with its own pictures.
fn alone(site: &Site, data: &Path) -> Process {
    let mut variables = site.variables();
    variables.retain(|(name, _)| *name != "DOCKET_BLOBS");
    variables.push(("DOCKET_JOURNAL", "sqlite"));
    Process::start(data, &variables)
}

async fn sees(client: &Client, token: &str, orders: &[&Value]) {
    for order in orders {
        let path = format!("/v1/orders/{}", order.as_str().unwrap());
        assert_eq!(get(client, token, &path).await.status, 200);
    }
    let counted = get(client, OPERATOR, "/v1/orders/counts").await;
    assert_eq!(counted.body["total"], orders.len(), "{counted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_docket_moves_into_kafka_and_back() {
    let brokers = kafka::bootstrap();
    let site = Site::on(&brokers, 1);
    let (old, new) = (site.data(8), site.data(9));
    let place = format!("kafka://{brokers}/{}", site.prefix);
    let node = site.data(0).to_str().unwrap().to_owned();
    let [from, to] = [&old, &new].map(|data| format!("sqlite:{}", data.display()));

    let shop = alone(&site, &old);
    let client = shop.client();
    let ann = opens_a_shop(&client).await;
    let first = order(&client, &ann).await;
    let there = ["--from", &from, "--to", &place, "--data", &node];
    let refused = copy(&site, &there);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("a docket runs on that folder"), "{said}");
    assert!(shop.terminate().status.success());

    let copied = copy(&site, &there);
    assert!(copied.status.success(), "{copied:?}");
    let nodes = Nodes::start(site, 2).await;
    // The second has read all of it from Kafka. Whoever was logged in still is.
    sees(&nodes.client(1), &ann, &[&first]).await;
    let ann = log_in(&nodes.client(1)).await;
    let second = order(&nodes.client(0), &ann).await;
    sees(&nodes.client(1), &ann, &[&first, &second]).await;
    let other = nodes.site.data(7).to_str().unwrap().to_owned();
    let back = ["--from", &place, "--to", &to, "--data", &other];
    let refused = copy(&nodes.site, &back);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("dockets run there, at 127.0.0.1:"),
        "{said}"
    );

    let Nodes { site, nodes } = nodes;
    for node in nodes.into_iter().flatten() {
        assert!(node.terminate().status.success());
    }
    let copied = copy(&site, &back);
    assert!(copied.status.success(), "{copied:?}");
    let shop = alone(&site, &new);
    sees(&shop.client(), &ann, &[&first, &second]).await;
    let ann = log_in(&shop.client()).await;
    let third = order(&shop.client(), &ann).await;
    sees(&shop.client(), &ann, &[&first, &second, &third]).await;
    assert!(shop.terminate().status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_goes_on_from_a_part_of_a_copy() {
    let site = Site::on(&kafka::bootstrap(), 1);
    let options = Options {
        brokers: kafka::bootstrap(),
        prefix: site.prefix.clone(),
        replication: 1,
        settings: Vec::new(),
    };
    let journal = KafkaJournal::open(&site.data(1), &options).await.unwrap();
    let begun = tokio::task::spawn_blocking(move || {
        journal.catch_up(PATIENCE).unwrap();
        journal.begin_copy().unwrap();
    });
    begun.await.unwrap();
    std::fs::create_dir_all(site.data(0).with_file_name("blobs")).unwrap();
    let ended = site.spawn(0).ended();
    let says =
        format!("{}.journal is a part of a copy; run docket journal copy again", site.prefix);
    assert!(!ended.status.success() && ended.log.contains(&says), "{}", ended.log);
}
