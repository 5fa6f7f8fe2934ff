//! The journal in a file: locked, audited, damaged, cut, full.

use std::{collections::BTreeSet, io::Read as _};

use super::*;

#[test]
fn a_second_engine_is_refused_and_an_auditor_reads_beside() {
    let dir = TempDir::new().unwrap();
    let journal = open(dir.path());
    let commits = chain(&[&[2], &[1], &[1]]);
    append_all(&journal, &commits[..2]);
    let error = SqliteJournal::open(dir.path(), Options::default()).unwrap_err();
    let path = dir.path().join("lock");
    let says = "is in use by another docket; stop it first, or name another folder with --data";
    assert_eq!(error.to_string(), format!("{} {says}", path.display()));

    let auditor = SqliteJournal::open_read_only(dir.path()).unwrap();
    assert_eq!(verify(&auditor), Ok(commits[1].head()));
    append_all(&journal, &commits[2..]);
    assert_eq!(verify(&auditor), Ok(commits[1].head()));
    assert_eq!(auditor.refresh().unwrap(), commits[2].head());
    assert_eq!(verify(&auditor), Ok(commits[2].head()));
    let next = commit(&commits[2].head(), Epoch(1), &[1]);
    let error = append(&auditor, &next, vec![]).unwrap_err();
    assert!(matches!(error, JournalError::Closed(_)), "{error}");
    assert!(auditor.ensure_key(key("ring/a", 1)).is_err());

    drop(journal);
    assert_eq!(verify(&auditor), Ok(commits[2].head()));
    drop(auditor);
    let auditor = SqliteJournal::open_read_only(dir.path()).unwrap();
    assert_eq!(verify(&auditor), Ok(commits[2].head()));
    let journal = open(dir.path());
    assert_eq!(verify(&journal), Ok(commits[2].head()));
}

#[test]
fn dropping_writes_what_is_queued_and_leaves_one_clean_file() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("not/there/yet");
    let journal = open(&data);
    let commits = chain(&[[5].as_slice(); 30]);
    let answers: Vec<Appending> =
        commits.iter().map(|commit| journal.append(Arc::new(commit.clone()), vec![])).collect();
    assert_eq!(journal.read(CommitNumber(99), 1).unwrap(), []);
    drop(journal);
    for answer in answers {
        answer.blocking_recv().unwrap().unwrap();
    }
    let mut left: Vec<_> =
        fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [FILE, "lock"]);
    assert_eq!(verify(&open(&data)), Ok(commits[29].head()));
}

#[test]
fn a_file_of_another_kind_or_format_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(FILE);
    run_sql(&path, "CREATE TABLE orders (id)");
    let error = SqliteJournal::open(dir.path(), Options::default()).unwrap_err();
    let none = format!("none ({} is no journal)", path.display());
    let expected = format!("the journal's format is {none}; this docket reads format 1");
    assert_eq!(error.to_string(), expected);

    let dir = TempDir::new().unwrap();
    drop(open(dir.path()));
    run_sql(&dir.path().join(FILE), "UPDATE meta SET value = '2'");
    for error in [
        SqliteJournal::open(dir.path(), Options::default()).unwrap_err(),
        SqliteJournal::open_read_only(dir.path()).unwrap_err(),
    ] {
        let expected = "the journal's format is 2; this docket reads format 1";
        assert_eq!(error.to_string(), expected);
    }

    let dir = TempDir::new().unwrap();
    let error = SqliteJournal::open_read_only(dir.path()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the journal "), "{error}");
    assert!(!dir.path().join(FILE).exists());
}

