//! Random commands in any interleaving: nothing is made or lost, and no order does what the
//! documents do not allow.

use std::{collections::BTreeMap, time::Duration};

use docket::{
    domain::{World, lifecycle::Word},
    engine::{self, Credentials, Error},
};
use events::*;
use proptest::{prelude::*, sample::Index};

use super::{
    books::Books,
    given::begin,
    judge::{Verdict, judge},
    law::{CHANNELS, Law},
    play::Play,
    site::{Everything, Site, cases, decisions, paused},
    steps::{Step, beginning, opening, step, steps},
};

proptest! {
    #![proptest_config(cases(300))]

    /// Exactly what the documents allow is accepted, in every channel, and what is accepted keeps
    /// the books.
    #[test]
    fn what_is_allowed_happens_and_nothing_else(
        mut steps in prop::collection::vec((step(), waits()), 1..80),
        stall in prop::option::weighted(0.4, any::<Index>()),
    ) {
        let mut play = Play::new();
        for step in beginning() {
            play.give(&step.command(&play.world)).unwrap();
        }
        if let Some(at) = stall {
            let at = at.index(steps.len());
            steps.splice(at..at, opening(2).into_iter().map(|step| (step, 0)));
        }
        for (step, wait) in steps {
            play.now.0 += wait;
            let command = step.command(&play.world);
            let (verdict, now) = (judge(&play.books, &play.world, &command, play.now), play.now);
            let answer = play.give(&command);
            let came = match &answer {
                Ok(0) => Verdict::Nothing,
                Ok(_) => Verdict::Happens,
                Err(_) => Verdict::Refused,
            };
            prop_assert_eq!(came, verdict, "{:?} at {}: {:?}", command, now, answer);
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
        mut bursts in prop::collection::vec((steps(1..14), 0..12u64), 1..12),
        stall in prop::option::weighted(0.4, any::<Index>()),
    ) {
        if let Some(at) = stall {
            // In the order in which they are given: each burst is put together from one world.
            let at = at.index(bursts.len());
            bursts.splice(at..at, opening(2).into_iter().map(|step| (vec![step], 0)));
        }
        paused(async {
            let site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
            let mut answered = Vec::new();
            begin(&site, beginning()).await;
            let mut everything = Everything::default();
            for (burst, hours) in &bursts {
                everything.catch_up(&site);
                let world = &everything.world;
                let together = burst.iter().map(|step| submit(&site, step, world));
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
            let (journal, credentials) = (site.journal.clone(), site.engine.credentials().clone());
            let world = site.stop().await.unwrap();
            let (replayed, head) = engine::replay(journal.as_ref()).unwrap();
            assert_eq!(world, replayed);
            agree(&credentials, &world);
            let decisions = decisions(journal.as_ref());
            let books = Books::of(decisions.iter().flat_map(|(_, events)| events));
            books.agree(&world);

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

proptest! {
    #![proptest_config(cases(40))]

    /// One after the other, with time in between: the engine, which does not keep what is over in
    /// memory, answers as the domain decides that has everything.
    #[test]
    fn the_engine_answers_as_the_domain_decides(
        steps in prop::collection::vec((step(), long_waits()), 20..80),
        stall in any::<bool>(),
    ) {
        paused(async {
            let site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
            let opened = if stall { opening(2) } else { Vec::new() };
            begin(&site, beginning().into_iter().chain(opened)).await;
            let mut everything = Everything::default();
            for (step, wait) in steps {
                site.clock.pass(wait).await;
                everything.catch_up(&site);
                let command = step.command(&everything.world);
                let now = site.engine.now();
                let decided = docket::domain::decide(&everything.world, &command, now);
                let answer = site.give(command.clone()).await;
                let news = everything.catch_up(&site).into_iter();
                let news: Vec<_> = news.map(|it| (it.subject, it.event)).collect();
                match (decided, answer) {
                    (Ok(decided), Ok(accepted)) => {
                        assert_eq!(accepted.receipt.orders, decided.orders);
                        assert_eq!(news, decided.events);
                    }
                    (decided, answer) => {
                        assert_eq!(news, [], "a refused command leaves no trace");
                        let refused = decided.map(drop).map_err(Error::Rejected);
                        assert_eq!(answer.map(drop), refused, "{command:?}");
                    }
                }
            }
        });
    }
}

/// How long until the next command: hours and days, too.
fn long_waits() -> impl Strategy<Value = Duration> {
    let hours = prop_oneof![6 => Just(0), 2 => 0..3u64, 1 => 0..200u64];
    hours.prop_map(|hours| Duration::from_secs(hours * 1800))
}

/// Whether the edge's table says what the world says.
fn agree(credentials: &Credentials, world: &World) {
    for (id, account) in &world.accounts {
        let known = credentials.account(*id).unwrap();
        assert_eq!((&known.channel, known.login), (&account.channel, account.login));
        assert_eq!(known.password_version, account.password);
        assert_eq!(credentials.stores(*id), account.stores);
        for (token, expires_at) in &account.sessions {
            let live = |now| credentials.session(*token, now);
            let own = Some((*id, account.channel.clone()));
            assert_eq!((live(Millis(expires_at.0 - 1)), live(*expires_at)), (own, None));
        }
    }
    for channel in CHANNELS.map(|name| Channel::new(name).unwrap()) {
        for n in 0..4 {
            let login = super::site::login(n);
            let known = credentials.by_login(&channel, login).map(|it| it.id);
            assert_eq!(known, world.logins.get(&(channel.clone(), login)).copied());
        }
        let known = credentials.lifecycle(&channel).map(|it| it.version);
        let newest = world.channels.get(&channel).and_then(|it| it.newest());
        assert_eq!(known, newest.map(|it| it.lifecycle.version()));
    }
    let tokens = credentials.tokens();
    assert_eq!(tokens.len(), world.tokens.len());
    for it in tokens {
        let known = &world.tokens[&it.token];
        assert_eq!((&it.name, it.role), (&known.name, known.role));
        assert_eq!((&it.channel, &it.store), (&known.channel, &known.store));
        assert_eq!(it.expires_at, known.expires_at);
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

/// Every command that may be accepted, as decisions name it: all there are but for the words that
/// no life cycle here has.
const ACTIONS: [&str; 28] = [
    "add_listing",
    "add_stock",
    "adopt_lifecycle",
    "adopt_settings",
    "cancel",
    "change_password",
    "charge",
    "close_session",
    "confirm_delivery",
    "confirm_refund",
    "expire",
    "fail_delivery",
    "forget",
    "fund",
    "issue_token",
    "move",
    "open_session",
    "open_store",
    "open_writer",
    "pay",
    "place",
    "prepare",
    "receive",
    "register",
    "request_refund",
    "revoke_token",
    "ship",
    "unregister",
];

/// What is random reaches everything: each command is accepted and refused, each kind of caller is
/// heard and turned away, each phase is seen in each channel that has it.
#[test]
fn random_commands_reach_everything() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut actions, mut callers) = (BTreeMap::new(), BTreeMap::new());
    let mut phases: BTreeMap<(Channel, Phase), usize> = BTreeMap::new();
    for _ in 0..200 {
        let mut play = Play::new();
        let random = steps(60..100).new_tree(&mut runner).unwrap().current();
        for step in beginning().iter().chain(&opening(2)).chain(&random) {
            play.now.0 += 10_000;
            let _ = play.give(&step.command(&play.world)); // Refused, many of them.
        }
        for (all, play) in [(&mut actions, &play.actions), (&mut callers, &play.callers)] {
            for (name, [accepted, refused]) in play {
                let [all_accepted, all_refused] = all.entry(*name).or_insert([0, 0]);
                *all_accepted += accepted;
                *all_refused += refused;
            }
        }
        for (phase, count) in play.books.phases() {
            *phases.entry(phase).or_default() += count;
        }
    }
    let accepted: Vec<_> = actions.iter().filter(|(_, [accepted, _])| *accepted >= 5).collect();
    assert_eq!(accepted.iter().map(|(name, _)| **name).collect::<Vec<_>>(), ACTIONS, "{actions:?}");
    assert!(actions.values().all(|[_, refused]| *refused >= 1), "{actions:?}");
    for word in Word::ALL {
        assert!(actions.contains_key(word.as_str()), "{word}");
    }
    for (name, [accepted, refused]) in &callers {
        let mute = ["auditor", "expired token", "revoked token"].contains(name);
        assert!(*refused >= 5 && mute == (*accepted == 0), "{name}: {callers:?}");
        assert!(mute || *accepted >= 5, "{name}: {callers:?}");
    }
    assert_eq!(callers.len(), 10, "{callers:?}");
    for law in CHANNELS.map(|name| Law::of(&Channel::new(name).unwrap(), 1)) {
        for row in &law.rows {
            let count = phases.get(&(law.channel.clone(), row.to)).copied().unwrap_or(0);
            assert!(count >= 3, "{} {:?}: {phases:?}", law.channel, row.to);
        }
    }
}
