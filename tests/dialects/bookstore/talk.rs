//! Conversations with a shop. A test is the conversation as it should be read: its calls are
//! played, its answers are compared.
//!
//! ```text
//! # A comment.
//! given user ann
//! POST /buyer/add_funds ann {"password":"pw-ann","add_value":5}
//! → 200 {"message":"ok"}
//! wait 61s
//! ```
//! After the path comes who calls: `ann` sends ann's token and, unless the body says otherwise,
//! her `user_id`; `ann/bob` names ann with bob's token, `ann/` with none, `/bob` names nobody, `/`
//! neither; `ann/<token1>` sends an older token. Then `[Header: value]`, `[from: address]` and the
//! body. Ids and tokens are named in the order in which they appear. `eventually` repeats a call
//! until it is answered as written, or has been for long enough. What is `given` must succeed.

use std::{collections::HashMap, fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{HeaderName, Request},
};
use docket::{
    journal::{Journal, MemoryJournal},
    node::Parts,
};
use expect_test::Expect;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Hands, Shop, folder};

/// How often a call is repeated that is answered as wanted eventually, 5 ms apart.
const TRIES_MAX: usize = 2000;
/// When conversations begin.
pub const BEGIN_MS: i64 = 1_700_000_000_000;

pub struct Talk {
    pub shop: Shop,
    pub hands: Hands,
    pub journal: Arc<MemoryJournal>,
    /// The newest token of each user.
    tokens: HashMap<String, String>,
    /// What is random, and what it is called here.
    names: Vec<(String, String)>,
    _folder: TempDir,
}

struct Call<'a> {
    method: &'a str,
    path: &'a str,
    token: String,
    headers: Vec<(&'a str, String)>,
    body: String,
}

/// Plays a conversation with a new shop.
pub async fn check(expect: Expect) {
    Talk::start("").await.check(expect).await;
}

impl Talk {
    /// A new shop with these settings.
    pub async fn start(toml: &str) -> Self {
        let (folder, data) = folder();
        let hands = Hands::at(BEGIN_MS);
        let journal = Arc::new(MemoryJournal::new());
        let parts = Parts {
            journal: Some(Arc::clone(&journal) as Arc<dyn Journal>),
            clock: Some(hands.clock()),
            ..Parts::default()
        };
        let shop = Shop::start(&data, toml, parts).await.unwrap();
        let (tokens, names) = (HashMap::new(), Vec::new());
        Self { shop, hands, journal, tokens, names, _folder: folder }
    }

    /// Plays a conversation, which must go as expected.
    pub async fn check(&mut self, expect: Expect) {
        let played = self.play(expect.data()).await;
        expect.assert_eq(&played);
    }

