//! What happens to orders by itself.

use expect_test::expect;

use super::talk::Talk;

/// Deadlines are looked at often, and a test may let days pass.
const OFTEN: &str = "tick = \"10ms\"\nclock_jump_max = \"30d\"\n";

#[tokio::test]
async fn an_unpaid_order_cancels_itself() {
    let mut talk = Talk::start(OFTEN).await;
    talk.check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 3
        wait 300s
        given order ann s a 1
        given order ann s a 2
        given paid ann <order3>
        wait 300s
        eventually POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":-1}
        POST /buyer/query_order ann
        → 200 {"message":"ok","order_list":["<order3>","<order2>"]}
        POST /buyer/query_order_para ann {"para":-1}
        → 200 {"message":"ok","order_list":["<order1>"]}
        POST /buyer/query_order_detail /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_detail_list":[{"book_id":"a","count":3,"create_time":1700000000,"order_id":"<order1>","price":100,"state":-1,"store_id":"s"}]}
        POST /buyer/search_book_store /ann {"store_id":"s","query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":100,"stock_level":7,"tags":[],"title":""}],"message":"ok","pages":1}
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        POST /buyer/cancel_order ann {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        wait 300s
        eventually POST /buyer/query_order_para ann {"para":-1}
        → 200 {"message":"ok","order_list":["<order2>","<order1>"]}
        # The one that was paid stays.
        POST /buyer/query_order ann
        → 200 {"message":"ok","order_list":["<order3>"]}
        POST /buyer/search_book_store /ann {"store_id":"s","query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":100,"stock_level":8,"tags":[],"title":""}],"message":"ok","pages":1}
        POST /auth/unregister / {"user_id":"ann","password":"pw-ann"}
        → 530 {"message":"the account still has orders that are neither finished nor cancelled"}
    "#]])
        .await;
}

#[tokio::test]
async fn a_shipped_order_confirms_itself() {
    let mut talk = Talk::start(OFTEN).await;
    talk.check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 3
        given paid ann <order1>
        given shipped sam <order1>
        wait 604799s
        POST /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 200 {"message":"ok","token":"<token3>"}
        POST /auth/login / {"user_id":"sam","password":"pw-sam","terminal":"t"}
        → 200 {"message":"ok","token":"<token4>"}
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":2}
        wait 1s
        eventually POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":3}
        POST /buyer/query_order_para ann {"para":3}
        → 200 {"message":"ok","order_list":["<order1>"]}
        POST /buyer/receive_book ann {"order_id":"<order1>"}
        → 522 {"message":"can not receive book"}
        # The seller has the money, once.
        POST /buyer/add_funds sam {"password":"pw-sam","add_value":-301}
        → 519 {"message":"not sufficient funds"}
        POST /buyer/add_funds sam {"password":"pw-sam","add_value":-300}
        → 200 {"message":"ok"}
    "#]])
        .await;
}

#[tokio::test]
async fn both_delays_are_settings() {
    let channel = "[channel.bookstore]\npay_within = \"60s\"\nreceive_within = \"2h\"\n";
    let mut talk = Talk::start(&format!("{OFTEN}{channel}")).await;
    talk.check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        given order ann s a 1
        given paid ann <order2>
        given shipped sam <order2>
        wait 60s
        eventually POST /buyer/query_order_para ann {"para":-1}
        → 200 {"message":"ok","order_list":["<order1>"]}
        POST /buyer/query_order_para ann {"para":2}
        → 200 {"message":"ok","order_list":["<order2>"]}
        wait 7140s
        POST /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 200 {"message":"ok","token":"<token3>"}
        eventually POST /buyer/query_order_para ann {"para":3}
        → 200 {"message":"ok","order_list":["<order2>"]}
    "#]])
        .await;
}
