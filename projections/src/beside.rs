//! Tests of rows that are built beside others, and of order lists of version 1.

use std::{collections::BTreeSet, fs};

use events::Phase;
use expected::LISTS_V1;
use tempfile::TempDir;

use crate::{
    Batch, Error, OrderList, Owner, Projection, Rows, Source, Store, View, Wallets, fixtures::*,
    store::SledStore,
};

/// The order lists as the program before this one kept them.
#[derive(Clone)]
struct ListsV1;

impl View for ListsV1 {
    const NAME: &'static str = OrderList::NAME;
    const VERSION: u32 = 1;

    fn apply(recorded: &events::Recorded, rows: &mut Batch<'_>) -> Result<(), Error> {
        OrderList::apply(recorded, rows)
    }

    fn over(_: Rows) -> Self {
        Self
    }
}

fn names(folder: &TempDir) -> BTreeSet<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn text(rows: &Rows) -> Vec<String> {
    let rows = rows.dump().unwrap();
    rows.iter().map(|(key, _)| key.escape_ascii().to_string()).collect()
}

#[test]
fn lists_of_version_1_are_kept_and_read_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let history = paid_and_cancelled();
    let mut old = Kept::<ListsV1>::open(&folder);
    old.apply(&history[..2]);
    old.projection.close().unwrap();

    let mut opened = Projection::<OrderList>::open_each(folder.path(), &small()).unwrap();
    let mut old = opened.pop().unwrap();
    assert_eq!((old.version(), opened.len(), old.mark()), (1, 0, Some(mark(2))));
    old.apply(&history[2..], mark(history.len() as u64)).unwrap();
    assert_eq!(text(old.rows()), LISTS_V1);
    let view = old.view();
    for owner in [Owner::Buyer(shop(), account(1)), Owner::Store(shop(), store("s"))] {
        let rows = view.list(&owner, &Phase::ALL, None, 10).unwrap();
        assert_eq!((rows.len(), rows[0].phase), (1, Phase::Cancelled));
        assert_eq!(view.counts(&owner).unwrap().of(Phase::Cancelled), 1);
    }
    let all = Owner::Channel(shop());
    let is_older = |error| matches!(error, Error::Older { found: 1, needed: 2 });
    assert!(is_older(view.counts(&all).unwrap_err()));
    assert!(is_older(view.list(&all, &Phase::ALL, None, 10).unwrap_err()));

    let mut new = Projection::<OrderList>::create(folder.path(), &small()).unwrap();
    new.apply(&history, mark(history.len() as u64)).unwrap();
    new.flush().unwrap();
    let writes = (old.rows().writes(), new.rows().writes());
    let retired = old.take_over(new);
    assert_eq!(view.counts(&all).unwrap().of(Phase::Cancelled), 1, "the handle is the same");
    assert_eq!((old.version(), old.mark()), (3, Some(mark(history.len() as u64))));
    assert_eq!(old.rows().writes(), writes.0 + writes.1, "a counter does not fall");
    assert_eq!(names(&folder), ["order_list.v1".into(), "order_list.v3".into()].into());
    retired.remove().unwrap();
    assert_eq!(names(&folder), ["order_list.v3".to_owned()].into());
}

#[test]
fn each_build_has_a_folder_and_those_nobody_can_read_go() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["order_list.v0", "order_list.v0.3", "order_list.v9", "wallets.v0"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let create = || Projection::<OrderList>::create(folder.path(), &small()).unwrap();
    let all = [create(), create(), create()];
    drop(all);
    let opened = Projection::<OrderList>::open_each(folder.path(), &small()).unwrap();
    assert_eq!(opened.len(), 3);
    let left = ["order_list.v3", "order_list.v3.2", "order_list.v3.3"].map(str::to_owned);
    let others = ["order_list.v9", "wallets.v0"].map(str::to_owned);
    assert_eq!(names(&folder), left.into_iter().chain(others).collect());
    drop(opened);
    let newest = Projection::<OrderList>::open(folder.path(), &small()).unwrap();
    newest.retire().remove().unwrap();
    assert!(!names(&folder).contains("order_list.v3.3"));
}

#[test]
fn rows_whose_store_panicked_are_replaced_like_any() {
    struct Panics(Box<dyn Store>);
    impl Source for Panics {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
            self.0.get(key)
        }
        fn range<'a>(
            &'a self,
            range: std::ops::Range<&[u8]>,
        ) -> Box<dyn Iterator<Item = Result<crate::Pair, Error>> + 'a> {
            self.0.range(range)
        }
    }
    impl Store for Panics {
        fn write(&self, _: &mut dyn Iterator<Item = crate::Change<'_>>) -> Result<(), Error> {
            panic!("it is what it is")
        }
        fn flush(&self) -> Result<(), Error> {
            self.0.flush()
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let panics = crate::Options {
        open: |path, cache| Ok(Box::new(Panics(SledStore::open(path, cache)?))),
        ..small()
    };
    let mut log = Log::default();
    log.charge(1, 100);
    let mut old = Kept::<Wallets>::open_with(&folder, &panics);
    let view = old.query();
    let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| old.apply(&log.events)));
    assert!(written.is_err());
    assert!(matches!(view.get(account(1)), Err(Error::Panicked(_))));
    let mut new = Projection::<Wallets>::create(folder.path(), &small()).unwrap();
    new.apply(&log.events, mark(1)).unwrap();
    old.projection.take_over(new).remove().unwrap();
    assert_eq!(view.get(account(1)).unwrap().unwrap().balances, [cny(100)]);
    assert_eq!(names(&folder), ["wallets.v1.2".to_owned()].into());
}

mod expected {
    /// The keys of [`paid_and_cancelled`](super::paid_and_cancelled) as version 1 wrote them.
    pub const LISTS_V1: [&str; 4] = [
        r"\x01\x01shop\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x08\x7f\xff\xff\xff\xff\xff\xfc\x17\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
        r"\x01\x02shop\x00s\x00\x08\x7f\xff\xff\xff\xff\xff\xfc\x17\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
        r"\x02\x01shop\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01",
        r"\x02\x02shop\x00s\x00",
    ];
}
