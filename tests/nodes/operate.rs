//! What an operator does with several nodes.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use axum::http::Method;
use docket::{
    client::Client,
    journal::{Journal as _, SqliteJournal},
};
use serde_json::{Value, json};

use super::{
    site::{Nodes, OPERATOR, PATIENCE, Site, get, post},
    support::{kafka, program},
};

const README: &str = include_str!("../../README.md");

/// Runs `docket` with the settings of the site.
fn docket(site: &Site, args: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(args).envs(site.variables()).current_dir(site.data(0).parent().unwrap());
    command.output().unwrap()
}

fn status(site: &Site) -> Value {
    let told = docket(site, &["cluster", "status", "--json"]);
    assert!(told.status.success(), "{told:?}");
    serde_json::from_slice(&told.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_tells_of_every_node() {
    let nodes = Nodes::start(Site::on(&kafka::bootstrap(), 1), 3).await;
    let writer = format!("node-{}", nodes.writer().await);
    let body = json!({ "login": "somebody", "password": "secret" });
    let made = post(&nodes.client(0), "", "/v1/accounts", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let position: u64 = made.headers["docket-position"].to_str().unwrap().parse().unwrap();
    for node in 0..3 {
        // Whoever asks a node makes it go as far.
        assert_eq!(get(&nodes.client(node), OPERATOR, "/v1/tokens").await.status, 200);
    }
    // A node that has just begun to listen may still be on its way to its seat.
    let began = Instant::now();
    let told = loop {
        let told = status(&nodes.site);
        if told["nodes"].as_array().unwrap().len() == 3 {
            break told;
        }
        assert!(began.elapsed() < PATIENCE, "{told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(told["writer"], writer, "{told}");
    let all = told["nodes"].as_array().unwrap();
    for node in all {
        assert_eq!(node["writes"], json!(node["node"] == writer), "{told}");
        assert_eq!(node["writer"], writer, "{told}");
        assert_eq!(node["position"], position, "{told}");
        assert_eq!(
            (&node["epoch"], &node["level"], &node["fenced_commits"]),
            (&json!(1), &json!(1), &json!(0))
        );
        assert_eq!(node["views"].as_array().unwrap().len(), 4, "{told}");
    }
    // The README names the metrics that a node has beside those of any docket.
    let scrape = get(&nodes.client(0), "", "/metrics").await;
    let scrape = String::from_utf8(scrape.bytes.to_vec()).unwrap();
    let (_, section) = README.split_once("\n## Several machines\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let words = section.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named: BTreeSet<_> = words.filter(|word| word.starts_with("docket_")).collect();
    assert_eq!(named.len(), 5, "{named:?}");
    for name in named {
        assert!(scrape.contains(&format!("# HELP {name} ")), "{name}: {scrape}");
        assert!(scrape.contains(&format!("\n{name} ")), "{name}: {scrape}");
    }
    let told = docket(&nodes.site, &["cluster", "status"]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains(&format!("{writer} writes, in epoch 1")), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("standby")).count(), 2, "{text}");

    // There is one level so far: nothing is written that an older version could not read.
    let upgraded = docket(&nodes.site, &["cluster", "upgrade"]);
    let text = String::from_utf8(upgraded.stdout).unwrap();
    assert_eq!(text.trim(), "every node reads level 1, and level 1 is in force");
    let refused = docket(&nodes.site, &["cluster", "upgrade", "--level", "2"]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && text.contains("reads events up to level 1, not 2"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outsider_is_told_nothing_by_a_node() {
    let nodes = Nodes::start(Site::on(&kafka::bootstrap(), 1), 1).await;
    let address = nodes.ready(0).await.body["node"]["address"].as_str().unwrap().to_owned();
    let inner = Client::new(format!("http://{address}"));
    for path in ["/inner/v1/status", "/inner/v1/position", "/inner/v1/commands", "/"] {
        let answer = inner.send(Method::GET, path, &[], "").await.unwrap();
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(!answer.headers.contains_key("docket-signature"), "{answer:?}");
    }
    // Who has another secret is no node of this cluster: neither side believes the other.
    let stranger = Site::on(&kafka::bootstrap(), 1)
        .with("TOPIC_PREFIX", &nodes.site.prefix)
        .with("CLUSTER_SECRET", "another secret of thirty-two bytes or more");
    let told = status(&stranger);
    let error = told["nodes"][0]["error"].as_str().unwrap();
    assert!(error.contains("is not signed with this cluster's secret"), "{told}");
    let upgraded = docket(&stranger, &["cluster", "upgrade"]);
    assert!(!upgraded.status.success(), "{upgraded:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_begins_with_the_copy_of_another() {
    let mut nodes = Nodes::start(Site::on(&kafka::bootstrap(), 1), 2).await;
    for n in 0..20 {
        let body = json!({ "login": format!("somebody-{n}"), "password": "secret" });
        assert_eq!(post(&nodes.client(0), "", "/v1/accounts", &body).await.status, 201);
    }
    let copied = 1;
    assert!(nodes.nodes[copied].take().unwrap().terminate().status.success());
    let (from, to) = (nodes.site.data(copied), nodes.site.data(2));
    fs::create_dir(&to).unwrap();
    for name in ["journal.sqlite", "journal.sqlite-wal"] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
    let client = nodes.client(0).patient(PATIENCE);
    let body = json!({ "login": "the last", "password": "secret" });
    assert_eq!(post(&client, "", "/v1/accounts", &body).await.status, 201);
    nodes.nodes.push(Some(nodes.site.start(2)));
    let here = post(&nodes.client(2), "", "/v1/sessions", &body).await;
    assert_eq!(here.status, 201, "{here:?}");
    let body = json!({ "login": "somebody-7", "password": "secret" });
    assert_eq!(post(&nodes.client(2), "", "/v1/sessions", &body).await.status, 201);
    assert_eq!(nodes.ready(2).await.body["position"], nodes.ready(0).await.body["position"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_forgotten_is_forgotten_on_every_node() {
    let mut nodes = Nodes::start(Site::on(&kafka::bootstrap(), 1), 3).await;
    let body = json!({ "login": "somebody-to-forget", "password": "secret" });
    let made = post(&nodes.client(0), "", "/v1/accounts", &body).await;
    let account = made.body["account"].as_str().unwrap();
    let path = format!("/v1/accounts/{account}");
    assert!(nodes.nodes[2].take().unwrap().terminate().status.success());
    let key = kept_key(&nodes.site.data(2), account).unwrap();
    nodes.start_again(2);
    nodes.writer().await;
    for node in 0..3 {
        // Every node has opened what was sealed, and has the key in memory.
        let told = get(&nodes.client(node), OPERATOR, &path).await;
        assert_eq!(told.body["login"], "somebody-to-forget", "{told:?}");
    }
    let bearer = format!("Bearer {OPERATOR}");
    let headers = [("authorization", bearer.as_str())];
    let forgotten = nodes.client(1).send(Method::DELETE, &path, &headers, "").await.unwrap();
    assert_eq!(forgotten.status, 204, "{forgotten:?}");
    for node in 0..3 {
        let told = get(&nodes.client(node), OPERATOR, &path).await;
        assert_eq!((&told.body["login"], &told.body["erased"]), (&json!("erased"), &json!(true)));
    }
    // Nothing of the key is left in any file.
    for node in 0..3 {
        assert!(nodes.nodes[node].take().unwrap().terminate().status.success());
        assert_eq!(kept_key(&nodes.site.data(node), account), None, "node {node}");
    }

    // A node that was away while the key was destroyed, for so long that its topic tells nothing of that
    // any more: what is recorded does.
    let away = rusqlite::Connection::open(nodes.site.data(2).join("journal.sqlite")).unwrap();
    let back = "UPDATE keys SET bytes = ?2 WHERE id = ?1";
    assert_eq!(away.execute(back, (format!("account/{account}"), &key)).unwrap(), 1);
    drop(away);
    assert_eq!(kept_key(&nodes.site.data(2), account), Some(key));
    nodes.start_again(0);
    nodes.start_again(2);
    nodes.writer().await;
    let told = get(&nodes.client(2), OPERATOR, &path).await;
    assert_eq!((&told.body["login"], &told.body["erased"]), (&json!("erased"), &json!(true)));
    assert!(nodes.nodes[2].take().unwrap().terminate().status.success());
    assert_eq!(kept_key(&nodes.site.data(2), account), None);
}

/// The key of an account as a node that is at rest has it.
fn kept_key(data: &Path, account: &str) -> Option<Vec<u8>> {
    let journal = SqliteJournal::open_read_only(data).unwrap();
    journal.wrapped_key(&format!("account/{account}")).unwrap().map(|key| key.bytes)
}
