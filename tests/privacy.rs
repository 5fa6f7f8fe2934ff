//! Personal data and secrets go in through every call, right ones and wrong ones, and are looked
//! for in everything that docket leaves behind or shows, with the log at its most talkative: in
//! plain, in hexadecimal and in base64.
#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod support;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use docket::client::Client;
use serde_json::{Value, json};
use support::{Process, folder, log, program};
use tokio::{net::TcpSocket, runtime::Handle};

const ZELDA: &str = "zelda.fitzgerald@example.org";
const SCOTT: &str = "scott.fitzgerald@example.org";
const SCOTTIE: &str = "scottie.fitzgerald@example.org";
const STRANGER: &str = "nobody.at.all@example.org";
const PASSWORD: &str = "hush-hush-of-1920";
const NEW_PASSWORD: &str = "hush-hush-of-1921";
const WRONG_PASSWORD: &str = "hush-hush-of-1922";
const TERMINAL: &str = "telephone-in-the-bathroom";
const FORGED: &str = "forged-token-of-a-stranger";
const LATE: &str = "too.late.for.the.party@example.org";
/// Headers that somebody else's proxy or browser may send.
const HEADERS: [(&str, &str); 6] = [
    ("x-forwarded-for", "203.0.113.77"),
    ("x-real-ip", "198.51.100.78"),
    ("user-agent", "browser-of-the-fitzgeralds"),
    ("cookie", "session=cookie-of-the-fitzgeralds"),
    ("authorization", "Bearer bearer-of-the-fitzgeralds"),
    ("x-request-id", "correlation@fitzgerald.example"),
];
/// Where odd requests come from.
const ADDRESS: &str = "127.0.0.77";
const TALKATIVE: (&str, &str) = ("DOCKET_LOG", "trace");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_and_no_secret_is_left_in_the_open() {
    let (_folder, data) = folder();
    let docket = Process::start(&data, &[TALKATIVE]);
    let mut secrets: Vec<String> = [
        ZELDA,
        SCOTT,
        SCOTTIE,
        STRANGER,
        PASSWORD,
        NEW_PASSWORD,
        WRONG_PASSWORD,
        TERMINAL,
        FORGED,
        LATE,
        ADDRESS,
        "$argon2",
    ]
    .map(str::to_owned)
    .into();
    secrets.extend(HEADERS.map(|(_, value)| value.to_owned()));
    for file in ["master.key", "operator.token"] {
        secrets.push(fs::read_to_string(data.join(file)).unwrap().trim().to_owned());
    }
    let mut visit = Visit { client: docket.client(), base: docket.base.clone(), secrets };
    let orders = visit.right_calls().await;
    visit.wrong_calls(&orders).await;

    let shown = ["/metrics", "/readyz", "/healthz"].map(|path| {
        let answer = visit.raw("GET", path, "", "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        (path.to_owned(), answer.into_bytes())
    });
    assert!(shown[0].1.len() > 1000, "there are metrics");
    views_are_written(&data).await;
    visit.look_for_secrets("while it runs", &data, shown.into());
    let ended = docket.terminate();
    assert!(ended.status.success());
    visit.look_for_secrets("after its end", &data, vec![("stdout".into(), ended.stdout.into())]);

    // A journal that takes nothing more, and a docket that is killed.
    let full = [TALKATIVE, ("DOCKET_JOURNAL_PAGES_MAX", "1"), ("DOCKET_FAIL_AFTER", "30s")];
    let docket = Process::start(&data, &full);
    (visit.client, visit.base) = (docket.client(), docket.base.clone());
    let mut status = 200;
    while status == 200 {
        // Somebody late, again and again under other names, until there is no room.
        let name = format!("{LATE}{}", visit.secrets.len());
        status = visit.post("/auth/register", "", &who(&name, PASSWORD)).await.0;
        visit.secrets.push(name);
    }
    assert_eq!(status, 528);
    let shown = ["/metrics", "/readyz"]
        .map(|path| (path.to_owned(), visit.raw("GET", path, "", "").into_bytes()));
    docket.kill();
    visit.look_for_secrets("after it was killed", &data, shown.into());

    let traces = log(&data);
    assert!(traces.contains(" DEBUG ") || traces.contains(" TRACE "), "the log is talkative");
}

#[test]
fn what_is_looked_for_would_be_found() {
    for (before, after) in [("", ""), ("a", "b"), ("ab", "abc"), ("abc", "a"), ("abcd", "")] {
        let whole = format!("{before}{ZELDA}{after}");
        let hex: String = whole.bytes().map(|byte| format!("{byte:02x}")).collect();
        let debug = format!("{:?}", whole.as_bytes());
        for text in [&whole, &hex, &hex.to_uppercase(), &STANDARD.encode(&whole), &debug] {
            assert!(forms(ZELDA).iter().any(|form| text.contains(form)), "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_kept_is_for_its_owner_alone() {
    let (_folder, data) = folder();
    let docket = Process::start(&data, &[]);
    assert_eq!(mode(&data), 0o700);
    for file in ["master.key", "operator.token"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    assert!(docket.terminate().status.success());
}

#[test]
fn the_settings_are_shown_without_the_master_key() {
    let key = "5e".repeat(32);
    let shown = std::process::Command::new(program())
        .arg("config")
        .env("DOCKET_MASTER_KEY", &key)
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    let shown = [shown.stdout, shown.stderr].concat();
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("master_key") && !shown.contains(&key), "{shown}");

    let nearly = &key[1..];
    let refused =
        std::process::Command::new(program()).env("DOCKET_MASTER_KEY", nearly).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("DOCKET_MASTER_KEY") && !told.contains(nearly), "{told}");
}

/// Somebody who calls, and remembers what must not be found.
struct Visit {
    client: Client,
    base: String,
    secrets: Vec<String>,
}

impl Visit {
    /// Every call as it is meant; gives the orders.
    async fn right_calls(&mut self) -> Vec<String> {
        for name in [ZELDA, SCOTT, SCOTTIE] {
            self.ok("/auth/register", "", who(name, PASSWORD)).await;
        }
        let zelda = self.login(ZELDA, PASSWORD).await;
        let scott = self.login(SCOTT, PASSWORD).await;
        let store = json!({ "user_id": ZELDA, "store_id": "corner" });
        self.ok("/seller/create_store", &zelda, store).await;
        let info = json!({
            "id": "b1", "title": "Save Me the Waltz", "author": "an author", "price": 100,
            "tags": ["novel"], "pictures": [STANDARD.encode("a picture")],
        });
        let book =
            json!({ "user_id": ZELDA, "store_id": "corner", "book_info": info, "stock_level": 50 });
        self.ok("/seller/add_book", &zelda, book).await;
        let book = json!({
            "user_id": ZELDA, "store_id": "corner", "book_id": "b2", "price": 5, "stock_level": 50,
        });
        self.ok("/seller/add_book", &zelda, book).await;
        let stock = json!({
            "user_id": ZELDA, "store_id": "corner", "book_id": "b1", "add_stock_level": 5,
        });
        self.ok("/seller/add_stock_level", &zelda, stock).await;
        let mut funds = who(SCOTT, PASSWORD);
        funds["add_value"] = 10_000.into();
        self.ok("/buyer/add_funds", &scott, funds).await;
        let mut orders = Vec::new();
        for _ in 0..3 {
            let books = json!([{ "id": "b1", "count": 1 }, { "id": "b2", "count": 2 }]);
            let order = json!({ "user_id": SCOTT, "store_id": "corner", "books": books });
            let answer = self.ok("/buyer/new_order", &scott, order).await;
            orders.push(answer["order_id"].as_str().unwrap().to_owned());
        }
        let step = |name: &str, order: usize| json!({ "user_id": name, "order_id": orders[order] });
        for order in 0..2 {
            let mut payment = step(SCOTT, order);
            payment["password"] = PASSWORD.into();
            self.ok("/buyer/payment", &scott, payment).await;
        }
        self.ok("/seller/delivery_book", &zelda, step(ZELDA, 0)).await;
        self.ok("/buyer/receive_book", &scott, step(SCOTT, 0)).await;
        self.ok("/buyer/cancel_order", &scott, step(SCOTT, 1)).await;
        for (path, body) in queries(&orders[0]) {
            self.ok(path, &scott, body).await;
        }
        let mut change = json!({ "oldPassword": PASSWORD, "newPassword": NEW_PASSWORD });
        change["user_id"] = SCOTT.into();
        self.ok("/auth/password", &scott, change).await;
        let scott = self.login(SCOTT, NEW_PASSWORD).await;
        self.ok("/auth/logout", &scott, json!({ "user_id": SCOTT })).await;
        self.ok("/auth/unregister", "", who(SCOTTIE, PASSWORD)).await;
        orders
    }

    /// Every call as it is not meant.
    async fn wrong_calls(&mut self, orders: &[String]) {
        let zelda = self.login(ZELDA, PASSWORD).await;
        let mut calls: Vec<_> = queries(&orders[0]).into();
        let everything = json!({
            "user_id": ZELDA, "buyer_id": ZELDA, "password": WRONG_PASSWORD, "terminal": TERMINAL,
            "oldPassword": WRONG_PASSWORD, "newPassword": NEW_PASSWORD, "store_id": "corner",
            "book_id": "b1", "price": 1, "stock_level": 1, "add_stock_level": 1, "add_value": 1,
            "order_id": orders[2], "books": [{ "id": "b1", "count": 1 }],
        });
        calls.extend(COMMANDS.map(|path| (path, everything.clone())));
        for (path, body) in calls {
            self.odd(path, &zelda, body.to_string()).await;
            self.odd(path, "", body.to_string()).await;
            self.odd(path, FORGED, body.to_string()).await;
            let mut stranger = body.clone();
            stranger["user_id"] = STRANGER.into();
            self.odd(path, &zelda, stranger.to_string()).await;
            // Neither JSON nor what the fields are to be.
            self.odd(path, &zelda, format!("{{\"user_id\": \"{ZELDA}\", {PASSWORD}")).await;
            self.odd(path, &zelda, json!([ZELDA, PASSWORD]).to_string()).await;
            for field in ["user_id", "password", "terminal", "order_id", "store_id", "books"] {
                let mut wrong = body.clone();
                wrong[field] = json!({ ZELDA: PASSWORD });
                self.odd(path, &zelda, wrong.to_string()).await;
                wrong[field] = json!(ZELDA.repeat(20));
                self.odd(path, &zelda, wrong.to_string()).await;
            }
            for method in ["GET", "POST", "PUT", "DELETE"] {
                let query = format!("{path}?user_id={ZELDA}&password={PASSWORD}&token={FORGED}");
                self.raw(method, &query, &zelda, &body.to_string());
                self.raw(method, &format!("{path}/{ZELDA}"), &zelda, &body.to_string());
            }
        }
        for path in ["", "/nowhere", "/metrics", "/readyz"] {
            self.raw("GET", &format!("{path}/{ZELDA}?password={PASSWORD}"), FORGED, "");
        }
        let large = json!({ "user_id": ZELDA.repeat(50_000), "password": PASSWORD }).to_string();
        let answer = self.raw("POST", "/auth/register", "", &large);
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        self.raw_bytes(
            format!("POST /auth/login HTTP/1.1\r\n{ZELDA}: {PASSWORD}\r\nnonsense\r\n\r\n")
                .as_bytes(),
        );
        self.raw_bytes(format!("{PASSWORD}\r\n\r\n").as_bytes());
        // Half a request, and then no more.
        let mut half = self.connected();
        let head = "POST /auth/login HTTP/1.1\r\nhost: h\r\ncontent-length: 999\r\n\r\n";
        half.write_all(format!("{head}{ZELDA}").as_bytes()).unwrap();
        drop(half);
        // The same key for another request, by somebody who has not yet guessed at passwords.
        self.ok("/auth/register", "", who(SCOTTIE, PASSWORD)).await;
        let scottie = self.login(SCOTTIE, PASSWORD).await;
        let headers = [("token", scottie.as_str()), ("idempotency-key", "key-1")];
        for (amount, status) in [(1, 200), (1, 200), (2, 422)] {
            let mut funds = who(SCOTTIE, PASSWORD);
            funds["add_value"] = amount.into();
            let answer = self.client.post("/buyer/add_funds", &headers, &funds).await.unwrap();
            assert_eq!(answer.status, status, "{answer:?}");
        }
    }

    async fn login(&mut self, name: &str, password: &str) -> String {
        let mut body = who(name, password);
        body["terminal"] = TERMINAL.into();
        let token = self.ok("/auth/login", "", body).await["token"].as_str().unwrap().to_owned();
        let (_, signature) = token.rsplit_once('.').unwrap();
        self.secrets.extend([token.clone(), signature.to_owned()]);
        token
    }

    async fn ok(&self, path: &str, token: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, token, &body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let headers = [&[("token", token)], &HEADERS[..]].concat();
        let answer =
            self.client.send(Method::POST, path, &headers, body.to_string()).await.unwrap();
        (answer.status.as_u16(), answer.body)
    }

    /// A call that may be answered in any way, by docket.
    async fn odd(&self, path: &str, token: &str, body: String) {
        let headers = [&[("token", token)], &HEADERS[..]].concat();
        let answer = self.client.send(Method::POST, path, &headers, body).await.unwrap();
        assert!(answer.body["message"].is_string(), "{path}: {answer:?}");
        assert_ne!(answer.status.as_u16(), 500, "{path}: {answer:?}");
    }

    /// A request put together by hand, from an address of its own.
    fn raw(&self, method: &str, path: &str, token: &str, body: &str) -> String {
        let length = body.len();
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n");
        for (name, value) in HEADERS.into_iter().chain([("token", token)]) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("content-length: {length}\r\n\r\n{body}"));
        self.raw_bytes(request.as_bytes())
    }

    fn raw_bytes(&self, bytes: &[u8]) -> String {
        let mut stream = self.connected();
        let _ = stream.write_all(bytes); // It may be refused before it is all said.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer); // Likewise.
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn connected(&self) -> TcpStream {
        let docket: SocketAddr = self.base.strip_prefix("http://").unwrap().parse().unwrap();
        let connecting = async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(ADDRESS.parse().unwrap(), 0)).unwrap();
            socket.connect(docket).await.unwrap().into_std().unwrap()
        };
        let stream = tokio::task::block_in_place(|| Handle::current().block_on(connecting));
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Looks through everything, the key files themselves left out.
    fn look_for_secrets(&self, when: &str, data: &Path, shown: Vec<(String, Vec<u8>)>) {
        let mut places = shown;
        read_files(data, &mut places);
        places.push(("the log".to_owned(), log(data).into_bytes()));
        for wanted in ["journal.sqlite", "blobs/", "views/", "log"] {
            assert!(places.iter().any(|(place, _)| place.contains(wanted)), "there is no {wanted}");
        }
        // What is plain by design is there, so whatever else is plain would be found as well.
        for wanted in ["journal.sqlite", "views/catalogue"] {
            assert!(has_title(&places, wanted), "{wanted} has no title");
        }
        let master = fs::read_to_string(data.join("master.key")).unwrap();
        let raw: Vec<u8> = master.trim().as_bytes().chunks(2).map(hex_byte).collect();
        let needles: Vec<_> = self
            .secrets
            .iter()
            .flat_map(|secret| forms(secret).into_iter().map(move |form| (secret, form)))
            .collect();
        let mut found = Vec::new();
        for (place, bytes) in &places {
            let text: String = bytes
                .iter()
                .map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' })
                .collect();
            for (secret, form) in &needles {
                if let Some(at) = text.find(form.as_str()) {
                    let around = &text[at.saturating_sub(200)..text.len().min(at + 200)];
                    found.push(format!("{secret}, as {form}, in {place}: …{around}…"));
                }
            }
            if bytes.windows(raw.len()).any(|window| window == raw) {
                found.push(format!("the master key's bytes in {place}"));
            }
        }
        assert!(found.is_empty(), "{when}:\n{}", found.join("\n\n"));
    }
}

/// Every path that changes something.
const COMMANDS: [&str; 15] = [
    "/auth/register",
    "/auth/login",
    "/seller/create_store",
    "/seller/add_book",
    "/seller/add_stock_level",
    "/seller/delivery_book",
    "/seller/deliver_book",
    "/buyer/new_order",
    "/buyer/payment",
    "/buyer/add_funds",
    "/buyer/cancel_order",
    "/buyer/receive_book",
    "/auth/password",
    "/auth/unregister",
    "/auth/logout",
];

/// Every path that asks something.
fn queries(order: &str) -> [(&'static str, Value); 14] {
    let one = json!({ "order_id": order });
    let search = json!({
        "query": "waltz", "title": "waltz", "tag": "novel", "author": "an author",
        "store_id": "corner",
    });
    [
        ("/buyer/query_order", json!({ "user_id": SCOTT })),
        ("/buyer/search_order", json!({ "user_id": SCOTT })),
        ("/buyer/query_order_para", json!({ "user_id": SCOTT, "para": 3 })),
        ("/buyer/query_order_state", one.clone()),
        ("/buyer/query_order_detail", one.clone()),
        ("/buyer/query_detail_order", one),
        ("/buyer/search_book_all", search.clone()),
        ("/buyer/search_book_all_title", search.clone()),
        ("/buyer/search_book_all_tag", search.clone()),
        ("/buyer/search_book_all_author", search.clone()),
        ("/buyer/search_book_store", search.clone()),
        ("/buyer/search_book_store_title", search.clone()),
        ("/buyer/search_book_store_tag", search.clone()),
        ("/buyer/search_book_store_author", search),
    ]
}

fn who(name: &str, password: &str) -> Value {
    json!({ "user_id": name, "password": password })
}

/// A text in plain, in hexadecimal, in base64 wherever it stands in what was encoded, and as bytes
/// are printed for debugging.
fn forms(text: &str) -> Vec<String> {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let bytes: Vec<_> = text.bytes().map(|byte| byte.to_string()).collect();
    let mut forms = vec![text.to_owned(), hex.to_uppercase(), hex, bytes.join(", ")];
    for before in 0..3 {
        // Whole groups of three bytes; the first and the last may hold neighbours as well.
        let bytes = text.as_bytes();
        let inner = &bytes[(3 - before) % 3..];
        let inner = &inner[..inner.len() / 3 * 3];
        if inner.len() >= 6 {
            let encoded = STANDARD.encode(inner);
            forms.push(encoded.replace('+', "-").replace('/', "_"));
            forms.push(encoded);
        }
    }
    forms
}

fn hex_byte(pair: &[u8]) -> u8 {
    u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()
}

/// Whether a title is in a file of this name, plain as it is meant to be.
fn has_title(places: &[(String, Vec<u8>)], name: &str) -> bool {
    let plain = |bytes: &[u8]| bytes.windows(5).any(|window| window == b"Waltz");
    let mut files = places.iter().filter(|(place, _)| place.contains(name));
    files.any(|(_, bytes)| plain(bytes))
}

/// Waits until what the views have taken in is in their files.
async fn views_are_written(data: &Path) {
    let written = async {
        loop {
            let mut places = Vec::new();
            read_files(&data.join("views"), &mut places);
            if has_title(&places, "catalogue") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let within = Duration::from_secs(20);
    tokio::time::timeout(within, written).await.expect("views are written within a second");
}

fn read_files(folder: &Path, places: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            read_files(&path, places);
        } else if !["master.key", "operator.token"].contains(&name) {
            places.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
