//! Keeps the house in order: which module may use which, what the core must not know, how long a
//! file may be, what lies at the top level. Each finding is a sentence that says what to do.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/table.rs"]
mod table;

use std::collections::BTreeSet;

use code::{blanked, crates_used, modules_used};
use files::{File, files};
use table::{ANY, Row, TABLE};

/// What `src/domain` must not name, beside what the table says.
const IMPURE: &[&str] = &[
    "async",
    "await",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "std::time",
    "SystemTime",
    "Instant",
    "tokio",
    "rand",
    "getrandom",
    "now_v7",
    "new_v4",
    "println",
];

/// What the top level holds, dotfiles aside.
const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "compose.yaml",
    "events",
    "projections",
    "schemas",
    "src",
    "tests",
];

/// The most lines that a file of ours has.
const LINES_MAX: usize = 600;

#[test]
fn modules_use_only_what_the_table_says() {
    let mut findings = Vec::new();
    let crates = dependencies();
    for file in sources("src") {
        let module = file.module();
        let Some(row) = row_of(&module) else {
            findings.push(format!(
                "{} is in no row of the table in tests/tidy/table.rs: give its module one",
                file.path
            ));
            continue;
        };
        let code = blanked(&file.text, true);
        for (line, used) in modules_used(&code, &module) {
            if !may_use_module(row, &used) {
                findings.push(format!(
                    "{}:{line}: `{}` may not use `{used}`: {}",
                    file.path, row.module, row.instead
                ));
            }
        }
        for (line, used) in crates_used(&code, &crates) {
            if !allows(row.crates, &used) {
                findings.push(format!(
                    "{}:{line}: `{}` may not use the crate `{used}`: {}",
                    file.path, row.module, row.instead
                ));
            }
        }
    }
    none(&findings);
}

#[test]
fn the_table_says_no() {
    let may = |module: &str, used: &str| may_use_module(row_of(module).unwrap(), used);
    assert!(may("http::dialects::bookstore::call", "engine::Handle"));
    assert!(may("http::dialects::bookstore::call", "http::App"));
    assert!(!may("http::dialects::bookstore::call", "journal::Journal"));
    assert!(!may("domain::order", "keys::KeyRing"));
    assert!(may("domain::lifecycle::parse", "domain::Rejection"));
    assert!(may("journal::sqlite::writer", "journal::follows"));
    assert!(!may("journal::sqlite", "engine"));
    assert!(row_of("journals").is_none());
}

#[test]
fn the_core_has_no_clock_no_chance_and_no_io() {
    let mut findings = Vec::new();
    for file in sources("src/domain") {
        let code = blanked(&file.text, true);
        let code = code::uses_spelled_out(&code);
        for (line, text) in (1..).zip(code.lines()) {
            for word in IMPURE.iter().filter(|word| code::has_word(text, word)) {
                findings.push(format!(
                    "{}:{line}: the core may not name `{word}`: let it arrive in the command",
                    file.path
                ));
            }
        }
    }
    none(&findings);
}

#[test]
fn dialects_know_nothing_of_one_another() {
    const DIALECTS: &str = "http::dialects::";
    let mut findings = Vec::new();
    for file in sources("src/http/dialects") {
        let module = file.module();
        let Some(own) = module.strip_prefix(DIALECTS).and_then(|it| it.split("::").next()) else {
            continue; // The parent, which names them all.
        };
        for (line, used) in modules_used(&blanked(&file.text, true), &module) {
            let other = used.strip_prefix(DIALECTS).and_then(|it| it.split("::").next());
            if let Some(other) = other.filter(|other| *other != own) {
                findings.push(format!(
                    "{}:{line}: the dialect {own} may not use {other}: put what both need into \
                     src/http, in nobody's words",
                    file.path
                ));
            }
        }
    }
    none(&findings);
}

#[test]
fn a_consumer_knows_nothing_of_docket_but_its_events() {
    let files = files();
    let consumer = files.iter().find(|file| file.path == "tests/consumers/rust/main.rs").unwrap();
    let crates = [dependencies(), vec!["docket".to_owned()]].concat();
    let used = crates_used(&blanked(&consumer.text, true), &crates);
    let used: BTreeSet<_> = used.iter().map(|(_, name)| name.as_str()).collect();
    // Beside the events and Kafka: its own database, and what waits for SIGTERM.
    assert_eq!(used, BTreeSet::from(["events", "rdkafka", "rusqlite", "tokio"]));
}

