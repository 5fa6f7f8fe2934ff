//! Every command of every life cycle in force is there for the roles that its rows name, and for
//! no others.

use docket::{
    builtin::builtin_lifecycle,
    domain::lifecycle::{Lifecycle, Word},
};
use events::{By, Channel};
use serde_json::{Value, json};

use super::talk::Town;

/// A desk: staff take the orders of others, and a courier hands them out.
const DESK: &str = r#"
version = 1
late = "refund"

[settings]
max_lines = 5
key_ttl = "24h"

[checks]
place = ["account", "credential", "store", "phase", "lines"]

[[on]]
command = "place"
from = ["New"]
by = ["staff", "seller"]
to = "Preparing"
stock = "reserve"

[[on]]
command = "cancel"
from = ["Preparing"]
by = ["buyer", "operator"]
to = "Cancelled"
stock = "return"

[[on]]
command = "confirm_delivery"
from = ["Preparing"]
by = ["gateway"]
to = "Completed"
stock = "consume"
"#;

/// One of each who can call, in a channel with a store.
struct Cast {
    town: Town,
    channel: Channel,
    buyer: String,
    tokens: Vec<(By, String)>,
}

impl Cast {
    async fn of(town: Town, channel: &str) -> Self {
        let (_, sam) = town.user_of(channel, "sam").await;
        let (buyer, ann) = town.user_of(channel, "ann").await;
        town.sells(&sam, "corner", &["tea"]).await;
        let shelf = "POST /v1/stores/corner/listings/tea/stock";
        town.ok(shelf, &sam, json!({ "quantity": 1000 })).await;
        town.charge(&buyer, 5000).await;
        let mut tokens = vec![(By::Buyer, ann), (By::Seller, sam)];
        for (by, role) in
            [(By::Staff, "staff"), (By::Operator, "operator"), (By::Gateway, "gateway")]
        {
            let scope = json!({ "channel": channel, "store": "corner" });
            let token = town.token(&format!("{channel} {role}"), role, scope).await;
            tokens.push((by, token));
        }
        Self { town, channel: Channel::new(channel).unwrap(), buyer, tokens }
    }

    fn token(&self, by: By) -> &str {
        &self.tokens.iter().find(|(it, _)| *it == by).unwrap().1
    }

    /// Has somebody place an order for ann.
    async fn place(&self, by: By) -> (u16, Value) {
        let lines = json!([{ "sku": "tea", "quantity": 1 }]);
        let mut body = json!({ "store": "corner", "lines": lines });
        if by != By::Buyer {
            body["buyer"] = json!(self.buyer);
        }
        let answer = self.town.call("POST /v1/orders", self.token(by), body).await;
        (answer.code, answer.body)
    }

    /// Whether a role gets as far as the order's phase, for each role that can call.
    async fn commands_are_for_their_roles(&self, lifecycle: &Lifecycle) {
        let placer = lifecycle.roles(Word::Place).next().unwrap();
        for (by, _) in &self.tokens {
            let (code, body) = self.place(*by).await;
            let may = lifecycle.roles(Word::Place).any(|role| role == *by);
            assert_eq!(code, if may { 201 } else { 403 }, "place by {by:?}: {body}");
        }
        for word in Word::ALL.iter().filter(|word| **word != Word::Place) {
            for (by, token) in &self.tokens {
                let (code, order) = self.place(placer).await;
                assert_eq!(code, 201, "{order}");
                let path = format!("POST /v1/orders/{}/{word}", order["id"].as_str().unwrap());
                let code = self.town.call(&path, token, Value::Null).await.code;
                let roles: Vec<_> = lifecycle.roles(*word).collect();
                let expected: &[u16] = match roles.contains(by) {
                    _ if roles.is_empty() => &[409], // No such command here, in any phase.
                    true => &[200, 409],
                    false => &[403],
                };
                let channel = &self.channel;
                assert!(expected.contains(&code), "{channel}: {word} by {by:?} is {code}");
            }
        }
    }
}

#[tokio::test]
async fn every_command_is_there_for_the_roles_its_rows_name() {
    for name in ["native", "bookstore"] {
        let cast = Cast::of(Town::new().await, name).await;
        let text = builtin_lifecycle(&cast.channel).unwrap();
        let lifecycle = Lifecycle::parse(&cast.channel, text).unwrap();
        cast.commands_are_for_their_roles(&lifecycle).await;
    }
    let town = Town::new().await;
    town.adopt("desk", DESK).await;
    let cast = Cast::of(town, "desk").await;
    let lifecycle = Lifecycle::parse(&cast.channel, DESK).unwrap();
    cast.commands_are_for_their_roles(&lifecycle).await;
}

#[tokio::test]
async fn an_order_placed_for_somebody_is_theirs() {
    let town = Town::new().await;
    town.adopt("desk", DESK).await;
    let cast = Cast::of(town, "desk").await;
    let (code, order) = cast.place(By::Staff).await;
    assert_eq!(code, 201, "{order}");
    let town = &cast.town;
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let seen = town.get(&path, cast.token(By::Buyer)).await;
    assert_eq!((&seen["buyer"], &seen["phase"]), (&json!(cast.buyer), &json!("Preparing")));
    let listed = town.get("/v1/orders", cast.token(By::Buyer)).await;
    assert_eq!(listed["items"][0]["id"], order["id"]);
    town.ok(&format!("POST {path}/confirm_delivery"), cast.token(By::Gateway), Value::Null).await;

    // For whom is said, is somebody, and is of this channel.
    let staff = cast.token(By::Staff);
    let wanted = |buyer: &str| {
        let lines = json!([{ "sku": "tea", "quantity": 1 }]);
        let mut body = json!({ "store": "corner", "lines": lines });
        if !buyer.is_empty() {
            body["buyer"] = json!(buyer);
        }
        body
    };
    let problem = town.refused(400, "POST /v1/orders", staff, wanted("")).await;
    assert_eq!(problem["field"], "buyer");
    let (other, _) = town.user_of("native", "eve").await;
    for buyer in [other, uuid::Uuid::now_v7().to_string()] {
        let problem = town.refused(404, "POST /v1/orders", staff, wanted(&buyer)).await;
        assert_eq!(problem["field"], "buyer");
    }
    // Nobody orders in another's name whom the rows do not name.
    let (_, bob) = town.user_of("desk", "bob").await;
    town.refused(403, "POST /v1/orders", &bob, wanted(&cast.buyer)).await;
    let native = town.user("len").await;
    town.refused(403, "POST /v1/orders", &native, wanted(&cast.buyer)).await;
    let scope = json!({ "channel": "desk", "store": "nowhere" });
    let elsewhere = town.token("elsewhere", "staff", scope).await;
    town.refused(403, "POST /v1/orders", &elsewhere, wanted(&cast.buyer)).await;
}
