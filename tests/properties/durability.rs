//! No answer speaks of what a restart would not have: the journal delays, fails and tears appends,
//! and each answer is held against what is durable at the moment it arrives.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use docket::{
    domain::{Action, Caller, Rejection, World, lifecycle::Word},
    engine::{self, Accepted, Error, KeyUse, Request, State},
    journal::{
        Journal, MemoryJournal,
        memory::{Fault, MemoryStore},
    },
};
use events::*;
use proptest::prelude::*;

use super::{
    books::Books,
    given::begin,
    site::{
        Answer, BEGIN, Everything, Site, cases, channel, cny, command, decisions, idle,
        in_each_channel, keyed, paused, place, sku, somebody, store,
    },
    steps::{Step, beginning, opening, steps},
};

fn short() -> Result<Accepted, Error> {
    Err(Error::Rejected(Rejection::Short { sku: sku(0) }))
}

/// The last copy is sold in a commit that is on its way: who comes too late waits for it.
#[test]
fn a_refusal_waits_for_what_it_was_decided_on() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[1], 1000).await;
        let gate = site.hold();
        let first = site.send(Request::new(command(somebody(buyer), place(&[(0, 1)]).1))).await;
        gate.reached().await;
        let late = site.send(Request::new(command(somebody(seller), place(&[(0, 1)]).1))).await;
        // What changes nothing says where the journal stands, and waits all the same.
        let nothing = Action::Fund { amount: cny(0) };
        let empty = site.send(Request::new(command(somebody(buyer), nothing))).await;
        idle().await;
        assert!(!first.is_finished() && !late.is_finished() && !empty.is_finished());
        gate.open();
        let first = first.await.unwrap().unwrap();
        assert_eq!(late.await.unwrap(), short());
        assert_eq!(empty.await.unwrap().unwrap().receipt.position, first.receipt.position);
        assert_eq!(site.head().position, first.receipt.position);
    });
}

#[test]
fn a_refusal_is_none_when_what_it_was_decided_on_fails() {
    for fault in [Fault::Fail, Fault::TearWithin, Fault::TearAfter] {
        paused(async {
            let site = Site::new(|_| {}).await;
            let (seller, buyer) = site.shop(&[1], 1000).await;
            let gate = site.hold();
            site.inject(fault.clone());
            let ask = |by| keyed(command(somebody(by), place(&[(0, 1)]).1), "k", 1);
            let first = site.send(ask(buyer)).await;
            gate.reached().await;
            let late = site.send(ask(seller)).await;
            let again = site.send(ask(buyer)).await;
            idle().await;
            gate.open();
            for answer in [first, late, again] {
                let answer = answer.await.unwrap();
                assert!(matches!(answer, Err(Error::Stopped(_))), "{answer:?}");
            }
            // The store tells: the copy is sold, or it is not; the key's owner hears the same.
            let sold = matches!(fault, Fault::TearAfter);
            let site = Site::on(site.journal.store(), site.clock.now(), |_| {});
            assert_eq!(site.world().orders.len(), usize::from(sold));
            let retry = site.engine.submit(ask(buyer)).await.unwrap();
            assert_eq!(retry.replay, sold);
            assert_eq!(site.engine.submit(ask(seller)).await, short());
            assert_eq!(site.world().orders.len(), 1);
        });
    }
}

/// A refusal that what is decided but not yet on its way has caused waits for two commits.
#[test]
fn a_refusal_waits_for_what_waits_itself() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[1], 1000).await;
        let (one, two) = (site.hold(), docket::journal::memory::Gate::new());
        let second = CommitNumber(site.head().number.0 + 2);
        site.journal.inject(second, Fault::Hold(two.clone()));
        let more = Action::AddStock { store: store(0), sku: sku(0), quantity: 1 };
        let first = site.send(Request::new(command(somebody(seller), more))).await;
        one.reached().await;
        let placed = site.send(Request::new(command(somebody(buyer), place(&[(0, 2)]).1))).await;
        let late = site.send(Request::new(command(somebody(seller), place(&[(0, 1)]).1))).await;
        one.open();
        first.await.unwrap().unwrap();
        two.reached().await;
        idle().await;
        assert!(!placed.is_finished() && !late.is_finished());
        two.open();
        placed.await.unwrap().unwrap();
        assert_eq!(late.await.unwrap(), short());
    });
}

