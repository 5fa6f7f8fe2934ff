//! Orders that are over, in an engine: what it keeps of them, and what it says to who asks late.

use std::{collections::BTreeMap, time::Duration};

use docket::{
    builtin::builtin_lifecycle,
    domain::{self, Action, Caller, Credential, Rejection, lifecycle::Word},
    engine::{Accepted, Error},
};
use events::*;

use super::{
    super::site::{
        self, BEGIN, Site, channel, cny, command, command_in, digest, fresh, in_each_channel,
        paused, place, somebody,
    },
    leads_back, step,
};

/// Every order to its end: cancelled unpaid, expired, called off when paid, received.
async fn ends(site: &Site, seller: AccountId, buyer: AccountId) -> [(OrderId, Phase); 4] {
    let mut orders = Vec::new();
    for words in [
        &[(buyer, Word::Cancel)][..],
        &[],
        &[(buyer, Word::Pay), (buyer, Word::Cancel)],
        &[(buyer, Word::Pay), (seller, Word::Ship), (buyer, Word::Receive)],
    ] {
        let (order, placed) = place(&[(0, 1)]);
        site.give(command(somebody(buyer), placed)).await.unwrap();
        for (by, word) in words {
            let by = if channel().as_str() == "native" && *word == Word::Cancel && words.len() == 2
            {
                seller // There, what is paid is called off by who sells.
            } else {
                *by
            };
            site.give(step(by, order, *word)).await.unwrap();
        }
        orders.push(order);
    }
    site.clock.pass(Duration::from_secs(600)).await;
    let phases = [Phase::Cancelled, Phase::Cancelled, Phase::Cancelled, Phase::Completed];
    let whole = site.everything();
    for (order, phase) in orders.iter().zip(phases) {
        assert_eq!(whole.orders[order].phase, phase);
    }
    [0, 1, 2, 3].map(|n| (orders[n], phases[n]))
}

/// What is over takes no room: what grows with it is a table of ids, and nothing else.
#[test]
fn memory_holds_what_is_open() {
    in_each_channel(async || {
        let site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        let (seller, buyer) = site.shop(&[1000], 1_000_000).await;
        let mut over = Vec::new();
        for _ in 0..40 {
            over.extend(ends(&site, seller, buyer).await);
        }
        let (open, placed) = place(&[(0, 1)]);
        site.give(command(somebody(buyer), placed)).await.unwrap();
        let (store, at) = (site.journal.store(), site.clock.now());
        let world = site.stop().await.unwrap();
        assert_eq!(world.orders.keys().collect::<Vec<_>>(), [&open]);
        let state = &world.channels[&channel()];
        assert_eq!((state.payables.len(), state.numbers.len()), (1, 0));
        assert_eq!((world.deadlines.len(), world.leaving.len()), (1, 0));
        assert_eq!(state.finished.len(), over.len());
        assert!(over.iter().all(|(order, _)| state.finished.contains_key(order)));
        // And so it is after a restart.
        let site = Site::on(store, at, |_| {});
        assert_eq!(site.stop().await.unwrap(), world);
    });
}

