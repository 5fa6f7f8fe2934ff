//! `docket backup` and `docket restore`, with the real program: under load, cut at every step, on a
//! full disk, on damaged files. What is restored is the journal of one moment and all that goes with
//! it, or nothing.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod books;
mod cuts;
mod damage;
mod forgotten;
mod load;
mod place;
#[path = "../support/mod.rs"]
mod support;
mod town;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use docket::{
    engine,
    journal::{Journal as _, SqliteJournal},
};
use events::{Commit, CommitNumber, Envelope, Head, Position, Recorded};
use support::{Random, program};

/// `docket` with these words, in a folder, with nothing of this shell's settings.
fn docket(folder: &Path, words: &[&str]) -> Command {
    cleaned(Command::new(program()), folder, words)
}

/// The same for a program that is given the path of `docket` and its words.
fn cleaned(mut command: Command, folder: &Path, words: &[&str]) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("DOCKET_")) {
            command.env_remove(name);
        }
    }
    command.args(words).current_dir(folder).stdin(Stdio::null());
    command
}

/// What a command prints that goes well.
fn printed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command says that does not go well; it prints nothing else.
fn refused(command: Command) -> String {
    let Output { status, stdout, stderr } = output(command);
    assert_eq!(status.code(), Some(1), "{}", String::from_utf8_lossy(&stderr));
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    String::from_utf8(stderr).unwrap()
}

fn output(mut command: Command) -> Output {
    command.output().unwrap()
}

/// What `docket backup` and `docket restore` print under a name.
fn told<'a>(printed: &'a str, name: &str) -> &'a str {
    let line = printed.lines().find(|line| line.trim_start().starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {printed}"));
    line.trim_start().strip_prefix(name).unwrap().trim()
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// All that a backup is to keep of a data folder.
#[derive(Debug, PartialEq)]
struct Kept {
    commits: Vec<Commit>,
    /// Each key, by its id.
    keys: BTreeMap<String, Vec<u8>>,
    /// Each blob, by its path below `blobs`.
    blobs: BTreeMap<PathBuf, Vec<u8>>,
}

impl Kept {
    /// What a data folder has. Its journal is replayed, which verifies the chain.
    fn of(data: &Path) -> Self {
        let journal = SqliteJournal::open_read_only(data).unwrap();
        let (_, head) = engine::replay(&journal).unwrap();
        let commits = journal.read(CommitNumber(0), usize::MAX).unwrap();
        assert_eq!(commits.last().map_or_else(Head::default, Commit::head), head);
        let keys = journal.at_one_moment(|moment| moment.keys(0, usize::MAX)).unwrap();
        let keys = keys.into_iter().map(|it| (it.key.id, it.key.bytes)).collect();
        let mut blobs = BTreeMap::new();
        let folder = data.join("blobs");
        for shelf in names(&folder) {
            for name in names(&folder.join(&shelf)) {
                let path = PathBuf::from(&shelf).join(name);
                blobs.insert(path.clone(), fs::read(folder.join(path)).unwrap());
            }
        }
        Self { commits, keys, blobs }
    }

    fn head(&self) -> Head {
        self.commits.last().unwrap().head()
    }

    /// The first event that names a blob.
    fn names_blob(&self, blob: &str) -> Position {
        let contents = self.commits.iter().flat_map(|commit| commit.contents().unwrap());
        let mut events = contents.flat_map(|(_, events)| events);
        let names = |it: &Envelope| {
            let event = Recorded::decode(it).unwrap().event;
            event.blobs().iter().any(|it| it.to_string() == blob)
        };
        events.find(names).unwrap().position
    }
}

/// Whether a part of the bytes is this.
fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
