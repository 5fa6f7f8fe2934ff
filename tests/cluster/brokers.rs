//! Brokers end and come back, and so do nodes, while customers are at work.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    killed::finish,
    site::{Nodes, OPERATOR, PATIENCE, Site, get, post},
    support::{Half, Random, kafka::Cluster},
    topics::Reader,
    work::Work,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_broker_of_three_may_end_and_two_stop_commands_alone() {
    let mut random = Random::seeded();
    let mut brokers = Cluster::start(3);
    let site = Site::on(&brokers.bootstrap(), 3).with("ANSWER_WITHIN", "3s");
    let nodes = Nodes::start(site, 3).await;
    let reader = Reader::begin(&brokers.bootstrap(), &nodes.site.prefix);
    let work = Work::begin(&nodes, &mut random);
    work.lines.accepts_after(Instant::now()).await;

    let first = random.below(3) as usize;
    brokers.kill(first);
    let killed = Instant::now();
    let goes_on = work.lines.accepts_after(killed).await;
    println!("without broker {first} the next command was accepted after {goes_on:.1?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    work.lines.accepts_after(Instant::now()).await;

    let second = (first + 1) % 3;
    brokers.kill(second);
    // What is on its way then is told 503 in its time, and so is all that comes.
    let mut refused = 0;
    let began = Instant::now();
    while refused < 3 {
        assert!(began.elapsed() < PATIENCE, "commands are accepted by one broker of three");
        let body = json!({ "name": format!("token-{}", uuid::Uuid::new_v4()), "role": "auditor" });
        let answer = post(&nodes.client(0), OPERATOR, "/v1/tokens", &body).await;
        if answer.status == 503 {
            assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
            refused += 1;
        }
    }
    for node in 0..3 {
        let told = get(&nodes.client(node), OPERATOR, "/v1/orders/counts").await;
        assert_eq!(told.status, 200, "{told:?}");
        assert_eq!(told.headers.get("docket-consistency").unwrap(), "eventual", "{told:?}");
        let bearer = format!("Bearer {OPERATOR}");
        let named = [("authorization", bearer.as_str()), ("docket-min-position", "1")];
        let client = nodes.client(node);
        let method = axum::http::Method::GET;
        let certain = client.send(method, "/v1/orders/counts", &named, "").await.unwrap();
        assert_eq!(certain.status, 503, "{certain:?}");
        assert!(certain.headers.contains_key("retry-after"), "{certain:?}");
    }

    brokers.start_again(first);
    brokers.start_again(second);
    let back = Instant::now();
    let goes_on = work.lines.accepts_after(back).await;
    println!("with all of them the next command was accepted after {goes_on:.1?}");
    let customers = work.end().await;
    finish(nodes, customers, reader).await;
}

/// Whoever tells a node to end is not kept waiting by brokers that hang, and what the node has
/// begun to take is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_ends_although_its_brokers_hang() {
    let mut brokers = Cluster::start(1);
    let mut nodes = Nodes::start(Site::on(&brokers.bootstrap(), 1), 2).await;
    let writer = nodes.writer().await;
    brokers.pause(0);
    let body = json!({ "name": "till", "role": "staff" }).to_string();
    let headers = format!(
        "authorization: Bearer {OPERATOR}\r\nidempotency-key: a till\r\n\
         content-type: application/json\r\n"
    );
    let mut waits = Half::posted(&nodes.node(writer).base, "/v1/tokens", &headers, &body);
    waits.finish();
    for node in [writer, 1 - writer] {
        let told = Instant::now();
        let ended = nodes.nodes[node].take().unwrap().terminate();
        let took = told.elapsed();
        println!("node {node} ended after {took:.1?}");
        assert!(took < Duration::from_secs(40), "{took:?}: {ended:?}");
    }
    let answer = waits.finished();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    brokers.resume(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_started_again_one_by_one() {
    let mut random = Random::seeded();
    let mut brokers = Cluster::start(3);
    let mut nodes = Nodes::start(Site::on(&brokers.bootstrap(), 3), 3).await;
    let reader = Reader::begin(&brokers.bootstrap(), &nodes.site.prefix);
    let work = Work::begin(&nodes, &mut random);
    work.lines.accepts_after(Instant::now()).await;
    for node in 0..3 {
        let writer = nodes.writer().await;
        work.lines.without(node);
        let calm = work.lines.calm().await;
        let ended = nodes.nodes[node].take().unwrap();
        ended.signal();
        drop(calm);
        let ended = ended.ended();
        assert!(ended.status.success(), "node {node}: {ended:?}");
        let stopped = Instant::now();
        let goes_on = work.lines.accepts_after(stopped).await;
        let wrote = if node == writer { ", which wrote," } else { "" };
        println!("without node {node}{wrote} the next command was accepted after {goes_on:.1?}");
        let writer = nodes.writer().await;
        nodes.start_again(node);
        work.lines.learn(&nodes);
        work.lines.accepts_after(Instant::now()).await;
        assert_eq!(nodes.writer().await, writer, "a node that joins takes nobody's place");
    }
    for broker in 0..3 {
        brokers.stop(broker);
        let goes_on = work.lines.accepts_after(Instant::now()).await;
        println!("without broker {broker} the next command was accepted after {goes_on:.1?}");
        brokers.start_again(broker);
        work.lines.accepts_after(Instant::now()).await;
    }
    let customers = work.end().await;
    finish(nodes, customers, reader).await;
}
