//! Idempotency keys over HTTP.

use expect_test::expect;
use serde_json::json;

use super::talk::{Talk, check};

#[tokio::test]
async fn a_repeated_request_is_answered_as_the_first() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        POST /buyer/new_order ann [Idempotency-Key: "k"] {"store_id":"s","books":[{"id":"a","count":1}]}
        → 200 {"message":"ok","order_id":"<order1>"}
        POST /buyer/new_order ann [Idempotency-Key: "k"] {"store_id":"s","books":[{"id":"a","count":1}]}
        → 200 (idempotent-replay: true) {"message":"ok","order_id":"<order1>"}
        # With quotes or without, it is the same key.
        POST /buyer/new_order ann [Idempotency-Key: k] {"store_id":"s","books":[{"id":"a","count":1}]}
        → 200 (idempotent-replay: true) {"message":"ok","order_id":"<order1>"}
        POST /buyer/query_order ann
        → 200 {"message":"ok","order_list":["<order1>"]}
        # Another body is another request.
        POST /buyer/new_order ann [Idempotency-Key: "k"] {"store_id":"s","books":[{"id":"a","count":2}]}
        → 422 {"message":"this idempotency key was used for another request","order_id":""}
        # Another call may use the key for itself.
        POST /buyer/payment ann [Idempotency-Key: "k"] {"password":"pw-ann","order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/payment ann [Idempotency-Key: "k"] {"password":"pw-ann","order_id":"<order1>"}
        → 200 (idempotent-replay: true) {"message":"ok"}
        POST /seller/deliver_book sam [Idempotency-Key: "k"] {"order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /seller/deliver_book sam [Idempotency-Key: "k"] {"order_id":"<order1>"}
        → 200 (idempotent-replay: true) {"message":"ok"}
        # So is another path.
        POST /seller/delivery_book sam [Idempotency-Key: "k"] {"order_id":"<order1>"}
        → 422 {"message":"this idempotency key was used for another request"}
        POST /buyer/receive_book ann [Idempotency-Key: "k"] {"order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/receive_book ann [Idempotency-Key: "k"] {"order_id":"<order1>"}
        → 200 (idempotent-replay: true) {"message":"ok"}
        # The first answer, even when it would not be given now.
        POST /buyer/new_order ann [Idempotency-Key: "k"] {"store_id":"s","books":[{"id":"a","count":1}]}
        → 200 (idempotent-replay: true) {"message":"ok","order_id":"<order1>"}
        POST /buyer/cancel_order ann [Idempotency-Key: "k"] {"order_id":"<order1>"}
        → 520 {"message":"already delivered or take delivery"}
        POST /buyer/add_funds sam [Idempotency-Key: "k"] {"password":"pw-sam","add_value":-100}
        → 200 {"message":"ok"}
        POST /buyer/add_funds sam [Idempotency-Key: "k"] {"password":"pw-sam","add_value":-100}
        → 200 (idempotent-replay: true) {"message":"ok"}
        POST /seller/create_store sam [Idempotency-Key: "k"] {"store_id":"t"}
        → 200 {"message":"ok"}
        POST /seller/create_store sam [Idempotency-Key: "k"] {"store_id":"t"}
        → 200 (idempotent-replay: true) {"message":"ok"}
        POST /seller/add_book sam [Idempotency-Key: "k"] {"store_id":"t","book_id":"a","price":1,"stock_level":1}
        → 200 {"message":"ok"}
        POST /seller/add_book sam [Idempotency-Key: "k"] {"store_id":"t","book_id":"a","price":1,"stock_level":1}
        → 200 (idempotent-replay: true) {"message":"ok"}
        POST /seller/add_stock_level sam [Idempotency-Key: "k"] {"store_id":"t","book_id":"a","add_stock_level":1}
        → 200 {"message":"ok"}
        POST /seller/add_stock_level sam [Idempotency-Key: "k"] {"store_id":"t","book_id":"a","add_stock_level":1}
        → 200 (idempotent-replay: true) {"message":"ok"}
        POST /buyer/search_book_store /ann {"store_id":"t","query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":1,"stock_level":2,"tags":[],"title":""}],"message":"ok","pages":1}
        # After a day it is forgotten.
        wait 86400s
        POST /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 200 {"message":"ok","token":"<token3>"}
        POST /buyer/new_order ann [Idempotency-Key: "k"] {"store_id":"s","books":[{"id":"a","count":1}]}
        → 200 {"message":"ok","order_id":"<order2>"}
    "#]])
    .await;
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        POST /buyer/new_order ann [Idempotency-Key: k] {"store_id":"s","books":[{"id":"a","count":1}]}
        → 515 {"message":"non exist book id a","order_id":""}
        given book sam s a 100 10
        POST /buyer/new_order ann [Idempotency-Key: k] {"store_id":"s","books":[{"id":"a","count":2}]}
        → 200 {"message":"ok","order_id":"<order1>"}
        POST /buyer/new_order ann [Idempotency-Key: k] {"store_id":"s","books":[{"id":"a","count":1}]}
        → 422 {"message":"this idempotency key was used for another request","order_id":""}
        # So does one that changes nothing.
        POST /buyer/add_funds ann [Idempotency-Key: k] {"password":"pw-ann","add_value":0}
        → 200 {"message":"ok"}
        POST /buyer/add_funds ann [Idempotency-Key: k] {"password":"pw-ann","add_value":7}
        → 200 {"message":"ok"}
    "#]])
    .await;
}

