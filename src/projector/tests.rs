//! Views that follow a journal in memory.

use std::{collections::BTreeMap, fs};

use events::*;
use projections::Owner;
use tempfile::TempDir;

use super::*;
use crate::journal::MemoryJournal;

mod gate;
mod rebuild;
mod unwritten;

const SOON: Duration = Duration::from_secs(20);

fn uuid<T: std::str::FromStr>(n: u64) -> T {
    format!("{n:032x}").parse().unwrap_or_else(|_| panic!("32 hexadecimal digits are a UUID"))
}
fn channel() -> Channel {
    Channel::new("shop").unwrap()
}
fn cny(minor: i64) -> Money {
    Money { minor, currency: Currency::CNY }
}
fn buyer() -> AccountId {
    uuid(1)
}
fn store() -> StoreId {
    StoreId::new("s").unwrap()
}
fn sku() -> Sku {
    Sku::new("a").unwrap()
}

fn charged(amount: i64) -> (Subject, Event) {
    let money = MoneyMove { from: Pot::Outside, to: Pot::Wallet(buyer()), amount: cny(amount) };
    (Subject::account(buyer()), Event::WalletCharged(WalletCharged { account: buyer(), money }))
}

fn opened() -> [(Subject, Event); 2] {
    let added = ListingAdded {
        store: store(),
        sku: sku(),
        title: "A".into(),
        price: cny(100),
        quantity: 1000,
        tags: Vec::new(),
        attributes: BTreeMap::new(),
        pictures: Vec::new(),
    };
    let opened = StoreOpened { store: store(), owner: uuid(2) };
    [
        (Subject::store(&store()), Event::StoreOpened(opened)),
        (Subject::listing(&store(), &sku()), Event::ListingAdded(added)),
    ]
}

fn order(n: u64) -> OrderRef {
    let number = OrderNumber::new(n.to_string()).unwrap();
    OrderRef { number, buyer: buyer(), store: store(), placed_at: Millis(n as i64) }
}

fn effect(from: Option<Phase>, to: Phase) -> Effect {
    Effect {
        from,
        to,
        stock: Vec::new(),
        money: Vec::new(),
        deadlines: Vec::new(),
        payables: Vec::new(),
    }
}

fn placed(n: u64) -> (Subject, Event) {
    let lines = vec![StockLine { sku: sku(), quantity: 2 }];
    let stock = vec![StockMove { word: StockWord::Reserve, store: store(), lines }];
    let placed = OrderPlaced {
        order: order(n),
        by: By::Buyer,
        lifecycle: 1,
        kind: Kind::Physical,
        method: Method::Wallet,
        lines: vec![Line { sku: sku(), quantity: 2, price: cny(100), amount: cny(200) }],
        total: cny(200),
        payable: None,
        effect: Effect { stock, ..effect(None, Phase::AwaitingPayment) },
    };
    (Subject::order(uuid(n)), Event::OrderPlaced(placed))
}

fn paid(n: u64) -> (Subject, Event) {
    let money = vec![MoneyMove { from: Pot::Wallet(buyer()), to: Pot::Held, amount: cny(200) }];
    let effect = Effect { money, ..effect(Some(Phase::AwaitingPayment), Phase::Paid) };
    let paid = OrderStep { order: order(n), by: By::Buyer, effect };
    (Subject::order(uuid(n)), Event::OrderPaid(paid))
}

/// One commit of one decision.
fn commit(head: &Head, events: impl IntoIterator<Item = (Subject, Event)>) -> Commit {
    let command: CommandId = uuid(head.number.0 + 1);
    let mut position = head.position;
    let recorded_at = Millis(1000 * (head.number.0 as i64 + 1));
    let events = events.into_iter().zip(0..).map(|((subject, event), n)| {
        position.0 += 1;
        let id = EventId { command, n };
        let recorded = Recorded { position, id, subject, recorded_at, channel: channel(), event };
        serde_json::to_string(&recorded.envelope()).unwrap()
    });
    let events: Vec<String> = events.collect();
    let header = DecisionHeader {
        command,
        name: "test".into(),
        actor: "system".into(),
        channel: channel(),
        lifecycle: None,
        correlation: None,
        key: None,
        receipt: Receipt { position, recorded_at, orders: Vec::new() },
        events: events.len() as u32,
    };
    let header = serde_json::to_string(&header).unwrap();
    Commit::seal(head, Epoch(1), vec![RecordedDecision { header, events }])
}

