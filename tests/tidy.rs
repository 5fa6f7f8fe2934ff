//! Keeps the house in order: which module may use which, what the core must not know, how long a
//! file may be, what lies at the top level. Each finding is a sentence that says what to do.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/files.rs"]
mod files;

use std::collections::BTreeSet;

use code::{blanked, crates_used, modules_used};
use files::{File, files};

/// A module inside `src/`, and what it and its children may use.
struct Row {
    module: &'static str,
    /// Modules of this crate; a parent's children are included.
    modules: &'static [&'static str],
    /// Crates, the standard library aside.
    crates: &'static [&'static str],
    /// What to do instead of using anything else.
    instead: &'static str,
}

/// Who may use whom. The longest module that fits a file counts. A module may always use itself,
/// its children and, as its children may, what is beside them.
const TABLE: &[Row] = &[
    Row {
        module: "domain",
        modules: &[],
        // Of `serde` the derives: commands and refusals go from node to node.
        crates: &["events", "serde", "thiserror"],
        instead: "the core is pure: let ids, times and prices arrive in the command, and do what \
                  touches the world in `engine` or at the edge",
    },
    Row {
        module: "domain::lifecycle",
        modules: &["domain"],
        crates: &["events", "serde", "thiserror", "toml"],
        instead: "life cycles are read from their text alone; hand it in",
    },
    Row {
        module: "journal",
        modules: &[],
        // Of `rusqlite` the error, which `JournalError` keeps as its source.
        crates: &["events", "rusqlite", "serde", "serde_json", "thiserror", "tokio", "tracing"],
        instead: "a journal keeps commits and knows nothing of what they mean",
    },
    Row {
        module: "journal::memory",
        modules: &["journal"],
        crates: &["events", "serde_json", "tokio"],
        instead: "each journal has its own client and no other",
    },
    Row {
        module: "journal::kafka",
        modules: &["journal"],
        crates: &["events", "rdkafka", "serde", "serde_json", "tokio", "tracing"],
        instead: "each journal has its own client and no other",
    },
    Row {
        module: "journal::sqlite",
        modules: &["journal"],
        crates: &["events", "rusqlite", "serde_json", "thiserror", "tokio", "tracing"],
        instead: "each journal has its own client and no other",
    },
    Row {
        module: "engine",
        modules: &["domain", "journal"],
        crates: &[
            "chrono",
            "events",
            "metrics",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
            "uuid",
        ],
        instead: "the writer decides and appends; what it needs arrives in the request",
    },
    Row {
        module: "cluster",
        modules: &["journal"],
        crates: &["events", "rdkafka", "thiserror", "tokio", "tracing"],
        instead: "who may write is said here, and what is written elsewhere",
    },
    Row {
        module: "desk",
        modules: &["cluster", "domain", "engine", "inner"],
        crates: &["events", "tokio", "tracing"],
        instead: "the desk hands commands on; who decides is said in `node`",
    },
    Row {
        module: "feed",
        modules: &["journal"],
        crates: &["events", "thiserror"],
        instead: "the feed gives what was recorded as it was recorded",
    },
    Row {
        module: "keys",
        modules: &[],
        crates: &[
            "aes_gcm",
            "base64",
            "events",
            "getrandom",
            "hmac",
            "sha2",
            "thiserror",
            "uuid",
            "zeroize",
        ],
        instead: "the key ring reaches its store through `WrappedKeys`; implement that in `node`",
    },
    Row {
        module: "blobs",
        modules: &[],
        crates: &["events", "sha2", "thiserror", "uuid"],
        instead: "a blob is bytes under their digest; give them a meaning where they are used",
    },
    Row {
        module: "backup",
        modules: &["blobs", "engine", "journal", "keys"],
        crates: &["events", "rusqlite", "sha2", "thiserror"],
        instead: "a backup copies what is recorded and what goes with it; who asks for one, and what \
                  is printed, is in `operate`",
    },
    Row {
        module: "copy",
        modules: &["backup", "blobs", "journal", "keys"],
        crates: &["events", "thiserror", "tokio"],
        instead: "a copy goes from one journal to another, whatever keeps them; where they are, and \
                  what is printed, is in `operate`",
    },
    Row {
        module: "projector",
        modules: &["journal"],
        crates: &[
            "events",
            "metrics",
            "projections",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
        ],
        instead: "views are folds of the journal and of nothing else",
    },
    Row {
        module: "http",
        modules: &["blobs", "desk", "domain", "engine", "feed", "keys", "projector"],
        crates: &[
            "argon2",
            "axum",
            "base64",
            "events",
            "form_urlencoded",
            "hmac",
            "http_body_util",
            "hyper",
            "hyper_util",
            "jsonwebtoken",
            "metrics",
            "percent_encoding",
            "projections",
            "schemars",
            "serde",
            "serde_json",
            "serde_path_to_error",
            "sha2",
            "thiserror",
            "tokio",
            "tower",
            "tower_http",
            "tracing",
            "uuid",
        ],
        instead: "give a command to `desk::Desk`, or ask a view of `projector::Views`",
    },
    Row {
        module: "inner",
        modules: &["engine", "keys"],
        crates: &[
            "axum",
            "events",
            "hmac",
            "http_body_util",
            "hyper",
            "hyper_util",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "tokio",
            "tracing",
            "zeroize",
        ],
        instead: "nodes tell each other what `inner::Service` says; implement that in `node`",
    },
    Row {
        module: "client",
        modules: &[],
        crates: &["anyhow", "axum", "http_body_util", "hyper_util", "serde_json", "tokio"],
        instead: "the client knows HTTP and JSON alone, as any client",
    },
    Row {
        module: "config",
        modules: &["builtin", "keys"],
        crates: &["events", "thiserror", "toml"],
        instead: "settings are texts with a kind; what they mean is said where they are used",
    },
    Row {
        module: "builtin",
        modules: &[],
        crates: &["events"],
        instead: "what comes with docket is named here and brought into force by `node`",
    },
    // What puts the parts together may use them all.
    Row { module: "node", modules: ANY, crates: ANY, instead: "" },
    Row { module: "operate", modules: ANY, crates: ANY, instead: "" },
    Row { module: "bench", modules: ANY, crates: ANY, instead: "" },
    Row { module: "demo", modules: ANY, crates: ANY, instead: "" },
    Row { module: "main", modules: ANY, crates: ANY, instead: "" },
    Row { module: "lib", modules: ANY, crates: &[], instead: "`lib.rs` only names the modules" },
];

const ANY: &[&str] = &["*"];

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
                "{} is in no row of the table in tests/tidy.rs: give its module one",
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
