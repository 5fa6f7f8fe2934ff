//! What outlives a kill may still be lost with the machine: only what was synced before it was
//! acknowledged is safe. So the real program runs under strace, and its system calls are read.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod support;

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use support::{Process, folder, program};

const ORDERS: usize = 25;

#[tokio::test]
async fn every_order_is_synced_before_it_is_acknowledged() {
    let (folder, data) = folder();
    let trace = folder.path().join("trace");
    let docket = Process::from_command(strace(&trace), &data, &[]);
    let client = docket.client();
    let post = async |path: &str, token: &str, body| {
        let answer = client.post(path, &[("token", token)], &body).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    };
    let sam = json!({ "user_id": "sam", "password": "secret", "terminal": "till" });
    post("/auth/register", "", sam.clone()).await;
    let token = post("/auth/login", "", sam).await["token"].as_str().unwrap().to_owned();
    post("/seller/create_store", &token, json!({ "user_id": "sam", "store_id": "corner" })).await;
    let book = json!({
        "user_id": "sam", "store_id": "corner", "book_id": "b", "price": 1, "stock_level": 1000,
    });
    post("/seller/add_book", &token, book).await;
    let mut orders = Vec::new();
    for count in 1..=ORDERS {
        let books = json!([{ "id": "b", "count": count }]);
        let body = json!({ "user_id": "sam", "store_id": "corner", "books": books });
        let answer = post("/buyer/new_order", &token, body).await;
        orders.push(answer["order_id"].as_str().unwrap().to_owned());
    }
    let ended = docket.terminate();
    assert!(ended.status.success(), "{ended:?}");

    let calls = read_trace(&trace);
    let synced =
        |call: &Call| matches!(call.name.as_str(), "fsync" | "fdatasync") && call.result == "0";
    // Folders and files that an order depends on are there for good before the first answer.
    let first = answers(&calls, "HTTP/1.1 200").next().expect("the trace has the answers");
    for lasting in
        [data.parent().unwrap(), &data, &data.join("master.key"), &data.join("operator.token")]
    {
        let on_it = |call: &Call| synced(call) && call.is_on(lasting);
        // A new file may be synced under the name it had before it was moved to its place.
        let drafted =
            |call: &Call| synced(call) && call.path.starts_with(&format!("{}.", lasting.display()));
        let found =
            calls.iter().any(|call| call.ended < first.begun && (on_it(call) || drafted(call)));
        assert!(found, "{} is not synced", lasting.display());
    }

    let wal = data.join("journal.sqlite-wal");
    let mut before = first.begun;
    let mut syncs = 0;
    for order in &orders {
        let answer = answers(&calls, order).next().unwrap_or_else(|| panic!("{order} is not told"));
        let meanwhile = || {
            calls
                .iter()
                .filter(|call| call.begun > before && call.ended < answer.begun && call.is_on(&wal))
        };
        let written =
            meanwhile().filter(|call| call.name == "pwrite64").map(|call| call.ended).max();
        let written = written.unwrap_or_else(|| panic!("{order} was told before it was written"));
        let safe = meanwhile().filter(|call| synced(call) && call.begun > written).count();
        assert!(safe > 0, "{order} was told before it was synced");
        syncs += safe;
        before = answer.begun;
    }
    assert!(syncs >= ORDERS);
}

/// strace around the program. It watches from outside (`-D`): signals and the exit status are the
/// program's own.
fn strace(trace: &Path) -> Command {
    let there = Command::new("strace").arg("-V").output();
    assert!(there.is_ok(), "this test needs strace: apt-get install strace");
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-y", "-s", "512", "-o"]).arg(trace);
    command.args(["-e", "signal=none", "-e"]);
    command.arg("trace=fsync,fdatasync,sync_file_range,pwrite64,write,writev,sendto,sendmsg");
    command.arg("--").arg(program());
    command
}

/// A system call, and the lines of the trace on which it began and ended.
#[derive(Debug)]
struct Call {
    name: String,
    path: String,
    /// As traced, from the file descriptor on.
    text: String,
    result: String,
    begun: usize,
    ended: usize,
}

impl Call {
    fn is_on(&self, path: &Path) -> bool {
        path.to_str() == Some(&self.path)
    }
}

/// What was sent to a client with this text in it.
fn answers<'a>(calls: &'a [Call], text: &'a str) -> impl Iterator<Item = &'a Call> {
    let sends =
        |call: &&Call| matches!(call.name.as_str(), "write" | "writev" | "sendto" | "sendmsg");
    let to_socket =
        |call: &&Call| call.path.starts_with("socket:") || call.path.starts_with("TCP:");
    calls.iter().filter(sends).filter(to_socket).filter(move |call| call.text.contains(text))
}

/// Reads the whole trace, once strace has written its end.
fn read_trace(path: &Path) -> Vec<Call> {
    let started = Instant::now();
    let trace = loop {
        let trace = fs::read_to_string(path).unwrap_or_default();
        if trace.trim_end().ends_with("+++ exited with 0 +++") {
            break trace;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "strace wrote no end:\n{trace}");
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished: HashMap<&str, usize> = HashMap::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, line)) = line.split_once(' ') else { continue };
        let line = line.trim_start();
        let result = line.rsplit_once(" = ").map_or("", |(_, result)| result).to_owned();
        if line.starts_with("<... ") {
            if let Some(call) = unfinished.remove(thread) {
                (calls[call].result, calls[call].ended) = (result, number);
            }
            continue;
        }
        let Some((name, text)) = line.split_once('(') else { continue };
        let path = text.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        let path = path.map_or("", |(path, _)| path).to_owned();
        let mut call = Call {
            name: name.to_owned(),
            path,
            text: text.to_owned(),
            result,
            begun: number,
            ended: number,
        };
        if line.ends_with("<unfinished ...>") {
            call.ended = usize::MAX; // Until it is resumed.
            unfinished.insert(thread, calls.len());
        }
        calls.push(call);
    }
    calls
}
