//! The real program under load, killed without a warning again and again on one folder. Every
//! client knows exactly what it was told and what it waited for, so after each start the answers
//! are compared with what they must be, to the fen. Some speak the bookstore's API, some the native
//! one, and some both of the same orders.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod books;
mod call;
mod customer;
mod face;
mod shop;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use books::{balanced, views_are_the_fold};
use customer::{Customer, Tally};
use docket::client::Client;
use face::Face;
use shop::Shop;
use support::{Process, folder, program};

/// How often the program is killed under load.
const KILLS: usize = 20;
/// After how many of these it is killed while it starts, too.
const KILLED_STARTING_EVERY: usize = 4;
/// Each customer's channel, and the faces it speaks.
const CUSTOMERS: [(&str, &[Face]); 7] = [
    ("bookstore", &[Face::Bookstore]),
    ("bookstore", &[Face::Bookstore]),
    ("native", &[Face::Native]),
    ("native", &[Face::Native]),
    ("native", &[Face::Native]),
    ("bookstore", &[Face::Bookstore, Face::Native]),
    ("bookstore", &[Face::Bookstore, Face::Native]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_every_kill() {
    let mut random = Random::seeded();
    let (_folder, data) = folder();
    let begun = Instant::now();
    assert!(Process::start(&data, &[]).terminate().status.success()); // The token is made.
    let operator = fs::read_to_string(data.join("operator.token")).unwrap().trim().to_owned();
    let customer = |(number, (channel, faces)): (usize, (&'static str, &'static [Face]))| {
        let shop = Shop::new(number, channel, operator.clone());
        Customer::new(Random(random.next()), faces, shop)
    };
    let mut customers: Vec<_> = CUSTOMERS.into_iter().enumerate().map(customer).collect();
    for round in 0..KILLS {
        let docket = Process::start(&data, &[]);
        customers = each(customers, &docket.client(), Customer::check).await;
        let head = balanced(&data, Some(&customers));

        let client = docket.client();
        let working: Vec<_> = customers
            .into_iter()
            .map(|mut customer| {
                let client = client.clone();
                tokio::spawn(async move {
                    customer.work(&client).await;
                    customer
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.below(450))).await;
        if round % 5 == 0 {
            balanced(&data, None); // An auditor reads beside the running engine.
        }
        docket.kill();
        customers = Vec::new();
        for worker in working {
            customers.push(worker.await.unwrap());
        }
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

/// Has every customer do something at the same time.
async fn each<F>(
    customers: Vec<Customer>,
    client: &Client,
    act: fn(Customer, Client) -> F,
) -> Vec<Customer>
where
    F: Future<Output = Customer> + Send + 'static,
{
    let acting: Vec<_> =
        customers.into_iter().map(|it| tokio::spawn(act(it, client.clone()))).collect();
    let mut customers = Vec::new();
    for acting in acting {
        customers.push(acting.await.unwrap());
    }
    customers
}

/// SplitMix64: the same seed, the same choices.
struct Random(u64);

impl Random {
    /// `CRASH_SEED`, or another one each time.
    fn seeded() -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var("CRASH_SEED").map_or(now, |seed| seed.parse().unwrap());
        println!("CRASH_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
