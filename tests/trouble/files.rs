//! Files that are gone, damaged, locked or somebody else's.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use docket::journal::{Journal as _, SqliteJournal};
use events::{Commit, CommitNumber};

use super::{
    Keeper, snapshot,
    support::{Ended, Process, folder},
};

/// A docket in trouble says so for a while; these tests have no time for that.
const AT_ONCE: [(&str, &str); 1] = [("DOCKET_FAIL_AFTER", "50ms")];

/// A folder with orders in it, left in good order.
async fn left(data: &Path) -> Keeper {
    let docket = Process::start(data, &[]);
    let mut keeper = Keeper::new(&docket.client()).await;
    for _ in 0..20 {
        keeper.order(&docket.client()).await;
    }
    assert!(docket.terminate().status.success());
    keeper
}

async fn has_everything(data: &Path, mut keeper: Keeper) -> Ended {
    let docket = Process::start(data, &[]);
    keeper.check(&docket.client()).await;
    let ended = docket.terminate();
    assert!(ended.status.success(), "{ended:?}");
    ended
}

/// docket does not start, says why, and leaves every file as it is.
fn is_refused(data: &Path, variables: &[(&str, &str)], texts: &[&str]) {
    let before = snapshot(data);
    let variables = [&AT_ONCE, variables].concat();
    let ended = Process::run(data, &["--listen", "127.0.0.1:0"], &variables);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "", "it is not ready");
    let last = ended.log.lines().last().unwrap_or_default();
    assert!(last.starts_with("docket: "), "the last line is the reason:\n{}", ended.log);
    for text in texts {
        assert!(last.contains(text), "{text:?} is missing in {last:?}");
    }
    let said: Vec<_> = last.split(": ").collect();
    let once: BTreeSet<_> = said.iter().collect();
    assert_eq!(said.len(), once.len(), "it is said twice: {last}");
    assert!(!ended.log.contains("panicked"), "{}", ended.log);
    let after = snapshot(data);
    let changed: Vec<_> = before
        .keys()
        .chain(after.keys())
        .filter(|name| before.get(*name) != after.get(*name))
        .collect();
    assert!(changed.is_empty(), "changed: {changed:?}");
}

#[tokio::test]
async fn what_is_no_journal_is_not_touched() {
    let (_folder, data) = folder();
    let keeper = left(&data).await;
    let (path, aside) = (data.join("journal.sqlite"), data.join("aside"));
    let whole = fs::read(&path).unwrap();
    fs::rename(&path, &aside).unwrap();

    fs::create_dir(&path).unwrap();
    is_refused(&data, &[], &["journal.sqlite", "is a directory"]);
    fs::remove_dir(&path).unwrap();

    let garbage: Vec<u8> = (0..whole.len()).map(|n| (n * 167 % 251) as u8).collect();
    fs::write(&path, &garbage).unwrap();
    is_refused(&data, &[], &["journal.sqlite", "not a database"]);

    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    is_refused(&data, &[], &["journal", "malformed"]);

    fs::rename(&aside, &path).unwrap();
    has_everything(&data, keeper).await;
}

#[tokio::test]
async fn a_damaged_event_is_found_before_anything_is_served() {
    let (_folder, data) = folder();
    let keeper = left(&data).await;
    let path = data.join("journal.sqlite");
    let whole = fs::read(&path).unwrap();
    // The first thing that the order in the middle says of its line.
    let order = &keeper.orders[keeper.orders.len() / 2];
    let id = format!("\"subject\":\"order/{order}\"");
    let at = find(&whole, id.as_bytes(), 0);
    let at = find(&whole, b"\"quantity\":2", at) + b"\"quantity\":".len();
    let commit = format!("commit {}", commit_of(&path, order));
    let mut damaged = whole.clone();
    damaged[at] = b'1';
    fs::write(&path, &damaged).unwrap();
    is_refused(&data, &[], &["the journal is damaged", &commit]);

    // Not even JSON any more.
    damaged[at] ^= 0x80;
    fs::write(&path, &damaged).unwrap();
    is_refused(&data, &[], &[&commit]);

    fs::write(&path, &whole).unwrap();
    has_everything(&data, keeper).await;
}

