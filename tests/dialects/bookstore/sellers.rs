//! `/seller`: stores, books, stock, deliveries.

use docket::node::Parts;
use expect_test::expect;
use serde_json::json;

use super::talk::check;
use crate::support::{Shop, folder};

#[tokio::test]
async fn create_store() {
    check(expect![[r#"
        given user sam
        given user ann
        POST /seller/create_store sam {"store_id":"s"}
        → 200 {"message":"ok"}
        POST /seller/create_store sam {"store_id":"s"}
        → 514 {"message":"exist store id s"}
        POST /seller/create_store ann {"store_id":"s"}
        → 514 {"message":"exist store id s"}
        # 530, then 511, then 401, then 514.
        POST /seller/create_store eve/ {"store_id":""}
        → 530 {"message":"store_id must be 1 to 255 bytes long, not 0"}
        POST /seller/create_store eve/ {"store_id":"s"}
        → 511 {"message":"non exist user id eve"}
        POST /seller/create_store eve/ann {"store_id":"s"}
        → 511 {"message":"non exist user id eve"}
        POST /seller/create_store ann/ {"store_id":"s"}
        → 401 {"message":"authorization fail."}
        POST /seller/create_store ann/sam {"store_id":"s"}
        → 401 {"message":"authorization fail."}
    "#]])
    .await;
}

#[tokio::test]
async fn add_book_in_its_short_form() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        POST /seller/add_book sam {"store_id":"s","book_id":"a","price":0,"stock_level":0}
        → 200 {"message":"ok"}
        POST /seller/add_book sam {"store_id":"s","book_id":"a","price":1,"stock_level":1}
        → 516 {"message":"exist book id a"}
        # 530, then 511, then 401 for the token, 513, 401 for another's store, 516.
        POST /seller/add_book eve/ {"store_id":"x","book_id":"a","price":-1,"stock_level":1}
        → 530 {"message":"price must not be negative"}
        POST /seller/add_book eve/ {"store_id":"x","book_id":"a","price":1,"stock_level":-1}
        → 530 {"message":"stock_level must not be negative"}
        POST /seller/add_book eve/ {"store_id":"x","book_id":"a","price":1,"stock_level":1}
        → 511 {"message":"non exist user id eve"}
        POST /seller/add_book ann/ {"store_id":"x","book_id":"a","price":1,"stock_level":1}
        → 401 {"message":"authorization fail."}
        POST /seller/add_book ann/sam {"store_id":"s","book_id":"b","price":1,"stock_level":1}
        → 401 {"message":"authorization fail."}
        POST /seller/add_book ann {"store_id":"x","book_id":"a","price":1,"stock_level":1}
        → 513 {"message":"non exist store id x"}
        POST /seller/add_book ann {"store_id":"s","book_id":"a","price":1,"stock_level":1}
        → 401 {"message":"authorization fail."}
        # Here nothing has a default.
        POST /seller/add_book sam {"store_id":"s","book_id":"b","price":1}
        → 530 {"message":"stock_level is missing"}
        POST /seller/add_book sam {"store_id":"s","book_id":"b","stock_level":1}
        → 530 {"message":"price is missing"}
        POST /seller/add_book sam {"store_id":"s","price":1,"stock_level":1}
        → 530 {"message":"book_id is missing"}
    "#]])
    .await;
}

#[tokio::test]
async fn add_book_with_all_that_is_known_of_it() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        POST /seller/add_book sam {"store_id":"s","stock_level":3,"book_info":{"id":"a","title":"Dream of the Red Chamber","author":"Cao Xueqin","publisher":"p","original_title":"红楼梦","translator":"t","pub_year":"1791","pages":1200,"price":1999,"currency_unit":"元","binding":"b","isbn":"978","author_intro":"i","book_intro":"j","content":"c","tags":["novel","China"],"pictures":["aGVsbG8=",""]}}
        → 200 {"message":"ok"}
        # Stock is nothing unless it is said; much else may be left out, or null.
        POST /seller/add_book sam {"store_id":"s","book_info":{"id":"b","price":5,"title":null,"tags":null}}
        → 200 {"message":"ok"}
        POST /buyer/search_book_all /ann {"query":""}
        → 200 {"book_list":[{"author":"Cao Xueqin","book_id":"a","price":1999,"stock_level":3,"store_id":"s","tags":["novel","China"],"title":"Dream of the Red Chamber"},{"author":"","book_id":"b","price":5,"stock_level":0,"store_id":"s","tags":[],"title":""}],"message":"ok","pages":1}
        POST /seller/add_book sam {"store_id":"s","book_info":{"id":"a","price":5}}
        → 516 {"message":"exist book id a"}
        POST /seller/add_book ann {"store_id":"s","book_info":{"id":"c","price":5}}
        → 401 {"message":"authorization fail."}
        POST /seller/add_book ann {"store_id":"x","book_info":{"id":"c","price":5}}
        → 513 {"message":"non exist store id x"}
        POST /seller/add_book sam/ann {"store_id":"s","book_info":{"id":"c","price":5}}
        → 401 {"message":"authorization fail."}
        POST /seller/add_book eve/ {"store_id":"s","book_info":{"id":"c","price":5}}
        → 511 {"message":"non exist user id eve"}
        # What is wrong is named with where it lies.
        POST /seller/add_book sam {"store_id":"s","book_info":{"id":"c","price":-5}}
        → 530 {"message":"book_info.price must not be negative"}
        POST /seller/add_book sam {"store_id":"s","book_info":{"id":"c"}}
        → 530 {"message":"book_info.price is missing"}
        POST /seller/add_book sam {"store_id":"s","book_info":{"id":"","price":5}}
        → 530 {"message":"book_info.id must be 1 to 255 bytes long, not 0"}
        POST /seller/add_book sam {"store_id":"s","book_info":{"price":5}}
        → 530 {"message":"book_info.id is missing"}
        POST /seller/add_book sam {"store_id":"s","book_info":[]}
        → 530 {"message":"book_info must be an object"}
        POST /seller/add_book sam {"store_id":"s","book_info":{"id":"c","price":5,"pages":"12"}}
        → 530 {"message":"book_info.pages must be a whole number"}
        POST /seller/add_book sam {"store_id":"s","book_info":{"id":"c","price":5,"tags":"x"}}
        → 530 {"message":"book_info.tags must be a list"}
        POST /seller/add_book sam {"store_id":"s","book_info":{"id":"c","price":5,"tags":["x",1]}}
        → 530 {"message":"book_info.tags[1] must be a text"}
        POST /seller/add_book sam {"store_id":"s","book_info":{"id":"c","price":5,"pictures":["***"]}}
        → 530 {"message":"book_info.pictures[0] is not base64"}
        POST /seller/add_book sam {"store_id":"s","book_info":{"id":"c","price":5},"stock_level":-1}
        → 530 {"message":"stock_level must not be negative"}
        POST /seller/add_book sam {"store_id":"s","book_info":{"id":"c","price":5},"stock_level":"1"}
        → 530 {"message":"stock_level must be a whole number"}
    "#]])
    .await;
}

#[tokio::test]
async fn add_stock_level() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 9223372036854775800
        POST /seller/add_stock_level sam {"store_id":"s","book_id":"a","add_stock_level":7}
        → 200 {"message":"ok"}
        POST /buyer/search_book_store /ann {"store_id":"s","query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":100,"stock_level":9223372036854775807,"tags":[],"title":""}],"message":"ok","pages":1}
        # More than can be counted, what is in orders included.
        POST /seller/add_stock_level sam {"store_id":"s","book_id":"a","add_stock_level":1}
        → 530 {"message":"an amount is too large to count"}
        given order ann s a 1
        POST /seller/add_stock_level sam {"store_id":"s","book_id":"a","add_stock_level":1}
        → 530 {"message":"an amount is too large to count"}
        # 530, then 511, then 401 for the token, 513, 401 for another's store, 515.
        POST /seller/add_stock_level eve/ {"store_id":"s","book_id":"a","add_stock_level":0}
        → 530 {"message":"add_stock_level must be at least 1"}
        POST /seller/add_stock_level eve/ {"store_id":"s","book_id":"a","add_stock_level":-1}
        → 530 {"message":"add_stock_level must be at least 1"}
        POST /seller/add_stock_level eve/ {"store_id":"x","book_id":"x","add_stock_level":1}
        → 511 {"message":"non exist user id eve"}
        POST /seller/add_stock_level sam/ {"store_id":"x","book_id":"x","add_stock_level":1}
        → 401 {"message":"authorization fail."}
        POST /seller/add_stock_level sam/ann {"store_id":"x","book_id":"x","add_stock_level":1}
        → 401 {"message":"authorization fail."}
        POST /seller/add_stock_level ann {"store_id":"x","book_id":"x","add_stock_level":1}
        → 513 {"message":"non exist store id x"}
        POST /seller/add_stock_level ann {"store_id":"s","book_id":"x","add_stock_level":1}
        → 401 {"message":"authorization fail."}
        POST /seller/add_stock_level sam {"store_id":"s","book_id":"x","add_stock_level":1}
        → 515 {"message":"non exist book id x"}
    "#]])
    .await;
}

