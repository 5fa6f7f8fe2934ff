//! `/metrics`, scraped from the real program as Prometheus does: it tells what was done, how much
//! of it, and of nobody.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod support;

#[path = "metrics/exposition.rs"]
mod exposition;
#[path = "metrics/town.rs"]
mod town;

use std::{collections::BTreeSet, sync::Arc};

use docket::{
    domain::{Action, Caller, Command},
    engine::{Error, Request},
    journal::MemoryJournal,
};
use events::{Channel, CommandId, TokenName};
use expect_test::expect;
use exposition::{Kind, Scrape};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use support::{Shop, folder};
use town::Town;

const README: &str = include_str!("../README.md");

/// A metric's values, a line each.
fn lines(scrape: &Scrape, metric: &str, labels: &[&str]) -> String {
    let values = scrape.by(metric, labels);
    let lines: Vec<_> = values.iter().map(|(labels, value)| format!("{labels} {value}")).collect();
    lines.join("\n")
}

const SAM: &str = "login-of-sam";
const ANN: &str = "login-of-ann";
const STORE: &str = "store-of-sam";
const BOOK: &str = "book-of-sam";
const KEY: &str = "key-of-ann";

/// An order's life through the bookstore's API, with a payment that is refused, one that is
/// repeated, and another order that stays open.
async fn bookstore(town: &mut Town) {
    let mut tokens = Vec::new();
    for name in [SAM, ANN] {
        let who = json!({ "user_id": name, "password": name, "terminal": "t" });
        town.shop(200, "/auth/register", "", who.clone()).await;
        let login = town.shop(200, "/auth/login", "", who).await;
        tokens.push(login["token"].as_str().unwrap().to_owned());
    }
    let [sam, ann] = &tokens[..] else { panic!() };
    let wrong = json!({ "user_id": ANN, "password": "wrong", "terminal": "t" });
    town.shop(401, "/auth/login", "", wrong).await;
    town.shop(200, "/seller/create_store", sam, json!({ "user_id": SAM, "store_id": STORE })).await;
    let book = json!({
        "user_id": SAM, "store_id": STORE, "book_id": BOOK, "price": 2500, "stock_level": 9,
    });
    town.shop(200, "/seller/add_book", sam, book).await;

    let books = json!([{ "id": BOOK, "count": 2 }]);
    let wanted = json!({ "user_id": ANN, "store_id": STORE, "books": books });
    let order = town.shop(200, "/buyer/new_order", ann, wanted.clone()).await["order_id"].clone();
    let payment = json!({ "user_id": ANN, "password": ANN, "order_id": order });
    town.shop(519, "/buyer/payment", ann, payment.clone()).await;
    let funds = json!({ "user_id": ANN, "password": ANN, "add_value": 10_000 });
    town.shop(200, "/buyer/add_funds", ann, funds).await;
    for _ in 0..2 {
        let headers = [("token", ann.as_str()), ("idempotency-key", KEY)];
        town.shop_with(200, "/buyer/payment", &headers, payment.clone()).await;
    }
    let step = |name: &str| json!({ "user_id": name, "order_id": order });
    town.shop(200, "/seller/deliver_book", sam, step(SAM)).await;
    town.shop(200, "/buyer/receive_book", ann, step(ANN)).await;
    town.shop(200, "/buyer/new_order", ann, wanted).await;
    town.shop(200, "/buyer/query_order", ann, json!({ "user_id": ANN })).await;
    town.shop(200, "/buyer/search_book_all", ann, json!({ "query": "tea" })).await;
}

/// The same through `/v1`. Gives the order.
async fn native(town: &mut Town) -> String {
    let (_, sam) = town.native(SAM).await;
    let (id, ann) = town.native(ANN).await;
    town.sells(&sam, STORE, BOOK).await;
    let order = town.orders(&ann, STORE, BOOK).await;
    let step = |word: &str| format!("POST /v1/orders/{order}/{word}");
    town.v1(409, &step("pay"), &ann, Value::Null).await;
    town.charge(&id, 10_000).await;
    town.v1(200, &step("pay"), &ann, Value::Null).await;
    town.v1(200, &step("ship"), &sam, Value::Null).await;
    town.v1(200, &step("receive"), &ann, Value::Null).await;
    // One query to each view.
    for path in [
        format!("/v1/orders/{order}"),
        "/v1/orders".to_owned(),
        "/v1/wallet".to_owned(),
        format!("/v1/stores/{STORE}/listings"),
    ] {
        town.v1(200, &format!("GET {path}"), &ann, Value::Null).await;
    }
    order
}

/// The maps of the world once all that is done: four accounts, three orders, one of them open. The
/// others have left, and no number is another than its order's id.
const WORLD: &str = "\
accounts 4
channels 2
deadlines 1
finished 2
keys 1
leaving 0
lifecycles 2
listings 2
logins 4
numbers 0
orders 1
payables 1
pots 3
settings 8
stores 2
tokens 1";

