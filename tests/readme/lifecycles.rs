//! The pages about life cycles: every word of the language is explained and no other, every file
//! shown is what it is said to be, and a channel comes to be as shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Output},
};

use axum::http::Method;
use docket::{
    builtin::{builtin_channels, builtin_lifecycle},
    client::Client,
    domain::lifecycle::{Lifecycle, Problem, Word, language},
};
use events::Channel;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    page::{Page, Table, code, text, walk},
    support::{Process, folder, program},
};

const LANGUAGE: Page = Page {
    path: "schemas/lifecycles/README.md",
    text: include_str!("../../schemas/lifecycles/README.md"),
};
const REFUSED: Page = Page {
    path: "schemas/lifecycles/refused.md",
    text: include_str!("../../schemas/lifecycles/refused.md"),
};

/// How the page marks what is in the language and not in this docket.
const NOT_YET: &str = "*not yet*";

const DAY_MS: i64 = 86_400_000;

#[tokio::test]
async fn a_seventh_channel_comes_to_be_as_shown() {
    let (_folder, data) = folder();
    let docket = Process::start(&data, &[]);
    let printed = walk(&LANGUAGE.blocks(), &docket);
    let refusals: Vec<_> =
        LANGUAGE.blocks().into_iter().filter(|it| it.language == "json").collect();
    assert_eq!(refusals.len(), 1);
    assert!(printed.contains(refusals[0].text.trim()), "{printed}");
    assert!(docket.terminate().status.success());

    // The next start knows the file that was changed, and gives two days.
    let docket = Process::start(&data, &[]);
    let client = docket.client();
    let login = json!({ "channel": "stall", "login": "ann", "password": "battery staple" });
    let session = call(&client, Method::POST, "/v1/sessions", "", login).await;
    let token = session["token"].as_str().unwrap();
    let order = json!({ "store": "market", "kind": "pick_up", "method": "at_store",
        "lines": [{ "sku": "plum", "quantity": 1 }] });
    let order = call(&client, Method::POST, "/v1/orders", token, order).await;
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let order = call(&client, Method::GET, &path, token, Value::Null).await;
    assert_eq!(order["lifecycle"], 2);
    let due = order["deadlines"]["fetch"].as_i64().unwrap();
    assert_eq!(due - order["placed_at"].as_i64().unwrap(), 2 * DAY_MS);
    assert!(docket.terminate().status.success());
}

async fn call(client: &Client, method: Method, path: &str, token: &str, body: Value) -> Value {
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let headers = if body.is_null() { &headers[1..] } else { &headers[..] };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = client.send(method, path, headers, body).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer.body
}

/// A table that is about places names them in its head, and its first column has their words. What
/// a key takes stands in the second column of its row, or in a table of its own.
#[test]
fn every_word_is_explained_and_no_other() {
    let mut explained: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let places = language();
    for Table { head, rows } in LANGUAGE.tables() {
        let about = code(head[0]);
        assert!(!about.is_empty(), "{head:?} is about no place");
        let all = || about.iter().filter_map(|place| places.get(*place)).flatten();
        for row in &rows {
            let words = code(row[0]);
            assert!(!words.is_empty(), "{row:?}");
            for word in words {
                assert!(all().any(|known| *known == word), "{about:?} never take {word}");
                for place in &about {
                    if places.get(*place).is_some_and(|known| known.contains(&word)) {
                        let new = explained.entry((*place).to_owned()).or_default().insert(word);
                        assert!(new, "{place}: {word} is explained twice");
                    }
                    let inner = format!("{place}.{word}");
                    if places.contains_key(&inner) {
                        explained.insert(inner, code(row[1]).into_iter().collect());
                    }
                }
            }
        }
    }
    let places = places.into_iter().map(|(place, words)| (place, words.into_iter().collect()));
    assert_eq!(explained, places.collect());
}

/// Where a row of a table has an example, it is one.
#[test]
fn examples_in_tables_are_read() {
    let mut seen = 0;
    for (table, row, example) in examples() {
        // What is said of keys and words that there are not, and of values that cannot be.
        let wrong = ["; it ", "must be a ", "there is no "];
        for Problem { reason, .. } in problems(&file(&table, &example)) {
            assert!(!wrong.iter().any(|it| reason.contains(it)), "{row:?}: {reason}");
        }
        seen += 1;
    }
    assert!(seen > 15, "{seen} examples");
}

/// Where a table says which file to see, that file has the word.
#[test]
fn files_to_see_have_the_word() {
    let tables = LANGUAGE.tables().into_iter().filter(|it| it.head.last() == Some(&"see"));
    let mut seen = 0;
    for row in tables.flat_map(|table| table.rows) {
        let (word, see) = (code(row[0])[0], row[row.len() - 1]);
        if word == "none" {
            continue; // As good as nothing.
        }
        let name = see.split(['[', ']']).nth(1).unwrap();
        let text = builtin_lifecycle(&Channel::new(name).unwrap()).unwrap();
        let said = text.lines().map(|line| line.split('#').next().unwrap());
        let mut words =
            said.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
        assert!(words.any(|it| it == word), "{word} is not in {name}.toml");
        seen += 1;
    }
    assert!(seen > 60, "{seen} words");
}

