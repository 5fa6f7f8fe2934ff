//! Every call, by everybody who may not make it: nothing of another's is shown or changed.

use std::collections::BTreeSet;

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Method, Request},
};
use docket::http::dialects::bookstore;
use serde_json::{Value, json};

use super::talk::Talk;
use crate::support::Answer;

/// What proves that a call may be made.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Proof {
    /// The token of the user who is named.
    Token,
    /// The password of the user who is named.
    Password,
    /// The token of the user whose order is named.
    Order,
    /// Any live token; what is told is the same for all.
    AnyToken,
    /// None: the name must be free.
    FreeName,
}

/// All calls, on ann's orders and in her store, as she would make them.
fn calls(order: &str) -> Vec<(&'static str, Proof, Value)> {
    use Proof::*;
    let books = json!([{ "id": "a", "count": 1 }]);
    let search = |field: &str| json!({ field: "a", "store_id": "s" });
    vec![
        ("/auth/register", FreeName, json!({ "user_id": "ann", "password": "x" })),
        ("/auth/unregister", Password, json!({ "user_id": "ann", "password": "x" })),
        ("/auth/login", Password, json!({ "user_id": "ann", "password": "x", "terminal": "t" })),
        ("/auth/logout", Token, json!({ "user_id": "ann" })),
        (
            "/auth/password",
            Password,
            json!({ "user_id": "ann", "oldPassword": "x", "newPassword": "y" }),
        ),
        ("/seller/create_store", Token, json!({ "user_id": "ann", "store_id": "new" })),
        (
            "/seller/add_book",
            Token,
            json!({ "user_id": "ann", "store_id": "s", "book_info": { "id": "c", "price": 1 } }),
        ),
        (
            "/seller/add_book",
            Token,
            json!({ "user_id": "ann", "store_id": "s", "book_id": "c", "price": 1, "stock_level": 1 }),
        ),
        (
            "/seller/add_stock_level",
            Token,
            json!({ "user_id": "ann", "store_id": "s", "book_id": "a", "add_stock_level": 1 }),
        ),
        ("/seller/delivery_book", Token, json!({ "user_id": "ann", "order_id": order })),
        (
            "/seller/deliver_book",
            Token,
            json!({ "user_id": "ann", "order_id": order, "store_id": "s" }),
        ),
        ("/buyer/new_order", Token, json!({ "user_id": "ann", "store_id": "s", "books": books })),
        (
            "/buyer/payment",
            Token,
            json!({ "user_id": "ann", "order_id": order, "password": "pw-ann" }),
        ),
        (
            "/buyer/add_funds",
            Token,
            json!({ "user_id": "ann", "password": "pw-ann", "add_value": -1 }),
        ),
        ("/buyer/cancel_order", Token, json!({ "user_id": "ann", "order_id": order })),
        ("/buyer/cancel_order", Token, json!({ "buyer_id": "ann", "order_id": order })),
        ("/buyer/receive_book", Token, json!({ "user_id": "ann", "order_id": order })),
        ("/buyer/receive_book", Token, json!({ "buyer_id": "ann", "order_id": order })),
        ("/buyer/query_order", Token, json!({ "user_id": "ann" })),
        ("/buyer/query_order", Order, json!({ "order_id": order })),
        ("/buyer/search_order", Token, json!({ "buyer_id": "ann" })),
        ("/buyer/search_order", Order, json!({ "order_id": order })),
        ("/buyer/query_order_para", Token, json!({ "user_id": "ann", "para": 0 })),
        ("/buyer/query_order_para", Order, json!({ "order_id": order, "para": 0 })),
        ("/buyer/query_order_state", Token, json!({ "user_id": "ann", "para": 0 })),
        ("/buyer/query_order_state", Token, json!({ "user_id": "ann", "order_id": order })),
        ("/buyer/query_order_state", Order, json!({ "order_id": order })),
        ("/buyer/query_order_state", Order, json!({ "order_id": order, "para": 0 })),
        ("/buyer/query_order_detail", Order, json!({ "order_id": order })),
        ("/buyer/query_order_detail", Token, json!({ "user_id": "ann", "order_id": order })),
        ("/buyer/query_detail_order", Order, json!({ "order_id": order })),
        ("/buyer/search_book_all", AnyToken, search("query")),
        ("/buyer/search_book_all_title", AnyToken, search("title")),
        ("/buyer/search_book_all_tag", AnyToken, search("tag")),
        ("/buyer/search_book_all_author", AnyToken, search("author")),
        ("/buyer/search_book_store", AnyToken, search("query")),
        ("/buyer/search_book_store_title", AnyToken, search("title")),
        ("/buyer/search_book_store_tag", AnyToken, search("tag")),
        ("/buyer/search_book_store_author", AnyToken, search("author")),
    ]
}

/// Ann has a store and three orders in it, her own: unpaid, paid and shipped. Bob has a store.
async fn town() -> Talk {
    let mut talk = Talk::start("").await;
    talk.play(
        "given user ann\ngiven user bob\ngiven store ann s\ngiven store bob t
         given book ann s a 100 10\ngiven book bob t b 100 10
         given funds ann 1000\ngiven funds bob 1000
         given order ann s a 1\ngiven order ann s a 2\ngiven order ann s a 3
         given paid ann <order2>\ngiven paid ann <order3>\ngiven shipped ann <order3>",
    )
    .await;
    talk
}

const ORDERS: [&str; 3] = ["<order1>", "<order2>", "<order3>"];

/// Guessing comes from everywhere, so that it is never the lock-out that refuses.
struct Caller<'a> {
    talk: &'a Talk,
    calls: u16,
}

