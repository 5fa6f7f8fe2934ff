//! Rules about orders, money and tokens that random histories found broken, or that they hardly ever
//! come to: each in a history of its own.

use docket::{
    builtin::builtin_lifecycle,
    domain::{Action, Caller, Rejection, lifecycle::Word},
    engine::Error,
};
use events::*;

use super::{
    law::Law,
    play::Play,
    site::{
        BEGIN, Site, channel, cny, command, command_in, digest, listing, paused, place, register,
        sku, somebody, store,
    },
};

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
    let named = matches!(&refused, Err(Rejection::Invalid { field, .. }) if field == "account");
    assert!(named, "{refused:?}");
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

/// Where nothing is put aside when an order is placed, more may be ordered than lies on the shelf:
/// what is short is found when it is to be taken.
#[test]
fn what_is_taken_later_need_not_be_there_yet() {
    const LATER: &str = r#"
version = 2
[settings]
max_lines = 500
[[on]]
command = "place"
from = ["New"]
by = ["buyer"]
to = "Preparing"
[[on]]
command = "ship"
from = ["Preparing", "DeliveryFailed"]
by = ["seller"]
when = { stock = "available" }
to = "Completed"
stock = ["reserve", "consume"]
[[on]]
command = "ship"
from = ["Preparing"]
by = ["seller"]
to = "DeliveryFailed"
event = "order.delivery_failed"
"#;
    paused(async {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[1], 0).await;
        let adopted = Action::AdoptLifecycle { digest: digest(LATER), text: LATER.into() };
        site.give(command(Caller::System, adopted)).await.unwrap();
        let (order, placed) = place(&[(0, 2)]);
        site.give(command(somebody(buyer), placed)).await.unwrap();
        let ship = async |phase| {
            let step = Action::Step { order, store: None, word: Word::Ship };
            site.give(command(somebody(seller), step)).await.unwrap();
            assert_eq!(site.everything().orders[&order].phase, phase);
        };
        ship(Phase::DeliveryFailed).await;
        let more = Action::AddStock { store: store(0), sku: sku(0), quantity: 1 };
        site.give(command(somebody(seller), more)).await.unwrap();
        ship(Phase::Completed).await;
    });
}

/// What costs nothing is paid for all the same, and goes on under a newer life cycle as what has a
/// price does.
#[test]
fn an_order_that_costs_nothing_moves_on_like_any_other() {
    for price in [7, 0] {
        let mut play = Play::new();
        let (account, registered) = register(0);
        play.give(&registered).unwrap();
        let mut give = |action| play.give(&command(somebody(account), action)).unwrap();
        give(Action::OpenStore { store: store(0) });
        give(listing(store(0), sku(0), cny(price), 9));
        give(Action::Fund { amount: cny(100) });
        let orders = [0, 1].map(|steps| {
            let (order, placed) = place(&[(0, 1)]);
            give(placed);
            for _ in 0..steps {
                give(Action::Step { order, store: None, word: Word::Pay });
            }
            order
        });
        let text = Law::of(&channel(), 2).text.clone();
        let adopted = Action::AdoptLifecycle { digest: digest(&text), text };
        play.give(&command(Caller::System, adopted)).unwrap();
        for order in orders {
            let moved = play.give(&command(Caller::System, Action::Move { order }));
            assert_eq!(moved, Ok(1), "{price} {:?}", play.world.orders[&order].phase);
        }
        play.books.agree(&play.world);
    }
}

/// Whether it is paid for is a question that a life cycle may ask of what costs nothing, too.
#[test]
fn an_order_that_costs_nothing_is_paid_once_it_is_paid() {
    let text = builtin_lifecycle(&channel()).unwrap().replace("\nversion = 1\n", "\nversion = 2\n");
    let shipped = "from = [\"Paid\"]\nby = [\"seller\"]\n";
    let asked = format!("{shipped}when = {{ payment = \"captured\" }}\n");
    assert!(text.contains(shipped));
    let text = text.replace(shipped, &asked);
    paused(async {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[], 0).await;
        let adopted = Action::AdoptLifecycle { digest: digest(&text), text };
        let free = listing(store(0), sku(0), cny(0), 1);
        for (by, action) in [(Caller::System, adopted), (somebody(seller), free)] {
            site.give(command(by, action)).await.unwrap();
        }
        let (order, placed) = place(&[(0, 1)]);
        site.give(command(somebody(buyer), placed)).await.unwrap();
        for (by, word) in [(buyer, Word::Pay), (seller, Word::Ship), (buyer, Word::Receive)] {
            let step = Action::Step { order, store: None, word };
            site.give(command(somebody(by), step)).await.unwrap();
        }
    });
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
        let live = |site: &Site| site.engine.credentials().session(token, BEGIN);
        assert_eq!((live(&site), site.head()), (Some((buyer, channel())), before));
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
