//! A site that does not enforce tokens: a name stands for itself, but a token that comes along
//! must be live, and that name's.

use expect_test::expect;

use super::talk::Talk;

const OPEN: &str = "[channel.bookstore]\nenforce_token = false\n";

#[tokio::test]
async fn a_missing_token_passes() {
    let mut talk = Talk::start(OPEN).await;
    talk.check(expect![[r#"
        given user sam
        given user ann
        POST /seller/create_store sam/ {"store_id":"s"}
        → 200 {"message":"ok"}
        POST /seller/add_book sam/ {"store_id":"s","book_id":"a","price":100,"stock_level":10}
        → 200 {"message":"ok"}
        POST /seller/add_stock_level sam/ {"store_id":"s","book_id":"a","add_stock_level":5}
        → 200 {"message":"ok"}
        POST /buyer/add_funds ann/ {"password":"pw-ann","add_value":1000}
        → 200 {"message":"ok"}
        POST /buyer/new_order ann/ {"store_id":"s","books":[{"id":"a","count":1}]}
        → 200 {"message":"ok","order_id":"<order1>"}
        POST /buyer/payment ann/ {"password":"pw-ann","order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /seller/deliver_book sam/ {"order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/receive_book ann/ {"order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/new_order ann/ {"store_id":"s","books":[{"id":"a","count":1}]}
        → 200 {"message":"ok","order_id":"<order2>"}
        POST /buyer/cancel_order ann/ {"order_id":"<order2>"}
        → 200 {"message":"ok"}
        POST /buyer/query_order ann/
        → 200 {"message":"ok","order_list":["<order1>"]}
        POST /buyer/query_order_para ann/ {"para":-1}
        → 200 {"message":"ok","order_list":["<order2>"]}
        POST /buyer/query_order_state ann/ {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":3}
        POST /buyer/search_book_all / {"query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":100,"stock_level":14,"store_id":"s","tags":[],"title":""}],"message":"ok","pages":1}
        # The order named stands for its buyer.
        POST /buyer/query_order / {"order_id":"<order2>"}
        → 200 {"message":"ok","order_list":["<order1>"]}
        POST /buyer/query_order_state / {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":3}
        POST /buyer/query_order_state / {"order_id":"<order1>","para":-1}
        → 200 {"message":"ok","order_list":["<order2>"]}
        POST /buyer/query_order_state / {"order_id":"x","para":7}
        → 524 {"message":"invalid order state.","order_list":[],"order_state":null}
        POST /buyer/query_order_detail / {"order_id":"<order2>"}
        → 200 {"message":"ok","order_detail_list":[{"book_id":"a","count":1,"create_time":1700000000,"order_id":"<order2>","price":100,"state":-1,"store_id":"s"}]}
        POST /buyer/query_order_detail / {"order_id":"x"}
        → 518 {"message":"invalid order id x","order_detail_list":[]}
        # An empty token is none.
        POST /buyer/query_order ann/ [token: ]
        → 200 {"message":"ok","order_list":["<order1>"]}
        # A password is asked for as ever, and a session is what logout gives up.
        POST /buyer/add_funds ann/ {"password":"wrong","add_value":1}
        → 401 {"message":"authorization fail."}
        POST /auth/logout ann/
        → 401 {"message":"authorization fail."}
        POST /auth/logout ann
        → 200 {"message":"ok"}
    "#]])
        .await;
}

#[tokio::test]
async fn a_name_is_still_somebody_and_an_order_somebody_s() {
    let mut talk = Talk::start(OPEN).await;
    talk.check(expect![[r#"
        given user sam
        given user ann
        given user bob
        given store sam s
        given book sam s a 100 10
        given order ann s a 1
        POST /seller/create_store eve/ {"store_id":"t"}
        → 511 {"message":"non exist user id eve"}
        POST /buyer/query_order eve/
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /seller/add_stock_level ann/ {"store_id":"s","book_id":"a","add_stock_level":5}
        → 401 {"message":"authorization fail."}
        POST /seller/deliver_book bob/ {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/cancel_order bob/ {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        POST /buyer/receive_book bob/ {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/payment bob/ {"password":"pw-bob","order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/query_order_state bob/ {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>","order_list":[],"order_state":null}
    "#]])
        .await;
}

#[tokio::test]
async fn a_token_that_comes_along_must_be_live() {
    let mut talk = Talk::start(OPEN).await;
    talk.check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        POST /seller/create_store sam/ann {"store_id":"t"}
        → 401 {"message":"authorization fail."}
        POST /seller/create_store sam/ [token: x] {"store_id":"t"}
        → 401 {"message":"authorization fail."}
        POST /seller/create_store sam/ [token: 红] {"store_id":"t"}
        → 401 {"message":"authorization fail."}
        POST /buyer/cancel_order ann/sam {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/payment ann/sam {"password":"pw-ann","order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/query_order ann/sam
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /buyer/query_order /sam {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>","order_list":[]}
        POST /buyer/query_order_state / [token: 红] {"order_id":"<order1>"}
        → 401 {"message":"authorization fail.","order_list":[],"order_state":null}
        POST /buyer/query_order_state /sam {"order_id":"<order1>","para":0}
        → 518 {"message":"invalid order id <order1>","order_list":[],"order_state":null}
        POST /buyer/query_order_detail /sam {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>","order_detail_list":[]}
        POST /buyer/query_order_detail /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_detail_list":[{"book_id":"a","count":1,"create_time":1700000000,"order_id":"<order1>","price":100,"state":0,"store_id":"s"}]}
        POST /buyer/search_book_all / [token: x] {"query":""}
        → 401 {"book_list":[],"message":"authorization fail.","pages":0}
        POST /buyer/search_book_all / [token: 红] {"query":""}
        → 401 {"book_list":[],"message":"authorization fail.","pages":0}
        POST /auth/logout ann/sam
        → 401 {"message":"authorization fail."}
        POST /auth/logout ann
        → 200 {"message":"ok"}
        POST /buyer/query_order ann
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /buyer/query_order ann/
        → 200 {"message":"ok","order_list":["<order1>"]}
    "#]])
        .await;
}
