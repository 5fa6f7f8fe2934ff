//! Searching for books.

use expect_test::expect;
use serde_json::{Value, json};

use super::talk::Talk;

/// Two stores with books of several titles, tags and authors.
const SHELVES: &str = r#"
    given user sam
    given user bob
    given user ann
    given store sam z
    given store bob m
    POST /seller/add_book sam {"store_id":"z","stock_level":3,"book_info":{"id":"2","title":"Rust in Action","author":"Tim McNamara","price":300,"tags":["Programming","rust"]}}
    POST /seller/add_book sam {"store_id":"z","stock_level":0,"book_info":{"id":"1","title":"Trust","author":"Hernan Diaz","price":200,"tags":["novel"]}}
    POST /seller/add_book bob {"store_id":"m","stock_level":1,"book_info":{"id":"9","title":"Oxide","author":"Rusty Young","price":100,"tags":["trusty","Novel"]}}
    POST /seller/add_book bob {"store_id":"m","stock_level":1,"book_info":{"id":"5","title":"红楼梦","author":"曹雪芹","price":100,"tags":["小说"]}}
    POST /seller/add_book bob {"store_id":"m","stock_level":1,"book_id":"7","price":1}
"#;

async fn shelves() -> Talk {
    let mut talk = Talk::start("").await;
    let played = talk.play(SHELVES).await;
    assert_eq!(played.matches("→ 200").count(), 5, "{played}");
    talk
}

/// What a search finds, as `store/book` or `book`.
async fn found(talk: &Talk, path: &str, body: Value) -> String {
    let answer = talk.shop.post(&format!("/buyer/{path}"), talk.token("ann"), body).await;
    assert_eq!((answer.code, &answer.body["message"]), (200, &json!("ok")), "{answer:?}");
    let books = answer.body["book_list"].as_array().unwrap().iter().map(|book| {
        let store = book.get("store_id").map(|it| format!("{}/", it.as_str().unwrap()));
        format!("{}{}", store.unwrap_or_default(), book["book_id"].as_str().unwrap())
    });
    let books: Vec<_> = books.collect();
    format!("{} of {} pages", books.join(" "), answer.body["pages"]).trim_start().to_owned()
}

#[tokio::test]
async fn what_each_search_finds() {
    let talk = shelves().await;
    let all = async |path: &str, field: &str, text: &str| {
        found(&talk, path, json!({ field: text })).await
    };
    let store = async |path: &str, store: &str, field: &str, text: &str| {
        found(&talk, path, json!({ "store_id": store, field: text })).await
    };
    // Title and author in part, tags as a whole, whatever the case; stores and books in order.
    assert_eq!(all("search_book_all_title", "title", "RUST").await, "z/1 z/2 of 1 pages");
    assert_eq!(all("search_book_all_author", "author", "rust").await, "m/9 of 1 pages");
    assert_eq!(all("search_book_all_tag", "tag", "RUST").await, "z/2 of 1 pages");
    assert_eq!(all("search_book_all_tag", "tag", "trust").await, "of 0 pages");
    assert_eq!(all("search_book_all_tag", "tag", "novel").await, "m/9 z/1 of 1 pages");
    assert_eq!(all("search_book_all", "query", "rust").await, "m/9 z/1 z/2 of 1 pages");
    assert_eq!(all("search_book_all", "query", "novel").await, "m/9 z/1 of 1 pages");
    assert_eq!(all("search_book_all", "query", "nove").await, "of 0 pages");
    assert_eq!(all("search_book_all", "query", "楼").await, "m/5 of 1 pages");
    assert_eq!(all("search_book_all", "query", "nothing like it").await, "of 0 pages");
    assert_eq!(all("search_book_all", "query", "").await, "m/5 m/7 m/9 z/1 z/2 of 1 pages");
    assert_eq!(all("search_book_all_tag", "tag", "").await, "of 0 pages");
    assert_eq!(store("search_book_store", "z", "query", "rust").await, "1 2 of 1 pages");
    assert_eq!(store("search_book_store", "m", "query", "rust").await, "9 of 1 pages");
    assert_eq!(store("search_book_store_title", "m", "title", "ox").await, "9 of 1 pages");
    assert_eq!(store("search_book_store_title", "z", "title", "ox").await, "of 0 pages");
    assert_eq!(store("search_book_store_author", "m", "author", "雪").await, "5 of 1 pages");
    assert_eq!(store("search_book_store_tag", "m", "tag", "小说").await, "5 of 1 pages");
    assert_eq!(store("search_book_store_tag", "m", "tag", "小").await, "of 0 pages");
}

