//! Where a backup and a restored folder may be put, who may read them, and which keys open them.

use std::{fs, fs::Permissions, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use docket::keys::MasterKey;
use serde_json::json;

use super::{
    Kept, cleaned, contains, docket, names, output, printed, refused,
    support::{Process, folder},
    told,
    town::{PICTURES, Town},
};

#[test]
fn a_folder_at_rest_is_backed_up_and_restored_whole() {
    let town = Town::new();
    let whole = Kept::of(&town.data);
    let before: Vec<_> = ["journal.sqlite", "master.key", "operator.token", "lock"]
        .map(|it| (it, bytes(&town, it)))
        .into();
    let said = printed(docket(town.path(), &["backup", "new.backup"]));
    for (name, bytes) in &before {
        assert_eq!(fs::read(town.data.join(name)).unwrap(), *bytes, "{name} is as it was");
    }
    let head = whole.head();
    assert_eq!(told(&said, "position"), head.position.to_string());
    assert_eq!(told(&said, "commit"), head.number.to_string());
    assert_eq!(told(&said, "hash"), head.hash.to_string());
    assert_eq!(told(&said, "blobs"), PICTURES.len().to_string());
    let backup = fs::read(town.path().join("new.backup")).unwrap();
    assert_eq!(told(&said, "bytes"), backup.len().to_string());

    let said = printed(docket(town.path(), &["restore", "new.backup", "--data", "other"]));
    assert_eq!(told(&said, "hash"), head.hash.to_string());
    assert!(said.contains("put the master key into"), "{said}");
    let other = town.path().join("other");
    assert_eq!(Kept::of(&other), whole);
    assert_eq!(whole.blobs.len(), PICTURES.len());
    // Nothing else, and no secret.
    let here = names(&other);
    let known = ["blobs", "journal.sqlite", "journal.sqlite-shm", "journal.sqlite-wal", "lock"];
    assert!(here.iter().all(|name| known.contains(&name.as_str())), "{here:?}");
    for secret in ["master.key", "operator.token"] {
        let secret = bytes(&town, secret);
        assert!(!contains(&backup, secret.trim_ascii()));
    }
    assert_eq!(names(town.path()), ["data", "new.backup", "other", "town.backup"]);
}

fn bytes(town: &Town, name: &str) -> Vec<u8> {
    fs::read(town.data.join(name)).unwrap()
}

#[test]
fn a_journal_left_by_a_kill_is_backed_up_with_what_is_in_its_wal() {
    let (folder, data) = folder();
    let docket_runs = Process::start(&data, &[]);
    docket_runs.kill();
    let whole = Kept::of(&data);
    assert!(fs::metadata(data.join("journal.sqlite-wal")).unwrap().len() > 0);
    printed(docket(folder.path(), &["backup", "b"]));
    printed(docket(folder.path(), &["restore", "b", "--data", "other"]));
    assert_eq!(Kept::of(&folder.path().join("other")), whole);
}

#[test]
fn a_journal_without_a_commit_is_backed_up_too() {
    let (folder, data) = folder();
    drop(docket::journal::SqliteJournal::open(&data, Default::default()).unwrap());
    let said = printed(docket(folder.path(), &["backup", "b"]));
    assert_eq!(told(&said, "commit"), "0");
    printed(docket(folder.path(), &["restore", "b", "--data", "other"]));
    let docket = Process::start(&folder.path().join("other"), &[]);
    assert!(docket.terminate().status.success());
}

#[test]
fn only_its_owner_reads_what_is_made() {
    let town = Town::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(super::program());
    printed(cleaned(shell, town.path(), &["backup", "new.backup"]));
    // What a killed backup left open to all.
    let left = town.path().join("left.backup.docket-part");
    fs::write(&left, "left").unwrap();
    fs::set_permissions(&left, Permissions::from_mode(0o666)).unwrap();
    printed(docket(town.path(), &["backup", "left.backup"]));
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(super::program());
    printed(cleaned(shell, town.path(), &["restore", "new.backup", "--data", "other"]));
    for (path, mode) in [
        ("new.backup", 0o600),
        ("left.backup", 0o600),
        ("other", 0o700),
        ("other/journal.sqlite", 0o600),
        ("other/lock", 0o600),
    ] {
        let found = fs::metadata(town.path().join(path)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{path}");
    }
}

#[test]
fn a_backup_goes_where_nothing_is_lost() {
    let town = Town::new();
    let path = town.path();
    fs::write(path.join("mine"), "mine").unwrap();
    fs::create_dir(path.join("folder")).unwrap();
    let before = names(path);
    for (file, says) in [
        ("mine", "mine is there already; --force replaces it"),
        ("folder", "folder is there and no file"),
        ("data/journal.sqlite", "is there already; --force replaces it"),
        ("data/new", "is in the data folder, and would be lost with it"),
        ("nowhere/new", "nowhere: No such file or directory"),
    ] {
        let error = refused(docket(path, &["backup", file]));
        assert!(error.contains(says), "{file}: {error}");
    }
    for file in ["folder", "data/journal.sqlite", "data/../data/journal.sqlite", "/dev/null"] {
        let error = refused(docket(path, &["backup", "--force", file]));
        assert!(error.contains("is there and no file") || error.contains("data folder"), "{error}");
    }
    let error = refused(docket(path, &["backup", "new", "--data", "folder"]));
    assert!(error.contains("folder/journal.sqlite: No such file"), "{error}");
    assert_eq!(names(path), before);
    assert_eq!(fs::read(path.join("mine")).unwrap(), b"mine");
    assert_eq!(names(&path.join("folder")), [""; 0]);

    // Another one writes it.
    let part = fs::File::create(path.join("new.docket-part")).unwrap();
    part.lock().unwrap();
    let error = refused(docket(path, &["backup", "new"]));
    assert!(error.contains("new.docket-part is being written already"), "{error}");
    drop(part);
    // What a killed one left is taken over; a link somebody laid there is not followed.
    printed(docket(path, &["backup", "new"]));
    fs::remove_file(path.join("new")).unwrap();
    std::os::unix::fs::symlink("mine", path.join("new.docket-part")).unwrap();
    refused(docket(path, &["backup", "new"]));
    assert_eq!(fs::read(path.join("mine")).unwrap(), b"mine");
    fs::remove_file(path.join("new.docket-part")).unwrap();

    printed(docket(path, &["backup", "--force", "mine"]));
    assert_eq!(names(path), before);
    printed(docket(path, &["restore", "mine", "--data", "other"]));
}

#[test]
fn a_folder_is_restored_where_nothing_is_lost() {
    let town = Town::new();
    let path = town.path();
    fs::create_dir(path.join("used")).unwrap();
    fs::write(path.join("used/master.key"), "mine").unwrap();
    fs::write(path.join("file"), "mine").unwrap();
    let before = names(path);
    for (data, says) in [
        ("used", "used is not empty, master.key is in it"),
        ("data", "data is not empty"),
        ("file", "file is there and no folder"),
        ("nowhere/new", "nowhere/new.docket-part: No such file or directory"),
        ("/", "is not empty"),
        ("/proc", "is not empty"),
    ] {
        let error = refused(docket(path, &["restore", "town.backup", "--data", data]));
        assert!(error.contains(says), "{data}: {error}");
    }
    let error = refused(docket(path, &["restore", "gone.backup", "--data", "new"]));
    assert!(error.contains("gone.backup: No such file"), "{error}");
    assert_eq!(names(path), before);
    assert_eq!(names(&path.join("used")), ["master.key"]);

    let part = path.join("new.docket-part");
    fs::create_dir_all(part.join("blobs/left")).unwrap();
    let lock = fs::File::create(part.join("lock")).unwrap();
    lock.lock().unwrap();
    let error = refused(docket(path, &["restore", "town.backup", "--data", "new"]));
    assert!(error.contains("new.docket-part/lock is being written already"), "{error}");
    drop(lock);
    fs::write(part.join("journal.sqlite"), "left").unwrap();
    fs::write(part.join("master.key"), "left").unwrap();
    fs::create_dir(path.join("new")).unwrap(); // It may be there, as long as it is empty.
    printed(docket(path, &["restore", "town.backup", "--data", "new"]));
    assert!(!part.exists());
    assert_eq!(Kept::of(&path.join("new")), Kept::of(&town.data));
    assert!(!names(&path.join("new")).contains(&"master.key".to_owned()));
}

#[test]
fn the_newest_hash_can_be_expected() {
    let town = Town::new();
    let commits = Kept::of(&town.data).commits;
    let restore = |hash: &str| {
        docket(town.path(), &["restore", "town.backup", "--data", "new", "--expect-hash", hash])
    };
    let newest = commits.last().unwrap();
    let earlier = commits[2].hash.to_string();
    let error = refused(restore(&earlier));
    assert!(
        error.contains(&format!("{earlier} is expected, which is that of commit 3")),
        "{error}"
    );
    assert!(error.contains(&format!("commit, {}, has the hash {}", newest.number, newest.hash)));
    let error = refused(restore(&"0".repeat(64)));
    assert!(error.contains("is expected") && !error.contains("that of"), "{error}");
    assert_eq!(output(restore("ab")).status.code(), Some(2));
    assert_eq!(names(town.path()), ["data", "town.backup"]);
    let said = printed(restore(&newest.hash.to_string()));
    assert!(told(&said, "hash").ends_with(", as expected"), "{said}");
}

/// Without its key a restored folder is of no use, and a start says so: it makes no other key.
#[tokio::test]
async fn keys_are_tried_and_missed() {
    let town = Town::new();
    let path = town.path();
    let key = fs::read_to_string(town.data.join("master.key")).unwrap();
    let restore = |data: &str, key: &str| {
        let mut command = docket(path, &["restore", "town.backup", "--data", data]);
        command.env("DOCKET_MASTER_KEY", key);
        command
    };
    let error = refused(restore("new", &"ab".repeat(32)));
    assert!(error.contains("the master key does not open this journal's key ring"), "{error}");
    let said = printed(restore("opened", key.trim()));
    assert!(told(&said, "keys").ends_with("the master key opens them"), "{said}");
    assert!(!said.contains("put the master key"), "{said}");
    let other = path.join("opened");
    assert!(!other.join("master.key").exists(), "nobody asked for it");

    let serve =
        |variables: &[(&str, &str)]| Process::run(&other, &["--listen", "127.0.0.1:0"], variables);
    let ended = serve(&[]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let says = "master.key is gone, and without it nothing sealed in this journal can be read";
    assert!(ended.log.contains(says), "{ended:?}");
    assert!(!other.join("master.key").exists(), "no other key is made");
    let (wrong, _) = MasterKey::from_file_or_new(path.join("wrong.key")).unwrap();
    drop(wrong);
    let wrong = fs::read_to_string(path.join("wrong.key")).unwrap();
    let ended = serve(&[("DOCKET_MASTER_KEY", wrong.trim())]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.log.contains("does not open this journal's key ring"), "{ended:?}");

    fs::copy(town.data.join("master.key"), other.join("master.key")).unwrap();
    let docket = Process::start(&other, &[]);
    let login = json!({ "user_id": "eve", "password": "pw-eve", "terminal": "t" });
    let answer = docket.client().post("/auth/login", &[], &login).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(docket.terminate().status.success());
}

#[test]
fn a_key_that_is_damaged_is_found_with_the_master_key() {
    let town = Town::new();
    let sql = "UPDATE keys SET bytes = (SELECT bytes FROM keys WHERE id = 'ring/session')
               WHERE id = (SELECT id FROM keys WHERE id LIKE 'account/%' LIMIT 1)";
    change(&town.data.join("journal.sqlite"), sql);
    printed(docket(town.path(), &["backup", "b"]));
    let key = fs::read_to_string(town.data.join("master.key")).unwrap();
    let mut command = docket(town.path(), &["restore", "b", "--data", "new"]);
    command.env("DOCKET_MASTER_KEY", key.trim());
    let error = refused(command);
    assert!(error.contains("the stored key account/"), "{error}");
    assert!(!town.path().join("new").exists());
}

/// What a journal misses that is backed up is said then, not when the backup is needed.
#[test]
fn what_is_damaged_is_not_backed_up() {
    let town = Town::new();
    let whole = Kept::of(&town.data);
    let journal = town.data.join("journal.sqlite");
    let blob = town.data.join("blobs").join(whole.blobs.keys().next().unwrap());
    let backup = || docket(town.path(), &["backup", "b"]);

    let name = blob.file_name().unwrap().to_str().unwrap();
    let says = format!("blob {name}, which event {} names, is lost: ", whole.names_blob(name));
    fs::write(&blob, "another picture").unwrap();
    let error = refused(backup());
    assert!(error.contains(&says) && error.contains("does not match its name"), "{error}");
    fs::remove_file(&blob).unwrap();
    let error = refused(backup());
    assert!(error.contains(&format!("{says}there is no such file")), "{error}");
    let said = printed(docket(town.path(), &["backup", "lost", "--allow-lost-blobs"]));
    assert!(told(&said, "blobs").starts_with("1, and 1 that were lost"), "{said}");
    let said = printed(docket(town.path(), &["restore", "lost", "--data", "other"]));
    assert!(told(&said, "blobs").starts_with("1, and 1 that were lost"), "{said}");
    assert_eq!(Kept::of(&town.path().join("other")), Kept::of(&town.data));
    fs::write(&blob, &whole.blobs[blob.strip_prefix(town.data.join("blobs")).unwrap()]).unwrap();

    change(&journal, "UPDATE events SET bytes = bytes || ' ' WHERE position = 2000");
    let error = refused(backup());
    let at = whole.commits.iter().find(|it| it.head().position.0 >= 2000).unwrap().number;
    assert!(error.contains(&format!("the journal is damaged: commit {at} was changed")), "{error}");
    change(&journal, "UPDATE events SET bytes = rtrim(bytes) WHERE position = 2000");
    change(&journal, "UPDATE keys SET bytes = x'00' WHERE id = 'ring/session'");
    let error = refused(backup());
    assert!(error.contains("the stored key ring/session is damaged"), "{error}");
    assert_eq!(names(town.path()), ["data", "lost", "other", "town.backup"]);
}

pub fn change(path: &Path, sql: &str) {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute_batch(sql).unwrap();
}
