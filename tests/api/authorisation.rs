//! Every route of every API, called by those who may not. The only ones that anybody may call are
//! named here.

use std::time::Duration;

use axum::http::Method;
use docket::http::access::{self, Row, Who};
use serde_json::{Value, json};

use super::talk::{Town, is_problem};
use crate::support::Answer;

/// What anybody may call.
const PUBLIC: [&str; 9] = [
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /docs",
    "POST /v1/accounts",
    "POST /v1/sessions",
    "GET /v1/openapi.json",
    "POST /auth/register",
    "POST /auth/login",
];

#[test]
fn the_public_routes_are_these() {
    let public = access::table().into_iter().filter(|row| row.who == [Who::Public]);
    let public: Vec<_> = public.map(|row| format!("{} {}", row.method, row.path)).collect();
    assert_eq!(public, PUBLIC);
    // Nobody is anybody beside others.
    assert!(
        access::table().iter().all(|row| row.who.len() == 1 || !row.who.contains(&Who::Public))
    );
    assert!(access::table().iter().all(|row| !row.who.is_empty()));
}

#[test]
fn each_route_is_one_line_of_the_table() {
    let lines: Vec<_> = access::table().iter().map(ToString::to_string).collect();
    assert!(lines.contains(
        &"GET     /v1/wallet                                 v1         account".to_owned()
    ));
    assert!(lines.iter().all(|line| line.split_whitespace().count() >= 4));
    let mut calls: Vec<_> = access::table().iter().map(|row| (row.method, row.path)).collect();
    let all = calls.len();
    calls.sort_unstable();
    calls.dedup();
    assert_eq!(calls.len(), all, "a route stands there twice");
}

/// A town in which everything that a path can name is there, and belongs to ann or to sam.
struct Walk {
    town: Town,
    account: String,
    order: String,
    command: String,
}

impl Walk {
    async fn new() -> Self {
        let town = Town::new().await;
        let sam = town.user("sam").await;
        let (account, ann) = town.user_of("native", "ann").await;
        town.sells(&sam, "corner", &["tea"]).await;
        town.charge(&account, 5000).await;
        let order = town.orders(&ann, "corner", "tea").await;
        let receipt = town.ok(&format!("POST /v1/orders/{order}/pay"), &ann, Value::Null).await;
        let command = receipt["command"].as_str().unwrap().to_owned();
        town.token("till", "staff", json!({ "store": "nowhere" })).await;
        Self { town, account, order, command }
    }

    /// The path with all that it names, and a body that would do.
    fn filled(&self, row: &Row) -> (String, Value) {
        let id = match row.path {
            path if path.contains("/accounts/") => &self.account,
            path if path.contains("/commands/") => &self.command,
            _ => &self.order,
        };
        let path = row
            .path
            .replace("{id}", id)
            .replace("{store}", "corner")
            .replace("{sku}", "tea")
            .replace("{command}", "cancel")
            .replace("{channel}", "native")
            .replace("/views/{name}", "/views/wallets")
            .replace("{name}", "till");
        let price = json!({ "minor": 1, "currency": "CNY" });
        let body = match (row.method, row.path) {
            ("PUT", "/v1/accounts/me/password") => json!({ "old": "pw-ann", "new": "x" }),
            ("DELETE", "/v1/accounts/me") => json!({ "password": "pw-ann" }),
            ("POST", "/v1/accounts/{id}/wallet") => json!({ "amount": price }),
            ("POST", "/v1/stores") => json!({ "store": "corner" }),
            ("POST", "/v1/stores/{store}/listings") => {
                json!({ "sku": "pot", "price": price, "quantity": 1 })
            }
            ("POST", "/v1/stores/{store}/listings/{sku}/stock") => json!({ "quantity": 1 }),
            ("POST", "/v1/orders") => {
                json!({ "store": "nowhere", "lines": [{ "sku": "tea", "quantity": 1 }] })
            }
            ("POST", "/v1/tokens") => json!({ "name": "eve", "role": "operator" }),
            ("PUT", "/v1/lifecycles/{channel}") => json!("version = 99"),
            ("POST", _) if row.face == "bookstore" => json!({
                "user_id": "ann", "password": "wrong", "oldPassword": "wrong", "newPassword": "x",
                "store_id": "corner", "book_id": "tea", "price": 1, "stock_level": 1,
                "add_stock_level": 1, "add_value": 1, "order_id": self.order, "para": 0,
                "books": [{ "id": "tea", "count": 1 }], "query": "", "title": "", "tag": "",
                "author": "",
            }),
            _ => Value::Null,
        };
        (path, body)
    }

    async fn call(&self, row: &Row, token: &str) -> Answer {
        let (path, body) = self.filled(row);
        let (text, kind) = match &body {
            Value::Null => (String::new(), ""),
            Value::String(text) => (text.clone(), "application/toml"),
            body => (body.to_string(), "application/json"),
        };
        // The bookstore's tokens come in a header of their own.
        let headers = [("content-type", kind), ("token", token), ("idempotency-key", "walk")];
        let method: Method = row.method.parse().unwrap();
        self.town.send(method, &path, token, &headers, text).await
    }
}

fn guarded() -> impl Iterator<Item = Row> {
    access::table().into_iter().filter(|row| row.who != [Who::Public])
}

