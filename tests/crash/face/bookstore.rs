//! The bookstore's API.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use docket::client::{Answer, Client};
use events::Phase;
use serde_json::{Value, json};

use super::Request;
use crate::shop::{Change, Learnt, Order, PRICES, Person, Refusal, SKUS, Shop, secret};

const PHASES: [(i64, Phase); 5] = [
    (-1, Phase::Cancelled),
    (0, Phase::AwaitingPayment),
    (1, Phase::Paid),
    (2, Phase::Shipped),
    (3, Phase::Completed),
];

pub fn request(shop: &Shop, change: &Change) -> Request {
    let actor = shop.person(shop.actor(change));
    let mut body = json!({ "user_id": actor.name });
    let store = shop.store.as_deref();
    let path = match change {
        Change::Register(name) => {
            (body["user_id"], body["password"]) = (json!(name), json!(secret(name)));
            "/auth/register"
        }
        Change::Login(who) => {
            let who = shop.person(*who);
            body = json!({ "user_id": who.name, "password": who.secret(), "terminal": "till" });
            "/auth/login"
        }
        Change::OpenStore(store) => {
            body["store_id"] = json!(store);
            "/seller/create_store"
        }
        Change::AddListing(sku, stock) => {
            let info = json!({ "id": SKUS[*sku], "title": SKUS[*sku], "price": PRICES[*sku] });
            (body["store_id"], body["stock_level"]) = (json!(store), json!(stock));
            body["book_info"] = info;
            "/seller/add_book"
        }
        Change::AddStock(sku, count) => {
            (body["store_id"], body["book_id"]) = (json!(store), json!(SKUS[*sku]));
            body["add_stock_level"] = json!(count);
            "/seller/add_stock_level"
        }
        Change::Fund(_, amount) => {
            (body["password"], body["add_value"]) = (json!(actor.secret()), json!(amount));
            "/buyer/add_funds"
        }
        Change::Place(_, lines) => {
            let line = |(sku, count): &(usize, i64)| json!({ "id": SKUS[*sku], "count": count });
            body["store_id"] = json!(store);
            body["books"] = lines.iter().map(line).collect();
            "/buyer/new_order"
        }
        Change::Step(order, to) => {
            body["order_id"] = json!(shop.orders[*order].id);
            match to {
                Phase::Cancelled => "/buyer/cancel_order",
                Phase::Paid => {
                    body["password"] = json!(actor.secret());
                    "/buyer/payment"
                }
                Phase::Shipped => "/seller/delivery_book",
                _ => "/buyer/receive_book",
            }
        }
    };
    let credential = ("token", actor.token().to_owned());
    Request { method: Method::POST, path: path.to_owned(), credential, body: body.to_string() }
}

pub fn refuses(refusal: Refusal, answer: &Answer) -> bool {
    answer.status
        == match refusal {
            Refusal::Stock => 517,
            Refusal::Funds => 519,
        }
}

pub fn learn(change: &Change, answer: &Answer) -> Option<Learnt> {
    let text = |name: &str| answer.body[name].as_str().map(str::to_owned);
    let told = match change {
        Change::Login(_) => Learnt { token: Some(text("token")?), ..Learnt::default() },
        Change::Place(..) => Learnt { order: Some(text("order_id")?), ..Learnt::default() },
        _ => Learnt::default(),
    };
    (answer.status == 200).then_some(told)
}

pub async fn orders(shop: &Shop, client: &Client) -> BTreeMap<String, Phase> {
    let mut phases = BTreeMap::new();
    for buyer in shop.buyers.iter().filter(|buyer| buyer.token.is_some()) {
        let mut live = BTreeSet::new();
        for (state, phase) in PHASES {
            for id in list(client, buyer, "query_order_para", json!({ "para": state })).await {
                if phase != Phase::Cancelled {
                    live.insert(id.clone());
                }
                assert_eq!(phases.insert(id.clone(), phase), None, "order {id} is there twice");
            }
        }
        let all = list(client, buyer, "query_order", json!({})).await;
        assert_eq!(all.len(), live.len(), "of {}", buyer.name);
        assert_eq!(BTreeSet::from_iter(all), live, "of {}", buyer.name);
    }
    phases
}

async fn list(client: &Client, buyer: &Person, what: &str, mut body: Value) -> Vec<String> {
    body["user_id"] = json!(buyer.name);
    let answer = ask(client, buyer, what, &body).await;
    let orders = answer["order_list"].as_array().unwrap();
    orders.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

pub async fn look_at(shop: &Shop, order: &Order, client: &Client) {
    let body = json!({ "order_id": order.id });
    let buyer = &shop.buyers[order.buyer];
    let told = ask(client, buyer, "query_order_detail", &body).await;
    let fields = ["book_id", "count", "price", "state"];
    let told: Vec<_> = told["order_detail_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| fields.map(|name| line[name].clone()))
        .collect();
    let (state, _) = PHASES.into_iter().find(|(_, phase)| *phase == order.phase).unwrap();
    let known: Vec<_> = order
        .lines
        .iter()
        .map(|(sku, count)| [json!(SKUS[*sku]), json!(count), json!(PRICES[*sku]), json!(state)])
        .collect();
    assert_eq!(told, known, "order {}", order.id);
}

pub async fn count(shop: &Shop, client: &Client) {
    let Some(store) = &shop.store else { return };
    let mut found = [None; 3];
    for (sku, found) in SKUS.into_iter().zip(&mut found) {
        let body = json!({ "store_id": store, "title": sku });
        let told = ask(client, &shop.seller, "search_book_store_title", &body).await;
        *found = told["book_list"][0]["stock_level"].as_i64();
    }
    assert_eq!(found, shop.shelf, "{store}");
}

async fn ask(client: &Client, who: &Person, what: &str, body: &Value) -> Value {
    let answer = client.post(&format!("/buyer/{what}"), &[("token", who.token())], body).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{what} {body}: {answer:?}");
    answer.body
}
