//! Beginnings that are refused, and ends in good order.

use std::{
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use axum::http::Method;
use docket::{
    client::{Answer, Client},
    config::Config,
    node,
};
use serde_json::json;

use super::{
    Keeper, get, new_order,
    support::{Half, Process, folder},
};

#[tokio::test]
async fn a_port_in_use_is_said() {
    let (_folder, data) = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Process::run(&data, &["--listen", &address], &[]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    for told in [&format!("cannot listen on {address}"), "--listen", "in use"] {
        assert!(ended.log.contains(told), "{told} is missing in:\n{}", ended.log);
    }
    assert!(!data.exists(), "nothing was begun");
}

#[tokio::test]
async fn docket_does_not_listen_beyond_this_machine_unless_it_is_safe_there() {
    let (_folder, data) = folder();
    let refused = |variables: &[(&str, &str)], texts: &[&str]| {
        for address in ["0.0.0.0:0", "[::]:0"] {
            let ended = Process::run(&data, &["--listen", address], variables);
            assert_eq!(ended.status.code(), Some(1), "{ended:?}");
            for told in [&["beyond this machine", "allow ="], texts].concat() {
                assert!(ended.log.contains(told), "{told} is missing in:\n{}", ended.log);
            }
        }
        assert!(!data.exists(), "nothing was begun");
    };
    let key = "5e".repeat(32);
    let unenforced = ("DOCKET_CHANNEL_BOOKSTORE_ENFORCE_TOKEN", "false");
    refused(&[], &["set DOCKET_MASTER_KEY", "made-master-key"]);
    refused(&[("DOCKET_ALLOW", "unenforced-token")], &["set DOCKET_MASTER_KEY"]);
    refused(&[("DOCKET_MASTER_KEY", &key), unenforced], &["enforce_token", "unenforced-token"]);
    refused(&[("DOCKET_ALLOW", "made-master-key"), unenforced], &["enforce_token"]);

    // What is not refused is only asked about: tests listen on this machine alone.
    let beyond = "0.0.0.0:80".parse().unwrap();
    let allowed = |text: &str| {
        let config = Config::resolve(&[], Some(("docket.toml", text)), []).unwrap();
        node::check_exposure(&config, beyond).is_ok()
    };
    assert!(!allowed(""));
    assert!(allowed(&format!("master_key = '{key}'")));
    assert!(allowed("allow = 'made-master-key'"));
    assert!(allowed(
        "allow = 'made-master-key, unenforced-token'\n[channel.bookstore]\nenforce_token = false"
    ));
}

/// What became of a request.
struct Sent {
    key: String,
    /// `None`: the connection was closed before any of the answer came.
    answer: Option<Answer>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_in_good_order_answers_everything_that_was_accepted() {
    let (_folder, data) = folder();
    let docket = Process::start(&data, &[]);
    let keeper = Keeper::new(&docket.client()).await;
    let working: Vec<_> = (0..6)
        .map(|worker| {
            let (client, token) = (docket.client(), keeper.token.clone());
            tokio::spawn(async move { place_until_the_end(worker, &client, &token).await })
        })
        .collect();
    let asking: Vec<_> = (0..2)
        .map(|_| {
            let (client, token) = (docket.client(), keeper.token.clone());
            tokio::spawn(async move { ask_until_the_end(&client, &token).await })
        })
        .collect();
    // One who has said half of what there is to say.
    let half = half_an_order(&docket.base, &keeper.token);
    let idle = TcpStream::connect(address(&docket.base)).unwrap();
    under_load(&docket.client()).await;

    docket.signal();
    let since = Instant::now();
    nobody_else_is_let_in(&docket.base);
    let answer = half.finished();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("order_id"), "{answer}");
    let ended = docket.ended();
    assert!(ended.status.success(), "{ended:?}");
    assert!(since.elapsed() < Duration::from_secs(8), "an idle connection held it up");
    assert!(ended.log.contains("ended in good order"), "{}", ended.log);
    assert!(!ended.log.contains("did not end in time"), "{}", ended.log);
    drop(idle);
    let mut sent = Vec::new();
    for worker in working {
        sent.extend(worker.await.unwrap());
    }
    for asking in asking {
        assert!(asking.await.unwrap() > 0);
    }

    let docket = Process::start(&data, &[]);
    let client = docket.client();
    let (mut told, mut untold) = (0, 0);
    for Sent { key, answer } in sent {
        let again = place(&client, &keeper.token, &key).await.unwrap();
        let replay = again.headers.contains_key("idempotent-replay");
        match answer {
            Some(answer) => {
                assert_eq!(
                    (again.status, replay, &again.body),
                    (answer.status, true, &answer.body)
                );
                told += 1;
            }
            None => {
                assert!(!replay, "{key} was decided and not answered");
                untold += 1;
            }
        }
    }
    println!("{told} requests answered, {untold} not accepted");
    assert!(told > 20);
    let ended = docket.terminate();
    assert!(ended.status.success() && !ended.log.contains("rebuilt"), "{ended:?}");
}

#[tokio::test]
async fn a_request_that_never_ends_holds_nobody_up_for_long_and_is_told() {
    let (_folder, data) = folder();
    let docket = Process::start(&data, &[("DOCKET_DRAIN_WITHIN", "300ms")]);
    let keeper = Keeper::new(&docket.client()).await;
    let half = half_an_order(&docket.base, &keeper.token);
    let headers = format!("authorization: Bearer {}\r\n", keeper.token);
    let native = Half::posted(&docket.base, "/v1/orders", &headers, "{}");
    let since = Instant::now();
    let ended = docket.terminate();
    assert!(ended.status.success(), "{ended:?}");
    assert!(since.elapsed() < Duration::from_secs(5));
    assert!(ended.log.contains("did not end in time"), "{}", ended.log);
    assert!(!ended.log.contains("waited for no more"), "{}", ended.log);
    let told = half.answer();
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("it may be sent again"), "{told}");
    let told = native.answer();
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    assert!(told.contains("application/problem+json"), "{told}");
    assert!(told.contains("/problems/unknown-outcome"), "{told}");
    let docket = Process::start(&data, &[]);
    keeper.look(&docket.client()).await;
}

async fn place(client: &Client, token: &str, key: &str) -> anyhow::Result<Answer> {
    let headers = [("token", token), ("idempotency-key", key)];
    client.post("/buyer/new_order", &headers, &new_order()).await
}

async fn place_until_the_end(worker: usize, client: &Client, token: &str) -> Vec<Sent> {
    let mut sent = Vec::new();
    loop {
        let key = format!("{worker}-{}", sent.len());
        match place(client, token, &key).await {
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                sent.push(Sent { key, answer: Some(answer) });
            }
            Err(error) => {
                is_no_cut(&error);
                sent.push(Sent { key, answer: None });
                return sent;
            }
        }
    }
}