#[test]
fn whatever_a_plain_client_changes_is_found() {
    let commits = chain(&[&[2, 1], &[1, 2], &[1]]);
    let damage = [
        ("UPDATE events SET bytes = replace(bytes, 'tea', 'tee') WHERE position = 4", 2),
        ("UPDATE decisions SET bytes = bytes || ' ' WHERE commit_number = 2 AND n = 1", 2),
        ("UPDATE events SET decision = 0 WHERE position = 5", 2),
        ("UPDATE events SET commit_number = 1 WHERE position = 4", 2),
        ("UPDATE commits SET epoch = 7 WHERE number = 2", 2),
        ("UPDATE commits SET hash = zeroblob(32) WHERE number = 2", 2),
        ("UPDATE commits SET last_position = 5 WHERE number = 2", 2),
        ("UPDATE commits SET last_position = 1000000 WHERE number = 2", 2),
        ("UPDATE commits SET first_position = 5 WHERE number = 2", 2),
        ("DELETE FROM events WHERE position = 5", 2),
        ("DELETE FROM decisions WHERE commit_number = 2 AND n = 1", 2),
        ("DELETE FROM commits WHERE number = 2", 3),
        ("DELETE FROM commits WHERE number = 1", 2),
        ("INSERT INTO decisions VALUES (2, 2, '{}')", 2),
    ];
    for (sql, found_at) in damage {
        let dir = TempDir::new().unwrap();
        let journal = open(dir.path());
        append_all(&journal, &commits);
        drop(journal);
        run_sql(&dir.path().join(FILE), sql);
        let journal = open(dir.path());
        let found = verify(&journal);
        assert!(matches!(&found, Err((number, _)) if *number == found_at), "{sql}: {found:?}");
    }
    for sql in [
        "DELETE FROM events WHERE position = 7",
        "UPDATE commits SET last_position = 6 WHERE number = 3",
    ] {
        let dir = TempDir::new().unwrap();
        let journal = open(dir.path());
        append_all(&journal, &commits);
        drop(journal);
        run_sql(&dir.path().join(FILE), sql);
        let error = SqliteJournal::open(dir.path(), Options::default()).unwrap_err();
        assert!(matches!(error, JournalError::Chain(_)), "{sql}: {error}");
    }
}

#[test]
fn an_index_that_lies_about_a_subject_is_found() {
    let dir = TempDir::new().unwrap();
    append_all(&open(dir.path()), &chain(&[&[2]]));
    let elsewhere = listing("elsewhere");
    run_sql(&dir.path().join(FILE), &format!("UPDATE events SET subject = '{elsewhere}'"));
    let journal = open(dir.path());
    let channel = Channel::new("test").unwrap();
    let error = journal.read_subject(&channel, &elsewhere, Position(0), 9).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the journal is damaged: commit 1: event 1 is indexed as another"
    );
}

