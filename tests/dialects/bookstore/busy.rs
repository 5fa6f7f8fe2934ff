//! 503 and 528: docket cannot answer now.

use std::sync::mpsc;

use docket::journal::{
    Journal as _,
    memory::{Fault, Gate},
};
use events::CommitNumber;
use expect_test::expect;
use serde_json::{Value, json};

use super::talk::Talk;
use crate::support::Answer;

/// A 503 with its `message`, when to come again, and the path's own fields.
fn says_busy(answer: &Answer, message: &str, empty: Value) {
    assert_eq!(answer.code, 503, "{answer:?}");
    assert_eq!(answer.headers["retry-after"], "1");
    let mut body = answer.body.clone();
    let text = body["message"].take();
    assert!(text.as_str().unwrap().contains(message), "{text}");
    let mut empty = empty;
    empty["message"] = Value::Null;
    assert_eq!(body, empty);
}

fn next_commit(talk: &Talk) -> CommitNumber {
    CommitNumber(talk.journal.head().borrow().number.0 + 1)
}

#[tokio::test]
async fn a_full_queue_is_503() {
    let mut talk = Talk::start("queue_max = 1").await;
    talk.play("given user ann").await;
    let open = |store: &str| {
        let body = json!({ "user_id": "ann", "store_id": store });
        talk.shop.post("/seller/create_store", talk.token("ann"), body)
    };
    // Both are on their way before the writer has a turn.
    let (first, second) = tokio::join!(open("s"), open("t"));
    assert_eq!(first.code, 200);
    says_busy(&second, "too many requests wait", json!({}));
}

/// Runs a test with one thread for all that blocks. [`hold`] keeps it busy for as long as the
/// test says.
fn with_one_blocking_thread(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.max_blocking_threads(1).enable_all().build().unwrap().block_on(test);
}

/// Keeps a blocking thread busy until the sender sends or goes.
fn hold() -> mpsc::Sender<()> {
    let (go, wait) = mpsc::channel();
    tokio::task::spawn_blocking(move || wait.recv());
    go
}

#[test]
fn a_full_line_for_passwords_is_503() {
    with_one_blocking_thread(async {
        let mut talk = Talk::start("passwords_at_once = 1\npasswords_waiting_max = 0").await;
        talk.play("given user ann").await;
        let go = hold();
        let register = |name: &str| {
            let body = json!({ "user_id": name, "password": "x" });
            talk.shop.post("/auth/register", "", body)
        };
        let login = |password: &str| {
            let body = json!({ "user_id": "ann", "password": password, "terminal": "t" });
            talk.shop.post("/auth/login", "", body)
        };
        let others = async {
            says_busy(&register("carl").await, "too many passwords are being checked", json!({}));
            for _ in 0..6 {
                says_busy(&login("wrong").await, "too many passwords", json!({ "token": "" }));
            }
            go.send(()).unwrap();
        };
        let (first, ()) = tokio::join!(register("bob"), others);
        assert_eq!(first.code, 200);
        // No password was looked at, so none was a wrong one.
        assert_eq!(login("wrong").await.code, 401);
        assert_eq!(login("pw-ann").await.code, 200);
    });
}

#[test]
fn too_many_searches_are_503() {
    with_one_blocking_thread(async {
        let mut talk = Talk::start("read_within = \"200ms\"").await;
        talk.play("given user ann").await;
        let search =
            || talk.shop.post("/buyer/search_book_all", talk.token("ann"), json!({ "query": "" }));
        // The view has seen everything after this, so the next searches take their turns in order.
        assert_eq!(search().await.code, 200);
        let go = hold();
        let third = async {
            let empty = json!({ "pages": 0, "book_list": [] });
            says_busy(&search().await, "too many searches", empty);
            go.send(()).unwrap();
        };
        let (first, second, ()) = tokio::join!(search(), search(), third);
        assert_eq!((first.code, second.code), (200, 200));
    });
}

#[tokio::test]
async fn an_answer_that_is_not_known_in_time_is_503() {
    let mut talk = Talk::start("answer_within = \"500ms\"").await;
    talk.play("given user sam\ngiven user ann\ngiven store sam s\ngiven book sam s a 1 9").await;
    let gate = Gate::new();
    talk.journal.inject(next_commit(&talk), Fault::Hold(gate.clone()));
    let body = json!({ "user_id": "ann", "store_id": "s", "books": [{ "id": "a", "count": 1 }] });
    let headers = [("token", talk.token("ann")), ("idempotency-key", "k")];
    let order = async || talk.shop.post_with("/buyer/new_order", &headers, body.to_string()).await;
    let answer = order().await;
    says_busy(&answer, "the outcome of command", json!({ "order_id": "" }));
    // The key tells later what became of it.
    gate.open();
    let answer = order().await;
    assert_eq!(
        (answer.code, &answer.headers["idempotent-replay"]),
        (200, &"true".parse().unwrap())
    );
}