    /// Plays the calls of a script whose answers do not matter.
    pub async fn play(&mut self, script: &str) -> String {
        let lines: Vec<&str> = script.trim().lines().map(str::trim).collect();
        let mut played = String::new();
        for (n, line) in lines.iter().enumerate() {
            if line.starts_with('→') {
                continue;
            }
            played.push_str(line);
            played.push('\n');
            if let Some(given) = line.strip_prefix("given ") {
                self.given(&given.split(' ').collect::<Vec<_>>()).await;
            } else if let Some(time) = line.strip_prefix("wait ") {
                let seconds = time.trim_end_matches('s').parse().unwrap();
                self.hands.advance(Duration::from_secs(seconds));
            } else if let Some(call) = line.strip_prefix("eventually ") {
                let wanted = lines.get(n + 1).copied().unwrap_or_default();
                let mut answer = self.call(call).await;
                for _ in 0..TRIES_MAX {
                    if answer == wanted {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    answer = self.call(call).await;
                }
                writeln!(played, "{answer}").unwrap();
            } else if !line.is_empty() && !line.starts_with('#') {
                writeln!(played, "{}", self.call(line).await).unwrap();
            }
        }
        played
    }

    /// The token that somebody got last.
    pub fn token(&self, who: &str) -> &str {
        self.tokens.get(who).unwrap_or_else(|| panic!("{who} has no token"))
    }

    /// What something random is called in conversations, for what it really is.
    pub fn real(&self, name: &str) -> &str {
        let found = self.names.iter().find(|(_, known)| known == name);
        found.map(|(real, _)| real.as_str()).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// Makes a call and gives the line that says how it was answered.
    async fn call(&mut self, line: &str) -> String {
        let call = self.parse(line);
        let mut request = Request::builder().method(call.method).uri(call.path);
        if !call.token.is_empty() {
            request = request.header("token", &call.token);
        }
        for (name, value) in &call.headers {
            request = match *name {
                "from" => {
                    let address: SocketAddr = format!("{value}:1").parse().unwrap();
                    request.extension(ConnectInfo(address))
                }
                name => request.header(name, value),
            };
        }
        let answer = self.shop.send(request.body(Body::from(call.body.clone())).unwrap()).await;
        self.learn(&call, &answer);
        self.line(&answer)
    }

    fn parse<'a>(&self, line: &'a str) -> Call<'a> {
        let (method, rest) = line.split_once(' ').unwrap();
        let (path, rest) = rest.split_once(' ').unwrap();
        let (who, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let (user, token) = who.split_once('/').unwrap_or((who, who));
        let token = match token {
            "" => String::new(),
            name if name.starts_with('<') => self.real(name).to_owned(),
            who => self.tokens.get(who).cloned().unwrap_or_default(),
        };
        let mut headers = Vec::new();
        while let Some(header) = rest.strip_prefix('[') {
            let (header, behind) = header.split_once(']').unwrap();
            let (name, value) = header.split_once(": ").unwrap();
            headers.push((name, value.to_owned()));
            rest = behind.trim_start();
        }
        let mut body = if rest.is_empty() { "{}".to_owned() } else { rest.to_owned() };
        let named = body.contains("\"user_id\"") || body.contains("\"buyer_id\"");
        if !user.is_empty() && !named && body.starts_with('{') {
            let more = if body == "{}" { "" } else { "," };
            body = format!("{{\"user_id\":\"{user}\"{more}{}", &body[1..]);
        }
        for (real, name) in &self.names {
            body = body.replace(name, real);
        }
        Call { method, path, token, headers, body }
    }

    /// Gives names to what an answer brings that is new and random.
    fn learn(&mut self, call: &Call<'_>, answer: &Answer) {
        for kind in ["order", "token"] {
            let real = answer.body.get(if kind == "order" { "order_id" } else { kind });
            let Some(real) = real.and_then(Value::as_str).filter(|real| !real.is_empty()) else {
                continue;
            };
            if self.names.iter().all(|(known, _)| known != real) {
                let alike = self.names.iter().filter(|(_, name)| name[1..].starts_with(kind));
                let name = format!("<{kind}{}>", alike.count() + 1);
                self.names.push((real.to_owned(), name));
            }
            if kind == "token" {
                let body: Map<String, Value> = serde_json::from_str(&call.body).unwrap();
                let user = body["user_id"].as_str().unwrap().to_owned();
                self.tokens.insert(user, real.to_owned());
            }
        }
    }

    /// An answer as a conversation shows it. What holds for every answer is checked here.
    fn line(&self, answer: &Answer) -> String {
        let Answer { code, body, headers, .. } = answer;
        assert!(body["message"].is_string(), "{code} {body}");
        assert_eq!(headers["content-type"], "application/json");
        let has = |name: &str| headers.contains_key(name);
        assert_eq!(has("docket-position"), *code == 200, "{code} {body}");
        assert_eq!(has("retry-after"), [429, 503].contains(code), "{code} {body}");
        assert_eq!(*code == 200, body["message"] == "ok", "{code} {body}");
        let mut text = format!("→ {code}");
        for name in ["allow", "idempotent-replay"] {
            if let Some(value) = headers.get(HeaderName::from_static(name)) {
                write!(text, " ({name}: {})", value.to_str().unwrap()).unwrap();
            }
        }
        let mut body = body.to_string();
        if let Some(seconds) = headers.get("retry-after") {
            let seconds = seconds.to_str().unwrap();
            body = body.replace(&format!("in {seconds} s"), "in … s");
        }
        for (real, name) in &self.names {
            body = body.replace(real, name);
        }
        format!("{text} {body}")
    }

    async fn given(&mut self, words: &[&str]) {
        let number = |text: &str| text.parse::<i64>().unwrap();
        let (path, who, body) = match words {
            ["user", name] => {
                let token = self.shop.user(name).await;
                let count = self.names.iter().filter(|(_, name)| name.starts_with("<token"));
                self.names.push((token.clone(), format!("<token{}>", count.count() + 1)));
                self.tokens.insert((*name).to_owned(), token);
                return;
            }
            ["funds", who, amount] => {
                let password = format!("pw-{who}");
                let body = json!({ "password": password, "add_value": number(amount) });
                ("/buyer/add_funds", who, body)
            }
            ["store", who, store] => ("/seller/create_store", who, json!({ "store_id": store })),
            ["book", who, store, book, price, stock] => {
                let (price, stock) = (number(price), number(stock));
                let body = json!({
                    "store_id": store, "book_id": book, "price": price, "stock_level": stock,
                });
                ("/seller/add_book", who, body)
            }
            ["order", who, store, book, count] => {
                let books = json!([{ "id": book, "count": number(count) }]);
                ("/buyer/new_order", who, json!({ "store_id": store, "books": books }))
            }
            ["paid", who, order] => {
                let body = json!({ "password": format!("pw-{who}"), "order_id": order });
                ("/buyer/payment", who, body)
            }
            ["shipped", who, order] => ("/seller/deliver_book", who, json!({ "order_id": order })),
            ["received", who, order] => ("/buyer/receive_book", who, json!({ "order_id": order })),
            ["cancelled", who, order] => ("/buyer/cancel_order", who, json!({ "order_id": order })),
            other => panic!("what is given by {other:?}?"),
        };
        let line = format!("POST {path} {who} {body}");
        let answer = self.call(&line).await;
        assert!(answer.starts_with("→ 200"), "{line}\n{answer}");
    }
}
