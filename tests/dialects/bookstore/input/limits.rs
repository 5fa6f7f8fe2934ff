//! Headers that cannot be used, and fields that no journal takes.

use axum::http::{HeaderValue, Request};
use docket::http::dialects::bookstore;
use serde_json::{Value, json};

use super::{super::talk::Talk, message};
use crate::support::Answer;

async fn with_header(talk: &Talk, path: &str, name: &str, value: &[u8], body: &Value) -> Answer {
    let value = HeaderValue::from_bytes(value).unwrap();
    let request = Request::post(path).header(name, value).header("token", talk.token("ann"));
    talk.shop.send(request.body(body.to_string().into()).unwrap()).await
}

#[tokio::test]
async fn an_idempotency_key_is_1_to_255_bytes_of_text() {
    let mut talk = Talk::start("").await;
    talk.play("given user ann").await;
    let long = "x".repeat(256);
    let quoted = format!("\"{long}\"");
    let bad: [&[u8]; 5] = [b"", b"\"\"", long.as_bytes(), quoted.as_bytes(), "钥".as_bytes()];
    for (path, _) in bookstore::paths() {
        for value in bad {
            let answer = with_header(&talk, path, "idempotency-key", value, &json!({})).await;
            let wanted = "the header Idempotency-Key must be 1 to 255 bytes of text";
            assert_eq!((answer.code, message(&answer)), (530, wanted), "{path} {value:?}");
        }
    }
    let most = format!("\"{}\"", &long[1..]);
    for (n, value) in ["k", "\"", "a b", most.as_str()].into_iter().enumerate() {
        let body = json!({ "user_id": "ann", "store_id": n.to_string() });
        let path = "/seller/create_store";
        let answer = with_header(&talk, path, "idempotency-key", value.as_bytes(), &body).await;
        assert_eq!(answer.code, 200, "{value}");
    }
}

#[tokio::test]
async fn a_least_position_is_a_whole_number() {
    let mut talk = Talk::start("").await;
    talk.play("given user ann").await;
    let body = json!({ "user_id": "ann", "para": 0 });
    let ask = async |value: &[u8]| {
        with_header(&talk, "/buyer/query_order_para", "docket-min-position", value, &body).await
    };
    let bad: [&[u8]; 7] =
        [b"", b"x", b"-1", b"1.5", b"1e3", b"18446744073709551616", "一".as_bytes()];
    for value in bad {
        let answer = ask(value).await;
        let wanted = "the header Docket-Min-Position must be a whole number, not negative";
        assert_eq!((answer.code, message(&answer)), (530, wanted), "{value:?}");
        assert_eq!(answer.body["order_list"], json!([]));
    }
    assert_eq!(ask(b"0").await.code, 200);
}

#[tokio::test]
async fn what_no_journal_takes_is_530_before_anything_else() {
    // Nobody of this name is there, and no token comes along.
    let talk = Talk::start("[channel.bookstore]\nmax_lines = 100000").await;
    let text = "x".repeat(300 * 1024);
    let cases = [
        (
            "/seller/add_book",
            json!({ "store_id": "s", "book_info": { "id": "a", "price": 1, "content": text } }),
            "book_info is too large to record: ",
        ),
        (
            "/seller/add_book",
            json!({ "store_id": "s", "book_info": { "id": "a", "price": 1, "tags": vec!["t"; 90_000] } }),
            "book_info is too large to record: ",
        ),
        (
            "/seller/add_book",
            json!({ "store_id": "s", "book_info": { "id": "a", "price": 1, "pictures": vec!["aGVsbG8="; 101] } }),
            "book_info.pictures must be at most 100",
        ),
        (
            "/auth/login",
            json!({ "password": "x", "terminal": text }),
            "terminal is too large to record: ",
        ),
        (
            "/buyer/new_order",
            json!({ "store_id": "s", "books": (0..5000).map(|n| json!({ "id": format!("{n:0100}"), "count": 1 })).collect::<Vec<_>>() }),
            "the request is too large to record: ",
        ),
    ];
    for (path, mut body, wanted) in cases {
        body["user_id"] = json!("eve");
        let answer = talk.shop.post(path, "", body).await;
        assert_eq!(answer.code, 530, "{path} {}", message(&answer));
        assert!(message(&answer).starts_with(wanted), "{path} {}", message(&answer));
    }
}

#[tokio::test]
async fn what_just_fits_is_recorded() {
    let mut talk = Talk::start("").await;
    talk.play("given user ann\ngiven store ann s").await;
    let login = async |bytes: usize| {
        let terminal = "t".repeat(bytes);
        let body = json!({ "user_id": "ann", "password": "pw-ann", "terminal": terminal });
        talk.shop.post("/auth/login", "", body).await
    };
    // The message says how much fits, in base64 and with a nonce and a tag.
    let refused = login(200_000).await;
    let most = message(&refused).rsplit(' ').nth(1).unwrap().parse::<usize>().unwrap();
    let most = most / 4 * 3 - 28;
    assert_eq!(login(most + 1).await.code, 530);
    let answer = login(most).await;
    assert_eq!(answer.code, 200);
    let token = answer.body["token"].as_str().unwrap();
    let add = async |bytes: usize| {
        let info = json!({ "id": "a", "price": 1, "content": "c".repeat(bytes) });
        let body = json!({ "user_id": "ann", "store_id": "s", "book_info": info });
        talk.shop.post("/seller/add_book", token, body).await
    };
    let refused = add(300_000).await;
    let mut numbers = message(&refused).split(' ').filter_map(|word| word.parse::<usize>().ok());
    let (weighs, most) = (numbers.next().unwrap(), numbers.next().unwrap());
    let most = most - (weighs - 300_000);
    assert_eq!(add(most + 1).await.code, 530);
    assert_eq!(add(most).await.code, 200);
}

#[tokio::test]
async fn a_password_may_be_long_or_empty() {
    let talk = Talk::start("").await;
    for (name, password) in [("ann", String::new()), ("bob", "长".repeat(200_000))] {
        let register = json!({ "user_id": name, "password": password });
        assert_eq!(talk.shop.post("/auth/register", "", register).await.code, 200);
        let login = json!({ "user_id": name, "password": password, "terminal": "" });
        assert_eq!(talk.shop.post("/auth/login", "", login).await.code, 200);
        let wrong = json!({ "user_id": name, "password": format!("{password}x"), "terminal": "" });
        assert_eq!(talk.shop.post("/auth/login", "", wrong).await.code, 401);
    }
}