#[test]
fn what_waits_is_marked() {
    let mut marked = 0;
    let mut check = |row: &[&str], text: &str| {
        let waits = row.iter().any(|cell| cell.contains(NOT_YET));
        let lifecycle = Lifecycle::recorded(&channel(), text).unwrap();
        assert_eq!(!lifecycle.unsupported().is_empty(), waits, "{row:?}\n{text}");
        marked += usize::from(waits);
    };
    for (table, row, example) in examples().filter(|(table, ..)| table != "[case.<kind>]") {
        check(&row, &file(&table, &example));
    }
    for Table { head, rows } in LANGUAGE.tables() {
        for row in rows {
            let word = code(row[0])[0];
            match head[0] {
                "`command`" => {
                    let command = Word::parse(word).unwrap();
                    assert_eq!(code(row[2])[0], command.event_kind());
                    let about_case = word.ends_with("_case") || command == Word::GoodsBack;
                    match about_case {
                        true => check(&row, &file("[case.<kind>]", "")),
                        false => check(&row, &file("[[on]]", &format!("command = {word:?}"))),
                    }
                }
                "`when`" if word != "setting" => {
                    for answer in code(row[1]) {
                        let when = format!("when = {{ {word} = {answer:?} }}");
                        check(&row, &file("[[on]]", &when));
                    }
                }
                _ => {}
            }
        }
    }
    assert!(marked > 20, "{marked} are marked");
}

/// Files of order APIs that are not served yet ask for what docket cannot do, and no others.
#[test]
fn files_that_come_along_wait_where_their_api_does() {
    for name in ["native", "bookstore", "printing", "gift_card", "meiduo", "yf_mall"] {
        let channel = Channel::new(name).unwrap();
        let lifecycle = Lifecycle::parse(&channel, builtin_lifecycle(&channel).unwrap()).unwrap();
        let waits = !lifecycle.unsupported().is_empty();
        assert_eq!(waits, !builtin_channels().contains(&channel), "{name}");
    }
}

#[test]
fn files_shown_are_sound() {
    let files = LANGUAGE.blocks().into_iter().filter(|it| it.language == "toml");
    let files: Vec<_> = files.filter(|it| !it.text.starts_with("# docket.toml\n")).collect();
    assert_eq!(files.len(), 1);
    for file in files {
        assert_eq!(problems(&file.text), [], "{}", file.text);
    }
}

#[test]
fn files_refused_are_refused_as_shown() {
    let folder = TempDir::new().unwrap();
    let blocks = REFUSED.blocks();
    let (pairs, rest) = blocks.as_chunks::<2>();
    assert!(pairs.len() > 10 && rest.is_empty());
    for [file, shown] in pairs {
        assert_eq!((file.language.as_str(), shown.language.as_str()), ("toml", "text"));
        fs::write(folder.path().join("stall.toml"), &file.text).unwrap();
        let mut check = Command::new(program());
        check.args(["lifecycle", "check", "stall.toml"]).current_dir(folder.path());
        let Output { status, stdout, stderr } = check.output().unwrap();
        assert_eq!((text(stdout), text(stderr)), (shown.text.clone(), String::new()));
        assert_eq!(status.code(), Some(1));
    }
}

#[test]
fn links_lead_somewhere() {
    assert!(LANGUAGE.check_links() > 5);
    assert!(REFUSED.check_links() > 0);
}

/// Each example in a table: the table it is of, its row, and the example.
fn examples() -> impl Iterator<Item = (String, Vec<&'static str>, String)> {
    LANGUAGE.tables().into_iter().flat_map(|Table { head, rows }| {
        let table = code(head[0])[0].to_owned();
        rows.into_iter().flat_map(move |row| {
            let spans = row.iter().flat_map(|cell| code(cell));
            let examples = spans.filter(|it| it.contains(" = "));
            let (table, row) = (table.clone(), row.clone());
            examples.map(move |it| (table.clone(), row.clone(), it.to_owned())).collect::<Vec<_>>()
        })
    })
}

/// A file with an example where it belongs; there is whatever it may refer to.
fn file(table: &str, example: &str) -> String {
    let mut own: toml::Table = example.parse().unwrap_or_else(|it| panic!("{example}: {it}"));
    let usual = match table {
        "[[on]]" | "when" => "command = 'ship'\nfrom = 'Paid'\nby = 'buyer'\nmoney = 'release'",
        "[deadline.<name>]" if own.contains_key("at") => "command = 'expire'",
        "[deadline.<name>]" => "after = 'pay_within'\ncommand = 'expire'",
        "[case.<kind>]" => "from = 'Paid'\namount = 'line'",
        other => panic!("no example is expected of {other}"),
    };
    for (key, value) in usual.parse::<toml::Table>().unwrap() {
        own.entry(key).or_insert(value);
    }
    let own = toml::Value::Table(own); // Written on one line.
    let shown = match table {
        "[deadline.<name>]" => format!("deadline.shown = {own}"),
        "[case.<kind>]" => format!("case.money = {own}"),
        _ => format!("on = [{own}]"),
    };
    format!(
        "version = 1\nsettings = {{ pay_within = '1d', auto_deliver = true, platform_audit = true }}\n\
         deadline.pay = {{ after = 'pay_within', command = 'expire' }}\n\
         deadline.receive = {{ after = 'pay_within', command = 'receive' }}\n{shown}\n"
    )
}

/// All that keeps a file from coming into force, as `docket lifecycle check` tells it.
fn problems(text: &str) -> Vec<Problem> {
    match Lifecycle::parse(&channel(), text) {
        Ok(lifecycle) => lifecycle.unsupported(),
        Err(problems) => problems,
    }
}

fn channel() -> Channel {
    Channel::new("stall").unwrap()
}
