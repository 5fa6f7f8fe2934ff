//! Consumers of the public topics, as schemas/consumers.md shows them: what they count from the
//! topics of a real docket on a real broker is what that docket says, however often they are ended
//! and begun again.
//!
//! `tests/run` installs what they are run with. `KAFKA_BROKERS` names another broker.
#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

#[path = "../support/mod.rs"]
mod support;

mod example;
mod group;
mod guide;
#[allow(dead_code, reason = "the guide is no walk")]
#[path = "../readme/page.rs"]
mod page;
mod site;
mod town;

use std::time::Duration;

use example::{EXAMPLES, Example};
use site::Site;
use town::{Life, Paid, Town};

/// How long anything that must come may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Orders of every kind in every store but the last, and no two stores with the same sum.
async fn business(town: &Town) {
    let open = town.stores.len() - 1;
    for (n, store) in town.stores[..open].iter().enumerate() {
        for (quantity, life) in (1..).zip(Life::ALL.into_iter().cycle().take(8 + n)) {
            town.order(store, quantity, life).await;
        }
        town.own_order(store, 20 + 3 * n as i64, Life::Received).await;
        town.own_order(store, 21, Life::PaidBack).await;
    }
}

fn tell_apart(paid: &Paid) {
    assert_eq!(paid.len(), 3, "{paid:?}");
    let mut sums: Vec<_> = paid.values().collect();
    sums.sort_unstable();
    sums.dedup();
    assert_eq!(sums.len(), 3, "one store could be taken for another: {paid:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_consumer_counts_what_docket_counts() {
    let site = Site::start().await;
    let town = Town::found(&site).await;
    let mut taken_back = Vec::new();
    for store in &town.stores[..3] {
        taken_back.push((store, town.order(store, 30, Life::Paid).await));
    }
    business(&town).await;
    site.published().await;
    site.strange_records("native", "corner").await;
    let told = town.told().await;
    tell_apart(&told);
    let mut first = Vec::new();
    for example in &EXAMPLES {
        let counted = example.begin(&site, "first", "all").run_until_end().await;
        assert_eq!(counted.paid, told, "{}", example.name);
        first.push(counted);
    }

    // Some of what was paid no longer is; and the idle store is not idle any more.
    for (store, order) in &taken_back {
        town.pays_back(store, order).await;
    }
    town.order(&town.stores[3], 9, Life::Paid).await;
    site.published().await;
    let told = town.told().await;
    assert_eq!(told.len(), 4, "{told:?}");
    for (example, first) in EXAMPLES.iter().zip(first) {
        let again = example.begin(&site, "first", "all").run_until_end().await;
        assert_eq!(again.paid, told, "{}", example.name);
        let anew = example.begin(&site, "second", "anew").run_until_end().await;
        assert_eq!(anew.paid, told, "{}", example.name);
        if example.keeps {
            // Four more, and nothing of what was counted before.
            assert_eq!(again.records, Some(4), "{}", example.name);
            assert_eq!(anew.records, first.records.map(|it| it + 4), "{}", example.name);
        }
    }

    // Each goes on where the other has come to.
    let [one, other] = [EXAMPLES[0], EXAMPLES[1]].map(|it| it.begin(&site, "first", "all"));
    let (of_one, of_other) = (one.backup(), other.backup());
    for (consumer, database) in [(one, of_other), (other, of_one)] {
        consumer.restore(&database);
        let counted = consumer.run_until_end().await;
        assert_eq!((counted.paid, counted.records), (told.clone(), Some(0)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_killed_and_told_to_end_counts_each_record_once() {
    ends_and_begins(EXAMPLES[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_killed_and_told_to_end_counts_each_record_once() {
    ends_and_begins(EXAMPLES[1]).await;
}

async fn ends_and_begins(example: Example) {
    let site = Site::start().await;
    let town = Town::found(&site).await;
    business(&town).await;
    site.published().await;
    // Killed somewhere on its way. Its group waits for it, so those that follow have another.
    for group in ["one", "two"] {
        let one = example.begin(&site, "kept", group);
        let before = one.read();
        let mut running = one.follow();
        running.until(|| one.read() > before);
        running.kill();
        town.order(&town.stores[0], 3, Life::Paid).await;
        site.published().await;
    }

    // Told to end once it has read what there is, it says what it has counted.
    let third = example.begin(&site, "kept", "third");
    let mut running = third.follow();
    let end = third.end();
    running.until(|| third.read() >= end);
    town.order(&town.stores[1], 4, Life::Paid).await;
    site.published().await;
    let end = third.end();
    running.until(|| third.read() >= end);
    let (told, counted) = (town.told().await, running.terminate());
    assert_eq!(counted.paid, told);
    // It has left its group: the next one need not wait.
    assert_eq!(third.members(), 0);
    let next = third.run_until_end().await;
    assert_eq!((next.paid, next.records), (told, Some(0)));
    assert_eq!(third.lag(), 0);

    // A database that is put back reads what it lacks, although the group has had it.
    let backup = third.backup();
    town.order(&town.stores[1], 5, Life::Shipped).await;
    site.published().await;
    let (told, next) = (town.told().await, third.run_until_end().await);
    assert_eq!((&next.paid, next.records), (&told, Some(1)));
    assert_eq!(third.lag(), 0);
    third.restore(&backup);
    let again = third.run_until_end().await;
    assert_eq!((&again.paid, again.records), (&told, Some(1)));

    // A database that has lost how far it was reads all again, and counts nothing again.
    third.forget_progress();
    let again = third.run_until_end().await;
    assert_eq!((again.paid, again.records), (told, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_in_rust_share_a_group_and_a_database() {
    two_share(EXAMPLES[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_in_python_share_a_group_and_a_database() {
    two_share(EXAMPLES[1]).await;
}

async fn two_share(example: Example) {
    let site = Site::start().await;
    let town = Town::found(&site).await;
    let both = example.begin(&site, "shared", "both");
    let mut one = both.follow();
    one.until(|| both.members() == 1);
    let mut other = both.follow();
    one.until(|| both.members() == 2);
    business(&town).await;
    site.published().await;
    let end = both.end();
    other.until(|| both.read() >= end);
    let counted = [one.terminate(), other.terminate()];
    // Both had something to do, and together they did it once.
    let anew = example.begin(&site, "alone", "alone").run_until_end().await;
    let records = counted.each_ref().map(|it| it.records.unwrap());
    assert!(records.iter().all(|it| *it > 0), "{records:?}");
    assert_eq!(anew.records, Some(records.iter().sum()));
    let told = town.told().await;
    assert_eq!((&anew.paid, &counted[1].paid), (&told, &told));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_said_to_be_missing() {
    let site = Site::start().await;
    for example in EXAMPLES {
        let Example { name, .. } = example;
        let said = example.begin(&site, "none", "none").under("nowhere").fails();
        assert!(said.contains("nowhere.payments"), "{name}: {said}");
    }
}
