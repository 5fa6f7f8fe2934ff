//! What is secret stays so: nothing of it is in a log or in a refusal.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::http::{Method, StatusCode};
use docket::inner::header;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::node::{ADDRESS, NOON, Node, SECRET, http, name, request, secret, signer};

/// What would tell a body.
const MARK: &str = "marked-text-of-a-body";

/// All that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn neither_secrets_nor_bodies_are_logged_or_told() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let logging = tracing::subscriber::set_default(subscriber);
    let (node, path, mut told) = (Node::new(100), "/inner/v1/commands", String::new());
    let good = json!({ "within_ms": 1, "request": request(MARK) }).to_string();
    let unknown = json!({ "within_ms": 1, "request": MARK }).to_string();
    let broken = format!("{{\"{MARK}\":");
    let mut statuses = Vec::new();
    let mut signatures = Vec::new();
    for secret in [SECRET, "another secret, which is as long as the first"] {
        for body in [&good, &unknown, &broken] {
            let signer = signer(secret, NOON);
            let headers = signer.sign(&name(ADDRESS), &Method::POST, path, body.as_bytes()).headers;
            let answer = node.send(http(Method::POST, path, &headers, body.clone())).await;
            statuses.push(answer.status);
            told.push_str(&String::from_utf8_lossy(&answer.body));
            signatures.push(headers[header::SIGNATURE].to_str().unwrap().to_owned());
        }
    }
    drop(logging);
    let (ok, bad, no) = (StatusCode::OK, StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED);
    assert_eq!(statuses, [ok, bad, bad, no, no, no]);
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("the signature is wrong"), "a refusal can be found: {logged}");
    assert!(logged.contains("node=node-2"), "and so can whose it was: {logged}");
    told.push_str(&logged);
    for kept in signatures.iter().map(String::as_str).chain([SECRET, "another secret", MARK]) {
        assert!(!told.contains(kept), "{kept} is told in {told}");
    }
}

#[test]
fn a_secret_is_not_printed() {
    assert_eq!(format!("{:?}", secret(SECRET)), "Secret(..)");
}