async fn ask_until_the_end(client: &Client, token: &str) -> usize {
    let (headers, body) = ([("token", token)], json!({ "user_id": "sam" }).to_string());
    let mut answers = 0;
    loop {
        match client.send(Method::POST, "/buyer/query_order", &headers, body.clone()).await {
            Ok(answer) => assert!(answer.body["order_list"].is_array(), "{answer:?}"),
            Err(error) => {
                is_no_cut(&error);
                return answers;
            }
        }
        answers += 1;
    }
}

/// The answer was not begun: an error of the answer's body would be hyper's own.
fn is_no_cut(error: &anyhow::Error) {
    let begun = error.downcast_ref::<hyper_util::client::legacy::Error>().is_none();
    assert!(!begun, "an answer was cut: {error:?}");
}

/// An order, half sent.
fn half_an_order(base: &str, token: &str) -> Half {
    Half::posted(base, "/buyer/new_order", &format!("token: {token}\r\n"), &new_order().to_string())
}

/// Waits until docket has begun to end: it listens no more.
fn nobody_else_is_let_in(base: &str) {
    let since = Instant::now();
    while TcpStream::connect(address(base)).is_ok() {
        assert!(since.elapsed() < Duration::from_secs(10), "docket goes on listening");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn address(base: &str) -> &str {
    base.strip_prefix("http://").unwrap()
}

/// Waits until a hundred orders, about, have been recorded meanwhile.
async fn under_load(client: &Client) {
    let position =
        async || get(client, "/readyz").await.body["position"].as_u64().unwrap_or_default();
    let (before, since) = (position().await, Instant::now());
    while position().await < before + 100 {
        assert!(since.elapsed() < Duration::from_secs(30), "nobody places orders");
    }
}
