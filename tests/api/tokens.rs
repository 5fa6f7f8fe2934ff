//! Named tokens, and what each role may.

use std::time::Duration;

use serde_json::{Value, json};

use super::talk::Town;

#[tokio::test]
async fn tokens_are_shown_once_listed_without_their_secret_and_revoked() {
    let town = Town::new().await;
    let eve = town.token("eve", "auditor", json!({ "expires_in": 60 })).await;
    assert!(eve.starts_with("docket_") && eve.len() == 50, "{eve}");
    assert!(town.operator.starts_with("docket_"));
    let listed = town.get("/v1/tokens", &town.operator).await;
    let names: Vec<_> = listed["items"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["eve", "operator"]);
    assert!(!listed.to_string().contains("docket_"));
    let taken = json!({ "name": "eve", "role": "staff" });
    let problem = town.refused(409, "POST /v1/tokens", &town.operator, taken.clone()).await;
    assert_eq!((&problem["type"], &problem["field"]), (&json!("/problems/taken"), &json!("name")));
    town.get("/v1/orders", &eve).await;
    town.hands.advance(Duration::from_secs(60));
    town.refused(401, "GET /v1/orders", &eve, Value::Null).await;
    let listed = town.get("/v1/tokens", &town.operator).await;
    assert_eq!(listed["items"][0]["live"], false);
    town.ok("POST /v1/tokens", &town.operator, taken).await; // It has expired.
    let till = town.token("till", "staff", json!({})).await;
    town.get("/v1/orders", &till).await;
    town.ok("DELETE /v1/tokens/till", &town.operator, Value::Null).await;
    town.refused(401, "GET /v1/orders", &till, Value::Null).await;
    town.refused(404, "DELETE /v1/tokens/till", &town.operator, Value::Null).await;
    // What is recorded of a token is its digest.
    let town = town.restart().await;
    town.refused(401, "GET /v1/orders", &till, Value::Null).await;
    assert_eq!(town.get("/v1/tokens", &town.operator).await["items"][0]["name"], "eve");
}

#[tokio::test]
async fn the_file_says_which_token_is_the_operator_s() {
    let town = Town::new().await;
    let (old, path) = (town.operator.clone(), town.data.join("operator.token"));
    let positions = town.shop.node.engine.head().position;
    let town = town.restart().await;
    assert_eq!((&town.operator, town.shop.node.engine.head().position), (&old, positions));
    std::fs::remove_file(&path).unwrap();
    let town = town.restart().await;
    assert_ne!(town.operator, old);
    town.get("/v1/tokens", &town.operator).await;
    town.refused(401, "GET /v1/tokens", &old, Value::Null).await;
    // One that an operator wrote counts as well, if it is long enough to be a secret.
    std::fs::write(&path, format!("{}\n", "0123456789abcdef".repeat(4))).unwrap();
    let town = town.restart().await;
    town.get("/v1/tokens", &"0123456789abcdef".repeat(4)).await;
    // The token of this name can be revoked; the next start records it again.
    town.ok("DELETE /v1/tokens/operator", &town.operator, Value::Null).await;
    town.refused(401, "GET /v1/tokens", &town.operator, Value::Null).await;
    let town = town.restart().await;
    assert_eq!(town.get("/v1/tokens", &town.operator).await["items"][0]["name"], "operator");
}

