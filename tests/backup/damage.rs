//! Backups that were damaged: a bit is another one somewhere, the end is missing, something was
//! taken out. They are refused with the place, or nothing of what they hold is touched.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use docket::backup::{self, Check};

use super::{
    Kept, Random, contains, docket, names, output,
    place::change,
    printed, refused,
    town::{PICTURES, Town},
};

/// How many backups have a byte changed, anywhere.
const FLIPS: usize = 60;

#[test]
fn a_bit_that_is_changed_is_found_where_it_is() {
    let town = Town::new();
    let whole = Kept::of(&town.data);
    let backup = fs::read(town.backup()).unwrap();
    let commit = &whole.commits[whole.commits.len() / 2];
    let (number, decision) = (commit.number, &commit.decisions[0]);
    let keys = &whole.keys;
    let (ring, key) = keys.iter().find(|(id, _)| id.starts_with("ring/")).unwrap();
    let (_, account_key) = keys.iter().find(|(id, _)| id.starts_with("account/")).unwrap();
    let restore = ["restore", "changed", "--data", "new"];
    let changed = format!("commit {number} was changed");
    let before = format!("commit {} was changed", number.0 - 1);
    let no_chain = format!("commit {number} does not continue the chain");
    let next = format!("commit {} does not continue the chain", number.0 + 1);
    for (what, bytes, says) in [
        ("a header", decision.header.as_bytes(), &[changed.as_str()][..]),
        ("an event", decision.events[0].as_bytes(), &[&changed]),
        ("a commit's hash", &commit.hash.0, &[&changed, &next]),
        ("the hash before", &commit.prev_hash.0, &[&before, &no_chain]),
        ("a key of the ring", key, &["keys hash to"]),
        ("the name of a key", ring.as_bytes(), &["is no wrapped key", "keys hash to"]),
        ("an account's key", account_key, &["keys hash to"]),
        ("a picture", PICTURES[0], &["has another content"]),
        ("the magic", b"SQLite format 3", &["it is no SQLite file"]),
    ] {
        let found: Vec<_> =
            (0..backup.len()).filter(|at| backup[*at..].starts_with(bytes)).collect();
        let mut refusals = 0;
        for at in found {
            let mut changed = backup.clone();
            changed[at + bytes.len() / 2] ^= 1;
            fs::write(town.path().join("changed"), changed).unwrap();
            let Output { status, stderr, .. } = output(docket(town.path(), &restore));
            if status.success() {
                // What SQLite finds the name by; what is restored has its own.
                assert!(what.starts_with("the name of"), "{what} at {at}");
                assert_eq!(Kept::of(&town.path().join("new")), whole, "{what} at {at}");
                fs::remove_dir_all(town.path().join("new")).unwrap();
                continue;
            }
            let error = String::from_utf8(stderr).unwrap();
            assert_eq!(status.code(), Some(1), "{what}: {error}");
            assert_eq!(names(town.path()), ["changed", "data", "town.backup"], "{what}: {error}");
            // A hash is there twice: as a commit's own, and in the next one.
            let says = says.iter().any(|says| error.contains(says));
            assert!(says, "{what} at {at}: {error}");
            refusals += 1;
        }
        assert!(refusals > 0, "{what} is not found");
    }
}

