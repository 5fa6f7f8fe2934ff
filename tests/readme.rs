//! The README keeps its word: its walk with curl is run against the real program, and every
//! outcome is the one it shows; its settings are settings.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod support;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use docket::config::Config;
use support::{Process, folder};

const README: &str = include_str!("../README.md");

/// Printed between two blocks, so that each has its own output.
const MARK: &str = "--- block ---";

#[test]
fn the_walk_works_as_shown() {
    let (folder, data) = folder();
    let docket = Process::start(&data, &[]);
    let blocks = blocks(section("## Five minutes with curl"));
    let commands = blocks.iter().filter(|block| block.language == "sh");
    let mut script = String::from("set -euo pipefail\n");
    for block in commands {
        script.push_str(&block.text);
        script.push_str(&format!("echo '{MARK}'\n"));
    }
    let usual = "DOCKET=http://127.0.0.1:8080\n";
    assert!(script.contains(usual), "the walk says where docket is");
    let script = script.replace(usual, &format!("DOCKET={}\n", docket.base));

    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script).current_dir(folder.path()).stdin(Stdio::null());
    // Proxies are for other hosts.
    let output = bash.env("no_proxy", "127.0.0.1").output().unwrap();
    let (printed, said) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{printed}\n{said}");
    assert_eq!(said, "");

    let mark = format!("{MARK}\n");
    let mut outputs = printed.split(&mark);
    let mut shown = 0;
    for (n, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sh") {
        let output = outputs.next().unwrap();
        let expected = blocks.get(n + 1).filter(|next| next.language == "text");
        let expected = expected.map_or("", |next| next.text.as_str());
        assert_eq!(masked(output), masked(expected), "after\n{}", block.text);
        shown += expected.lines().count();
    }
    assert!(shown > 10, "the walk shows {shown} outcomes");
    assert!(docket.terminate().status.success());
}

#[test]
fn settings_shown_are_settings() {
    let files: Vec<_> = blocks(README).into_iter().filter(|it| it.language == "toml").collect();
    assert!(!files.is_empty());
    for file in files {
        Config::resolve(&[], Some(("README.md", &file.text)), []).unwrap();
    }
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for link in README.split("](").skip(1) {
        let (target, _) = link.split_once(')').unwrap();
        assert!(root.join(target).exists(), "the README links to {target}, which is not there");
    }
}

#[test]
fn the_paths_shown_are_served() {
    let (folder, data) = folder();
    let docket = Process::start(&data, &[]);
    let table = section("## The bookstore API at a glance");
    let paths = table.split('`').filter(|text| {
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

/// A fenced block.
#[derive(Debug)]
struct Block {
    language: String,
    text: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let parts: Vec<&str> = text.split("```").collect();
    let fenced = parts.iter().skip(1).step_by(2);
    let block = |part: &&str| {
        let (language, text) = part.split_once('\n').unwrap();
        Block { language: language.to_owned(), text: text.to_owned() }
    };
    fenced.map(block).collect()
}

/// A heading and what is below it, up to the next.
fn section(heading: &str) -> &'static str {
    let at = README.find(&format!("\n{heading}\n")).unwrap() + 1;
    let length = README[at + 3..].find("\n## ").map_or(README.len() - at, |end| end + 3);
    &README[at..at + length]
}

/// Ids are new in every run.
fn masked(text: &str) -> String {
    let is_id = |part: &str| {
        let dash = |at: usize| [8, 13, 18, 23].contains(&at);
        let fits = |(at, byte): (usize, u8)| {
            if dash(at) { byte == b'-' } else { byte.is_ascii_hexdigit() }
        };
        part.len() == 36 && part.bytes().enumerate().all(fits)
    };
    let mut masked = String::new();
    for part in text.split_inclusive(|c: char| !c.is_ascii_hexdigit() && c != '-') {
        let id = part.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        if is_id(id) {
            masked.push_str("<id>");
            masked.push_str(&part[id.len()..]);
        } else {
            masked.push_str(part);
        }
    }
    masked
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
