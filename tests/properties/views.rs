//! Views are the fold of the journal, however its commits are cut into batches.

use std::{sync::Arc, time::Duration};

use docket::{
    engine::Request,
    journal::{Journal, MemoryJournal},
    projector::{Options, ViewName, Views},
};
use events::{CommitNumber, Position};
use projections::Pair;
use proptest::prelude::*;

use super::{
    given::begin,
    site::{Everything, Site, cases, paused},
    steps::{Proof, Step, What, Who, beginning, opening, steps},
};

const SOON: Duration = Duration::from_secs(60);
/// More events than any journal here has: all of them in one batch.
const ALL: usize = 100_000;

/// A journal of the engine's own, its commits as large as the bursts.
fn written(begun: Vec<Step>, bursts: &[Vec<Step>]) -> Arc<dyn Journal> {
    paused(async {
        let site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        begin(&site, begun).await;
        let mut everything = Everything::default();
        for burst in bursts {
            for few in burst.chunks(7) {
                everything.catch_up(&site);
                let mut sent = Vec::new();
                for step in few {
                    sent.push(site.send(Request::new(step.command(&everything.world))).await);
                }
                for answer in sent {
                    let _ = answer.await.unwrap(); // Refused, many of them.
                }
            }
            site.clock.pass(Duration::from_secs(500)).await;
        }
        let journal: Arc<dyn Journal> = Arc::clone(&site.journal) as _;
        site.stop().await.unwrap();
        journal
    })
}

fn options(batch_events: usize) -> Options {
    let keeping = projections::Options {
        boot: "boot".into(),
        cache_bytes: 1 << 20,
        ..projections::Options::default()
    };
    Options { keeping, batch_events, ..Options::default() }
}

fn dumps(views: &Views) -> [Vec<Pair>; 4] {
    ViewName::ALL.map(|view| views.dump(view).unwrap())
}

fn folded(journal: &Arc<dyn Journal>, upto: Position, batch_events: usize) -> [Vec<Pair>; 4] {
    let folder = tempfile::tempdir().unwrap();
    let options = options(batch_events);
    dumps(&Views::fold(Arc::clone(journal), upto, folder.path(), &options).unwrap())
}

/// Follows a copy of the journal as it grows, so many commits at a time, and compares at each stop.
fn followed(journal: &Arc<dyn Journal>, cuts: impl Iterator<Item = usize>, batch_events: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let copy: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let folder = tempfile::tempdir().unwrap();
    let (views, projectors) =
        Views::start(Arc::clone(&copy), folder.path(), &options(batch_events)).unwrap();
    let mut commits = journal.read(CommitNumber(0), usize::MAX).unwrap().into_iter().peekable();
    let mut cuts = cuts.chain(std::iter::repeat(1));
    while commits.peek().is_some() {
        for commit in commits.by_ref().take(cuts.next().unwrap().max(1)) {
            copy.append(Arc::new(commit), Vec::new()).blocking_recv().unwrap().unwrap();
        }
        let position = copy.head().borrow().position;
        for view in ViewName::ALL {
            runtime.block_on(views.reached(view, position, SOON)).unwrap();
        }
        assert_eq!(dumps(&views), folded(journal, position, ALL), "at {position}");
    }
    runtime.block_on(projectors.stop());
}

proptest! {
    #![proptest_config(cases(5))]

    #[test]
    fn views_do_not_depend_on_batches(
        bursts in prop::collection::vec(steps(4..16), 1..5),
        cuts in prop::collection::vec(1..9usize, 40),
        batch_events in 1..20usize,
        positions in prop::collection::vec(any::<prop::sample::Index>(), 4),
    ) {
        let journal = written([beginning(), opening(2)].concat(), &bursts);
        let head = journal.head().borrow().position;
        followed(&journal, cuts.into_iter(), batch_events);
        let positions = positions.iter().map(|index| Position(index.index(head.0 as usize) as u64 + 1));
        for position in positions.chain([head]) {
            let whole = folded(&journal, position, ALL);
            prop_assert_eq!(&folded(&journal, position, 1), &whole, "commit by commit, {}", position);
            prop_assert_eq!(&folded(&journal, position, batch_events), &whole, "{}", position);
        }
    }
}

#[test]
fn views_equal_a_fresh_fold_at_every_position() {
    // Two orders from the shelf to their buyers, one in each channel, and what ends by itself.
    let go = |n: usize| {
        let (channel, what) = (n % 2, What::Go { order: 0, nth: 1 });
        Step { channel, home: channel, who: Who::Right, proof: Proof::Password, what }
    };
    let lives: Vec<_> = (0..12).map(|n| vec![go(n)]).collect();
    let journal = written(beginning(), &lives);
    followed(&journal, std::iter::empty(), 1);
    for position in (1..=journal.head().borrow().position.0).map(Position) {
        assert_eq!(folded(&journal, position, 1), folded(&journal, position, ALL), "at {position}");
    }
}
