//! Ann, who sells atlases and buys them.

use docket::client::Client;
use serde_json::{Value, json};

use super::site::post;

/// Opens her shop, and logs her in.
pub async fn opens_a_shop(client: &Client) -> String {
    let body = json!({ "login": "ann", "password": "a long password" });
    assert_eq!(post(client, "", "/v1/accounts", &body).await.status, 201);
    let ann = log_in(client).await;
    assert_eq!(post(client, &ann, "/v1/stores", &json!({ "store": "corner" })).await.status, 201);
    let price = json!({ "minor": 100, "currency": "CNY" });
    let listing = json!({ "sku": "atlas", "title": "Atlas", "price": price, "quantity": 5 });
    let listed = post(client, &ann, "/v1/stores/corner/listings", &listing).await;
    assert_eq!(listed.status, 201, "{listed:?}");
    ann
}

/// Gives the token of a session.
pub async fn log_in(client: &Client) -> String {
    let body = json!({ "login": "ann", "password": "a long password" });
    let session = post(client, "", "/v1/sessions", &body).await;
    assert_eq!(session.status, 201, "{session:?}");
    session.body["token"].as_str().unwrap().to_owned()
}

/// Orders one, and gives the order's id.
pub async fn order(client: &Client, token: &str) -> Value {
    let order = json!({ "store": "corner", "lines": [{ "sku": "atlas", "quantity": 1 }] });
    let placed = post(client, token, "/v1/orders", &order).await;
    assert_eq!(placed.status, 201, "{placed:?}");
    placed.body["id"].clone()
}
