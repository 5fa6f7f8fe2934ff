//! A writer takes its commits by the offsets that the brokers tell, and sees by them that somebody
//! else has written.

use std::sync::Arc;

use docket::journal::{Journal as _, JournalError, kafka::record_of};
use events::{Commit, Epoch, Head, WrappedKey};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::{
    client::{PATIENCE, writer},
    journal::{Node, commit},
    support::kafka,
};

/// So many commits in a row that it reads its own no more.
const BUSY: usize = 300;
/// One of so many brings a key.
const KEY_EVERY: usize = 100;

/// Appends this many, each when the one before is acknowledged. Some use keys of their own.
async fn append_many(node: &Node, head: &mut Head, epoch: u64) {
    for n in 0..BUSY {
        let next = commit(head, epoch, 1);
        *head = next.head();
        let key = || WrappedKey { id: key_of(head.number.0), bytes: vec![1; 60] };
        let keys = (n % KEY_EVERY == 0).then(key).into_iter().collect();
        node.journal.append(Arc::new(next), keys).await.unwrap().unwrap();
        assert_eq!(*node.journal.head().borrow(), *head, "what is acknowledged can be read");
    }
}

fn key_of(number: u64) -> String {
    format!("account/{number}")
}

/// Puts a commit into the log as a node does.
async fn put(client: &FutureProducer, prefix: &str, commit: &Commit) {
    let (topic, bytes) = (format!("{prefix}.journal"), record_of(commit));
    let record = FutureRecord::<(), _>::to(&topic).partition(0).payload(&bytes);
    client.send(record, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_writer_passes_over_what_came_too_late() {
    let prefix = kafka::prefix();
    let (node, other) = (Node::open(&prefix).await, Node::open(&prefix).await);
    node.journal.begin().unwrap();
    let client = writer(&kafka::bootstrap(), PATIENCE, &[]);
    let mut head = Head::default();
    append_many(&node, &mut head, 2).await;
    for round in 1..=3 {
        put(&client, &prefix, &commit(&head, 1, 1)).await;
        append_many(&node, &mut head, 2).await;
        assert_eq!(node.fenced(), round, "it has read what lies between");
    }
    assert_eq!(other.caught_up().await, head);
    assert_eq!((other.fenced(), other.commits().await), (3, node.commits().await));
    for node in [&node, &other] {
        for number in (1..=head.number.0).step_by(KEY_EVERY) {
            assert!(node.journal.wrapped_key(&key_of(number)).unwrap().is_some(), "{number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_writer_sees_that_it_has_lost_its_place_and_follows() {
    let prefix = kafka::prefix();
    let (old, new) = (Node::open(&prefix).await, Node::open(&prefix).await);
    old.journal.begin().unwrap();
    let client = writer(&kafka::bootstrap(), PATIENCE, &[]);
    let mut head = Head::default();
    append_many(&old, &mut head, 2).await;
    put(&client, &prefix, &commit(&head, 1, 1)).await;
    append_many(&old, &mut head, 2).await;

    // Somebody opens the next epoch a moment after its last commit.
    let opens = commit(&head, 3, 1);
    put(&client, &prefix, &opens).await;
    let (beside, behind) = (commit(&head, 2, 2), commit(&commit(&head, 2, 2).head(), 2, 1));
    for answer in [old.send(&beside), old.send(&behind)] {
        let lost = answer.await.unwrap().unwrap_err();
        assert!(matches!(lost, JournalError::Fenced { epoch: Epoch(3), .. }), "{lost}");
    }
    assert_eq!(new.caught_up().await, opens.head());
    new.journal.begin().unwrap();
    let mut newest = opens.head();
    append_many(&new, &mut newest, 3).await;
    assert_eq!(old.caught_up().await, newest, "it reads again");
    assert_eq!(old.commits().await, new.commits().await);
}