impl Caller<'_> {
    async fn call(&mut self, method: Method, path: &str, token: &str, body: &Value) -> Answer {
        self.calls += 1;
        let [high, low] = self.calls.to_be_bytes();
        let address = std::net::SocketAddr::from(([10, 0, high, low], 1));
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("token", token);
        }
        let request = request.extension(ConnectInfo(address)).body(Body::from(body.to_string()));
        self.talk.shop.send(request.unwrap()).await
    }

    /// Makes a call, as GET too where that is taken. It must be refused with this code, show
    /// nothing and record nothing.
    async fn refused(&mut self, code: u16, path: &str, token: &str, body: &Value) {
        let head = || self.talk.shop.node.engine.head();
        let before = head();
        let get = bookstore::paths().any(|(known, get)| known == path && get);
        for method in [Some(Method::POST), get.then_some(Method::GET)].into_iter().flatten() {
            let answer = self.call(method, path, token, body).await;
            assert_eq!(answer.code, code, "{path} {body}: {answer:?}");
            let fields = answer.body.as_object().unwrap().iter();
            for (name, value) in fields.filter(|(name, _)| *name != "message") {
                let empty = [json!(""), json!([]), json!(0), Value::Null].contains(value);
                assert!(empty, "{path} {body} shows {name}: {value}");
            }
        }
        let head = self.talk.shop.node.engine.head();
        assert_eq!(head, before, "{path} {body} changed something");
    }
}

#[test]
fn the_list_of_calls_is_complete() {
    let listed: BTreeSet<_> = calls("").into_iter().map(|(path, _, _)| path).collect();
    let served: BTreeSet<_> = bookstore::paths().map(|(path, _)| path).collect();
    assert_eq!(listed, served);
    assert_eq!(bookstore::paths().count(), served.len(), "each is there once");
}

#[tokio::test]
async fn without_proof_nothing_is_shown_or_changed() {
    let talk = town().await;
    let altered = format!("{}x", talk.token("ann"));
    let tokens = ["", "no token", "红", altered.as_str(), talk.token("bob")];
    let mut caller = Caller { talk: &talk, calls: 0 };
    for order in ORDERS {
        for (path, proof, body) in calls(talk.real(order)) {
            for token in tokens {
                let own = token == talk.token("bob");
                let code = match proof {
                    Proof::FreeName => 512,
                    Proof::Order if own => 518,
                    Proof::AnyToken if own => continue,
                    Proof::Token | Proof::Password | Proof::Order | Proof::AnyToken => 401,
                };
                caller.refused(code, path, token, &body).await;
            }
        }
    }
}

#[tokio::test]
async fn a_session_that_has_ended_is_no_proof() {
    let ways = [
        "wait 3600s",
        "POST /auth/logout ann",
        r#"POST /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"t"}"#,
        r#"POST /auth/password / {"user_id":"ann","oldPassword":"pw-ann","newPassword":"pw-ann"}"#,
    ];
    for way in ways {
        let mut talk = town().await;
        let token = talk.token("ann").to_owned();
        talk.play(way).await;
        let mut caller = Caller { talk: &talk, calls: 0 };
        for (path, proof, body) in calls(talk.real("<order1>")) {
            let code = if proof == Proof::FreeName { 512 } else { 401 };
            caller.refused(code, path, &token, &body).await;
        }
    }
}

#[tokio::test]
async fn an_account_reaches_nothing_of_another_s() {
    let talk = town().await;
    let token = talk.token("bob");
    let mut caller = Caller { talk: &talk, calls: 0 };
    for order in ORDERS {
        for (path, _, mut body) in calls(talk.real(order)) {
            let names = body.get("order_id").is_some() && body.get("para").is_none();
            let code = match path {
                "/seller/add_book" | "/seller/add_stock_level" => 401,
                "/seller/deliver_book" | "/seller/delivery_book" if names => 401,
                "/buyer/payment" | "/buyer/receive_book" => 401,
                "/buyer/cancel_order" | "/buyer/query_order_detail" => 518,
                "/buyer/query_order_state" if names => 518,
                _ => continue, // Bob may do that for himself.
            };
            for name in ["user_id", "buyer_id"] {
                if body.get(name).is_some() {
                    body[name] = json!("bob");
                }
            }
            if path == "/buyer/payment" {
                body["password"] = json!("pw-bob");
            }
            caller.refused(code, path, token, &body).await;
        }
    }
    // What bob sees is his, whosever order he names.
    for path in ["/buyer/query_order", "/buyer/search_order"] {
        let body = json!({ "user_id": "bob", "order_id": talk.real("<order1>") });
        let answer = caller.call(Method::POST, path, token, &body).await;
        assert_eq!(answer.body, json!({ "message": "ok", "order_list": [] }));
    }
    let body = json!({ "user_id": "bob", "order_id": talk.real("<order1>"), "para": 0 });
    for path in ["/buyer/query_order_para", "/buyer/query_order_state"] {
        let answer = caller.call(Method::POST, path, token, &body).await;
        assert_eq!(answer.body, json!({ "message": "ok", "order_list": [] }));
    }
}

#[tokio::test]
async fn with_proof_every_call_is_answered() {
    // So that the refusals above are refused for want of proof, and not for the calls' shape.
    let talk = town().await;
    let token = talk.token("ann");
    let mut caller = Caller { talk: &talk, calls: 0 };
    let shapes = |code: u16| matches!(code, 404 | 405 | 413 | 511 | 513 | 515 | 530);
    for order in ORDERS {
        for (path, proof, body) in calls(talk.real(order)) {
            if proof == Proof::Password || path == "/auth/logout" {
                continue;
            }
            let answer = caller.call(Method::POST, path, token, &body).await;
            assert!(!shapes(answer.code) && answer.code != 401, "{path} {body}: {answer:?}");
        }
    }
}
