//! The journals, from outside: what every kind of journal promises, what the one in a file does
//! when the file is damaged, cut or full, and the worked example of `schemas/journal.md`.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod example;
mod memory;
mod sqlite;

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use docket::journal::{
    Appending, Journal, JournalError, MemoryJournal, SqliteJournal,
    memory::{Fault, Gate, MemoryStore},
    sqlite::{FILE, Options},
};
use events::{
    Channel, CommandId, Commit, CommitError, CommitNumber, DecisionHeader, Envelope, Epoch, Event,
    EventId, Head, Millis, Position, Receipt, Recorded, RecordedDecision, Sku, StockAdded, StoreId,
    Subject, WrappedKey,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use uuid::Uuid;

/// Where a journal is kept; it may be opened again after the journal was dropped.
enum Site {
    Memory(Arc<MemoryStore>),
    Sqlite(TempDir),
}

impl Site {
    fn open(&self) -> Box<dyn Journal> {
        match self {
            Self::Memory(store) => Box::new(MemoryJournal::from_store(Arc::clone(store))),
            Self::Sqlite(dir) => Box::new(open(dir.path())),
        }
    }
}

fn on_each(test: impl Fn(&Site)) {
    test(&Site::Memory(Arc::default()));
    test(&Site::Sqlite(TempDir::new().unwrap()));
}

#[test]
fn an_empty_journal_has_the_empty_head() {
    on_each(|site| {
        let journal = site.open();
        assert_eq!(*journal.head().borrow(), Head::default());
        assert_eq!(journal.head_at(CommitNumber(0)).unwrap(), Some(Head::default()));
        assert_eq!(journal.head_at(CommitNumber(1)).unwrap(), None);
        assert_eq!(journal.read(CommitNumber(0), 10).unwrap(), []);
        assert_eq!(journal.read(CommitNumber(7), 10).unwrap(), []);
    });
}

#[test]
fn what_is_appended_is_read_back_byte_for_byte_and_after_a_restart_too() {
    on_each(|site| {
        let journal = site.open();
        let commits = chain(&[&[1], &[2, 1, 3], &[1, 1]]);
        append_all(&*journal, &commits);
        let check = |journal: &dyn Journal| {
            assert_eq!(journal.read(CommitNumber(0), 1000).unwrap(), commits);
            assert_eq!(verify(journal), Ok(commits[2].head()));
            assert_eq!(*journal.head().borrow(), commits[2].head());
            for commit in &commits {
                assert_eq!(journal.head_at(commit.number).unwrap(), Some(commit.head()));
            }
            assert_eq!(journal.head_at(CommitNumber(4)).unwrap(), None);
        };
        check(&*journal);
        drop(journal);
        let journal = site.open();
        check(&*journal);
        let next = commit(&commits[2].head(), Epoch(2), &[1]);
        append_all(&*journal, std::slice::from_ref(&next));
        assert_eq!(verify(&*journal), Ok(next.head()));
    });
}

#[test]
fn a_slice_is_whole_commits_and_at_least_one() {
    on_each(|site| {
        let journal = site.open();
        append_all(&*journal, &chain(&[&[5], &[2], &[3], &[9], &[1]]));
        let slice = |after, events_max| {
            let commits = journal.read(CommitNumber(after), events_max).unwrap();
            commits.iter().map(|commit| commit.number.0).collect::<Vec<_>>()
        };
        assert_eq!(slice(0, 1), [1]);
        assert_eq!(slice(0, 7), [1, 2]);
        assert_eq!(slice(0, 9), [1, 2]);
        assert_eq!(slice(1, 5), [2, 3]);
        assert_eq!(slice(3, 0), [4]);
        assert_eq!(slice(3, 1000), [4, 5]);
        assert_eq!(slice(5, 1000), [] as [u64; 0]);
        assert_eq!(slice(u64::MAX, 1000), [] as [u64; 0]);
    });
}

#[test]
fn appends_are_answered_in_order_and_the_head_is_there_before_the_answer() {
    on_each(|site| {
        let journal = site.open();
        let commits = chain(&[[1].as_slice(); 50]);
        let mut head = journal.head();
        let answers: Vec<Appending> =
            commits.iter().map(|commit| journal.append(Arc::new(commit.clone()), vec![])).collect();
        for (answer, commit) in answers.into_iter().zip(&commits) {
            answer.blocking_recv().unwrap().unwrap();
            assert!(head.borrow().number >= commit.number);
        }
        assert_eq!(*head.borrow_and_update(), commits[49].head());
        assert_eq!(verify(&*journal), Ok(commits[49].head()));
    });
}

#[test]
fn a_commit_that_does_not_follow_is_refused_and_ends_the_journal() {
    let commits = chain(&[&[1], &[1], &[1]]);
    let [first, second, third] = &commits[..] else { unreachable!() };
    let other = commit(&Head::default(), Epoch(1), &[2]);
    let forked = commit(&other.head(), Epoch(1), &[1]);
    let mut moved = second.clone();
    moved.first_position = Position(9);
    let mut older = second.clone();
    older.epoch = Epoch(0);
    let mut unreadable = second.clone();
    unreadable.decisions[0].events[0] = "{}".into();
    for bad in [first, third, &forked, &moved, &older, &unreadable] {
        on_each(|site| {
            let journal = site.open();
            append_all(&*journal, std::slice::from_ref(first));
            let keys = vec![key("account/1", 1)];
            let error = append(&*journal, bad, keys).unwrap_err();
            assert!(matches!(error, JournalError::Chain(_)), "{error}");
            let error = append(&*journal, second, vec![]).unwrap_err();
            assert!(matches!(error, JournalError::Closed(_)), "{error}");
            let error = journal.ensure_key(key("ring/a", 1)).unwrap_err();
            assert!(matches!(error, JournalError::Closed(_)), "{error}");
            assert_eq!(journal.wrapped_key("account/1").unwrap(), None);
            assert_eq!(*journal.head().borrow(), first.head());
            assert_eq!(journal.read(CommitNumber(0), 100).unwrap(), std::slice::from_ref(first));
            drop(journal);
            let journal = site.open();
            assert_eq!(*journal.head().borrow(), first.head());
            append_all(&*journal, std::slice::from_ref(second));
        });
    }
}

#[test]
fn keys_are_stored_with_their_commit_and_destroyed_alone() {
    on_each(|site| {
        let journal = site.open();
        let commits = chain(&[&[1], &[1], &[1]]);
        append(&*journal, &commits[0], vec![key("account/1", 1), key("account/2", 2)]).unwrap();
        append(&*journal, &commits[1], vec![key("account/2", 2)]).unwrap(); // The same: fine.
        assert_eq!(journal.wrapped_key("account/2").unwrap(), Some(key("account/2", 2)));
        assert_eq!(journal.wrapped_key("account/3").unwrap(), None);

        assert_eq!(journal.ensure_key(key("ring/logins", 3)).unwrap(), key("ring/logins", 3));
        assert_eq!(journal.ensure_key(key("ring/logins", 4)).unwrap(), key("ring/logins", 3));

        journal.destroy_key("account/1").unwrap();
        journal.destroy_key("account/1").unwrap();
        assert_eq!(journal.wrapped_key("account/1").unwrap(), None);
        drop(journal);
        let journal = site.open();
        assert_eq!(journal.wrapped_key("account/1").unwrap(), None);
        assert_eq!(journal.wrapped_key("ring/logins").unwrap(), Some(key("ring/logins", 3)));
        let error = append(&*journal, &commits[2], vec![key("account/2", 9)]).unwrap_err();
        assert_eq!(error.to_string(), "another key is stored as account/2");
        assert_eq!(journal.wrapped_key("account/2").unwrap(), Some(key("account/2", 2)));
    });
}

#[test]
fn keys_are_listed_and_stored_many_at_once() {
    on_each(|site| {
        let journal = site.open();
        let ids = ["account/1", "account/10", "account/2", "account/é", "ring/a"];
        let keys: Vec<_> = ids.iter().zip(1..).map(|(id, byte)| key(id, byte)).collect();
        assert_eq!(journal.wrapped_keys("", 10).unwrap(), []);
        journal.put_keys(vec![keys[4].clone(), keys[0].clone()]).unwrap();
        journal.put_keys(keys.clone()).unwrap(); // The same again: fine.
        assert_eq!(journal.wrapped_keys("", 10).unwrap(), keys);
        assert_eq!(journal.wrapped_keys("", 2).unwrap(), keys[..2]);
        assert_eq!(journal.wrapped_keys("account/10", 2).unwrap(), keys[2..4]);
        assert_eq!(journal.wrapped_keys("account/11", 1).unwrap(), keys[2..3]);
        assert_eq!(journal.wrapped_keys("ring/a", 1).unwrap(), []);

        journal.destroy_key("account/1").unwrap();
        journal.destroy_key("account/10").unwrap();
        assert_eq!(
            journal.wrapped_keys("", 1).unwrap(),
            keys[2..3],
            "what is destroyed is passed over"
        );
        drop(journal);
        let journal = site.open();
        assert_eq!(journal.wrapped_keys("", 10).unwrap(), keys[2..]);
        let error = journal.put_keys(vec![key("ring/a", 9)]).unwrap_err();
        assert_eq!(error.to_string(), "another key is stored as ring/a");
        assert_eq!(journal.wrapped_key("ring/a").unwrap(), Some(keys[4].clone()));
    });
}

#[test]
fn a_subject_is_read_within_its_channel_in_order_and_in_pages() {
    on_each(|site| {
        let journal = site.open();
        let mut head = Head::default();
        // Positions 1 to 12; `a` and `b` in turn, each in channel `x`, then each in channel `y`.
        for _ in 0..3 {
            let decisions = vec![
                decision(head.position.0 + 1, "x", &["a", "b"]),
                decision(head.position.0 + 3, "y", &["a", "b"]),
            ];
            let commit = Commit::seal(&head, Epoch(1), decisions);
            head = commit.head();
            append_all(&*journal, &[commit]);
        }
        let read = |channel: &str, store: &str, after: u64, limit: usize| {
            let subject = listing(store);
            let channel = Channel::new(channel).unwrap();
            let read = journal.read_subject(&channel, &subject, Position(after), limit).unwrap();
            assert!(read.iter().all(|it| it.subject == subject && it.channel == channel));
            read.iter().map(|envelope| envelope.position.0).collect::<Vec<_>>()
        };
        assert_eq!(read("x", "a", 0, 10), [1, 5, 9]);
        assert_eq!(read("y", "b", 0, 10), [4, 8, 12]);
        assert_eq!(read("x", "a", 1, 1), [5]);
        assert_eq!(read("x", "a", 9, 10), [] as [u64; 0]);
        assert_eq!(read("x", "a", u64::MAX, 10), [] as [u64; 0]);
        assert_eq!(read("z", "a", 0, 10), [] as [u64; 0]);
        assert_eq!(read("x", "a", 0, 0), [] as [u64; 0]);
    });
}

#[test]
fn many_readers_read_beside_the_writer() {
    on_each(|site| {
        let journal = site.open();
        let commits = chain(&[[3].as_slice(); 40]);
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let mut head = Head::default();
                    while head.number.0 < 40 {
                        let bound = *journal.head().borrow();
                        for commit in journal.read(head.number, 10).unwrap() {
                            commit.continues(&head).unwrap();
                            head = commit.head();
                        }
                        let found = journal.head_at(bound.number).unwrap();
                        assert_eq!(found, Some(bound));
                    }
                });
            }
            append_all(&*journal, &commits);
        });
    });
}