#[tokio::test]
async fn deliver_book() {
    check(expect![[r#"
        given user sam
        given user bob
        given user ann
        given store sam s
        given store sam s2
        given store bob t
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        given order ann s a 2
        # 530, then 511, then 401 for the token, 513, 518, 401 for another's store.
        POST /seller/deliver_book eve/ {"order_id":""}
        → 530 {"message":"order_id must be 1 to 255 bytes long, not 0"}
        POST /seller/deliver_book eve/ {"order_id":"x","store_id":""}
        → 530 {"message":"store_id must be 1 to 255 bytes long, not 0"}
        POST /seller/deliver_book eve/ {"order_id":"x","store_id":"x"}
        → 511 {"message":"non exist user id eve"}
        POST /seller/deliver_book sam/ {"order_id":"x","store_id":"x"}
        → 401 {"message":"authorization fail."}
        POST /seller/deliver_book sam/bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /seller/deliver_book sam {"order_id":"x","store_id":"x"}
        → 513 {"message":"non exist store id x"}
        POST /seller/deliver_book sam {"order_id":"<order1>","store_id":"s2"}
        → 518 {"message":"invalid order id <order1>"}
        POST /seller/deliver_book bob {"order_id":"<order1>","store_id":"t"}
        → 518 {"message":"invalid order id <order1>"}
        POST /seller/deliver_book sam {"order_id":"x","store_id":"s"}
        → 518 {"message":"invalid order id x"}
        POST /seller/deliver_book sam {"order_id":"x"}
        → 518 {"message":"invalid order id x"}
        POST /seller/deliver_book bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /seller/deliver_book bob {"order_id":"<order1>","store_id":"s"}
        → 401 {"message":"authorization fail."}
        POST /seller/deliver_book ann {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        # Unpaid, paid, shipped, received, cancelled.
        POST /seller/deliver_book sam {"order_id":"<order1>"}
        → 521 {"message":"no payment to deliver"}
        given paid ann <order1>
        POST /seller/deliver_book sam {"order_id":"<order1>","store_id":"s"}
        → 200 {"message":"ok"}
        POST /seller/deliver_book sam {"order_id":"<order1>"}
        → 520 {"message":"already delivered or take delivery"}
        POST /seller/deliver_book bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        given received ann <order1>
        POST /seller/delivery_book sam {"order_id":"<order1>"}
        → 520 {"message":"already delivered or take delivery"}
        given cancelled ann <order2>
        POST /seller/delivery_book sam {"order_id":"<order2>"}
        → 518 {"message":"invalid order id <order2>"}
        POST /seller/delivery_book bob {"order_id":"<order2>"}
        → 401 {"message":"authorization fail."}
        # Both names ship.
        given order ann s a 1
        given paid ann <order3>
        POST /seller/delivery_book sam {"order_id":"<order3>"}
        → 200 {"message":"ok"}
        POST /buyer/query_order_state /ann {"order_id":"<order3>"}
        → 200 {"message":"ok","order_state":2}
        # The store is one of sam's, and the order is in it, whatever it is called.
        POST /seller/delivery_book sam {"order_id":"<order3>","store_id":"s"}
        → 520 {"message":"already delivered or take delivery"}
    "#]])
    .await;
}

#[tokio::test]
async fn a_refused_book_leaves_no_pictures() {
    let (_folder, data) = folder();
    let shop = Shop::start(&data, "", Parts::default()).await.unwrap();
    let (sam, eve) = (shop.user("sam").await, shop.user("eve").await);
    let store = json!({ "user_id": "sam", "store_id": "s" });
    assert_eq!(shop.post("/seller/create_store", &sam, store).await.code, 200);
    let book = |user: &str, store: &str| {
        let info = json!({ "id": "a", "price": 1, "pictures": ["aGVsbG8="] });
        json!({ "user_id": user, "store_id": store, "book_info": info })
    };
    let pictures = || std::fs::read_dir(data.join("blobs")).unwrap().count();
    for (user, store, code) in [("eve", "s", 401), ("eve", "nowhere", 513)] {
        assert_eq!(shop.post("/seller/add_book", &eve, book(user, store)).await.code, code);
        assert_eq!(pictures(), 0, "{user} {store}");
    }
    assert_eq!(shop.post("/seller/add_book", &sam, book("sam", "s")).await.code, 200);
    assert_eq!(pictures(), 1);
    shop.stop().await;
}