#[tokio::test]
async fn how_a_search_is_answered() {
    let mut talk = shelves().await;
    talk.check(expect![[r#"
        POST /buyer/search_book_all_title /ann {"title":"in action"}
        → 200 {"book_list":[{"author":"Tim McNamara","book_id":"2","price":300,"stock_level":3,"store_id":"z","tags":["Programming","rust"],"title":"Rust in Action"}],"message":"ok","pages":1}
        GET /buyer/search_book_all_title /ann {"title":"in action"}
        → 200 {"book_list":[{"author":"Tim McNamara","book_id":"2","price":300,"stock_level":3,"store_id":"z","tags":["Programming","rust"],"title":"Rust in Action"}],"message":"ok","pages":1}
        POST /buyer/search_book_store_title /ann {"store_id":"z","title":"in action"}
        → 200 {"book_list":[{"author":"Tim McNamara","book_id":"2","price":300,"stock_level":3,"tags":["Programming","rust"],"title":"Rust in Action"}],"message":"ok","pages":1}
        GET /buyer/search_book_store_title /ann {"store_id":"z","title":"in action"}
        → 200 {"book_list":[{"author":"Tim McNamara","book_id":"2","price":300,"stock_level":3,"tags":["Programming","rust"],"title":"Rust in Action"}],"message":"ok","pages":1}
        # What is on the shelf, not what is in orders.
        given order ann z 2 2
        GET /buyer/search_book_store_tag /ann {"store_id":"z","tag":"rust"}
        → 200 {"book_list":[{"author":"Tim McNamara","book_id":"2","price":300,"stock_level":1,"tags":["Programming","rust"],"title":"Rust in Action"}],"message":"ok","pages":1}
        # 530, then 401, then 513.
        POST /buyer/search_book_store / {"store_id":"","query":"x"}
        → 530 {"book_list":[],"message":"store_id must be 1 to 255 bytes long, not 0","pages":0}
        POST /buyer/search_book_store / {"store_id":"x"}
        → 530 {"book_list":[],"message":"query is missing","pages":0}
        POST /buyer/search_book_store / {"query":"x"}
        → 530 {"book_list":[],"message":"store_id is missing","pages":0}
        POST /buyer/search_book_store / {"store_id":"x","query":"x","first":0}
        → 530 {"book_list":[],"message":"first must be from 1 to 10000","pages":0}
        POST /buyer/search_book_store / {"store_id":"x","query":"x","first":"1"}
        → 530 {"book_list":[],"message":"first must be a whole number","pages":0}
        POST /buyer/search_book_store / {"store_id":"x","query":"x"}
        → 401 {"book_list":[],"message":"authorization fail.","pages":0}
        POST /buyer/search_book_store /ann {"store_id":"x","query":"x"}
        → 513 {"book_list":[],"message":"non exist store id x","pages":0}
        POST /buyer/search_book_store_title /ann {"store_id":"x","title":"x"}
        → 513 {"book_list":[],"message":"non exist store id x","pages":0}
        POST /buyer/search_book_store_tag /ann {"store_id":"x","tag":"x"}
        → 513 {"book_list":[],"message":"non exist store id x","pages":0}
        POST /buyer/search_book_store_author /ann {"store_id":"x","author":"x"}
        → 513 {"book_list":[],"message":"non exist store id x","pages":0}
        # Each wants its own field.
        POST /buyer/search_book_all /ann {"title":"x"}
        → 530 {"book_list":[],"message":"query is missing","pages":0}
        POST /buyer/search_book_all_title /ann {"query":"x"}
        → 530 {"book_list":[],"message":"title is missing","pages":0}
        POST /buyer/search_book_all_tag /ann {"query":"x"}
        → 530 {"book_list":[],"message":"tag is missing","pages":0}
        POST /buyer/search_book_all_author /ann {"query":"x"}
        → 530 {"book_list":[],"message":"author is missing","pages":0}
        POST /buyer/search_book_all /ann {"query":5}
        → 530 {"book_list":[],"message":"query must be a text","pages":0}
        # Any live token will do, also beside a user_id that is somebody else's.
        POST /buyer/search_book_all /bob {"query":"Oxide"}
        → 200 {"book_list":[{"author":"Rusty Young","book_id":"9","price":100,"stock_level":1,"store_id":"m","tags":["trusty","Novel"],"title":"Oxide"}],"message":"ok","pages":1}
        POST /buyer/search_book_all eve/bob {"query":"none such"}
        → 200 {"book_list":[],"message":"ok","pages":0}
        POST /buyer/search_book_all / {"query":"Oxide"}
        → 401 {"book_list":[],"message":"authorization fail.","pages":0}
        POST /buyer/search_book_all ann/ {"query":"Oxide"}
        → 401 {"book_list":[],"message":"authorization fail.","pages":0}
        given user dan
        POST /auth/logout dan
        → 200 {"message":"ok"}
        POST /buyer/search_book_all /dan {"query":"Oxide"}
        → 401 {"book_list":[],"message":"authorization fail.","pages":0}
    "#]])
        .await;
}

#[tokio::test]
async fn pages() {
    let mut talk = Talk::start("[channel.bookstore]\npage_size = 2").await;
    talk.play("given user sam\ngiven user ann\ngiven store sam s").await;
    for book in ["a", "b", "c", "d", "e"] {
        talk.play(&format!("given book sam s {book} 1 1")).await;
    }
    let from = async |first: i64| {
        found(&talk, "search_book_all", json!({ "query": "", "first": first })).await
    };
    assert_eq!(found(&talk, "search_book_all", json!({ "query": "" })).await, "s/a s/b of 3 pages");
    assert_eq!(from(1).await, "s/a s/b of 3 pages");
    assert_eq!(from(2).await, "s/b s/c of 3 pages");
    assert_eq!(from(5).await, "s/e of 3 pages");
    assert_eq!(from(6).await, "of 3 pages");
    assert_eq!(from(10_000).await, "of 3 pages");
}

#[tokio::test]
async fn a_page_has_twenty_books() {
    let mut talk = Talk::start("").await;
    talk.play("given user sam\ngiven store sam s").await;
    for book in 10..31 {
        talk.play(&format!("given book sam s {book} 1 1")).await;
    }
    let token = talk.token("sam");
    let body = json!({ "query": "" });
    let answer = talk.shop.post("/buyer/search_book_all", token, body).await;
    let books = answer.body["book_list"].as_array().unwrap();
    assert_eq!((books.len(), &answer.body["pages"]), (20, &json!(2)));
    assert_eq!(books[19]["book_id"], "29");
}
