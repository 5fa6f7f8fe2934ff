//! Who uses the shop, and remembers what was said.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use axum::http::Method;
use docket::client::{Answer, Client};
use serde_json::{Value, json};

use super::Random;

pub const SKUS: [&str; 3] = ["atlas", "bible", "codex"];
const PRICES: [i64; 3] = [1, 250, 3999];
const BUYERS_MAX: usize = 4;

/// A seller with a store, and those who buy there: one after the other, so that at any moment at
/// most one of their requests is without an answer.
pub struct Customer {
    random: Random,
    pub seller: Person,
    pub store: Option<String>,
    pub buyers: Vec<Person>,
    /// What lies on the shelf, by SKU; `None` before the book is listed.
    pub shelf: [Option<i64>; 3],
    pub orders: Vec<Order>,
    /// The request that was never answered.
    pending: Option<Call>,
    /// The last one that was.
    pub answered: Option<Call>,
    calls: u64,
}

pub struct Person {
    name: String,
    token: Option<String>,
    pub wallet: i64,
}

pub struct Order {
    pub id: String,
    buyer: usize,
    lines: Vec<(usize, i64)>,
    pub state: i64,
    placing: Call,
}

/// A request, and what it changes when it is accepted.
#[derive(Clone)]
pub struct Call {
    path: &'static str,
    token: String,
    key: String,
    body: String,
    change: Change,
    expected: u16,
}

#[derive(Clone)]
pub enum Change {
    /// The seller first, then buyers.
    Register(String),
    /// The seller, or a buyer by number.
    Login(Option<usize>),
    OpenStore(String),
    AddBook(usize, i64),
    AddStock(usize, i64),
    Fund(usize, i64),
    Place(usize, Vec<(usize, i64)>),
    /// An order, and the state it reaches.
    Step(usize, i64),
}

impl Customer {
    pub fn new(number: usize, seed: u64) -> Self {
        let seller = Person { name: format!("seller-{number}"), token: None, wallet: 0 };
        Self {
            random: Random(seed),
            seller,
            store: None,
            buyers: Vec::new(),
            shelf: [None; 3],
            orders: Vec::new(),
            pending: None,
            answered: None,
            calls: 0,
        }
    }

    /// Calls until the line is dead.
    pub async fn work(&mut self, client: &Client) {
        while self.call(client).await {}
    }

    async fn call(&mut self, client: &Client) -> bool {
        let call = self.choose();
        match call.send(client).await {
            Ok(answer) => {
                self.settle(call, &answer);
                true
            }
            Err(_) => {
                self.pending = Some(call);
                false
            }
        }
    }

    fn choose(&mut self) -> Call {
        if self.answered.is_none() {
            let name = self.seller.name.clone();
            return self.register(name);
        }
        if self.seller.token.is_none() {
            return self.login(None);
        }
        let Some(store) = self.store.clone() else {
            let store = self.seller.name.replace("seller", "store");
            let body = json!({ "user_id": self.seller.name, "store_id": store });
            return self.by(None, "/seller/create_store", body, Change::OpenStore(store), 200);
        };
        if let Some(sku) = self.shelf.iter().position(Option::is_none) {
            let stock = 20 + self.random.below(300) as i64;
            let body = json!({
                "user_id": self.seller.name, "store_id": store, "stock_level": stock,
                "book_info": { "id": SKUS[sku], "title": SKUS[sku], "price": PRICES[sku] },
            });
            return self.by(None, "/seller/add_book", body, Change::AddBook(sku, stock), 200);
        }
        if let Some(buyer) = self.buyers.iter().position(|buyer| buyer.token.is_none()) {
            return self.login(Some(buyer));
        }
        match self.random.below(100) {
            _ if self.buyers.is_empty() => self.register_buyer(),
            0..3 if self.buyers.len() < BUYERS_MAX => self.register_buyer(),
            0..6 => {
                let (sku, count) = (self.pick(SKUS.len()), 1 + self.random.below(60) as i64);
                let body = json!({
                    "user_id": self.seller.name, "store_id": store, "book_id": SKUS[sku],
                    "add_stock_level": count,
                });
                self.by(None, "/seller/add_stock_level", body, Change::AddStock(sku, count), 200)
            }
            6..16 => {
                let buyer = self.pick(self.buyers.len());
                let amount = 1 + self.random.below(30_000) as i64;
                let name = &self.buyers[buyer].name;
                let body =
                    json!({ "user_id": name, "password": secret(name), "add_value": amount });
                self.by(Some(buyer), "/buyer/add_funds", body, Change::Fund(buyer, amount), 200)
            }
            16..50 => self.place(&store),
            _ => {
                let open: Vec<_> = (0..self.orders.len())
                    .filter(|it| (0..3).contains(&self.orders[*it].state))
                    .collect();
                if open.is_empty() {
                    return self.place(&store);
                }
                // Mostly one of the newest.
                let newest = open.len().saturating_sub(8);
                let order = open[newest + self.pick(open.len() - newest)];
                self.step(order)
            }
        }
    }

