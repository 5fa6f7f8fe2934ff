//! The shop that is measured: one seller with two things that never run out, and buyers.

use std::path::Path;

use anyhow::{Context as _, ensure};
use axum::http::Method;
use serde_json::{Value, json};

use super::{load::Talk, process::Process};
use crate::client::Client;

/// The body of an order of two lines.
pub const ORDER: &str =
    r#"{"store":"bench","lines":[{"sku":"atlas","quantity":1},{"sku":"codex","quantity":2}]}"#;

/// Whom to speak to, and as whom.
pub struct Shop {
    client: Client,
    operator: String,
    /// Who buys: the account and its token.
    pub buyers: Vec<(String, String)>,
}

impl Shop {
    /// Opens it on a docket, with so many buyers; on one that has it already, they log in.
    pub async fn open(docket: &Process, data: &Path, buyers: usize) -> anyhow::Result<Self> {
        let token = std::fs::read_to_string(data.join("operator.token"))?;
        let client = Client::new(format!("http://{}", docket.address));
        let mut shop = Self { client, operator: token.trim().to_owned(), buyers: Vec::new() };
        let (_, seller) = shop.account("seller").await?;
        let stands = shop.call("GET", "/v1/stores/bench", &seller, &Value::Null).await.is_ok();
        if !stands {
            shop.call("POST", "/v1/stores", &seller, &json!({ "store": "bench" })).await?;
            for sku in ["atlas", "codex"] {
                let price = json!({ "minor": 1999, "currency": "CNY" });
                let listing =
                    json!({ "sku": sku, "price": price, "quantity": 1_000_000_000_000_i64 });
                shop.call("POST", "/v1/stores/bench/listings", &seller, &listing).await?;
            }
        }
        for n in 0..buyers {
            let buyer = shop.account(&format!("buyer-{n}")).await?;
            shop.buyers.push(buyer);
        }
        Ok(shop)
    }

    async fn account(&self, login: &str) -> anyhow::Result<(String, String)> {
        let body = json!({ "login": login, "password": "correct horse" });
        let made = self.call("POST", "/v1/accounts", "", &body).await;
        let session = self.call("POST", "/v1/sessions", "", &body).await;
        let session = session.or_else(|error| made.and(Err(error)))?;
        let text = |name: &str| session[name].as_str().map(str::to_owned).context("a session");
        Ok((text("account")?, text("token")?))
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("content-type", "application/json")];
        if !token.is_empty() {
            headers.push(("authorization", &bearer));
        }
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let method: Method = method.parse()?;
        let answer = self.client.send(method, path, &headers, text).await?;
        ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// What an operator reads at a path.
    pub async fn read(&self, path: &str) -> anyhow::Result<Value> {
        self.call("GET", path, &self.operator, &Value::Null).await
    }

    /// How many events the view that is furthest behind has yet to take in.
    pub async fn lag(&self) -> anyhow::Result<u64> {
        let ready = self.read("/readyz").await?;
        let views = ready["views"].as_array().context("views")?.iter();
        Ok(views.filter_map(|view| view["lag_events"].as_u64()).max().unwrap_or(0))
    }
}

/// The same request again and again.
pub struct Same {
    request: Vec<u8>,
    status: u16,
}

impl Same {
    /// A request that is answered with this status.
    pub fn new(call: &str, token: &str, body: &str, status: u16) -> Self {
        let (method, path) = call.split_once(' ').unwrap_or(("GET", call));
        let bearer = match token {
            "" => String::new(),
            token => format!("authorization: Bearer {token}\r\n"),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{bearer}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        );
        Self { request: request.into_bytes(), status }
    }
}

impl Talk for Same {
    fn ask(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request);
    }

    fn hear(&mut self, status: u16, body: &[u8]) -> anyhow::Result<bool> {
        ensure!(status == self.status, "answered {status}: {}", String::from_utf8_lossy(body));
        Ok(true)
    }
}