#[test]
fn what_is_cut_off_or_taken_out_is_missed() {
    let town = Town::new();
    let whole = Kept::of(&town.data);
    let backup = fs::read(town.backup()).unwrap();
    let file = town.path().join("changed");
    let restored = |what: &str| {
        let error = refused(docket(town.path(), &["restore", "changed", "--data", "new"]));
        assert_eq!(names(town.path()), ["changed", "data", "town.backup"], "{what}: {error}");
        error
    };
    for length in [0, 1, 99, 100, 4096, backup.len() / 2, backup.len() - 4096, backup.len() - 1] {
        fs::write(&file, &backup[..length]).unwrap();
        let error = restored("cut");
        let says = format!("changed is no whole backup: it has {length} bytes");
        assert!(error.contains(&says), "{length}: {error}");
    }
    fs::write(&file, [&backup[..], b"more"].concat()).unwrap();
    assert!(restored("longer").contains("belong to it"));
    fs::write(&file, "a letter\n".repeat(50)).unwrap();
    assert!(restored("a letter").contains("it is no SQLite file"));
    fs::copy(town.data.join("journal.sqlite"), &file).unwrap();
    assert!(restored("a journal").contains("it is in WAL mode"));
    change(&file, "PRAGMA journal_mode = DELETE");
    assert!(restored("a journal").contains("it has no table `backup`"));

    let last = whole.head();
    let end = format!("it ends with commit {}, ", last.number.0 - 1);
    let middle = whole.commits[whole.commits.len() / 2].clone();
    let name = whole.blobs.keys().next().unwrap().file_name().unwrap().to_str().unwrap();
    let named = whole.names_blob(name);
    let (number, at) = (middle.number, middle.head().position);
    let cases = [
        (
            format!(
                "DELETE FROM commits WHERE number = {}; DELETE FROM events WHERE commit_number = {}",
                last.number, last.number
            ),
            end,
        ),
        (
            format!("DELETE FROM commits WHERE number = {number}"),
            format!("commit {} stands where commit {number} belongs", number.0 + 1),
        ),
        (
            format!("DELETE FROM events WHERE position = {at}"),
            format!("commit {number}: event {at} is missing"),
        ),
        (
            format!("DELETE FROM decisions WHERE commit_number = {number}"),
            format!("commit {number}: "),
        ),
        ("DELETE FROM keys WHERE id LIKE 'account/%'".into(), "keys hash to".into()),
        (
            "UPDATE keys SET bytes = zeroblob(60) WHERE id LIKE 'account/%'".into(),
            "keys hash to".into(),
        ),
        (
            "UPDATE keys SET bytes = x'00' WHERE id = 'ring/session'".into(),
            "\"ring/session\" is no wrapped key".into(),
        ),
        (
            "INSERT INTO keys VALUES ('somebody', zeroblob(60))".into(),
            "\"somebody\" is no wrapped key".into(),
        ),
        (
            "DELETE FROM blobs WHERE rowid = 1".into(),
            format!("which event {named} names, is missing"),
        ),
        (
            "UPDATE blobs SET bytes = NULL WHERE rowid = 1".into(),
            "it has 2 blobs, 2 of them are named, and 2".into(),
        ),
        (
            "INSERT INTO blobs VALUES ('more', x'00')".into(),
            "it has 3 blobs, 2 of them are named".into(),
        ),
        (
            "UPDATE backup SET value = '2' WHERE name = 'format'".into(),
            "it is of format 2, and this docket reads format 1".into(),
        ),
        ("DELETE FROM backup".into(), "it was never finished".into()),
        ("UPDATE backup SET value = 'x' WHERE name = 'keys'".into(), "its keys is \"x\"".into()),
        ("DELETE FROM meta".into(), "the journal's format is none".into()),
        (
            "ALTER TABLE events RENAME TO gone; CREATE VIEW events AS SELECT * FROM gone".into(),
            "access to view \"events\" prohibited".into(),
        ),
    ];
    for (sql, says) in cases {
        fs::write(&file, &backup).unwrap();
        change(&file, &sql);
        let error = restored(&sql);
        assert!(error.contains(&says), "{sql}: {error}");
    }
}

/// Whatever byte is another one: it is found, or nobody would ever have read it.
#[test]
fn a_byte_changed_anywhere_does_no_harm_unseen() {
    let town = Town::new();
    let mut random = Random::seeded();
    let whole = Kept::of(&town.data);
    let backup = fs::read(town.backup()).unwrap();
    let (file, place) = (town.path().join("changed"), town.path().join("new"));
    let mut found = 0;
    for _ in 0..FLIPS {
        let at = random.below(backup.len() as u64) as usize;
        let bit = 1 << random.below(8);
        let mut changed = backup.clone();
        changed[at] ^= bit;
        fs::write(&file, changed).unwrap();
        let mut go_on = |_| ControlFlow::Continue(());
        match backup::restore(&file, &place, Check::default(), &mut go_on) {
            Ok(_) => {
                assert_eq!(Kept::of(&place), whole, "bit {bit} of byte {at}");
                fs::remove_dir_all(&place).unwrap();
            }
            Err(error) => {
                found += 1;
                assert!(!error.to_string().is_empty());
                assert_eq!(names(town.path()), ["changed", "data", "town.backup"], "{error}");
            }
        }
    }
    println!("{found} of {FLIPS} changes were found");
    assert!(found > FLIPS / 2, "most bytes mean something");
}

/// The script of `schemas/journal.md` verifies a backup as it verifies a journal, and its commands
/// take a backup apart.
#[test]
fn a_backup_can_be_read_without_docket() {
    let town = Town::new();
    let whole = Kept::of(&town.data);
    let page = include_str!("../../schemas/journal.md");
    let blocks: Vec<_> = page.split("```python\n").skip(1).collect();
    let [unpack, verify] = &blocks[..] else { panic!("two scripts, not {}", blocks.len()) };
    let run = |script: &str, words: &[&Path]| {
        let (script, _) = script.split_once("```").unwrap();
        let mut python = Command::new("python3");
        python.arg("-c").arg(script).args(words).current_dir(town.path());
        printed(python)
    };
    let head = whole.head();
    let says =
        format!("{} commits, {} events, newest hash {}\n", head.number, head.position, head.hash);
    assert_eq!(run(verify, &[&town.backup()]), says);
    let by_hand = PathBuf::from("by-hand");
    run(unpack, &[&town.backup(), &by_hand]);
    assert_eq!(Kept::of(&town.path().join(&by_hand)), whole);
    let bytes = fs::read(town.backup()).unwrap();
    assert!(contains(&bytes, PICTURES[0]));
}
