//! What operators fill: named tokens, channels and the versions of their life cycles.

use std::{collections::BTreeMap, time::Duration};

use docket::{
    domain::{Action, Caller, Command},
    engine::Error,
};
use events::*;

use super::{
    super::site::{BEGIN, MINUTE, Site, channel, command, command_in, digest, paused, register_in},
    full, restarted, set, sizes,
};

/// Live tokens of operators; docket's own comes beside them.
const TOKENS_MAX: usize = 4096;
const CHANNELS_MAX: usize = 256;
const LIFECYCLES_MAX: u32 = 1000;

/// The digest of a token that no other number has.
fn token(n: usize) -> Digest {
    digest(&format!("token {n}"))
}

fn issue(caller: Caller, n: usize, name: String, expires_at: Option<Millis>) -> Command {
    let name = TokenName::new(name).unwrap();
    let (role, channel, store) = (Role::Operator, None, None);
    let issued = TokenIssued { token: token(n), name, role, channel, store, expires_at };
    command(caller, Action::IssueToken(Box::new(issued)))
}

/// A till that gets a new token each day must not leave the old ones behind.
#[test]
fn tokens_that_died_by_themselves_leave() {
    paused(async {
        let site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        for n in 0..50 {
            let expires_at = Some(Millis(site.clock.now().0 + 60_000));
            // Two renewed under their own names, and one that nobody asks for again.
            for name in ["till", "desk", &format!("guest-{n}")] {
                let n = 1000 * n + name.len();
                site.give(issue(Caller::System, n, name.to_owned(), expires_at)).await.ok();
            }
            let n = 1_000_000 + n;
            site.give(issue(Caller::System, n, format!("once-{n}"), expires_at)).await.unwrap();
            assert!(sizes(&site.world(), ["tokens"])[0] <= 4, "{n}");
            assert!(site.engine.credentials().tokens().len() <= 4, "{n}");
            site.clock.pass(MINUTE).await;
        }
        // Those that never die stay.
        for n in 0..3 {
            let n = 2_000_000 + n;
            site.give(issue(Caller::System, n, format!("safe-{n}"), None)).await.unwrap();
        }
        assert_eq!(sizes(&site.world(), ["tokens"]), [3]);
        assert_eq!(site.engine.credentials().tokens().len(), 3);
        let site = restarted(site).await;
        assert_eq!(site.engine.credentials().tokens().len(), 3);
        // One that has gone is none, and its name is free.
        let name = TokenName::new("till").unwrap();
        let revoked = command(Caller::System, Action::RevokeToken { name });
        assert_eq!(site.give(revoked).await.unwrap_err().to_string(), "no such token: till");
        site.give(issue(Caller::System, 3_000_000, "till".to_owned(), None)).await.unwrap();
    });
}

/// Operators' tokens are so many, and there is room for docket's own beside them: it must start.
#[test]
fn tokens_are_so_many() {
    paused(async {
        let mut site = Site::new(|options| options.clock_jump_max = Duration::MAX).await;
        site.give(issue(Caller::System, 0, "root".to_owned(), None)).await.unwrap();
        let name = TokenName::new("root").unwrap();
        let root = || Caller::Token { token: token(0), name: name.clone() };
        let soon = Some(Millis(BEGIN.0 + 60_000));
        for n in 1..TOKENS_MAX {
            let expires_at = soon.filter(|_| n % 2 == 0);
            site.give(issue(root(), n, format!("t-{n}"), expires_at)).await.unwrap();
        }
        let one_more = |caller: Caller, n: usize| issue(caller, n, format!("t-{n}"), None);
        for again in [false, true] {
            if again {
                site = restarted(site).await;
            }
            full(&site, one_more(root(), TOKENS_MAX), "4096 live tokens").await;
            assert_eq!(sizes(&site.world(), ["tokens"]), [TOKENS_MAX]);
        }
        site.give(one_more(Caller::System, TOKENS_MAX)).await.unwrap();
        full(&site, one_more(Caller::System, TOKENS_MAX + 1), "4097 live tokens").await;
        assert_eq!(sizes(&site.world(), ["tokens"]), [TOKENS_MAX + 1]);
        assert_eq!(site.engine.credentials().tokens().len(), TOKENS_MAX + 1);

        // Time takes those that die, and what is revoked leaves at once.
        site.clock.pass(MINUTE).await;
        assert_eq!(sizes(&site.world(), ["tokens"]), [TOKENS_MAX + 1]);
        site.give(one_more(root(), TOKENS_MAX + 1)).await.unwrap();
        let left = TOKENS_MAX / 2 + 3;
        assert_eq!(sizes(&site.world(), ["tokens"]), [left]);
        let name = TokenName::new("t-1").unwrap();
        site.give(command(root(), Action::RevokeToken { name })).await.unwrap();
        assert_eq!(sizes(&restarted(site).await.world(), ["tokens"]), [left - 1]);
    });
}

