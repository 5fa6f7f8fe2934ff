//! What cannot be, and how it is told: each with its kind, its field and its rule.

use axum::http::Method;
use serde_json::{Value, json};

use super::talk::{Town, is_problem};

/// One call that is refused: who calls, the call, its body, and how it is refused.
type Refused<'a> = (&'a str, &'a str, Value, u16, &'a str, Value, Value);

#[tokio::test]
async fn a_problem_names_the_field_the_rule_and_the_phase() {
    let town = Town::new().await;
    let (_, sam) = town.user_of("native", "sam").await;
    let (ann_id, ann) = town.user_of("native", "ann").await;
    town.sells(&sam, "corner", &["tea"]).await;
    let order = town.orders(&ann, "corner", "tea").await;
    let line = |sku: &str, quantity: i64| json!([{ "sku": sku, "quantity": quantity }]);
    let place = |store: &str, lines: Value| json!({ "store": store, "lines": lines });
    let price = json!({ "minor": 1, "currency": "CNY" });
    let none = Value::Null;
    let step = |command: &str| format!("POST /v1/orders/{order}/{command}");
    let (pay, ship, receive, evaluate) =
        (step("pay"), step("ship"), step("receive"), step("evaluate"));
    let (dance, expire) = (step("dance"), step("expire"));
    let nobody = "00000000-0000-0000-0000-000000000009";
    let (no_order, no_command, no_account) = (
        format!("GET /v1/orders/{nobody}"),
        format!("GET /v1/commands/{nobody}"),
        format!("GET /v1/accounts/{nobody}"),
    );
    let wallet = format!("POST /v1/accounts/{ann_id}/wallet");
    let (forget, unforget) =
        (format!("DELETE /v1/accounts/{ann_id}"), format!("DELETE /v1/accounts/{nobody}"));
    let oper = town.operator.as_str();
    let cases: Vec<Refused<'_>> = vec![
        (
            "",
            "POST /v1/accounts",
            json!({ "login": "ann", "password": "x" }),
            409,
            "taken",
            json!("login"),
            json!("account"),
        ),
        (
            "",
            "POST /v1/accounts",
            json!({ "password": "x" }),
            400,
            "bad-request",
            json!("login"),
            none.clone(),
        ),
        (
            "",
            "POST /v1/accounts",
            json!({ "login": "", "password": "x" }),
            400,
            "bad-request",
            json!("login"),
            none.clone(),
        ),
        (
            "",
            "POST /v1/accounts",
            json!({ "login": 7, "password": "x" }),
            400,
            "bad-request",
            json!("login"),
            none.clone(),
        ),
        (
            "",
            "POST /v1/accounts",
            json!({ "login": "x", "password": "x", "age": 7 }),
            400,
            "bad-request",
            json!("age"),
            none.clone(),
        ),
        (
            "",
            "POST /v1/accounts",
            json!({ "login": "x", "password": "x", "channel": "nowhere" }),
            404,
            "not-found",
            json!("channel"),
            none.clone(),
        ),
        ("", "POST /v1/accounts", json!([]), 400, "bad-request", none.clone(), none.clone()),
        (
            "",
            "POST /v1/sessions",
            json!({ "login": "ann", "password": "x" }),
            401,
            "unauthenticated",
            none.clone(),
            json!("credential"),
        ),
        (
            "",
            "POST /v1/sessions",
            json!({ "login": "nobody", "password": "x" }),
            401,
            "unauthenticated",
            none.clone(),
            json!("credential"),
        ),
        (
            &ann,
            "POST /v1/stores",
            json!({ "store": "corner" }),
            409,
            "taken",
            json!("store"),
            none.clone(),
        ),
        (
            &ann,
            "POST /v1/stores",
            json!({ "store": "x", "channel": "bookstore" }),
            403,
            "forbidden",
            json!("channel"),
            none.clone(),
        ),
        (
            &ann,
            "POST /v1/stores?channel=bookstore",
            json!({ "store": "x" }),
            400,
            "bad-request",
            json!("channel"),
            none.clone(),
        ),
        (
            &ann,
            "POST /v1/stores?channel=native",
            json!({ "store": "x", "channel": "bookstore" }),
            400,
            "bad-request",
            json!("channel"),
            none.clone(),
        ),
        (
            &ann,
            "GET /v1/stores/nowhere",
            none.clone(),
            404,
            "not-found",
            json!("store"),
            json!("store"),
        ),
        (
            &ann,
            "GET /v1/stores/nowhere/listings",
            none.clone(),
            404,
            "not-found",
            json!("store"),
            json!("store"),
        ),
        (
            &ann,
            "GET /v1/stores/corner/listings/pot",
            none.clone(),
            404,
            "not-found",
            json!("sku"),
            json!("lines"),
        ),
        (
            &ann,
            "POST /v1/stores/corner/listings",
            json!({ "sku": "x", "price": price, "quantity": 1 }),
            403,
            "forbidden",
            none.clone(),
            json!("own"),
        ),
        (
            &sam,
            "POST /v1/stores/corner/listings",
            json!({ "sku": "tea", "price": price, "quantity": 1 }),
            409,
            "taken",
            json!("sku"),
            none.clone(),
        ),
        (
            &sam,
            "POST /v1/stores/corner/listings",
            json!({ "sku": "x", "price": price, "quantity": -1 }),
            400,
            "bad-request",
            json!("quantity"),
            none.clone(),
        ),
        (
            &sam,
            "POST /v1/stores/corner/listings",
            json!({ "sku": "x", "price": { "minor": -1, "currency": "CNY" }, "quantity": 1 }),
            400,
            "bad-request",
            json!("price.minor"),
            none.clone(),
        ),
        (
            &sam,
            "POST /v1/stores/corner/listings",
            json!({ "sku": "x", "price": { "minor": 1.5, "currency": "CNY" }, "quantity": 1 }),
            400,
            "bad-request",
            json!("price.minor"),
            none.clone(),
        ),
        (
            &sam,
            "POST /v1/stores/corner/listings",
            json!({ "sku": "x", "price": { "minor": 1, "currency": "XXX" }, "quantity": 1 }),
            400,
            "bad-request",
            json!("price.currency"),
            none.clone(),
        ),
        (
            &sam,
            "POST /v1/stores/nowhere/listings",
            json!({ "sku": "x", "price": price, "quantity": 1 }),
            404,
            "not-found",
            json!("store"),
            json!("store"),
        ),
        (
            &sam,
            "POST /v1/stores/corner/listings/tea/stock",
            json!({ "quantity": 0 }),
            400,
            "bad-request",
            json!("quantity"),
            none.clone(),
        ),
        (
            &sam,
            "POST /v1/stores/corner/listings/pot/stock",
            json!({ "quantity": 1 }),
            404,
            "not-found",
            json!("sku"),
            json!("lines"),
        ),
        (
            &sam,
            "POST /v1/stores/corner/listings/tea/stock",
            json!({ "quantity": i64::MAX }),
            409,
            "too-much",
            none.clone(),
            none.clone(),
        ),
        (
            &ann,
            "POST /v1/orders",
            place("corner", json!([])),
            400,
            "bad-request",
            json!("lines"),
            none.clone(),
        ),
        (
            &ann,
            "POST /v1/orders",
            place("corner", line("tea", 0)),
            400,
            "bad-request",
            json!("lines[0].quantity"),
            none.clone(),
        ),
        (
            &ann,
            "POST /v1/orders",
            place("corner", json!([{ "sku": "tea" }])),
            400,
            "bad-request",
            json!("lines[0].quantity"),
            none.clone(),
        ),
        (
            &ann,
            "POST /v1/orders",
            place("corner", json!([{ "sku": "", "quantity": 1 }])),
            400,
            "bad-request",
            json!("lines[0].sku"),
            none.clone(),
        ),
        (
            &ann,
            "POST /v1/orders",
            place("corner", line("tea", 10)),
            409,
            "short-stock",
            json!("quantity"),
            json!("lines"),
        ),
        (
            &ann,
            "POST /v1/orders",
            place("corner", line("pot", 1)),
            404,
            "not-found",
            json!("sku"),
            json!("lines"),
        ),
        (
            &ann,
            "POST /v1/orders",
            place("nowhere", line("tea", 1)),
            404,
            "not-found",
            json!("store"),
            json!("store"),
        ),
        (
            &ann,
            "POST /v1/orders",
            json!({ "store": "corner", "lines": line("tea", 1), "kind": "heavy" }),
            400,
            "bad-request",
            json!("kind"),
            none.clone(),
        ),
        (&ann, &pay, none.clone(), 409, "short-funds", none.clone(), json!("funds")),
        (&ann, &ship, none.clone(), 403, "forbidden", none.clone(), json!("own")),
        (&ann, &expire, none.clone(), 403, "forbidden", none.clone(), json!("own")),
        (&ann, &receive, none.clone(), 409, "out-of-phase", none.clone(), json!("phase")),
        (&sam, &ship, none.clone(), 409, "out-of-phase", none.clone(), json!("phase")),
        // The channel's life cycle does not have it.
        (&ann, &evaluate, none.clone(), 409, "out-of-phase", none.clone(), json!("phase")),
        (&ann, &dance, none.clone(), 404, "not-found", json!("command"), none.clone()),
        (&ann, &pay, json!({ "amount": 1 }), 400, "bad-request", json!("amount"), none.clone()),
        (&ann, &no_order, none.clone(), 404, "not-found", none.clone(), json!("known")),
        (&ann, "GET /v1/orders/7", none.clone(), 404, "not-found", json!("id"), none.clone()),
        (&ann, &no_command, none.clone(), 404, "not-found", json!("id"), none.clone()),
        (oper, &no_account, none.clone(), 404, "not-found", none.clone(), json!("account")),
        (oper, &unforget, none.clone(), 404, "not-found", none.clone(), json!("account")),
        (oper, &forget, none.clone(), 409, "still-open", none.clone(), none.clone()),
        (
            oper,
            &wallet,
            json!({ "amount": { "minor": -1, "currency": "CNY" } }),
            409,
            "short-funds",
            none.clone(),
            json!("funds"),
        ),
        (
            oper,
            &wallet,
            json!({ "channel": "bookstore", "amount": price }),
            400,
            "bad-request",
            json!("channel"),
            none.clone(),
        ),
        (
            oper,
            "POST /v1/tokens",
            json!({ "name": "x", "role": "buyer" }),
            400,
            "bad-request",
            json!("role"),
            none.clone(),
        ),
        (
            oper,
            "POST /v1/tokens",
            json!({ "name": "x", "role": "staff", "expires_in": 0 }),
            400,
            "bad-request",
            json!("expires_in"),
            none.clone(),
        ),
        (
            oper,
            "POST /v1/tokens",
            json!({ "name": "x", "role": "staff", "channel": "nowhere" }),
            404,
            "not-found",
            json!("channel"),
            none.clone(),
        ),
        (
            oper,
            "GET /v1/lifecycles/nowhere",
            none.clone(),
            404,
            "not-found",
            json!("channel"),
            none.clone(),
        ),
        (
            oper,
            "POST /v1/views/nothing/rebuild",
            none.clone(),
            404,
            "not-found",
            json!("name"),
            none.clone(),
        ),
        (
            &ann,
            "GET /v1/orders?limit=0",
            none.clone(),
            400,
            "bad-request",
            json!("limit"),
            none.clone(),
        ),
        (
            &ann,
            "GET /v1/orders?limit=201",
            none.clone(),
            400,
            "bad-request",
            json!("limit"),
            none.clone(),
        ),
        (
            &ann,
            "GET /v1/orders?limit=1&limit=2",
            none.clone(),
            400,
            "bad-request",
            json!("limit"),
            none.clone(),
        ),
        (
            &ann,
            "GET /v1/orders?phases=Paid",
            none.clone(),
            400,
            "bad-request",
            json!("phases"),
            none.clone(),
        ),
        (
            &ann,
            "GET /v1/orders?phase=paid",
            none.clone(),
            400,
            "bad-request",
            json!("phase"),
            none.clone(),
        ),
        (
            &ann,
            "GET /v1/orders?buyer=ann",
            none.clone(),
            400,
            "bad-request",
            json!("buyer"),
            none.clone(),
        ),
        (
            &ann,
            "GET /v1/orders?channel=",
            none.clone(),
            400,
            "bad-request",
            json!("channel"),
            none.clone(),
        ),
        (
            oper,
            "GET /v1/orders?channel=nowhere",
            none.clone(),
            404,
            "not-found",
            json!("channel"),
            none.clone(),
        ),
    ];
    for (token, call, body, code, kind, field, rule) in cases {
        let problem = town.refused(code, call, token, body.clone()).await;
        assert_eq!(problem["type"], format!("/problems/{kind}"), "{call} {body}: {problem}");
        assert_eq!(problem["field"], field, "{call} {body}: {problem}");
        assert_eq!(problem["rule"], rule, "{call} {body}: {problem}");
    }
    let problem = town.refused(409, &ship, &sam, Value::Null).await;
    assert_eq!(problem["phase"], "AwaitingPayment");
    assert_eq!(problem["detail"], "ship is not possible while the order is AwaitingPayment");
}

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
