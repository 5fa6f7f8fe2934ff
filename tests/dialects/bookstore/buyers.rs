//! `/buyer`: orders and money.

use expect_test::expect;

use super::talk::{Talk, check};

#[tokio::test]
async fn the_life_of_an_order() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given book sam s b 30 5
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":500}
        → 200 {"message":"ok"}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"b","count":2},{"id":"a","count":"1"}]}
        → 200 {"message":"ok","order_id":"<order1>"}
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":0}
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":1}
        POST /seller/deliver_book sam {"store_id":"s","order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":2}
        # The seller has the money when the books have arrived.
        POST /buyer/add_funds sam {"password":"pw-sam","add_value":-1}
        → 519 {"message":"not sufficient funds"}
        POST /buyer/receive_book ann {"order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":3}
        POST /buyer/add_funds sam {"password":"pw-sam","add_value":-161}
        → 519 {"message":"not sufficient funds"}
        POST /buyer/add_funds sam {"password":"pw-sam","add_value":-160}
        → 200 {"message":"ok"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-341}
        → 519 {"message":"not sufficient funds"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-340}
        → 200 {"message":"ok"}
        POST /buyer/query_order_detail /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_detail_list":[{"book_id":"b","count":2,"create_time":1700000000,"order_id":"<order1>","price":30,"state":3,"store_id":"s"},{"book_id":"a","count":1,"create_time":1700000000,"order_id":"<order1>","price":100,"state":3,"store_id":"s"}]}
        POST /buyer/search_book_store /ann {"store_id":"s","query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":100,"stock_level":9,"tags":[],"title":""},{"author":"","book_id":"b","price":30,"stock_level":3,"tags":[],"title":""}],"message":"ok","pages":1}
    "#]])
    .await;
}

#[tokio::test]
async fn new_order() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given book sam s b 30 1
        # 530, then 511, then 401, then 513, then line by line 515 and 517.
        POST /buyer/new_order eve/ {"store_id":"x","books":[]}
        → 530 {"message":"books must not be empty","order_id":""}
        POST /buyer/new_order eve/ {"store_id":"x","books":[{"id":"a","count":0}]}
        → 530 {"message":"books[0].count must be at least 1","order_id":""}
        POST /buyer/new_order eve/ {"store_id":"x","books":[{"id":"a","count":"0"}]}
        → 530 {"message":"books[0].count must be at least 1","order_id":""}
        POST /buyer/new_order eve/ {"store_id":"x","books":[{"id":"a","count":1},{"id":"a","count":-1}]}
        → 530 {"message":"books[1].count must be at least 1","order_id":""}
        POST /buyer/new_order eve/ {"store_id":"x","books":[{"id":"","count":1}]}
        → 530 {"message":"books[0].id must be 1 to 255 bytes long, not 0","order_id":""}
        POST /buyer/new_order eve/ {"store_id":"","books":[{"id":"a","count":1}]}
        → 530 {"message":"store_id must be 1 to 255 bytes long, not 0","order_id":""}
        POST /buyer/new_order eve/ {"store_id":"x","books":[{"id":"a","count":1}]}
        → 511 {"message":"non exist user id eve","order_id":""}
        POST /buyer/new_order ann/ {"store_id":"x","books":[{"id":"a","count":1}]}
        → 401 {"message":"authorization fail.","order_id":""}
        POST /buyer/new_order ann/sam {"store_id":"s","books":[{"id":"a","count":1}]}
        → 401 {"message":"authorization fail.","order_id":""}
        POST /buyer/new_order ann {"store_id":"x","books":[{"id":"x","count":1}]}
        → 513 {"message":"non exist store id x","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"x","count":1},{"id":"b","count":2}]}
        → 515 {"message":"non exist book id x","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"b","count":2},{"id":"x","count":1}]}
        → 517 {"message":"stock level low, book id b","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1},{"id":"b","count":2},{"id":"x","count":1}]}
        → 517 {"message":"stock level low, book id b","order_id":""}
        # Each is in stock, but not both.
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"b","count":1},{"id":"b","count":1}]}
        → 517 {"message":"stock level low, book id b","order_id":""}
        # A number as a number or as a text, nothing else.
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":"1.0"}]}
        → 530 {"message":"books[0].count must be a whole number, as a number or as a text","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1.0}]}
        → 530 {"message":"books[0].count must be a whole number between -9223372036854775808 and 9223372036854775807","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":""}]}
        → 530 {"message":"books[0].count must be a whole number, as a number or as a text","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":true}]}
        → 530 {"message":"books[0].count must be a whole number","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":9223372036854775808}]}
        → 530 {"message":"books[0].count must be a whole number between -9223372036854775808 and 9223372036854775807","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":"9223372036854775808"}]}
        → 530 {"message":"books[0].count must be a whole number, as a number or as a text","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a"}]}
        → 530 {"message":"books[0].count is missing","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":["a"]}
        → 530 {"message":"books[0] must be an object","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":{"id":"a","count":1}}
        → 530 {"message":"books must be a list","order_id":""}
        POST /buyer/new_order ann {"store_id":"s"}
        → 530 {"message":"books is missing","order_id":""}
        # Nothing of all that took anything.
        POST /buyer/search_book_store /ann {"store_id":"s","query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":100,"stock_level":10,"tags":[],"title":""},{"author":"","book_id":"b","price":30,"stock_level":1,"tags":[],"title":""}],"message":"ok","pages":1}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":10},{"id":"b","count":"1"}]}
        → 200 {"message":"ok","order_id":"<order1>"}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"b","count":1}]}
        → 517 {"message":"stock level low, book id b","order_id":""}
    "#]])
    .await;
}

