//! What three brokers acknowledged they keep, whichever of them end.

use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

use super::{
    client::{PATIENCE, Record, leader, make_topic, read, write, writer},
    support::kafka::{self, Cluster},
};

#[tokio::test]
async fn three_brokers_keep_what_they_acknowledged() {
    let begun = Instant::now();
    let mut cluster = Cluster::start(3);
    println!("three brokers: {:.1?}", begun.elapsed());
    let (brokers, topic) = (cluster.bootstrap(), kafka::prefix());
    make_topic(&brokers, &topic, 3, "2").await;
    let it = writer(&brokers, PATIENCE, &[]);
    let mut acknowledged = vec![write(&it, &topic, "on three").await.unwrap()];

    // One is killed, the leader: writing goes on.
    let first = cluster.index_of(leader(&brokers, &topic));
    cluster.kill(first);
    for value in ["on two", "on the same two"] {
        acknowledged.push(write(&it, &topic, value).await.unwrap());
    }

    // A second: nothing is acknowledged, and whoever writes hears of it in time.
    let second = cluster.index_of(leader(&brokers, &topic));
    cluster.kill(second);
    let hasty = writer(&brokers, Duration::from_secs(2), &[]);
    let asked = Instant::now();
    let refused = write(&hasty, &topic, "on one").await.unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(refused, RDKafkaErrorCode::MessageTimedOut);

    // They are back, with everything that was acknowledged.
    cluster.start_again(second);
    cluster.start_again(first);
    acknowledged.push(write(&it, &topic, "on three again").await.unwrap());
    has_all(&read(&brokers, &topic), &acknowledged);

    // One that hangs is another's loss of its lead, not of records; one that is stopped too.
    let third = cluster.index_of(leader(&brokers, &topic));
    cluster.pause(third);
    acknowledged.push(write(&it, &topic, "while one hangs").await.unwrap());
    assert_ne!(cluster.index_of(leader(&brokers, &topic)), third);
    cluster.resume(third);
    cluster.wait_until_ready();
    let fourth = cluster.index_of(leader(&brokers, &topic));
    cluster.stop(fourth);
    acknowledged.push(write(&it, &topic, "while one is away").await.unwrap());
    cluster.start_again(fourth);
    has_all(&read(&brokers, &topic), &acknowledged);
}

/// Every record that was acknowledged is where it was said to be; others may lie between.
fn has_all(found: &[Record], acknowledged: &[Record]) {
    for record in acknowledged {
        assert!(found.contains(record), "{record:?} is lost: {found:?}");
    }
}
