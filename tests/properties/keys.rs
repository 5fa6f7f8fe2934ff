//! Idempotency keys: one effect and one answer for each, however often and whenever it is sent.

use std::time::Duration;

use docket::{
    domain::{Action, Caller, Credential, Rejection, lifecycle::Word},
    engine::{Accepted, Error, KeyOwner},
};
use events::*;

use super::site::{
    BEGIN, MINUTE, Site, adopt, channel, cny, command, command_in, idle, in_each_channel, keyed,
    listing, paused, place, register_in, sku, somebody, store,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn a_key_has_one_effect_and_one_answer() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[3], 100).await;
        let ask = |body| keyed(command(somebody(buyer), place(&[(0, 1)]).1), "k", body);
        let first = site.engine.submit(ask(1)).await.unwrap();
        assert!(!first.replay);
        let again = Accepted { replay: true, ..first.clone() };
        assert_eq!(site.engine.submit(ask(1)).await, Ok(again.clone()));
        assert_eq!(site.engine.submit(ask(2)).await, Err(Error::KeyReused));

        // Another's key, or another operation's, is another key.
        let other = keyed(command(somebody(seller), place(&[(0, 1)]).1), "k", 1);
        let other = site.engine.submit(other).await.unwrap();
        assert!(!other.replay && other.command != first.command);
        let step = Action::Step { order: first.receipt.orders[0].id, store: None, word: Word::Pay };
        let paid = site.engine.submit(keyed(command(somebody(buyer), step), "k", 1)).await.unwrap();
        assert!(!paid.replay);

        // The owner of a key is who it says it is.
        let Caller::Somebody { account, .. } = somebody(buyer) else { unreachable!() };
        let nobody = Caller::Somebody { account, credential: Credential::Failed };
        let refused = site.engine.submit(keyed(command(nobody, place(&[]).1), "k", 1)).await;
        assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");

        // A restart remembers; the first answer stands though the shelf is empty by now.
        site.give(command(somebody(buyer), place(&[(0, 1)]).1)).await.unwrap();
        let (store, at) = (site.journal.store(), site.clock.now());
        let before = site.stop().await.unwrap();
        let site = Site::on(store, at, |_| {});
        assert_eq!(site.engine.submit(ask(1)).await, Ok(again));
        assert_eq!(site.engine.submit(ask(2)).await, Err(Error::KeyReused));
        assert_eq!(site.stop().await.unwrap(), before);
    });
}

/// The same key, request and names are another key in another channel, and of another owner: an
/// account's, a login name's, a token's.
#[test]
fn a_key_is_one_channel_s_and_one_owner_s() {
    paused(async {
        let site = Site::new(|_| {}).await;
        let channels = ["bookstore", "native"].map(|name| Channel::new(name).unwrap());
        let mut requests = Vec::new();
        for n in [1, 2] {
            let name = TokenName::new(format!("till-{n}")).unwrap();
            let (token, role, expires_at) = (Digest([n; 32]), Role::Operator, None);
            let (channel, store) = (None, None);
            let issued = TokenIssued { token, name, role, channel, store, expires_at };
            let issued = Action::IssueToken(Box::new(issued));
            site.give(command(Caller::System, issued)).await.unwrap();
        }
        for channel in &channels {
            for n in [1, 2] {
                let (account, registered) = register_in(channel, n);
                requests.push(keyed(registered, "k", 1));
                let funded = Action::Fund { amount: cny(10) };
                requests.push(keyed(command_in(channel, somebody(account), funded), "k", 1));
                let name = TokenName::new(format!("till-{n}")).unwrap();
                let caller = Caller::Token { token: Digest([n; 32]), name };
                let charged = Action::Charge { account, amount: cny(1) };
                requests.push(keyed(command_in(channel, caller, charged), "k", 1));
            }
        }
        let mut given = Vec::new();
        for request in &requests {
            let accepted = site.engine.submit(request.clone()).await.unwrap();
            assert!(!accepted.replay);
            given.push(accepted);
        }
        for (request, accepted) in requests.iter().zip(given) {
            let again = site.engine.submit(request.clone()).await.unwrap();
            assert_eq!(again, Accepted { replay: true, ..accepted });
        }
        let world = site.world();
        assert_eq!((world.accounts.len(), world.keys.len()), (4, 12));
        assert!(world.accounts.values().all(|it| it.wallet[&Currency::CNY] == 11));
    });
}

#[test]
fn a_refused_command_leaves_its_key_free() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (seller, buyer) = site.shop(&[0], 100).await;
        let ask = |body| keyed(command(somebody(buyer), place(&[(0, 1)]).1), "k", body);
        for body in [1, 2] {
            let short = Rejection::Short { sku: sku(0) };
            assert_eq!(site.engine.submit(ask(body)).await, Err(Error::Rejected(short)));
        }
        let more = Action::AddStock { store: store(0), sku: sku(0), quantity: 1 };
        site.give(command(somebody(seller), more)).await.unwrap();
        assert!(!site.engine.submit(ask(3)).await.unwrap().replay);
        assert!(site.engine.submit(ask(3)).await.unwrap().replay);

        // What changes nothing takes no key either.
        let nothing =
            |body| keyed(command(somebody(buyer), Action::Fund { amount: cny(0) }), "k", body);
        assert!(!site.engine.submit(nothing(1)).await.unwrap().replay);
        assert!(!site.engine.submit(nothing(2)).await.unwrap().replay);
    });
}