#[test]
fn a_file_can_be_read_in_one_sitting() {
    let ours = ["rs", "md", "toml", "sh", "yaml"];
    let mut findings = Vec::new();
    for file in files() {
        let lines = file.text.lines().count();
        let counts = ours.contains(&file.extension()) || file.extension().is_empty();
        if counts && lines > LINES_MAX && !["Cargo.lock", "LICENSE"].contains(&&*file.path) {
            findings.push(format!(
                "{} has {lines} lines, {LINES_MAX} are the most: it is asking to be two files",
                file.path
            ));
        }
    }
    none(&findings);
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut findings = Vec::new();
    for file in files().into_iter().filter(|file| file.extension() == "rs") {
        if !file.text.starts_with("//!") {
            findings.push(format!(
                "{} does not open with `//!`: say what it is for and what it promises",
                file.path
            ));
        }
    }
    none(&findings);
}

#[test]
fn nothing_is_put_off() {
    let words = [
        ("#[ignore", "assert what it does today, and say why that is wrong"),
        ("todo!", "write it, or leave it out and say so in the README"),
        ("unimplemented!", "write it, or leave it out and say so in the README"),
    ];
    let mut findings = Vec::new();
    for file in files().into_iter().filter(|file| file.extension() == "rs") {
        let code = blanked(&file.text, false);
        for (line, text) in (1..).zip(code.lines()) {
            for (word, instead) in words.iter().filter(|(word, _)| text.contains(word)) {
                findings.push(format!("{}:{line} has `{word}`: {instead}", file.path));
            }
        }
    }
    none(&findings);
}

#[test]
fn no_machine_is_named() {
    let homes = ["home", "work", "root", "Users"].map(|folder| format!("/{folder}/"));
    let mut findings = Vec::new();
    for file in files() {
        for (line, text) in (1..).zip(file.text.lines()) {
            for home in homes.iter().filter(|home| names_folder(text, home)) {
                findings.push(format!(
                    "{}:{line} names {home}…, a folder of somebody's machine: say where it is \
                     from the repository's root, or from the data folder",
                    file.path
                ));
            }
        }
    }
    none(&findings);
}

#[test]
fn the_top_level_stays_as_it_is() {
    let mut findings = Vec::new();
    for name in files::top_level() {
        if !name.starts_with('.') && !TOP.contains(&&*name) {
            findings.push(format!(
                "{name} does not belong at the top level: settings of tools are dotfiles, the \
                 rest has a place in src, events, projections, schemas or tests"
            ));
        }
    }
    none(&findings);
}

/// Fails with all findings, one a line.
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "\n\n{}\n", findings.join("\n"));
}

/// The Rust files below a folder, and the one that is the folder's module, tests left out.
fn sources(folder: &str) -> Vec<File> {
    let (below, module) = (format!("{folder}/"), format!("{folder}.rs"));
    let is_test = |file: &File| file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
    let wanted = |file: &File| {
        let here = file.path.starts_with(&below) || file.path == module;
        here && file.extension() == "rs" && !is_test(file)
    };
    files().into_iter().filter(wanted).collect()
}

fn row_of(module: &str) -> Option<&'static Row> {
    let fits = TABLE.iter().filter(|row| is_within(module, row.module));
    fits.max_by_key(|row| row.module.len())
}

fn may_use_module(row: &Row, used: &str) -> bool {
    let own = row.module.split("::").next().unwrap_or_default();
    if row.modules == ANY || is_within(used, row.module) || used.is_empty() {
        return true;
    }
    let parent_names_child = is_within(row.module, used) && used == own;
    parent_names_child || row.modules.iter().any(|module| is_within(used, module))
}

fn is_within(module: &str, parent: &str) -> bool {
    module.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn allows(list: &[&str], name: &str) -> bool {
    list == ANY || list.contains(&name)
}

/// Whether a text has this folder as the beginning of a path.
fn names_folder(text: &str, folder: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || "_-.}*".contains(c);
    text.match_indices(folder).any(|(at, _)| !text[..at].ends_with(inside))
}

/// The crates that docket names in its Cargo.toml, as code writes them.
fn dependencies() -> Vec<String> {
    let manifest: toml::Table = include_str!("../Cargo.toml").parse().unwrap();
    let named = manifest["dependencies"].as_table().unwrap();
    named.keys().map(|name| name.replace('-', "_")).collect()
}
