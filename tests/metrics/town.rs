//! A docket in a process of its own, who speaks to it through both faces, and who scrapes it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use axum::http::Method;
use docket::client::{Answer, Client};
use serde_json::{Value, json};

use crate::{
    exposition::Scrape,
    support::{Process, folder},
};

/// How long what is told within a second may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A docket, who speaks to it, and every text that is nobody's business.
pub struct Town {
    pub docket: Process,
    client: Client,
    operator: String,
    pub private: Vec<String>,
}

impl Town {
    pub fn start(variables: &[(&str, &str)]) -> (tempfile::TempDir, Self) {
        let (folder, data) = folder();
        let docket = Process::start(&data, variables);
        let operator = fs::read_to_string(data.join("operator.token")).unwrap().trim().to_owned();
        let (client, private) = (docket.client(), vec![operator.clone()]);
        (folder, Self { docket, client, operator, private })
    }

    /// A call of the bookstore's API that is answered with this code; gives the answer's body.
    pub async fn shop(&mut self, code: u16, path: &str, token: &str, body: Value) -> Value {
        self.shop_with(code, path, &[("token", token)], body).await
    }

    pub async fn shop_with(
        &mut self,
        code: u16,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Value {
        let answer = self.client.post(path, headers, &body).await.unwrap();
        self.learn(code, path, answer)
    }

    /// A call of the native API, `GET /v1/wallet` for example.
    pub async fn v1(&mut self, code: u16, call: &str, token: &str, body: Value) -> Value {
        let (method, path) = call.split_once(' ').unwrap();
        let bearer = format!("Bearer {token}");
        let headers: &[_] = if token.is_empty() { &[] } else { &[("authorization", &*bearer)] };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = self.client.send(method, path, headers, body).await.unwrap();
        self.learn(code, call, answer)
    }

    /// Remembers the ids and tokens that an answer brings.
    fn learn(&mut self, code: u16, call: &str, answer: Answer) -> Value {
        assert_eq!(answer.status, code, "{call}: {answer:?}");
        for name in ["id", "order_id", "account", "token", "command"] {
            let text = answer.body[name].as_str().unwrap_or_default();
            if !text.is_empty() {
                self.private.push(text.to_owned());
            }
        }
        answer.body
    }

    /// What anybody may send, in any shape.
    pub async fn odd(&self, code: u16, method: &str, path: &str) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = self.client.send(method, path, &[], "{}").await.unwrap();
        assert_eq!(answer.status, code, "{path}: {answer:?}");
    }

    /// An account of the native channel: its id and its token.
    pub async fn native(&mut self, name: &str) -> (String, String) {
        let body = json!({ "login": name, "password": format!("password of {name}") });
        let made = self.v1(201, "POST /v1/accounts", "", body.clone()).await;
        let session = self.v1(201, "POST /v1/sessions", "", body).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["account"]), text(&session["token"]))
    }

    /// A store of the native channel that sells one thing at 7.00 CNY.
    pub async fn sells(&mut self, seller: &str, store: &str, sku: &str) {
        self.v1(201, "POST /v1/stores", seller, json!({ "store": store })).await;
        let price = json!({ "minor": 700, "currency": "CNY" });
        let body = json!({ "sku": sku, "title": "Tea", "price": price, "quantity": 9 });
        self.v1(201, &format!("POST /v1/stores/{store}/listings"), seller, body).await;
    }

    pub async fn charge(&mut self, account: &str, minor: i64) {
        let body = json!({ "amount": { "minor": minor, "currency": "CNY" } });
        let operator = self.operator.clone();
        self.v1(200, &format!("POST /v1/accounts/{account}/wallet"), &operator, body).await;
    }

    pub async fn orders(&mut self, buyer: &str, store: &str, sku: &str) -> String {
        let body = json!({ "store": store, "lines": [{ "sku": sku, "quantity": 1 }] });
        let placed = self.v1(201, "POST /v1/orders", buyer, body).await;
        placed["id"].as_str().unwrap().to_owned()
    }

    /// What Prometheus would get: the text itself, and what it says.
    pub fn scrape(&self) -> (String, Scrape) {
        let mut stream =
            TcpStream::connect(self.docket.base.trim_start_matches("http://")).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let head = head.to_lowercase();
        assert!(head.contains("\r\ncontent-type: text/plain; version=0.0.4"), "{head}");
        (body.to_owned(), Scrape::parse(body).unwrap_or_else(|error| panic!("{error}\n{body}")))
    }

    /// Scrapes until it is so, or has been for long enough.
    pub async fn scrape_until(&self, is_so: impl Fn(&Scrape) -> bool) -> Scrape {
        let began = Instant::now();
        loop {
            let (_, scrape) = self.scrape();
            if is_so(&scrape) || began.elapsed() > PATIENCE {
                return scrape;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