fn append(journal: &Arc<dyn Journal>, commit: Commit) -> Position {
    let position = commit.head().position;
    journal.append(Arc::new(commit), Vec::new()).blocking_recv().unwrap().unwrap();
    position
}

fn record(
    journal: &Arc<dyn Journal>,
    events: impl IntoIterator<Item = (Subject, Event)>,
) -> Position {
    let head = *journal.head().borrow();
    append(journal, commit(&head, events))
}

fn journal() -> Arc<dyn Journal> {
    Arc::new(MemoryJournal::new())
}

/// A store, a full wallet, and so many orders, every second one paid.
fn shop(orders: u64) -> Arc<dyn Journal> {
    let journal = journal();
    record(&journal, opened());
    record(&journal, [charged(10_000)]);
    for n in 1..=orders {
        record(&journal, [placed(n)]);
        if n % 2 == 0 {
            record(&journal, [paid(n)]);
        }
    }
    journal
}

fn options() -> Options {
    let keeping = projections::Options {
        boot: "boot".into(),
        cache_bytes: 1 << 20,
        ..projections::Options::default()
    };
    let (gather, write_bytes) = (Duration::ZERO, 0);
    Options { keeping, batch_events: 3, gather, write_bytes, ..Options::default() }
}

/// The version of a view's rows that this program writes.
fn version(view: ViewName) -> u32 {
    match view {
        ViewName::OrderDetail => OrderDetail::VERSION,
        ViewName::OrderList => OrderList::VERSION,
        ViewName::Wallets => Wallets::VERSION,
        ViewName::Catalogue => Catalogue::VERSION,
    }
}

/// The name of the folder that a view makes first.
fn first_folder(view: ViewName) -> String {
    format!("{view}.v{}", version(view))
}

fn start(journal: &Arc<dyn Journal>, folder: &TempDir) -> (Views, Projectors) {
    Views::start(Arc::clone(journal), folder.path(), &options()).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}

fn all_reached(views: &Views, position: Position) {
    for view in ViewName::ALL {
        block_on(views.reached(view, position, SOON)).unwrap();
    }
}

fn dumps(views: &Views) -> [Vec<Pair>; 4] {
    ViewName::ALL.map(|view| views.dump(view).unwrap())
}

fn folded(journal: &Arc<dyn Journal>, upto: Position) -> [Vec<Pair>; 4] {
    let folder = tempfile::tempdir().unwrap();
    dumps(&Views::fold(Arc::clone(journal), upto, folder.path(), &options()).unwrap())
}

#[test]
fn views_equal_a_fresh_fold_at_every_position() {
    let whole = shop(4);
    let follows = journal();
    let folder = tempfile::tempdir().unwrap();
    let (views, projectors) = start(&follows, &folder);
    for commit in whole.read(CommitNumber(0), usize::MAX).unwrap() {
        let position = append(&follows, commit);
        all_reached(&views, position);
        assert_eq!(dumps(&views), folded(&whole, position), "at {position}");
    }
    let [_, lists, _, catalogue] = folded(&whole, Position(1));
    assert_eq!((lists.len(), catalogue.len()), (0, 1), "half of the first commit");
    block_on(projectors.stop());
}

