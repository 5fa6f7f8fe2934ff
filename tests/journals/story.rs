//! What is recorded into the next of the journals that are kept: something of every kind.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Method, Request},
};
use docket::{
    engine::Standby,
    journal::{Journal as _, SqliteJournal, sqlite},
    node::Parts,
};
use events::{
    Channel, ClusterUpgraded, CommandId, Commit, Epoch, Event, EventId, NodeName, Position,
    Recorded, Subject, WriterOpened,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Hands, Shop, decision::deciding};

const BEGIN_MS: i64 = 1_800_000_000_000;

/// A workshop: what is ordered is made, carried, refused or paid back.
const WORKSHOP: &str = r#"
version = 1
late = "refund"

[settings]
pay_within = "600s"
max_lines = 20
key_ttl = "24h"

[checks]
place = ["account", "credential", "store", "phase", "lines"]

[deadline.pay]
after = "pay_within"
command = "expire"

[[on]]
command = "place"
from = ["New"]
by = ["buyer", "staff"]
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
command = "pay"
from = ["AwaitingPayment"]
by = ["gateway"]
to = "Paid"
money = "capture"
deadlines = { pay = "clear" }

[[on]]
command = "expire"
from = ["AwaitingPayment"]
by = ["timer"]
to = "Cancelled"
stock = "return"
deadlines = { pay = "clear" }

[[on]]
command = "cancel"
from = ["Paid"]
by = ["seller"]
to = "Rejected"
stock = "return"
money = "refund"
event = "order.rejected"

[[on]]
command = "prepare"
from = ["Paid"]
by = ["staff"]
to = "Ready"

[[on]]
command = "ship"
from = ["Ready", "DeliveryFailed"]
by = ["seller"]
to = "Shipped"

[[on]]
command = "fail_delivery"
from = ["Shipped"]
by = ["gateway"]
to = "DeliveryFailed"

[[on]]
command = "confirm_delivery"
from = ["Shipped"]
by = ["gateway"]
to = "Received"
stock = "consume"

[[on]]
command = "receive"
from = ["Received"]
by = ["buyer"]
to = "Completed"
money = "release"

[[on]]
command = "request_refund"
from = ["Paid", "Ready"]
by = ["operator"]
to = "Refunding"

[[on]]
command = "confirm_refund"
from = ["Refunding"]
by = ["operator"]
to = "Refunded"
stock = "return"
money = "refund"
"#;

/// A docket in which the story happens.
struct Stage {
    shop: Shop,
    clock: Hands,
    operator: String,
}

/// Tells it, on a new folder.
pub async fn tell(data: &Path) {
    let clock = Hands::at(BEGIN_MS);
    let parts = Parts { clock: Some(clock.clock()), ..Parts::default() };
    let toml = "[channel.bookstore]\npay_within = \"20m\"\n";
    let shop = Shop::start(data, toml, parts).await.unwrap();
    let operator = std::fs::read_to_string(data.join("operator.token")).unwrap();
    let stage = Stage { shop, clock, operator: operator.trim().to_owned() };
    stage.native().await;
    stage.bookstore().await;
    stage.workshop().await;
    stage.people().await;
    let Stage { shop, clock, .. } = stage;
    shop.stop().await;
    let data = data.to_owned();
    tokio::task::spawn_blocking(move || nodes(&data, &clock)).await.unwrap();
}

/// What nodes of a cluster record beside: one of them takes over, and then all of them read newer
/// events than the first there were.
fn nodes(data: &Path, clock: &Hands) {
    let journal = SqliteJournal::open(data, sqlite::Options::default()).unwrap();
    let mut standby = Standby::new(clock.clock());
    standby.catch_up(&journal, |_| {}).unwrap();
    let name = |text: &str| NodeName::new(text).unwrap();
    let opened = WriterOpened { node: name("second"), address: name("node-2:8081") };
    standby.open_epoch(&journal, Epoch(2), opened).unwrap();
    let head = *journal.head().borrow();
    let (command, channel) = (CommandId(Uuid::now_v7()), Channel::new("site").unwrap());
    let (position, recorded_at) = (Position(head.position.0 + 1), clock.clock()());
    let upgraded = Recorded {
        position,
        id: EventId { command, n: 0 },
        subject: Subject::cluster(),
        recorded_at,
        channel: channel.clone(),
        event: Event::ClusterUpgraded(ClusterUpgraded { level: 2 }),
    };
    let decision = deciding("upgrade_cluster", &upgraded);
    let commit = Commit::seal(&head, Epoch(2), vec![decision]);
    journal.append(Arc::new(commit), Vec::new()).blocking_recv().unwrap().unwrap();
}

