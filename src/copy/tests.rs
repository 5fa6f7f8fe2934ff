//! Copies between journals in memory: what is kept, what is refused, what a copy that was cut leaves.

use events::{
    AccountForgotten, AccountId, Currency, Epoch, Event, ListingAdded, Money, Position, Sku,
    StockAdded, StoreId, Subject, WrappedKey,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::{
    journal::{
        MemoryJournal,
        memory::{Fault, Gate},
    },
    test_decision::{deciding, recorded},
};

/// A journal in memory, and a folder of blobs.
struct Site {
    journal: MemoryJournal,
    blobs: Blobs,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path().join("blobs")).unwrap();
        Self { journal: MemoryJournal::new(), blobs, folder }
    }

    /// Appends commits of these epochs with an event each, three keys, and a picture in the first.
    fn of(epochs: &[u64]) -> Self {
        let site = Self::new();
        let picture = site.blobs.put(b"a picture").unwrap();
        for (epoch, n) in epochs.iter().zip(0_u64..) {
            let event = if n == 0 { listing(picture) } else { stock() };
            site.append(*epoch, event);
        }
        for id in ["account/1", "account/2", "ring/lookup"] {
            site.journal.ensure_key(key(id, 1)).unwrap();
        }
        site
    }

    fn append(&self, epoch: u64, event: Event) -> Commit {
        let head = *self.journal.head().borrow();
        let commit = Commit::seal(&head, Epoch(epoch), vec![decision(&head, event)]);
        let appending = self.journal.append(Arc::new(commit.clone()), Vec::new());
        appending.blocking_recv().unwrap().unwrap();
        commit
    }

    /// Copies it to another, in one go.
    fn copy_to(&self, to: &Self) -> Result<Copied, Error> {
        let wishes = Wishes { allow_lost_blobs: false, patience: Duration::from_secs(60) };
        self.copy_as(to, wishes, &mut |_| ControlFlow::Continue(()))
    }

    fn copy_as(&self, to: &Self, wishes: Wishes, tell: &mut Tell<'_>) -> Result<Copied, Error> {
        copy(self.place(), to.place(), wishes, tell)
    }

    fn place(&self) -> Place<'_> {
        Place { journal: &self.journal, blobs: &self.blobs }
    }

    fn commits(&self) -> Vec<Commit> {
        self.journal.read(CommitNumber(0), usize::MAX).unwrap()
    }

    fn keys(&self) -> Vec<WrappedKey> {
        self.journal.wrapped_keys("", usize::MAX).unwrap()
    }

    fn key_ids(&self) -> Vec<String> {
        self.keys().into_iter().map(|it| it.id).collect()
    }

    fn is(&self, other: &Self) {
        assert_eq!((self.commits(), self.keys()), (other.commits(), other.keys()));
    }
}

fn key(id: &str, byte: u8) -> WrappedKey {
    WrappedKey { id: id.to_owned(), bytes: vec![byte; 4] }
}

fn stock() -> Event {
    let (store, sku) = (StoreId::new("corner").unwrap(), Sku::new("tea").unwrap());
    Event::StockAdded(StockAdded { store, sku, quantity: 1 })
}

fn listing(picture: Digest) -> Event {
    Event::ListingAdded(ListingAdded {
        store: StoreId::new("corner").unwrap(),
        sku: Sku::new("tea").unwrap(),
        title: String::new(),
        price: Money { minor: 1, currency: Currency::CNY },
        quantity: 0,
        tags: Vec::new(),
        attributes: Default::default(),
        pictures: vec![picture],
    })
}

/// A decision of this event alone.
fn decision(head: &Head, event: Event) -> RecordedDecision {
    let subject = Subject::listing(&StoreId::new("corner").unwrap(), &Sku::new("tea").unwrap());
    deciding("add_stock", &recorded(Position(head.position.0 + 1), subject, event))
}

/// Epochs that begin late, and with a gap.
const EPOCHS: [u64; 9] = [3, 3, 3, 8, 8, 9, 9, 9, 20];

#[test]
fn everything_is_kept_as_it_is() {
    let (from, to) = (Site::of(&EPOCHS), Site::new());
    let copied = from.copy_to(&to).unwrap();
    let head = from.commits().last().unwrap().head();
    assert_eq!((head.epoch, copied.head), (Epoch(20), head));
    assert_eq!((copied.commits, copied.keys, copied.blobs, copied.blobs_put), (9, 3, 1, 1));
    from.is(&to);
    assert!(!copied.was_complete());
    let again = from.copy_to(&to).unwrap();
    assert!(again.was_complete());
    assert_eq!((again.head, again.keys, again.blobs), (head, 3, 1));

    // What the source has gained and lost since then.
    from.append(21, stock());
    from.journal.destroy_key("account/1").unwrap();
    from.journal.ensure_key(key("account/0", 5)).unwrap();
    let more = from.copy_to(&to).unwrap();
    assert_eq!((more.commits, more.keys, more.keys_changed), (1, 3, 2));
    assert_eq!(to.key_ids(), ["account/0", "account/2", "ring/lookup"]);
    from.is(&to);
}

#[test]
fn of_an_empty_journal_the_keys_are_copied() {
    let (from, to) = (Site::of(&[]), Site::new());
    let copied = from.copy_to(&to).unwrap();
    assert_eq!((copied.head, copied.keys), (Head::default(), 3));
    from.is(&to);
}

