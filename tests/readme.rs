//! The README, and the pages it sends operators to, keep their word: what they let somebody type is
//! run against the real program, and every outcome is the one they show; their settings are
//! settings, their life cycles life cycles, and their links lead somewhere.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

#[path = "readme/lifecycles.rs"]
mod lifecycles;
#[path = "readme/page.rs"]
mod page;
mod support;

use std::process::Command;

use docket::config::Config;
use page::{Page, text, walk};
use support::{Process, folder};

const README: Page = Page { path: "README.md", text: include_str!("../README.md") };

#[test]
fn the_walk_works_as_shown() {
    let (_folder, data) = folder();
    let docket = Process::start(&data, &[]);
    walk(&README.section("## Five minutes with curl").blocks(), &docket);
    assert!(docket.terminate().status.success());
}

#[test]
fn settings_shown_are_settings() {
    let files: Vec<_> = README.blocks().into_iter().filter(|it| it.language == "toml").collect();
    assert!(!files.is_empty());
    for file in files {
        Config::resolve(&[], Some(("README.md", &file.text)), []).unwrap();
    }
}

/// Nobody runs the file here; what it sets can be set, and is enough to be a node of several.
#[test]
fn the_composed_nodes_have_all_they_need() {
    let file = include_str!("../compose.yaml");
    let set = file.lines().filter_map(|line| line.trim().split_once(": "));
    let set = set.filter(|(name, _)| name.starts_with("DOCKET_"));
    let secret = |name: &str| match name {
        "DOCKET_MASTER_KEY" => "11".repeat(32),
        _ => "a secret of at least forty-three bytes, and more".to_owned(),
    };
    let told = |(name, value): (&str, &str)| match value.starts_with("${") {
        true => (name.to_owned(), secret(name)),
        false => (name.to_owned(), value.to_owned()),
    };
    let config = Config::resolve(&[], None, set.map(told)).unwrap();
    docket::node::check_several(&config).unwrap();
    docket::node::check_exposure(&config, config.text("listen").parse().unwrap()).unwrap();
}

#[test]
fn links_lead_somewhere() {
    assert!(README.check_links() > 20);
}

#[test]
fn the_paths_shown_are_served() {
    let (folder, data) = folder();
    let docket = Process::start(&data, &[]);
    let table = README.section("## The bookstore API at a glance");
    let paths = table.text.split('`').filter(|text| {
        text.starts_with('/')
            && text.bytes().all(|byte| byte == b'/' || byte == b'_' || byte.is_ascii_lowercase())
    });
    let mut served = 0;
    for path in paths {
        served += 1;
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-d", "{}", &format!("{}{path}", docket.base)]);
        let answer = text(curl.current_dir(folder.path()).output().unwrap().stdout);
        assert!(answer.contains("message") && !answer.contains("no such path"), "{path}: {answer}");
    }
    assert_eq!(served, 29, "the table has every path");
}