// What the tests are made of.

fn open(dir: &Path) -> SqliteJournal {
    SqliteJournal::open(dir, Options::default()).unwrap()
}

/// Changes a journal's file as any client of SQLite can.
fn run_sql(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn append(
    journal: &dyn Journal,
    commit: &Commit,
    keys: Vec<WrappedKey>,
) -> Result<(), JournalError> {
    journal.append(Arc::new(commit.clone()), keys).blocking_recv().unwrap()
}

fn append_all(journal: &dyn Journal, commits: &[Commit]) {
    for commit in commits {
        append(journal, commit, vec![]).unwrap();
    }
}

/// Replays a journal as an auditor does; the head, or the commit that is wrong and why.
fn verify(journal: &dyn Journal) -> Result<Head, (u64, String)> {
    let mut head = Head::default();
    loop {
        let next = head.number.0 + 1;
        let commits = journal.read(head.number, 4).map_err(|error| (next, error.to_string()))?;
        if commits.is_empty() {
            return Ok(head);
        }
        for commit in commits {
            let wrong = |error: CommitError| (commit.number.0, error.to_string());
            commit.continues(&head).and_then(|()| commit.contents().map(drop)).map_err(wrong)?;
            head = commit.head();
        }
    }
}

fn key(id: &str, byte: u8) -> WrappedKey {
    WrappedKey { id: id.to_owned(), bytes: vec![byte; 60] }
}

/// Commits that continue each other from the start: for each, the events of its decisions.
fn chain(commits: &[&[usize]]) -> Vec<Commit> {
    let mut head = Head::default();
    let next = |events: &&[usize]| {
        let commit = commit(&head, Epoch(1), events);
        head = commit.head();
        commit
    };
    commits.iter().map(next).collect()
}

fn commit(head: &Head, epoch: Epoch, events: &[usize]) -> Commit {
    let mut position = head.position.0 + 1;
    let mut decisions = Vec::new();
    for count in events {
        let stores: Vec<String> = (0..*count).map(|n| format!("store {n}")).collect();
        let stores: Vec<&str> = stores.iter().map(String::as_str).collect();
        decisions.push(decision(position, "test", &stores));
        position += *count as u64;
    }
    Commit::seal(head, epoch, decisions)
}

/// A decision that adds stock in some stores, an event each.
fn decision(first: u64, channel: &str, stores: &[&str]) -> RecordedDecision {
    let command = CommandId(Uuid::from_u128(u128::from(first)));
    let channel = Channel::new(channel).unwrap();
    let recorded_at = Millis(1_700_000_000_000);
    let event = |(store, n): (&&str, u32)| {
        let position = Position(first + u64::from(n));
        let id = EventId { command, n };
        let subject = listing(store);
        let (store, sku) = (StoreId::new(store).unwrap(), Sku::new("tea").unwrap());
        let event = Event::StockAdded(StockAdded { store, sku, quantity: 1 });
        let channel = channel.clone();
        let recorded = Recorded { position, id, subject, recorded_at, channel, event };
        serde_json::to_string(&recorded.envelope()).unwrap()
    };
    let events: Vec<String> = stores.iter().zip(0..).map(event).collect();
    let header = DecisionHeader {
        command,
        name: "add_stock".into(),
        actor: "system".into(),
        channel: channel.clone(),
        lifecycle: None,
        correlation: None,
        key: None,
        receipt: Receipt {
            position: Position(first + events.len() as u64 - 1),
            recorded_at,
            orders: vec![],
        },
        events: events.len() as u32,
    };
    RecordedDecision { header: serde_json::to_string(&header).unwrap(), events }
}

fn listing(store: &str) -> Subject {
    Subject::listing(&StoreId::new(store).unwrap(), &Sku::new("tea").unwrap())
}
