//! Channels and their life cycles: every channel through the same calls, a new life cycle put into
//! force, and a channel that nobody compiled.

use std::fs;

use axum::http::Method;
use serde_json::{Value, json};

use super::talk::{Town, is_problem};
use crate::support::Answer;

const NATIVE: &str = include_str!("../../schemas/lifecycles/native.toml");

/// A kiosk: staff hand out what was paid, and nothing is shipped.
const KIOSK: &str = r#"
version = 1
late = "refund"

[settings]
pay_within = "60s"
max_lines = 5
key_ttl = "24h"

[checks]
place = ["account", "credential", "store", "phase", "lines"]

[deadline.pay]
after = "pay_within"
command = "expire"

[[on]]
command = "place"
from = ["New"]
by = ["buyer"]
to = "AwaitingPayment"
stock = "reserve"
deadlines = { pay = "set" }

[[on]]
command = "pay"
from = ["AwaitingPayment"]
by = ["buyer"]
to = "Paid"
money = "hold"
deadlines = { pay = "clear" }

[[on]]
command = "expire"
from = ["AwaitingPayment"]
by = ["timer"]
to = "Cancelled"
stock = "return"
deadlines = { pay = "clear" }

[[on]]
command = "prepare"
from = ["Paid"]
by = ["staff"]
to = "Ready"

[[on]]
command = "confirm_delivery"
from = ["Ready"]
by = ["gateway"]
to = "Completed"
stock = "consume"
money = "release"

[[on]]
command = "cancel"
from = ["Paid", "Ready"]
by = ["operator"]
to = "Cancelled"
stock = "return"
money = "refund"
"#;

async fn put(town: &Town, channel: &str, token: &str, query: &str, text: &str) -> Answer {
    let headers = [("content-type", "application/toml")];
    let path = format!("/v1/lifecycles/{channel}{query}");
    town.send(Method::PUT, &path, token, &headers, text.to_owned()).await
}

#[tokio::test]
async fn a_channel_nobody_compiled() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("kiosk.toml"), KIOSK).unwrap();
    fs::write(folder.path().join("notes.txt"), "not a life cycle").unwrap();
    let lifecycles = format!("lifecycles = {:?}\n", folder.path().display().to_string());
    let town = Town::with(&format!("{lifecycles}[channel.kiosk]\nmax_lines = 2")).await;
    let (_, sam) = town.user_of("kiosk", "sam").await;
    let (ann_id, ann) = town.user_of("kiosk", "ann").await;
    // Another account of that name, in another channel.
    let (native_ann, _) = town.user_of("native", "ann").await;
    assert_ne!(ann_id, native_ann);
    town.sells(&sam, "stand", &["tea", "pot", "cup"]).await;
    town.charge(&ann_id, 5000).await;
    let order = town.orders(&ann, "stand", "tea").await;
    let till = town.token("till", "staff", json!({ "channel": "kiosk", "store": "stand" })).await;
    let locker = town.token("locker", "gateway", json!({ "channel": "kiosk" })).await;
    let step = |command: &str| format!("POST /v1/orders/{order}/{command}");
    town.refused(409, &step("ship"), &ann, Value::Null).await;
    town.refused(409, &step("prepare"), &till, Value::Null).await;
    town.ok(&step("pay"), &ann, Value::Null).await;
    for token in [&ann, &sam, &locker, &town.operator] {
        town.refused(403, &step("prepare"), token, Value::Null).await;
    }
    town.ok(&step("prepare"), &till, Value::Null).await;
    town.refused(403, &step("confirm_delivery"), &till, Value::Null).await;
    town.ok(&step("confirm_delivery"), &locker, Value::Null).await;
    assert_eq!(town.get(&format!("/v1/orders/{order}"), &till).await["phase"], "Completed");
    assert_eq!(town.get("/v1/wallet", &sam).await["balances"][0]["minor"], 700);
    let listed = town.get("/v1/orders?channel=kiosk", &town.operator).await;
    assert_eq!(listed["items"][0]["id"], order.as_str());
    let listed = town.get("/v1/orders", &till).await;
    assert_eq!(listed["items"][0]["id"], order.as_str());
    assert_eq!(town.get("/v1/orders", &town.operator).await["items"], json!([]));
    // The site's own setting counts.
    let line = |sku: &str| json!({ "sku": sku, "quantity": 1 });
    let lines = json!([line("tea"), line("pot"), line("cup")]);
    let body = json!({ "store": "stand", "lines": lines });
    let problem = town.refused(400, "POST /v1/orders", &ann, body).await;
    assert_eq!(problem["detail"], "lines must have at most 2 lines, not 3");
    // An operator's call is one the rows name, too.
    let order = town.orders(&ann, "stand", "tea").await;
    town.ok(&format!("POST /v1/orders/{order}/pay"), &ann, Value::Null).await;
    town.ok(&format!("POST /v1/orders/{order}/cancel"), &town.operator, Value::Null).await;
}

