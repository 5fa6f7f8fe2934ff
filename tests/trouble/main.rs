//! The real program and everything that can be done to it: full disks, folders it may not write,
//! damaged files, wrong keys, signals. It says what is wrong, touches nothing it does not
//! understand, and has everything acknowledged when the cause is gone.
#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod ending;
mod files;
mod storage;
#[path = "../support/mod.rs"]
mod support;

use std::{collections::BTreeMap, fs, path::Path};

use docket::client::{Answer, Client};
use serde_json::{Value, json};

/// Somebody who sells books and buys them.
pub struct Keeper {
    token: String,
    /// Acknowledged.
    orders: Vec<String>,
}

impl Keeper {
    /// Opens an account and a store with plenty of a book.
    pub async fn new(client: &Client) -> Self {
        let sam = json!({ "user_id": "sam", "password": "secret", "terminal": "till" });
        assert_eq!(post(client, "/auth/register", "", &sam).await.status, 200);
        let answer = post(client, "/auth/login", "", &sam).await;
        let token = answer.body["token"].as_str().unwrap().to_owned();
        let store = json!({ "user_id": "sam", "store_id": "corner" });
        assert_eq!(post(client, "/seller/create_store", &token, &store).await.status, 200);
        let book = json!({
            "user_id": "sam", "store_id": "corner", "stock_level": 1_000_000,
            "book_info": { "id": "b", "title": "The Ledger", "price": 1 },
        });
        assert_eq!(post(client, "/seller/add_book", &token, &book).await.status, 200);
        let mut keeper = Self { token, orders: Vec::new() };
        keeper.order(client).await;
        keeper
    }

    /// Tries to place an order; remembers it where it is acknowledged.
    pub async fn try_order(&mut self, client: &Client) -> Answer {
        let answer = self.post(client, "/buyer/new_order", new_order()).await;
        if answer.status == 200 {
            self.orders.push(answer.body["order_id"].as_str().unwrap().to_owned());
        }
        answer
    }

    /// Places an order.
    pub async fn order(&mut self, client: &Client) {
        let answer = self.try_order(client).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Every acknowledged order is there, and no other; and another is taken.
    pub async fn check(&mut self, client: &Client) {
        self.look(client).await;
        self.order(client).await;
        self.look(client).await;
    }

    /// Every acknowledged order is there, and no other, whichever view is asked.
    pub async fn look(&self, client: &Client) {
        let answer = self.post(client, "/buyer/query_order", json!({ "user_id": "sam" })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let found: Vec<_> = answer.body["order_list"].as_array().unwrap().clone();
        let newest_first: Vec<_> = self.orders.iter().rev().map(|id| json!(id)).collect();
        assert_eq!(found, newest_first);
        for order in [&self.orders[0], self.orders.last().unwrap()] {
            let body = json!({ "order_id": order });
            let answer = self.post(client, "/buyer/query_order_detail", body).await;
            assert_eq!(answer.body["order_detail_list"][0]["book_id"], "b", "{answer:?}");
        }
        let body = json!({ "title": "ledger" });
        let answer = self.post(client, "/buyer/search_book_all_title", body).await;
        let stock = 1_000_000 - 2 * self.orders.len();
        assert_eq!(answer.body["book_list"][0]["stock_level"], stock, "{answer:?}");
    }

    /// Posts JSON with the token.
    pub async fn post(&self, client: &Client, path: &str, body: Value) -> Answer {
        post(client, path, &self.token, &body).await
    }
}

/// The body of an order for two copies.
pub fn new_order() -> Value {
    json!({ "user_id": "sam", "store_id": "corner", "books": [{ "id": "b", "count": 2 }] })
}

/// Posts JSON.
pub async fn post(client: &Client, path: &str, token: &str, body: &Value) -> Answer {
    client.post(path, &[("token", token)], body).await.unwrap()
}

/// Gets a page.
pub async fn get(client: &Client, path: &str) -> Answer {
    client.send(axum::http::Method::GET, path, &[], "").await.unwrap()
}

/// Every file below a folder and what it holds, what belongs to the views left out.
pub fn snapshot(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() {
            files.insert(name, fs::read(&path).unwrap());
        } else if name != "views" {
            files.extend(
                snapshot(&path).into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)),
            );
        }
    }
    files
}
