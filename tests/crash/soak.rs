//! An hour of whole lives of orders on one folder, with kills, ends in good order and restarts at
//! random. Not part of the usual tests:
//!
//! ```sh
//! SOAK_SECONDS=3600 cargo test --release --test soak -- --nocapture
//! ```
//!
//! It prints what it did and what it checked. `SEED` makes the same choices again.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod books;
mod call;
mod customer;
mod face;
mod load;
mod shop;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use books::{balanced, views_are_the_fold};
use customer::{Customer, Tally};
use load::{customers, each, working};
use support::{Process, Random, folder, program};

/// How long it goes on where `SOAK_SECONDS` does not say: an hour.
const SECONDS: u64 = 3600;
/// The longest that it works between two ends.
const ROUND_MS: u64 = 60_000;

/// Nothing ends by itself: customers know only what they asked for.
const PATIENT: &str = r#"
[channel.native]
pay_within = "30d"
receive_within = "30d"
session_lives = "30d"

[channel.bookstore]
pay_within = "30d"
receive_within = "30d"
session_lives = "30d"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_of_orders_and_ends() {
    let lasts = std::env::var("SOAK_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let lasts = Duration::from_secs(lasts);
    let mut random = Random::seeded();
    let (folder, data) = folder();
    let settings = folder.path().join("docket.toml");
    fs::write(&settings, PATIENT).unwrap();
    let settings = [("DOCKET_CONFIG", settings.to_str().unwrap())];
    assert!(Process::start(&data, &settings).terminate().status.success()); // The token is made.
    let operator = fs::read_to_string(data.join("operator.token")).unwrap().trim().to_owned();
    let mut customers = customers(&mut random, &operator);
    let (begun, mut rounds) = (Instant::now(), 0);
    let (mut kills, mut ends, mut early) = (0, 0, 0);
    while begun.elapsed() < lasts {
        if random.below(4) == 0 {
            let docket = Process::spawn(Command::new(program()), &data, &[], &settings);
            tokio::time::sleep(Duration::from_millis(random.below(300))).await;
            docket.kill();
            early += 1;
        }
        let docket = Process::start(&data, &settings);
        customers = each(customers, &docket.client(), Customer::check).await;
        let head = balanced(&data, Some(&customers));
        let client = docket.client();
        let left = lasts.saturating_sub(begun.elapsed());
        let works = Duration::from_millis(random.below(ROUND_MS)).min(left);
        let in_good_order = random.below(3) == 0;
        customers = working(customers, &client, async || {
            tokio::time::sleep(works).await;
            if in_good_order {
                let ended = docket.terminate();
                assert!(ended.status.success(), "{ended:?}");
                ends += 1;
            } else {
                docket.kill();
                kills += 1;
            }
        })
        .await;
        rounds += 1;
        let orders: usize = customers.iter().map(|customer| customer.shop.orders.len()).sum();
        println!(
            "{:>6.0?}  round {rounds}: {works:.0?} of work, {orders} orders, {} events checked; \
             {kills} kills, {ends} ends in good order, {early} kills at the start",
            begun.elapsed(),
            head.position,
        );
    }
    let docket = Process::start(&data, &settings);
    customers = each(customers, &docket.client(), Customer::check).await;
    customers = each(customers, &docket.client(), Customer::repeat_everything).await;
    assert!(docket.terminate().status.success());
    let head = balanced(&data, Some(&customers));
    views_are_the_fold(&data, head).await;
    let mut tally = Tally::default();
    for customer in &customers {
        assert!(customer.accepted() > 0, "{} did nothing", customer.shop.seller.name);
        tally.add(customer.tally);
    }
    println!(
        "every order, sum and answer is as it was told: {} events, {rounds} rounds, {tally:?}",
        head.position
    );
}
