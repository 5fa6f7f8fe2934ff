//! Idempotency keys.

use serde_json::{Value, json};

use super::talk::{Town, is_problem};
use crate::support::Answer;

const KEY: [(&str, &str); 1] = [("idempotency-key", "\"k\"")];

/// Makes a call twice: the second must be answered with the same bytes, and say so. Then with
/// another body, which must be refused.
async fn twice(town: &Town, call: &str, token: &str, body: Value, other: Value) -> Answer {
    let first = town.call_with(call, token, &KEY, body.clone()).await;
    assert!((200..300).contains(&first.code), "{call}: {first:?}");
    assert!(!first.headers.contains_key("idempotent-replay"), "{call}");
    let position = town.shop.node.engine.head().position;
    town.user(&format!("somebody {position}")).await; // The journal goes on.
    let second = town.call_with(call, token, &KEY, body).await;
    assert_eq!((first.code, &first.bytes), (second.code, &second.bytes), "{call}");
    assert_eq!(second.headers["idempotent-replay"], "true", "{call}");
    for header in ["docket-position", "location"] {
        assert_eq!(first.headers.get(header), second.headers.get(header), "{call}");
    }
    if !other.is_null() {
        let third = town.call_with(call, token, &KEY, other).await;
        assert_eq!(third.code, 422, "{call}: {third:?}");
        is_problem(&third);
        assert_eq!(third.body["type"], "/problems/key-reused");
    }
    first
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_the_first() {
    let town = Town::new().await;
    let account = json!({ "login": "sam", "password": "pw-sam" });
    let other = json!({ "login": "sam", "password": "other" });
    let made = twice(&town, "POST /v1/accounts", "", account, other).await;
    let sam_id = made.body["account"].as_str().unwrap().to_owned();
    let sam = town.login_to("native", "sam").await;
    assert_eq!(town.get("/v1/accounts/me", &sam).await["account"], sam_id.as_str());

    let store = json!({ "store": "s" });
    twice(&town, "POST /v1/stores", &sam, store, json!({ "store": "t" })).await;
    let listing = |quantity: i64| {
        let price = json!({ "minor": 5, "currency": "CNY" });
        json!({ "sku": "a", "title": "", "price": price, "quantity": quantity })
    };
    twice(&town, "POST /v1/stores/s/listings", &sam, listing(1), listing(2)).await;
    let stock = |quantity: i64| json!({ "quantity": quantity });
    twice(&town, "POST /v1/stores/s/listings/a/stock", &sam, stock(1), stock(2)).await;
    assert_eq!(town.get("/v1/stores/s/listings/a", &sam).await["shelf"], 2);

    let (ann_id, ann) = town.user_of("native", "ann").await;
    let amount = |minor: i64| json!({ "amount": { "minor": minor, "currency": "CNY" } });
    let path = format!("POST /v1/accounts/{ann_id}/wallet");
    twice(&town, &path, &town.operator, amount(50), amount(51)).await;
    let order =
        |quantity: i64| json!({ "store": "s", "lines": [{ "sku": "a", "quantity": quantity }] });
    let placed = twice(&town, "POST /v1/orders", &ann, order(1), order(2)).await;
    let id = placed.body["id"].as_str().unwrap();
    twice(&town, &format!("POST /v1/orders/{id}/pay"), &ann, json!({}), Value::Null).await;
    assert_eq!(town.get("/v1/orders", &ann).await["items"].as_array().unwrap().len(), 1);
    assert_eq!(town.get("/v1/wallet", &ann).await["balances"][0]["minor"], 45);

    town.token("till", "staff", json!({})).await;
    twice(&town, "DELETE /v1/tokens/till", &town.operator, Value::Null, Value::Null).await;
}

#[tokio::test]
async fn a_request_that_ends_the_session_can_be_repeated_all_the_same() {
    let town = Town::new().await;
    let (id, ann) = town.user_of("native", "ann").await;
    let body = json!({ "old": "pw-ann", "new": "n" });
    let other = json!({ "old": "pw-ann", "new": "m" });
    twice(&town, "PUT /v1/accounts/me/password", &ann, body.clone(), other).await;
    town.refused(401, "PUT /v1/accounts/me/password", &ann, body).await;
    let login = json!({ "login": "ann", "password": "n" });
    let session = town.ok("POST /v1/sessions", "", login.clone()).await;
    let ann = session["token"].as_str().unwrap();
    twice(&town, "DELETE /v1/sessions/current", ann, Value::Null, Value::Null).await;
    let session = town.ok("POST /v1/sessions", "", login).await;
    let ann = session["token"].as_str().unwrap();
    let body = json!({ "password": "n" });
    twice(&town, "DELETE /v1/accounts/me", ann, body, json!({ "password": "m" })).await;
    // A dead token proves nothing else, key or no key.
    for call in ["GET /v1/wallet", "POST /v1/stores", "DELETE /v1/sessions/current"] {
        let body = if call.starts_with("POST") { json!({ "store": "x" }) } else { Value::Null };
        let answer = town.call_with(call, ann, &[("idempotency-key", "other")], body).await;
        assert_eq!(answer.code, 401, "{call}: {answer:?}");
    }
    let path = format!("DELETE /v1/accounts/{id}");
    twice(&town, &path, &town.operator, Value::Null, Value::Null).await;
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free_and_a_secret_takes_none() {
    let town = Town::new().await;
    let (sam, ann) = (town.user("sam").await, town.user("ann").await);
    town.sells(&sam, "s", &["a"]).await;
    let order =
        |quantity: i64| json!({ "store": "s", "lines": [{ "sku": "a", "quantity": quantity }] });
    let answer = town.call_with("POST /v1/orders", &ann, &KEY, order(99)).await;
    assert_eq!(answer.body["type"], "/problems/short-stock", "{answer:?}");
    let answer = town.call_with("POST /v1/orders", &ann, &KEY, order(1)).await;
    assert_eq!(answer.code, 201);
    // Another's key of the same name is another key.
    let answer = town.call_with("POST /v1/orders", &sam, &KEY, order(2)).await;
    assert_eq!(answer.code, 201);
    let login = json!({ "login": "ann", "password": "pw-ann" });
    let one = town.call_with("POST /v1/sessions", "", &KEY, login.clone()).await;
    let two = town.call_with("POST /v1/sessions", "", &KEY, login).await;
    assert_ne!(one.body["token"], two.body["token"]);
    assert!(!two.headers.contains_key("idempotent-replay"));
}
