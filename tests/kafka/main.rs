//! What docket counts on where its journal is in Kafka, of the broker and of its client: what is
//! acknowledged stays, who was fenced writes no more. And of the brokers of these tests: they end
//! with them.
//!
//! `tests/run` fetches the broker. `KAFKA_BROKERS` names another one for the tests that stop none.
#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "two programs use it")]
mod client;
mod copy;
mod election;
mod journal;
mod offsets;
mod publisher;

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::Producer as _,
};

use client::{PATIENCE, make_topic, read, write, writer};
use support::kafka::{self, Cluster};

/// Set for the run of this program that a test starts and that dies with a broker.
const DIES: &str = "DOCKET_TESTS_DIE_WITH_A_BROKER";

#[tokio::test]
async fn an_acknowledged_record_is_read_back() {
    let (brokers, topic) = (kafka::bootstrap(), kafka::prefix());
    make_topic(&brokers, &topic, 1, "1").await;
    let writer = writer(&brokers, PATIENCE, &[]);
    let mut written = Vec::new();
    for value in ["first", "", "third, ünïcode"] {
        written.push(write(&writer, &topic, value).await.unwrap());
    }
    assert_eq!(written.iter().map(|it| it.offset).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(read(&brokers, &topic), written);
}

#[tokio::test]
async fn nobody_makes_a_topic_by_writing_to_it() {
    let (brokers, topic) = (kafka::bootstrap(), kafka::prefix());
    let writer = writer(&brokers, PATIENCE, &[("topic.metadata.propagation.max.ms", "500")]);
    let refused = write(&writer, &topic, "into the void").await.unwrap_err();
    assert_eq!(refused, RDKafkaErrorCode::UnknownTopicOrPartition);
}

#[tokio::test]
async fn whoever_is_fenced_commits_nothing() {
    let (brokers, topic) = (kafka::bootstrap(), kafka::prefix());
    make_topic(&brokers, &topic, 1, "1").await;
    let id = [("transactional.id", &*topic)];
    let (old, new) = (writer(&brokers, PATIENCE, &id), writer(&brokers, PATIENCE, &id));

    old.init_transactions(PATIENCE).unwrap();
    old.begin_transaction().unwrap();
    write(&old, &topic, "committed").await.unwrap();
    old.commit_transaction(PATIENCE).unwrap();
    old.begin_transaction().unwrap();
    write(&old, &topic, "begun by the old one").await.unwrap();

    new.init_transactions(PATIENCE).unwrap();
    let Err(KafkaError::Transaction(refused)) = old.commit_transaction(PATIENCE) else {
        panic!("the old one commits");
    };
    assert_eq!((refused.code(), refused.is_fatal()), (RDKafkaErrorCode::Fenced, true), "{refused}");
    old.begin_transaction().unwrap_err();
    write(&old, &topic, "outside of any").await.unwrap_err();

    new.begin_transaction().unwrap();
    write(&new, &topic, "committed by the new one").await.unwrap();
    new.commit_transaction(PATIENCE).unwrap();
    let values: Vec<_> = read(&brokers, &topic).into_iter().map(|it| it.value).collect();
    assert_eq!(values, ["committed", "committed by the new one"]);
}

#[test]
fn brokers_end_with_the_program_that_started_them() {
    if std::env::var_os(DIES).is_some() {
        let begun = Instant::now();
        let mut cluster = std::thread::spawn(|| Cluster::start(1)).join().unwrap();
        println!("pid: {}", cluster.pid(0));
        println!("one broker: {:.1?}, {} MiB", begun.elapsed(), resident(cluster.pid(0)) >> 20);
        // It is the program's, and not the thread's that happened to start it.
        cluster.wait_until_ready();
        println!("it lives");
        std::process::abort();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let ended = command
        .args(["--exact", "brokers_end_with_the_program_that_started_them", "--nocapture"])
        .env(DIES, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    println!("{said}");
    assert!(said.contains("it lives"), "{said}");
    let pid = said.lines().find_map(|line| line.strip_prefix("pid: ")).unwrap();
    let begun = Instant::now();
    while lives(pid) {
        assert!(begun.elapsed() < PATIENCE, "the broker {pid} outlives its program");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether there is such a process that has not ended.
fn lives(pid: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let (_, state) = stat.rsplit_once(") ").unwrap();
    !state.starts_with(['Z', 'X'])
}

/// Bytes of memory that a process has.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}