#[test]
fn the_first_commit_that_differs_is_named() {
    for (same, epoch) in EPOCHS.into_iter().enumerate() {
        let (from, to) = (Site::of(&EPOCHS), Site::new());
        for commit in &from.commits()[..same] {
            let appending = to.journal.append(Arc::new(commit.clone()), Vec::new());
            appending.blocking_recv().unwrap().unwrap();
        }
        let other = to.append(epoch, stock());
        to.append(epoch, stock());
        let before = to.commits();
        let number = CommitNumber(same as u64 + 1);
        match from.copy_to(&to).unwrap_err() {
            Error::Differs { number: at, found, expected } => {
                let hashes = (other.hash, from.commits()[same].hash);
                assert_eq!((at, (found, expected)), (number, hashes));
            }
            error => panic!("{error}"),
        }
        assert_eq!((to.commits(), to.keys()), (before, Vec::new()), "nothing was changed");
    }
}

#[test]
fn a_destination_that_has_gone_on_is_refused() {
    let (from, to) = (Site::of(&EPOCHS), Site::new());
    from.copy_to(&to).unwrap();
    to.append(30, stock());
    let error = from.copy_to(&to).unwrap_err();
    assert!(matches!(error, Error::GoneOn { number: CommitNumber(10) }), "{error}");
}

#[test]
fn keys_of_another_site_are_refused_and_stay() {
    let cases = [
        (key("ring/lookup", 9), "ring/lookup"), // As every other site has.
        (key("ring/session", 1), "ring/session"),
        (key("account/1", 2), "account/1"),
        (key("account/9", 1), "account/9"), // Nothing says that it was ever the source's.
    ];
    for (theirs, id) in cases {
        let (from, to) = (Site::of(&EPOCHS), Site::new());
        to.journal.ensure_key(theirs.clone()).unwrap();
        match from.copy_to(&to).unwrap_err() {
            Error::Key { id: found } => assert_eq!(found, id),
            error => panic!("{error}"),
        }
        assert_eq!((to.commits(), to.keys()), (Vec::new(), vec![theirs]));
    }
    // One that was copied, and is destroyed in the source since then, before any commit was there.
    let (from, to) = (Site::of(&EPOCHS), Site::new());
    to.journal.put_keys(vec![key("account/9", 1), key("ring/lookup", 1)]).unwrap();
    from.copy_to(&to).unwrap();
    from.is(&to);
}

#[test]
fn no_key_comes_along_of_anybody_who_is_forgotten() {
    let (from, to) = (Site::of(&EPOCHS), Site::new());
    let account = AccountId(Uuid::new_v4());
    let id = keys::key_id(account);
    from.append(
        20,
        Event::AccountForgotten(AccountForgotten {
            account,
            login: None,
            closed: Vec::new(),
            money: Vec::new(),
        }),
    );
    from.journal.ensure_key(key(&id, 7)).unwrap(); // Whoever forgot them has not come to it yet.
    let copied = from.copy_to(&to).unwrap();
    assert_eq!(copied.keys, 3);
    assert_eq!(to.key_ids(), ["account/1", "account/2", "ring/lookup"]);
}

#[test]
fn a_blob_that_is_lost_stops_a_copy_before_the_commit_that_names_it() {
    let (from, to) = (Site::of(&EPOCHS), Site::new());
    std::fs::remove_dir_all(from.folder.path().join("blobs")).unwrap();
    let error = from.copy_to(&to).unwrap_err().to_string();
    assert!(error.contains("which event 1 names, is lost: there is no such file"), "{error}");
    assert_eq!(to.commits(), []);
    let wishes = Wishes { allow_lost_blobs: true, patience: Duration::from_secs(60) };
    let copied = from.copy_as(&to, wishes, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((copied.blobs, copied.blobs_lost), (0, 1));
    from.is(&to);
}

#[test]
fn whoever_breaks_it_off_finds_a_part_and_goes_on() {
    for after in 1.. {
        let (from, to) = (Site::of(&EPOCHS), Site::new());
        let wishes = Wishes { allow_lost_blobs: false, patience: Duration::from_secs(60) };
        let mut told = 0;
        let broken_off = from.copy_as(&to, wishes, &mut |_| {
            told += 1;
            if told == after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let is_whole = broken_off.is_ok();
        if let Err(error) = broken_off {
            assert!(matches!(error, Error::Read(backup::Error::Stopped)), "{error}");
        }
        from.copy_to(&to).unwrap();
        from.is(&to);
        if is_whole {
            assert!(after > EPOCHS.len(), "it is asked at each commit");
            return;
        }
    }
}

#[test]
fn a_destination_that_fails_or_does_not_answer_ends_it() {
    let (from, to) = (Site::of(&EPOCHS), Site::new());
    to.journal.inject(CommitNumber(4), Fault::Fail);
    let error = from.copy_to(&to).unwrap_err();
    assert!(matches!(error, Error::Journal(_)), "{error}");
    assert_eq!(to.commits(), from.commits()[..3]);

    let to = Site::new();
    let gate = Gate::new();
    to.journal.inject(CommitNumber(4), Fault::Hold(gate.clone()));
    let wishes = Wishes { allow_lost_blobs: false, patience: Duration::from_millis(50) };
    let error = from.copy_as(&to, wishes, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.to_string(), "commit 4 is not there after 50ms; what came before it is");
    assert_eq!(to.commits(), from.commits()[..3]);
    gate.open();
    from.copy_to(&to).unwrap();
    from.is(&to);
}