/// The shortest life cycle there is: what is placed is over.
fn shortest(channel: &Channel, version: u32) -> Command {
    let text = format!(
        "version = {version}\n[settings]\nkey_ttl = \"{version}s\"\n\
         [[on]]\ncommand = \"place\"\nfrom = \"New\"\nby = \"buyer\"\nto = \"Completed\"\n"
    );
    let digest = digest(&format!("{channel} {text}"));
    command_in(channel, Caller::System, Action::AdoptLifecycle { digest, text })
}

/// Orders that are over live by their version for ever: versions stay, and are so many.
#[test]
fn a_channel_s_life_cycles_are_so_many() {
    paused(async {
        let mut site = Site::new(|_| {}).await;
        let channel = Channel::new("stall").unwrap();
        for version in 1..=LIFECYCLES_MAX {
            site.give(shortest(&channel, version)).await.unwrap();
        }
        for again in [false, true] {
            if again {
                site = restarted(site).await;
            }
            let what = "1000 life cycles in a channel";
            full(&site, shortest(&channel, LIFECYCLES_MAX + 1), what).await;
            assert_eq!(sizes(&site.world(), ["lifecycles"]), [2 + LIFECYCLES_MAX as usize]);
            // A start with the one that is in force goes on.
            site.give(shortest(&channel, LIFECYCLES_MAX)).await.unwrap();
        }
        // The other channels go on as ever.
        let other = Channel::new("kiosk").unwrap();
        site.give(shortest(&other, 1)).await.unwrap();
    });
}

#[test]
fn channels_are_so_many() {
    paused(async {
        let mut site = Site::new(|_| {}).await;
        let name = |n: usize| Channel::new(format!("stall-{n}")).unwrap();
        for n in 2..CHANNELS_MAX {
            site.give(shortest(&name(n), 1)).await.unwrap();
        }
        for again in [false, true] {
            if again {
                site = restarted(site).await;
            }
            full(&site, shortest(&name(0), 1), "256 channels").await;
            assert_eq!(sizes(&site.world(), ["channels", "lifecycles"]), [CHANNELS_MAX; 2]);
        }
        site.give(shortest(&name(2), 2)).await.unwrap();
        site.give(register_in(&name(2), 1).1).await.unwrap();
    });
}

/// Settings are those of the life cycle and the bounds that a site sets, and replace those before.
#[test]
fn settings_are_those_there_are() {
    paused(async {
        let site = Site::new(|_| {}).await;
        let before = sizes(&site.world(), ["settings"]);
        for most in 1..=40 {
            set(&site, &[("max_stores", &most.to_string())]).await;
            assert_eq!(sizes(&site.world(), ["settings"]), [before[0] + 1]);
        }
        let unknown = BTreeMap::from([("max_store".to_owned(), "1".to_owned())]);
        let action = Action::AdoptSettings { overrides: unknown };
        let refused = site.give(command(Caller::System, action)).await;
        let Err(Error::Rejected(refused)) = refused else { panic!("{refused:?}") };
        let known = "key_ttl, max_lines, pay_within, receive_within, max_accounts, max_stores, \
                     max_listings, max_open_orders";
        let text = format!("there is no setting \"max_store\"; there are {known}");
        assert_eq!(refused.to_string(), text);
        // What is not set any more is the default again.
        let settings = |site: &Site| site.world().channels[&channel()].settings.clone();
        assert_eq!(settings(&site)["max_stores"], "40");
        set(&site, &[]).await;
        let site = restarted(site).await;
        assert_eq!(sizes(&site.world(), ["settings"]), before);
        assert!(!settings(&site).contains_key("max_stores"));
    });
}