#[tokio::test]
async fn a_folder_takes_one_docket_at_a_time() {
    let (_folder, data) = folder();
    let first = Process::start(&data, &[]);
    let mut keeper = Keeper::new(&first.client()).await;
    let ended = Process::run(&data, &["--listen", "127.0.0.1:0"], &[]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    for told in [data.to_str().unwrap(), "in use by another docket", "--data"] {
        assert!(ended.log.contains(told), "{told} is missing in:\n{}", ended.log);
    }
    keeper.check(&first.client()).await;
    let ended = first.terminate();
    assert!(ended.status.success() && !ended.log.contains("rebuilt"), "{ended:?}");
    has_everything(&data, keeper).await;
}

#[tokio::test]
async fn without_its_master_key_a_journal_is_not_used() {
    let (_folder, data) = folder();
    let keeper = left(&data).await;
    let path = data.join("master.key");
    let key = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    is_refused(&data, &[], &["master.key is gone", "put it back", "DOCKET_MASTER_KEY"]);

    let other = "5e".repeat(32);
    is_refused(&data, &[("DOCKET_MASTER_KEY", &other)], &["does not open this journal's key ring"]);
    write_key(&path, &other, 0o600);
    is_refused(&data, &[], &["does not open this journal's key ring"]);
    write_key(&path, "sesame", 0o600);
    is_refused(&data, &[], &["master.key holds no master key"]);
    write_key(&path, &key, 0o644);
    is_refused(&data, &[], &["chmod 600"]);
    let log = super::support::log(&data);
    for secret in [key.trim(), &other, "sesame"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }

    // Configured, it need not lie there.
    fs::remove_file(&path).unwrap();
    let docket = Process::start(&data, &[("DOCKET_MASTER_KEY", key.trim())]);
    keeper.look(&docket.client()).await;
    assert!(docket.terminate().status.success());
    assert!(!path.exists());
    write_key(&path, &key, 0o600);
    has_everything(&data, keeper).await;
}

#[tokio::test]
async fn damaged_views_are_built_again() {
    let (_folder, data) = folder();
    let mut keeper = left(&data).await;
    let views = data.join("views");
    let damaged = |name: &str, whole: &[u8]| -> Vec<u8> {
        let half = whole.len() / 2;
        match name {
            "garbage" => whole.iter().map(|byte| byte ^ 0x5a).collect(),
            "half" => [&whole[..half], &vec![0xff; half]].concat(),
            "cut" => whole[..whole.len() / 3].to_vec(),
            _ => Vec::new(),
        }
    };
    for name in ["garbage", "half", "cut", "empty"] {
        for file in files_below(&views) {
            let whole = fs::read(&file).unwrap();
            fs::write(&file, damaged(name, &whole)).unwrap();
        }
        let docket = Process::start(&data, &[]);
        keeper.check(&docket.client()).await;
        let ended = docket.terminate();
        assert!(ended.status.success(), "{name}: {ended:?}");
        // Empty files are as good as none, and nothing to speak of.
        assert_eq!(ended.log.contains("it is rebuilt"), name != "empty", "{name}: {}", ended.log);
    }
    fs::remove_dir_all(&views).unwrap();
    keeper.order(&Process::start(&data, &[]).client()).await;
    // Killed by then: dropped.
    let ended = has_everything(&data, keeper).await;
    assert!(!ended.log.contains("rebuilt"), "{}", ended.log);
}

#[tokio::test]
async fn views_of_another_journal_are_built_again() {
    let ((_here, data), (_there, other)) = (folder(), folder());
    let keeper = left(&data).await;
    left(&other).await;
    fs::remove_dir_all(data.join("views")).unwrap();
    fs::rename(other.join("views"), data.join("views")).unwrap();
    let ended = has_everything(&data, keeper).await;
    assert!(ended.log.contains("it belongs to another journal"), "{}", ended.log);
}

/// The commit that placed an order, as a copy of the journal has it.
fn commit_of(journal: &Path, order: &str) -> CommitNumber {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(journal, copy.path().join("journal.sqlite")).unwrap();
    let journal = SqliteJournal::open_read_only(copy.path()).unwrap();
    let commits = journal.read(CommitNumber(0), usize::MAX).unwrap();
    let placed = |bytes: &String| bytes.contains("order.placed") && bytes.contains(order);
    let events = |commit: &Commit| commit.decisions.iter().any(|it| it.events.iter().any(placed));
    commits.iter().find(|commit| events(commit)).unwrap().number
}

fn write_key(path: &Path, text: &str, mode: u32) {
    let _ = fs::remove_file(path); // A file keeps the mode that it was made with.
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
}

fn find(bytes: &[u8], text: &[u8], from: usize) -> usize {
    from + bytes[from..].windows(text.len()).position(|window| window == text).unwrap()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}
