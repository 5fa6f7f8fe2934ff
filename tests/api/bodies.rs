//! Bodies that are no bodies, amounts that are too much, and guesses.

use axum::{
    body::Body,
    http::{Method, Request},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::talk::{Town, is_problem};

#[tokio::test]
async fn bodies_are_bounded_json_of_one_shape() {
    let town = Town::with("body_bytes_max = 2048").await;
    let ann = town.user("ann").await;
    let send = async |headers: &[(&str, &str)], body: &str| {
        let answer = town.send(Method::POST, "/v1/stores", &ann, headers, body.to_owned()).await;
        is_problem(&answer);
        answer.code
    };
    let json = [("content-type", "application/json")];
    assert_eq!(send(&json, "{").await, 400);
    assert_eq!(send(&json, "").await, 400);
    assert_eq!(send(&json, "null").await, 400);
    assert_eq!(send(&json, r#"{"store":"x"} {}"#).await, 400);
    assert_eq!(send(&json, r#"{"store":"x","store":"y"}"#).await, 400);
    assert_eq!(send(&[("content-type", "text/plain")], r#"{"store":"x"}"#).await, 415);
    assert_eq!(send(&json, &format!("{{\"store\":\"{}\"}}", "x".repeat(3000))).await, 413);
    assert_eq!(send(&json, &format!("{{\"store\":\"{}\"}}", "x".repeat(256))).await, 400);
    let key = "k".repeat(256);
    assert_eq!(send(&[("idempotency-key", &key)], r#"{"store":"x"}"#).await, 400);
    let charset = [("content-type", "application/json; charset=utf-8")];
    let answer = town.send(Method::POST, "/v1/stores", &ann, &charset, r#"{"store":"x"}"#).await;
    assert_eq!(answer.code, 201);
    // Any name fits a path.
    let name = "a/b %?#é";
    town.ok("POST /v1/stores", &ann, json!({ "store": name })).await;
    let answer = town.call("GET /v1/stores/a%2Fb%20%25%3F%23%C3%A9", &ann, Value::Null).await;
    assert_eq!(answer.body["store"], name, "{answer:?}");
    town.refused(404, "GET /v1/stores/%FF", &ann, Value::Null).await;
}

#[tokio::test]
async fn a_docket_that_ends_says_so_in_the_same_shape() {
    let router = docket::http::trouble::ending();
    for (method, kind) in [(Method::GET, "busy"), (Method::POST, "unknown-outcome")] {
        let request =
            Request::builder().method(method).uri("/v1/orders").body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let problem: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(problem["type"], format!("/problems/{kind}"), "{problem}");
    }
}

#[tokio::test]
async fn guessing_passwords_is_slow() {
    let town = Town::new().await;
    town.user("ann").await;
    let body = json!({ "login": "ann", "password": "guess" });
    for _ in 0..5 {
        town.refused(401, "POST /v1/sessions", "", body.clone()).await;
    }
    town.refused(429, "POST /v1/sessions", "", body).await;
}

#[tokio::test]
async fn an_amount_that_cannot_be_counted_is_refused() {
    let town = Town::new().await;
    let (id, _) = town.user_of("native", "ann").await;
    town.charge(&id, i64::MAX).await;
    let body = json!({ "amount": { "minor": 1, "currency": "CNY" } });
    let path = format!("POST /v1/accounts/{id}/wallet");
    let problem = town.refused(409, &path, &town.operator, body).await;
    assert_eq!(problem["type"], "/problems/too-much");
}
