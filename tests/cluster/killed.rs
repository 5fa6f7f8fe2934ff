//! The node that writes is killed, stopped and let go on, again and again.

use std::time::Instant;

use docket::journal::{Journal as _, SqliteJournal};

use super::{
    books::{balanced, views_are_the_fold},
    customer::Customer,
    load::each,
    site::{Nodes, PATIENCE, Site},
    support::{Random, kafka::Cluster},
    topics::Reader,
    work::Work,
};

/// How often the node that writes is killed.
const KILLS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_takes_over_when_the_writer_is_killed() {
    let mut random = Random::seeded();
    let brokers = Cluster::start(3);
    let mut nodes = Nodes::start(Site::on(&brokers.bootstrap(), 3), 3).await;
    let reader = Reader::begin(&brokers.bootstrap(), &nodes.site.prefix);
    let work = Work::begin(&nodes, &mut random);
    work.lines.accepts_after(Instant::now()).await;
    let mut took = Vec::new();
    for kill in 0..KILLS {
        tokio::time::sleep(std::time::Duration::from_millis(random.below(1500))).await;
        let writer = nodes.writer().await;
        let calm = work.lines.calm().await;
        let killed = Instant::now();
        nodes.kill(writer);
        work.lines.learn(&nodes);
        drop(calm);
        let first = work.lines.accepts_after(killed).await;
        println!("kill {kill}: the first command was accepted after {first:.1?}");
        took.push(first);
        nodes.start_again(writer);
        work.lines.learn(&nodes);
    }
    let customers = work.end().await;
    finish(nodes, customers, reader).await;
    took.sort_unstable();
    println!("from a kill to the first accepted command: {took:.1?}");
}

/// Looks whether every customer finds everything, ends the nodes, and looks whether every one of them
/// has the same, and all of it.
pub async fn finish(nodes: Nodes, customers: Vec<Customer>, reader: Reader) {
    let customers = everything_is_found(&nodes, customers).await;
    all_agree(nodes, Some(&customers), reader).await;
}

/// Every customer finds on every node what it was told, and is told it again.
pub async fn everything_is_found(nodes: &Nodes, mut customers: Vec<Customer>) -> Vec<Customer> {
    for node in nodes.running() {
        let client = nodes.client(node).patient(PATIENCE);
        customers = each(customers, &client, Customer::check).await;
    }
    let last = nodes.client(nodes.running()[0]).patient(PATIENCE);
    each(customers, &last, Customer::repeat_everything).await
}

/// Ends the nodes, all of which run: they have the same chain, their books are balanced, their views
/// are right, and the public topics have every record of it. Where the customers are all who did
/// anything, the books are theirs.
pub async fn all_agree(nodes: Nodes, customers: Option<&[Customer]>, reader: Reader) {
    nodes.everything_is_published().await;
    let Nodes { site, nodes } = nodes;
    let mut heads = Vec::new();
    let count = nodes.len();
    for (node, process) in nodes.into_iter().enumerate() {
        let ended = process.unwrap().terminate();
        assert!(ended.status.success(), "node {node}: {ended:?}");
    }
    for node in 0..count {
        let data = site.data(node);
        heads.push(balanced(&data, customers));
    }
    let newest = *heads.iter().max_by_key(|head| head.number).unwrap();
    println!("{} events, {} commits, epoch {}", newest.position, newest.number, newest.epoch);
    let longest = heads.iter().position(|head| *head == newest).unwrap();
    let journal = SqliteJournal::open_read_only(&site.data(longest)).unwrap();
    for (node, head) in heads.iter().enumerate() {
        // Each hash covers all that came before it.
        assert_eq!(journal.head_at(head.number).unwrap(), Some(*head), "node {node}");
        views_are_the_fold(&site.data(node), *head).await;
    }
    reader.agrees(&site.data(longest), &site.prefix);
}
