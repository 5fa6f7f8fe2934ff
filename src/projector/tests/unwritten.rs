//! What is taken in and not yet written, and what need not be read.

use super::{super::folding::Opened, *};

/// As [`options`], but what is taken in stays unwritten as long as it may.
fn unwritten(after: Duration) -> Options {
    Options { write_bytes: usize::MAX, write_after: after, ..options() }
}

#[test]
fn what_is_taken_in_is_seen_and_written_in_its_time() {
    let journal = shop(4);
    let folder = tempfile::tempdir().unwrap();
    let (head, never) = (journal.head().borrow().position, unwritten(Duration::from_secs(3600)));
    let (views, projectors) = Views::start(Arc::clone(&journal), folder.path(), &never).unwrap();
    all_reached(&views, head);
    assert_eq!(dumps(&views), folded(&journal, head));
    assert!(views.status().iter().all(|it| it.writes == 0), "nothing is written");
    block_on(projectors.stop());
    drop(views);
    let (views, projectors) = Views::start(Arc::clone(&journal), folder.path(), &never).unwrap();
    assert!(views.status().iter().all(|it| it.position == head), "closing writes all");
    block_on(projectors.stop());
    drop(views);

    // Nothing comes any more, and yet it is written.
    let soon = unwritten(Duration::from_millis(10));
    let (views, projectors) = Views::start(Arc::clone(&journal), folder.path(), &soon).unwrap();
    let head = record(&journal, [placed(5), charged(1)]);
    all_reached(&views, head);
    let written = || views.status().iter().all(|it| it.writes > 0);
    let begun = std::time::Instant::now();
    while !written() {
        assert!(begun.elapsed() < SOON, "it waits for ever");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(dumps(&views), folded(&journal, head));
    block_on(projectors.stop());
}

#[test]
fn what_was_not_written_is_taken_in_again_after_a_crash() {
    let journal = shop(4);
    let folder = tempfile::tempdir().unwrap();
    let half = Position(journal.head().borrow().position.0 / 2);
    for (upto, written) in [(half, true), (Position(u64::MAX), false)] {
        let name = ViewName::OrderList;
        let never = unwritten(Duration::from_secs(3600));
        let reader = Arc::new(Reader::new(Arc::clone(&journal), Tail::default(), 3));
        let opened = Opened::<OrderList>::open(name, folder.path(), &never, &reader).unwrap();
        let mut rows = opened.serving;
        while rows.advance(upto).unwrap() {}
        if written {
            rows.flush().unwrap();
        }
        assert!(rows.position() >= half);
        drop(rows); // As a crash leaves it.
    }
    let (views, projectors) = start(&journal, &folder);
    let head = journal.head().borrow().position;
    all_reached(&views, head);
    assert_eq!(dumps(&views), folded(&journal, head));
    block_on(projectors.stop());
}

#[test]
fn queries_go_on_while_rows_are_written() {
    let journal = shop(4);
    let folder = tempfile::tempdir().unwrap();
    let mut options = options();
    options.keeping.open = gate::open;
    let (views, projectors) = Views::start(Arc::clone(&journal), folder.path(), &options).unwrap();
    all_reached(&views, journal.head().borrow().position);
    let path = folder.path().join(first_folder(ViewName::Wallets));
    gate::set(&path, Some(gate::Writes::Only(0)));
    record(&journal, [charged(1)]);
    gate::waited_for(&path);
    // What is being written shows already: both are of one moment.
    assert_eq!(views.wallets.balance(buyer(), Currency::CNY).unwrap(), cny(9601));
    gate::set(&path, None);
    block_on(projectors.stop());
}

#[test]
fn what_the_engine_has_just_recorded_is_not_read() {
    let (journal, folder) = (shop(4), tempfile::tempdir().unwrap());
    let reader = Reader::new(Arc::clone(&journal), Tail::default(), 1000);
    let tail = Tail::keeping(1000);
    let commits = reader.after(&Head::default()).unwrap();
    commits.iter().for_each(|commit| tail.push(Arc::clone(commit)));
    let behind = Reader::new(Arc::clone(&journal), tail.clone(), 3);
    let found = behind.after(&commits[0].after).unwrap();
    assert!(Arc::ptr_eq(&found[0], &commits[1]));
    assert_eq!(behind.newest_recorded_at(), Some(found[2].events[0].recorded_at));

    let options = Options { tail, ..options() };
    let (views, projectors) = Views::start(Arc::clone(&journal), folder.path(), &options).unwrap();
    let head = journal.head().borrow().position;
    all_reached(&views, head);
    assert_eq!(dumps(&views), folded(&journal, head));
    // One that is not in the tail is read.
    let head = record(&journal, [charged(1)]);
    all_reached(&views, head);
    assert_eq!(dumps(&views), folded(&journal, head));
    block_on(projectors.stop());
}
