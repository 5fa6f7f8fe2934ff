//! The native API, below `/v1`.

use std::collections::BTreeMap;

use axum::http::Method;
use docket::client::{Answer, Client};
use events::Phase;
use serde_json::{Value, json};

use super::Request;
use crate::shop::{Change, Learnt, Order, PRICES, Person, Refusal, SKUS, Shop, secret};

/// How many orders are asked for at once: there are more.
const PAGE: usize = 60;

pub fn request(shop: &Shop, change: &Change) -> Request {
    let actor = shop.person(shop.actor(change));
    let mut token = actor.token();
    let store = shop.store.as_deref().unwrap_or_default();
    let cny = |minor: i64| json!({ "minor": minor, "currency": "CNY" });
    let (path, body) = match change {
        Change::Register(name) => {
            let body = json!({ "channel": shop.channel, "login": name, "password": secret(name) });
            ("/v1/accounts".to_owned(), body)
        }
        Change::Login(who) => {
            let who = shop.person(*who);
            let body =
                json!({ "channel": shop.channel, "login": who.name, "password": who.secret() });
            ("/v1/sessions".to_owned(), body)
        }
        Change::OpenStore(store) => ("/v1/stores".to_owned(), json!({ "store": store })),
        Change::AddListing(sku, quantity) => {
            let (sku, price) = (SKUS[*sku], cny(PRICES[*sku]));
            let body = json!({ "sku": sku, "title": sku, "price": price, "quantity": quantity });
            (format!("/v1/stores/{store}/listings"), body)
        }
        Change::AddStock(sku, count) => {
            let path = format!("/v1/stores/{store}/listings/{}/stock", SKUS[*sku]);
            (path, json!({ "quantity": count }))
        }
        Change::Fund(_, amount) => {
            token = &shop.operator;
            let account = actor.account.as_deref().unwrap();
            (format!("/v1/accounts/{account}/wallet"), json!({ "amount": cny(*amount) }))
        }
        Change::Place(_, lines) => {
            let line =
                |(sku, count): &(usize, i64)| json!({ "sku": SKUS[*sku], "quantity": count });
            let lines: Vec<_> = lines.iter().map(line).collect();
            ("/v1/orders".to_owned(), json!({ "store": store, "lines": lines }))
        }
        Change::Step(order, to) => {
            let command = match to {
                Phase::Cancelled => "cancel",
                Phase::Paid => "pay",
                Phase::Shipped => "ship",
                _ => "receive",
            };
            (format!("/v1/orders/{}/{command}", shop.orders[*order].id), json!({}))
        }
    };
    let credential = ("authorization", bearer(token));
    Request { method: Method::POST, path, credential, body: body.to_string() }
}

pub fn refuses(refusal: Refusal, answer: &Answer) -> bool {
    let kind = match refusal {
        Refusal::Stock => "/problems/short-stock",
        Refusal::Funds => "/problems/short-funds",
    };
    answer.status == 409 && answer.body["type"] == kind
}

pub fn learn(change: &Change, answer: &Answer) -> Option<Learnt> {
    let text = |name: &str| answer.body[name].as_str().map(str::to_owned);
    let mut told = Learnt { command: text("command"), ..Learnt::default() };
    let makes = match change {
        Change::Register(_) => {
            // An account is called as the command that made it.
            (told.account, told.command) = (Some(text("account")?), text("account"));
            true
        }
        Change::Login(_) => {
            (told.account, told.token) = (Some(text("account")?), Some(text("token")?));
            true
        }
        Change::Place(_, lines) => {
            let total: i64 = lines.iter().map(|(sku, count)| PRICES[*sku] * count).sum();
            assert_eq!(answer.body["total"], json!({ "minor": total, "currency": "CNY" }));
            told.order = Some(text("id")?);
            true
        }
        Change::OpenStore(_) | Change::AddListing(..) => true,
        Change::AddStock(..) | Change::Fund(..) | Change::Step(..) => {
            told.command.as_ref()?;
            false
        }
    };
    (answer.status == if makes { 201 } else { 200 }).then_some(told)
}

