//! A page of documentation, as far as tests read it: its sections, fenced blocks, tables and links,
//! and a walk through its commands with the real program.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use super::support::{Process, program};

/// Printed between two blocks, so that each has its own output.
const MARK: &str = "--- block ---";

/// A page, or a section of one.
#[derive(Clone, Copy)]
pub struct Page {
    /// From the repository's root.
    pub path: &'static str,
    pub text: &'static str,
}

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    pub language: String,
    pub text: String,
}

/// A table: its head, and its rows.
#[derive(Debug)]
pub struct Table {
    pub head: Vec<&'static str>,
    pub rows: Vec<Vec<&'static str>>,
}

impl Page {
    /// A heading and what is below it, up to the next.
    pub fn section(&self, heading: &str) -> Self {
        let text = self.text;
        let at = text.find(&format!("\n{heading}\n")).unwrap() + 1;
        let length = text[at + 3..].find("\n## ").map_or(text.len() - at, |end| end + 3);
        Self { text: &text[at..at + length], ..*self }
    }

    pub fn blocks(&self) -> Vec<Block> {
        let fenced = self.text.split("```").skip(1).step_by(2);
        let block = |part: &str| {
            let (language, text) = part.split_once('\n').unwrap();
            Block { language: language.to_owned(), text: text.to_owned() }
        };
        fenced.map(block).collect()
    }

    pub fn tables(&self) -> Vec<Table> {
        let mut tables: Vec<Table> = Vec::new();
        let mut inside = false;
        for line in self.prose().flat_map(str::lines) {
            let cells = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
            let Some(cells) = cells else {
                inside = false;
                continue;
            };
            let cells: Vec<_> = cells.split('|').map(str::trim).collect();
            match tables.last_mut() {
                _ if cells.iter().all(|cell| cell.trim_matches('-').is_empty()) => {}
                Some(table) if inside => table.rows.push(cells),
                _ => tables.push(Table { head: cells, rows: Vec::new() }),
            }
            inside = true;
        }
        for Table { head, rows } in &tables {
            assert!(!rows.is_empty() && rows.iter().all(|row| row.len() == head.len()), "{head:?}");
        }
        tables
    }

    /// Fails where a link leads nowhere: to no file, or to no heading of one.
    pub fn check_links(&self) -> usize {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let here = root.join(self.path);
        let mut links = 0;
        for link in self.prose().flat_map(|text| text.split("](").skip(1)) {
            let (target, _) = link.split_once(')').unwrap();
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path =
                if file.is_empty() { here.clone() } else { here.parent().unwrap().join(file) };
            assert!(path.exists(), "{} links to {target}, which is not there", self.path);
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&path).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| slug(line) == anchor),
                    "{} links to {target}, and there is no such heading",
                    self.path
                );
            }
            links += 1;
        }
        links
    }

    /// What is between the fenced blocks.
    fn prose(&self) -> impl Iterator<Item = &'static str> {
        self.text.split("```").step_by(2)
    }
}

/// What stands in backticks.
pub fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The anchor of a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Follows a page: files that begin with `# <path>` are written, commands are run in the folder of
/// a docket's data, and each outcome must be the one that the page shows. Gives what was printed.
pub fn walk(blocks: &[Block], docket: &Process) -> String {
    let mut script = String::from("set -euo pipefail\n");
    for Block { language, text } in blocks {
        match language.as_str() {
            "sh" => script += &format!("{text}echo '{MARK}'\n"),
            "toml" => {
                let (path, _) = text.split_once('\n').unwrap();
                let path = path.strip_prefix("# ").unwrap();
                script += &format!(
                    "mkdir -p \"$(dirname {path})\"\ncat >{path} <<'END OF FILE'\n{text}END OF FILE\n"
                );
            }
            _ => {}
        }
    }
    let usual = "DOCKET=http://127.0.0.1:8080\n";
    assert!(script.contains(usual), "the walk says where docket is");
    let script = script.replace(usual, &format!("DOCKET={}\n", docket.base));

    let mut bash = Command::new("bash");
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("DOCKET_")) {
            bash.env_remove(name);
        }
    }
    let programs = Path::new(program()).parent().unwrap().display();
    bash.arg("-c").arg(script).current_dir(docket.data.parent().unwrap()).stdin(Stdio::null());
    bash.env("PATH", format!("{programs}:{}", env::var("PATH").unwrap()));
    bash.env("DOCKET_LISTEN", docket.base.trim_start_matches("http://"));
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
        assert_eq!(masked(output).trim_end(), masked(expected).trim_end(), "after\n{}", block.text);
        shown += expected.lines().count();
    }
    assert!(shown > 10, "the walk shows {shown} outcomes");
    printed
}

/// Ids and moments are new in every run.
fn masked(text: &str) -> String {
    let is_id = |part: &str| {
        let dash = |at: usize| [8, 13, 18, 23].contains(&at);
        let fits = |(at, byte): (usize, u8)| {
            if dash(at) { byte == b'-' } else { byte.is_ascii_hexdigit() }
        };
        part.len() == 36 && part.bytes().enumerate().all(fits)
    };
    let is_moment = |part: &str| part.len() == 13 && part.bytes().all(|it| it.is_ascii_digit());
    let mut masked = String::new();
    for part in text.split_inclusive(|c: char| !c.is_ascii_hexdigit() && c != '-') {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        let mask = match word {
            _ if is_id(word) => "<id>",
            _ if is_moment(word) => "<ms>",
            _ => word,
        };
        masked.push_str(mask);
        masked.push_str(&part[word.len()..]);
    }
    masked
}

pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
