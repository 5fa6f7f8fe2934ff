//! What the black-box tests share: a docket in this process, or one in a process of its own.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request},
};
use docket::{
    config::Config,
    engine::Clock,
    journal::Journal,
    node::{self, Node, Parts},
};
use events::Millis;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

pub mod decision;
mod half;
pub mod kafka;
mod process;
mod random;

pub use half::Half;
pub use process::{Ended, Process, log, program};
pub use random::Random;

/// Settings that make password hashes cheap enough for tests.
pub const CHEAP: &str = "password_memory_kib = 8\npassword_iterations = 1\n";

/// A clock that a test sets.
#[derive(Clone)]
pub struct Hands(Arc<AtomicI64>);

impl Hands {
    /// Stands at this moment.
    pub fn at(ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(ms)))
    }
    /// Goes on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
    /// What the engine reads.
    pub fn clock(&self) -> Clock {
        let hands = Arc::clone(&self.0);
        Arc::new(move || Millis(hands.load(Ordering::SeqCst)))
    }
}

/// A docket in this process, spoken to without a socket.
pub struct Shop {
    pub node: Node,
}

/// An answer: status, body, headers.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: u16,
    pub body: Value,
    /// The body as it came.
    pub bytes: Bytes,
    pub headers: HeaderMap,
}

impl Shop {
    /// Starts on a folder with `docket.toml`'s text after the cheap passwords'.
    pub async fn start(data: &Path, toml: &str, parts: Parts) -> Result<Self, node::Error> {
        let text = format!("{CHEAP}{toml}");
        let flags = [("data", data.display().to_string())];
        let config = Config::resolve(&flags, Some(("docket.toml", &text)), []).unwrap();
        Ok(Self { node: node::start(&config, parts).await? })
    }

    /// On a journal in memory.
    pub async fn on(
        journal: Arc<dyn Journal>,
        data: &Path,
        toml: &str,
        clock: Option<Clock>,
    ) -> Self {
        let parts = Parts { journal: Some(journal), clock, ..Parts::default() };
        Self::start(data, toml, parts).await.unwrap()
    }

    /// A request as it is.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.node.router.clone().oneshot(request).await.unwrap();
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { code, body, bytes, headers }
    }

    /// Posts JSON with a token (none where it is empty).
    pub async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.post_with(path, &[("token", token)], body.to_string()).await
    }

    /// What is answered to JSON with a token, which must be a success.
    pub async fn ok(&self, path: &str, token: &str, body: Value) -> Value {
        let answer = self.post(path, token, body).await;
        assert_eq!(answer.code, 200, "{path}: {answer:?}");
        answer.body
    }

    /// Posts a body with headers; those without a value are left out.
    pub async fn post_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(Method::POST).uri(path);
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Registers an account with the password `pw-<name>`, logs in, and gives the token.
    pub async fn user(&self, name: &str) -> String {
        let body = json!({ "user_id": name, "password": format!("pw-{name}") });
        assert_eq!(self.post("/auth/register", "", body).await.code, 200);
        self.login(name).await
    }

    /// Logs in and gives the token.
    pub async fn login(&self, name: &str) -> String {
        let body = json!({ "user_id": name, "password": format!("pw-{name}"), "terminal": "t" });
        self.ok("/auth/login", "", body).await["token"].as_str().unwrap().to_owned()
    }

    /// Ends in good order.
    pub async fn stop(self) {
        self.node.shut_down().await.unwrap();
    }
}

/// A folder that goes with the test, and the data folder inside it.
pub fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    (folder, data)
}
