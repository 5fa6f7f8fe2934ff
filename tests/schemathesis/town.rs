//! A docket in a process of its own, and who and what schemathesis meets there. Names and passwords
//! are those of the document's examples, except of those whose session must last.

use std::{fs, path::Path};

use axum::http::Method;
use docket::client::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Process, folder};

/// The password that the document's examples give.
const PASSWORD: &str = "correct horse";

pub struct Town {
    pub process: Process,
    /// The operator's token.
    pub operator: String,
    /// Another operator's, which may be revoked.
    pub mortal: String,
    /// The session of a seller who buys, too.
    pub eve: String,
    /// The session of a buyer.
    pub ann: String,
    /// Sessions that may be ended.
    pub leavers: Vec<String>,
    folder: TempDir,
}

impl Town {
    pub async fn new() -> Self {
        let (folder, data) = folder();
        let process = Process::start(&data, &[]);
        let operator = fs::read_to_string(data.join("operator.token")).unwrap().trim().to_owned();
        let setting = Setting { client: process.client(), operator, folder: folder.path() };

        let served = setting.client.send(Method::GET, "/v1/openapi.json", &[], "").await.unwrap();
        fs::write(folder.path().join("openapi.json"), served.body.to_string()).unwrap();
        setting.account("sam", PASSWORD).await;
        let (eve_id, eve) = setting.user("eve", "of eve").await;
        let (ann_id, ann) = setting.user("ann", "of ann").await;
        let mut leavers = Vec::new();
        for name in ["leaver", "changer", "closer"] {
            leavers.push(setting.user(name, PASSWORD).await.1);
        }
        let mut forgotten = Vec::new();
        for name in ["old", "older", "oldest"] {
            forgotten.push(setting.account(name, PASSWORD).await);
        }

        setting.sells(&eve).await;
        for id in [&eve_id, &ann_id] {
            let amount = json!({ "amount": { "minor": 1_000_000, "currency": "CNY" } });
            setting.post(&format!("/v1/accounts/{id}/wallet"), &setting.operator, amount).await;
        }
        let (mut orders, mut commands) = (Vec::new(), Vec::new());
        for steps in LIVES {
            let (own, done) = setting.order(&eve, &eve, steps).await;
            let (another_s, _) = setting.order(&ann, &eve, steps).await;
            orders.extend([own, another_s]);
            commands.extend(done);
        }

        setting.token("watcher", "auditor").await;
        let mortal = setting.token("mortal", "operator").await;
        setting.writes("accounts", &[eve_id, ann_id]);
        setting.writes("forgotten", &forgotten);
        setting.writes("orders", &orders);
        setting.writes("commands", &commands);
        let operator = setting.operator;
        Self { process, operator, mortal, eve, ann, leavers, folder }
    }

    /// Where schemathesis runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// What is done to orders, and by whom.
const LIVES: [&[(&str, By)]; 5] = [
    &[],
    &[],
    &[("pay", By::Buyer)],
    &[("pay", By::Buyer), ("ship", By::Seller)],
    &[("pay", By::Buyer), ("ship", By::Seller), ("receive", By::Buyer)],
];

#[derive(Clone, Copy)]
enum By {
    Buyer,
    Seller,
}

/// A town that is being made.
struct Setting<'a> {
    client: Client,
    operator: String,
    folder: &'a Path,
}

impl Setting<'_> {
    /// A call that must succeed; gives its body.
    async fn post(&self, path: &str, token: &str, body: Value) -> Value {
        let bearer = format!("Bearer {token}");
        let json = ("content-type", "application/json");
        let headers = [json, ("authorization", bearer.as_str())];
        let headers = if token.is_empty() { &headers[..1] } else { &headers };
        let answer = self.client.send(Method::POST, path, headers, body.to_string()).await.unwrap();
        assert!(answer.status.is_success(), "{path} {body}: {answer:?}");
        answer.body
    }

    /// Makes an account; gives its id.
    async fn account(&self, login: &str, password: &str) -> String {
        let body = json!({ "login": login, "password": password });
        text(&self.post("/v1/accounts", "", body).await, "account")
    }

    /// The same, and logs in.
    async fn user(&self, login: &str, password: &str) -> (String, String) {
        let id = self.account(login, password).await;
        let body = json!({ "login": login, "password": password });
        (id, text(&self.post("/v1/sessions", "", body).await, "token"))
    }

    async fn token(&self, name: &str, role: &str) -> String {
        let body = json!({ "name": name, "role": role });
        text(&self.post("/v1/tokens", &self.operator, body).await, "token")
    }

    async fn sells(&self, seller: &str) {
        self.post("/v1/stores", seller, json!({ "store": "corner" })).await;
        for sku in ["tea", "pot"] {
            let price = json!({ "minor": 700, "currency": "CNY" });
            let body = json!({ "sku": sku, "title": sku, "price": price, "quantity": 1000 });
            self.post("/v1/stores/corner/listings", seller, body).await;
        }
    }

    /// Places an order and moves it on; gives it and the commands.
    async fn order(
        &self,
        buyer: &str,
        seller: &str,
        steps: &[(&str, By)],
    ) -> (String, Vec<String>) {
        let body = json!({ "store": "corner", "lines": [{ "sku": "tea", "quantity": 2 }] });
        let placed = self.post("/v1/orders", buyer, body).await;
        let (order, mut commands) = (text(&placed, "id"), vec![text(&placed, "command")]);
        for (word, by) in steps {
            let token = if let By::Buyer = by { buyer } else { seller };
            let done = self.post(&format!("/v1/orders/{order}/{word}"), token, json!({})).await;
            commands.push(text(&done, "command"));
        }
        (order, commands)
    }

    /// Writes down values that schemathesis may ask for, as its dictionaries have them.
    fn writes(&self, name: &str, values: &[String]) {
        let lines: Vec<_> = values.iter().map(|value| format!("\"{value}\"\n")).collect();
        fs::write(self.folder.join(format!("{name}.txt")), lines.concat()).unwrap();
    }
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap().to_owned()
}
