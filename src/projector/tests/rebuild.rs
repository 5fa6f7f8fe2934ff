//! Views that are built beside those that serve.

use std::{collections::BTreeSet, path::PathBuf, sync::atomic::AtomicBool};

use projections::{Batch, Projection};

use super::{
    gate::{self, Writes},
    *,
};
use crate::projector::folding::Opened;

fn gated() -> Options {
    let mut options = options();
    options.keeping.open = gate::open;
    options
}

fn start_gated(journal: &Arc<dyn Journal>, folder: &TempDir) -> (Views, Projectors) {
    Views::start(Arc::clone(journal), folder.path(), &gated()).unwrap()
}

fn names(folder: &TempDir) -> BTreeSet<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Waits until so many folders are there: what serves no more is deleted on a thread of its own.
fn are_left(folder: &TempDir, count: usize) {
    let begun = std::time::Instant::now();
    while names(folder).len() != count {
        assert!(begun.elapsed() < SOON, "{:?}", names(folder));
        thread::sleep(Duration::from_millis(5));
    }
}

fn status(views: &Views, view: ViewName) -> ViewStatus {
    views.status().swap_remove(view as usize)
}

/// Waits until what happens beside a view is as wanted.
fn beside(views: &Views, view: ViewName, wanted: impl FnMut(&Beside) -> bool) {
    let mut beside = views.followed(view).beside.subscribe();
    block_on(async {
        tokio::time::timeout(SOON, beside.wait_for(wanted)).await.unwrap().unwrap();
    });
}

fn taken_over(views: &Views, view: ViewName) {
    beside(views, view, |it| matches!(it, Beside::Nothing));
}

/// Builds a view's rows in a folder of their own up to a position, and leaves them as a crash does.
fn leave<V: View>(journal: &Arc<dyn Journal>, name: ViewName, folder: &TempDir, upto: Position) {
    drop(built::<V>(journal, name, folder, upto));
}

fn built<V: View>(
    journal: &Arc<dyn Journal>,
    name: ViewName,
    folder: &TempDir,
    upto: Position,
) -> Folding<V> {
    let reader = Arc::new(Reader::new(Arc::clone(journal), Tail::default(), 3));
    let mut rows = Folding::<V>::create(name, folder.path(), &options(), reader).unwrap();
    while rows.advance(upto).unwrap() {}
    rows
}

/// The order lists as the program before this one kept them.
#[derive(Clone)]
struct ListsV1;

impl View for ListsV1 {
    const NAME: &'static str = OrderList::NAME;
    const VERSION: u32 = 1;

    fn apply(recorded: &Recorded, rows: &mut Batch<'_>) -> Result<(), projections::Error> {
        OrderList::apply(recorded, rows)
    }

    fn over(_: Rows) -> Self {
        Self
    }
}

/// Places order after order, and after each asks every view whether it knows of it.
struct Customer {
    journal: Arc<dyn Journal>,
    views: Views,
    orders: u64,
    balance: i64,
}

impl Customer {
    fn new(journal: &Arc<dyn Journal>, views: &Views, orders: u64, balance: i64) -> Self {
        Self { journal: Arc::clone(journal), views: views.clone(), orders, balance }
    }

    fn order(&mut self) {
        self.orders += 1;
        self.balance += 1;
        let position = record(&self.journal, [placed(self.orders), charged(1)]);
        all_reached(&self.views, position);
        self.look();
    }

    fn look(&self) {
        let Self { views, orders, balance, .. } = self;
        let mut owners = vec![Owner::Buyer(channel(), buyer()), Owner::Store(channel(), store())];
        let all = Owner::Channel(channel());
        match views.order_list.counts(&all) {
            Err(projections::Error::Older { found: 1, needed: 2 }) => {}
            answer => {
                answer.unwrap();
                owners.push(all);
            }
        }
        for owner in owners {
            assert_eq!(views.order_list.counts(&owner).unwrap().total(), *orders, "{owner:?}");
            let newest = views.order_list.list(&owner, &Phase::ALL, None, 1).unwrap();
            assert_eq!(newest[0].number.as_str(), orders.to_string());
        }
        assert!(views.order_detail.get(uuid(*orders)).unwrap().is_some());
        assert_eq!(views.wallets.balance(buyer(), Currency::CNY).unwrap(), cny(*balance));
        let listing = views.catalogue.listing(&channel(), &store(), &sku()).unwrap().unwrap();
        assert_eq!(listing.reserved, 2 * *orders as i64);
    }
}

/// Goes on ordering on a thread of its own while something is done; gives the customer back.
fn while_ordering(mut customer: Customer, work: impl FnOnce()) -> Customer {
    let over = Arc::new(AtomicBool::new(false));
    let ordering = thread::spawn({
        let over = Arc::clone(&over);
        move || {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                customer.order();
            }
            customer
        }
    });
    work();
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    ordering.join().unwrap()
}