#[test]
fn a_stopped_view_goes_on_where_it_stood() {
    let journal = shop(4);
    let folder = tempfile::tempdir().unwrap();
    let head = journal.head().borrow().position;
    let (views, projectors) = start(&journal, &folder);
    all_reached(&views, head);
    block_on(projectors.stop());
    assert!(matches!(views.wallets.get(buyer()), Err(projections::Error::Closed)));
    drop(views);

    let (views, projectors) = start(&journal, &folder);
    for status in views.status() {
        let it = ViewStatus {
            name: status.name,
            version: version(status.name),
            position: head,
            lag_events: 0,
            lag_ms: Some(0),
            rebuilding: false,
            rebuild: None,
            writes: 0,
            error: None,
        };
        assert_eq!(status, it);
    }
    let position = record(&journal, [placed(5), paid(5)]);
    all_reached(&views, position);
    let owner = Owner::Buyer(channel(), buyer());
    let rows = views.order_list.list(&owner, &[Phase::Paid], None, 10).unwrap();
    assert_eq!(rows.iter().map(|row| row.number.as_str()).collect::<Vec<_>>(), ["5", "4", "2"]);
    assert_eq!(views.wallets.balance(buyer(), Currency::CNY).unwrap(), cny(9400));
    let listing = views.catalogue.listing(&channel(), &store(), &sku()).unwrap().unwrap();
    assert_eq!((listing.shelf, listing.reserved), (990, 10));
    assert_eq!(views.order_detail.get(uuid(5)).unwrap().unwrap().held, cny(200));
    assert_eq!(dumps(&views), folded(&journal, position));
    block_on(projectors.stop());
}

#[test]
fn a_view_of_another_journal_or_of_another_end_begins_anew() {
    let (first, folder) = (shop(3), tempfile::tempdir().unwrap());
    let commits = first.read(CommitNumber(0), usize::MAX).unwrap();
    // The same beginning, another end.
    let fork = journal();
    for commit in &commits[..3] {
        append(&fork, commit.clone());
    }
    for n in 7..=9 {
        record(&fork, [placed(n)]);
    }
    let foreign = journal();
    record(&foreign, [charged(1)]);
    // The same beginning, cut short.
    let short = journal();
    for commit in &commits[..2] {
        append(&short, commit.clone());
    }
    for journal in [first, fork, foreign, short] {
        let head = journal.head().borrow().position;
        let (views, projectors) = start(&journal, &folder);
        all_reached(&views, head);
        assert_eq!(dumps(&views), folded(&journal, head));
        assert!(views.status().iter().all(|status| status.position == head && !status.rebuilding));
        block_on(projectors.stop());
    }
}

#[test]
fn a_view_that_is_not_there_in_time_is_behind() {
    let journal = shop(1);
    let folder = tempfile::tempdir().unwrap();
    let (views, projectors) = start(&journal, &folder);
    let head = journal.head().borrow().position;
    all_reached(&views, head);
    let wanted = Position(head.0 + 1);
    let late = block_on(views.reached(ViewName::Wallets, wanted, Duration::from_millis(5)));
    assert_eq!(late, Err(Behind { view: ViewName::Wallets, at: head, wanted, error: None }));
    let waiting = thread::spawn({
        let views = views.clone();
        move || block_on(views.reached(ViewName::Wallets, wanted, SOON))
    });
    record(&journal, [charged(1)]);
    assert_eq!(waiting.join().unwrap(), Ok(()));
    block_on(projectors.stop());
}

/// What stops a view is in its status, and its rows stay as they were.
fn stops_at(journal: &Arc<dyn Journal>, bad: Commit, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let head = journal.head().borrow().position;
    let (views, projectors) = start(journal, &folder);
    all_reached(&views, head);
    let before = dumps(&views);
    let wanted = append(journal, bad);
    for view in ViewName::ALL {
        let behind = block_on(views.reached(view, wanted, SOON)).unwrap_err();
        assert_eq!(behind.at, head);
        assert!(behind.error.as_deref().unwrap().contains(expected), "{behind:?}");
    }
    for status in views.status() {
        assert!(status.error.unwrap().contains(expected));
        assert_eq!((status.position, status.lag_events, status.lag_ms), (head, 1, Some(1000)));
    }
    assert_eq!(dumps(&views), before);
    block_on(projectors.stop());
}

