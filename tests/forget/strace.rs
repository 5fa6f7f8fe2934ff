//! The real program under strace: which system calls it makes on the journal's files, and what
//! happens to it at a chosen one.

use std::{
    collections::HashMap,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use super::support::program;

/// What changes a file, or makes it last.
const CALLS: [&str; 6] = ["pwrite64", "fsync", "fdatasync", "ftruncate", "unlink", "unlinkat"];

/// A system call on one of the journal's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    thread: String,
    /// `pwrite64`, for example.
    pub name: String,
    /// `journal.sqlite-wal`, for example; `data` for the folder itself.
    pub file: String,
}

/// Where the program is cut: how strace finds one call among all. It counts, in each thread, the
/// calls of one name on some files.
#[derive(Debug, Clone)]
pub struct Cut {
    pub call: Call,
    /// Its place among all the calls, from 0.
    pub at: usize,
    files: Vec<String>,
    number: usize,
}

/// What is done to the program when it is about to make the call; the call is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    Kill,
    /// The call fails, as on a bad disk.
    Fail,
}

/// The program with these words, under strace, which watches from outside (`-D`): signals and the
/// exit status are the program's own.
pub fn watched(data: &Path, trace: &Path, words: &[&str]) -> Command {
    let files = files(data).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    strace(data, trace, &files, &[&format!("trace={}", CALLS.join(","))], words)
}

/// The same, with a blow at one call.
pub fn cut(data: &Path, trace: &Path, cut: &Cut, blow: Blow, words: &[&str]) -> Command {
    let Cut { call: Call { name, .. }, files, number, .. } = cut;
    let what = match blow {
        Blow::Kill => "signal=SIGKILL",
        Blow::Fail => "error=EIO",
    };
    let (traced, injected) =
        (format!("trace={name}"), format!("inject={name}:{what}:when={number}"));
    strace(data, trace, files, &[&traced, &injected], words)
}

fn strace(data: &Path, trace: &Path, on: &[String], what: &[&str], words: &[&str]) -> Command {
    let there = Command::new("strace").arg("-V").output();
    assert!(there.is_ok(), "this test needs strace: apt-get install strace");
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-y", "-q", "-e", "signal=none", "-o"]).arg(trace);
    for path in files(data).iter().filter(|path| on.iter().any(|name| path.ends_with(name))) {
        command.arg("-P").arg(path);
    }
    for what in what {
        command.args(["-e", *what]);
    }
    command.arg("--").arg(program()).args(words);
    command
}

fn files(data: &Path) -> [PathBuf; 3] {
    [data.join("journal.sqlite"), data.join("journal.sqlite-wal"), data.to_owned()]
}

/// The calls in a trace so far, in the order in which they began.
pub fn calls(trace: &Path) -> Vec<Call> {
    let trace = fs::read_to_string(trace).unwrap_or_default();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((thread, line)) = line.split_once(' ') else { continue };
        let Some((name, rest)) = line.trim_start().split_once('(') else { continue };
        if !CALLS.contains(&name) {
            continue; // The end of a thread, or of a call that began on an earlier line.
        }
        // `12</data/journal.sqlite>, …`, or `"/data/journal.sqlite-wal") = 0`.
        let path = rest.split(['<', '>', '"']).nth(1).unwrap_or_default();
        let file = path.rsplit('/').next().unwrap_or_default().to_owned();
        calls.push(Call { thread: thread.to_owned(), name: name.to_owned(), file });
    }
    calls
}

/// The calls of a program that has ended by itself, once strace has written them all.
pub fn all_calls(trace: &Path) -> Vec<Call> {
    let started = Instant::now();
    while !fs::read_to_string(trace).unwrap_or_default().trim_end().ends_with("exited with 0 +++") {
        assert!(started.elapsed() < Duration::from_secs(10), "strace wrote no end");
        std::thread::sleep(Duration::from_millis(5));
    }
    calls(trace)
}

/// Where to cut to have cut everywhere among these calls of all: before the first, a middle
/// and the last of each row of like calls. A sync that strace cannot tell from another thread's is
/// left out: what a kill leaves behind is the same before and after it.
pub fn cuts(calls: &[Call], among: Range<usize>) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut at = among.start;
    while at < among.end {
        let row = calls[at..among.end].iter().take_while(|call| **call == calls[at]).count();
        let mut chosen = vec![at, at + row / 2, at + row - 1];
        chosen.dedup();
        for chosen in chosen {
            match find(calls, chosen) {
                Some(cut) => cuts.push(cut),
                None => assert!(calls[chosen].name.ends_with("sync"), "{:?}", calls[chosen]),
            }
        }
        at += row;
    }
    cuts
}

/// The files to count on so that no other call comes to the same number before this one.
fn find(calls: &[Call], chosen: usize) -> Option<Cut> {
    let call = &calls[chosen];
    let mut known: Vec<&str> = calls.iter().map(|call| call.file.as_str()).collect();
    known.sort_unstable();
    known.dedup();
    (0..1_usize << known.len()).find_map(|some| {
        let files: Vec<&str> =
            (0..known.len()).filter(|n| some & (1 << n) != 0).map(|n| known[n]).collect();
        if !files.contains(&call.file.as_str()) {
            return None;
        }
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let mut highest = 0;
        for other in &calls[..chosen] {
            if other.name == call.name && files.contains(&other.file.as_str()) {
                let count = counts.entry(&other.thread).or_default();
                *count += 1;
                highest = highest.max(*count);
            }
        }
        let number = counts.get(call.thread.as_str()).copied().unwrap_or_default() + 1;
        let files = files.iter().map(|&file| file.to_owned()).collect();
        (number > highest).then(|| Cut { call: call.clone(), at: chosen, files, number })
    })
}