#[tokio::test]
async fn a_channel_is_known_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("kiosk.toml"), KIOSK).unwrap();
    let text = format!("lifecycles = {:?}", folder.path().display().to_string());
    let resolve = |text: &str, variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, it)| ((*name).into(), (*it).into()));
        docket::config::Config::resolve(&[], Some(("docket.toml", text)), variables)
    };
    let variable = [("DOCKET_CHANNEL_KIOSK_PAY_WITHIN", "9s")];
    let config = resolve(&text, &variable).unwrap();
    let names: Vec<_> = config.channels().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["native", "bookstore", "kiosk"]);
    let kiosk = events::Channel::new("kiosk").unwrap();
    assert_eq!(config.overrides(&kiosk)["pay_within"].text, "9s");
    let error = resolve("[channel.kiosk]\nmax_lines = 2", &[]).unwrap_err().to_string();
    assert!(error.contains("there are native, bookstore"), "{error}");
    assert!(resolve("", &variable).is_err());
}

#[tokio::test]
async fn the_bookstore_s_orders_are_seen_and_moved_on_here_as_well() {
    let town = Town::new().await;
    let sam = town.shop.user("sam").await;
    let ann = town.shop.user("ann").await;
    let post = async |path: &str, token: &str, body: Value| {
        let answer = town.shop.post(path, token, body).await;
        assert_eq!(answer.code, 200, "{path}: {answer:?}");
        answer.body
    };
    post("/seller/create_store", &sam, json!({ "user_id": "sam", "store_id": "s" })).await;
    let book =
        json!({ "user_id": "sam", "store_id": "s", "book_id": "b", "price": 5, "stock_level": 3 });
    post("/seller/add_book", &sam, book).await;
    let funds = json!({ "user_id": "ann", "password": "pw-ann", "add_value": 50 });
    post("/buyer/add_funds", &ann, funds).await;
    let order = json!({ "user_id": "ann", "store_id": "s", "books": [{ "id": "b", "count": 1 }] });
    let order = post("/buyer/new_order", &ann, order).await["order_id"].clone();
    let path = format!("/v1/orders/{}", order.as_str().unwrap());
    // The same session is good for both.
    assert_eq!(town.get(&path, &ann).await["channel"], "bookstore");
    town.ok(&format!("POST {path}/pay"), &ann, Value::Null).await;
    let state = json!({ "user_id": "ann", "order_id": order });
    let state = post("/buyer/query_order_state", &ann, state).await;
    assert_eq!(state["order_state"], 1);
    town.ok(&format!("POST {path}/ship"), &sam, Value::Null).await;
    let receive = json!({ "user_id": "ann", "order_id": order });
    post("/buyer/receive_book", &ann, receive).await;
    let history = town.get(&format!("{path}/history"), &town.operator).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 4);
    // An account of the native channel is somebody else.
    let eve = town.user("eve").await;
    town.refused(404, &format!("GET {path}"), &eve, Value::Null).await;
}