/// Somebody who keeps up with the journal while another writes goes on as the writer itself would.
#[test]
fn a_standby_goes_on_where_the_writer_ends() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let mut standby = engine::Standby::new({
            let hands = site.clock.clone();
            Arc::new(move || hands.now())
        });
        let mut shown = Vec::new();
        let mut keep_up = |standby: &mut engine::Standby, site: &Site| {
            standby.catch_up(site.journal.as_ref(), |it| shown.push(it.position.0)).unwrap();
            assert_eq!(standby.head(), site.head());
        };
        keep_up(&mut standby, &site);
        let (seller, buyer) = site.shop(&[5], 20_000).await;
        keep_up(&mut standby, &site);
        let (order, action) = place(&[(0, 2)]);
        site.give(command(somebody(buyer), action)).await.unwrap();
        keep_up(&mut standby, &site);
        keep_up(&mut standby, &site); // Nothing is taken in twice.
        assert!(standby.credentials().account(buyer).is_some());

        let (journal, end) = (site.journal.clone(), site.head());
        let expected = site.stop().await.unwrap();
        assert_eq!(shown, Vec::from_iter(1..=end.position.0));
        let journal = Arc::new(MemoryJournal::from_store(journal.store()));
        let (engine, running) = engine::start_from(standby, journal, engine::Options::default());
        let more = Action::AddStock { store: store(0), sku: sku(0), quantity: 1 };
        engine.submit(Request::new(command(somebody(seller), more))).await.unwrap();
        let mut world = running.shut_down().await.unwrap();
        let there = world.channels.get_mut(&channel()).unwrap();
        let listings = &mut there.stores.get_mut(&store(0)).unwrap().listings;
        listings.get_mut(&sku(0)).unwrap().shelf -= 1; // And in all else it is the same.
        assert!(world.orders.contains_key(&order));
        assert_eq!(world, expected);
    });
}

/// The table of credentials knows what an answer speaks of before the answer goes out, and never
/// what is not durable.
#[test]
fn credentials_are_as_durable_as_answers() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[], 0).await;
        let (token, name) = (Digest([3; 32]), TokenName::new("till").unwrap());
        let (role, channel, store, expires_at) = (Role::Staff, None, None, None);
        let issued = TokenIssued { token, name: name.clone(), role, channel, store, expires_at };
        let knows = |site: &Site| {
            let known = site.engine.credentials();
            let accounts = [seller, buyer].map(|id| known.account(id).is_some());
            (accounts, known.token(token, BEGIN).is_some())
        };
        let steps = [
            (somebody(buyer), Action::Unregister, ([true, false], false)),
            (Caller::System, Action::IssueToken(Box::new(issued)), ([true, false], true)),
            (Caller::System, Action::RevokeToken { name }, ([true, false], false)),
            (Caller::System, Action::Forget { account: seller }, ([false, false], false)),
        ];
        for (caller, action, after) in steps {
            let before = knows(&site);
            let gate = site.hold();
            let answer = site.send(Request::new(command(caller, action))).await;
            idle().await;
            assert_eq!(knows(&site), before);
            gate.open();
            answer.await.unwrap().unwrap();
            assert_eq!(knows(&site), after);
        }
    });
}