pub async fn orders(shop: &Shop, client: &Client) -> BTreeMap<String, Phase> {
    let mut phases = BTreeMap::new();
    for buyer in shop.buyers.iter().filter(|buyer| buyer.token.is_some()) {
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        let mut path = format!("/v1/orders?limit={PAGE}");
        loop {
            let page = get(client, buyer.token(), &path).await;
            for item in page["items"].as_array().unwrap() {
                let (id, phase) = (item["id"].as_str().unwrap(), item["phase"].as_str().unwrap());
                *counted.entry(phase.to_owned()).or_default() += 1;
                let phase = serde_json::from_value(item["phase"].clone()).unwrap();
                let before = phases.insert(id.to_owned(), phase);
                assert_eq!(before, None, "order {id} is there twice");
            }
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/orders?limit={PAGE}&cursor={next}");
        }
        let counts = get(client, buyer.token(), "/v1/orders/counts").await;
        assert_eq!(counts["phases"], json!(counted), "of {}", buyer.name);
    }
    phases
}

pub async fn look_at(shop: &Shop, order: &Order, client: &Client) {
    let path = format!("/v1/orders/{}", order.id);
    let told = get(client, shop.buyers[order.buyer].token(), &path).await;
    let total = order.total();
    let whole = |all: bool| json!({ "minor": if all { total } else { 0 }, "currency": "CNY" });
    assert_eq!(told["phase"], json!(order.phase), "{told}");
    assert_eq!(told["total"], whole(true), "{told}");
    let held = matches!(order.phase, Phase::Paid | Phase::Shipped);
    assert_eq!(told["held"], whole(held), "{told}");
    assert_eq!(told["released"], whole(order.phase == Phase::Completed), "{told}");
    assert_eq!(told["refunded"], whole(order.paid && order.phase == Phase::Cancelled), "{told}");
    let line = |it: &Value| [&it["sku"], &it["quantity"], &it["price"]["minor"]].map(Value::clone);
    let lines: Vec<_> = told["lines"].as_array().unwrap().iter().map(line).collect();
    let known = order.lines.iter();
    let known: Vec<_> =
        known.map(|(sku, count)| [json!(SKUS[*sku]), json!(count), json!(PRICES[*sku])]).collect();
    assert_eq!(lines, known, "{told}");
}

pub async fn count(shop: &Shop, client: &Client) {
    for person in shop.people() {
        let told = get(client, person.token(), "/v1/wallet").await;
        assert_eq!(balance(&told), person.wallet, "of {}: {told}", person.name);
        if let Some(account) = &person.account {
            let path = format!("/v1/accounts/{account}/wallet");
            assert_eq!(get(client, &shop.operator, &path).await, told, "of {}", person.name);
        }
    }
    let Some(store) = &shop.store else { return };
    let told = get(client, shop.seller.token(), &format!("/v1/stores/{store}/listings")).await;
    let mut found = BTreeMap::new();
    for item in told["items"].as_array().unwrap() {
        let count = |name: &str| item[name].as_i64().unwrap();
        found.insert(item["sku"].as_str().unwrap(), (count("shelf"), count("reserved")));
    }
    let known = SKUS.into_iter().zip(shop.shelf).enumerate();
    let known: BTreeMap<_, _> =
        known.filter_map(|(n, (sku, shelf))| Some((sku, (shelf?, shop.reserved(n))))).collect();
    assert_eq!(found, known, "{store}");
}

fn balance(wallet: &Value) -> i64 {
    let balances = wallet["balances"].as_array().unwrap();
    assert!(balances.len() <= 1, "{wallet}");
    balances.first().map_or(0, |balance| balance["minor"].as_i64().unwrap())
}

/// What became of a command, for the one who gave it.
pub async fn outcome(token: &str, command: &str, client: &Client) -> Value {
    get(client, token, &format!("/v1/commands/{command}")).await
}

/// What became of the newest command on an order: its history names it.
pub async fn outcome_of_newest(who: &Person, order: &str, client: &Client) -> Value {
    let told = get(client, who.token(), &format!("/v1/orders/{order}/history")).await;
    let newest = told["items"].as_array().unwrap().last().unwrap();
    let (command, _) = newest["id"].as_str().unwrap().rsplit_once('.').unwrap();
    outcome(who.token(), command, client).await
}

async fn get(client: &Client, token: &str, path: &str) -> Value {
    let headers = [("authorization", bearer(token))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = client.send(Method::GET, path, &headers, "").await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
