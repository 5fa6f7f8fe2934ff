//! What others that speak this API get wrong, each with what happens here.

use expect_test::expect;

use super::talk::check;

#[tokio::test]
async fn paying_twice_debits_once() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        given paid ann <order1>
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-901}
        → 519 {"message":"not sufficient funds"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-900}
        → 200 {"message":"ok"}
        # Nor once it is shipped or received.
        given shipped sam <order1>
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        given received ann <order1>
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        # Nor is the seller credited twice.
        POST /buyer/receive_book ann {"order_id":"<order1>"}
        → 522 {"message":"can not receive book"}
        POST /buyer/add_funds sam {"password":"pw-sam","add_value":-101}
        → 519 {"message":"not sufficient funds"}
        POST /buyer/add_funds sam {"password":"pw-sam","add_value":-100}
        → 200 {"message":"ok"}
    "#]])
    .await;
}

#[tokio::test]
async fn a_cancelled_order_is_over_and_its_books_are_back() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 4
        POST /buyer/search_book_store /ann {"store_id":"s","query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":100,"stock_level":6,"tags":[],"title":""}],"message":"ok","pages":1}
        POST /buyer/cancel_order ann {"order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/search_book_store /ann {"store_id":"s","query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":100,"stock_level":10,"tags":[],"title":""}],"message":"ok","pages":1}
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        POST /buyer/cancel_order ann {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        POST /seller/deliver_book sam {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        POST /buyer/receive_book ann {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        # Books and money come back once, also of one that was paid.
        given order ann s a 4
        given paid ann <order2>
        POST /buyer/cancel_order ann {"order_id":"<order2>"}
        → 200 {"message":"ok"}
        POST /buyer/cancel_order ann {"order_id":"<order2>"}
        → 518 {"message":"invalid order id <order2>"}
        POST /buyer/search_book_store /ann {"store_id":"s","query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":100,"stock_level":10,"tags":[],"title":""}],"message":"ok","pages":1}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-1001}
        → 519 {"message":"not sufficient funds"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-1000}
        → 200 {"message":"ok"}
        POST /buyer/query_order_para ann {"para":-1}
        → 200 {"message":"ok","order_list":["<order2>","<order1>"]}
    "#]])
    .await;
}

#[tokio::test]
async fn nobody_ships_or_receives_an_order_of_somebody_else() {
    check(expect![[r#"
        given user sam
        given user bob
        given user ann
        given store sam s
        given store bob t
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        given paid ann <order1>
        POST /seller/deliver_book bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /seller/deliver_book bob {"order_id":"<order1>","store_id":"t"}
        → 518 {"message":"invalid order id <order1>"}
        POST /seller/deliver_book ann {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":1}
        given shipped sam <order1>
        POST /buyer/receive_book bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/receive_book sam {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":2}
        POST /buyer/add_funds sam {"password":"pw-sam","add_value":-1}
        → 519 {"message":"not sufficient funds"}
    "#]])
    .await;
}

#[tokio::test]
async fn no_order_is_empty_and_none_raises_the_stock() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        POST /buyer/new_order ann {"store_id":"s","books":[]}
        → 530 {"message":"books must not be empty","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":-5}]}
        → 530 {"message":"books[0].count must be at least 1","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":"-5"}]}
        → 530 {"message":"books[0].count must be at least 1","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":7},{"id":"a","count":-5}]}
        → 530 {"message":"books[1].count must be at least 1","order_id":""}
        POST /buyer/query_order ann
        → 200 {"message":"ok","order_list":[]}
        POST /buyer/search_book_store /ann {"store_id":"s","query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":100,"stock_level":10,"tags":[],"title":""}],"message":"ok","pages":1}
    "#]])
    .await;
}
