//! A backup and a restore that are killed before one system call after the other, whose disk is full
//! or fails, or that are told to stop: what is in its place is whole, and the next goes through.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use super::{Kept, cleaned, docket, names, output, printed, program, refused, told, town::Town};

/// What makes a file or a folder, fills it, makes it last or moves it.
const CALLS: [&str; 7] = ["ftruncate", "fsync", "mkdir", "openat", "pwrite64", "rename", "write"];

const BACKUP: [&str; 2] = ["backup", "new.backup"];
const RESTORE: [&str; 4] = ["restore", "town.backup", "--data", "new"];
/// Their files while they are made.
const BACKUP_PARTS: [&str; 2] = ["new.backup.docket-part", "new.backup"];
const RESTORE_PARTS: [&str; 4] =
    ["new.docket-part", "new.docket-part/journal.sqlite", "new.docket-part/blobs", "new"];

#[test]
fn a_backup_can_be_killed_anywhere() {
    let town = Town::new();
    let whole = Kept::of(&town.data);
    let mut left = [0, 0]; // Nothing in its place, and a whole backup.
    for (call, number) in cuts(&town, &BACKUP, &BACKUP_PARTS) {
        let killed = format!("inject={call}:signal=SIGKILL:when={number}");
        let ended = output(strace(&town, &BACKUP, &BACKUP_PARTS, &[&killed]));
        assert_eq!(ended.status.signal(), Some(9), "{call} {number}: {ended:?}");
        let file = town.path().join("new.backup");
        left[usize::from(file.exists())] += 1;
        for file in ["new.backup", "new.backup.docket-part"] {
            if town.path().join(file).exists() {
                whole_or_refused(&town, &["restore", file, "--data", "other"], "other", &whole);
            }
        }
        assert_eq!(Kept::of(&town.data), whole, "{call} {number}");
        let _ = fs::remove_file(&file); // Where it is.
        let said = printed(docket(town.path(), &BACKUP));
        assert_eq!(told(&said, "hash"), whole.head().hash.to_string());
        assert_eq!(names(town.path()), ["data", "new.backup", "town.backup", "trace"]);
        fs::remove_file(file).unwrap();
    }
    assert!(left[0] >= 8 && left[1] >= 1, "{left:?}");
}

#[test]
fn a_restore_can_be_killed_anywhere() {
    let town = Town::new();
    let whole = Kept::of(&town.data);
    let mut left = [0, 0];
    for (call, number) in cuts(&town, &RESTORE, &RESTORE_PARTS) {
        let killed = format!("inject={call}:signal=SIGKILL:when={number}");
        let ended = output(strace(&town, &RESTORE, &RESTORE_PARTS, &[&killed]));
        assert_eq!(ended.status.signal(), Some(9), "{call} {number}: {ended:?}");
        let (place, part) = (town.path().join("new"), town.path().join("new.docket-part"));
        left[usize::from(place.exists())] += 1;
        if place.exists() {
            assert_eq!(Kept::of(&place), whole, "{call} {number}");
            fs::remove_dir_all(&place).unwrap();
        } else if docket::journal::SqliteJournal::open_read_only(&part).is_ok() {
            assert_eq!(Kept::of(&part), whole, "{call} {number}");
        }
        printed(docket(town.path(), &RESTORE));
        assert_eq!(names(town.path()), ["data", "new", "town.backup", "trace"]);
        assert_eq!(Kept::of(&place), whole, "{call} {number}");
        fs::remove_dir_all(place).unwrap();
    }
    assert!(left[0] >= 8 && left[1] >= 1, "{left:?}");
}

#[test]
fn a_full_disk_is_told_and_nothing_is_left() {
    let town = Town::new();
    let whole = Kept::of(&town.data);
    for (words, parts, says) in [
        (&BACKUP[..], &BACKUP_PARTS[..], "there is no backup of ./data in new.backup: "),
        (&RESTORE, &RESTORE_PARTS, "town.backup is not restored into new: "),
    ] {
        for (call, number) in cuts(&town, words, parts) {
            let (error, reason) = match call {
                "pwrite64" => ("ENOSPC", "database or disk is full"),
                "fsync" => ("EIO", "Input/output error"),
                "write" | "mkdir" | "ftruncate" => ("ENOSPC", "No space left on device"),
                _ => continue,
            };
            let fails = format!("inject={call}:error={error}:when={number}");
            let command = strace(&town, words, parts, &[&fails]);
            let place = town.path().join(parts[parts.len() - 1]);
            let error = refused(command);
            assert!(error.contains(says) && error.contains(reason), "{call} {number}: {error}");
            let lasts = call == "fsync" && place.exists();
            if lasts {
                // It was in its place, and only that could not be made last.
                let remove = if place.is_dir() { fs::remove_dir_all } else { remove_file };
                remove(&place).unwrap();
            }
            assert_eq!(names(town.path()), ["data", "town.backup", "trace"], "{call} {number}");
        }
        printed(docket(town.path(), words));
        let place = town.path().join(parts[parts.len() - 1]);
        if place.is_dir() {
            assert_eq!(Kept::of(&place), whole);
            fs::remove_dir_all(place).unwrap();
        } else {
            fs::remove_file(place).unwrap();
        }
    }
}

