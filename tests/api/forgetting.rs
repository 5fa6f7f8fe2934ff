//! Forgetting a person: the fact, then the key, also when docket ends in between; and nothing of
//! the person is readable afterwards.

use std::{fs, path::Path, sync::Arc};

use docket::{journal::Journal as _, node::Parts};
use events::AccountId;
use serde_json::{Value, json};

use super::talk::Town;
use crate::support::{Process, Shop, folder, log};

const NAME: &str = "Zaphod-Beeblebrox";

#[tokio::test]
async fn who_is_forgotten_is_erased_and_the_name_is_free() {
    let town = Town::new().await;
    let (id, person) = town.user_of("native", NAME).await;
    let path = format!("/v1/accounts/{id}");
    let seen = town.get(&path, &town.operator).await;
    assert_eq!((&seen["login"], &seen["open"]), (&json!(NAME), &json!(true)));
    town.charge(&id, 100).await;
    town.ok(&format!("DELETE {path}"), &town.operator, Value::Null).await;
    for _ in 0..2 {
        let seen = town.get(&path, &town.operator).await;
        assert_eq!((&seen["login"], &seen["open"]), (&json!("erased"), &json!(false)));
        assert_eq!(seen["erased"], true);
    }
    town.refused(401, "GET /v1/wallet", &person, Value::Null).await;
    town.refused(404, &format!("DELETE {path}"), &town.operator, Value::Null).await;
    let nobody = "DELETE /v1/accounts/00000000-0000-0000-0000-000000000009";
    for key in ["", "k"] {
        let headers = [("idempotency-key", key)];
        let answer = town.call_with(nobody, &town.operator, &headers, Value::Null).await;
        assert_eq!(answer.code, 404, "{answer:?}");
    }
    let (other, _) = town.user_of("native", NAME).await;
    assert_ne!(other, id);
    let town = town.restart().await;
    assert_eq!(town.get(&path, &town.operator).await["login"], "erased");
    let seen = town.get(&format!("/v1/accounts/{other}"), &town.operator).await;
    assert_eq!(seen["login"], NAME);
}

#[tokio::test]
async fn who_has_left_can_still_be_forgotten() {
    let town = Town::new().await;
    let (id, person) = town.user_of("native", NAME).await;
    let body = json!({ "password": format!("pw-{NAME}") });
    town.ok("DELETE /v1/accounts/me", &person, body).await;
    let path = format!("/v1/accounts/{id}");
    let seen = town.get(&path, &town.operator).await;
    assert_eq!((&seen["login"], &seen["open"]), (&json!(NAME), &json!(false)));
    town.ok(&format!("DELETE {path}"), &town.operator, Value::Null).await;
    assert_eq!(town.get(&path, &town.operator).await["login"], "erased");
}

/// The fact is recorded and the key is still there, as after a crash in between.
#[tokio::test]
async fn a_start_finishes_what_was_cut_between() {
    let town = Town::new().await;
    let (id, _) = town.user_of("native", NAME).await;
    let account: AccountId = id.parse().unwrap();
    let key_id = format!("account/{id}");
    let key = town.shop.node.journal.wrapped_key(&key_id).unwrap().unwrap();
    town.ok(&format!("DELETE /v1/accounts/{id}"), &town.operator, Value::Null).await;
    assert_eq!(town.shop.node.journal.wrapped_key(&key_id).unwrap(), None);
    town.shop.node.journal.ensure_key(key).unwrap();
    assert!(town.shop.node.keys.has(account).unwrap());
    let town = town.restart().await;
    assert_eq!(town.shop.node.journal.wrapped_key(&key_id).unwrap(), None);
    let seen = town.get(&format!("/v1/accounts/{id}"), &town.operator).await;
    assert_eq!(seen["login"], "erased");
}

/// Before the fact is durable nothing has happened: the command fails, the key stays.
#[tokio::test]
async fn cut_before_the_fact_nothing_is_forgotten() {
    use docket::journal::memory::{Fault, MemoryJournal};
    let town = Town::new().await;
    let (id, _) = town.user_of("native", NAME).await;
    let (store, hands, data) = (Arc::clone(&town.store), town.hands.clone(), town.data.clone());
    let journal = Arc::new(MemoryJournal::from_store(Arc::clone(&store)));
    let next = events::CommitNumber(journal.head().borrow().number.0 + 1);
    journal.inject(next, Fault::Fail);
    let operator = town.operator.clone();
    town.shop.node.shut_down().await.unwrap();
    let parts =
        Parts { journal: Some(journal.clone()), clock: Some(hands.clock()), ..Parts::default() };
    let shop = Shop::start(&data, "", parts).await.unwrap();
    let request = axum::http::Request::builder()
        .method("DELETE")
        .uri(format!("/v1/accounts/{id}"))
        .header("authorization", format!("Bearer {operator}"))
        .body(axum::body::Body::empty())
        .unwrap();
    let answer = shop.send(request).await;
    assert_eq!(answer.code, 503, "{answer:?}");
    assert_eq!(answer.body["type"], "/problems/storage");
    assert!(journal.wrapped_key(&format!("account/{id}")).unwrap().is_some());
}

/// On files: after the order of a real process, killed and started again.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_readable_is_left_in_any_file() {
    let (_folder, data) = folder();
    let docket = Process::start(&data, &[("DOCKET_LOG", "debug")]);
    let client = docket.client();
    let operator = fs::read_to_string(data.join("operator.token")).unwrap();
    let bearer = |token: &str| format!("Bearer {}", token.trim());
    let account = json!({ "login": NAME, "password": format!("{NAME}-password") });
    let made = client.post("/v1/accounts", &[], &account).await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
    let mut session = account.clone();
    session["terminal"] = json!(format!("the phone of {NAME}"));
    assert_eq!(client.post("/v1/sessions", &[], &session).await.unwrap().status, 201);
    let id = made.body["account"].as_str().unwrap().to_owned();
    let headers = [("authorization", bearer(&operator))];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let path = format!("/v1/accounts/{id}");
    let seen = client.send(axum::http::Method::GET, &path, &headers, "").await.unwrap();
    assert_eq!(seen.body["login"], NAME);
    let gone = client.send(axum::http::Method::DELETE, &path, &headers, "").await.unwrap();
    assert_eq!(gone.status, 204, "{gone:?}");
    docket.kill();
    let docket = Process::start(&data, &[]);
    let seen = docket.client().send(axum::http::Method::GET, &path, &headers, "").await.unwrap();
    assert_eq!(seen.body["login"], "erased", "{seen:?}");
    assert!(docket.terminate().status.success());

    let journal = docket::journal::SqliteJournal::open_read_only(&data).unwrap();
    assert_eq!(journal.wrapped_key(&format!("account/{id}")).unwrap(), None);
    drop(journal);
    let mut files = vec![("the log".to_owned(), log(&data).into_bytes())];
    read_files(&data, &mut files);
    for wanted in ["journal.sqlite", "views/"] {
        assert!(files.iter().any(|(path, _)| path.contains(wanted)), "there is no {wanted}");
    }
    for (path, bytes) in files {
        let holds = |needle: &str| bytes.windows(needle.len()).any(|it| it == needle.as_bytes());
        assert!(!holds(NAME), "the name is in {path}");
        assert!(!holds(operator.trim()) || path.ends_with("operator.token"), "{path}");
    }
}

fn read_files(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_files(&path, files);
        } else {
            files.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}
