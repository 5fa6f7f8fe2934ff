//! Bad input: every field of every call, of every wrong kind.

use std::collections::BTreeSet;

use docket::http::dialects::bookstore;
use serde_json::{Value, json};

use super::talk::{Talk, check};
use crate::support::Answer;

mod bodies;
mod limits;

/// What a field may be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// A text of 1 to 255 bytes.
    Name,
    /// Any text.
    Text,
    /// A whole number of 64 bits, at least this.
    Integer(i64),
    /// The same, or such a text.
    Count,
    /// −1 to 3; anything else is 524.
    Para,
    /// A list of objects, not empty.
    Lines,
    /// An object.
    Object,
    /// A list of texts.
    Texts,
    /// The same, of base64.
    Pictures,
}

/// A field: where it lies, what it may be, and whether it must be there.
type Field = (&'static str, Kind, bool);

/// Every call with all its fields, good ones.
fn calls() -> Vec<(&'static str, Value, Vec<Field>)> {
    use Kind::*;
    let user = ("user_id", Name, true);
    let order = ("order_id", Name, true);
    let password = ("password", Text, true);
    let step = || json!({ "user_id": "eve", "order_id": "o" });
    let mut calls = vec![
        ("/auth/register", json!({ "user_id": "eve", "password": "x" }), vec![user, password]),
        ("/auth/unregister", json!({ "user_id": "eve", "password": "x" }), vec![user, password]),
        (
            "/auth/login",
            json!({ "user_id": "eve", "password": "x", "terminal": "t" }),
            vec![user, password, ("terminal", Text, true)],
        ),
        ("/auth/logout", json!({ "user_id": "eve" }), vec![user]),
        (
            "/auth/password",
            json!({ "user_id": "eve", "oldPassword": "x", "newPassword": "y" }),
            vec![user, ("oldPassword", Text, true), ("newPassword", Text, true)],
        ),
        (
            "/seller/create_store",
            json!({ "user_id": "eve", "store_id": "s" }),
            vec![user, ("store_id", Name, true)],
        ),
        (
            "/seller/add_book",
            json!({ "user_id": "eve", "store_id": "s", "book_id": "b", "price": 1, "stock_level": 1 }),
            vec![
                user,
                ("store_id", Name, true),
                ("book_id", Name, true),
                ("price", Integer(0), true),
                ("stock_level", Integer(0), true),
            ],
        ),
        (
            "/seller/add_book",
            json!({ "user_id": "eve", "store_id": "s", "stock_level": 1, "book_info": {
                "id": "b", "title": "t", "author": "a", "publisher": "p", "original_title": "o",
                "translator": "t", "pub_year": "1999", "pages": 5, "price": 1,
                "currency_unit": "元", "binding": "b", "isbn": "i", "author_intro": "a",
                "book_intro": "b", "content": "c", "tags": ["t"], "pictures": ["aGVsbG8="],
            } }),
            vec![
                user,
                ("store_id", Name, true),
                ("stock_level", Integer(0), false),
                ("book_info", Object, false), // Without, it is the other form.
                ("book_info.id", Name, true),
                ("book_info.title", Text, false),
                ("book_info.author", Text, false),
                ("book_info.publisher", Text, false),
                ("book_info.original_title", Text, false),
                ("book_info.translator", Text, false),
                ("book_info.pub_year", Text, false),
                ("book_info.pages", Integer(i64::MIN), false),
                ("book_info.price", Integer(0), true),
                ("book_info.currency_unit", Text, false),
                ("book_info.binding", Text, false),
                ("book_info.isbn", Text, false),
                ("book_info.author_intro", Text, false),
                ("book_info.book_intro", Text, false),
                ("book_info.content", Text, false),
                ("book_info.tags", Texts, false),
                ("book_info.pictures", Pictures, false),
            ],
        ),
        (
            "/seller/add_stock_level",
            json!({ "user_id": "eve", "store_id": "s", "book_id": "b", "add_stock_level": 1 }),
            vec![
                user,
                ("store_id", Name, true),
                ("book_id", Name, true),
                ("add_stock_level", Integer(1), true),
            ],
        ),
        ("/seller/delivery_book", step(), vec![user, order]),
        (
            "/seller/deliver_book",
            json!({ "user_id": "eve", "order_id": "o", "store_id": "s" }),
            vec![user, order, ("store_id", Name, false)],
        ),
        (
            "/buyer/new_order",
            json!({ "user_id": "eve", "store_id": "s", "books": [{ "id": "b", "count": 1 }] }),
            vec![
                user,
                ("store_id", Name, true),
                ("books", Lines, true),
                ("books[0].id", Name, true),
                ("books[0].count", Count, true),
            ],
        ),
        (
            "/buyer/payment",
            json!({ "user_id": "eve", "order_id": "o", "password": "x" }),
            vec![user, order, password],
        ),
        (
            "/buyer/add_funds",
            json!({ "user_id": "eve", "password": "x", "add_value": 1 }),
            vec![user, password, ("add_value", Integer(i64::MIN), true)],
        ),
        ("/buyer/cancel_order", step(), vec![user, order]),
        ("/buyer/receive_book", step(), vec![user, order]),
        ("/buyer/query_order", json!({ "user_id": "eve" }), vec![("user_id", Name, false)]),
        ("/buyer/query_order", json!({ "order_id": "o" }), vec![order]),
        ("/buyer/search_order", json!({ "buyer_id": "eve" }), vec![("buyer_id", Name, false)]),
        (
            "/buyer/query_order_para",
            json!({ "user_id": "eve", "para": 1 }),
            vec![user, ("para", Para, true)],
        ),
        (
            "/buyer/query_order_state",
            json!({ "user_id": "eve", "order_id": "o" }),
            vec![("user_id", Name, false), order],
        ),
        (
            "/buyer/query_order_state",
            json!({ "user_id": "eve", "para": 1 }),
            vec![("user_id", Name, false), ("para", Para, false)],
        ),
        ("/buyer/query_order_detail", json!({ "order_id": "o" }), vec![order]),
        ("/buyer/query_detail_order", json!({ "order_id": "o" }), vec![order]),
    ];
    for (all, store, field) in [
        ("/buyer/search_book_all", "/buyer/search_book_store", "query"),
        ("/buyer/search_book_all_title", "/buyer/search_book_store_title", "title"),
        ("/buyer/search_book_all_tag", "/buyer/search_book_store_tag", "tag"),
        ("/buyer/search_book_all_author", "/buyer/search_book_store_author", "author"),
    ] {
        let (field_, first) = ((field, Text, true), ("first", Integer(1), false));
        calls.push((all, json!({ field: "x", "first": 1 }), vec![field_, first]));
        let body = json!({ field: "x", "first": 1, "store_id": "s" });
        calls.push((store, body, vec![field_, first, ("store_id", Name, true)]));
    }
    calls
}

impl Kind {
    /// Whether a value of a body is one of this kind.
    fn takes(self, value: &Value) -> bool {
        let texts = |of: fn(&str) -> bool| {
            value.as_array().is_some_and(|all| all.iter().all(|it| it.as_str().is_some_and(of)))
        };
        match self {
            Self::Name => value.as_str().is_some_and(|it| (1..=255).contains(&it.len())),
            Self::Text => value.is_string(),
            Self::Integer(least) => value.as_i64().is_some_and(|it| it >= least),
            Self::Count => {
                let text = value.as_str().and_then(|it| it.parse().ok());
                value.as_i64().or(text).is_some_and(|it: i64| it >= 1)
            }
            Self::Para => value.as_i64().is_some_and(|it| (-1..=3).contains(&it)),
            Self::Lines => false, // None of the wrong ones is.
            Self::Object => value.is_object(),
            Self::Texts => texts(|_| true),
            Self::Pictures => texts(str::is_empty),
        }
    }
}

/// Values of every kind; each is wrong for some field.
fn values() -> Vec<Value> {
    vec![
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(9_223_372_036_854_775_808_u64),
        json!(""),
        json!("text"),
        json!("12"),
        json!("x".repeat(256)),
        json!("é".repeat(128)),
        json!([]),
        json!(["a", 1]),
        json!([{}]),
        json!([[]]),
        json!({}),
        json!({ "id": 1 }),
    ]
}

/// The place of a field in a body, to put another value there.
fn place<'a>(body: &'a mut Value, field: &str) -> &'a mut Value {
    match field.split_once('.') {
        None => &mut body[field],
        Some(("books[0]", rest)) => &mut body["books"][0][rest],
        Some((object, rest)) => &mut body[object][rest],
    }
}