fn remove_file(path: &Path) -> std::io::Result<()> {
    fs::remove_file(path)
}

/// Told to stop it stops, says so, and leaves nothing; what takes long says how far it is.
#[test]
fn a_signal_stops_it_and_nothing_is_left() {
    let town = Town::new();
    for (words, parts, signal) in
        [(&BACKUP[..], &BACKUP_PARTS[..], "INT"), (&RESTORE, &RESTORE_PARTS, "TERM")]
    {
        // 7 ms for each page.
        let slow = "inject=pwrite64:delay_enter=7000";
        let mut command = strace(&town, words, parts, &[slow]);
        let errors = town.path().join("errors");
        command.stderr(fs::File::create(&errors).unwrap()).stdout(Stdio::null());
        let mut slowly = command.spawn().unwrap();
        let said = || fs::read_to_string(&errors).unwrap();
        let begun = Instant::now();
        while !said().contains(" events: ") {
            assert!(begun.elapsed() < Duration::from_secs(20), "it says nothing: {}", said());
            assert!(slowly.try_wait().unwrap().is_none(), "it has ended: {}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
        let kill = Command::new("kill").args(["-s", signal, &slowly.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(slowly.wait().unwrap().code(), Some(130), "{}", said());
        let ends = "docket: told to stop; told again, it ends at once\n\
                    docket: broken off; nothing is left of it\n";
        assert!(said().ends_with(ends), "{}", said());
        assert_eq!(names(town.path()), ["data", "errors", "town.backup", "trace"]);
    }
}

/// Restores, and compares; or is refused as no whole backup, and makes nothing.
fn whole_or_refused(town: &Town, words: &[&str], place: &str, whole: &Kept) {
    let Output { status, stdout, stderr } = output(docket(town.path(), words));
    let place = town.path().join(place);
    if status.success() {
        assert_eq!(Kept::of(&place), *whole);
        let stdout = String::from_utf8(stdout).unwrap();
        assert_eq!(told(&stdout, "hash"), whole.head().hash.to_string());
        fs::remove_dir_all(place).unwrap();
        return;
    }
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(words[1].ends_with(".docket-part"), "what is in its place is whole: {stderr}");
    assert!(stderr.contains("is no whole backup"), "{stderr}");
    assert!(!place.exists());
}

/// Where to cut: of each of the calls on these files, which strace counts, the first, a middle one
/// and the last. What a whole run makes goes again.
fn cuts(town: &Town, words: &[&str], parts: &[&str]) -> Vec<(&'static str, usize)> {
    printed(strace(town, words, parts, &[]));
    let begun = Instant::now();
    let trace = || fs::read_to_string(town.path().join("trace")).unwrap();
    while !trace().trim_end().ends_with("exited with 0 +++") {
        assert!(begun.elapsed() < Duration::from_secs(10), "strace wrote no end");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut counts: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for line in trace().lines() {
        let (thread, line) = line.split_once(' ').unwrap();
        let call = line.trim_start().split('(').next().unwrap_or_default();
        if let Some(call) = CALLS.iter().find(|it| **it == call) {
            *counts.entry(call).or_default().entry(thread.to_owned()).or_default() += 1;
        }
    }
    let mut cuts = Vec::new();
    for (call, threads) in counts {
        assert_eq!(threads.len(), 1, "one thread does {call}: {threads:?}");
        let count = threads.into_values().next().unwrap();
        let mut numbers = vec![1, count.div_ceil(2), count];
        numbers.dedup();
        cuts.extend(numbers.into_iter().map(|number| (call, number)));
    }
    let place = town.path().join(parts[parts.len() - 1]);
    if place.is_dir() { fs::remove_dir_all(place) } else { fs::remove_file(place) }.unwrap();
    assert!(cuts.len() > 8, "{cuts:?}");
    cuts
}

/// The program under strace, which watches from outside and knows these files alone.
fn strace(town: &Town, words: &[&str], parts: &[&str], injected: &[&str]) -> Command {
    let there = Command::new("strace").arg("-V").output();
    assert!(there.is_ok(), "this test needs strace: apt-get install strace");
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-q", "-e", "signal=none", "-o", "trace"]);
    command.arg("-e").arg(format!("trace={}", CALLS.join(",")));
    command.arg("-P").arg(town.path());
    for part in parts {
        command.arg("-P").arg(town.path().join(part));
        command.arg("-P").arg(part); // As the program says it.
    }
    for injected in injected {
        command.args(["-e", *injected]);
    }
    command.arg("--").arg(program());
    cleaned(command, town.path(), words)
}
