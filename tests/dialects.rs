//! Every dialect, call by call.

mod support;

use docket::node::Parts;
use serde_json::json;
use support::{Shop, folder};

#[tokio::test]
async fn an_order_lives_from_placing_to_receipt() {
    let (_folder, data) = folder();
    let shop = Shop::start(&data, "", Parts::default()).await.unwrap();
    let (sam, ann) = (shop.user("sam").await, shop.user("ann").await);
    let store = json!({ "user_id": "sam", "store_id": "s" });
    assert_eq!(shop.post("/seller/create_store", &sam, store).await.code, 200);
    shop.stop().await;
    assert!(!ann.is_empty());
}
