//! Deadlines: what is due fires by itself, what is refused rests, and a clock that is not to be
//! believed stops them.

use std::time::Duration;

use docket::{
    domain::{Action, Caller, Credential, Rejection, lifecycle::Word},
    engine::Error,
    journal::Journal as _,
};
use events::*;

use super::{
    books::Books,
    site::{
        BEGIN, MINUTE, Site, channel, cny, command, decisions, idle, in_each_channel, place,
        register, sku, somebody, store,
    },
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn phases(site: &Site) -> Vec<Phase> {
    let world = site.everything();
    let mut orders: Vec<_> = world.orders.iter().collect();
    orders.sort_by_key(|(id, _)| **id);
    orders.into_iter().map(|(_, order)| order.phase).collect()
}

async fn step(site: &Site, by: AccountId, order: OrderId, word: Word) {
    let action = Action::Step { order, store: None, word };
    site.give(command(somebody(by), action)).await.unwrap();
}

#[test]
fn what_is_due_fires_by_itself() {
    in_each_channel(async || {
        let site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        let (seller, buyer) = site.shop(&[9], 1000).await;
        let (unpaid, placed) = place(&[(0, 1)]);
        site.give(command(somebody(buyer), placed)).await.unwrap();
        let (shipped, placed) = place(&[(0, 2)]);
        site.give(command(somebody(buyer), placed)).await.unwrap();
        step(&site, buyer, shipped, Word::Pay).await;
        step(&site, seller, shipped, Word::Ship).await;

        site.clock.set(Millis(BEGIN.0 + 599_999));
        idle().await;
        assert_eq!(phases(&site), [Phase::AwaitingPayment, Phase::Shipped]);
        site.clock.set(Millis(BEGIN.0 + 600_000));
        idle().await;
        assert_eq!(phases(&site), [Phase::Cancelled, Phase::Shipped]);
        site.clock.pass(WEEK).await;
        assert_eq!(phases(&site), [Phase::Cancelled, Phase::Completed]);

        let all = decisions(site.journal.as_ref());
        let [.., (expired, _), (received, _)] = &all[..] else { panic!() };
        let said = [expired, received].map(|it| (it.name.as_str(), it.actor.as_str()));
        assert_eq!(said, [("expire", "timer"), ("receive", "timer")]);
        let world = site.world();
        assert!(world.deadlines.is_empty());
        assert!(site.everything().orders[&unpaid].deadlines.is_empty());
        Books::of(all.iter().flat_map(|(_, events)| events)).agree(&world);
    });
}

#[test]
fn a_turn_fires_256_at_most() {
    in_each_channel(async || {
        let site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        let (_, buyer) = site.shop(&[1000], 0).await;
        for _ in 0..600 {
            site.give(command(somebody(buyer), place(&[(0, 1)]).1)).await.unwrap();
        }
        let before = decisions(site.journal.as_ref()).len();
        let mut seen = Vec::new();
        let mut head = site.journal.head();
        site.clock.set(Millis(BEGIN.0 + 600_000));
        while seen.last() != Some(&600) {
            head.changed().await.unwrap();
            seen.push(decisions(site.journal.as_ref()).len() - before);
        }
        assert_eq!(seen, [256, 512, 600]);
    });
}

#[test]
fn a_refused_deadline_rests_longer_each_time() {
    in_each_channel(async || {
        let site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        let (seller, buyer) = site.shop(&[9], 1000).await;
        let (order, placed) = place(&[(0, 1)]);
        site.give(command(somebody(buyer), placed)).await.unwrap();
        step(&site, buyer, order, Word::Pay).await;
        step(&site, seller, order, Word::Ship).await;
        let fund = |minor| command(somebody(seller), Action::Fund { amount: cny(minor) });
        // The seller's wallet has no room for the price of the book.
        site.give(fund(i64::MAX)).await.unwrap();
        let (other, placed) = place(&[(0, 1)]);
        site.give(command(somebody(buyer), placed)).await.unwrap();
        let before = site.head();
        site.clock.pass(WEEK).await; // The other one expires, and is not held up.
        assert_eq!(phases(&site), [Phase::Shipped, Phase::Cancelled]);
        assert_eq!(
            (site.head().position.0, site.everything().orders[&other].held),
            (before.position.0 + 1, 0)
        );

        // Tried anew after 1 minute, then 2, 4, 8, 16, 32, and from there each hour.
        let mut waits = [1, 2, 4, 8, 16, 32, 60, 60].map(|minutes| MINUTE * minutes).into_iter();
        for wait in waits.by_ref().take(7) {
            site.clock.pass(wait - Duration::from_millis(1)).await;
            assert_eq!(phases(&site)[0], Phase::Shipped);
            site.clock.pass(Duration::from_millis(1)).await;
        }
        site.give(fund(-100)).await.unwrap();
        site.clock.pass(waits.next().unwrap() - Duration::from_millis(1)).await;
        assert_eq!(phases(&site)[0], Phase::Shipped, "it rests for an hour, room or not");
        site.clock.pass(Duration::from_millis(1)).await;
        assert_eq!(phases(&site)[0], Phase::Completed);
    });
}

#[test]
fn a_clock_that_jumps_ahead_stops_deadlines_and_nothing_else() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[9], 1000).await;
        site.give(command(somebody(buyer), place(&[(0, 1)]).1)).await.unwrap();
        idle().await;
        site.clock.set(Millis(BEGIN.0 + 2 * 3_600_000));
        idle().await;
        assert_eq!(phases(&site), [Phase::AwaitingPayment], "the jump is not believed");
        let funded = command(somebody(buyer), Action::Fund { amount: cny(1) });
        let ahead = site.give(funded.clone()).await.unwrap().receipt.recorded_at;
        assert_eq!(ahead, Millis(BEGIN.0 + 2 * 3_600_000));

        // Right again: what is recorded does not go back, and deadlines are due by the clock.
        site.clock.set(Millis(BEGIN.0 + 1000));
        idle().await;
        assert_eq!(phases(&site), [Phase::AwaitingPayment]);
        assert!(site.give(funded).await.unwrap().receipt.recorded_at >= ahead);
        site.clock.pass(10 * MINUTE).await;
        assert_eq!(phases(&site), [Phase::Cancelled]);
        assert!(decisions(site.journal.as_ref()).last().unwrap().1[0].recorded_at >= ahead);
    });
}

