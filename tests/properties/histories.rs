//! Random commands in any interleaving: nothing is made or lost, and no order does what the
//! documents do not allow.

use std::{collections::BTreeMap, time::Duration};

use docket::{
    builtin::builtin_lifecycle,
    domain::{Action, Caller, Rejection, World, lifecycle::Word},
    engine::{self, Error},
};
use events::*;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{
    books::Books,
    law::allows,
    site::{
        BEGIN, Site, cases, channel, cny, command, decisions, listing, paused, place, register,
        sku, somebody, store,
    },
    steps::{Play, Step, beginning, step, steps},
};

proptest! {
    #![proptest_config(cases(300))]

    /// Exactly what the documents allow is accepted, and what is accepted keeps the books.
    #[test]
    fn what_is_allowed_happens_and_nothing_else(
        steps in prop::collection::vec((step(), waits()), 1..80),
    ) {
        let mut play = Play::new();
        let begin = beginning().into_iter().map(|step| (step, 0));
        for (step, wait) in begin.chain(steps) {
            play.now.0 += wait;
            let command = step.command(&play.world);
            let (allowed, now) = (allows(&play.world, &command, play.now), play.now);
            let answer = play.give(&command);
            prop_assert_eq!(answer.is_ok(), allowed, "{:?} at {}: {:?}", command, now, answer);
        }
        play.books.agree(&play.world);
    }
}

