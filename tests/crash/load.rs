//! Customers at work on one docket, all at the same time.

use std::time::SystemTime;

use docket::client::Client;

use super::{customer::Customer, face::Face, shop::Shop};

/// Each customer's channel, and the faces it speaks.
pub const CUSTOMERS: [(&str, &[Face]); 7] = [
    ("bookstore", &[Face::Bookstore]),
    ("bookstore", &[Face::Bookstore]),
    ("native", &[Face::Native]),
    ("native", &[Face::Native]),
    ("native", &[Face::Native]),
    ("bookstore", &[Face::Bookstore, Face::Native]),
    ("bookstore", &[Face::Bookstore, Face::Native]),
];

/// Each of them, before anything has happened.
pub fn customers(random: &mut Random, operator: &str) -> Vec<Customer> {
    let customer = |(number, (channel, faces)): (usize, (&'static str, &'static [Face]))| {
        let shop = Shop::new(number, channel, operator.to_owned());
        Customer::new(Random(random.next()), faces, shop)
    };
    CUSTOMERS.into_iter().enumerate().map(customer).collect()
}

/// Lets every customer work until its line is dead, while something else happens.
pub async fn working(
    customers: Vec<Customer>,
    client: &Client,
    meanwhile: impl AsyncFnOnce(),
) -> Vec<Customer> {
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
    meanwhile().await;
    let mut customers = Vec::new();
    for worker in working {
        customers.push(worker.await.unwrap());
    }
    customers
}

/// Has every customer do something at the same time.
pub async fn each<F>(
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
pub struct Random(pub u64);

impl Random {
    /// `CRASH_SEED`, or another one each time.
    pub fn seeded() -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var("CRASH_SEED").map_or(now, |seed| seed.parse().unwrap());
        println!("CRASH_SEED={seed}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