#[tokio::test]
async fn a_scrape_tells_what_was_done_and_of_nobody() {
    let (_folder, mut town) = Town::start(&[]);
    bookstore(&mut town).await;
    let order = native(&mut town).await;
    // What is in no table of routes, and may be whatever a caller likes.
    for n in 0..20 {
        town.odd(405, &format!("BREW{n}"), "/buyer/payment").await;
        town.odd(405, &format!("BREW{n}"), &format!("/v1/orders/{order}")).await;
        town.odd(404, "POST", &format!("/buyer/{order}-{n}")).await;
        town.odd(404, "POST", &format!("/v1/{order}-{n}")).await;
        town.odd(404, &format!("BREW{n}"), &format!("/{order}-{n}?of={ANN}")).await;
    }
    town.odd(405, "GET", "/buyer/payment").await;
    town.odd(405, "DELETE", "/healthz").await;
    town.odd(200, "HEAD", "/healthz").await;

    // This is the first scrape, and every view was read after the last command.
    let (text, scrape) = town.scrape();
    let commands = lines(&scrape, "docket_commands_total", &["command", "outcome"]);
    expect![[r#"
        add_listing accepted 2
        adopt_lifecycle accepted 2
        adopt_settings accepted 2
        charge accepted 1
        fund accepted 1
        issue_token accepted 1
        open_session accepted 4
        open_store accepted 2
        pay accepted 2
        pay refused 2
        pay replayed 1
        place accepted 3
        receive accepted 2
        register accepted 4
        ship accepted 2"#]]
    .assert_eq(&commands);
    let requests = lines(&scrape, "docket_http_requests_total", &["route", "method", "status"]);
    expect![[r#"
        /auth/login POST 200 2
        /auth/login POST 401 1
        /auth/register POST 200 2
        /buyer/add_funds POST 200 1
        /buyer/new_order POST 200 2
        /buyer/payment POST 200 2
        /buyer/payment POST 519 1
        /buyer/payment other 405 21
        /buyer/query_order POST 200 1
        /buyer/receive_book POST 200 1
        /buyer/search_book_all POST 200 1
        /healthz HEAD 200 1
        /healthz other 405 1
        /seller/add_book POST 200 1
        /seller/create_store POST 200 1
        /seller/deliver_book POST 200 1
        /v1/accounts POST 201 2
        /v1/accounts/{id}/wallet POST 200 1
        /v1/orders GET 200 1
        /v1/orders POST 201 1
        /v1/orders/{id} GET 200 1
        /v1/orders/{id} other 405 20
        /v1/orders/{id}/{command} POST 200 3
        /v1/orders/{id}/{command} POST 409 1
        /v1/sessions POST 201 2
        /v1/stores POST 201 1
        /v1/stores/{store}/listings GET 200 1
        /v1/stores/{store}/listings POST 201 1
        /v1/wallet GET 200 1
        unmatched POST 404 40
        unmatched other 404 20"#]]
    .assert_eq(&requests);
    assert_eq!(scrape.value("docket_password_hashes_total"), 9.0, "a wrong one costs one as well");

    // As many requests were timed as were counted, route by route.
    let counted = &scrape.family("docket_http_requests_total").samples;
    let timed = scrape.recorded("docket_http_request_seconds");
    assert!(timed.len() > 20, "{timed:?}");
    let all = timed.iter().map(|(_, count, _)| count).sum::<f64>();
    assert_eq!(all, counted.iter().map(|it| it.value).sum::<f64>());
    for (labels, count, _) in timed {
        let of = counted.iter().filter(|it| labels.iter().all(|(name, is)| it.labels[name] == *is));
        assert_eq!(of.map(|it| it.value).sum::<f64>(), count, "{labels:?}");
    }

    // Commands that came one after another are a commit each, every event is in one, and every
    // view holds them all.
    let commands = scrape.by("docket_commands_total", &["command", "outcome"]);
    let accepted = commands.iter().filter(|(labels, _)| labels.ends_with(" accepted"));
    let accepted = accepted.map(|(_, count)| count).sum::<f64>();
    let newest = scrape.by("docket_view_position", &["view"]);
    assert_eq!(newest.len(), 4, "{newest:?}");
    let newest = newest["wallets"];
    let commits = scrape.recorded("docket_commit_events");
    let [(_, commits, events)] = commits[..] else { panic!("{commits:?}") };
    assert_eq!((commits, events), (accepted, newest));
    assert_eq!(scrape.recorded("docket_commit_seconds")[0].1, commits);
    for (view, position) in scrape.by("docket_view_position", &["view"]) {
        assert_eq!(position, newest, "{view}");
    }
    for (view, lag) in scrape.by("docket_view_lag_events", &["view"]) {
        assert_eq!(lag, 0.0, "{view}");
    }
    for metric in [
        "docket_queue_depth",
        "docket_clock_behind_seconds",
        "docket_deadlines_refused_total",
        "docket_deadlines_stopped",
    ] {
        assert_eq!(scrape.value(metric), 0.0, "{metric}");
    }

    town.private.extend([SAM, ANN, STORE, BOOK, KEY, "BREW"].map(str::to_owned));
    assert!(town.private.len() > 15 && town.private.contains(&order), "{:?}", town.private);
    for private in &town.private {
        assert!(!text.contains(private), "{private} is in\n{text}");
    }

    // The world is measured each second.
    let sizes = |scrape: &Scrape| lines(scrape, "docket_world_size", &["map"]);
    assert_eq!(sizes(&town.scrape_until(|it| sizes(it) == WORLD).await), WORLD);
    // What views take in is written within a second.
    let writes = |scrape: &Scrape| scrape.by("docket_view_writes_total", &["view"]);
    let written = |scrape: &Scrape| writes(scrape).values().all(|keys| *keys > 0.0);
    assert_eq!(writes(&town.scrape_until(written).await).len(), 4);
    assert!(town.docket.terminate().status.success());
}

#[tokio::test]
async fn a_deadline_that_is_refused_is_told() {
    let short = ("DOCKET_CHANNEL_NATIVE_RECEIVE_WITHIN", "1s");
    let (_folder, mut town) = Town::start(&[short, ("DOCKET_TICK", "10ms")]);
    let (sam_id, sam) = town.native(SAM).await;
    let (ann_id, ann) = town.native(ANN).await;
    town.sells(&sam, STORE, BOOK).await;
    town.charge(&ann_id, 700).await;
    // The seller's wallet has no room for the price.
    town.charge(&sam_id, i64::MAX).await;
    let order = town.orders(&ann, STORE, BOOK).await;
    town.v1(200, &format!("POST /v1/orders/{order}/pay"), &ann, Value::Null).await;
    town.v1(200, &format!("POST /v1/orders/{order}/ship"), &sam, Value::Null).await;

    let refused = |it: &Scrape| it.value("docket_deadlines_refused_total");
    let commands = |it: &Scrape| it.by("docket_commands_total", &["command", "outcome"]);
    // A scrape is no moment: one of the two may be read before both are counted.
    let told = |it: &Scrape| refused(it) > 0.0 && commands(it).contains_key("receive refused");
    let scrape = town.scrape_until(told).await;
    assert_eq!(refused(&scrape), 1.0, "it rests for a minute");
    let commands = commands(&scrape);
    assert_eq!(commands["receive refused"], 1.0);
    assert!(!commands.contains_key("receive accepted"), "{commands:?}");
    assert_eq!(scrape.value("docket_deadlines_stopped"), 0.0);
    let seen = town.v1(200, &format!("GET /v1/orders/{order}"), &ann, Value::Null).await;
    assert_eq!(seen["phase"], "Shipped");
    let is_set = |it: &Scrape| it.by("docket_world_size", &["map"])["deadlines"] == 1.0;
    assert!(is_set(&town.scrape_until(is_set).await), "it stays set");
}

#[tokio::test]
async fn commands_that_find_the_queue_full_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    // For this thread, on which all of it runs.
    let _here = metrics::set_default_local_recorder(&recorder);
    let (_folder, data) = folder();
    let journal = Arc::new(MemoryJournal::new());
    let shop = Shop::on(journal, &data, "queue_max = 1", None).await;
    let submit = || {
        let name = TokenName::new("nobody").unwrap();
        shop.node.engine.submit(Request::new(Command {
            id: CommandId(uuid::Uuid::now_v7()),
            channel: Channel::new("site").unwrap(),
            caller: Caller::System,
            action: Action::RevokeToken { name },
        }))
    };
    // The writer has no turn before all three have tried.
    let (first, second, third) = tokio::join!(submit(), submit(), submit());
    assert!(matches!(first, Err(Error::Rejected(_))), "{first:?}");
    assert_eq!((second, third), (Err(Error::Full), Err(Error::Full)));
    let text = recorder.handle().render();
    for (outcome, count) in [("dropped", 2), ("refused", 1)] {
        let line = format!(
            "docket_commands_total{{command=\"revoke_token\",outcome=\"{outcome}\"}} {count}\n"
        );
        assert!(text.contains(&line), "{text}");
    }
    shop.stop().await;
}

#[test]
fn every_metric_is_explained_and_named_in_the_readme() {
    let (_folder, town) = Town::start(&[]);
    town.scrape(); // Itself the first request that is counted.
    let (_, scrape) = town.scrape();
    for (name, family) in scrape.families() {
        let unit = family.help.strip_suffix(']').and_then(|help| Some(help.rsplit_once(" [")?.1));
        let unit = unit.unwrap_or_else(|| panic!("{name} has no unit: {}", family.help));
        assert_eq!(unit == "seconds", name.contains("_seconds"), "{name} is in {unit}");
        assert_eq!(family.kind == Kind::Counter, name.ends_with("_total"), "{name}");
    }
    // What nodes of a cluster tell beside is compared where there are some.
    let (alone, rest) = README.split_once("\n## Several machines\n").unwrap();
    let (_, rest) = rest.split_once("\n## ").unwrap();
    let words = |text: &'static str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let words = words(alone).chain(words(rest));
    let told: BTreeSet<_> = words.filter(|word| word.starts_with("docket_")).collect();
    assert_eq!(scrape.names(), told);
}