#[tokio::test]
async fn two_lines_of_one_book_become_one() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given book sam s b 30 5
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"b","count":1},{"id":"a","count":2},{"id":"b","count":"3"}]}
        → 200 {"message":"ok","order_id":"<order1>"}
        POST /buyer/query_order_detail /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_detail_list":[{"book_id":"b","count":4,"create_time":1700000000,"order_id":"<order1>","price":30,"state":0,"store_id":"s"},{"book_id":"a","count":2,"create_time":1700000000,"order_id":"<order1>","price":100,"state":0,"store_id":"s"}]}
        POST /buyer/search_book_store /ann {"store_id":"s","query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":100,"stock_level":8,"tags":[],"title":""},{"author":"","book_id":"b","price":30,"stock_level":1,"tags":[],"title":""}],"message":"ok","pages":1}
        # More than can be counted, though each line can.
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":9223372036854775807},{"id":"a","count":1}]}
        → 530 {"message":"an amount is too large to count","order_id":""}
    "#]])
    .await;
}

#[tokio::test]
async fn as_many_lines_as_the_setting_says() {
    let mut talk = Talk::start("[channel.bookstore]\nmax_lines = 2").await;
    talk.check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given book sam s b 30 5
        given book sam s c 30 5
        # The lines count that are left when those of one book are one.
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1},{"id":"b","count":1},{"id":"a","count":1}]}
        → 200 {"message":"ok","order_id":"<order1>"}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1},{"id":"b","count":1},{"id":"c","count":1}]}
        → 530 {"message":"books must have at most 2 lines, not 3","order_id":""}
        # 530 goes before any other code.
        POST /buyer/new_order eve/ {"store_id":"x","books":[{"id":"a","count":1},{"id":"b","count":1},{"id":"c","count":1}]}
        → 530 {"message":"books must have at most 2 lines, not 3","order_id":""}
    "#]])
    .await;
}

/// What the site bounds is said as it is, and nobody who is there goes.
#[tokio::test]
async fn as_many_as_the_settings_say() {
    let settings = "[channel.bookstore]\nmax_accounts = 2\nmax_stores = 1\nmax_listings = 1\n\
                    max_open_orders = 1";
    let mut talk = Talk::start(settings).await;
    talk.check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        POST /auth/register / {"user_id":"eve","password":"eve"}
        → 530 {"message":"there are as many accounts in a channel as there may be: 2"}
        POST /seller/create_store sam {"store_id":"t"}
        → 530 {"message":"there are as many stores in a channel as there may be: 1"}
        POST /seller/add_book sam {"store_id":"s","book_id":"b","price":1,"stock_level":1}
        → 530 {"message":"there are as many listings in a store as there may be: 1"}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1}]}
        → 200 {"message":"ok","order_id":"<order1>"}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1}]}
        → 530 {"message":"there are as many open orders of one account as there may be: 1","order_id":""}
        POST /buyer/cancel_order ann {"order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1}]}
        → 200 {"message":"ok","order_id":"<order2>"}
    "#]])
    .await;
}