impl Stage {
    async fn v1(&self, call: &str, token: &str, headers: &[(&str, &str)], body: Value) -> Value {
        let (method, path) = call.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let (kind, text) = match body {
            Value::Null => ("application/json", String::new()),
            Value::String(text) => ("application/toml", text),
            body => ("application/json", body.to_string()),
        };
        for (name, value) in headers.iter().chain(&[("content-type", kind)]) {
            request = request.header(*name, *value);
        }
        let answer = self.shop.send(request.body(Body::from(text)).unwrap()).await;
        assert!((200..300).contains(&answer.code), "{call}: {answer:?}");
        self.clock.advance(Duration::from_millis(700));
        answer.body
    }

    /// An account of a channel: its id and its session.
    async fn account(&self, channel: &str, login: &str) -> (String, String) {
        let body = json!({ "channel": channel, "login": login, "password": "correct horse" });
        let made = self.v1("POST /v1/accounts", "", &[], body.clone()).await;
        let session = self.v1("POST /v1/sessions", "", &[], body).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["account"]), text(&session["token"]))
    }

    async fn store(&self, seller: &str, store: &str, currency: &str) {
        self.v1("POST /v1/stores", seller, &[], json!({ "store": store })).await;
        for (sku, minor) in [("tea", 700), ("pot", 2599)] {
            let price = json!({ "minor": minor, "currency": currency });
            let body = json!({ "sku": sku, "title": "Ching \u{8336}", "price": price,
                "quantity": 12, "tags": ["kitchen"] });
            self.v1(&format!("POST /v1/stores/{store}/listings"), seller, &[], body).await;
        }
        let path = format!("POST /v1/stores/{store}/listings/tea/stock");
        self.v1(&path, seller, &[], json!({ "quantity": 5 })).await;
    }

    async fn charge(&self, account: &str, minor: i64, currency: &str) {
        let body = json!({ "amount": { "minor": minor, "currency": currency } });
        let path = format!("POST /v1/accounts/{account}/wallet");
        let key = format!("{account} {minor}");
        self.v1(&path, &self.operator, &[("idempotency-key", &key)], body).await;
    }

    /// Places an order of two lines and gives commands on it.
    async fn order(&self, buyer: &str, more: Value, commands: &[(&str, &str)]) -> String {
        let lines = json!([{ "sku": "tea", "quantity": 2 }, { "sku": "pot", "quantity": 1 }]);
        let mut body = json!({ "store": "corner", "lines": lines });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let order = self.v1("POST /v1/orders", buyer, &[], body).await;
        let id = order["id"].as_str().unwrap().to_owned();
        for (command, token) in commands {
            self.v1(&format!("POST /v1/orders/{id}/{command}"), token, &[], Value::Null).await;
        }
        id
    }

    /// Lets time pass until an order has run out of it.
    async fn expires(&self, order: &str, by: Duration) {
        self.clock.advance(by);
        let path = format!("GET /v1/orders/{order}");
        for _ in 0..3000 {
            if self.v1(&path, &self.operator, &[], Value::Null).await["phase"] == "Cancelled" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the deadline of {order} does not fire");
    }

    async fn native(&self) {
        let (_, sam) = self.account("native", "sam").await;
        let (id, ann) = self.account("native", "ann").await;
        self.store(&sam, "corner", "CNY").await;
        self.charge(&id, 50_000, "CNY").await;
        self.charge(&id, -1_000, "CNY").await;
        let none = || json!({});
        let (pay, ship, receive) = (("pay", &*ann), ("ship", &*sam), ("receive", &*ann));
        let late = self.order(&ann, none(), &[]).await;
        self.expires(&late, Duration::from_secs(601)).await;
        self.order(&ann, none(), &[pay, ship, receive]).await;
        self.order(&ann, none(), &[("cancel", &ann)]).await;
        self.order(&ann, none(), &[pay, ("cancel", &sam)]).await;
        self.order(&ann, none(), &[pay, ship]).await;
        self.order(&ann, none(), &[pay]).await;
        self.order(&ann, json!({ "kind": "pick_up" }), &[]).await;
    }

    async fn bookstore(&self) {
        let post = async |path: &str, token: &str, body: Value| {
            let headers = [("token", token), ("idempotency-key", path)];
            let answer = self.shop.post_with(path, &headers, body.to_string()).await;
            assert_eq!(answer.code, 200, "{path}: {answer:?}");
            self.clock.advance(Duration::from_millis(300));
            answer.body
        };
        let (sam, ann) = (self.shop.user("sam").await, self.shop.user("ann").await);
        post("/seller/create_store", &sam, json!({ "user_id": "sam", "store_id": "s" })).await;
        let book = json!({ "user_id": "sam", "store_id": "s", "stock_level": 9, "book_info": {
            "id": "b", "title": "The Ledger", "price": 2500, "author": "Ann", "tags": ["novel"] } });
        post("/seller/add_book", &sam, book).await;
        let funds = json!({ "user_id": "ann", "password": "pw-ann", "add_value": 10_000 });
        post("/buyer/add_funds", &ann, funds).await;
        let books = json!([{ "id": "b", "count": 2 }]);
        let order = json!({ "user_id": "ann", "store_id": "s", "books": books });
        let order = post("/buyer/new_order", &ann, order).await["order_id"].clone();
        let payment = json!({ "user_id": "ann", "password": "pw-ann", "order_id": order });
        post("/buyer/payment", &ann, payment).await;
        let ship = json!({ "user_id": "sam", "order_id": order });
        post("/seller/deliver_book", &sam, ship).await;
        let password = json!({ "user_id": "ann", "oldPassword": "pw-ann", "newPassword": "other" });
        post("/auth/password", &ann, password).await;
        post("/auth/logout", &sam, json!({ "user_id": "sam" })).await;
        let eve = json!({ "user_id": "eve", "password": "pw-eve" });
        self.shop.user("eve").await;
        post("/auth/unregister", "", eve).await;
    }

    async fn workshop(&self) {
        self.v1("PUT /v1/lifecycles/workshop", &self.operator, &[], json!(WORKSHOP)).await;
        let (_, sam) = self.account("workshop", "sam").await;
        let (id, ann) = self.account("workshop", "ann").await;
        self.store(&sam, "corner", "USD").await;
        self.charge(&id, 100_000, "USD").await;
        let token = async |name: &str, role: &str| {
            let body = json!({ "name": name, "role": role, "channel": "workshop",
                "store": "corner", "expires_in": 86_400 });
            let made = self.v1("POST /v1/tokens", &self.operator, &[], body).await;
            made["token"].as_str().unwrap().to_owned()
        };
        let (bench, courier) = (token("bench", "staff").await, token("courier", "gateway").await);
        let none = || json!({});
        let (pay, ready, ship) = (("pay", &*ann), ("prepare", &*bench), ("ship", &*sam));
        let (fails, arrives) = (("fail_delivery", &*courier), ("confirm_delivery", &*courier));
        let (back, paid_back) =
            (("request_refund", &*self.operator), ("confirm_refund", &*self.operator));
        let life = [pay, ready, ship, fails, ship, arrives, ("receive", &*ann)];
        self.order(&ann, none(), &life).await;
        self.order(&ann, none(), &life[..6]).await;
        self.order(&ann, none(), &life[..4]).await;
        self.order(&ann, none(), &[pay, ("cancel", &sam)]).await;
        self.order(&ann, none(), &[pay, back, paid_back]).await;
        self.order(&ann, none(), &[pay, ready, back]).await;
        let online = json!({ "buyer": id, "kind": "virtual", "method": "online" });
        self.order(&bench, online, &[("pay", &courier)]).await;
        self.order(&bench, json!({ "buyer": id, "method": "on_delivery" }), &[]).await;
        let second = WORKSHOP.replace("version = 1", "version = 2").replace("600s", "900s");
        let path = "PUT /v1/lifecycles/workshop?open_orders=true";
        self.v1(path, &self.operator, &[], json!(second)).await;
        self.v1("DELETE /v1/tokens/bench", &self.operator, &[], Value::Null).await;
    }

    async fn people(&self) {
        let (id, gone) = self.account("native", "gone").await;
        self.charge(&id, 300, "CNY").await;
        self.v1(&format!("DELETE /v1/accounts/{id}"), &self.operator, &[], Value::Null).await;
        drop(gone);
        let (_, left) = self.account("native", "left").await;
        let body = json!({ "password": "correct horse" });
        self.v1("DELETE /v1/accounts/me", &left, &[], body).await;
        let (_, new) = self.account("native", "left").await;
        self.v1("DELETE /v1/sessions/current", &new, &[], Value::Null).await;
    }
}
