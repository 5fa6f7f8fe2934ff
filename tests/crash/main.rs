//! The real program under load, killed without a warning again and again on one folder. Every
//! client knows exactly what it was told and what it waited for, so after each start the answers
//! are compared with what they must be, to the fen. Some speak the bookstore's API, some the native
//! one, and some both of the same orders.

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

/// How often the program is killed under load.
const KILLS: usize = 20;
/// After how many of these it is killed while it starts, too.
const KILLED_STARTING_EVERY: usize = 4;
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_every_kill() {
    let mut random = Random::seeded();
    let (_folder, data) = folder();
    let begun = Instant::now();
    assert!(Process::start(&data, &[]).terminate().status.success()); // The token is made.
    let operator = fs::read_to_string(data.join("operator.token")).unwrap().trim().to_owned();
    let mut customers = customers(&mut random, &operator);
    for round in 0..KILLS {
        let docket = Process::start(&data, &[]);
        customers = each(customers, &docket.client(), Customer::check).await;
        let head = balanced(&data, Some(&customers));

        let client = docket.client();
        customers = working(customers, &client, async || {
            tokio::time::sleep(Duration::from_millis(random.below(450))).await;
            if round % 5 == 0 {
                balanced(&data, None); // An auditor reads beside the running engine.
            }
            docket.kill();
        })
        .await;
        let told: usize = customers.iter().map(|customer| customer.shop.orders.len()).sum();
        println!("round {round}: {told} orders, from event {}", head.position);

        if round % KILLED_STARTING_EVERY == 0 {
            let docket = Process::spawn(Command::new(program()), &data, &[], &[]);
            tokio::time::sleep(Duration::from_millis(random.below(150))).await;
            docket.kill();
        }
    }

    let docket = Process::start(&data, &[]);
    customers = each(customers, &docket.client(), Customer::check).await;
    customers = each(customers, &docket.client(), Customer::repeat_everything).await;
    let ended = docket.terminate();
    assert!(ended.status.success(), "{ended:?}");
    let head = balanced(&data, Some(&customers));
    let orders: usize = customers.iter().map(|customer| customer.shop.orders.len()).sum();
    let mut tally = Tally::default();
    for customer in &customers {
        let (name, told) = (&customer.shop.seller.name, customer.shop.orders.len());
        assert!(told > 2 * KILLS, "{told} orders of {name} are no load");
        println!("{name}: {told} orders, {} requests accepted", customer.accepted());
        tally.add(customer.tally);
    }
    println!("{tally:?}");
    let Tally { accepted, lost, asked } = tally;
    assert!(accepted.iter().chain(&lost).chain([&asked]).all(|count| *count > 0), "{tally:?}");
    views_are_the_fold(&data, head).await;
    println!("{orders} orders, {} events, {:.0?}", head.position, begun.elapsed());
}