fn remove(body: &mut Value, field: &str) {
    let (object, name) = match field.rsplit_once('.') {
        None => (body, field),
        Some(("books[0]", name)) => (&mut body["books"][0], name),
        Some((object, name)) => (&mut body[object], name),
    };
    object.as_object_mut().unwrap().remove(name);
}

fn message(answer: &Answer) -> &str {
    answer.body["message"].as_str().unwrap_or_else(|| panic!("no message in {answer:?}"))
}

#[test]
fn the_list_of_calls_is_complete() {
    let listed: BTreeSet<_> = calls().into_iter().map(|(path, _, _)| path).collect();
    let served: BTreeSet<_> = bookstore::paths().map(|(path, _)| path).collect();
    assert_eq!(listed, served);
}

#[tokio::test]
async fn a_wrong_value_is_named_before_anything_else_is_said() {
    let talk = Talk::start("").await;
    for (path, body, fields) in calls() {
        for (field, kind, _) in &fields {
            for value in values().into_iter().filter(|value| !kind.takes(value)) {
                let mut body = body.clone();
                *place(&mut body, field) = value;
                let answer = talk.shop.post(path, "", body.clone()).await;
                if *kind == Kind::Para {
                    assert_eq!(answer.code, 524, "{path} {body}");
                    continue;
                }
                assert_eq!(answer.code, 530, "{path} {body}: {answer:?}");
                assert!(message(&answer).starts_with(field), "{path} {body}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_right_value_is_not() {
    let talk = Talk::start("").await;
    for (path, body, fields) in calls() {
        let good = talk.shop.post(path, "", body.clone()).await;
        assert_ne!(good.code, 530, "{path}: {good:?}");
        for (field, kind, _) in &fields {
            let longest = json!("é".repeat(127));
            for value in values().into_iter().chain([longest]).filter(|value| kind.takes(value)) {
                let mut body = body.clone();
                *place(&mut body, field) = value;
                if *kind == Kind::Object {
                    continue; // Its fields are looked at on their own.
                }
                let answer = talk.shop.post(path, "", body.clone()).await;
                assert_ne!(answer.code, 530, "{path} {body}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_field_that_is_missing_or_null_is_named() {
    let talk = Talk::start("").await;
    for (path, body, fields) in calls() {
        for (field, _, required) in fields {
            let (mut without, mut null) = (body.clone(), body.clone());
            remove(&mut without, field);
            *place(&mut null, field) = Value::Null;
            for body in [without, null] {
                let answer = talk.shop.post(path, "", body.clone()).await;
                let missing = format!("{field} is missing");
                if required {
                    assert_eq!((answer.code, message(&answer)), (530, missing.as_str()), "{path}");
                } else {
                    assert_ne!(message(&answer), missing, "{path} {body}");
                }
            }
        }
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let talk = Talk::start("").await;
    for (path, body, _) in calls().into_iter().filter(|(path, _, _)| *path != "/auth/register") {
        let mut more = body.clone();
        more["unknown"] = json!([{ "deep": [1, 2.5, null] }]);
        more[""] = json!("");
        let (with, without) =
            (talk.shop.post(path, "", more).await, talk.shop.post(path, "", body).await);
        assert_eq!((with.code, with.body), (without.code, without.body), "{path}");
    }
}

#[tokio::test]
async fn names_are_any_text_of_up_to_255_bytes() {
    let odd =
        ["\0", "红楼 梦", "a/b?c=d&e#f", "\"\\", " ", "\u{1f4d6}", "'; DROP TABLE x; --", "<b>"];
    let long = "x".repeat(255);
    let mut talk = Talk::start("").await;
    talk.play("given user ann").await;
    let ann = talk.token("ann").to_owned();
    for (n, name) in odd.into_iter().chain([long.as_str()]).enumerate() {
        let token = talk.shop.user(name).await;
        let (store, book) = (format!("{n}{}", &name[..name.len().min(200)]), name);
        let post = async |path: &str, token: &str, mut body: Value| {
            body["store_id"] = json!(store);
            let answer = talk.shop.post(path, token, body).await;
            assert_eq!(answer.code, 200, "{name:?} {path} {answer:?}");
            answer.body
        };
        post("/seller/create_store", &token, json!({ "user_id": name })).await;
        let listing = json!({ "user_id": name, "book_id": book, "price": 1, "stock_level": 5 });
        post("/seller/add_book", &token, listing).await;
        let found = post("/buyer/search_book_store", &ann, json!({ "query": "" })).await;
        assert_eq!(found["book_list"][0]["book_id"], book);
        let order = json!({ "user_id": "ann", "books": [{ "id": book, "count": "1" }] });
        let order = post("/buyer/new_order", &ann, order).await["order_id"].clone();
        let detail = json!({ "order_id": order });
        let detail = post("/buyer/query_order_detail", &ann, detail).await;
        let line = &detail["order_detail_list"][0];
        assert_eq!((&line["book_id"], &line["store_id"]), (&json!(book), &json!(store)));
        // What is repeated in a text is repeated as it was named.
        let other = json!({ "user_id": "ann", "order_id": name });
        let answer = talk.shop.post("/buyer/cancel_order", &ann, other).await;
        assert_eq!(message(&answer), format!("invalid order id {name}"));
    }
    check(expect_test::expect![[r#"
        POST /seller/create_store \u0000/ {"store_id":"s"}
        → 511 {"message":"non exist user id \u0000"}
        POST /buyer/new_order / {"user_id":"\ud83d\udcd6","store_id":"s","books":[{"id":"b","count":1}]}
        → 511 {"message":"non exist user id 📖","order_id":""}
        POST /buyer/new_order / {"user_id":"\ud83d","store_id":"s","books":[{"id":"b","count":1}]}
        → 530 {"message":"the body is not JSON: unexpected end of hex escape at line 1 column 19","order_id":""}
    "#]])
    .await;
}
