//! The `docket` command as somebody meets it who has never seen it.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod support;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Output, Stdio},
};

use events::publish::{Topic, Type};
use serde_json::Value;
use support::{Process, folder, program};

/// A command in a folder of its own, with nothing of this shell's settings.
fn docket(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("DOCKET_")) {
            command.env_remove(name);
        }
    }
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a command prints that goes well.
fn printed(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{status}: {}", text(&stderr));
    text(&stdout)
}

/// What a command says that does not go well.
fn refused(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(!status.success(), "{}", text(&stdout));
    assert!(stdout.is_empty(), "{}", text(&stdout));
    text(&stderr)
}

#[test]
fn help_teaches() {
    let (folder, _) = folder();
    let help = printed(docket(folder.path(), &["--help"]));
    let taught = [
        "docket demo",
        "docket config",
        "docket.toml",
        "DOCKET_<NAME>",
        "serve ",
        "demo ",
        "config ",
        "--listen <ADDR>",
        "--data <DIR>",
        "--journal <KIND>",
        "--config <FILE>",
        "[default: 127.0.0.1:8080]",
        "[default: ./data]",
        "Examples:",
    ];
    for words in taught {
        assert!(help.contains(words), "{words:?} is not in:\n{help}");
    }
    let serve = printed(docket(folder.path(), &["serve", "--help"]));
    assert!(serve.contains("--listen <ADDR>") && serve.contains("[default: 127.0.0.1:8080]"));
    for line in help.lines().chain(serve.lines()) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn config_shows_every_setting_and_no_secret() {
    let (folder, _) = folder();
    let key = "2a".repeat(32);
    let file = "queue_max = 7\n[channel.bookstore]\npay_within = '90s'\n";
    std::fs::write(folder.path().join("docket.toml"), file).unwrap();
    let mut command = docket(folder.path(), &["config"]);
    command.env("DOCKET_MASTER_KEY", &key).env("DOCKET_TICK", "1s");
    let shown = printed(command);
    let line = |begins: &str| {
        let mut lines = shown.lines().filter(|line| line.starts_with(begins));
        let line = lines.next().unwrap_or_else(|| panic!("no {begins:?} in:\n{shown}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("queue_max"), "queue_max = 7 # docket.toml");
    assert_eq!(line("tick"), "tick = \"1s\" # DOCKET_TICK");
    assert_eq!(line("pay_within"), "pay_within = \"90s\" # docket.toml");
    assert_eq!(line("#listen"), "#listen = \"127.0.0.1:8080\" # default");
    assert_eq!(line("#master_key"), "#master_key = \"…\" # DOCKET_MASTER_KEY, not shown");
    assert!(!shown.contains(&key), "{shown}");
    // What a life cycle's file does not name can be set all the same.
    for bound in docket::domain::lifecycle::Bound::ALL {
        let shown = line(&format!("#{}", bound.name()));
        assert_eq!(shown, format!("#{} = {} # default", bound.name(), bound.default_most()));
    }
    for it in docket::config::SITE.iter().chain(docket::config::CHANNEL) {
        assert!(shown.contains(&format!("{} = ", it.name)), "{} is not in:\n{shown}", it.name);
    }
}

#[test]
fn config_can_be_taken_as_a_file_of_settings() {
    let (folder, _) = folder();
    let shown = printed(docket(folder.path(), &["config"]));
    std::fs::write(folder.path().join("new.toml"), &shown).unwrap();
    assert_eq!(printed(docket(folder.path(), &["config", "--config", "new.toml"])), shown);
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let (folder, data) = folder();
    let dir = folder.path();
    let error = refused(docket(dir, &["--frobnicate"]));
    assert!(error.contains("--frobnicate") && error.contains("--help"), "{error}");
    let error = refused(docket(dir, &["frobnicate"]));
    assert!(error.contains("frobnicate") && error.contains("--help"), "{error}");

    let error = refused(docket(dir, &["--listen", "here"]));
    let reason = "docket: --listen: listen cannot be \"here\": it must be an address and a port, \
                  such as 127.0.0.1:8080\n";
    assert_eq!(error, reason);
    let error = refused(docket(dir, &["serve", "--journal", "stone"]));
    assert!(error.contains("journal cannot be \"stone\": it must be sqlite or memory"), "{error}");

    let mut command = docket(dir, &["config"]);
    command.env("DOCKET_LISEN", "x");
    let error = refused(command);
    assert!(error.contains("DOCKET_LISEN sets \"lisen\", which is no setting"), "{error}");
    assert!(error.contains("listen, data, journal"), "{error}");

    let error = refused(docket(dir, &["--config", "nowhere.toml"]));
    assert!(error.contains("cannot read nowhere.toml"), "{error}");

    let with = |settings: &str, arguments: &[&str]| {
        std::fs::write(dir.join("docket.toml"), settings).unwrap();
        refused(docket(dir, arguments))
    };
    let error = with("tick = 'soon'", &["config"]);
    assert!(error.contains("docket.toml: tick cannot be \"soon\": it must be a number"), "{error}");
    let error = with("[channel.bookstore]\npay_withn = '1s'", &["config"]);
    assert!(error.contains("there is no setting \"pay_withn\"; there are"), "{error}");
    let error = with("[channel.bookstore]\npay_within = 'soon'", &["config"]);
    assert!(error.contains("pay_within") && error.contains("\"soon\""), "{error}");
    let error = with("[channel.nowhere]\nx = 1", &["config"]);
    assert!(error.contains("[channel.nowhere] is set, but there is no such channel"), "{error}");
    let error = with("listen = '0.0.0.0:0'", &["serve"]);
    assert!(error.contains("DOCKET_MASTER_KEY") && error.contains("made-master-key"), "{error}");
    assert!(!data.exists(), "nothing was refused after anything was made");
}

#[test]
fn the_demo_tells_every_step_and_ends_well() {
    let (folder, _) = folder();
    let told = printed(docket(folder.path(), &["demo"]));
    let steps = [
        "Sam opens an account.",
        "POST /auth/register",
        "POST /v1/accounts",
        "listing.added",
        "wallet.charged; 100.00 CNY from outside to wallet",
        "Ann orders two copies.",
        "POST /buyer/new_order",
        "order.placed: → AwaitingPayment; reserve 2 × b1",
        "POST /v1/orders",
        "order.placed: → AwaitingPayment; reserve 2 × b1",
        "order.paid: AwaitingPayment → Paid; 50.00 CNY from wallet to held",
        "order.shipped: Paid → Shipped; consume 2 × b1",
        "order.received: Shipped → Completed; 50.00 CNY from held to wallet",
        "\"state\":3",
        "\"phase\":\"Completed\"",
        "Both orders, event by event:",
        "the same events in the same order",
    ];
    let mut rest = told.as_str();
    for step in steps {
        let Some(at) = rest.find(step) else { panic!("{step:?} is not in its place in:\n{told}") };
        rest = &rest[at + step.len()..];
    }
    for line in told.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    // A password; sessions; the operator's token.
    for secret in ["correct horse", "eyJ", "docket_"] {
        assert!(!told.contains(secret), "{secret} is in:\n{told}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_demo_shows_the_same_life_through_both_faces() {
    let (folder, _) = folder();
    let told = printed(docket(folder.path(), &["demo"]));
    let (steps, table) = told.split_once("Both orders, event by event:").unwrap();
    let (mut lives, mut face) = ([Vec::new(), Vec::new()], 0);
    for line in steps.lines() {
        if let Some((words, _)) = line.split_once(" POST ").or(line.split_once(" GET ")) {
            let faces = ["bookstore", "/v1"];
            face = faces.iter().position(|face| words.trim() == *face).unwrap();
        }
        if let Some((_, fact)) = line.split_once('#') {
            let (position, fact) = fact.split_once(' ').unwrap();
            let kind = fact.split([':', ';']).next().unwrap().to_owned();
            lives[face].push((position.parse::<u64>().unwrap(), kind));
        }
    }
    let kinds =
        lives.each_ref().map(|life| life.iter().map(|(_, kind)| &**kind).collect::<Vec<_>>());
    assert_eq!(kinds[0], kinds[1]);
    let order = ["order.placed", "order.paid", "order.shipped", "order.received"];
    assert_eq!(kinds[0][kinds[0].len() - 4..], order, "{told}");
    assert!(kinds[0].len() > 8, "{kinds:?}");
    // Step by step beside each other, in one journal.
    for ((shop, _), (own, _)) in lives[0].iter().zip(&lives[1]) {
        assert_eq!(shop + 1, *own, "{told}");
    }
    let expected: Vec<_> = (0..4)
        .map(|n| {
            let at = lives[0].len() - 4 + n;
            format!("#{} {} #{} {}", lives[0][at].0, order[n], lives[1][at].0, order[n])
        })
        .collect();
    let rows = table.lines().filter(|line| line.trim().starts_with('#'));
    let rows = rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn a_first_run_says_where_everything_is_and_no_secret() {
    let (_folder, data) = folder();
    let first = Process::start(&data, &[]);
    let (said, base) = (first.stdout(), first.base.clone());
    let data = data.canonicalize().unwrap();
    for words in [
        "docket is ready for orders".to_owned(),
        format!("listening on    {base}\n"),
        format!("data            {}\n", data.display()),
        format!("operator token  {}\n", data.join("operator.token").display()),
        "curl -d '{\"user_id\":".to_owned(),
        format!("{base}/auth/register"),
    ] {
        assert!(said.contains(&words), "{words:?} is not in:\n{said}");
    }
    let ended = first.terminate();
    assert!(ended.status.success(), "{ended:?}");
    let all = ended.stdout + &ended.log;
    for file in ["operator.token", "master.key"] {
        let secret = std::fs::read_to_string(data.join(file)).unwrap();
        assert!(!all.contains(secret.trim()), "{file} is in:\n{all}");
        assert!(all.contains(file), "{file} is not told of in:\n{all}");
    }
    assert!(!all.contains('\u{1b}'), "colours are for terminals:\n{all}");
}

#[test]
fn docket_alone_serves() {
    let (folder, data) = folder();
    let mut command = docket(folder.path(), &[]);
    command.env("DOCKET_LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("/auth/register") {
        assert!(lines.read_line(&mut said).unwrap() > 0, "it ended:\n{said}");
    }
    assert!(said.contains("docket is ready for orders"), "{said}");
    assert!(data.join("journal.sqlite").exists(), "./data is where it keeps things");
    let kill = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
    lines.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn topics_shows_each_type_as_it_goes_out() {
    let (folder, _) = folder();
    let told = printed(docket(folder.path(), &["topics", "--prefix", "shop"]));
    let topics: Vec<_> = told.lines().filter(|line| line.starts_with("shop.")).collect();
    assert_eq!(topics, Topic::ALL.map(|topic| topic.address("shop")));
    for kind in Type::ALL {
        let name = format!("\n  {}\n", kind.name());
        let (_, example) = told.split_once(&name).unwrap_or_else(|| panic!("{name:?} in {told}"));
        let row = |name: &str| {
            let mut lines = example.lines().map(|line| line.trim_start());
            let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix("  "));
            line.unwrap_or_else(|| panic!("{name} in {example}")).trim()
        };
        assert_eq!(row("ce_type"), kind.name());
        assert_eq!(row("key"), row("ce_subject"));
        assert_eq!(row("content-type"), "application/json");
        let value: Value = row("value").parse().unwrap();
        assert_eq!(value["channel"], "bookstore");
    }

    let json = printed(docket(folder.path(), &["topics", "--json"]));
    let json: Value = json.parse().unwrap();
    let topics = json["topics"].as_array().unwrap();
    let names: Vec<_> = topics.iter().map(|it| it["topic"].as_str().unwrap()).collect();
    assert_eq!(names, ["docket.orders", "docket.stock", "docket.payments"]);
    let types = topics.iter().flat_map(|it| it["types"].as_array().unwrap());
    let values = told.lines().filter_map(|line| line.trim_start().strip_prefix("value "));
    let values: Vec<Value> = values.map(|value| value.trim().parse().unwrap()).collect();
    let mut count = 0;
    for (it, kind) in types.zip(Type::ALL) {
        assert_eq!(it["type"], kind.name());
        assert_eq!(it["schema"], kind.schema().to_value());
        assert_eq!(it["example"]["headers"]["ce_type"], kind.name());
        // What a person reads is what a program reads.
        assert!(values.contains(&it["example"]["value"]), "{it}");
        count += 1;
    }
    assert_eq!(count, Type::ALL.len());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