#[test]
fn an_unreadable_commit_stops_the_views() {
    let journal = shop(1);
    let head = *journal.head().borrow();
    let mut bad = commit(&head, [charged(1)]);
    let event = &mut bad.decisions[0].events[0];
    *event = event.replace(r#""version":1"#, r#""version":9"#);
    let unknown = Commit::seal(&head, Epoch(1), bad.decisions);
    stops_at(&journal, unknown, "cannot read version 9 of wallet.charged");
}

#[test]
fn a_changed_commit_stops_the_views() {
    let journal = shop(1);
    let mut bad = commit(&journal.head().borrow(), [charged(1)]);
    let event = &mut bad.decisions[0].events[0];
    *event = event.replace(r#""minor":1"#, r#""minor":2"#);
    stops_at(&journal, bad, "was changed");
}

#[test]
fn an_event_that_does_not_fit_stops_its_view_alone() {
    let journal = shop(1);
    let folder = tempfile::tempdir().unwrap();
    let (views, projectors) = start(&journal, &folder);
    let wanted = record(&journal, [paid(77)]);
    for view in ViewName::ALL {
        let reached = block_on(views.reached(view, wanted, SOON));
        let fits = matches!(view, ViewName::Wallets | ViewName::Catalogue);
        assert_eq!(reached.is_ok(), fits, "{reached:?}");
    }
    block_on(projectors.stop());
    let aside = |view| folder.path().join(format!("{}.damaged-1", first_folder(view))).exists();
    drop(views);
    let (_, projectors) = start(&journal, &folder);
    assert!(aside(ViewName::OrderDetail) && aside(ViewName::OrderList));
    assert!(!aside(ViewName::Wallets));
    block_on(projectors.stop());
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Views::start(journal(), &file, &options()).err().unwrap();
    assert!(matches!(error, Error::View { view: ViewName::OrderDetail, .. }), "{error}");
}

#[test]
fn commits_near_the_end_are_decoded_once_for_all() {
    let journal = shop(4);
    let reader = Reader::new(Arc::clone(&journal), Tail::default(), 3);
    let head = journal.head_at(CommitNumber(4)).unwrap().unwrap();
    let (one, other) = (reader.after(&head).unwrap(), reader.after(&head).unwrap());
    assert_eq!((one.len(), other.len()), (3, 3));
    assert!(one.iter().zip(&other).all(|(one, other)| Arc::ptr_eq(one, other)));
    let later = reader.after(&one[1].after).unwrap();
    assert!(Arc::ptr_eq(&later[0], &one[2]) && later.len() == 1);
    let elsewhere = Head { hash: Digest([7; 32]), ..head };
    assert!(matches!(reader.after(&elsewhere), Err(JournalError::Chain(_))));
    assert!(reader.after(&journal.head().borrow()).unwrap().is_empty());
}

#[test]
fn views_are_found_by_their_names() {
    for view in ViewName::ALL {
        assert_eq!(view.as_str().parse(), Ok(view));
    }
    let unknown = "orders".parse::<ViewName>().unwrap_err().to_string();
    assert!(unknown.starts_with("there is no view orders"));
    for view in ViewName::ALL {
        assert!(unknown.contains(view.as_str()), "{view} is missing in {unknown}");
    }
}

#[test]
fn a_rebuild_says_how_long_it_takes() {
    let pace = status::Pace::begin(Position(100));
    let none = pace.rebuild(2, Position(100), Position(1100));
    assert_eq!((none.events_done, none.events_total, none.left), (100, 1100, None));
    let half = pace.rebuild(2, Position(600), Position(1100));
    let all = pace.rebuild(2, Position(1100), Position(1100));
    assert!(half.left > Some(Duration::ZERO) && half.events_per_second > 0, "{half:?}");
    assert_eq!(all.left, Some(Duration::ZERO));
}