#[test]
fn commands_are_found_by_an_index_also_in_a_file_that_had_another() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(FILE);
    append_all(&open(dir.path()), &chain(&[&[1], &[2]]));
    run_sql(
        &path,
        "DROP INDEX decisions_by_id;
         CREATE INDEX decisions_by_command ON decisions (json_extract(bytes, '$.command'))",
    );
    let journal = open(dir.path());
    let command = CommandId(Uuid::from_u128(2)); // Its first event stands at 2.
    let header = journal.decision(command).unwrap().unwrap();
    assert_eq!((header.command, header.events), (command, 2));
    assert!(journal.decision(CommandId(Uuid::from_u128(9))).unwrap().is_none());
    drop(journal);

    let conn = rusqlite::Connection::open(&path).unwrap();
    let mut indexes = conn.prepare("SELECT sql FROM sqlite_schema WHERE type = 'index'").unwrap();
    let indexes = indexes.query_map((), |row| row.get(0)).unwrap();
    let mut found: Vec<String> =
        indexes.filter_map(|it: rusqlite::Result<Option<String>>| it.unwrap()).collect();
    found.sort();
    let wanted = [
        "CREATE INDEX decisions_by_id ON decisions (substr(bytes, 13, 36))",
        "CREATE INDEX events_by_subject ON events (subject)",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn a_newest_commit_that_somebody_takes_out_under_the_engine_is_missed() {
    let dir = TempDir::new().unwrap();
    let journal = open(dir.path());
    append_all(&journal, &chain(&[&[1], &[1]]));
    run_sql(&dir.path().join(FILE), "DELETE FROM commits WHERE number = 2");
    let error = journal.read(CommitNumber(1), 9).unwrap_err();
    assert_eq!(error.to_string(), "the journal is damaged: commit 2: is missing");
}

#[test]
fn a_full_disk_fails_one_append_and_loses_nothing_that_was_answered() {
    let dir = TempDir::new().unwrap();
    let options = Options { max_page_count: Some(64), ..Options::default() };
    let journal = SqliteJournal::open(dir.path(), options).unwrap();
    let commits = chain(&[[20].as_slice(); 60]);
    let answers: Vec<Appending> = commits
        .iter()
        .zip(0..)
        .map(|(commit, n)| journal.append(Arc::new(commit.clone()), vec![key(&n.to_string(), n)]))
        .collect();
    let answers: Vec<_> =
        answers.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect();
    let taken = answers.iter().take_while(|answer| answer.is_ok()).count();
    assert!((2..59).contains(&taken), "{taken} fit");
    let full = answers[taken].as_ref().unwrap_err().to_string();
    let path = dir.path().join(FILE);
    let expected = format!("cannot append commit {} to {}: ", taken + 1, path.display());
    assert_eq!(full, expected + "database or disk is full");
    for later in &answers[taken + 1..] {
        assert!(matches!(later, Err(JournalError::Closed(reason)) if *reason == full), "{later:?}");
    }
    let check = |journal: &SqliteJournal| {
        assert_eq!(journal.read(CommitNumber(0), 100_000).unwrap(), commits[..taken]);
        assert_eq!(*journal.head().borrow(), commits[taken - 1].head());
        assert!(journal.wrapped_key(&(taken - 1).to_string()).unwrap().is_some());
        assert!(journal.wrapped_key(&taken.to_string()).unwrap().is_none());
    };
    check(&journal);
    drop(journal);
    let journal = open(dir.path());
    check(&journal);
    append_all(&journal, &commits[taken..]);
    assert_eq!(verify(&journal), Ok(commits[59].head()));
}

#[test]
fn a_wal_cut_anywhere_opens_to_whole_commits() {
    let dir = TempDir::new().unwrap();
    let never =
        Options { wal_bytes_soft: u64::MAX, wal_bytes_hard: u64::MAX, ..Options::default() };
    let journal = SqliteJournal::open(dir.path(), never).unwrap();
    let path = dir.path().join(FILE);
    let wal_path = dir.path().join(format!("{FILE}-wal"));
    let length = || fs::metadata(&wal_path).map_or(0, |wal| wal.len() as usize);
    let commits = chain(&[&[1], &[2], &[1, 1], &[1], &[2], &[1]]);
    let mut ends = vec![0]; // How long the WAL is when so many commits are in it.
    for commit in &commits {
        append_all(&journal, std::slice::from_ref(commit));
        ends.push(length());
    }
    // With the tables and all else in the file, so that it stays as it is.
    let (file, wal) = (fs::read(&path).unwrap(), fs::read(&wal_path).unwrap());
    assert_eq!(wal.len(), ends[6]);
    drop(journal);

    let expected_at = |length: usize| {
        let whole = ends.iter().rposition(|end| *end <= length).unwrap();
        commits[..whole].last().map(|commit| commit.head()).unwrap_or_default()
    };
    let copy = || {
        let copy = TempDir::new().unwrap();
        fs::write(copy.path().join(FILE), &file).unwrap();
        fs::write(copy.path().join(format!("{FILE}-wal")), &wal).unwrap();
        copy
    };
    let cut = |copy: &TempDir, length: usize| {
        let wal = fs::File::options().write(true).open(copy.path().join(format!("{FILE}-wal")));
        wal.unwrap().set_len(length as u64).unwrap();
        let _ = fs::remove_file(copy.path().join(format!("{FILE}-shm")));
    };
    // Every byte of the last commit and every seventh of the two before, in two halves.
    let lengths: Vec<usize> = (ends[3]..ends[5]).step_by(7).chain(ends[5]..=ends[6]).collect();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (copy, lengths) = (copy(), &lengths);
            scope.spawn(move || {
                for length in lengths.iter().rev().skip(half).step_by(2) {
                    cut(&copy, *length);
                    let journal = SqliteJournal::open_read_only(copy.path()).unwrap();
                    assert_eq!(verify(&journal), Ok(expected_at(*length)), "cut at {length}");
                }
            });
        }
    });
    // An engine goes on from there. It syncs and changes the files, so this tries fewer lengths.
    for length in lengths.iter().filter(|length| *length % 1373 < 8 || ends.contains(length)) {
        let (copy, expected) = (copy(), expected_at(*length));
        cut(&copy, *length);
        let journal = open(copy.path());
        assert_eq!(verify(&journal), Ok(expected), "cut at {length}");
        let next = commit(&expected, Epoch(2), &[1]);
        append_all(&journal, std::slice::from_ref(&next));
        drop(journal);
        assert_eq!(verify(&open(copy.path())), Ok(next.head()), "cut at {length}");
    }
}