proptest! {
    #![proptest_config(cases(60))]

    /// Bursts of commands, time that passes, deadlines that fire: the engine's world is the fold of
    /// its journal, which keeps the books, and what was answered is recorded once.
    #[test]
    fn the_engine_is_the_fold_of_its_journal(
        bursts in prop::collection::vec((steps(1..10), 0..12u64), 1..12),
    ) {
        paused(async {
            let site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
            let mut answered = Vec::new();
            for step in beginning() {
                site.give(step.command(&site.world())).await.unwrap();
            }
            for (burst, hours) in &bursts {
                let world = site.world();
                let together = burst.iter().map(|step| submit(&site, step, &world));
                let mut sent = Vec::new();
                for answer in together {
                    sent.push(answer);
                }
                for answer in sent {
                    answered.push(answer.await.unwrap());
                }
                // Ten minutes are a payment's time, seven days a receipt's.
                site.clock.pass(Duration::from_secs(hours * hours * 3600)).await;
            }
            let journal = site.journal.clone();
            let world = site.stop().await.unwrap();
            let (replayed, head) = engine::replay(journal.as_ref()).unwrap();
            assert_eq!(world, replayed);
            let decisions = decisions(journal.as_ref());
            let books = Books::of(decisions.iter().flat_map(|(_, events)| events));
            books.agree(&world);
            assert_eq!(books.phases().values().sum::<usize>(), world.orders.len());

            let mut recorded: BTreeMap<CommandId, &DecisionHeader> = BTreeMap::new();
            for (header, _) in &decisions {
                assert!(recorded.insert(header.command, header).is_none(), "once");
            }
            for (command, answer) in answered {
                match answer {
                    Ok(accepted) if recorded.contains_key(&command) => {
                        assert_eq!(accepted.receipt, recorded[&command].receipt);
                        assert!(accepted.receipt.position <= head.position && !accepted.replay);
                    }
                    // Nothing happened, and that was right.
                    Ok(accepted) => assert!(accepted.receipt.orders.is_empty()),
                    Err(Error::Rejected(_)) => assert!(!recorded.contains_key(&command)),
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
}

/// How long until the next command, in milliseconds.
fn waits() -> impl Strategy<Value = i64> {
    prop_oneof![6 => Just(0), 1 => 0..2_000_000i64]
}

type Sent = tokio::task::JoinHandle<(CommandId, Result<engine::Accepted, Error>)>;

fn submit(site: &Site, step: &Step, world: &World) -> Sent {
    let (engine, command) = (site.engine.clone(), step.command(world));
    tokio::spawn(async move { (command.id, engine.submit(engine::Request::new(command)).await) })
}

/// What is random reaches everything: each command is accepted somewhere, each phase is seen.
#[test]
fn random_commands_reach_every_phase() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut accepted, mut phases) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..60 {
        let mut play = Play::new();
        let random = steps(60..80).new_tree(&mut runner).unwrap().current();
        for step in beginning().iter().chain(&random) {
            let _ = play.give(&step.command(&play.world)); // Refused, many of them.
        }
        for (name, count) in play.accepted {
            *accepted.entry(name).or_insert(0) += count;
        }
        for (phase, count) in play.books.phases() {
            *phases.entry(phase).or_insert(0) += count;
        }
    }
    assert_eq!(phases.len(), 5, "{phases:?}");
    assert_eq!(accepted.len(), 17, "{accepted:?}");
    assert!(
        accepted.values().chain(phases.values()).all(|count| *count >= 5),
        "{accepted:?} {phases:?}"
    );
}

/// Nobody takes over an account, its wallet and its stores, by registering under its id.
#[test]
fn an_account_is_registered_once() {
    let mut play = Play::new();
    let (account, registered) = register(0);
    play.give(&registered).unwrap();
    let mut again = register(1).1;
    if let Action::Register { account: id, .. } = &mut again.action {
        *id = account;
    }
    let refused = play.give(&again);
    assert!(matches!(refused, Err(Rejection::Invalid { field: "account", .. })), "{refused:?}");
    assert_eq!(play.give(&registered), Err(Rejection::LoginTaken));
}

/// A store's owner who orders in it gets the own money back, however full the wallet is.
#[test]
fn a_full_wallet_takes_back_its_own_money() {
    let mut play = Play::new();
    let (seller, registered) = register(0);
    play.give(&registered).unwrap();
    let mut give = |action| play.give(&command(somebody(seller), action));
    give(Action::OpenStore { store: store(0) }).unwrap();
    give(listing(store(0), sku(0), cny(i64::MAX / 2), 2)).unwrap();
    give(Action::Fund { amount: cny(i64::MAX) }).unwrap();
    let (order, placed) = place(&[(0, 1)]);
    give(placed).unwrap();
    for word in [Word::Pay, Word::Ship, Word::Receive] {
        give(Action::Step { order, store: None, word }).unwrap();
    }
    let more = give(Action::Fund { amount: cny(1) });
    assert_eq!(more, Err(Rejection::Overflow));
    play.books.agree(&play.world);
}

/// Money goes back to where it came from, whatever the order says of how it is to be paid.
#[test]
fn money_goes_back_to_where_it_came_from() {
    let mut play = Play::new();
    let (account, registered) = register(0);
    play.give(&registered).unwrap();
    let mut give = |action| play.give(&command(somebody(account), action)).unwrap();
    give(Action::OpenStore { store: store(0) });
    give(listing(store(0), sku(0), cny(30), 2));
    give(Action::Fund { amount: cny(100) });
    let (order, mut placed) = place(&[(0, 1)]);
    if let Action::Place(place) = &mut placed {
        place.method = Method::Online;
    }
    give(placed);
    for word in [Word::Pay, Word::Cancel] {
        give(Action::Step { order, store: None, word });
    }
    assert_eq!(play.world.accounts[&account].wallet[&Currency::CNY], 100);
    play.books.agree(&play.world);
}

/// Money from outside is held for as many orders as can be counted together, and not for one more.
#[test]
fn what_is_held_for_an_account_can_be_counted() {
    let text = builtin_lifecycle(&channel()).unwrap();
    let text = text.replace("\nversion = 1\n", "\nversion = 2\n");
    let by_wallet = "by = [\"buyer\"]\nto = \"Paid\"\nmoney = \"hold\"";
    let by_cash = "by = [\"operator\"]\nto = \"Paid\"\nmoney = \"capture\"";
    let text = text.replace(by_wallet, by_cash);
    assert!(text.contains(by_cash));
    paused(async {
        let site = Site::new(|_| {}).await;
        let adopted = Action::AdoptLifecycle { digest: Digest([2; 32]), text };
        site.give(command(Caller::System, adopted)).await.unwrap();
        let (seller, buyer) = site.shop(&[], 0).await;
        let dear = listing(store(0), sku(0), cny(i64::MAX), 2);
        site.give(command(somebody(seller), dear)).await.unwrap();
        for expected in [Ok(()), Err(Error::Rejected(Rejection::Overflow))] {
            let (order, placed) = place(&[(0, 1)]);
            site.give(command(somebody(buyer), placed)).await.unwrap();
            let pay = Action::Step { order, store: None, word: Word::Pay };
            assert_eq!(site.give(command(Caller::System, pay)).await.map(drop), expected);
        }
    });
}

/// Only a session of the account's own ends: the table that the edge asks knows no owner.
#[test]
fn nobody_ends_the_session_of_another() {
    paused(async {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[1], 0).await;
        let (token, expires_at) = (Digest([1; 32]), Millis(BEGIN.0 + 1));
        let opened = Action::OpenSession { token, expires_at, terminal: None };
        site.give(command(somebody(buyer), opened)).await.unwrap();
        let closed = Action::CloseSession { token };
        let before = site.head();
        site.give(command(somebody(seller), closed.clone())).await.unwrap();
        let live = |site: &Site| site.engine.credentials().by_session(&channel(), token, BEGIN);
        assert_eq!((live(&site), site.head()), (Some(buyer), before));
        site.give(command(somebody(buyer), closed)).await.unwrap();
        assert_eq!(live(&site), None);
    });
}

/// A life cycle may lead back from an end: what is open is counted all the same.
#[test]
fn an_order_that_leaves_its_end_is_open_again() {
    let mut text = builtin_lifecycle(&channel()).unwrap().replace("version = 1", "version = 2");
    text.push_str(
        "\n[[on]]\ncommand = \"ship\"\nfrom = [\"Completed\"]\nby = [\"seller\"]\nto = \"Received\"\n\
         \n[[on]]\ncommand = \"receive\"\nfrom = [\"Received\"]\nby = [\"buyer\"]\nto = \"Completed\"\n",
    );
    paused(async {
        let site = Site::new(|_| {}).await;
        let digest = Digest(Sha256::digest(text.as_bytes()).into());
        site.give(command(Caller::System, Action::AdoptLifecycle { digest, text })).await.unwrap();
        let (seller, buyer) = site.shop(&[9], 1000).await;
        let (order, placed) = place(&[(0, 1)]);
        site.give(command(somebody(buyer), placed)).await.unwrap();
        let steps = [
            (buyer, Word::Pay, 1),
            (seller, Word::Ship, 1),
            (buyer, Word::Receive, 0),
            (seller, Word::Ship, 1),
            (buyer, Word::Receive, 0),
        ];
        for (by, word, open) in steps {
            let step = Action::Step { order, store: None, word };
            site.give(command(somebody(by), step)).await.unwrap();
            let world = site.world();
            assert_eq!(world.accounts[&buyer].open_orders, open, "{word}");
            assert_eq!(world.channels[&channel()].stores[&store(0)].open_orders, open, "{word}");
        }
        site.give(command(somebody(buyer), Action::Unregister)).await.unwrap();
    });
}
