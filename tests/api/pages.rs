//! Lists, filters and cursors.

use std::{collections::HashSet, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::talk::Town;

/// A town with a store of sam's, and seven orders of ann's and two of bob's in it; three of ann's
/// are cancelled.
async fn town() -> (Town, String, String, String) {
    let town = Town::new().await;
    let (sam, ann, bob) = (town.user("sam").await, town.user("ann").await, town.user("bob").await);
    town.sells(&sam, "corner", &["a", "b", "c", "d", "e"]).await;
    town.sells(&sam, "other", &["z"]).await;
    for n in 0..7 {
        town.hands.advance(Duration::from_millis(n % 2)); // Some of one moment.
        let id = town.orders(&ann, "corner", "a").await;
        if n % 2 == 1 {
            town.ok(&format!("POST /v1/orders/{id}/cancel"), &ann, Value::Null).await;
        }
    }
    for _ in 0..2 {
        town.orders(&bob, "corner", "b").await;
    }
    (town, sam, ann, bob)
}

/// Every item of a list, page by page.
async fn all(town: &Town, path: &str, token: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = town.get(&format!("{path}{cursor}"), token).await;
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let (town, sam, ann, _) = town().await;
    for (token, filter, count) in [
        (&ann, "", 7),
        (&ann, "&phase=Cancelled", 3),
        (&ann, "&phase=Cancelled&phase=AwaitingPayment", 7),
        (&ann, "&phase=Paid", 0),
        (&sam, "", 0),
        (&sam, "&store=corner", 9),
        (&sam, "&store=other", 0),
        (&town.operator, "", 9),
        (&town.operator, "&store=corner&phase=Cancelled", 3),
        (&town.operator, "&channel=bookstore", 0),
    ] {
        for limit in [1, 2, 3, 200] {
            let items = all(&town, &format!("/v1/orders?limit={limit}{filter}"), token).await;
            let ids: HashSet<_> = items.iter().map(|it| it["id"].as_str().unwrap()).collect();
            assert_eq!((items.len(), ids.len()), (count, count), "{filter} by {limit}");
            let placed = |it: &Value| it["placed_at"].as_i64().unwrap();
            assert!(items.windows(2).all(|pair| placed(&pair[0]) >= placed(&pair[1])));
        }
        let path = format!("/v1/orders/counts?{}", filter.trim_start_matches('&'));
        assert_eq!(town.get(&path, token).await["total"], count, "{filter}");
    }
    for limit in [1, 2, 5] {
        let path = format!("/v1/stores/corner/listings?limit={limit}");
        let items = all(&town, &path, &ann).await;
        let skus: Vec<_> = items.iter().map(|it| it["sku"].as_str().unwrap()).collect();
        assert_eq!(skus, ["a", "b", "c", "d", "e"]);
    }
    let order = all(&town, "/v1/orders?limit=9&phase=Cancelled", &ann).await[0]["id"].clone();
    let path = format!("/v1/orders/{}/history?limit=1", order.as_str().unwrap());
    let kinds: Vec<_> = all(&town, &path, &ann).await.iter().map(|it| it["kind"].clone()).collect();
    assert_eq!(kinds, ["order.placed", "order.cancelled"]);
}

#[tokio::test]
async fn a_cursor_fits_its_own_caller_list_and_filter_alone() {
    let (town, sam, ann, bob) = town().await;
    let auditor = town.token("eve", "auditor", json!({})).await;
    let next = async |path: &str, token: &str| {
        town.get(path, token).await["next"].as_str().unwrap().to_owned()
    };
    let mine = next("/v1/orders?limit=2", &ann).await;
    town.ok(&format!("GET /v1/orders?limit=5&cursor={mine}"), &ann, Value::Null).await;
    let paid = next("/v1/orders?limit=1&phase=Cancelled", &ann).await;
    let store = next("/v1/orders?limit=1&store=corner", &sam).await;
    let whole = next("/v1/orders?limit=1", &town.operator).await;
    let skus = next("/v1/stores/corner/listings?limit=1", &ann).await;
    let foreign = [
        (&bob, "/v1/orders?", &mine),
        (&sam, "/v1/orders?store=corner", &mine),
        (&town.operator, "/v1/orders?", &mine),
        (&ann, "/v1/orders?phase=Cancelled", &mine),
        (&ann, "/v1/orders?", &paid),
        (&ann, "/v1/orders?", &store),
        (&ann, "/v1/orders?", &whole),
        (&sam, "/v1/orders?store=other", &store),
        (&auditor, "/v1/orders?", &whole),
        (&town.operator, "/v1/orders?channel=bookstore", &whole),
        (&ann, "/v1/orders?", &skus),
        (&ann, "/v1/stores/other/listings?", &skus),
        (&ann, "/v1/stores/corner/listings?", &mine),
    ];
    for (token, path, cursor) in foreign {
        let problem =
            town.refused(400, &format!("GET {path}&cursor={cursor}"), token, Value::Null).await;
        assert_eq!(problem["field"], "cursor");
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(&mine).unwrap();
    let mut forged = vec![String::new(), "nonsense".to_owned(), "%00".to_owned(), "A".repeat(5000)];
    for n in 0..bytes.len() {
        bytes[n] ^= 1;
        forged.push(URL_SAFE_NO_PAD.encode(&bytes));
        bytes[n] ^= 1;
        forged.push(URL_SAFE_NO_PAD.encode(&bytes[..n]));
    }
    for cursor in forged {
        let call = format!("GET /v1/orders?cursor={cursor}");
        assert_eq!(town.refused(400, &call, &ann, Value::Null).await["field"], "cursor");
    }
}

#[tokio::test]
async fn nobody_sees_another_s_orders() {
    let (town, sam, ann, bob) = town().await;
    let id = town.get("/v1/orders?limit=1", &ann).await["items"][0]["id"].clone();
    let ann_id = town.get("/v1/accounts/me", &ann).await["account"].clone();
    let (id, ann_id) = (id.as_str().unwrap(), ann_id.as_str().unwrap());
    for path in [format!("/v1/orders/{id}"), format!("/v1/orders/{id}/history")] {
        town.get(&path, &sam).await;
        town.refused(404, &format!("GET {path}"), &bob, Value::Null).await;
    }
    for command in ["pay", "cancel", "ship", "receive"] {
        let call = format!("POST /v1/orders/{id}/{command}");
        let problem = town.refused(404, &call, &bob, Value::Null).await;
        assert_eq!(problem["rule"], "known");
    }
    for filter in ["store=corner".to_owned(), format!("buyer={ann_id}")] {
        for path in ["/v1/orders", "/v1/orders/counts"] {
            town.refused(403, &format!("GET {path}?{filter}"), &bob, Value::Null).await;
        }
    }
    town.get(&format!("/v1/orders?buyer={ann_id}"), &ann).await;
    let seen = town.get(&format!("/v1/orders?buyer={ann_id}"), &town.operator).await;
    assert_eq!(seen["items"].as_array().unwrap().len(), 7);
    let call = format!("GET /v1/orders?buyer={ann_id}&store=corner");
    town.refused(400, &call, &town.operator, Value::Null).await;
}
