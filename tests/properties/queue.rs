//! The queue: bounded, in order, and nothing in it is lost or half done.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use docket::{
    domain::{Action, Command},
    engine::{Error, Request, State},
    journal::memory::{Fault, Gate},
};
use events::*;

use super::site::{
    Answer, Site, cny, command, decisions, idle, in_each_channel, listing, sku, somebody, store,
};

const SHORT: Duration = Duration::from_secs(1);

fn fund(account: AccountId) -> Command {
    command(somebody(account), Action::Fund { amount: cny(1) })
}

/// A listing that weighs this much, about.
fn large(seller: AccountId, n: u8, bytes: usize) -> Command {
    let mut action = listing(store(0), sku(100 + n), cny(1), 1);
    if let Action::AddListing(listing) = &mut action {
        listing.title = "x".repeat(bytes);
    }
    command(somebody(seller), action)
}

/// Holds an append, and fills the next batch, so that whatever comes waits in the queue. The
/// answers to what blocks it come after.
async fn block(site: &Site, seller: AccountId) -> (Gate, Vec<Answer>) {
    let gate = site.hold();
    let mut blocking = vec![site.send(Request::new(fund(seller))).await];
    gate.reached().await;
    for n in 0..2 {
        blocking.push(site.send(Request::new(large(seller, n, 200_000))).await);
    }
    idle().await;
    assert_eq!(site.engine.queued(), 0);
    (gate, blocking)
}

async fn all_ok(answers: Vec<Answer>) {
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
}

/// A command whose outcome its giver does not know.
fn again(command: &Command) -> Request {
    Request { again: true, ..Request::new(command.clone()) }
}

fn recorded(site: &Site, id: CommandId) -> bool {
    decisions(site.journal.as_ref()).iter().any(|(header, _)| header.command == id)
}

#[test]
fn a_full_queue_says_so() {
    in_each_channel(async || {
        let site = Site::new(|options| options.queue_max = 3).await;
        let (seller, buyer) = site.shop(&[0], 0).await;
        let (gate, blocking) = block(&site, seller).await;
        let mut waiting = Vec::new();
        for n in 1..=3 {
            waiting.push(site.send(Request::new(fund(buyer))).await);
            assert_eq!(site.engine.queued(), n);
        }
        assert_eq!(site.give(fund(buyer)).await, Err(Error::Full));
        assert!(waiting.iter().all(|answer| !answer.is_finished()));
        gate.open();
        all_ok(waiting).await;
        all_ok(blocking).await;
        site.give(fund(buyer)).await.unwrap();
        assert_eq!(site.world().accounts[&buyer].wallet[&Currency::CNY], 4);
    });
}

#[test]
fn a_command_that_waited_too_long_is_dropped_undecided() {
    in_each_channel(async || {
        let site = Site::new(|options| options.answer_within = 4 * SHORT).await;
        let (seller, buyer) = site.shop(&[0], 0).await;
        let (gate, blocking) = block(&site, seller).await;
        tokio::time::advance(2 * SHORT).await;
        let (early, late) = (fund(buyer), fund(buyer));
        let gone = fund(buyer);
        let (early_id, late_id, gone_id) = (early.id, late.id, gone.id);
        let early = site.send(Request::new(early)).await;
        let left = site.send(Request::new(gone)).await;
        left.abort(); // Its caller goes away, and nobody is there to say that it is late.
        // What was decided and is not known to be durable is called by its name.
        for answer in blocking {
            assert!(matches!(answer.await.unwrap(), Err(Error::Unknown(_))));
        }
        assert_eq!(early.await.unwrap(), Err(Error::Overdue));
        let late = site.send(Request::new(late)).await;
        gate.open();
        late.await.unwrap().unwrap();
        let is_recorded = [early_id, gone_id, late_id].map(|id| recorded(&site, id));
        assert_eq!(is_recorded, [false, false, true]);
    });
}

#[test]
fn a_command_that_is_given_again_has_effect_once() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[0], 0).await;
        let fund = fund(buyer);
        let gate = site.hold();
        let first = site.send(Request::new(fund.clone())).await;
        gate.reached().await;
        // On its way, and then, behind it, decided and not yet on its way.
        let second = site.send(again(&fund)).await;
        let stock = Action::AddStock { store: store(0), sku: sku(0), quantity: 1 };
        let stock = command(somebody(seller), stock);
        let behind = site.send(Request::new(stock.clone())).await;
        let behind_again = site.send(again(&stock)).await;
        idle().await;
        for answer in [&first, &second, &behind, &behind_again] {
            assert!(!answer.is_finished(), "nothing of it is durable");
        }
        gate.open();
        let accepted = first.await.unwrap().unwrap();
        assert_eq!(second.await.unwrap().unwrap(), accepted);
        let behind = behind.await.unwrap().unwrap();
        assert_eq!(behind_again.await.unwrap().unwrap(), behind);
        // Durable, and known to the next engine too.
        assert_eq!(site.engine.submit(again(&fund)).await.unwrap(), accepted);
        let (journal, now) = (site.journal.store(), site.clock.now());
        site.stop().await.unwrap();
        let site = Site::on(journal, now, |_| {});
        assert_eq!(site.engine.submit(again(&fund)).await.unwrap(), accepted);
        assert_eq!(site.world().accounts[&buyer].wallet[&Currency::CNY], 1);

        // One that never came is decided.
        let new = self::fund(buyer);
        site.engine.submit(again(&new)).await.unwrap();
        assert_eq!(site.world().accounts[&buyer].wallet[&Currency::CNY], 2);
    });
}

