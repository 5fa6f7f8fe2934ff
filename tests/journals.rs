//! Journals recorded once and kept: for ever, a replay gives every value that was written down
//! when they were recorded. Later values may be added; none may change or go.
//!
//! A new journal is recorded when events have new shapes, never over an old one:
//! `RECORD_JOURNAL=2 cargo test --workspace --test journals` makes `2.sqlite`, `2.key` and
//! `2.json`.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod support;

mod journals {
    mod dump;
    mod story;

    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
        sync::Arc,
    };

    use docket::{
        http::passwords::LOGIN,
        journal::{Journal, SqliteJournal},
        keys::{KeyRing, MasterKey, StoreError, WrappedKeys},
    };
    use events::{CommitNumber, Event, Recorded, WrappedKey};
    use serde_json::Value;
    use tempfile::TempDir;

    use crate::support::folder;

    /// How many there are.
    const KEPT: u32 = 2;

    fn kept(n: u32, ending: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals");
        folder.join(format!("{n}.{ending}"))
    }

    /// A copy of a kept journal, as a data folder; what is kept is never opened itself.
    fn opened(n: u32) -> (TempDir, Arc<dyn Journal>) {
        let (folder, data) = folder();
        fs::create_dir(&data).unwrap();
        fs::copy(kept(n, "sqlite"), data.join("journal.sqlite")).unwrap();
        let journal = SqliteJournal::open_read_only(&data).unwrap();
        (folder, Arc::new(journal))
    }

    fn events(journal: &dyn Journal) -> Vec<Recorded> {
        let commits = journal.read(CommitNumber(0), usize::MAX).unwrap();
        let decisions = commits.iter().flat_map(|commit| commit.contents().unwrap());
        let envelopes = decisions.flat_map(|(_, envelopes)| envelopes);
        envelopes.map(|envelope| Recorded::decode(&envelope).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_replay_gives_what_it_gave_when_it_was_recorded() {
        if let Ok(n) = std::env::var("RECORD_JOURNAL") {
            record(n.parse().unwrap()).await;
        }
        for n in 1..=KEPT {
            let (folder, journal) = opened(n);
            let now = dump::dump(&journal, &folder.path().join("views"));
            let then: Value = serde_json::from_slice(&fs::read(kept(n, "json")).unwrap()).unwrap();
            let mut compared = 0;
            same(&then, &now, &format!("{n}.json"), &mut compared);
            assert!(compared > 500, "{n}.json says only {compared} values");
        }
    }

    /// Everything that was said then is said now. Objects may say more; nothing else may.
    fn same(then: &Value, now: &Value, at: &str, compared: &mut usize) {
        match (then, now) {
            (Value::Object(then), Value::Object(now)) => {
                for (name, value) in then {
                    let here = format!("{at}: {name}");
                    same(value, now.get(name).unwrap_or(&Value::Null), &here, compared);
                }
            }
            (Value::Array(then), Value::Array(now)) => {
                assert_eq!(then.len(), now.len(), "{at}");
                for (n, (then, now)) in then.iter().zip(now).enumerate() {
                    same(then, now, &format!("{at}[{n}]"), compared);
                }
            }
            (then, now) => {
                *compared += 1;
                assert_eq!(then, now, "{at}");
            }
        }
    }

    /// Every released shape is in one of them.
    #[test]
    fn every_released_event_is_kept_somewhere() {
        let mut recorded = BTreeSet::new();
        for n in 1..=KEPT {
            let (_folder, journal) = opened(n);
            let commits = journal.read(CommitNumber(0), usize::MAX).unwrap();
            for (_, envelopes) in commits.iter().flat_map(|commit| commit.contents().unwrap()) {
                let shape = |it: &events::Envelope| format!("{}.v{}.json", it.kind, it.version);
                recorded.extend(envelopes.iter().map(shape));
            }
        }
        let released = include_str!("../schemas/events/RELEASED");
        let released: BTreeSet<_> =
            released.lines().map(|line| line.split_once("  ").unwrap().1.to_owned()).collect();
        assert!(released.len() >= 28);
        let missing: Vec<_> = released.difference(&recorded).collect();
        assert!(missing.is_empty(), "no kept journal has {missing:?}: record another");
    }

    /// What a released event says is written again as it was: its bytes are what was hashed.
    #[test]
    fn an_event_is_written_as_it_was_recorded() {
        for n in 1..=KEPT {
            let (_folder, journal) = opened(n);
            let commits = journal.read(CommitNumber(0), usize::MAX).unwrap();
            let decisions = commits.iter().flat_map(|commit| &commit.decisions);
            let bytes: Vec<_> = decisions.flat_map(|decision| &decision.events).collect();
            let events = events(journal.as_ref());
            assert_eq!(events.len(), bytes.len());
            for (event, bytes) in events.iter().zip(bytes) {
                let (kind, version) = (event.event.kind(), event.event.version());
                if bytes.contains(&format!("\"kind\":\"{kind}\",\"version\":{version},")) {
                    assert_eq!(event.to_json(), *bytes);
                    let envelope = serde_json::to_string(&event.envelope()).unwrap();
                    assert_eq!(envelope, *bytes);
                }
            }
        }
    }

    /// What was sealed opens with the key that was kept beside it; what was forgotten does not.
    #[test]
    fn what_was_sealed_still_opens() {
        for n in 1..=KEPT {
            let (_folder, journal) = opened(n);
            let master = MasterKey::parse(&fs::read_to_string(kept(n, "key")).unwrap()).unwrap();
            let ring = KeyRing::load(master, Arc::new(Beside(Arc::clone(&journal)))).unwrap();
            let (mut opened, mut erased) = (BTreeSet::new(), 0);
            for recorded in events(journal.as_ref()) {
                if let Event::AccountRegistered(it) = recorded.event {
                    match ring.open(&it.login_sealed, LOGIN) {
                        Ok(login) => drop(opened.insert(login)),
                        Err(_) => erased += 1,
                    }
                }
            }
            let expected = ["ann", "eve", "left", "sam"].map(str::to_owned);
            assert_eq!((opened, erased), (BTreeSet::from(expected), 1));
        }
    }

    /// The keys that lie beside a journal which nobody writes any more.
    struct Beside(Arc<dyn Journal>);

    impl WrappedKeys for Beside {
        fn load(&self, id: &str) -> Result<Option<WrappedKey>, StoreError> {
            Ok(self.0.wrapped_key(id)?)
        }

        fn ensure(&self, key: WrappedKey) -> Result<WrappedKey, StoreError> {
            Ok(self.0.wrapped_key(&key.id)?.expect("a kept journal has all its keys"))
        }

        fn destroy(&self, _: &str) -> Result<(), StoreError> {
            unreachable!("nothing is destroyed here")
        }
    }

    /// Records another journal of the story, and what a replay of it gives.
    async fn record(n: u32) {
        assert!(!kept(n, "sqlite").exists(), "{n}.sqlite is there: what is kept never changes");
        let (folder, data) = folder();
        story::tell(&data).await;
        fs::copy(data.join("journal.sqlite"), kept(n, "sqlite")).unwrap();
        fs::copy(data.join("master.key"), kept(n, "key")).unwrap();
        let (_copy, journal) = opened(n);
        let dump = dump::dump(&journal, &folder.path().join("views"));
        let text = serde_json::to_string_pretty(&dump).unwrap();
        fs::write(kept(n, "json"), text + "\n").unwrap();
    }
}
