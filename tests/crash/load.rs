//! Customers at work on one docket, all at the same time.

use docket::client::Client;

use super::{customer::Customer, face::Face, shop::Shop, support::Random};

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
        Customer::new(random.fork(), faces, shop)
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
