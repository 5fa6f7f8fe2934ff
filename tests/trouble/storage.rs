//! Storage that refuses.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use docket::{
    client::{Answer, Client},
    journal::{
        Journal as _, MemoryJournal,
        memory::{Fault, Gate},
    },
};
use events::CommitNumber;
use serde_json::{Value, json};

use super::{
    Keeper, get, new_order, post, snapshot,
    support::{Process, Shop, folder, program},
};

#[tokio::test]
async fn a_journal_that_is_taken_away_takes_nothing_more() {
    for whole_folder in [false, true] {
        let (_folder, data) = folder();
        let docket = Process::start(&data, &[("DOCKET_FAIL_AFTER", "500ms")]);
        let client = docket.client();
        let mut keeper = Keeper::new(&client).await;
        if whole_folder {
            fs::remove_dir_all(&data).unwrap();
        } else {
            fs::rename(data.join("journal.sqlite"), data.join("elsewhere")).unwrap();
        }
        is_storage_trouble(&keeper.try_order(&client).await, json!({ "order_id": "" }));
        let ready = get(&client, "/readyz").await;
        assert_eq!(ready.status, 503, "{ready:?}");
        let reason = ready.body["reason"].as_str().unwrap();
        assert!(reason.contains("was moved, replaced or deleted"), "{reason}");
        drop(client);
        assert_eq!(docket.ended().status.code(), Some(1));
    }
}

#[tokio::test]
async fn a_full_disk_ends_docket_and_loses_nothing() {
    let (_folder, data) = folder();
    let limits = [("DOCKET_JOURNAL_PAGES_MAX", "60"), ("DOCKET_FAIL_AFTER", "2s")];
    let docket = Process::start(&data, &limits);
    let client = docket.client();
    let mut keeper = Keeper::new(&client).await;
    let refused = loop {
        let answer = keeper.try_order(&client).await;
        if answer.status != 200 {
            break answer;
        }
        assert!(keeper.orders.len() < 10_000, "60 pages are not so many");
    };
    let since = Instant::now();
    is_storage_trouble(&refused, json!({ "order_id": "" }));
    // Nothing more is recorded, but what is recorded is told.
    is_storage_trouble(&keeper.try_order(&client).await, json!({ "order_id": "" }));
    let register = json!({ "user_id": "ann", "password": "secret" });
    is_storage_trouble(&post(&client, "/auth/register", "", &register).await, json!({}));
    keeper.look(&client).await;
    assert_eq!(get(&client, "/healthz").await.status, 200);
    let ready = get(&client, "/readyz").await;
    assert_eq!((ready.status.as_u16(), &ready.body["status"]), (503, &json!("not ready")));
    assert!(ready.body["reason"].as_str().unwrap().contains("full"), "{ready:?}");
    drop(client);

    let ended = docket.ended();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(since.elapsed() > Duration::from_millis(1500), "queries went on for 2 s");
    for told in ["the journal failed", "full", "start docket again once the cause is gone"] {
        assert!(ended.log.contains(told), "{told} is missing in:\n{}", ended.log);
    }

    // Still full: docket comes up, answers, and takes no order.
    let docket = Process::start(&data, &limits);
    keeper.look(&docket.client()).await;
    let mut more = 0;
    while keeper.try_order(&docket.client()).await.status == 200 {
        more += 1; // A page may have had room for a smaller commit.
        assert!(more < 100);
    }
    docket.kill();

    let docket = Process::start(&data, &[]);
    keeper.check(&docket.client()).await;
    assert!(docket.terminate().status.success());
}

#[tokio::test]
async fn a_journal_with_no_room_at_all_is_trouble_from_the_start() {
    let (_folder, data) = folder();
    let limits = [("DOCKET_JOURNAL_PAGES_MAX", "3"), ("DOCKET_FAIL_AFTER", "1s")];
    let docket = Process::in_trouble(Command::new(program()), &data, &limits);
    in_trouble(&docket.client(), "full").await;
    assert_eq!(docket.ended().status.code(), Some(1));
    let docket = Process::start(&data, &[]);
    Keeper::new(&docket.client()).await.check(&docket.client()).await;
}

#[tokio::test]
async fn all_that_waits_when_an_append_fails_is_answered() {
    let (_folder, data) = folder();
    let journal = Arc::new(MemoryJournal::new());
    let shop = Shop::on(journal.clone(), &data, "", None).await;
    let sam = shop.user("sam").await;
    let stores = |n: u32| json!({ "user_id": "sam", "store_id": format!("s{n}") });
    assert_eq!(shop.post("/seller/create_store", &sam, stores(0)).await.code, 200);
    let gate = Gate::new();
    let next = CommitNumber(journal.head().borrow().number.0 + 1);
    journal.inject(next, Fault::Hold(gate.clone()));
    journal.inject(next, Fault::Fail);

    let shop = Arc::new(shop);
    let waiting: Vec<_> = (1..=10)
        .map(|n| {
            let (shop, sam) = (Arc::clone(&shop), sam.clone());
            tokio::spawn(async move { shop.post("/seller/create_store", &sam, stores(n)).await })
        })
        .collect();
    gate.reached().await;
    gate.open();
    for waiting in waiting {
        let answer = waiting.await.unwrap();
        assert_eq!((answer.code, answer.body), (528, storage_trouble(json!({}))));
    }
    let later = shop.post("/seller/create_store", &sam, stores(99)).await;
    assert_eq!((later.code, later.body), (528, storage_trouble(json!({}))));
    let ready = shop.post_with("/readyz", &[], "").await;
    assert_eq!(ready.code, 405); // Only to be read.
    let request = axum::http::Request::get("/readyz").body(axum::body::Body::empty()).unwrap();
    let ready = shop.send(request).await;
    assert_eq!((ready.code, &ready.body["status"]), (503, &json!("not ready")));
    assert!(!ready.body["reason"].as_str().unwrap().is_empty());
    let search = shop
        .post("/buyer/search_book_store", &sam, json!({ "query": "x", "store_id": "s0" }))
        .await;
    assert_eq!(search.code, 200, "{search:?}");
    let search = shop
        .post("/buyer/search_book_store", &sam, json!({ "query": "x", "store_id": "s1" }))
        .await;
    assert_eq!(search.code, 513, "what failed was shown: {search:?}");
    let reason = Arc::into_inner(shop).unwrap().node.shut_down().await.unwrap_err();
    assert_eq!(ready.body["reason"], *reason);

    let again =
        Shop::on(Arc::new(MemoryJournal::from_store(journal.store())), &data, "", None).await;
    assert_eq!(again.post("/seller/create_store", &sam, stores(0)).await.code, 514);
    assert_eq!(again.post("/seller/create_store", &sam, stores(1)).await.code, 200);
    again.stop().await;
}