    fn place(&mut self, store: &str) -> Call {
        let buyer = self.pick(self.buyers.len());
        let first = self.pick(SKUS.len());
        let second = (first + 1 + self.pick(SKUS.len() - 1)) % SKUS.len();
        let lines: Vec<_> =
            [first, second].map(|sku| (sku, 1 + self.random.below(3) as i64)).into();
        let short = lines.iter().any(|(sku, count)| self.shelf[*sku].unwrap() < *count);
        let books: Vec<_> =
            lines.iter().map(|(sku, count)| json!({ "id": SKUS[*sku], "count": count })).collect();
        let body = json!({ "user_id": self.buyers[buyer].name, "store_id": store, "books": books });
        let expected = if short { 517 } else { 200 };
        self.by(Some(buyer), "/buyer/new_order", body, Change::Place(buyer, lines), expected)
    }

    fn step(&mut self, order: usize) -> Call {
        let Order { id, buyer, state, .. } = &self.orders[order];
        let (buyer, state) = (*buyer, *state);
        let name = self.buyers[buyer].name.clone();
        let of = |name: &str| json!({ "user_id": name, "order_id": id });
        match (state, self.random.below(4)) {
            (0 | 1, 0) => {
                let body = of(&name);
                self.by(Some(buyer), "/buyer/cancel_order", body, Change::Step(order, -1), 200)
            }
            (0, _) => {
                let mut body = of(&name);
                body["password"] = secret(&name).into();
                let short = self.buyers[buyer].wallet < self.orders[order].total();
                let expected = if short { 519 } else { 200 };
                self.by(Some(buyer), "/buyer/payment", body, Change::Step(order, 1), expected)
            }
            (1, _) => {
                let body = of(&self.seller.name);
                self.by(None, "/seller/delivery_book", body, Change::Step(order, 2), 200)
            }
            _ => {
                let body = of(&name);
                self.by(Some(buyer), "/buyer/receive_book", body, Change::Step(order, 3), 200)
            }
        }
    }

    fn register_buyer(&mut self) -> Call {
        let name = format!("{}-buyer-{}", self.seller.name, self.buyers.len());
        self.register(name)
    }

    fn register(&mut self, name: String) -> Call {
        let body = json!({ "user_id": name, "password": secret(&name) });
        self.by(None, "/auth/register", body, Change::Register(name), 200)
    }

    fn login(&mut self, who: Option<usize>) -> Call {
        let name = &self.person(who).name;
        let body = json!({ "user_id": name, "password": secret(name), "terminal": "till" });
        self.by(None, "/auth/login", body, Change::Login(who), 200)
    }

    /// A call by a buyer or the seller, under a key of its own.
    fn by(
        &mut self,
        who: Option<usize>,
        path: &'static str,
        body: Value,
        change: Change,
        expected: u16,
    ) -> Call {
        self.calls += 1;
        let key = format!("{}/{}", self.seller.name, self.calls);
        let token = self.person(who).token.clone().unwrap_or_default();
        Call { path, token, key, body: body.to_string(), change, expected }
    }