/// Each word, by everybody, for each order that has left, before a restart and after: the answer
/// is the one of a world that keeps every order.
#[test]
fn a_late_command_is_answered_as_ever() {
    in_each_channel(async || {
        let mut site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        let (seller, buyer) = site.shop(&[100], 10_000).await;
        let mut orders = ends(&site, seller, buyer).await.map(|(order, _)| order).to_vec();
        orders.push(OrderId(fresh()));
        let failed = Caller::Somebody { account: Some(buyer), credential: Credential::Failed };
        let nobody = Caller::Somebody { account: None, credential: Credential::Waived };
        let callers =
            [somebody(buyer), somebody(seller), failed, nobody, Caller::Timer, Caller::System];
        for restarted in [false, true] {
            if restarted {
                let (store, at) = (site.journal.store(), site.clock.now());
                site.stop().await.unwrap();
                site = Site::on(store, at, |_| {});
            }
            let (whole, before) = (site.everything(), site.head());
            let mut refusals = BTreeMap::<String, usize>::new();
            for order in &orders {
                let words = Word::ALL.iter().filter(|word| **word != Word::Place);
                let of_this = |store: Option<u8>| {
                    let store = store.map(site::store);
                    words.clone().map(move |word| Action::Step {
                        order: *order,
                        store: store.clone(),
                        word: *word,
                    })
                };
                let steps = of_this(None).chain(of_this(Some(0))).chain(of_this(Some(7)));
                for action in steps.chain([Action::Move { order: *order }]) {
                    for caller in &callers {
                        for channel in ["bookstore", "native"] {
                            let channel = Channel::new(channel).unwrap();
                            let command = command_in(&channel, caller.clone(), action.clone());
                            let expected = domain::decide(&whole, &command, site.clock.now());
                            let answer = site.give(command.clone()).await;
                            match (&answer, &expected) {
                                (Err(Error::Rejected(ours)), Err(expected)) => {
                                    assert_eq!(ours, expected, "{command:?}");
                                    let text = format!("{ours:?}");
                                    let kind = text.split([' ', '(']).next().unwrap_or_default();
                                    *refusals.entry(kind.to_owned()).or_default() += 1;
                                }
                                (Ok(_), Ok(expected)) => assert!(expected.events.is_empty()),
                                _ => panic!("{command:?}: {answer:?}, and not {expected:?}"),
                            }
                        }
                    }
                }
            }
            assert_eq!(site.head(), before, "a refused command leaves no trace");
            for kind in ["Phase", "NotOwn", "OrderUnknown", "Unauthenticated", "AccountUnknown"] {
                assert!(refusals.contains_key(kind), "{refusals:?}");
            }
        }
    });
}

/// Neither its id nor its number is another's, ever.
#[test]
fn names_of_what_is_over_stay_taken() {
    in_each_channel(async || {
        let mut site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        let (seller, buyer) = site.shop(&[100], 10_000).await;
        let [(over, _), ..] = ends(&site, seller, buyer).await;
        let wanted = |order: OrderId, number: &str| {
            let (_, mut action) = place(&[(0, 1)]);
            if let Action::Place(place) = &mut action {
                (place.order, place.number) = (order, OrderNumber::new(number).unwrap());
            }
            command(somebody(buyer), action)
        };
        let named = OrderId(fresh());
        site.give(wanted(named, "no-1")).await.unwrap();
        site.give(step(buyer, named, Word::Cancel)).await.unwrap();
        let taken = |answer: Result<Accepted, Error>| {
            let field = Error::Rejected(Rejection::Invalid {
                field: "order".into(),
                reason: "exists already".into(),
            });
            assert_eq!(answer.unwrap_err(), field);
        };
        for restarted in [false, true] {
            if restarted {
                let (store, at) = (site.journal.store(), site.clock.now());
                site.stop().await.unwrap();
                site = Site::on(store, at, |_| {});
            }
            let fresh_id = || OrderId(fresh());
            taken(site.give(wanted(over, "no-2")).await);
            taken(site.give(wanted(fresh_id(), &over.to_string())).await);
            taken(site.give(wanted(fresh_id(), "no-1")).await);
            taken(site.give(wanted(fresh_id(), &named.to_string())).await);
            // An id in another writing is another number.
            let other =
                if restarted { over.0.urn().to_string() } else { over.0.simple().to_string() };
            site.give(wanted(fresh_id(), &other)).await.unwrap();
        }
    });
}

/// An account may go when all of its is over, and what is asked of its orders then is answered as
/// ever.
#[test]
fn people_leave_when_all_of_theirs_is_over() {
    for forgotten in [false, true] {
        in_each_channel(async || {
            let site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
            let (seller, buyer) = site.shop(&[100], 10_000).await;
            let orders = ends(&site, seller, buyer).await;
            for account in [buyer, seller] {
                let (caller, action) = if forgotten {
                    (Caller::System, Action::Forget { account })
                } else {
                    (somebody(account), Action::Unregister)
                };
                site.give(command(caller, action)).await.unwrap();
            }
            for (order, phase) in orders {
                let by_timer = Action::Step { order, store: None, word: Word::Expire };
                let refused = Rejection::Phase { phase: Some(phase), word: Word::Expire };
                let answer = site.give(command(Caller::Timer, by_timer)).await;
                assert_eq!(answer.map(drop), Err(Error::Rejected(refused)));
                let answer = site.give(step(buyer, order, Word::Pay)).await;
                let expected =
                    domain::decide(&site.everything(), &step(buyer, order, Word::Pay), BEGIN);
                assert_eq!(answer.map(drop), Err(Error::Rejected(expected.unwrap_err())));
            }
        });
    }
}

