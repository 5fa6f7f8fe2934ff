//! Answers that are not about the shop: no such path, too large, too many guesses.

use axum::{
    Router,
    body::Body,
    http::{Method, Request},
};
use docket::http::dialects::bookstore;
use expect_test::expect;
use http_body_util::BodyExt as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::talk::{Talk, check};
use crate::support::Answer;

#[tokio::test]
async fn no_such_path_or_method() {
    check(expect![[r#"
        given user ann
        POST /auth/nothing ann
        → 404 {"message":"no such path"}
        GET /buyer/query_order/ ann
        → 404 {"message":"no such path"}
        POST /buyer/new_order/x ann
        → 404 {"message":"no such path"}
        POST /seller/create_stores ann {"store_id":"s"}
        → 404 {"message":"no such path"}
        DELETE /nowhere ann
        → 404 {"message":"no such path"}
        POST / ann
        → 404 {"message":"no such path"}
        GET /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 405 (allow: POST) {"message":"this path takes POST","token":""}
        PUT /buyer/query_order ann
        → 405 (allow: GET, POST) {"message":"this path takes GET, POST","order_list":[]}
        GET /buyer/new_order ann
        → 405 (allow: POST) {"message":"this path takes POST","order_id":""}
        # A path is wrong before its body is.
        POST /buyer/nothing ann not JSON
        → 404 {"message":"no such path"}
        DELETE /buyer/payment ann not JSON
        → 405 (allow: POST) {"message":"this path takes POST"}
    "#]])
    .await;
}

#[tokio::test]
async fn each_path_takes_the_methods_that_it_says() {
    let talk = Talk::start("").await;
    for (path, get) in bookstore::paths() {
        for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            let method: Method = method.parse().unwrap();
            let request = Request::builder().method(&method).uri(path).body(Body::empty());
            let answer = talk.shop.send(request.unwrap()).await;
            if get && method == Method::GET {
                assert_eq!(answer.code, 530, "{path}");
                continue;
            }
            assert_eq!(answer.code, 405, "{method} {path}");
            assert_eq!(answer.headers["allow"], if get { "GET, POST" } else { "POST" });
            assert!(answer.body["message"].is_string(), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_body_has_a_largest_size() {
    let talk = Talk::start("").await;
    let padded = |bytes: usize| {
        let body = json!({ "store_id": "s", "book_id": "b", "price": 1, "stock_level": 1 });
        format!("{body}{}", " ".repeat(bytes - body.to_string().len()))
    };
    for (path, _) in bookstore::paths() {
        let most = if path == "/seller/add_book" { 8 << 20 } else { 1 << 20 };
        let fits = talk.shop.post_with(path, &[], padded(most)).await;
        assert_eq!(fits.code, 530, "{path}: only a field is missing");
        let answer = talk.shop.post_with(path, &[], padded(most + 1)).await;
        assert_eq!(answer.code, 413, "{path}");
        let message = format!("the body is larger than {most} bytes, which is the most here");
        assert_eq!(answer.body["message"], message, "{path}");
    }
    let order = talk.shop.post_with("/buyer/new_order", &[], padded(2 << 20)).await;
    assert_eq!(order.body["order_id"], "", "a path's own fields are there too");
}

#[tokio::test]
async fn a_book_comes_with_its_pictures() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    let mut talk = Talk::start("").await;
    talk.play("given user sam\ngiven store sam s").await;
    let picture = STANDARD.encode(vec![7; 3 << 20]);
    let info = json!({ "id": "a", "price": 1, "pictures": [picture, STANDARD.encode("more")] });
    let body = json!({ "user_id": "sam", "store_id": "s", "book_info": info });
    let answer = talk.shop.post("/seller/add_book", talk.token("sam"), body).await;
    assert_eq!(answer.code, 200, "{answer:?}");
}

#[tokio::test]
async fn five_wrong_passwords_are_enough() {
    check(expect![[r#"
        given user sam
        given user ann
        given user bob
        given store sam s
        given book sam s a 1 9
        given order ann s a 1
        # Each call that takes a password counts.
        POST /auth/login / {"user_id":"ann","password":"1","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
        POST /auth/password / {"user_id":"ann","oldPassword":"2","newPassword":"x"}
        → 401 {"message":"authorization fail."}
        POST /auth/unregister / {"user_id":"ann","password":"3"}
        → 401 {"message":"authorization fail."}
        POST /buyer/add_funds ann {"password":"4","add_value":1}
        → 401 {"message":"authorization fail."}
        POST /buyer/payment ann {"password":"5","order_id":"<order1>"}
        → 401 {"message":"authorization fail."}
        # Now the right one is not looked at either.
        POST /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 429 {"message":"too many wrong passwords; try again in … s","token":""}
        POST /auth/password / {"user_id":"ann","oldPassword":"pw-ann","newPassword":"x"}
        → 429 {"message":"too many wrong passwords; try again in … s"}
        POST /auth/unregister / {"user_id":"ann","password":"pw-ann"}
        → 429 {"message":"too many wrong passwords; try again in … s"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":1}
        → 429 {"message":"too many wrong passwords; try again in … s"}
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 429 {"message":"too many wrong passwords; try again in … s"}
        # Calls without a password go on, and so do others, and other addresses.
        POST /buyer/query_order ann
        → 200 {"message":"ok","order_list":["<order1>"]}
        POST /buyer/add_funds bob {"password":"pw-bob","add_value":1}
        → 200 {"message":"ok"}
        POST /buyer/add_funds ann [from: 10.0.0.2] {"password":"pw-ann","add_value":1}
        → 200 {"message":"ok"}
        POST /auth/login / [from: 10.0.0.2] {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 200 {"message":"ok","token":"<token4>"}
        # A right one does not forgive the wrong ones before it: others may share the address.
        POST /auth/login / {"user_id":"bob","password":"1","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
        POST /auth/login / {"user_id":"bob","password":"2","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
        POST /auth/login / {"user_id":"bob","password":"3","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
        POST /auth/login / {"user_id":"bob","password":"4","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
        POST /auth/login / {"user_id":"bob","password":"pw-bob","terminal":"t"}
        → 200 {"message":"ok","token":"<token5>"}
        POST /auth/login / {"user_id":"bob","password":"1","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
        POST /auth/login / {"user_id":"bob","password":"2","terminal":"t"}
        → 429 {"message":"too many wrong passwords; try again in … s","token":""}
    "#]])
    .await;
}

#[tokio::test]
async fn somebody_locked_out_is_told_for_how_long() {
    let mut talk = Talk::start("").await;
    talk.play("given user ann").await;
    let login = async || {
        let body = json!({ "user_id": "ann", "password": "wrong", "terminal": "t" });
        talk.shop.post("/auth/login", "", body).await
    };
    for _ in 0..5 {
        assert_eq!(login().await.code, 401);
    }
    let answer = login().await;
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((30..=60).contains(&seconds), "{seconds}");
    let message = format!("too many wrong passwords; try again in {seconds} s");
    assert_eq!(answer.body, json!({ "message": message, "token": "" }));
}

#[tokio::test]
async fn a_password_that_was_right_moments_ago_costs_no_hash() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    // The counts of this thread, on which the calls run.
    let _here = metrics::set_default_local_recorder(&recorder);
    let hashes = || -> u64 {
        let text = handle.render();
        let line = text.lines().find_map(|it| it.strip_prefix("docket_password_hashes_total "));
        line.map_or(0, |count| count.parse().unwrap())
    };
    let mut talk = Talk::start("").await;
    talk.play("given user sam\ngiven user ann\ngiven store sam s\ngiven book sam s a 1 9").await;
    assert_eq!(hashes(), 4, "each registered and logged in");
    talk.play(
        "given funds ann 9\ngiven order ann s a 1\ngiven order ann s a 2
         given paid ann <order1>\ngiven paid ann <order2>",
    )
    .await;
    assert_eq!(hashes(), 4, "no payment costs one");
    talk.play(r#"POST /buyer/add_funds ann {"password":"wrong","add_value":1}"#).await;
    assert_eq!(hashes(), 5, "a wrong one does");
}

#[tokio::test]
async fn a_docket_without_its_journal_says_so_in_the_same_shape() {
    let router = docket::http::trouble::router("the disk is gone".into());
    let ask = async |path: &str| asked(&router, path).await;
    for (path, _) in bookstore::paths() {
        let answer = ask(path).await;
        assert_eq!(answer.code, 528, "{path}");
        assert!(answer.body["message"].as_str().unwrap().starts_with("storage trouble"), "{path}");
    }
    assert_eq!(ask("/auth/login").await.body["token"], "");
    assert_eq!(ask("/buyer/query_order").await.body["order_list"], json!([]));
    assert_eq!(ask("/buyer/nothing").await.code, 404);
    let elsewhere = ask("/elsewhere").await;
    assert_eq!((elsewhere.code, &elsewhere.headers["retry-after"]), (503, &"1".parse().unwrap()));
    assert_ne!(elsewhere.body["message"], Value::Null);
}

#[tokio::test]
async fn a_docket_that_ends_says_so_in_the_same_shape() {
    let router = docket::http::trouble::ending();
    for (path, _) in bookstore::paths() {
        let answer = asked(&router, path).await;
        assert_eq!((answer.code, &answer.headers["retry-after"]), (503, &"1".parse().unwrap()));
        assert!(answer.body["message"].as_str().unwrap().starts_with("docket ends"), "{path}");
    }
    assert_eq!(asked(&router, "/buyer/query_order").await.body["order_list"], json!([]));
}

/// Posts an empty object to a router that is no docket's.
async fn asked(router: &Router, path: &str) -> Answer {
    let request = Request::post(path).body(Body::from("{}")).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (code, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Answer { code, headers, body: serde_json::from_slice(&bytes).unwrap(), bytes }
}