    /// Takes in an answer. Nothing else changes what this customer knows.
    fn settle(&mut self, call: Call, answer: &Answer) {
        let Call { path, body, expected, .. } = &call;
        assert_eq!(answer.status.as_u16(), *expected, "{path} {body}: {answer:?}");
        if *expected != 200 {
            return;
        }
        match &call.change {
            Change::Register(name) if *name == self.seller.name => {}
            Change::Register(name) => {
                self.buyers.push(Person { name: name.clone(), token: None, wallet: 0 });
            }
            Change::Login(who) => {
                let token = answer.body["token"].as_str().unwrap().to_owned();
                match who {
                    None => self.seller.token = Some(token),
                    Some(buyer) => self.buyers[*buyer].token = Some(token),
                }
            }
            Change::OpenStore(store) => self.store = Some(store.clone()),
            Change::AddBook(sku, stock) => self.shelf[*sku] = Some(*stock),
            Change::AddStock(sku, count) => self.put(*sku, *count),
            Change::Fund(buyer, amount) => self.buyers[*buyer].wallet += amount,
            Change::Place(buyer, lines) => {
                let id = answer.body["order_id"].as_str().unwrap().to_owned();
                for (sku, count) in lines {
                    self.put(*sku, -count);
                }
                let (buyer, lines, placing) = (*buyer, lines.clone(), call.clone());
                self.orders.push(Order { id, buyer, lines, state: 0, placing });
            }
            Change::Step(order, to) => {
                let order = &mut self.orders[*order];
                let (from, total) = (std::mem::replace(&mut order.state, *to), order.total());
                let (buyer, lines) = (order.buyer, order.lines.clone());
                match (from, to) {
                    (0, 1) => self.buyers[buyer].wallet -= total,
                    (1, -1) => self.buyers[buyer].wallet += total,
                    (2, 3) => self.seller.wallet += total,
                    _ => {}
                }
                if *to == -1 {
                    for (sku, count) in lines {
                        self.put(sku, count);
                    }
                }
            }
        }
        self.answered = Some(call);
    }

    /// After a start: what was acknowledged is there; what was not is there or not, and sent again
    /// it is there once.
    pub async fn check(mut self, client: Client) -> Self {
        let (known, strangers) = self.look(&client).await;
        let reached = match &self.pending {
            Some(Call { change: Change::Step(order, to), expected: 200, .. }) => {
                Some((*order, *to))
            }
            _ => None,
        };
        for (n, order) in self.orders.iter().enumerate() {
            let state = known.get(&order.id);
            let state = state.unwrap_or_else(|| panic!("order {} is lost", order.id));
            let lawful = *state == order.state || reached == Some((n, *state));
            assert!(lawful, "order {}: {state} after {}", order.id, order.state);
        }
        if let Some(call) = self.pending.take() {
            let keyed = !matches!(call.change, Change::Login(_));
            let placing = matches!(call.change, Change::Place(..));
            let answer = call.send(&client).await.unwrap();
            let replay = is_replay(&answer);
            if placing {
                let found: Vec<_> = strangers.iter().map(String::as_str).collect();
                match replay {
                    true => assert_eq!(found, [answer.body["order_id"].as_str().unwrap()]),
                    false => assert!(found.is_empty(), "{found:?} were decided without their key"),
                }
            }
            if let Change::Step(order, to) = call.change {
                let before = known[&self.orders[order].id];
                assert_eq!(replay, before == to, "{} {}", call.path, call.body);
            }
            self.settle(call.clone(), &answer);
            if keyed && call.expected == 200 {
                self.repeat(&call, &client).await;
            }
            if !placing {
                assert!(strangers.is_empty(), "nobody placed {strangers:?}");
            }
        } else {
            assert!(strangers.is_empty(), "nobody placed {strangers:?}");
        }
        if let Some(call) = self.answered.clone() {
            self.repeat(&call, &client).await;
        }
        for _ in 0..self.orders.len().min(4) {
            let order = &self.orders[self.random.below(self.orders.len() as u64) as usize];
            self.repeat(&order.placing, &client).await;
            self.look_closely(order, &client).await;
        }
        let (known, strangers) = self.look(&client).await;
        assert!(strangers.is_empty(), "nobody placed {strangers:?}");
        for order in &self.orders {
            assert_eq!(known[&order.id], order.state, "order {}", order.id);
        }
        self
    }

    /// After the last start: every order, request by request.
    pub async fn repeat_everything(self, client: Client) -> Self {
        for order in &self.orders {
            self.repeat(&order.placing, &client).await;
            self.look_closely(order, &client).await;
        }
        self
    }