/// Where the rows are that a rebuild builds.
fn next_folders(folder: &TempDir, number: u32) -> [PathBuf; 4] {
    ViewName::ALL.map(|view| folder.path().join(format!("{}.{number}", first_folder(view))))
}

#[test]
fn every_query_sees_every_write_while_views_are_rebuilt() {
    let journal = shop(60);
    let folder = tempfile::tempdir().unwrap();
    let (views, projectors) = start_gated(&journal, &folder);
    all_reached(&views, journal.head().borrow().position);
    // 60 orders of 200, half of them paid; all of them hold what they reserved.
    let mut customer = Customer::new(&journal, &views, 60, 10_000 - 30 * 200);
    customer.look();
    for round in 2..5 {
        let next = next_folders(&folder, round);
        for path in &next {
            gate::set(path, Some(Writes::Only(0)));
        }
        for view in ViewName::ALL {
            views.rebuild(view).unwrap();
            assert_eq!(views.rebuild(view), Err(NoRebuild::UnderWay(view)));
        }
        // Batch by batch, as far as what is built beside is far from done.
        for _ in 0..15 {
            for path in &next {
                gate::set(path, Some(Writes::Only(1)));
                gate::used_up(path);
            }
            customer.order();
        }
        for status in views.status() {
            let rebuild = status.rebuild.unwrap();
            assert!(rebuild.events_done < rebuild.events_total, "{rebuild:?}");
            assert_eq!((rebuild.error, status.rebuilding), (None, false));
            assert_eq!(status.lag_events, 0);
        }
        are_left(&folder, 8);
        customer = while_ordering(customer, || {
            next.iter().for_each(|path| gate::set(path, None));
            ViewName::ALL.iter().for_each(|view| taken_over(&views, *view));
        });
        for _ in 0..3 {
            customer.order();
        }
        assert!(views.status().iter().all(|it| it.rebuild.is_none() && it.error.is_none()));
    }
    let position = journal.head().borrow().position;
    assert_eq!(dumps(&views), folded(&journal, position));
    block_on(projectors.stop());
    for view in ViewName::ALL {
        assert_eq!(views.rebuild(view), Err(NoRebuild::Closed(view)));
    }
    let left = next_folders(&folder, 4).map(|path| path.file_name().unwrap().to_owned());
    assert_eq!(names(&folder), left.map(|name| name.into_string().unwrap()).into());
    drop((views, customer));

    let (views, projectors) = start(&journal, &folder);
    assert!(views.status().iter().all(|it| it.position == position && it.rebuild.is_none()));
    assert_eq!(dumps(&views), folded(&journal, position));
    block_on(projectors.stop());
}

#[test]
fn rows_of_an_older_version_serve_until_the_new_ones_take_over() {
    let journal = shop(60);
    let folder = tempfile::tempdir().unwrap();
    let (views, projectors) = start(&journal, &folder);
    let head = journal.head().borrow().position;
    all_reached(&views, head);
    block_on(projectors.stop());
    drop(views);
    let next = folder.path().join(first_folder(ViewName::OrderList));
    fs::remove_dir_all(&next).unwrap();
    let old = built::<ListsV1>(&journal, ViewName::OrderList, &folder, head);
    old.projection.close().unwrap();

    gate::set(&next, Some(Writes::Only(0)));
    let (views, projectors) = start_gated(&journal, &folder);
    let mut customer = Customer::new(&journal, &views, 60, 4000);
    let it = status(&views, ViewName::OrderList);
    assert_eq!((it.version, it.position, it.rebuilding), (1, head, false), "it serves at once");
    assert_eq!(it.rebuild.unwrap().version, OrderList::VERSION);
    customer.look();
    for _ in 0..15 {
        gate::set(&next, Some(Writes::Only(1)));
        gate::used_up(&next);
        customer.order();
    }
    let all = Owner::Channel(channel());
    let older = views.order_list.counts(&all).unwrap_err();
    assert!(matches!(older, projections::Error::Older { found: 1, needed: 2 }));
    assert_eq!(views.rebuild(ViewName::OrderList), Err(NoRebuild::UnderWay(ViewName::OrderList)));
    customer = while_ordering(customer, || {
        gate::set(&next, None);
        taken_over(&views, ViewName::OrderList);
    });
    assert_eq!(status(&views, ViewName::OrderList).version, OrderList::VERSION);
    assert_eq!(views.order_list.counts(&all).unwrap().total(), customer.orders);
    let position = journal.head().borrow().position;
    assert_eq!(dumps(&views), folded(&journal, position));
    block_on(projectors.stop());
    assert!(!folder.path().join("order_list.v1").exists());
}