#[test]
fn a_jump_within_the_bound_is_time_that_went_by() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[9], 1000).await;
        site.give(command(somebody(buyer), place(&[(0, 1)]).1)).await.unwrap();
        idle().await;
        site.clock.set(Millis(BEGIN.0 + 3_600_000));
        idle().await;
        assert_eq!(phases(&site), [Phase::Cancelled]);
    });
}

/// Time that goes by while nothing ticks, for the machine as for the clock, is no jump.
#[test]
fn a_long_wait_is_no_jump() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[9], 1000).await;
        site.give(command(somebody(buyer), place(&[(0, 1)]).1)).await.unwrap();
        site.clock.pass(WEEK).await;
        assert_eq!(phases(&site), [Phase::Cancelled]);
    });
}

/// A clock that was behind for a while and is set right has not jumped ahead.
#[test]
fn a_clock_that_was_behind_may_come_back() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[9], 1000).await;
        site.give(command(somebody(buyer), place(&[(0, 1)]).1)).await.unwrap();
        idle().await;
        site.clock.set(Millis(BEGIN.0 - 3 * 3_600_000));
        idle().await;
        assert_eq!(phases(&site), [Phase::AwaitingPayment]);
        site.clock.set(Millis(BEGIN.0 + 600_000));
        idle().await;
        assert_eq!(phases(&site), [Phase::Cancelled]);
    });
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, _) = site.shop(&[0], 0).await;
        let token = Digest([5; 32]);
        let expires_at = Millis(BEGIN.0 + 1000);
        let opened = Action::OpenSession { token, expires_at, terminal: None };
        site.give(command(somebody(seller), opened)).await.unwrap();
        let credential = Credential::Verified { session: Some(token), password: None };
        let caller = Caller::Somebody { account: Some(seller), credential };
        let more = || {
            let action = Action::AddStock { store: store(0), sku: sku(0), quantity: 1 };
            site.give(command(caller.clone(), action))
        };
        site.clock.set(Millis(expires_at.0 - 1));
        more().await.unwrap();
        site.clock.set(expires_at);
        let dead = Rejection::Unauthenticated;
        assert_eq!(more().await, Err(Error::Rejected(dead)));
    });
}

/// A clock that was ahead once must not close the shop until it is that late.
#[test]
fn a_session_opened_after_the_clock_was_ahead_lives() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, _) = site.shop(&[0], 0).await;
        site.clock.set(Millis(BEGIN.0 + 7_200_000));
        site.give(register(2).1).await.unwrap();
        site.clock.set(BEGIN);
        let token = Digest([5; 32]);
        let expires_at = Millis(site.engine.now().0 + 3_600_000);
        let opened = Action::OpenSession { token, expires_at, terminal: None };
        site.give(command(somebody(seller), opened)).await.unwrap();
        let credential = Credential::Verified { session: Some(token), password: None };
        let caller = Caller::Somebody { account: Some(seller), credential };
        let action = Action::AddStock { store: store(0), sku: sku(0), quantity: 1 };
        let live = || site.engine.credentials().session(token, site.engine.now());
        site.give(command(caller.clone(), action.clone())).await.unwrap();
        assert_eq!(live(), Some((seller, channel())), "the edge and the engine agree");
        tokio::time::advance(Duration::from_secs(3600)).await;
        let dead = Err(Error::Rejected(Rejection::Unauthenticated));
        assert_eq!(site.give(command(caller, action)).await, dead);
        assert_eq!(live(), None, "and it ends in its time");
    });
}