/// What a journal does to the commits to come: commit by commit, counted from now.
fn trouble() -> impl Strategy<Value = BTreeMap<u64, Fault>> {
    let fault = prop_oneof![
        8 => (1..2000u64).prop_map(|ms| Fault::Delay(Duration::from_millis(ms))),
        1 => Just(Fault::Fail),
        1 => Just(Fault::TearWithin),
        1 => Just(Fault::TearAfter),
    ];
    prop::collection::btree_map(1..30u64, fault, 0..25)
}

struct Given {
    request: Request,
    /// What the answer was, and what was durable when it arrived.
    answer: Result<Accepted, Error>,
    durable: Head,
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn what_was_answered_is_there(
        bursts in prop::collection::vec((steps(1..8), 0..1500u64), 1..12),
        trouble in trouble(),
        keys in prop::collection::vec(0..8u8, 12 * 8),
    ) {
        paused(async {
            let site = Site::new(|options| options.answer_within = Duration::from_secs(3600)).await;
            begin(&site, beginning().into_iter().chain(opening(2))).await;
            let begun = site.head().number.0;
            for (n, fault) in trouble {
                site.journal.inject(CommitNumber(begun + n), fault);
            }
            let mut everything = Everything::default();
            let mut keys = keys.into_iter();
            let mut sent = Vec::new();
            for (burst, pause) in &bursts {
                everything.catch_up(&site);
                for step in burst {
                    sent.push(send(&site, step, &everything.world, keys.next().unwrap()));
                }
                site.clock.pass(Duration::from_millis(*pause)).await;
            }
            let mut given = Vec::new();
            for one in sent {
                given.push(one.await.unwrap());
            }
            let stopped = matches!(&*site.engine.state().borrow(), State::Stopped(_));
            let at = site.clock.now();
            let surviving = site.journal.store();
            match site.stop().await {
                Ok(world) => assert!(!stopped && world == survivor(&surviving)),
                Err(_) => assert!(stopped),
            }
            let site = Site::on(Arc::clone(&surviving), at, |_| {});
            held_against(&site, &given).await;
            let world = site.world();
            assert_eq!(world, site.stop().await.unwrap());
        });
    }
}

/// What a start on this store would know. It takes the store over.
fn survivor(store: &Arc<MemoryStore>) -> World {
    engine::replay(&MemoryJournal::from_store(Arc::clone(store))).unwrap().0
}

/// Gives a command, with a key where it has one of the first four; few keys, so that they meet.
fn send(site: &Site, step: &Step, world: &World, key: u8) -> tokio::task::JoinHandle<Given> {
    let command = step.command(world);
    let request = match key {
        0..4 => keyed(command, &key.to_string(), key % 2),
        _ => Request::new(command),
    };
    let (engine, journal) = (site.engine.clone(), Arc::clone(&site.journal));
    tokio::spawn(async move {
        let answer = engine.submit(request.clone()).await;
        let durable = *journal.head().borrow();
        Given { request, answer, durable }
    })
}

/// Compares the answers with the store that survived, and asks again where a key was used.
async fn held_against(site: &Site, given: &[Given]) {
    let decisions = decisions(site.journal.as_ref());
    Books::of(decisions.iter().flat_map(|(_, events)| events)).agree(&site.world());
    let mut recorded = BTreeMap::new();
    for (header, _) in &decisions {
        assert!(recorded.insert(header.command, header).is_none(), "recorded once");
    }
    let mut keys = BTreeSet::new();
    for (header, _) in &decisions {
        if let Some(it) = &header.key {
            let scope = (&header.channel, &it.owner, &it.operation, &it.key);
            assert!(keys.insert(scope), "a key has one effect");
        }
    }
    for Given { request, answer, durable } in given {
        let id = request.command.id;
        match answer {
            Ok(accepted) => {
                assert!(accepted.receipt.position <= durable.position, "not durable yet");
                assert_eq!(accepted.command == id, !accepted.replay);
                match recorded.get(&accepted.command) {
                    Some(header) => assert_eq!(accepted.receipt, header.receipt),
                    None => assert!(accepted.receipt.orders.is_empty() && !accepted.replay),
                }
            }
            Err(Error::Rejected(_) | Error::KeyReused) => assert!(!recorded.contains_key(&id)),
            Err(Error::Stopped(_)) => {} // It may be there or not.
            Err(error) => panic!("{error}"),
        }
    }
    // Asked again: who was told of an effect is told of the same one; nothing happens twice.
    for Given { request, answer, .. } in given {
        let Some(KeyUse { request: body, .. }) = &request.key else { continue };
        let mut again = request.clone();
        again.command.id = CommandId(super::site::fresh());
        let told = site.engine.submit(again).await;
        let known = answer.as_ref().ok().filter(|it| recorded.contains_key(&it.command));
        match (&told, known) {
            // An account or a password that proved it then may be gone.
            (Err(Error::Rejected(_)), _) => {}
            (told, Some(known)) => {
                assert_eq!(told, &Ok(Accepted { replay: true, ..known.clone() }), "{body}");
            }
            (Ok(_) | Err(Error::KeyReused), None) => {}
            (Err(error), None) => panic!("{error}"),
        }
    }
}

