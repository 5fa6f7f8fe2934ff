//! A node that writes and is stopped for longer than its turn lasts does no harm when it goes on,
//! whoever is at work meanwhile.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use axum::http::Method;
use docket::client::Client;
use serde_json::json;

use super::{
    killed::{all_agree, everything_is_found},
    site::{Nodes, OPERATOR, PATIENCE, Site, get, post},
    support::{Process, Random, kafka::Cluster},
    topics::Reader,
    work::Work,
};

fn signal(process: &Process, signal: &str) {
    let pid = process.pid().to_string();
    assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
}

/// Makes an account.
async fn register(client: &Client, login: &str) -> axum::http::StatusCode {
    let body = json!({ "login": login, "password": "secret" });
    post(client, "", "/v1/accounts", &body).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_was_stopped_acknowledges_nothing_and_answers_nothing_as_fresh() {
    let mut random = Random::seeded();
    let brokers = Cluster::start(3);
    let nodes = Nodes::start(Site::on(&brokers.bootstrap(), 3), 3).await;
    let reader = Reader::begin(&brokers.bootstrap(), &nodes.site.prefix);
    let work = Work::begin(&nodes, &mut random);
    work.lines.accepts_after(Instant::now()).await;
    let zombie = nodes.writer().await;
    let others: Vec<_> = nodes.running().into_iter().filter(|node| *node != zombie).collect();
    let to_zombie = nodes.client(zombie);
    assert_eq!(register(&to_zombie, "before").await, 201);

    // Whoever has just sent it something waits; nobody else goes there before it goes on.
    work.lines.without(zombie);
    let calm = work.lines.calm().await;
    signal(nodes.node(zombie), "STOP");
    let stopped = Instant::now();
    drop(calm);
    // These lie in its sockets when it goes on: commands that it could accept by what it knows, one
    // that it could refuse by that, and queries.
    let sent: Vec<_> = (0..20)
        .map(|n| {
            let client = nodes.client(zombie);
            tokio::spawn(async move {
                match n % 3 {
                    0 => Some((n, register(&client, &format!("meanwhile-{n}")).await)),
                    1 => Some((n, register(&client, "before").await)),
                    _ => {
                        let told = get(&client, OPERATOR, "/v1/tokens").await;
                        let unsure = told.headers.contains_key("docket-consistency");
                        // What was recorded meanwhile is in it, or it says that it may not be.
                        let names = told.body["items"].to_string();
                        assert!(unsure || told.status == 503 || names.contains("while-it-stood"));
                        None
                    }
                }
            })
        })
        .collect();
    let other = nodes.client(others[0]).patient(PATIENCE);
    assert_eq!(register(&other, "after").await, 201, "{}", nodes.logs());
    let issued = json!({ "name": "while-it-stood", "role": "auditor" });
    assert_eq!(post(&other, OPERATOR, "/v1/tokens", &issued).await.status, 201);
    let began = Instant::now();
    let writer = loop {
        assert!(began.elapsed() < PATIENCE, "{}", nodes.logs());
        let told = nodes.ready(others[0]).await.body;
        let writer = told["node"]["writer"].as_str().map(str::to_owned);
        if let Some(writer) = writer.filter(|it| *it != format!("node-{zombie}")) {
            break writer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let epoch = nodes.ready(others[0]).await.body["node"]["epoch"].as_u64().unwrap();

    // An account that the stopped node has never heard of, and whose owner asks it for a session.
    let login = json!({ "login": "after", "password": "secret" });
    let logins: Vec<_> = (0..6)
        .map(|_| {
            let (client, login) = (nodes.client(zombie), login.clone());
            tokio::spawn(async move { post(&client, "", "/v1/sessions", &login).await })
        })
        .collect();
    signal(nodes.node(zombie), "CONT");
    work.lines.learn(&nodes);
    println!("it stood for {:.1?}", stopped.elapsed());
    for login in logins {
        let answer = login.await.unwrap();
        assert!(answer.status == 201 || answer.status == 503, "{answer:?}");
    }
    let mut accepted = Vec::new();
    for sent in sent {
        let Some((n, status)) = sent.await.unwrap() else { continue };
        match n % 3 {
            // It hands them on to the one that writes, or says that it cannot tell.
            0 => {
                assert!(status == 201 || status == 503, "{n}: {status}");
                accepted.extend((status == 201).then_some(n));
            }
            _ => assert!(status == 409 || status == 503, "{n}: {status}"),
        }
    }
    println!("{} of 7 were accepted, by the node that writes now", accepted.len());
    // What it accepted is on every node; it follows the others again, and has not taken over.
    for n in (0..20).step_by(3) {
        let again = register(&other, &format!("meanwhile-{n}")).await;
        assert!(again == 409 || again == 201 && !accepted.contains(&n), "{n}: {again}");
    }
    let client = nodes.client(zombie).patient(PATIENCE);
    let told = get(&client, OPERATOR, "/v1/tokens").await;
    assert!(told.body.to_string().contains("while-it-stood"), "{told:?}");
    assert_eq!(register(&client, "at last").await, 201);
    // It has shut nobody out: who writes in that epoch does so still, unless others have the turn now.
    for node in 0..3 {
        let told = nodes.ready(node).await.body["node"].clone();
        let (writes, now) = (told["writer"].as_str(), told["epoch"].as_u64().unwrap());
        assert_ne!(writes, Some(&*format!("node-{zombie}")), "{told}\n{}", nodes.logs());
        assert!(now >= epoch, "{told}");
        assert!(now > epoch || writes == Some(&*writer), "{told}\n{}", nodes.logs());
    }
    let metrics = to_zombie.send(Method::GET, "/metrics", &[], "").await.unwrap();
    let metrics = String::from_utf8(metrics.bytes.to_vec()).unwrap();
    assert!(metrics.contains("docket_node_writes 0"), "{metrics}");
    let fenced = metrics.lines().find_map(|line| line.strip_prefix("docket_fenced_commits_total "));
    println!("{} of its commits came too late", fenced.unwrap());
    work.lines.accepts_after(Instant::now()).await;
    let customers = work.end().await;
    // There are accounts beside the customers', so that what they know is not all.
    everything_is_found(&nodes, customers).await;
    all_agree(nodes, None, reader).await;
}