#[test]
fn the_wal_starts_over_beside_the_writer_and_after_a_reader() {
    for page_bytes in [4096, 16_384] {
        wal_starts_over(page_bytes);
    }
}

fn wal_starts_over(page_bytes: u32) {
    let dir = TempDir::new().unwrap();
    let pages = |n| n * u64::from(page_bytes);
    let (wal_bytes_soft, wal_bytes_hard) = (pages(16), pages(64));
    let options = Options { page_bytes, wal_bytes_soft, wal_bytes_hard, ..Options::default() };
    let journal = SqliteJournal::open(dir.path(), options).unwrap();
    let wal_path = dir.path().join(format!("{FILE}-wal"));
    // Salt in the WAL's header, new whenever the WAL starts over.
    let salt = || {
        let mut header = [0; 32];
        fs::File::open(&wal_path).unwrap().read_exact(&mut header).unwrap();
        header[16..24].to_vec()
    };
    let mut head = Head::default();
    let mut append_next = || {
        let commit = commit(&head, Epoch(1), &[10]);
        append_all(&journal, std::slice::from_ref(&commit));
        head = commit.head();
        head
    };
    append_next();
    let first = salt();
    while salt() == first {
        assert!(append_next().number.0 < 3_000, "the WAL never starts over");
    }
    // A client that reads and does not end keeps the WAL, and the writer goes on.
    let client = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    client.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    for _ in 0..50 {
        append_next();
    }
    client.execute_batch("COMMIT").unwrap();
    let second = salt();
    while salt() == second {
        assert!(append_next().number.0 < 6_000, "the WAL never starts over");
    }
    let head = append_next();
    assert_eq!(verify(&journal), Ok(head));
}

/// A file keeps the pages that it was made with, whoever opens it.
#[test]
fn pages_are_as_large_as_a_new_file_is_to_have_them() {
    let bytes = |dir: &Path| {
        let conn = rusqlite::Connection::open(dir.join(FILE)).unwrap();
        conn.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0)).unwrap()
    };
    let commits = chain(&[&[3], &[1, 2]]);
    for (made, opened) in [(4096, 16_384), (16_384, 4096)] {
        let dir = TempDir::new().unwrap();
        for (page_bytes, commit) in [made, opened].into_iter().zip(&commits) {
            let options = Options { page_bytes, ..Options::default() };
            let journal = SqliteJournal::open(dir.path(), options).unwrap();
            append_all(&journal, std::slice::from_ref(commit));
            drop(journal);
            assert_eq!(bytes(dir.path()), made);
        }
        assert_eq!(verify(&open(dir.path())), Ok(commits[1].head()));
    }
}