#[tokio::test]
async fn a_view_that_is_behind_is_503() {
    let mut talk = Talk::start("read_within = \"100ms\"").await;
    talk.play("given user sam\ngiven user ann\ngiven store sam s\ngiven book sam s a 1 9").await;
    talk.play("given order ann s a 1").await;
    let ask = async |path: &str, body: Value, position: u64| {
        let position = position.to_string();
        let headers = [("token", talk.token("ann")), ("docket-min-position", position.as_str())];
        talk.shop.post_with(path, &headers, body.to_string()).await
    };
    let order = json!({ "order_id": talk.real("<order1>") });
    let user = json!({ "user_id": "ann", "para": 0 });
    let orders = json!({ "order_list": [] });
    let state = json!({ "order_list": [], "order_state": null });
    let books = json!({ "pages": 0, "book_list": [] });
    let queries = [
        ("/buyer/query_order", &user, orders.clone()),
        ("/buyer/query_order", &order, orders.clone()),
        ("/buyer/query_order_para", &user, orders),
        ("/buyer/query_order_state", &order, state.clone()),
        ("/buyer/query_order_state", &user, state),
        ("/buyer/query_order_detail", &order, json!({ "order_detail_list": [] })),
        ("/buyer/search_book_all", &json!({ "query": "" }), books.clone()),
        ("/buyer/search_book_store", &json!({ "query": "", "store_id": "s" }), books),
    ];
    let head = talk.shop.node.engine.head().position.0;
    for (path, body, empty) in queries {
        says_busy(&ask(path, body.clone(), head + 1).await, "stands at", empty);
        let answer = ask(path, body.clone(), head).await;
        let seen: u64 = answer.headers["docket-position"].to_str().unwrap().parse().unwrap();
        assert_eq!((answer.code, seen), (200, head), "{path}");
    }
    let orders = json!({ "order_list": [] });
    says_busy(&ask("/buyer/query_order", user, u64::MAX).await, "stands at", orders);
    // Commands know the newest anyway.
    let body = json!({ "user_id": "ann", "store_id": "t" });
    assert_eq!(ask("/seller/create_store", body, u64::MAX).await.code, 200);
}

#[tokio::test]
async fn a_failed_journal_is_528_and_queries_go_on() {
    let mut talk = Talk::start("").await;
    talk.play("given user sam\ngiven user ann\ngiven store sam s\ngiven book sam s a 1 9").await;
    talk.play("given order ann s a 1").await;
    talk.journal.inject(next_commit(&talk), Fault::Fail);
    talk.check(expect![[r#"
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"a","count":1}]}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why","order_id":""}
        POST /buyer/cancel_order ann {"order_id":"<order1>"}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /buyer/add_funds ann {"password":"pw-ann","add_value":1}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /buyer/payment ann {"password":"pw-ann","order_id":"<order1>"}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /buyer/receive_book ann {"order_id":"<order1>"}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /seller/create_store sam {"store_id":"t"}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /seller/add_book sam {"store_id":"s","book_id":"b","price":1,"stock_level":1}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /seller/add_stock_level sam {"store_id":"s","book_id":"a","add_stock_level":1}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /seller/deliver_book sam {"order_id":"<order1>"}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /auth/register / {"user_id":"bob","password":"x"}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /auth/login / {"user_id":"ann","password":"pw-ann","terminal":"t"}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why","token":""}
        POST /auth/password / {"user_id":"ann","oldPassword":"pw-ann","newPassword":"x"}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /auth/unregister / {"user_id":"ann","password":"pw-ann"}
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /auth/logout ann
        → 528 {"message":"storage trouble: nothing can be recorded now; the log and /readyz say why"}
        POST /buyer/query_order ann
        → 200 {"message":"ok","order_list":["<order1>"]}
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":0}
        POST /buyer/search_book_all /ann {"query":""}
        → 200 {"book_list":[{"author":"","book_id":"a","price":1,"stock_level":8,"store_id":"s","tags":[],"title":""}],"message":"ok","pages":1}
        # What is wrong with a request is still said first.
        POST /buyer/new_order ann {"store_id":"s","books":[]}
        → 530 {"message":"books must not be empty","order_id":""}
        POST /auth/login / {"user_id":"ann","password":"wrong","terminal":"t"}
        → 401 {"message":"authorization fail.","token":""}
    "#]])
        .await;
    let request = axum::http::Request::get("/readyz").body(axum::body::Body::empty()).unwrap();
    let ready = talk.shop.send(request).await;
    assert_eq!((ready.code, &ready.headers["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(ready.body["status"], "not ready");
}