/// Refusals and replays under a slow journal: a model that knows only what is durable.
#[test]
fn every_answer_is_true_of_what_is_durable() {
    in_each_channel(async || {
        let site = Site::new(|options| options.turn_max = 1).await;
        let (_, buyer) = site.shop(&[20], 100_000).await;
        let begun = site.head().number.0;
        for n in 1..200 {
            let delay = Duration::from_millis(17 * n % 50);
            site.journal.inject(CommitNumber(begun + n), Fault::Delay(delay));
        }
        let mut answers: Vec<(Request, Answer)> = Vec::new();
        for n in 0..100 {
            let (order, placed) = place(&[(0, 1)]);
            let request = keyed(command(somebody(buyer), placed), &(n % 40).to_string(), 1);
            answers.push((request.clone(), watch(&site, request)));
            let cancel = Action::Step { order, store: None, word: Word::Cancel };
            if n % 3 == 0 {
                let request = Request::new(command(somebody(buyer), cancel));
                answers.push((request.clone(), watch(&site, request)));
            }
            tokio::time::advance(Duration::from_millis(3)).await;
        }
        let mut counts = BTreeMap::new();
        for (_, answer) in answers {
            let kind = match answer.await.unwrap() {
                Ok(Accepted { replay: true, .. }) => "replayed",
                Ok(_) => "accepted",
                Err(Error::Rejected(_)) => "refused",
                Err(error) => panic!("{error}"),
            };
            *counts.entry(kind).or_insert(0) += 1;
        }
        assert!(counts.values().all(|count| *count > 5) && counts.len() == 3, "{counts:?}");
    });
}

/// Gives a command, and asks a fold of what is durable whether the answer is true.
fn watch(site: &Site, request: Request) -> Answer {
    let (engine, journal) = (site.engine.clone(), Arc::clone(&site.journal));
    tokio::spawn(async move {
        let answer = engine.submit(request.clone()).await;
        let (world, head) = engine::replay(journal.as_ref()).unwrap();
        match &answer {
            Ok(accepted) => assert!(accepted.receipt.position <= head.position),
            Err(Error::Rejected(Rejection::Short { .. })) => {
                let shelf = world.channels[&super::site::channel()].stores[&store(0)].listings
                    [&sku(0)]
                    .shelf;
                assert_eq!(shelf, 0, "somebody was told that nothing is left");
            }
            Err(Error::Rejected(Rejection::Phase { phase, .. })) => {
                let Action::Step { order, .. } = request.command.action else { panic!() };
                assert_eq!(*phase, world.orders.get(&order).map(|order| order.phase));
            }
            Err(Error::Rejected(Rejection::OrderUnknown { order })) => {
                assert!(!world.orders.contains_key(order));
            }
            Err(error) => panic!("{error}"),
        }
        answer
    })
}
