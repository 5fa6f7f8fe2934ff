//! Customers who go from node to node, and somebody who looks at every node at once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use docket::client::Client;
use serde_json::json;
use tokio::{sync::RwLock, task::JoinHandle};

use super::{
    customer::Customer,
    load::customers,
    site::{Nodes, OPERATOR, PATIENCE},
    support::Random,
};

/// Where the nodes are at the moment, and whether work goes on.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    clients: Mutex<Vec<Option<Client>>>,
    goes_on: AtomicBool,
    /// Held while a customer looks at what it was told: nothing ends meanwhile.
    calm: Arc<RwLock<()>>,
    /// The command that was accepted last: when it was given, and when it was accepted.
    accepted: Mutex<[Instant; 2]>,
    /// How many answers of nodes were compared, and how many of these nobody vouched for.
    looked: [AtomicUsize; 2],
}

/// So many answers of nodes are compared at least.
const LOOKS_MIN: usize = 100;

/// Everybody at work.
pub struct Work {
    pub lines: Lines,
    customers: Vec<JoinHandle<Customer>>,
}

impl Lines {
    fn of(nodes: &Nodes) -> Self {
        let lines = Self(Arc::new(Shared {
            clients: Mutex::default(),
            goes_on: AtomicBool::new(true),
            calm: Arc::default(),
            accepted: Mutex::new([Instant::now(); 2]),
            looked: Default::default(),
        }));
        lines.learn(nodes);
        lines
    }

    /// Which nodes run now.
    pub fn learn(&self, nodes: &Nodes) {
        let client = |node: usize| Some(nodes.nodes[node].as_ref()?.client());
        *self.0.clients.lock().unwrap() = (0..nodes.nodes.len()).map(client).collect();
    }

    /// A node is going to end: nobody begins anything there.
    pub fn without(&self, node: usize) {
        self.0.clients.lock().unwrap()[node] = None;
    }

    /// Waits until nobody is looking at what it was told, and keeps everybody from beginning to.
    pub async fn calm(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.0.calm).write_owned().await
    }

    /// Waits for a command to be accepted that was given after this moment, and says how long after.
    pub async fn accepts_after(&self, moment: Instant) -> Duration {
        loop {
            let [given, accepted] = *self.0.accepted.lock().unwrap();
            if given > moment {
                return accepted - moment;
            }
            assert!(moment.elapsed() < PATIENCE, "no command is accepted any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn all(&self) -> Vec<Client> {
        self.0.clients.lock().unwrap().iter().flatten().cloned().collect()
    }

    fn one(&self, random: &mut Random) -> Client {
        let all = self.all();
        all[random.below(all.len() as u64) as usize].clone()
    }

    fn go_on(&self) -> bool {
        self.0.goes_on.load(Ordering::Relaxed)
    }
}

impl Work {
    /// The customers begin; each works on one node until that ends, and goes on at another.
    pub fn begin(nodes: &Nodes, random: &mut Random) -> Self {
        let lines = Lines::of(nodes);
        let mut at_work = Vec::new();
        for (n, mut customer) in customers(random, OPERATOR).into_iter().enumerate() {
            customer.several = true;
            let (lines, random) = (lines.clone(), random.fork());
            // Of the customers of the native face one looks at every node after each step.
            let looks = n == 2;
            at_work.push(tokio::spawn(shopping(customer, lines, random, looks)));
        }
        Self { lines, customers: at_work }
    }

    /// Lets everybody finish, once every node has been looked at often.
    pub async fn end(self) -> Vec<Customer> {
        let looked = |n: usize| self.lines.0.looked[n].load(Ordering::Relaxed);
        let began = Instant::now();
        while looked(0) < LOOKS_MIN {
            assert!(
                began.elapsed() < PATIENCE,
                "only {} answers of nodes were compared",
                looked(0)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.lines.0.goes_on.store(false, Ordering::Relaxed);
        let mut customers = Vec::new();
        for customer in self.customers {
            customers.push(customer.await.unwrap());
        }
        let [all, unsure] = [0, 1].map(|n: usize| self.lines.0.looked[n].load(Ordering::Relaxed));
        println!("{all} answers of nodes were compared; for {unsure} more nobody vouched");
        customers
    }
}

async fn shopping(
    mut customer: Customer,
    lines: Lines,
    mut random: Random,
    looks: bool,
) -> Customer {
    while lines.go_on() {
        let client = lines.one(&mut random).patient(PATIENCE);
        loop {
            if !lines.go_on() {
                return customer;
            }
            let (before, given) = (customer.accepted(), Instant::now());
            if !customer.act(&client).await {
                break;
            }
            if customer.accepted() > before {
                *lines.0.accepted.lock().unwrap() = [given, Instant::now()];
            }
            if looks {
                look_everywhere(&customer, &lines).await;
            }
        }
        let _calm = Arc::clone(&lines.0.calm).read_owned().await;
        let client = lines.one(&mut random).patient(PATIENCE);
        customer = customer.check(client).await;
    }
    customer
}

/// Every node at once: none is behind what the customer was told, unless it says that it may be.
async fn look_everywhere(customer: &Customer, lines: &Lines) {
    let mut known: BTreeMap<String, u64> = BTreeMap::new();
    let buyer = customer.shop.buyers.iter().position(|buyer| buyer.token.is_some());
    let Some(buyer) = buyer else { return };
    for order in customer.shop.orders.iter().filter(|order| order.buyer == buyer) {
        let phase = serde_json::to_value(order.phase).unwrap();
        *known.entry(phase.as_str().unwrap().to_owned()).or_default() += 1;
    }
    let token = customer.shop.buyers[buyer].token();
    let asking = lines.all().into_iter().map(async |client| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        client.send(axum::http::Method::GET, "/v1/orders/counts", &headers, "").await
    });
    for told in futures(asking).await {
        let Ok(told) = told else { continue }; // That node has just ended.
        let unsure = told.status == 503 || told.headers.contains_key("docket-consistency");
        lines.0.looked[usize::from(unsure)].fetch_add(1, Ordering::Relaxed);
        if !unsure {
            assert_eq!(told.status, 200, "{told:?}");
            assert_eq!(told.body["phases"], json!(known), "{told:?}");
        }
    }
}

/// All of them at the same time.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (waiting, done) in waiting.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(it) = waiting.as_mut().poll(context)
            {
                *done = Some(it);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