#[test]
fn a_destroyed_key_is_in_no_file_any_more() {
    let dir = TempDir::new().unwrap();
    let journal = open(dir.path());
    let mut head = Head::default();
    let secret = |n: u8| WrappedKey { id: format!("account/{n:03}"), bytes: vec![n; 60] };
    // In another order than by name, some with commits and some without.
    for n in (1..=250).map(|n| (n as u8).wrapping_mul(97)).filter(|n| *n != 0) {
        if n % 3 == 0 {
            journal.ensure_key(secret(n)).unwrap();
        } else {
            let commit = commit(&head, Epoch(1), &[1]);
            head = commit.head();
            append(&journal, &commit, vec![secret(n)]).unwrap();
        }
    }
    let destroyed = [97, 1, 255, 128, 50, 51, 52, 53, 54, 55, 200];
    for n in destroyed {
        journal.destroy_key(&secret(n).id).unwrap();
    }
    let present = |n: u8| {
        ["", "-wal", "-shm"].iter().any(|end| {
            let bytes = fs::read(dir.path().join(format!("{FILE}{end}"))).unwrap_or_default();
            bytes.windows(60).any(|window| window == [n; 60])
        })
    };
    assert!(present(98) || present(99));
    for n in destroyed {
        assert!(!present(n), "key {n} is still in a file");
    }
    assert_eq!(verify(&journal), Ok(head));
}

/// SQLite wipes what is deleted, and not what it leaves behind where it moves a row to another page
/// of its tree, as it may when rows are deleted: so the row of a key must never move.
#[test]
fn keys_that_come_and_go_leave_nothing_in_any_file() {
    const MARK: &[u8] = b"a wrapped key, number ";
    let secret = |n: u32| {
        let mut bytes = [MARK, &n.to_be_bytes()].concat();
        bytes.resize(60, 0xd0);
        // Names of no order.
        let name = Sha256::digest(n.to_be_bytes());
        WrappedKey { id: format!("account/{}", Uuid::from_slice(&name[..16]).unwrap()), bytes }
    };
    for seed in 0..4_u64 {
        let dir = TempDir::new().unwrap();
        let journal = open(dir.path());
        let in_files = || {
            let mut found = BTreeSet::new();
            for end in ["", "-wal", "-shm"] {
                let bytes = fs::read(dir.path().join(format!("{FILE}{end}"))).unwrap_or_default();
                for (at, _) in bytes.windows(MARK.len()).enumerate().filter(|(_, it)| *it == MARK) {
                    let number = bytes[at + MARK.len()..].first_chunk().unwrap();
                    found.insert(u32::from_be_bytes(*number));
                }
            }
            found
        };
        let (mut head, mut made, mut kept) = (Head::default(), 0, Vec::new());
        for step in 0..600_u64 {
            let choice = Sha256::digest([seed, step].map(u64::to_be_bytes).concat());
            let choice = u64::from_be_bytes(*choice.first_chunk().unwrap());
            if kept.is_empty() || choice % 10 < 6 {
                let commit = commit(&head, Epoch(1), &[1]);
                head = commit.head();
                append(&journal, &commit, vec![secret(made)]).unwrap();
                kept.push(made);
                made += 1;
            } else {
                let which = (choice / 10) as usize % kept.len();
                journal.destroy_key(&secret(kept.swap_remove(which)).id).unwrap();
            }
            if step % 50 == 49 {
                let kept: BTreeSet<u32> = kept.iter().copied().collect();
                let found = in_files();
                let remnants: Vec<_> = found.difference(&kept).collect();
                assert!(
                    remnants.is_empty(),
                    "{seed}: destroyed, and still in a file: {remnants:?}"
                );
                assert_eq!(found, kept);
            }
        }
        for n in kept {
            assert_eq!(journal.wrapped_key(&secret(n).id).unwrap(), Some(secret(n)));
        }
        assert_eq!(verify(&journal), Ok(head));
    }
}

/// Not a measurement: only that nothing is slower by orders of magnitude than it should be.
#[test]
fn a_large_commit_takes_milliseconds() {
    let dir = TempDir::new().unwrap();
    let journal = open(dir.path());
    let commits = chain(&[[4; 128].as_slice(); 5]);
    let mut best = Duration::MAX;
    for commit in &commits {
        let commit = Arc::new(commit.clone());
        let started = Instant::now();
        journal.append(commit, vec![]).blocking_recv().unwrap().unwrap();
        best = best.min(started.elapsed());
    }
    println!("512 events in {best:?}");
    assert!(best < Duration::from_secs(1), "{best:?}");
}