/// A view whose folders a crash left like this serves at once all that it served before, finishes
/// what was begun, and keeps one folder.
fn is_whole(journal: &Arc<dyn Journal>, folder: &TempDir, served: Position, what: &str) {
    let (views, projectors) = start(journal, folder);
    let position = status(&views, ViewName::OrderList).position;
    assert!(position >= served, "{what}: {position} is before {served}");
    let head = journal.head().borrow().position;
    all_reached(&views, head);
    taken_over(&views, ViewName::OrderList);
    assert_eq!(dumps(&views), folded(journal, head), "{what}");
    block_on(projectors.stop());
    let mut left = names(folder);
    // What was set aside is there for whoever wants to look.
    left.retain(|name| name.starts_with("order_list") && !name.contains("damaged"));
    let newest = left.pop_first().unwrap();
    let is_newest = newest.starts_with(&first_folder(ViewName::OrderList));
    assert!(left.is_empty() && is_newest, "{what}: {newest}, {left:?}");
}

#[test]
fn a_take_over_survives_a_crash_at_each_step() {
    let journal = shop(12);
    let head = journal.head().borrow().position;
    let half = Position(head.0 / 2);
    let name = ViewName::OrderList;
    type Leave = fn(&Arc<dyn Journal>, ViewName, &TempDir, Position);
    let newest = first_folder(name);
    let versions: [(Leave, &str); 2] =
        [(leave::<OrderList>, &newest), (leave::<ListsV1>, "order_list.v1")];
    for (leave_old, old) in versions {
        let check = |what: &str, served: Position, then: &dyn Fn(&TempDir)| {
            let folder = tempfile::tempdir().unwrap();
            leave_old(&journal, name, &folder, head);
            then(&folder);
            is_whole(&journal, &folder, served, &format!("{old}: {what}"));
        };
        check("before", head, &|_| {});
        check("an empty folder", head, &|folder| {
            leave::<OrderList>(&journal, name, folder, Position(0));
        });
        check("half built", head, &|folder| leave::<OrderList>(&journal, name, folder, half));
        check("built", head, &|folder| leave::<OrderList>(&journal, name, folder, head));
        check("built, and not all of it handed over", head, &|folder| {
            leave::<OrderList>(&journal, name, folder, Position(head.0 - 1));
        });
        check("about to be deleted", head, &|folder| {
            leave::<OrderList>(&journal, name, folder, head);
            let folder = folder.path();
            fs::rename(folder.join(old), folder.join(format!("{old}.gone"))).unwrap();
        });
        check("half deleted", head, &|folder| {
            leave::<OrderList>(&journal, name, folder, head);
            let (folder, gone) = (folder.path(), folder.path().join(format!("{old}.gone")));
            fs::rename(folder.join(old), &gone).unwrap();
            fs::remove_file(gone.join("db")).unwrap();
        });
        check("deleted", head, &|folder| {
            leave::<OrderList>(&journal, name, folder, head);
            fs::remove_dir_all(folder.path().join(old)).unwrap();
        });
        check("the old one damaged", half, &|folder| {
            leave::<OrderList>(&journal, name, folder, half);
            fs::write(folder.path().join(old).join("rebuild"), "a row").unwrap();
        });
        check("the new one damaged", head, &|folder| {
            leave::<OrderList>(&journal, name, folder, half);
            let newer = names(folder).pop_last().unwrap();
            fs::write(folder.path().join(newer).join("rebuild"), "a row").unwrap();
        });
    }
}

#[test]
fn a_rebuild_that_was_stopped_goes_on_at_the_next_start() {
    let journal = shop(30);
    let folder = tempfile::tempdir().unwrap();
    let (views, projectors) = start_gated(&journal, &folder);
    all_reached(&views, journal.head().borrow().position);
    let next = folder.path().join("wallets.v1.2");
    gate::set(&next, Some(Writes::Only(4)));
    views.rebuild(ViewName::Wallets).unwrap();
    gate::used_up(&next);
    projectors.stop.send_replace(true); // Before the builder can go on.
    gate::set(&next, None);
    block_on(projectors.stop());
    drop(views);

    let reader = Arc::new(Reader::new(Arc::clone(&journal), Tail::default(), 3));
    let opened = Opened::<Wallets>::open(ViewName::Wallets, folder.path(), &options(), &reader);
    let Opened { serving, beside } = opened.unwrap();
    let (at, of) = (beside.as_ref().unwrap().position(), serving.position());
    assert!(Position(0) < at && at < of, "{at} of {of}");
    for rows in beside.into_iter().chain([serving]) {
        rows.projection.close().unwrap();
    }

    let (views, projectors) = start(&journal, &folder);
    taken_over(&views, ViewName::Wallets);
    assert_eq!(dumps(&views), folded(&journal, of));
    block_on(projectors.stop());
    assert!(names(&folder).contains("wallets.v1.2") && !names(&folder).contains("wallets.v1"));
}

