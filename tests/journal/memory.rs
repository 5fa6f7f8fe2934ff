//! What the journal in memory does for tests: faults where they are wanted.

use super::*;

#[test]
fn a_failed_append_leaves_nothing_and_a_torn_one_all_or_nothing() {
    for (fault, survives) in [(Fault::Fail, 1), (Fault::TearWithin, 1), (Fault::TearAfter, 2)] {
        let commits = chain(&[&[1], &[1], &[1]]);
        let journal = MemoryJournal::new();
        journal.inject(CommitNumber(2), fault);
        append(&journal, &commits[0], vec![]).unwrap();
        let second = journal.append(Arc::new(commits[1].clone()), vec![key("account/1", 1)]);
        let third = journal.append(Arc::new(commits[2].clone()), vec![]);
        let error = second.blocking_recv().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "cannot append commit 2 to memory: as injected");
        let error = third.blocking_recv().unwrap().unwrap_err();
        assert!(matches!(error, JournalError::Closed(_)), "{error}");
        assert_eq!(*journal.head().borrow(), commits[0].head());
        assert_eq!(journal.read(CommitNumber(0), 9).unwrap(), commits[..1]);
        assert_eq!(journal.wrapped_key("account/1").unwrap(), None);

        let again = MemoryJournal::from_store(journal.store());
        assert_eq!(again.read(CommitNumber(0), 9).unwrap(), commits[..survives]);
        assert_eq!(again.wrapped_key("account/1").unwrap().is_some(), survives == 2);
        append_all(&again, &commits[survives..]);
    }
}

#[tokio::test]
async fn a_gate_holds_an_append_and_all_behind_it() {
    let commits = chain(&[&[1], &[1], &[1]]);
    let journal = MemoryJournal::new();
    let gate = Gate::new();
    journal.inject(CommitNumber(2), Fault::Hold(gate.clone()));
    journal.inject(CommitNumber(3), Fault::Fail);
    let mut answers: Vec<Appending> =
        commits.iter().map(|commit| journal.append(Arc::new(commit.clone()), vec![])).collect();
    gate.reached().await;
    assert!(answers[0].try_recv().unwrap().is_ok());
    assert!(answers[1].try_recv().is_err() && answers[2].try_recv().is_err());
    assert_eq!(*journal.head().borrow(), commits[0].head());
    gate.open();
    assert!(answers[1].try_recv().unwrap().is_ok());
    assert!(answers[2].try_recv().unwrap().is_err());
    assert_eq!(*journal.head().borrow(), commits[1].head());
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_of_the_runtimes_time() {
    let journal = MemoryJournal::new();
    let delay = Duration::from_secs(3600);
    journal.inject(CommitNumber(1), Fault::Delay(delay));
    let started = tokio::time::Instant::now();
    let first = commit(&Head::default(), Epoch(1), &[1]);
    journal.append(Arc::new(first), vec![]).await.unwrap().unwrap();
    assert!(started.elapsed() >= delay);
}

#[test]
fn a_crashed_journal_writes_no_more_into_what_survived() {
    let commits = chain(&[&[1], &[1]]);
    let journal = MemoryJournal::new();
    let gate = Gate::new();
    journal.inject(CommitNumber(2), Fault::Hold(gate.clone()));
    append_all(&journal, &commits[..1]);
    let held = journal.append(Arc::new(commits[1].clone()), vec![]);
    let again = MemoryJournal::from_store(journal.store());
    gate.open();
    let error = held.blocking_recv().unwrap().unwrap_err();
    assert!(matches!(error, JournalError::Closed(_)), "{error}");
    assert_eq!(again.read(CommitNumber(0), 9).unwrap(), commits[..1]);
}
