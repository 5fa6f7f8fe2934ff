//! Answers are shared, and none is older than whoever gets it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use super::*;

/// Whom everybody asks. Counts everything that happens, so that before and after can be told.
#[derive(Default)]
struct Oracle {
    happened: AtomicU64,
    in_flight: AtomicU64,
    sent: AtomicU64,
}

/// Leaves the flight when it ends, or when nobody waits for it any more.
struct Flight<'a>(&'a Oracle);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Oracle {
    fn now(&self) -> u64 {
        self.happened.fetch_add(1, Ordering::SeqCst)
    }

    /// Answers with when it was asked, after a while that differs from time to time.
    async fn ask(&self) -> u64 {
        assert_eq!(self.in_flight.fetch_add(1, Ordering::SeqCst), 0, "two questions at once");
        let (_flight, asked) = (Flight(self), self.now());
        let sent = self.sent.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(1 + sent * 7 % 13)).await;
        asked
    }

    /// A reader who begins at some moment and may lose patience.
    async fn reader(&self, all: &Coalescer<u64>, begins_ms: u64, patience_ms: u64) -> Option<u64> {
        sleep(Duration::from_millis(begins_ms)).await;
        let began = self.now();
        let patience = Duration::from_millis(patience_ms);
        let asked = timeout(patience, all.ask(|| self.ask())).await.ok()?;
        assert!(asked > began, "asked at {asked} for a reader who came at {began}");
        Some(asked)
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(test)
}

/// Runs all of them at once, each as often as anything happens.
async fn together<T: Send + 'static>(
    readers: Vec<impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = readers.into_iter().map(tokio::spawn).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

proptest! {
    /// Whenever readers come and go, nobody gets an answer that was asked for before they came,
    /// whoever has patience gets one, and one question is in flight at a time.
    #[test]
    fn no_reader_gets_an_answer_from_before_it_asked(
        readers in prop::collection::vec((0..60_u64, prop_oneof![Just(1000_u64), 0..20_u64]), 1..60),
    ) {
        run(async {
            let shared = Arc::new((Oracle::default(), Coalescer::default()));
            let all = readers.iter().map(|&(begins, patience)| {
                let shared = Arc::clone(&shared);
                async move { shared.0.reader(&shared.1, begins, patience).await }
            });
            let answers = together(all.collect()).await;
            for ((_, patience), answer) in readers.iter().zip(answers) {
                assert!(*patience < 1000 || answer.is_some(), "a patient reader got nothing");
            }
        });
    }
}

/// Readers of one oracle who begin at these moments and have this much patience.
fn readers(of: &[(u64, u64)]) -> (Vec<Option<u64>>, u64) {
    run(async {
        let shared = Arc::new((Oracle::default(), Coalescer::default()));
        let all = of.iter().map(|&(begins, patience)| {
            let shared = Arc::clone(&shared);
            async move { shared.0.reader(&shared.1, begins, patience).await }
        });
        (together(all.collect()).await, shared.0.sent.load(Ordering::SeqCst))
    })
}

#[test]
fn those_who_come_while_a_question_is_in_flight_share_the_next() {
    // The first question takes 1 ms, the second 8, the third 2.
    let (answers, sent) = readers(&[(0, 99), (10, 99), (12, 99), (13, 99), (17, 99)]);
    assert_eq!(sent, 3);
    assert!(answers.iter().all(Option::is_some), "{answers:?}");
    assert!(answers[1] < answers[2] && answers[0] < answers[1], "{answers:?}");
    assert_eq!(answers[2], answers[3]);
    assert_eq!(answers[3], answers[4]);
}

#[test]
fn one_who_loses_patience_leaves_the_question_to_the_others() {
    // The third question is in flight from 13 to 15 ms; the reader who sent it goes at 14.
    let (answers, sent) = readers(&[(0, 99), (5, 99), (6, 8), (7, 99), (8, 99)]);
    assert_eq!((answers[2], sent), (None, 4), "{answers:?}");
    assert!(answers[3].is_some() && answers[3] == answers[4], "{answers:?}");
}
