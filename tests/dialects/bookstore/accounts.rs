//! `/auth`: accounts, passwords, sessions.

use expect_test::expect;

use super::talk::check;

#[tokio::test]
async fn register_and_login() {
    check(expect![[r#"
        POST /auth/register / {"user_id":"ann","password":"pw-ann"}
        → 200 {"message":"ok"}
        POST /auth/register / {"user_id":"ann","password":"other"}
        → 512 {"message":"exist user id ann"}
        # Nobody learns whether the name or the password was wrong.
        POST /auth/login / {"user_id":"ann","password":"wrong","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
        POST /auth/login / {"user_id":"eve","password":"pw-ann","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
        POST /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 200 {"message":"ok","token":"<token1>"}
        POST /seller/create_store ann {"store_id":"s"}
        → 200 {"message":"ok"}
        # A new login replaces the older session.
        POST /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"u"}
        → 200 {"message":"ok","token":"<token2>"}
        POST /seller/create_store ann/<token1> {"store_id":"t"}
        → 401 {"message":"authorization fail."}
        POST /seller/create_store ann {"store_id":"t"}
        → 200 {"message":"ok"}
        # What is wrong with a request goes before who sends it.
        POST /auth/register / {"user_id":"ann"}
        → 530 {"message":"password is missing"}
        POST /auth/register / {"user_id":"","password":"x"}
        → 530 {"message":"user_id must be 1 to 255 bytes long, not 0"}
        POST /auth/login / {"user_id":"eve","password":"x"}
        → 530 {"message":"terminal is missing","token":""}
        POST /auth/login / {"user_id":"eve","password":5,"terminal":"t"}
        → 530 {"message":"password must be a text","token":""}
    "#]])
    .await;
}

#[tokio::test]
async fn logout() {
    check(expect![[r#"
        given user ann
        given user bob
        POST /auth/logout ann/
        → 401 {"message":"authorization fail."}
        POST /auth/logout eve/ann
        → 401 {"message":"authorization fail."}
        POST /auth/logout bob/ann
        → 401 {"message":"authorization fail."}
        POST /auth/logout /ann
        → 530 {"message":"user_id is missing"}
        POST /seller/create_store ann {"store_id":"s"}
        → 200 {"message":"ok"}
        POST /auth/logout ann
        → 200 {"message":"ok"}
        POST /auth/logout ann
        → 401 {"message":"authorization fail."}
        POST /seller/create_store ann {"store_id":"t"}
        → 401 {"message":"authorization fail."}
        # Bob's session is his own.
        POST /seller/create_store bob {"store_id":"t"}
        → 200 {"message":"ok"}
    "#]])
    .await;
}

#[tokio::test]
async fn a_new_password_ends_the_session() {
    check(expect![[r#"
        given user ann
        POST /auth/password / {"user_id":"ann","oldPassword":"wrong","newPassword":"new"}
        → 401 {"message":"authorization fail."}
        POST /auth/password / {"user_id":"eve","oldPassword":"pw-ann","newPassword":"new"}
        → 401 {"message":"authorization fail."}
        POST /seller/create_store ann {"store_id":"s"}
        → 200 {"message":"ok"}
        POST /auth/password / {"user_id":"ann","oldPassword":"pw-ann","newPassword":"new"}
        → 200 {"message":"ok"}
        POST /seller/create_store ann {"store_id":"t"}
        → 401 {"message":"authorization fail."}
        POST /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
        POST /auth/login / {"user_id":"ann","password":"new","terminal":"t"}
        → 200 {"message":"ok","token":"<token2>"}
        POST /seller/create_store ann {"store_id":"t"}
        → 200 {"message":"ok"}
        # What is wrong with the request goes first.
        POST /auth/password / {"user_id":"eve","oldPassword":"x"}
        → 530 {"message":"newPassword is missing"}
        POST /auth/password / {"user_id":"eve","newPassword":"x"}
        → 530 {"message":"oldPassword is missing"}
    "#]])
    .await;
}

#[tokio::test]
async fn a_session_lives_for_an_hour() {
    check(expect![[r#"
        given user ann
        wait 3599s
        POST /seller/create_store ann {"store_id":"s"}
        → 200 {"message":"ok"}
        POST /buyer/search_book_all /ann {"query":"x"}
        → 200 {"book_list":[],"message":"ok","pages":0}
        wait 1s
        POST /seller/create_store ann {"store_id":"t"}
        → 401 {"message":"authorization fail."}
        POST /buyer/search_book_all /ann {"query":"x"}
        → 401 {"book_list":[],"message":"authorization fail.","pages":0}
        POST /buyer/query_order ann
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /auth/logout ann
        → 401 {"message":"authorization fail."}
        POST /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 200 {"message":"ok","token":"<token2>"}
        POST /seller/create_store ann {"store_id":"t"}
        → 200 {"message":"ok"}
    "#]])
    .await;
}

#[tokio::test]
async fn an_account_goes_when_nothing_of_its_is_open() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        POST /auth/unregister / {"user_id":"eve","password":"pw-ann"}
        → 401 {"message":"authorization fail."}
        POST /auth/unregister / {"user_id":"ann","password":"wrong"}
        → 401 {"message":"authorization fail."}
        POST /auth/unregister / {"user_id":"ann","password":"pw-ann"}
        → 530 {"message":"the account still has orders that are neither finished nor cancelled"}
        POST /auth/unregister / {"user_id":"sam","password":"pw-sam"}
        → 530 {"message":"the account still has a store with orders neither finished nor cancelled"}
        # Nor while it is paid or on its way.
        given paid ann <order1>
        POST /auth/unregister / {"user_id":"ann","password":"pw-ann"}
        → 530 {"message":"the account still has orders that are neither finished nor cancelled"}
        given shipped sam <order1>
        POST /auth/unregister / {"user_id":"ann","password":"pw-ann"}
        → 530 {"message":"the account still has orders that are neither finished nor cancelled"}
        POST /auth/unregister / {"user_id":"sam","password":"pw-sam"}
        → 530 {"message":"the account still has a store with orders neither finished nor cancelled"}
        given received ann <order1>
        POST /auth/unregister / {"user_id":"ann","password":"pw-ann"}
        → 200 {"message":"ok"}
        POST /auth/unregister / {"user_id":"ann","password":"pw-ann"}
        → 401 {"message":"authorization fail."}
        POST /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
        POST /buyer/query_order ann
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":1}
        → 511 {"message":"non exist user id ann"}
    "#]])
    .await;
}

#[tokio::test]
async fn a_name_that_is_free_again_inherits_nothing() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        given paid ann <order1>
        given order ann s a 1
        given cancelled ann <order1>
        given cancelled ann <order2>
        POST /auth/unregister / {"user_id":"ann","password":"pw-ann"}
        → 200 {"message":"ok"}
        given user ann
        POST /seller/create_store ann/<token2> {"store_id":"t"}
        → 401 {"message":"authorization fail."}
        POST /buyer/query_order ann
        → 200 {"message":"ok","order_list":[]}
        POST /buyer/query_order_para ann {"para":-1}
        → 200 {"message":"ok","order_list":[]}
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>","order_list":[],"order_state":null}
        POST /buyer/cancel_order ann {"order_id":"<order2>"}
        → 518 {"message":"invalid order id <order2>"}
        # The balance was paid out.
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":-1}
        → 519 {"message":"not sufficient funds"}
    "#]])
    .await;
}

#[tokio::test]
async fn a_store_whose_owner_is_gone_sells_nothing() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        given paid ann <order1>
        given shipped sam <order1>
        given received ann <order1>
        POST /auth/unregister / {"user_id":"sam","password":"pw-sam"}
        → 200 {"message":"ok"}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1}]}
        → 513 {"message":"non exist store id s","order_id":""}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"b","count":1}]}
        → 513 {"message":"non exist store id s","order_id":""}
        # Whoever takes the name does not take the store.
        given user sam
        POST /seller/create_store sam {"store_id":"s"}
        → 514 {"message":"exist store id s"}
        POST /seller/add_book sam {"store_id":"s","book_id":"b","price":1,"stock_level":1}
        → 401 {"message":"authorization fail."}
        POST /seller/add_stock_level sam {"store_id":"s","book_id":"a","add_stock_level":1}
        → 401 {"message":"authorization fail."}
        POST /seller/deliver_book sam {"order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1}]}
        → 513 {"message":"non exist store id s","order_id":""}
        # Its buyers' orders stay theirs.
        POST /buyer/query_order_detail /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_detail_list":[{"book_id":"a","count":1,"create_time":1700000000,"order_id":"<order1>","price":100,"state":3,"store_id":"s"}]}
    "#]])
    .await;
}