#[test]
fn a_command_of_unknown_outcome_may_be_recorded() {
    in_each_channel(async || {
        let site = Site::new(|options| options.answer_within = SHORT).await;
        let (_, buyer) = site.shop(&[0], 0).await;
        let gate = site.hold();
        let asked = fund(buyer);
        let id = asked.id;
        assert_eq!(site.give(asked).await, Err(Error::Unknown(id)));
        assert!(!recorded(&site, id));
        gate.open();
        idle().await;
        assert!(recorded(&site, id));
    });
}

#[test]
fn a_caller_that_goes_away_does_not_undo_its_command() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[0], 0).await;
        let (gate, blocking) = block(&site, seller).await;
        let waits = fund(buyer);
        let id = waits.id;
        let answer = site.send(Request::new(waits)).await;
        answer.abort();
        idle().await;
        gate.open();
        all_ok(blocking).await;
        idle().await;
        assert!(recorded(&site, id));
    });
}

#[test]
fn an_end_in_good_order_finishes_what_was_given() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[0], 0).await;
        let (gate, blocking) = block(&site, seller).await;
        let mut waiting = Vec::new();
        for _ in 0..700 {
            waiting.push(site.send(Request::new(fund(buyer))).await);
        }
        let engine = site.engine.clone();
        let journal = site.journal.clone();
        let ending = tokio::spawn(site.stop());
        idle().await;
        assert_eq!(*engine.state().borrow(), State::ShuttingDown);
        let after = engine.submit(Request::new(fund(buyer))).await;
        assert_eq!(after, Err(Error::ShuttingDown));
        assert!(!ending.is_finished() && waiting.iter().all(|answer| !answer.is_finished()));
        gate.open();
        let world = ending.await.unwrap().unwrap();
        all_ok(waiting).await;
        all_ok(blocking).await;
        assert_eq!(world.accounts[&buyer].wallet[&Currency::CNY], 700);
        assert_eq!(docket::engine::replay(journal.as_ref()).unwrap().0, world);
        let after = engine.submit(Request::new(fund(buyer))).await;
        assert_eq!(after, Err(Error::ShuttingDown));
    });
}

#[test]
fn a_failed_append_answers_all_that_waits() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[0], 0).await;
        let gate = Gate::new();
        site.inject(Fault::Hold(gate.clone()));
        site.inject(Fault::Fail);
        let mut all = vec![site.send(Request::new(fund(seller))).await];
        gate.reached().await;
        for n in 0..2 {
            all.push(site.send(Request::new(large(seller, n, 200_000))).await);
        }
        for _ in 0..10 {
            all.push(site.send(Request::new(fund(buyer))).await);
        }
        let before = site.head();
        gate.open();
        for answer in all {
            let stopped = answer.await.unwrap();
            assert!(matches!(stopped, Err(Error::Stopped(_))), "{stopped:?}");
        }
        let after = site.give(fund(buyer)).await;
        assert!(matches!(after, Err(Error::Stopped(_))), "{after:?}");
        assert_eq!(site.head(), before);
        assert!(matches!(&*site.engine.state().borrow(), State::Stopped(_)));
        let reason = site.stop().await.unwrap_err();
        assert!(reason.contains("as injected"), "{reason}");
    });
}

/// Commands take effect in the order in which they were given.
#[test]
fn first_come_first_served() {
    in_each_channel(async || {
        let site = Site::new(|options| options.turn_max = 4).await;
        let (seller, buyer) = site.shop(&[0], 0).await;
        let (gate, blocking) = block(&site, seller).await;
        let mut given = Vec::new();
        for _ in 0..50 {
            let asked = fund(buyer);
            given.push(asked.id);
            site.send(Request::new(asked)).await;
        }
        gate.open();
        all_ok(blocking).await;
        idle().await;
        let all = decisions(site.journal.as_ref());
        let ids: Vec<_> = all.iter().map(|(header, _)| header.command).collect();
        assert_eq!(ids[ids.len() - 50..], given);
    });
}

/// A fault in the engine itself is said, like one of the journal's, and nobody waits for ever.
#[test]
fn an_engine_that_panics_has_stopped() {
    in_each_channel(async || {
        let broken = Arc::new(AtomicBool::new(false));
        let breaks = Arc::clone(&broken);
        let site = Site::new(move |options| {
            let clock = Arc::clone(&options.clock);
            options.tick = Duration::from_secs(3600);
            options.clock = Arc::new(move || {
                assert!(!breaks.load(Ordering::SeqCst), "no time today");
                clock()
            });
        })
        .await;
        let (_, buyer) = site.shop(&[], 0).await;
        broken.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            let answer = site.give(fund(buyer)).await;
            assert!(matches!(answer, Err(Error::Stopped(_))), "{answer:?}");
        }
        assert!(matches!(&*site.engine.state().borrow(), State::Stopped(_)));
        let reason = site.stop().await.unwrap_err();
        assert!(reason.contains("panicked"), "{reason}");
    });
}