#[tokio::test]
async fn without_a_live_token_every_route_refuses() {
    let walk = Walk::new().await;
    let town = &walk.town;
    // Expired by itself, replaced by another session, revoked, given up.
    let expired = town.user("eve").await;
    let short = town.token("short", "operator", json!({ "expires_in": 10 })).await;
    town.hands.advance(Duration::from_secs(3601));
    let replaced = town.user("bob").await;
    town.login_to("native", "bob").await;
    let revoked = town.token("once", "operator", json!({})).await;
    town.ok("DELETE /v1/tokens/once", &town.operator, Value::Null).await;
    let left = town.user("len").await;
    town.ok("DELETE /v1/accounts/me", &left, json!({ "password": "pw-len" })).await;
    let dead = ["", "nonsense", "docket_AAAA", &expired, &short, &replaced, &revoked, &left];
    let before = town.shop.node.engine.head().position;
    for row in guarded() {
        for token in dead {
            let answer = walk.call(&row, token).await;
            assert!(answer.code >= 400, "{row} with {token:?}: {answer:?}");
            if row.face == "v1" {
                assert_eq!(answer.code, 401, "{row} with {token:?}: {answer:?}");
                is_problem(&answer);
            }
            assert_ne!(answer.code, 500);
        }
    }
    assert_eq!(town.shop.node.engine.head().position, before, "nothing is recorded");
}

#[tokio::test]
async fn with_a_token_that_is_too_narrow_every_route_refuses_or_shows_nothing_of_others() {
    let walk = Walk::new().await;
    let town = &walk.town;
    let bob = town.user("bob").await;
    let (_, reader) = town.user_of("bookstore", "eve").await;
    let mut tokens = vec![("bob", Who::Account, bob), ("another channel's", Who::Account, reader)];
    for (role, who) in [
        ("operator", Who::Operator),
        ("auditor", Who::Auditor),
        ("staff", Who::Staff),
        ("gateway", Who::Gateway),
    ] {
        for (name, scope) in [
            ("of another channel", json!({ "channel": "bookstore" })),
            ("of another store", json!({ "channel": "native", "store": "nowhere" })),
        ] {
            let token = town.token(&format!("{role} {name}"), role, scope).await;
            tokens.push((name, who, token));
        }
    }
    let before = town.shop.node.engine.head().position;
    for row in guarded().filter(|row| row.face == "v1") {
        for (name, who, token) in &tokens {
            // Each may do this for itself.
            let own = match row.path {
                "/v1/accounts/me"
                | "/v1/accounts/me/password"
                | "/v1/sessions/current"
                | "/v1/wallet"
                | "/v1/orders"
                | "/v1/orders/counts"
                | "/v1/lifecycles" => true,
                "/v1/stores" => row.method == "POST",
                // What stores sell is for every account of the channel, and life cycles for all.
                "/v1/stores/{store}"
                | "/v1/stores/{store}/listings"
                | "/v1/stores/{store}/listings/{sku}" => row.method == "GET" && *name == "bob",
                "/v1/lifecycles/{channel}" => {
                    row.method == "GET" && !name.contains("another channel")
                }
                _ => false,
            };
            if own && row.method == "GET" {
                let answer = walk.call(&row, token).await;
                for secret in [&walk.order, &walk.account, &"pw-".to_owned()] {
                    let text = String::from_utf8_lossy(&answer.bytes);
                    assert!(!text.contains(secret.as_str()), "{row} by {name}: {text}");
                }
            } else if !own || *who != Who::Account {
                let answer = walk.call(&row, token).await;
                assert!(answer.code >= 400, "{row} by {who:?} {name}: {answer:?}");
                assert!(answer.code < 500, "{row} by {who:?} {name}: {answer:?}");
                is_problem(&answer);
            }
        }
    }
    assert_eq!(town.shop.node.engine.head().position, before, "nothing is recorded");
}

#[tokio::test]
async fn a_named_token_is_nobody_to_the_bookstore() {
    let walk = Walk::new().await;
    for row in guarded().filter(|row| row.face == "bookstore") {
        let answer = walk.call(&row, &walk.town.operator).await;
        assert!(answer.code >= 400 && answer.code != 500, "{row}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_in_no_row_is_not_there() {
    let town = Town::new().await;
    for path in ["/v1", "/v1/", "/v1/nothing", "/v1/orders/", "/v2", "/v1/stores//listings"] {
        let problem = town.call(&format!("GET {path}"), &town.operator, Value::Null).await;
        assert_eq!(problem.code, 404, "{path}: {problem:?}");
    }
    for (method, path, allow) in [
        ("PATCH", "/v1/orders", "POST, GET"),
        ("GET", "/v1/sessions", "POST"),
        ("POST", "/v1/wallet", "GET"),
    ] {
        let answer = town.call(&format!("{method} {path}"), &town.operator, Value::Null).await;
        assert_eq!((answer.code, answer.headers["allow"].to_str().unwrap()), (405, allow));
        is_problem(&answer);
    }
    for row in access::table() {
        let path = row.path.replace(['{', '}'], "x");
        let answer = town.call(&format!("{} {path}", row.method), "", Value::Null).await;
        assert!(![404, 405].contains(&answer.code) || row.face == "v1", "{row}: {answer:?}");
    }
    let head = town.call("HEAD /v1/orders", &town.operator, Value::Null).await;
    assert_eq!(head.code, 200);
}