    /// The states of the buyers' orders, and which of these orders nobody was told of.
    async fn look(&self, client: &Client) -> (BTreeMap<String, i64>, BTreeSet<String>) {
        let mut states = BTreeMap::new();
        for buyer in self.buyers.iter().filter(|buyer| buyer.token.is_some()) {
            let ask = async |path: &str, mut body: Value| {
                body["user_id"] = buyer.name.as_str().into();
                let answer = post(client, path, buyer.token.as_deref(), &body).await;
                assert_eq!(answer.status, 200, "{path} {body}: {answer:?}");
                let orders = answer.body["order_list"].as_array().unwrap().clone();
                orders.into_iter().map(|id| id.as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            let mut live = BTreeSet::new();
            for state in -1..=3 {
                for id in ask("/buyer/query_order_para", json!({ "para": state })).await {
                    assert_eq!(states.insert(id.clone(), state), None, "order {id} is there twice");
                    if state >= 0 {
                        live.insert(id);
                    }
                }
            }
            let all = ask("/buyer/query_order", json!({})).await;
            assert_eq!(all.len(), live.len(), "of {}", buyer.name);
            assert_eq!(BTreeSet::from_iter(all), live, "of {}", buyer.name);
        }
        let known: HashSet<_> = self.orders.iter().map(|order| order.id.as_str()).collect();
        let strangers = states.keys().filter(|id| !known.contains(id.as_str())).cloned().collect();
        (states, strangers)
    }

    async fn look_closely(&self, order: &Order, client: &Client) {
        let token = self.buyers[order.buyer].token.as_deref();
        let body = json!({ "order_id": order.id });
        let answer = post(client, "/buyer/query_order_detail", token, &body).await;
        let details = answer.body["order_detail_list"].as_array().unwrap();
        let told: Vec<_> = details
            .iter()
            .map(|it| {
                (
                    it["book_id"].clone(),
                    it["count"].clone(),
                    it["price"].clone(),
                    it["state"].clone(),
                )
            })
            .collect();
        let known: Vec<_> = order
            .lines
            .iter()
            .map(|(sku, count)| {
                (json!(SKUS[*sku]), json!(count), json!(PRICES[*sku]), json!(order.state))
            })
            .collect();
        assert_eq!(told, known, "{answer:?}");
    }

    /// Sends what was accepted once more: it is the same, and marked so.
    async fn repeat(&self, call: &Call, client: &Client) {
        if matches!(call.change, Change::Login(_)) {
            return; // Its answer is a secret; it has no key.
        }
        let answer = call.send(client).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), is_replay(&answer)),
            (200, true),
            "{} {}: {answer:?}",
            call.path,
            call.body
        );
        if let Change::Place(..) = call.change {
            let placed = self.orders.iter().find(|order| order.placing.key == call.key).unwrap();
            assert_eq!(answer.body["order_id"], placed.id.as_str());
        }
    }

    fn person(&self, who: Option<usize>) -> &Person {
        who.map_or(&self.seller, |buyer| &self.buyers[buyer])
    }

    fn put(&mut self, sku: usize, count: i64) {
        *self.shelf[sku].as_mut().unwrap() += count;
    }

    fn pick(&mut self, count: usize) -> usize {
        self.random.below(count as u64) as usize
    }
}

impl Order {
    fn total(&self) -> i64 {
        self.lines.iter().map(|(sku, count)| PRICES[*sku] * count).sum()
    }
}

impl Call {
    async fn send(&self, client: &Client) -> anyhow::Result<Answer> {
        let headers = [("token", self.token.as_str()), ("idempotency-key", &self.key)];
        let sending = client.send(Method::POST, self.path, &headers, self.body.clone());
        tokio::time::timeout(Duration::from_secs(30), sending).await.expect("no answer in 30 s")
    }
}

async fn post(client: &Client, path: &str, token: Option<&str>, body: &Value) -> Answer {
    client.post(path, &[("token", token.unwrap_or_default())], body).await.unwrap()
}

fn is_replay(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replay").is_some_and(|it| it == "true")
}

fn secret(name: &str) -> String {
    format!("secret of {name}")
}
