//! An order's whole life, and what its people see of it.

use std::time::Duration;

use axum::http::Method;
use expect_test::expect;
use serde_json::{Value, json};

use super::talk::Town;

#[tokio::test]
async fn an_order_from_the_shelf_to_its_buyer() {
    let town = Town::new().await;
    let (_, sam) = town.user_of("native", "sam").await;
    let (ann_id, ann) = town.user_of("native", "ann").await;
    town.sells(&sam, "corner", &["tea", "pot"]).await;
    town.charge(&ann_id, 5000).await;

    let body = json!({
        "store": "corner",
        "lines": [{ "sku": "tea", "quantity": 2 }, { "sku": "pot", "quantity": 1 },
                  { "sku": "tea", "quantity": 1 }],
    });
    let placed = town.call("POST /v1/orders", &ann, body).await;
    assert_eq!(placed.code, 201, "{placed:?}");
    let id = placed.body["id"].as_str().unwrap().to_owned();
    assert_eq!(placed.headers["location"], format!("/v1/orders/{id}"));
    assert_eq!(placed.headers["docket-position"], placed.body["position"].to_string());
    assert_eq!(placed.body["total"], json!({ "minor": 2800, "currency": "CNY" }));

    let order = town.get(&format!("/v1/orders/{id}"), &ann).await;
    assert_eq!(order["phase"], "AwaitingPayment");
    assert_eq!(order["buyer"], ann_id.as_str());
    assert_eq!(order["lines"][0]["quantity"], 3);
    assert_eq!(order["deadlines"]["pay"], super::talk::BEGIN_MS + 600_000);
    let listing = town.get("/v1/stores/corner/listings/tea", &ann).await;
    assert_eq!((&listing["shelf"], &listing["reserved"]), (&json!(7), &json!(3)));

    for (command, token, phase) in
        [("pay", &ann, "Paid"), ("ship", &sam, "Shipped"), ("receive", &ann, "Completed")]
    {
        town.hands.advance(Duration::from_secs(1));
        let receipt = town.ok(&format!("POST /v1/orders/{id}/{command}"), token, json!({})).await;
        assert_eq!(receipt["orders"][0]["id"], id.as_str());
        assert_eq!(town.get(&format!("/v1/orders/{id}"), token).await["phase"], phase);
        // What became of the command can be asked for by its caller, and by who sees everything.
        let path = format!("/v1/commands/{}", receipt["command"].as_str().unwrap());
        let mut outcome = town.get(&path, token).await;
        let fields = outcome.as_object_mut().unwrap();
        assert_eq!(fields.remove("name"), Some(json!(command)));
        assert_eq!(fields.remove("channel"), Some(json!("native")));
        assert_eq!(outcome, receipt);
        assert_eq!(town.get(&path, &town.operator).await["name"], command);
        let other = if token == &ann { &sam } else { &ann };
        town.refused(404, &format!("GET {path}"), other, Value::Null).await;
    }
    let wallet = town.get("/v1/wallet", &ann).await;
    assert_eq!(wallet["balances"], json!([{ "minor": 2200, "currency": "CNY" }]));
    let wallet = town.get("/v1/wallet", &sam).await;
    assert_eq!(wallet["balances"], json!([{ "minor": 2800, "currency": "CNY" }]));

    let history = town.get(&format!("/v1/orders/{id}/history"), &sam).await;
    let shown: Vec<String> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} v{} → {}", it["kind"], it["version"], it["payload"]["effect"]["to"]))
        .collect();
    expect![[r#"
        "order.placed" v1 → "AwaitingPayment"
        "order.paid" v1 → "Paid"
        "order.shipped" v1 → "Shipped"
        "order.received" v1 → "Completed""#]]
    .assert_eq(&shown.join("\n"));
    assert!(history.get("next").is_none());
    let order = town.get(&format!("/v1/orders/{id}"), &ann).await;
    assert_eq!(order["released"]["minor"], 2800);
    assert_eq!(order["phases"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn what_is_asked_after_a_restart_is_answered_as_before() {
    let town = Town::new().await;
    let sam = town.user("sam").await;
    town.sells(&sam, "corner", &["tea"]).await;
    let (id, ann) = town.user_of("native", "ann").await;
    town.charge(&id, 700).await;
    let order = town.orders(&ann, "corner", "tea").await;
    let receipt = town.ok(&format!("POST /v1/orders/{order}/pay"), &ann, Value::Null).await;
    let paths = [
        format!("/v1/commands/{}", receipt["command"].as_str().unwrap()),
        format!("/v1/orders/{order}"),
        format!("/v1/orders/{order}/history"),
        "/v1/orders".to_owned(),
        "/v1/orders/counts".to_owned(),
        "/v1/accounts/me".to_owned(),
        "/v1/wallet".to_owned(),
        "/v1/stores/corner".to_owned(),
        "/v1/stores/corner/listings".to_owned(),
        "/v1/lifecycles/native".to_owned(),
    ];
    let mut before = Vec::new();
    for path in &paths {
        before.push(town.get(path, &ann).await);
    }
    let town = town.restart().await;
    for (path, before) in paths.iter().zip(before) {
        assert_eq!(town.get(path, &ann).await, before, "{path}");
    }
    assert_eq!(town.get("/v1/orders/counts", &ann).await["phases"], json!({ "Paid": 1 }));
}

#[tokio::test]
async fn an_answer_has_seen_what_its_caller_has() {
    let town = Town::with("read_within = '50ms'").await;
    let ann = town.user("ann").await;
    let seen = town.call("GET /v1/wallet", &ann, Value::Null).await;
    let position: u64 = seen.headers["docket-position"].to_str().unwrap().parse().unwrap();
    for (least, code) in [(position, 200), (position + 1, 503)] {
        let headers = [("docket-min-position", &*least.to_string())];
        let answer = town.call_with("GET /v1/wallet", &ann, &headers, Value::Null).await;
        assert_eq!(answer.code, code, "{answer:?}");
    }
    let headers = [("docket-min-position", "soon")];
    let answer = town.call_with("GET /v1/wallet", &ann, &headers, Value::Null).await;
    assert_eq!((answer.code, &answer.body["field"]), (400, &json!("Docket-Min-Position")));
}

#[tokio::test]
async fn accounts_change_their_password_and_leave() {
    let town = Town::new().await;
    let (id, ann) = town.user_of("native", "ann").await;
    let me = town.get("/v1/accounts/me", &ann).await;
    assert_eq!(me, json!({ "account": id, "channel": "native", "login": "ann", "stores": [] }));
    let body = json!({ "old": "wrong", "new": "other" });
    town.refused(401, "PUT /v1/accounts/me/password", &ann, body).await;
    let body = json!({ "old": "pw-ann", "new": "other" });
    let answer = town.call("PUT /v1/accounts/me/password", &ann, body).await;
    assert_eq!((answer.code, answer.bytes.len()), (204, 0), "{answer:?}");
    town.refused(401, "GET /v1/wallet", &ann, Value::Null).await; // Every session ends.
    let body = json!({ "login": "ann", "password": "pw-ann" });
    town.refused(401, "POST /v1/sessions", "", body).await;
    let body = json!({ "login": "ann", "password": "other", "terminal": "a phone" });
    let session = town.ok("POST /v1/sessions", "", body.clone()).await;
    let ann = session["token"].as_str().unwrap();
    town.ok("DELETE /v1/sessions/current", ann, Value::Null).await;
    town.refused(401, "DELETE /v1/sessions/current", ann, Value::Null).await;
    let session = town.ok("POST /v1/sessions", "", body.clone()).await;
    let ann = session["token"].as_str().unwrap();
    town.refused(401, "DELETE /v1/accounts/me", ann, json!({ "password": "wrong" })).await;
    town.ok("DELETE /v1/accounts/me", ann, json!({ "password": "other" })).await;
    town.refused(401, "POST /v1/sessions", "", body).await;
    // The name is free, and another's.
    let (other, _) = town.user_of("native", "ann").await;
    assert_ne!(other, id);
}

/// JSON knows one kind of number; each of these is read as a neighbour of what it says by a reader
/// that is not exact.
#[tokio::test]
async fn a_number_is_the_one_that_is_written() {
    let town = Town::new().await;
    let (ann, token) = town.user_of("native", "ann").await;
    let wallet = format!("/v1/accounts/{ann}/wallet");
    let json = [("content-type", "application/json")];
    for (written, currency, minor) in [
        ("8857356826339217.0", "CNY", 8_857_356_826_339_217_i64),
        ("871141901024943300e-2", "USD", 8_711_419_010_249_433),
        ("1913606259976323.0", "COIN", 1_913_606_259_976_323),
    ] {
        let body = format!(r#"{{"amount":{{"minor":{written},"currency":"{currency}"}}}}"#);
        let answer = town.send(Method::POST, &wallet, &town.operator, &json, body).await;
        assert_eq!(answer.code, 200, "{written}: {answer:?}");
        let held = town.get("/v1/wallet", &token).await;
        let money = json!({ "minor": minor, "currency": currency });
        assert!(held["balances"].as_array().unwrap().contains(&money), "{written}: {held}");
    }
    let only_digits = "only digits tell which whole number is meant";
    for (written, why) in [
        // These two are the same to a reader of numbers with a point.
        ("9007199254740992.0", only_digits),
        ("9007199254740993.0", only_digits),
        ("-9007199254740992e0", only_digits),
        ("9223372036854775808", "expected a whole number that fits 64 bits"),
        ("9223372036854775808.0", "expected a whole number that fits 64 bits"),
        ("0.5", "expected a whole number that fits 64 bits"),
    ] {
        let body = format!(r#"{{"amount":{{"minor":{written},"currency":"CNY"}}}}"#);
        let answer = town.send(Method::POST, &wallet, &town.operator, &json, body).await;
        assert_eq!(
            (answer.code, &answer.body["field"]),
            (400, &json!("amount.minor")),
            "{written}"
        );
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.ends_with(why), "{written}: {detail}");
    }
    town.sells(&token, "corner", &[]).await;
    let tea = json!({
        "sku": "tea", "price": { "minor": 700, "currency": "CNY" }, "quantity": 1,
        "attributes": { "weight": 0.945_270_695_553_922_3 },
    });
    town.ok("POST /v1/stores/corner/listings", &token, tea).await;
    let tea = town.get("/v1/stores/corner/listings/tea", &token).await;
    assert_eq!(tea["attributes"]["weight"].to_string(), "0.9452706955539223");
}
