//! What a decision and a commit may weigh, and how many commands share a commit.

use docket::{
    domain::{Action, Caller, Credential, DECISION_BYTES_MAX, Rejection, lifecycle::Word},
    engine::{Error, Request},
    journal::Journal as _,
};
use events::*;
use proptest::prelude::*;

use super::site::{
    Site, adopt, cases, channel, cny, command, idle, in_each_channel, listing, paused, place_in,
    sku, somebody, store,
};

const COMMIT_BYTES_MAX: usize = 512 * 1024;

fn titled(n: u8, bytes: usize) -> Action {
    let mut action = listing(store(0), sku(n), cny(1), 1);
    if let Action::AddListing(listing) = &mut action {
        listing.title = "x".repeat(bytes);
    }
    action
}

fn sizes(site: &Site) -> Vec<usize> {
    let commits = site.journal.read(CommitNumber(0), usize::MAX).unwrap();
    let size = |commit: &Commit| commit.decisions.iter().map(RecordedDecision::bytes).sum();
    commits.iter().map(size).collect()
}

#[test]
fn a_decision_that_is_too_large_leaves_nothing() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, _) = site.shop(&[], 0).await;
        let before = site.world();
        // The largest that fits, to the byte, and the smallest that does not.
        let mut bytes = DECISION_BYTES_MAX;
        let refused = site.give(command(somebody(seller), titled(0, bytes))).await;
        let Err(Error::Rejected(Rejection::TooLarge { bytes: found })) = refused else {
            panic!("{refused:?}")
        };
        bytes -= found - DECISION_BYTES_MAX;
        let refused = site.give(command(somebody(seller), titled(0, bytes + 1))).await;
        let bytes_found = DECISION_BYTES_MAX + 1;
        assert_eq!(refused, Err(Error::Rejected(Rejection::TooLarge { bytes: bytes_found })));
        assert_eq!(site.world(), before);
        site.give(command(somebody(seller), titled(0, bytes))).await.unwrap();
        assert_eq!(sizes(&site).last(), Some(&DECISION_BYTES_MAX));
    });
}

/// An order that could be placed can be shipped: its later events are no larger.
#[test]
fn the_largest_order_lives_to_its_end() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[], 1_000_000).await;
        for adopted in adopt(&channel(), &[("max_lines", "100000")]) {
            site.give(adopted).await.unwrap();
        }
        let name = |n: usize| Sku::new(format!("{}{n:05}", "\u{1}".repeat(250))).unwrap();
        let mut lines = Vec::new();
        let mut newest = None;
        for n in 0..100 {
            site.give(command(somebody(seller), listing(store(0), name(n), cny(1), 9)))
                .await
                .unwrap();
            lines.push((name(n), 1));
            let (order, placed) = place_in(store(0), lines.clone());
            match site.give(command(somebody(buyer), placed)).await {
                Ok(_) => newest = Some(order),
                Err(Error::Rejected(Rejection::TooLarge { .. })) => break,
                // Each order before took one of each.
                Err(Error::Rejected(Rejection::Short { .. })) => {
                    let more = |sku| Action::AddStock { store: store(0), sku, quantity: 100 };
                    for (sku, _) in &lines {
                        site.give(command(somebody(seller), more(sku.clone()))).await.unwrap();
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
        let order = newest.unwrap();
        assert!((70..90).contains(&site.world().orders[&order].lines.len()));
        for (by, word) in [(buyer, Word::Pay), (seller, Word::Ship), (buyer, Word::Receive)] {
            let action = Action::Step { order, store: None, word };
            site.give(command(somebody(by), action)).await.unwrap();
        }
    });
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn commits_keep_their_bound_under_a_flood(
        large in prop::collection::vec(0..300_000usize, 1..40),
    ) {
        paused(async {
            let site = Site::new(|_| {}).await;
            let (seller, _) = site.shop(&[], 0).await;
            let gate = site.hold();
            let mut answers = Vec::new();
            for (n, bytes) in (0..).zip(&large) {
                let action = titled(n, *bytes);
                answers.push(site.send(Request::new(command(somebody(seller), action))).await);
            }
            idle().await;
            gate.open();
            let mut accepted = 0;
            for answer in answers {
                match answer.await.unwrap() {
                    Ok(_) => accepted += 1,
                    Err(Error::Rejected(Rejection::TooLarge { .. })) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(site.world().channels[&super::site::channel()].stores[&store(0)].listings.len(), accepted);
            assert!(sizes(&site).iter().all(|size| *size <= COMMIT_BYTES_MAX), "{:?}", sizes(&site));
        });
    }
}

#[test]
fn commands_that_come_together_share_a_commit() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[], 0).await;
        let before = sizes(&site).len();
        let gate = site.hold();
        let mut answers = Vec::new();
        for _ in 0..300 {
            let funded = command(somebody(buyer), Action::Fund { amount: cny(1) });
            answers.push(site.send(Request::new(funded)).await);
        }
        gate.open();
        for answer in answers {
            answer.await.unwrap().unwrap();
        }
        // Four may be on their way; all the others share one.
        let commits = sizes(&site).len() - before;
        assert!((2..=5).contains(&commits), "{commits} commits");
    });
}

/// What was refused takes no part in a commit, and waits for none where nothing is under way.
#[test]
fn refusals_alone_make_no_commit() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[], 0).await;
        let before = site.head();
        let gate = site.hold();
        let failed = Caller::Somebody { account: Some(buyer), credential: Credential::Failed };
        let refused = site.give(command(failed, Action::Unregister)).await;
        assert_eq!(refused, Err(Error::Rejected(Rejection::Unauthenticated)));
        assert_eq!(site.head(), before);
        gate.open();
    });
}