#[test]
fn a_rebuild_ends_with_those_who_would_stop_it() {
    let journal = shop(30);
    let folder = tempfile::tempdir().unwrap();
    let (views, projectors) = start_gated(&journal, &folder);
    all_reached(&views, journal.head().borrow().position);
    let next = folder.path().join("catalogue.v1.2");
    gate::set(&next, Some(Writes::Only(4)));
    views.rebuild(ViewName::Catalogue).unwrap();
    gate::used_up(&next);
    let mut progress = views.followed(ViewName::Catalogue).progress.clone();
    drop(projectors);
    gate::set(&next, None);
    let ended = async { while progress.changed().await.is_ok() {} };
    block_on(async { tokio::time::timeout(SOON, ended).await.unwrap() });
    assert!(names(&folder).contains("catalogue.v1") && names(&folder).contains("catalogue.v1.2"));
}

#[test]
fn a_view_that_panicked_is_rebuilt_without_a_restart() {
    let journal = shop(5);
    let folder = tempfile::tempdir().unwrap();
    let (views, projectors) = start_gated(&journal, &folder);
    let head = journal.head().borrow().position;
    all_reached(&views, head);
    gate::set(&folder.path().join("wallets.v1"), Some(Writes::Panic));
    gate::set(&folder.path().join("wallets.v1.2"), Some(Writes::Panic));
    let position = record(&journal, [charged(1)]);
    let behind = block_on(views.reached(ViewName::Wallets, position, SOON)).unwrap_err();
    assert!(behind.error.unwrap().contains("panicked"));

    views.rebuild(ViewName::Wallets).unwrap();
    beside(&views, ViewName::Wallets, |it| matches!(it, Beside::Failed { .. }));
    let it = status(&views, ViewName::Wallets);
    assert_eq!(it.rebuild.unwrap().error.as_deref(), Some("the view panicked"));
    assert_eq!(it.position, head);

    views.rebuild(ViewName::Wallets).unwrap();
    block_on(views.reached(ViewName::OrderList, position, SOON)).unwrap();
    taken_over(&views, ViewName::Wallets);
    block_on(views.reached(ViewName::Wallets, position, SOON)).unwrap();
    assert_eq!(dumps(&views), folded(&journal, position));
    assert_eq!(status(&views, ViewName::Wallets).error, None);
    block_on(projectors.stop());
    drop(views);

    let (views, projectors) = start(&journal, &folder);
    assert_eq!(status(&views, ViewName::Wallets).position, position);
    let left = names(&folder);
    let left: Vec<_> = left.iter().filter(|name| name.starts_with("wallets")).collect();
    // Of the two that are damaged, one is kept.
    assert_eq!(left, ["wallets.v1.3", "wallets.v1.damaged-2"]);
    block_on(projectors.stop());
}

#[test]
fn a_status_waits_for_nobody() {
    let journal = shop(5);
    let folder = tempfile::tempdir().unwrap();
    let (views, projectors) = start_gated(&journal, &folder);
    let head = journal.head().borrow().position;
    all_reached(&views, head);
    let paths = ViewName::ALL.map(|view| folder.path().join(first_folder(view)));
    paths.iter().for_each(|path| gate::set(path, Some(Writes::Only(0))));
    record(&journal, [placed(6), charged(1)]);
    for it in views.status() {
        assert_eq!((it.position, it.lag_events), (head, 2));
    }
    paths.iter().for_each(|path| gate::set(path, None));
    block_on(projectors.stop());
}

#[test]
fn folders_of_versions_that_nobody_reads_go() {
    let journal = shop(2);
    let folder = tempfile::tempdir().unwrap();
    for name in ["order_list.v0", "wallets.v0", "wallets.v7"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    // Of another journal, and so of no use.
    let foreign = super::journal();
    record(&foreign, [charged(1)]);
    leave::<ListsV1>(&foreign, ViewName::OrderList, &folder, Position(1));
    let (views, projectors) = start(&journal, &folder);
    all_reached(&views, journal.head().borrow().position);
    assert!(views.status().iter().all(|it| it.rebuild.is_none()));
    block_on(projectors.stop());
    let left = ViewName::ALL.map(first_folder).into_iter().chain(["wallets.v7".to_owned()]);
    assert_eq!(names(&folder), left.collect());
    assert!(
        Projection::<Wallets>::open_each(folder.path(), &options().keeping).unwrap().len() == 1
    );
}