#[tokio::test]
async fn a_new_life_cycle_comes_into_force_and_open_orders_move_where_they_can() {
    let town = Town::new().await;
    let (_, sam) = town.user_of("native", "sam").await;
    let (ann_id, ann) = town.user_of("native", "ann").await;
    town.sells(&sam, "corner", &["tea"]).await;
    town.charge(&ann_id, 5000).await;
    let unpaid = town.orders(&ann, "corner", "tea").await;
    let paid = town.orders(&ann, "corner", "tea").await;
    town.ok(&format!("POST /v1/orders/{paid}/pay"), &ann, Value::Null).await;
    let shipped = town.orders(&ann, "corner", "tea").await;
    town.ok(&format!("POST /v1/orders/{shipped}/pay"), &ann, Value::Null).await;
    town.ok(&format!("POST /v1/orders/{shipped}/ship"), &sam, Value::Null).await;
    let over = town.orders(&ann, "corner", "tea").await;
    town.ok(&format!("POST /v1/orders/{over}/cancel"), &ann, Value::Null).await;

    let old = town.get("/v1/lifecycles/native", &ann).await;
    assert_eq!((&old["version"], old["text"].as_str().unwrap()), (&json!(1), NATIVE));
    // The same changes nothing; the same version with other text is refused.
    let again = put(&town, "native", &town.operator, "", NATIVE).await;
    assert_eq!((again.code, &again.body["version"]), (200, &json!(1)), "{again:?}");
    let other = format!("{NATIVE}\n# Another.");
    let answer = put(&town, "native", &town.operator, "", &other).await;
    is_problem(&answer);
    assert_eq!((answer.code, &answer.body["type"]), (409, &json!("/problems/old-lifecycle")));
    let answer = put(&town, "native", &town.operator, "", "version = 2\nlate = 'never'").await;
    is_problem(&answer);
    assert_eq!((answer.code, &answer.body["type"]), (400, &json!("/problems/bad-lifecycle")));
    assert!(answer.body["detail"].as_str().unwrap().contains("late"), "{answer:?}");
    let answer = put(&town, "native", &ann, "", &other).await;
    assert_eq!(answer.code, 403);

    // The buyer may call off a paid order; a shipped one is there for the buyer's word alone.
    let newer = NATIVE
        .replace("version = 1", "version = 2")
        .replace("pay_within = \"600s\"", "pay_within = \"300s\"")
        .replace("by = [\"seller\", \"operator\"]", "by = [\"buyer\", \"seller\", \"operator\"]");
    let answer = put(&town, "native", &town.operator, "?open_orders=true", &newer).await;
    assert_eq!(answer.code, 200, "{answer:?}");
    assert_eq!(answer.body["version"], 2);
    assert_eq!(answer.body["open_orders"], json!({ "moved": 3, "refused": 0, "reasons": [] }));
    for (order, version) in [(&unpaid, 2), (&paid, 2), (&shipped, 2), (&over, 1)] {
        let order = town.get(&format!("/v1/orders/{order}"), &ann).await;
        assert_eq!(order["lifecycle"], version);
    }
    town.ok(&format!("POST /v1/orders/{paid}/cancel"), &ann, Value::Null).await;
    // The newer file's settings are in force at once.
    let fresh = town.orders(&ann, "corner", "tea").await;
    let fresh = town.get(&format!("/v1/orders/{fresh}"), &ann).await;
    let due = fresh["deadlines"]["pay"].as_i64().unwrap();
    assert_eq!(due - fresh["placed_at"].as_i64().unwrap(), 300_000);

    // One in which nothing is ever shipped: what is on its way cannot go on.
    let third = newer.replace("version = 2", "version = 3");
    let third = third.replace("\"Shipped\"", "\"Ready\"");
    let answer = put(&town, "native", &town.operator, "?open_orders=true", &third).await;
    assert_eq!(answer.code, 200, "{answer:?}");
    let open = &answer.body["open_orders"];
    assert_eq!((&open["moved"], &open["refused"]), (&json!(2), &json!(1)), "{open}");
    assert_eq!(open["reasons"][0]["order"], shipped.as_str());
    assert!(!open["reasons"][0]["reason"].as_str().unwrap().is_empty());
    // It goes on as it did before.
    town.ok(&format!("POST /v1/orders/{shipped}/receive"), &ann, Value::Null).await;
    let town = town.restart().await; // The built-in file is older, and stays out.
    assert_eq!(town.get("/v1/lifecycles/native", &ann).await["version"], 3);
}

#[tokio::test]
async fn a_channel_comes_to_be_with_its_life_cycle() {
    let town = Town::new().await;
    let body = json!({ "channel": "kiosk", "login": "ann", "password": "x" });
    town.refused(404, "POST /v1/accounts", "", body.clone()).await;
    let answer = put(&town, "kiosk", &town.operator, "", KIOSK).await;
    assert_eq!(answer.code, 200, "{answer:?}");
    town.ok("POST /v1/accounts", "", body).await;
    let scoped = town.token("native only", "operator", json!({ "channel": "native" })).await;
    let answer =
        put(&town, "kiosk", &scoped, "", &KIOSK.replace("version = 1", "version = 2")).await;
    assert_eq!(answer.code, 403);
}

#[tokio::test]
async fn a_view_is_rebuilt_while_it_answers() {
    let town = Town::new().await;
    let (id, ann) = town.user_of("native", "ann").await;
    town.charge(&id, 100).await;
    let names = town.get("/v1/views", &town.operator).await;
    for view in names["items"].as_array().unwrap() {
        let path = format!("POST /v1/views/{}/rebuild", view["name"].as_str().unwrap());
        let answer = town.call(&path, &town.operator, Value::Null).await;
        assert!([202, 409].contains(&answer.code), "{answer:?}");
    }
    assert_eq!(town.get("/v1/wallet", &ann).await["balances"][0]["minor"], 100);
}

#[tokio::test]
async fn a_channel_that_is_named_is_never_overlooked() {
    let town = Town::new().await;
    let (ann, token) = town.user_of("native", "ann").await;
    let farewell = json!({ "password": "pw-ann" });
    let account = format!("/v1/accounts/{ann}");
    for (call, by, body, other) in [
        (format!("GET {account}"), &town.operator, Value::Null, 404),
        (format!("DELETE {account}"), &town.operator, Value::Null, 404),
        ("DELETE /v1/sessions/current".to_owned(), &token, Value::Null, 403),
        ("DELETE /v1/accounts/me".to_owned(), &token, farewell, 403),
    ] {
        let problem = town.refused(400, &format!("{call}?channel="), by, body.clone()).await;
        assert_eq!(problem["field"], "channel", "{call}: {problem}");
        town.refused(other, &format!("{call}?channel=bookstore"), by, body).await;
    }
    assert_eq!(town.get(&format!("{account}?channel=native"), &town.operator).await["open"], true);
    assert_eq!(town.get("/v1/accounts/me?", &token).await["account"], ann);
}