#[tokio::test]
async fn a_new_folder_that_may_not_be_written_is_trouble_until_it_may() {
    let (folder, data) = folder();
    fs::create_dir(&data).unwrap();
    set_mode(&data, 0o555);
    let docket =
        Process::in_trouble(confined(folder.path()), &data, &[("DOCKET_FAIL_AFTER", "1s")]);
    in_trouble(&docket.client(), "cannot write in").await;
    let ended = docket.ended();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    says_what_to_do_about(&data, &ended.log);
    assert_eq!(snapshot(&data).len(), 0);

    set_mode(&data, 0o777);
    let docket = Process::from_command(confined(folder.path()), &data, &[]);
    Keeper::new(&docket.client()).await.check(&docket.client()).await;
    assert!(docket.terminate().status.success());
}

#[tokio::test]
async fn a_journal_in_a_folder_that_may_not_be_written_is_trouble_until_it_may() {
    let (folder, data) = folder();
    fs::create_dir(&data).unwrap();
    set_mode(&data, 0o777);
    let docket = Process::from_command(confined(folder.path()), &data, &[]);
    let mut keeper = Keeper::new(&docket.client()).await;
    assert!(docket.terminate().status.success());
    let whole = snapshot(&data);

    for files_mode in [0o600, 0o400] {
        for file in ["lock", "journal.sqlite"] {
            set_mode(&data.join(file), files_mode);
        }
        set_mode(&data, 0o555);
        let begun = Instant::now();
        let docket =
            Process::in_trouble(confined(folder.path()), &data, &[("DOCKET_FAIL_AFTER", "1s")]);
        in_trouble(&docket.client(), "cannot write in").await;
        let ended = docket.ended();
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(begun.elapsed() > Duration::from_secs(1));
        says_what_to_do_about(&data, &ended.log);
        assert!(snapshot(&data) == whole, "something was written");
    }

    set_mode(&data, 0o777);
    for file in ["lock", "journal.sqlite"] {
        set_mode(&data.join(file), 0o600);
    }
    let docket = Process::from_command(confined(folder.path()), &data, &[]);
    keeper.check(&docket.client()).await;
    assert!(docket.terminate().status.success());
}

#[tokio::test]
async fn a_docket_in_trouble_ends_when_it_is_told_to() {
    let (folder, data) = folder();
    fs::create_dir(&data).unwrap();
    set_mode(&data, 0o555);
    let docket =
        Process::in_trouble(confined(folder.path()), &data, &[("DOCKET_FAIL_AFTER", "1h")]);
    assert_eq!(docket.terminate().status.code(), Some(1));
}

/// What a docket says that has no journal.
async fn in_trouble(client: &Client, reason: &str) {
    let ready = get(client, "/readyz").await;
    assert_eq!((ready.status.as_u16(), &ready.body["status"]), (503, &json!("not ready")));
    assert!(ready.body["reason"].as_str().unwrap().contains(reason), "{ready:?}");
    assert_eq!(get(client, "/healthz").await.status, 200);
    let placed = post(client, "/buyer/new_order", "", &new_order()).await;
    is_storage_trouble(&placed, json!({ "order_id": "" }));
    let login = json!({ "user_id": "sam", "password": "secret", "terminal": "till" });
    is_storage_trouble(&post(client, "/auth/login", "", &login).await, json!({ "token": "" }));
    let listed = post(client, "/buyer/query_order", "", &json!({ "user_id": "sam" })).await;
    is_storage_trouble(&listed, json!({ "order_list": [] }));
}

fn is_storage_trouble(answer: &Answer, fields: Value) {
    assert_eq!(answer.status.as_u16(), 528, "{answer:?}");
    assert_eq!(answer.body, storage_trouble(fields));
}

/// The bookstore's answer: the fields that the call always has, and the message.
fn storage_trouble(mut fields: Value) -> Value {
    fields["message"] =
        "storage trouble: nothing can be recorded now; the log and /readyz say why".into();
    fields
}

fn says_what_to_do_about(data: &Path, log: &str) {
    let told = format!("cannot write in {}", data.display());
    assert!(log.contains(&told), "{told} is missing in:\n{log}");
    assert!(log.contains("write permission or name another folder with --data"), "{log}");
}

/// The program as a user whom the modes of files mean something to: root is none.
fn confined(folder: &Path) -> Command {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(program());
    }
    let there = Command::new("setpriv").arg("--version").output();
    assert!(there.is_ok(), "as root this test needs setpriv: apt-get install util-linux");
    set_mode(folder, 0o755);
    let copy = folder.join("docket");
    if !copy.exists() {
        fs::copy(program(), &copy).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(copy);
    command
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