#[tokio::test]
async fn payment() {
    check(expect![[r#"
        given user sam
        given user bob
        given user ann
        given store sam s
        given book sam s a 100 10
        given order ann s a 1
        # 530, then 518, 401 for the buyer, the token and the password, 518 for the state, 519.
        POST /buyer/payment eve/ {"password":"x","order_id":""}
        → 530 {"message":"order_id must be 1 to 255 bytes long, not 0"}
        POST /buyer/payment eve/ {"order_id":"x"}
        → 530 {"message":"password is missing"}
        POST /buyer/payment eve/ {"password":"x","order_id":"x"}
        → 518 {"message":"invalid order id x"}
        POST /buyer/payment eve/ {"password":"x","order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/payment bob/ {"password":"x","order_id":"x"}
        → 518 {"message":"invalid order id x"}
        POST /buyer/payment bob {"password":"pw-bob","order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/payment ann/ {"password":"pw-ann","order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/payment ann/bob {"password":"pw-ann","order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/payment ann {"password":"pw-bob","order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 519 {"message":"not sufficient funds, order id <order1>"}
        given funds ann 99
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 519 {"message":"not sufficient funds, order id <order1>"}
        given funds ann 1
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 200 {"message":"ok"}
        # 401 before 518 for the state, and 518 before 519: the wallet is empty now.
        POST /buyer/payment ann {"password":"wrong","order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
    "#]])
    .await;
}

#[tokio::test]
async fn add_funds() {
    check(expect![[r#"
        given user ann
        given user bob
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":5}
        → 200 {"message":"ok"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":0}
        → 200 {"message":"ok"}
        # Less than nothing takes out, as long as there is so much.
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-6}
        → 519 {"message":"not sufficient funds"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-9223372036854775808}
        → 519 {"message":"not sufficient funds"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-5}
        → 200 {"message":"ok"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-1}
        → 519 {"message":"not sufficient funds"}
        # More than can be counted.
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":9223372036854775807}
        → 200 {"message":"ok"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":1}
        → 530 {"message":"an amount is too large to count"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-9223372036854775807}
        → 200 {"message":"ok"}
        # 530, then 511, then 401 for the token and the password, then 519.
        POST /buyer/add_funds eve/ {"password":"pw-ann","add_value":9223372036854775808}
        → 530 {"message":"add_value must be a whole number between -9223372036854775808 and 9223372036854775807"}
        POST /buyer/add_funds eve/ {"password":"pw-ann","add_value":1.5}
        → 530 {"message":"add_value must be a whole number between -9223372036854775808 and 9223372036854775807"}
        POST /buyer/add_funds eve/ {"password":"pw-ann","add_value":"1"}
        → 530 {"message":"add_value must be a whole number"}
        POST /buyer/add_funds eve/ {"password":"pw-ann","add_value":-1}
        → 511 {"message":"non exist user id eve"}
        POST /buyer/add_funds ann/ {"password":"pw-ann","add_value":-1}
        → 401 {"message":"authorization fail."}
        POST /buyer/add_funds ann/bob {"password":"pw-ann","add_value":-1}
        → 401 {"message":"authorization fail."}
        POST /buyer/add_funds ann {"password":"pw-bob","add_value":-1}
        → 401 {"message":"authorization fail."}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-1}
        → 519 {"message":"not sufficient funds"}
    "#]])
    .await;
}

#[tokio::test]
async fn an_amount_that_cannot_be_counted() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 9223372036854775807 10
        given book sam s b 1 10
        # Of a line, and of all of them.
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":2}]}
        → 530 {"message":"an amount is too large to count","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1},{"id":"b","count":1}]}
        → 530 {"message":"an amount is too large to count","order_id":""}
        # What is in stock and what there is goes first.
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":11}]}
        → 517 {"message":"stock level low, book id a","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1},{"id":"x","count":1}]}
        → 515 {"message":"non exist book id x","order_id":""}
        # What may come back from orders counts with what the buyer has.
        given funds ann 9223372036854775807
        given order ann s b 1
        given paid ann <order1>
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":1}
        → 530 {"message":"an amount is too large to count"}
        # The seller's wallet is full: the order waits until it is not.
        given shipped sam <order1>
        given funds sam 9223372036854775807
        POST /buyer/receive_book ann {"order_id":"<order1>"}
        → 530 {"message":"an amount is too large to count"}
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":2}
        POST /buyer/add_funds sam {"password":"pw-sam","add_value":-1}
        → 200 {"message":"ok"}
        POST /buyer/receive_book ann {"order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":3}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":1}
        → 200 {"message":"ok"}
    "#]])
    .await;
}

#[tokio::test]
async fn cancel_order() {
    check(expect![[r#"
        given user sam
        given user bob
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        given order ann s a 2
        given order ann s a 3
        # 530, then 511, then 401 for the token, 518 for no order and for another's.
        POST /buyer/cancel_order eve/ {"order_id":""}
        → 530 {"message":"order_id must be 1 to 255 bytes long, not 0"}
        POST /buyer/cancel_order eve/ {"order_id":"x"}
        → 511 {"message":"non exist user id eve"}
        POST /buyer/cancel_order ann/ {"order_id":"x"}
        → 401 {"message":"authorization fail."}
        POST /buyer/cancel_order ann/bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/cancel_order ann {"order_id":"x"}
        → 518 {"message":"invalid order id x"}
        POST /buyer/cancel_order bob {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        POST /buyer/cancel_order sam {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        POST /buyer/cancel_order ann {"order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/cancel_order ann {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>"}
        # A paid one gives the money back; some clients say buyer_id.
        given paid ann <order2>
        POST /buyer/cancel_order /ann {"buyer_id":"ann","order_id":"<order2>"}
        → 200 {"message":"ok"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-1000}
        → 200 {"message":"ok"}
        given funds ann 1000
        # Shipped or received, it is too late; for anybody else there is no such order.
        given paid ann <order3>
        given shipped sam <order3>
        POST /buyer/cancel_order ann {"order_id":"<order3>"}
        → 520 {"message":"already delivered or take delivery"}
        POST /buyer/cancel_order bob {"order_id":"<order3>"}
        → 518 {"message":"invalid order id <order3>"}
        given received ann <order3>
        POST /buyer/cancel_order ann {"order_id":"<order3>"}
        → 520 {"message":"already delivered or take delivery"}
    "#]])
    .await;
}

#[tokio::test]
async fn receive_book() {
    check(expect![[r#"
        given user sam
        given user bob
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        given order ann s a 2
        # 530, then 511, then 401 for the token, 518, 401 for another's order, 518, 522.
        POST /buyer/receive_book eve/ {"order_id":""}
        → 530 {"message":"order_id must be 1 to 255 bytes long, not 0"}
        POST /buyer/receive_book eve/ {"order_id":"x"}
        → 511 {"message":"non exist user id eve"}
        POST /buyer/receive_book ann/ {"order_id":"x"}
        → 401 {"message":"authorization fail."}
        POST /buyer/receive_book ann/bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/receive_book ann {"order_id":"x"}
        → 518 {"message":"invalid order id x"}
        POST /buyer/receive_book bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/receive_book ann {"order_id":"<order1>"}
        → 522 {"message":"can not receive book"}
        given paid ann <order1>
        POST /buyer/receive_book ann {"order_id":"<order1>"}
        → 522 {"message":"can not receive book"}
        given shipped sam <order1>
        POST /buyer/receive_book sam {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/receive_book bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/receive_book / {"buyer_id":"ann","order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/receive_book /ann {"buyer_id":"ann","order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/receive_book ann {"order_id":"<order1>"}
        → 522 {"message":"can not receive book"}
        POST /buyer/receive_book bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        given cancelled ann <order2>
        POST /buyer/receive_book bob {"order_id":"<order2>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/receive_book ann {"order_id":"<order2>"}
        → 518 {"message":"invalid order id <order2>"}
        # Where both names are there, user_id counts.
        POST /buyer/receive_book /ann {"user_id":"ann","buyer_id":"bob","order_id":"<order2>"}
        → 518 {"message":"invalid order id <order2>"}
        POST /buyer/receive_book /ann {"user_id":null,"buyer_id":"bob","order_id":"<order2>"}
        → 401 {"message":"authorization fail."}
    "#]])
    .await;
}
