//! What an operator does from the command line, on a docket that runs and on a folder at rest.
#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::json;
use support::{Process, folder, program};

/// Runs `docket` with these words on a folder, and where a docket listens, if one does.
fn docket(data: &Path, base: Option<&str>, words: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(words).arg("--data").arg(data).current_dir(data.parent().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOCKET_")) {
        command.env_remove(name);
    }
    if let Some(base) = base {
        command.env("DOCKET_LISTEN", base.trim_start_matches("http://"));
    }
    command.output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The built-in life cycle with another version and another delay.
fn changed(folder: &Path, version: u32) -> String {
    let text = include_str!("../schemas/lifecycles/native.toml");
    let text = text.replace("version = 1", &format!("version = {version}"));
    let path = folder.join("native.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn tokens_life_cycles_and_views_of_a_docket_that_runs() {
    let (folder, data) = folder();
    let running = Process::start(&data, &[]);
    let run = |words: &[&str]| docket(&data, Some(&running.base), words);

    let token = out(&run(&["token", "create", "watcher", "--role", "auditor"]));
    let token = token.trim();
    assert!(token.starts_with("docket_"), "{token}");
    let listed = out(&run(&["token", "list"]));
    assert!(listed.contains("watcher") && listed.contains("auditor"), "{listed}");
    assert!(!listed.contains(token), "the secret is shown once");
    let bearer = format!("Bearer {token}");
    let views = async || {
        let headers = [("authorization", bearer.as_str())];
        let client = running.client();
        client.send(axum::http::Method::GET, "/v1/views", &headers, "").await.unwrap().status
    };
    assert_eq!(views().await, 200);
    assert!(err(&run(&["token", "create", "watcher", "--role", "auditor"])).contains("watcher"));
    assert!(err(&run(&["token", "create", "x", "--role", "king"])).contains("role"));
    out(&run(&["token", "revoke", "watcher"]));
    assert_eq!(views().await, 401);

    let file = changed(folder.path(), 2);
    let adopted = out(&run(&["lifecycle", "adopt", &file, "--open-orders"]));
    assert!(adopted.contains("version 2 is in force for channel native"), "{adopted}");
    assert!(adopted.contains("0 open orders moved, 0 stay"), "{adopted}");
    let file = changed(folder.path(), 1);
    assert!(err(&run(&["lifecycle", "adopt", &file])).contains("not newer than 2"));

    let get = async |path: &str| {
        running.client().send(axum::http::Method::GET, path, &[], "").await.unwrap()
    };
    let ready = get("/readyz").await;
    assert_eq!((ready.status.as_u16(), &ready.body["status"]), (200, &json!("ready")));
    for view in ready.body["views"].as_array().unwrap() {
        assert!(view["lag_events"].is_u64() && view["lag_seconds"].is_number(), "{view}");
    }

    let listed = out(&run(&["views", "list"]));
    for view in ["order_detail", "order_list", "wallets", "catalogue"] {
        assert!(listed.contains(view), "{listed}");
    }
    running.terminate();

    // The same folder, at rest.
    let run = |words: &[&str]| docket(&data, None, words);
    assert!(out(&run(&["token", "list"])).contains("operator"));
    let file = changed(folder.path(), 3);
    assert!(out(&run(&["lifecycle", "adopt", &file])).contains("version 3 is in force"));
}

#[tokio::test]
async fn a_person_is_forgotten() {
    let (_folder, data) = folder();
    let running = Process::start(&data, &[]);
    let client = running.client();
    let body = json!({ "login": "ann-of-green-gables", "password": "a long password" });
    let made = client.post("/v1/accounts", &[("content-type", "application/json")], &body).await;
    let made = made.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
    let account = made.body["account"].as_str().unwrap();
    let run = |words: &[&str]| docket(&data, Some(&running.base), words);
    assert!(out(&run(&["forget", account])).contains("is forgotten"));
    let login = client.post("/v1/sessions", &[("content-type", "application/json")], &body).await;
    assert_eq!(login.unwrap().status, 401);
    assert!(err(&run(&["forget", "nobody"])).contains("refused"));
}

#[test]
fn life_cycles_are_shown_and_checked_without_a_docket() {
    let (folder, data) = folder();
    let run = |words: &[&str]| {
        Command::new(program()).args(words).current_dir(folder.path()).output().unwrap()
    };
    for channel in ["native", "bookstore", "printing", "gift_card", "meiduo", "yf_mall"] {
        let shown = out(&run(&["lifecycle", channel]));
        assert!(shown.starts_with(&format!("{channel}, version 1")), "{shown}");
        assert!(shown.contains("stateDiagram-v2"), "{shown}");
    }
    assert!(err(&run(&["lifecycle", "nowhere"])).contains("no life cycle of nowhere"));
    let file = changed(folder.path(), 7);
    assert!(out(&run(&["lifecycle", "check", &file])).contains("version 7 is sound"));
    let bad = "version = 1\n[[on]]\ncommand = \"place\"\nfrom = [\"New\"]\nby = [\"buyer\"]\nto = \"Paid\"\n";
    fs::write(folder.path().join("bad.toml"), bad).unwrap();
    let output = run(&["lifecycle", "check", "bad.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.starts_with("bad.toml:2: dead end: an order that is Paid has no way out"),
        "{told}"
    );
    let routes = out(&run(&["routes"]));
    assert!(routes.lines().any(|line| line.contains("/buyer/new_order")), "{routes}");
    assert!(routes.lines().any(|line| line.contains("/v1/orders/{id}/{command}")), "{routes}");
    let none = docket(&data, None, &["token", "list"]);
    assert!(err(&none).contains("no docket has run on"));
}