/// An order that is over waits for as long as its life cycle says, by the time of recording, and
/// leaves with what is recorded next.
#[test]
fn what_is_over_stays_for_its_after_sale_time() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let text = leads_back(&channel(), 2, Some("30m"));
        let adopted = Action::AdoptLifecycle { digest: digest(&text), text };
        site.give(command(Caller::System, adopted)).await.unwrap();
        let (_, buyer) = site.shop(&[100], 0).await;
        let mut over = Vec::new();
        for _ in 0..5 {
            let (order, placed) = place(&[(0, 1)]);
            site.give(command(somebody(buyer), placed)).await.unwrap();
            site.give(step(buyer, order, Word::Cancel)).await.unwrap();
            over.push(order);
        }
        let sizes = |site: &Site| {
            let world = site.world();
            (world.orders.len(), world.leaving.len(), world.channels[&channel()].finished.len())
        };
        let fund = || command(somebody(buyer), Action::Fund { amount: cny(1) });
        let half = Duration::from_secs(15 * 60);
        site.clock.pass(half).await;
        // One goes on, stays over, and its time begins anew.
        site.give(step(buyer, over[0], Word::FailDelivery)).await.unwrap();
        assert_eq!(sizes(&site), (5, 5, 0));
        site.clock.pass(half - Duration::from_secs(1)).await;
        site.give(fund()).await.unwrap();
        assert_eq!(sizes(&site), (5, 5, 0));
        site.clock.pass(Duration::from_secs(1)).await;
        assert_eq!(sizes(&site), (5, 5, 0), "the clock alone changes nothing");
        // Two with each event: what has piled up holds no command up.
        site.give(fund()).await.unwrap();
        assert_eq!(sizes(&site), (3, 3, 2));
        site.give(fund()).await.unwrap();
        site.give(fund()).await.unwrap();
        assert_eq!(sizes(&site), (1, 1, 4));
        assert!(site.world().orders.contains_key(&over[0]));
        site.clock.pass(half).await;
        site.give(fund()).await.unwrap();
        assert_eq!(sizes(&site), (0, 0, 5));
        let world = site.world();
        assert_eq!(site.stop().await.unwrap(), world);
    });
}

/// Two deadlines come due in the same moment, the first ends the order, and it has left when the
/// second has its turn.
#[test]
fn an_order_that_a_deadline_ended_has_no_second_one() {
    let text = builtin_lifecycle(&channel()).unwrap().replace("\nversion = 1\n", "\nversion = 2\n");
    let declared = "\n[deadline.pay]\n";
    let both =
        "\n[deadline.late]\nafter = \"pay_within\"\ncommand = \"expire\"\n\n[deadline.pay]\n";
    let text = text.replace(declared, both);
    let text = text.replace("deadlines = { pay = ", "deadlines = { late = \"clear\", pay = ");
    let placed = "deadlines = { late = \"clear\", pay = \"set\" }";
    assert!(text.contains(both) && text.contains(placed));
    let text = text.replace(placed, "deadlines = { late = \"set\", pay = \"set\" }");
    paused(async {
        let site = Site::new(|_| {}).await;
        let adopted = Action::AdoptLifecycle { digest: digest(&text), text };
        site.give(command(Caller::System, adopted)).await.unwrap();
        let (_, buyer) = site.shop(&[9], 0).await;
        let (order, placed) = place(&[(0, 1)]);
        site.give(command(somebody(buyer), placed)).await.unwrap();
        assert_eq!(site.world().deadlines.len(), 2);
        site.clock.pass(Duration::from_secs(600)).await;
        assert_eq!(site.everything().orders[&order].phase, Phase::Cancelled);
        assert!(site.world().orders.is_empty());
        site.give(command(somebody(buyer), place(&[(0, 1)]).1)).await.unwrap();
    });
}
