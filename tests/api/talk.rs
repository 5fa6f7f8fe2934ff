//! A docket spoken to through `/v1`, and those who speak to it.

use std::{path::PathBuf, sync::Arc};

use axum::{
    body::Body,
    http::{Method, Request},
};
use docket::{
    journal::{Journal, MemoryJournal, memory::MemoryStore},
    node::Parts,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Hands, Shop, folder};

/// When the tests' clocks begin.
pub const BEGIN_MS: i64 = 1_700_000_000_000;

pub struct Town {
    pub shop: Shop,
    pub hands: Hands,
    pub store: Arc<MemoryStore>,
    pub data: PathBuf,
    /// The token of the data folder.
    pub operator: String,
    toml: String,
    folder: TempDir,
}

impl Town {
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// With these settings.
    pub async fn with(toml: &str) -> Self {
        let (folder, data) = folder();
        Self::on(folder, data, Arc::default(), Hands::at(BEGIN_MS), toml).await
    }

    pub async fn on(
        folder: TempDir,
        data: PathBuf,
        store: Arc<MemoryStore>,
        hands: Hands,
        toml: &str,
    ) -> Self {
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::from_store(Arc::clone(&store)));
        let parts =
            Parts { journal: Some(journal), clock: Some(hands.clock()), ..Parts::default() };
        let shop = Shop::start(&data, toml, parts).await.unwrap();
        let operator = std::fs::read_to_string(data.join("operator.token")).unwrap();
        let (operator, toml) = (operator.trim().to_owned(), toml.to_owned());
        Self { shop, hands, store, data, operator, toml, folder }
    }

    /// Ends and starts again on the same journal, with other settings.
    pub async fn restart_with(self, toml: &str) -> Self {
        self.shop.stop().await;
        Self::on(self.folder, self.data, self.store, self.hands, toml).await
    }

    pub async fn restart(self) -> Self {
        let toml = self.toml.clone();
        self.restart_with(&toml).await
    }

    /// Any request. Headers without a value are left out.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        self.shop.send(request.body(body.into()).unwrap()).await
    }

    /// `POST /v1/orders`, for example; no body where it is null.
    pub async fn call(&self, call: &str, token: &str, body: Value) -> Answer {
        self.call_with(call, token, &[], body).await
    }

    pub async fn call_with(
        &self,
        call: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let (method, path) = call.split_once(' ').unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let json = [&[("content-type", "application/json")], headers].concat();
        let headers = if body.is_empty() { headers } else { &json };
        self.send(method.parse().unwrap(), path, token, headers, body).await
    }

    /// A call that must succeed; gives its body.
    pub async fn ok(&self, call: &str, token: &str, body: Value) -> Value {
        let answer = self.call(call, token, body).await;
        assert!((200..300).contains(&answer.code), "{call}: {answer:?}");
        answer.body
    }

    pub async fn get(&self, path: &str, token: &str) -> Value {
        self.ok(&format!("GET {path}"), token, Value::Null).await
    }

    /// A call that must be refused with this status; gives its problem.
    pub async fn refused(&self, code: u16, call: &str, token: &str, body: Value) -> Value {
        let answer = self.call(call, token, body.clone()).await;
        assert_eq!(answer.code, code, "{call} {body}: {answer:?}");
        is_problem(&answer);
        answer.body
    }

    /// Makes an account of a channel with the password `pw-<name>`; gives its id and its token.
    pub async fn user_of(&self, channel: &str, name: &str) -> (String, String) {
        let body = json!({ "channel": channel, "login": name, "password": format!("pw-{name}") });
        let made = self.ok("POST /v1/accounts", "", body).await;
        let token = self.login_to(channel, name).await;
        (made["account"].as_str().unwrap().to_owned(), token)
    }

    pub async fn user(&self, name: &str) -> String {
        self.user_of("native", name).await.1
    }

    pub async fn login_to(&self, channel: &str, name: &str) -> String {
        let body = json!({ "channel": channel, "login": name, "password": format!("pw-{name}") });
        let session = self.ok("POST /v1/sessions", "", body).await;
        session["token"].as_str().unwrap().to_owned()
    }

    /// A named token of a role, with more fields.
    pub async fn token(&self, name: &str, role: &str, more: Value) -> String {
        let mut body = json!({ "name": name, "role": role });
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let made = self.ok("POST /v1/tokens", &self.operator, body).await;
        made["token"].as_str().unwrap().to_owned()
    }

    /// A store of a seller's with some things at 7.00 CNY.
    pub async fn sells(&self, seller: &str, store: &str, skus: &[&str]) {
        self.ok("POST /v1/stores", seller, json!({ "store": store })).await;
        for sku in skus {
            let price = json!({ "minor": 700, "currency": "CNY" });
            let body = json!({ "sku": sku, "title": "Tea", "price": price, "quantity": 10 });
            self.ok(&format!("POST /v1/stores/{store}/listings"), seller, body).await;
        }
    }

    /// Brings a life cycle into force.
    pub async fn adopt(&self, channel: &str, text: &str) {
        let path = format!("/v1/lifecycles/{channel}");
        let headers = [("content-type", "application/toml")];
        let answer = self.send(Method::PUT, &path, &self.operator, &headers, text.to_owned()).await;
        assert_eq!(answer.code, 200, "{answer:?}");
    }

    pub async fn charge(&self, account: &str, minor: i64) {
        let body = json!({ "amount": { "minor": minor, "currency": "CNY" } });
        self.ok(&format!("POST /v1/accounts/{account}/wallet"), &self.operator, body).await;
    }

    /// Orders one of a thing; gives the order's id.
    pub async fn orders(&self, buyer: &str, store: &str, sku: &str) -> String {
        let body = json!({ "store": store, "lines": [{ "sku": sku, "quantity": 1 }] });
        let placed = self.ok("POST /v1/orders", buyer, body).await;
        placed["id"].as_str().unwrap().to_owned()
    }
}

/// Checks what every problem has.
pub fn is_problem(answer: &Answer) {
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{answer:?}");
    let problem = &answer.body;
    assert_eq!(problem["status"], answer.code, "{answer:?}");
    assert!(problem["type"].as_str().unwrap().starts_with("/problems/"), "{answer:?}");
    for member in ["title", "detail"] {
        assert!(!problem[member].as_str().unwrap().is_empty(), "{answer:?}");
    }
    match answer.code {
        401 => assert_eq!(answer.headers["www-authenticate"], "Bearer"),
        405 => assert!(answer.headers.contains_key("allow")),
        429 | 503 => assert!(answer.headers.contains_key("retry-after")),
        _ => {}
    }
}
