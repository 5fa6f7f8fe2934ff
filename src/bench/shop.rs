//! The shop that is measured: one seller with two things that never run out, and buyers.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use axum::http::Method;
use serde_json::{Value, json};

use super::{load::Talk, process::Process};
use crate::client::Client;

/// The body of an order of two lines.
pub const ORDER: &str =
    r#"{"store":"bench","lines":[{"sku":"atlas","quantity":1},{"sku":"codex","quantity":2}]}"#;

/// The store.
pub const STORE: &str = "bench";
/// What it sells.
pub const SKUS: [&str; 2] = ["atlas", "codex"];
/// How many of each there are.
pub const PLENTY: i64 = 1_000_000_000_000;

/// How long to wait before a docket is asked again whether it can open accounts.
const PAUSE: Duration = Duration::from_millis(100);

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
        Self::at(docket, token.trim(), buyers, Duration::ZERO).await
    }

    /// The same where the operator's token is known, on a docket that may take so long until it takes
    /// commands.
    pub async fn at(
        docket: &Process,
        operator: &str,
        buyers: usize,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let client = Client::new(format!("http://{}", docket.address)).patient(patience);
        let mut shop = Self { client, operator: operator.to_owned(), buyers: Vec::new() };
        let since = Instant::now();
        let (_, seller) = loop {
            match shop.account("seller").await {
                Err(_) if since.elapsed() < patience => tokio::time::sleep(PAUSE).await,
                made => break made?,
            }
        };
        let stands = shop.call("GET", "/v1/stores/bench", &seller, &Value::Null).await.is_ok();
        if !stands {
            shop.call("POST", "/v1/stores", &seller, &json!({ "store": STORE })).await?;
            for sku in SKUS {
                let price = json!({ "minor": 1999, "currency": "CNY" });
                let listing = json!({ "sku": sku, "price": price, "quantity": PLENTY });
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

    /// Places an order for one of the buyers.
    pub async fn place_one(&self, buyer: usize) -> anyhow::Result<()> {
        let order: Value = serde_json::from_str(ORDER)?;
        self.call("POST", "/v1/orders", &self.buyers[buyer].1, &order).await.map(drop)
    }

    /// How many events the view that is furthest behind has yet to take in.
    pub async fn lag(&self) -> anyhow::Result<u64> {
        let ready = self.read("/readyz").await?;
        let views = ready["views"].as_array().context("views")?.iter();
        Ok(views.filter_map(|view| view["lag_events"].as_u64()).max().unwrap_or(0))
    }

    /// How many commits have public events that are not in the topics yet.
    pub async fn unpublished(&self) -> anyhow::Result<u64> {
        let node = &self.read("/readyz").await?["node"];
        let number = |name: &str| node[name].as_u64().with_context(|| name.to_owned());
        Ok(number("commit")?.saturating_sub(number("published")?))
    }
}

/// Requests, one after the other and again from the first.
pub struct Calls {
    requests: Vec<Vec<u8>>,
    next: usize,
    status: u16,
}

impl Calls {
    /// Calls, each with its token and its body, that are all answered with this status.
    pub fn new<'a>(
        calls: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
        status: u16,
    ) -> Self {
        let requests = calls.into_iter().map(|(called, token, body)| {
            let (method, path) = called.split_once(' ').unwrap_or(("GET", called));
            let bearer = match token {
                "" => String::new(),
                token => format!("authorization: Bearer {token}\r\n"),
            };
            let mut request = Vec::new();
            call(&mut request, method, path, &bearer, body);
            request
        });
        Self { requests: requests.collect(), next: 0, status }
    }
}

impl Talk for Calls {
    fn ask(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.requests[self.next]);
        self.next = (self.next + 1) % self.requests.len();
    }

    fn hear(&mut self, status: u16, body: &[u8]) -> anyhow::Result<bool> {
        ensure!(status == self.status, "answered {status}: {}", String::from_utf8_lossy(body));
        Ok(true)
    }
}

/// Writes a request with a JSON body.
pub fn call(out: &mut Vec<u8>, method: &str, path: &str, headers: &str, body: &str) {
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{kind}\
         content-length: {length}\r\n\r\n{body}"
    );
    out.extend_from_slice(request.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_go_round_and_take_one_answer() {
        let mut calls = Calls::new([("GET /a", "t", ""), ("POST /b", "", "{}")], 201);
        let mut asked = || {
            let mut out = Vec::new();
            calls.ask(&mut out);
            String::from_utf8(out).unwrap()
        };
        let get = "GET /a HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer t\r\n\
                   content-length: 0\r\n\r\n";
        let post = "POST /b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                    content-length: 2\r\n\r\n{}";
        assert_eq!([asked(), asked(), asked()], [get, post, get]);
        assert!(calls.hear(201, b"").unwrap());
        for status in [200, 400, 409, 503] {
            let refused = calls.hear(status, b"why").unwrap_err().to_string();
            assert_eq!(refused, format!("answered {status}: why"));
        }
    }
}
