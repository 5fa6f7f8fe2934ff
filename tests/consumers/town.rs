//! Who sells and buys, through `/v1` and through the bookstore's API, and what docket says of it.

use std::collections::BTreeMap;

use axum::http::Method;
use docket::client::Client;
use serde_json::{Value, json};

use crate::site::Site;

/// Of a channel, a store and a currency: how many orders are paid, and how much, in minor units.
pub type Paid = BTreeMap<(String, String, String), (u64, i64)>;

/// The phases of an order that is paid, in both channels.
const PAID: [&str; 3] = ["Paid", "Shipped", "Completed"];

/// What one thing costs, in fen.
const PRICE: i64 = 333;

const PASSWORD: &str = "correct horse";

/// How far an order comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Placed,
    CalledOff,
    Paid,
    PaidBack,
    Shipped,
    Received,
}

impl Life {
    pub const ALL: [Self; 6] =
        [Self::Placed, Self::CalledOff, Self::Paid, Self::PaidBack, Self::Shipped, Self::Received];
}

/// An API, and the words that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    Native,
    Bookstore,
}

/// Somebody with an account.
#[derive(Clone)]
pub struct Person {
    name: String,
    token: String,
}

/// A store, and who sells there.
#[derive(Clone)]
pub struct Store {
    pub api: Api,
    pub name: String,
    seller: Person,
    /// Not the seller.
    buyer: Person,
}

pub struct Town {
    client: Client,
    operator: String,
    pub stores: Vec<Store>,
}

impl Town {
    /// Two stores of one name in two channels, one whose name is hard to write, and one where nobody
    /// ever buys.
    pub async fn found(site: &Site) -> Self {
        let mut it =
            Self { client: site.client(), operator: site.operator.clone(), stores: Vec::new() };
        for (api, name) in [
            (Api::Native, "corner"),
            (Api::Native, "büro, \"links\" = 茶\t%"),
            (Api::Bookstore, "corner"),
            (Api::Bookstore, "idle"),
        ] {
            it.open(api, name).await;
        }
        it
    }

    async fn open(&mut self, api: Api, name: &str) {
        let n = self.stores.len();
        let seller = self.person(api, &format!("seller{n}")).await;
        let buyer = self.person(api, &format!("buyer{n}")).await;
        let token = &seller.token;
        match api {
            Api::Native => {
                self.v1("/v1/stores", token, json!({ "store": name })).await;
                let price = json!({ "minor": PRICE, "currency": "CNY" });
                let body = json!({ "sku": "b", "title": "b", "price": price, "quantity": 10_000 });
                self.v1(&format!("/v1/stores/{}/listings", encoded(name)), token, body).await;
            }
            Api::Bookstore => {
                let body = json!({ "user_id": seller.name, "store_id": name });
                self.book("/seller/create_store", token, body).await;
                let book = json!({ "id": "b", "title": "b", "price": PRICE });
                let body = json!({ "user_id": seller.name, "store_id": name, "book_info": book,
                                   "stock_level": 10_000 });
                self.book("/seller/add_book", token, body).await;
            }
        }
        self.stores.push(Store { api, name: name.to_owned(), seller, buyer });
    }

    /// Somebody with more money than there is to buy.
    async fn person(&self, api: Api, name: &str) -> Person {
        let funds = 100_000_000;
        let token = match api {
            Api::Native => {
                let body = json!({ "login": name, "password": PASSWORD });
                let made = self.v1("/v1/accounts", "", body.clone()).await;
                let wallet = format!("/v1/accounts/{}/wallet", text(&made, "account"));
                let amount = json!({ "amount": { "minor": funds, "currency": "CNY" } });
                self.v1(&wallet, &self.operator, amount).await;
                text(&self.v1("/v1/sessions", "", body).await, "token")
            }
            Api::Bookstore => {
                let mut body = json!({ "user_id": name, "password": PASSWORD });
                self.book("/auth/register", "", body.clone()).await;
                body["terminal"] = "t".into();
                let token = text(&self.book("/auth/login", "", body.clone()).await, "token");
                body["add_value"] = funds.into();
                self.book("/buyer/add_funds", &token, body).await;
                token
            }
        };
        Person { name: name.to_owned(), token }
    }

    /// An order of so many things, as far as it comes. Gives its id.
    pub async fn order(&self, store: &Store, quantity: i64, life: Life) -> String {
        self.buys(store, &store.buyer, quantity, life).await
    }