#[test]
fn a_key_in_flight_makes_the_second_wait() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[2], 100).await;
        let gate = site.hold();
        let ask = |body| keyed(command(somebody(buyer), place(&[(0, 1)]).1), "k", body);
        let first = site.send(ask(1)).await;
        gate.reached().await;
        let (second, third) = (site.send(ask(1)).await, site.send(ask(2)).await);
        idle().await;
        assert!(!first.is_finished() && !second.is_finished() && !third.is_finished());
        gate.open();
        let first = first.await.unwrap().unwrap();
        let second = second.await.unwrap();
        assert_eq!(second, Ok(Accepted { replay: true, ..first }));
        assert_eq!(third.await.unwrap(), Err(Error::KeyReused));
        assert_eq!(site.world().orders.len(), 1);
    });
}

#[test]
fn a_key_outlives_the_account_and_the_token_that_proved_it() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[1], 100).await;
        let token = Digest([9; 32]);
        let by_token = |command, owner| {
            let mut request = keyed(command, "k", 1);
            request.key.as_mut().unwrap().owner = owner;
            request
        };
        let opened = Action::OpenSession { token, expires_at: Millis(BEGIN.0 + 1), terminal: None };
        site.give(command(somebody(buyer), opened)).await.unwrap();
        let live = Credential::Verified { session: Some(token), password: None };
        let caller = Caller::Somebody { account: Some(buyer), credential: live };
        let logout = || {
            let action = Action::CloseSession { token };
            by_token(command(caller.clone(), action), KeyOwner::Token(token))
        };
        let closed = site.engine.submit(logout()).await.unwrap();
        let again = site.engine.submit(logout()).await.unwrap();
        assert_eq!(again, Accepted { replay: true, ..closed });

        let owner = KeyOwner::Login(super::site::login(1));
        let gone = || by_token(command(somebody(buyer), Action::Unregister), owner);
        let first = site.engine.submit(gone()).await.unwrap();
        let again = site.engine.submit(gone()).await.unwrap();
        assert_eq!(again, Accepted { replay: true, ..first });
    });
}

#[test]
fn a_key_lives_as_long_as_the_setting_says() {
    in_each_channel(async || {
        let site = Site::new(|_| {}).await;
        let (_, buyer) = site.shop(&[9], 100).await;
        let ask = || keyed(command(somebody(buyer), place(&[(0, 1)]).1), "k", 1);
        let first = site.engine.submit(ask()).await.unwrap();
        site.clock.pass(DAY - Duration::from_millis(501)).await;
        assert!(site.engine.submit(ask()).await.unwrap().replay);
        site.clock.set(Millis(first.receipt.recorded_at.0 + 24 * 3_600_000));
        // Nothing was recorded since but by the timer; what counts is the time.
        let second = site.engine.submit(ask()).await.unwrap();
        assert!(!second.replay && second.command != first.command);
        assert!(site.engine.submit(ask()).await.unwrap().replay);
        assert_eq!(site.world().keys.len(), 1);
    });
}

#[test]
fn a_key_taken_again_lives_its_whole_time() {
    in_each_channel(async || {
        let site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        let (seller, buyer) = site.shop(&[9], 100).await;
        let ask = |key| keyed(command(somebody(buyer), place(&[(0, 1)]).1), key, 1);
        // One that lives a day, recorded before those that live an hour.
        site.engine.submit(ask("long")).await.unwrap();
        for adopted in adopt(&channel(), &[("key_ttl", "1h")]) {
            site.give(adopted).await.unwrap();
        }
        site.engine.submit(ask("k")).await.unwrap();
        site.clock.pass(60 * MINUTE).await;
        assert!(!site.engine.submit(ask("k")).await.unwrap().replay, "it was an hour old");
        for adopted in adopt(&channel(), &[("key_ttl", "2d")]) {
            site.give(adopted).await.unwrap();
        }
        site.clock.pass(60 * MINUTE).await;
        assert!(!site.engine.submit(ask("k")).await.unwrap().replay, "again");
        site.clock.pass(DAY - 60 * MINUTE).await;
        let added = listing(store(0), sku(7), cny(1), 1);
        site.give(command(somebody(seller), added)).await.unwrap(); // Recorded, so that keys go.
        assert!(site.engine.submit(ask("k")).await.unwrap().replay, "it lives two days");
        assert!(!site.engine.submit(ask("long")).await.unwrap().replay, "it lived one");
    });
}