#[tokio::test]
async fn a_key_is_its_caller_s_own() {
    check(expect![[r#"
        given user sam
        given user ann
        given user bob
        given store sam s
        given book sam s a 100 10
        POST /buyer/new_order ann [Idempotency-Key: k] {"store_id":"s","books":[{"id":"a","count":1}]}
        → 200 {"message":"ok","order_id":"<order1>"}
        POST /buyer/new_order bob [Idempotency-Key: k] {"store_id":"s","books":[{"id":"a","count":1}]}
        → 200 {"message":"ok","order_id":"<order2>"}
        # Without its caller's proof it tells nothing.
        POST /buyer/new_order ann/ [Idempotency-Key: k] {"store_id":"s","books":[{"id":"a","count":1}]}
        → 401 {"message":"authorization fail.","order_id":""}
        POST /buyer/new_order ann/bob [Idempotency-Key: k] {"store_id":"s","books":[{"id":"a","count":1}]}
        → 401 {"message":"authorization fail.","order_id":""}
        POST /buyer/new_order ann/bob [Idempotency-Key: k] {"store_id":"s","books":[{"id":"a","count":9}]}
        → 401 {"message":"authorization fail.","order_id":""}
    "#]])
    .await;
}

#[tokio::test]
async fn what_a_repeated_request_of_an_account_finds_changed() {
    check(expect![[r#"
        POST /auth/register / [Idempotency-Key: k] {"user_id":"ann","password":"a"}
        → 200 {"message":"ok"}
        POST /auth/register / [Idempotency-Key: k] {"user_id":"ann","password":"a"}
        → 200 (idempotent-replay: true) {"message":"ok"}
        POST /auth/register / [Idempotency-Key: k] {"user_id":"ann","password":"b"}
        → 422 {"message":"this idempotency key was used for another request"}
        POST /auth/register / [Idempotency-Key: l] {"user_id":"ann","password":"a"}
        → 512 {"message":"exist user id ann"}
        POST /auth/register / {"user_id":"ann","password":"a"}
        → 512 {"message":"exist user id ann"}
        # The old password is the old one no more, the token is dead, the account is gone.
        POST /auth/password / [Idempotency-Key: k] {"user_id":"ann","oldPassword":"a","newPassword":"b"}
        → 200 {"message":"ok"}
        POST /auth/password / [Idempotency-Key: k] {"user_id":"ann","oldPassword":"a","newPassword":"b"}
        → 200 (idempotent-replay: true) {"message":"ok"}
        POST /auth/password / [Idempotency-Key: k] {"user_id":"ann","oldPassword":"a","newPassword":"c"}
        → 422 {"message":"this idempotency key was used for another request"}
        POST /auth/password / [Idempotency-Key: l] {"user_id":"ann","oldPassword":"a","newPassword":"b"}
        → 401 {"message":"authorization fail."}
        POST /auth/login / {"user_id":"ann","password":"b","terminal":"t"}
        → 200 {"message":"ok","token":"<token1>"}
        POST /auth/logout ann [Idempotency-Key: k]
        → 200 {"message":"ok"}
        POST /auth/logout ann [Idempotency-Key: k]
        → 200 (idempotent-replay: true) {"message":"ok"}
        POST /auth/logout ann [Idempotency-Key: l]
        → 401 {"message":"authorization fail."}
        POST /auth/logout eve/ann [Idempotency-Key: k]
        → 422 {"message":"this idempotency key was used for another request"}
        POST /auth/unregister / [Idempotency-Key: k] {"user_id":"ann","password":"b"}
        → 200 {"message":"ok"}
        POST /auth/unregister / [Idempotency-Key: k] {"user_id":"ann","password":"b"}
        → 200 (idempotent-replay: true) {"message":"ok"}
        POST /auth/unregister / [Idempotency-Key: k] {"user_id":"ann","password":"c"}
        → 422 {"message":"this idempotency key was used for another request"}
        POST /auth/unregister / {"user_id":"ann","password":"b"}
        → 401 {"message":"authorization fail."}
    "#]])
    .await;
}

#[tokio::test]
async fn login_and_queries_take_no_key() {
    check(expect![[r#"
        given user ann
        POST /auth/login / [Idempotency-Key: k] {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 200 {"message":"ok","token":"<token2>"}
        POST /auth/login / [Idempotency-Key: k] {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 200 {"message":"ok","token":"<token3>"}
        POST /auth/login / [Idempotency-Key: k] {"user_id":"ann","password":"wrong","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
        POST /buyer/query_order ann [Idempotency-Key: k]
        → 200 {"message":"ok","order_list":[]}
        POST /buyer/query_order_para ann [Idempotency-Key: k] {"para":0}
        → 200 {"message":"ok","order_list":[]}
    "#]])
    .await;
}

#[tokio::test]
async fn a_replay_has_the_same_bytes_and_the_same_position() {
    let mut talk = Talk::start("").await;
    talk.play("given user sam\ngiven user ann\ngiven store sam s\ngiven book sam s a 1 9").await;
    let body = json!({ "user_id": "ann", "store_id": "s", "books": [{ "id": "a", "count": 1 }] });
    let headers = [("token", talk.token("ann")), ("idempotency-key", "k")];
    let order = async || talk.shop.post_with("/buyer/new_order", &headers, body.to_string()).await;
    let first = order().await;
    talk.shop.user("bob").await; // The journal goes on.
    let second = order().await;
    assert_eq!((first.code, &first.bytes), (200, &second.bytes));
    assert_eq!(first.headers["docket-position"], second.headers["docket-position"]);
    assert!(!first.headers.contains_key("idempotent-replay"));
    assert_eq!(second.headers["idempotent-replay"], "true");
}
