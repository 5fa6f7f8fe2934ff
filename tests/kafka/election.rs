//! Which node may try to write, and for how long it may say that nobody else does.

use std::time::{Duration, Instant};

use docket::{
    cluster::{Election, seats},
    journal::{
        KafkaJournal,
        kafka::{Options, journal_topic, keys_topic},
    },
};
use events::NodeName;
use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::{
    client::PATIENCE,
    support::kafka::{self, Cluster},
};
use uuid::Uuid;

const SESSION: Duration = Duration::from_secs(2);

fn options(brokers: &str, prefix: &str) -> Options {
    let (brokers, prefix) = (brokers.to_owned(), prefix.to_owned());
    Options { brokers, prefix, replication: 1, settings: Vec::new() }
}

/// Makes the journal's topic.
async fn site(brokers: &str) -> Options {
    let options = options(brokers, &kafka::prefix());
    let folder = tempfile::tempdir().unwrap();
    drop(KafkaJournal::open(folder.path(), &options).await.unwrap());
    options
}

fn stand(site: &Options) -> Election {
    stand_with(site, SESSION)
}

fn stand_with(site: &Options, session: Duration) -> Election {
    let address = NodeName::new(format!("{}:1", Uuid::new_v4())).unwrap();
    Election::stand(&site.client(), &site.prefix, &address, session).unwrap()
}

async fn has_its_turn(node: &Election) {
    let mut turn = node.turn();
    tokio::time::timeout(PATIENCE, turn.wait_for(|mine| *mine)).await.unwrap().unwrap();
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many nodes the coordinator knows, once all of them have agreed on whose turn it is.
fn members(site: &Options) -> usize {
    let asking: BaseConsumer = site.client().create().unwrap();
    let group = format!("{}.writer", site.prefix);
    let groups = asking.fetch_group_list(Some(&group), Duration::from_secs(10)).unwrap();
    let stable = groups.groups().iter().filter(|it| it.state() == "Stable");
    stable.map(|it| it.members().len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_turn_keeps_it_until_it_goes() {
    let site = site(&kafka::bootstrap()).await;
    let first = stand(&site);
    has_its_turn(&first).await;
    until("it may say that it alone writes", || first.lease().holds()).await;

    let others = [stand(&site), stand(&site)];
    until("three stand", || members(&site) == 3).await;
    assert!(*first.turn().borrow(), "those who came later did not take its place");
    assert!(first.lease().holds());
    for other in &others {
        assert!(!*other.turn().borrow() && !other.lease().holds());
    }

    let lease = first.lease();
    drop(first);
    assert!(!lease.holds(), "who has gone says nothing any more");
    let mut turns = others.each_ref().map(Election::turn);
    let [one, other] = &mut turns;
    tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            turn = one.wait_for(|mine| *mine) => drop(turn.unwrap()),
            turn = other.wait_for(|mine| *mine) => drop(turn.unwrap()),
        }
    })
    .await
    .unwrap();
    until("two stand", || members(&site) == 2).await;
    let mine = others.iter().filter(|it| *it.turn().borrow()).count();
    assert_eq!(mine, 1);
    until("the new one may say that it alone writes", || {
        others.iter().filter(|it| it.lease().holds()).count() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_steps_aside_leaves_the_turn_to_another_and_stands_again() {
    let site = site(&kafka::bootstrap()).await;
    let first = stand(&site);
    has_its_turn(&first).await;
    until("it may say that it alone writes", || first.lease().holds()).await;
    let other = stand(&site);
    until("two stand", || members(&site) == 2).await;
    first.step_aside();
    has_its_turn(&other).await;
    assert!(!*first.turn().borrow() && !first.lease().holds());
    until("the other may say that it alone writes", || other.lease().holds()).await;

    let seated = seats(&site.client(), &site.prefix, Duration::from_secs(10)).unwrap();
    assert_eq!(seated.len(), 2, "who stepped aside is still seen");

    // It is back within half a session.
    let mut turn = other.turn();
    let lost = tokio::time::timeout(SESSION, turn.wait_for(|mine| !*mine)).await;
    assert!(lost.is_err(), "who comes back does not take its place");
    drop(other);
    has_its_turn(&first).await;
}

/// As it is when a node that was stopped goes on: its seat is somebody else's, and it hears at the same
/// time that what it wrote came too late. Each of these steps aside a little later than the one before,
/// so that some do while the coordinator has not yet answered that they may come back. Kafka's client
/// can end the whole process there.
#[tokio::test(flavor = "multi_thread")]
async fn who_steps_aside_when_its_seat_is_lost_stands_again() {
    let brokers = MockCluster::new(1).unwrap();
    let nodes = [(); 24].map(|()| {
        let site = options(&brokers.bootstrap_servers(), &kafka::prefix());
        for topic in [journal_topic(&site.prefix), keys_topic(&site.prefix)] {
            brokers.create_topic(&topic, 1, 1).unwrap();
        }
        // Those who join such a group wait for three seconds.
        stand_with(&site, 2 * SESSION)
    });
    for node in &nodes {
        has_its_turn(node).await;
    }
    let round_trip = Duration::from_millis(300);
    brokers.broker_round_trip_time(-1, round_trip).unwrap();
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
    brokers.request_errors(RDKafkaApiKey::Heartbeat, &[unknown; 1000]);
    let stepping = nodes.into_iter().zip(0..).map(|(node, n)| {
        tokio::spawn(async move {
            let mut turn = node.turn();
            tokio::time::timeout(PATIENCE, turn.wait_for(|mine| !*mine)).await.unwrap().unwrap();
            tokio::time::sleep(n * round_trip / 12).await;
            node.step_aside();
            node
        })
    });
    let stepping: Vec<_> = stepping.collect();
    let mut nodes = Vec::new();
    for node in stepping {
        nodes.push(node.await.unwrap());
    }
    brokers.clear_request_errors(RDKafkaApiKey::Heartbeat);
    brokers.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    for node in &nodes {
        has_its_turn(node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_coordinator_the_lease_ends() {
    let mut cluster = Cluster::start(1);
    let site = site(&cluster.bootstrap()).await;
    let node = stand(&site);
    has_its_turn(&node).await;
    until("it may say that it alone writes", || node.lease().holds()).await;
    cluster.pause(0);
    let begun = Instant::now();
    until("it says nothing any more", || !node.lease().holds()).await;
    // What was sent just before may have been known for half a session.
    assert!(begun.elapsed() < SESSION, "{:?}", begun.elapsed());
    cluster.resume(0);
    until("it may say so again", || node.lease().holds()).await;
}
