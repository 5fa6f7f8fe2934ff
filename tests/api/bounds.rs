//! What a site bounds: as many as its settings say, by `docket.toml` alone, and one more is a problem
//! of its own kind.

use serde_json::{Value, json};

use super::talk::Town;

/// How the problem of one more than fits reads.
async fn full(town: &Town, call: &str, token: &str, body: Value, detail: &str) {
    let problem = town.refused(409, call, token, body).await;
    assert_eq!(problem["type"], "/problems/full");
    assert_eq!(problem["detail"], detail);
}

#[tokio::test]
async fn one_more_than_fits_is_told() {
    let settings = "[channel.native]\nmax_accounts = 2\nmax_stores = 1\nmax_listings = 1\n\
                    max_open_orders = 1";
    let town = Town::with(settings).await;
    let sam = town.user("sam").await;
    let (ann_id, ann) = town.user_of("native", "ann").await;
    town.sells(&sam, "corner", &["tea"]).await;
    let price = json!({ "minor": 1, "currency": "CNY" });
    let order = json!({ "store": "corner", "lines": [{ "sku": "tea", "quantity": 1 }] });
    let open = town.orders(&ann, "corner", "tea").await;
    let mut town = town;
    for again in [false, true] {
        if again {
            town = town.restart_with(settings).await;
        }
        let eve = json!({ "login": "eve", "password": "x" });
        let detail = "there are as many accounts in a channel as there may be: 2";
        full(&town, "POST /v1/accounts", "", eve, detail).await;
        let store = json!({ "store": "second" });
        let detail = "there are as many stores in a channel as there may be: 1";
        full(&town, "POST /v1/stores", &sam, store, detail).await;
        let pot = json!({ "sku": "pot", "price": price, "quantity": 1 });
        let detail = "there are as many listings in a store as there may be: 1";
        full(&town, "POST /v1/stores/corner/listings", &sam, pot, detail).await;
        let detail = "there are as many open orders of one account as there may be: 1";
        full(&town, "POST /v1/orders", &ann, order.clone(), detail).await;
    }
    // The other channel has bounds of its own, and what makes room is what goes.
    town.user_of("bookstore", "eve").await;
    town.ok(&format!("POST /v1/orders/{open}/cancel"), &ann, Value::Null).await;
    town.ok(&format!("DELETE /v1/accounts/{ann_id}"), &town.operator, Value::Null).await;
    town.user("eve").await;
}