    /// The seller buys of himself.
    pub async fn own_order(&self, store: &Store, quantity: i64, life: Life) -> String {
        self.buys(store, &store.seller, quantity, life).await
    }

    async fn buys(&self, store: &Store, buyer: &Person, quantity: i64, life: Life) -> String {
        let order = match store.api {
            Api::Native => {
                let lines = json!([{ "sku": "b", "quantity": quantity }]);
                let body = json!({ "store": store.name, "lines": lines });
                text(&self.v1("/v1/orders", &buyer.token, body).await, "id")
            }
            Api::Bookstore => {
                let books = json!([{ "id": "b", "count": quantity }]);
                let body = json!({ "user_id": buyer.name, "store_id": store.name, "books": books });
                text(&self.book("/buyer/new_order", &buyer.token, body).await, "order_id")
            }
        };
        let steps: &[&str] = match life {
            Life::Placed => &[],
            Life::CalledOff => &["cancel"],
            Life::Paid => &["pay"],
            Life::PaidBack => &["pay", "cancel"],
            Life::Shipped => &["pay", "ship"],
            Life::Received => &["pay", "ship", "receive"],
        };
        for step in steps {
            self.step(store, buyer, &order, step).await;
        }
        order
    }

    /// Takes a paid order back.
    pub async fn pays_back(&self, store: &Store, order: &str) {
        self.step(store, &store.buyer, order, "cancel").await;
    }

    async fn step(&self, store: &Store, buyer: &Person, order: &str, step: &str) {
        match store.api {
            // What is paid only the seller calls off.
            Api::Native => {
                let who = if ["ship", "cancel"].contains(&step) { &store.seller } else { buyer };
                self.v1(&format!("/v1/orders/{order}/{step}"), &who.token, json!({})).await;
            }
            Api::Bookstore => {
                let (path, who) = match step {
                    "pay" => ("/buyer/payment", buyer),
                    "ship" => ("/seller/deliver_book", &store.seller),
                    "receive" => ("/buyer/receive_book", buyer),
                    _ => ("/buyer/cancel_order", buyer),
                };
                let body = json!({ "user_id": who.name, "password": PASSWORD, "order_id": order });
                self.book(path, &who.token, body).await;
            }
        }
    }

    /// What docket itself says, by its counts and its lists of orders.
    pub async fn told(&self) -> Paid {
        let mut paid = Paid::new();
        for Store { api, name, .. } in &self.stores {
            let channel = if *api == Api::Native { "native" } else { "bookstore" };
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("channel", channel).append_pair("store", name);
            query.extend_pairs(PAID.map(|phase| ("phase", phase)));
            let query = query.finish();
            let counts = self.get(&format!("/v1/orders/counts?{query}")).await;
            let (count, mut listed) = (counts["total"].as_u64().unwrap(), 0);
            let mut cursor = String::new();
            loop {
                let page = self.get(&format!("/v1/orders?{query}&limit=7{cursor}")).await;
                for order in page["items"].as_array().unwrap() {
                    let total = &order["total"];
                    let key = (channel.to_owned(), name.clone(), text(total, "currency"));
                    let sum = paid.entry(key).or_default();
                    *sum = (sum.0 + 1, sum.1 + total["minor"].as_i64().unwrap());
                    listed += 1;
                }
                let Some(next) = page["next"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(listed, count, "{channel} {name}");
        }
        paid
    }

    pub async fn get(&self, path: &str) -> Value {
        let bearer = format!("Bearer {}", self.operator);
        let headers = [("authorization", bearer.as_str())];
        let answer = self.client.send(Method::GET, path, &headers, "").await.unwrap();
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer.body
    }

    async fn v1(&self, path: &str, token: &str, body: Value) -> Value {
        let bearer = format!("Bearer {token}");
        self.post(path, ("authorization", &bearer), token, body).await
    }

    async fn book(&self, path: &str, token: &str, body: Value) -> Value {
        self.post(path, ("token", token), token, body).await
    }

    async fn post(&self, path: &str, header: (&str, &str), token: &str, body: Value) -> Value {
        let headers = [("content-type", "application/json"), header];
        let headers = if token.is_empty() { &headers[..1] } else { &headers };
        let answer = self.client.post(path, headers, &body).await.unwrap();
        assert!(answer.status.is_success(), "{path} {body}: {answer:?}");
        answer.body
    }
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap().to_owned()
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