/// What each role may: a call, and the status it is answered with. `<order>` and `<account>` are
/// those of a buyer; the order is paid.
#[tokio::test]
async fn every_role_may_what_it_is_for() {
    let town = Town::new().await;
    let sam = town.user("sam").await;
    let (ann_id, ann) = town.user_of("native", "ann").await;
    town.sells(&sam, "corner", &["a"]).await;
    town.sells(&sam, "other", &["a"]).await;
    town.charge(&ann_id, 5000).await;
    let order = town.orders(&ann, "corner", "a").await;
    town.ok(&format!("POST /v1/orders/{order}/pay"), &ann, Value::Null).await;
    let roles = [
        ("auditor", json!({})),
        ("auditor", json!({ "channel": "bookstore" })),
        ("auditor", json!({ "store": "other" })),
        ("staff", json!({})),
        ("staff", json!({ "store": "corner" })),
        ("gateway", json!({})),
        ("operator", json!({ "channel": "bookstore" })),
        ("operator", json!({ "channel": "native" })),
        ("operator", json!({ "store": "other" })),
        ("operator", json!({})),
    ];
    let charge = json!({ "amount": { "minor": 1, "currency": "CNY" } });
    let order_for_ann = json!({
        "store": "corner", "buyer": ann_id, "lines": [{ "sku": "a", "quantity": 1 }],
    });
    // In the order of the roles.
    let calls = [
        ("GET /v1/orders", Value::Null, [200, 200, 200, 200, 200, 403, 200, 200, 200, 200]),
        (
            "GET /v1/orders?channel=native",
            Value::Null,
            [200, 403, 200, 200, 200, 403, 403, 200, 200, 200],
        ),
        ("GET /v1/orders/<order>", Value::Null, [200, 404, 404, 200, 200, 403, 404, 200, 404, 200]),
        (
            "GET /v1/orders/<order>/history",
            Value::Null,
            [200, 404, 404, 200, 200, 403, 404, 200, 404, 200],
        ),
        (
            "GET /v1/orders/counts?store=corner&channel=native",
            Value::Null,
            [200, 403, 403, 200, 200, 403, 403, 200, 403, 200],
        ),
        (
            "GET /v1/stores/corner?channel=native",
            Value::Null,
            [200, 403, 403, 200, 200, 403, 403, 200, 403, 200],
        ),
        (
            "GET /v1/stores/corner/listings?channel=native",
            Value::Null,
            [200, 403, 403, 200, 200, 403, 403, 200, 403, 200],
        ),
        (
            "GET /v1/accounts/<account>",
            Value::Null,
            [200, 404, 403, 403, 403, 403, 404, 200, 403, 200],
        ),
        (
            "GET /v1/accounts/<account>/wallet",
            Value::Null,
            [200, 404, 403, 403, 403, 403, 404, 200, 403, 200],
        ),
        (
            "POST /v1/accounts/<account>/wallet",
            charge,
            [403, 403, 403, 403, 403, 403, 404, 200, 403, 200],
        ),
        (
            "GET /v1/lifecycles/native",
            Value::Null,
            [200, 403, 200, 200, 200, 200, 403, 200, 200, 200],
        ),
        ("GET /v1/tokens", Value::Null, [403, 403, 403, 403, 403, 403, 403, 403, 403, 200]),
        ("GET /v1/views", Value::Null, [200, 403, 403, 403, 403, 403, 403, 403, 403, 200]),
        ("POST /v1/stores", json!({ "store": "x" }), [403; 10]),
        ("POST /v1/orders", order_for_ann, [403; 10]),
        ("GET /v1/wallet", Value::Null, [403; 10]),
        ("GET /v1/accounts/me", Value::Null, [403; 10]),
        ("DELETE /v1/sessions/current", Value::Null, [403; 10]),
        // Of the native life cycle, staff ships nothing.
        (
            "POST /v1/orders/<order>/ship",
            Value::Null,
            [403, 403, 403, 403, 403, 403, 404, 403, 404, 403],
        ),
        (
            "DELETE /v1/accounts/<account>",
            Value::Null,
            [403, 403, 403, 403, 403, 403, 404, 409, 403, 204],
        ),
        // Whoever comes second finds it cancelled.
        (
            "POST /v1/orders/<order>/cancel",
            Value::Null,
            [403, 403, 403, 403, 403, 403, 404, 200, 404, 409],
        ),
    ];
    for (n, (role, more)) in roles.into_iter().enumerate() {
        let token = town.token(&format!("token {n}"), role, more.clone()).await;
        for (call, body, codes) in &calls {
            let call = call.replace("<order>", &order).replace("<account>", &ann_id);
            let answer = town.call(&call, &token, body.clone()).await;
            assert_eq!(answer.code, codes[n], "{call} by {role} {more}: {answer:?}");
        }
    }
}
