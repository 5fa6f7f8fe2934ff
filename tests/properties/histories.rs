//! Random commands in any interleaving: nothing is made or lost, and no order does what the
//! documents do not allow.

use std::{collections::BTreeMap, time::Duration};

use docket::{
    builtin::builtin_lifecycle,
    domain::{Action, Caller, Rejection, World, lifecycle::Word},
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
    site::{
        BEGIN, Site, cases, channel, cny, command, command_in, decisions, digest, listing, paused,
        place, register, sku, somebody, store,
    },
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
            let (verdict, now) = (judge(&play.world, &command, play.now), play.now);
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
            let (journal, credentials) = (site.journal.clone(), site.engine.credentials().clone());
            let world = site.stop().await.unwrap();
            let (replayed, head) = engine::replay(journal.as_ref()).unwrap();
            assert_eq!(world, replayed);
            agree(&credentials, &world);
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

/// Whether the edge's table says what the world says.
fn agree(credentials: &Credentials, world: &World) {
    for (id, account) in &world.accounts {
        let known = credentials.account(*id).unwrap();
        assert_eq!((&known.channel, known.login), (&account.channel, account.login));
        assert_eq!(known.password_version, account.password);
        assert_eq!(credentials.stores(*id), account.stores);
        for (token, expires_at) in &account.sessions {
            for channel in CHANNELS.map(|name| Channel::new(name).unwrap()) {
                let live = |now| credentials.by_session(&channel, *token, now);
                let own = (channel == account.channel).then_some(*id);
                assert_eq!((live(Millis(expires_at.0 - 1)), live(*expires_at)), (own, None));
            }
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
const ACTIONS: [&str; 27] = [
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

/// Who is good for one channel, or for one store, neither gives a token, which may be good for
/// more, nor takes one from somebody else.
#[test]
fn only_who_runs_the_site_gives_and_takes_tokens() {
    let mut play = Play::new();
    let native = Channel::new("native").unwrap();
    let token = |n: u8, channel: Option<&Channel>, store: Option<StoreId>| {
        let (token, name) = (Digest([n; 32]), TokenName::new(format!("t{n}")).unwrap());
        let (role, channel, expires_at) = (Role::Operator, channel.cloned(), None);
        TokenIssued { token, name, role, channel, store, expires_at }
    };
    let scoped = [(1, Some(&native), None), (2, None, Some(store(0))), (3, None, None)];
    let issued = scoped.map(|(n, channel, store)| token(n, channel, store));
    for it in &issued {
        let action = Action::IssueToken(Box::new(it.clone()));
        play.give(&command_in(&native, Caller::System, action)).unwrap();
    }
    for (n, it) in (4..).zip(&issued) {
        let caller = Caller::Token { token: it.token, name: it.name.clone() };
        let allowed = if n == 6 { Ok(1) } else { Err(Rejection::Forbidden) };
        let gives = Action::IssueToken(Box::new(token(n, Some(&native), None)));
        let takes = Action::RevokeToken { name: issued[2].name.clone() };
        for action in [gives, takes] {
            let answer = play.give(&command_in(&native, caller.clone(), action));
            assert_eq!(answer, allowed, "{it:?}");
        }
    }
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
        let adopted = Action::AdoptLifecycle { digest: digest(&text), text };
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
        let adopted = Action::AdoptLifecycle { digest: digest(&text), text };
        site.give(command(Caller::System, adopted)).await.unwrap();
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
