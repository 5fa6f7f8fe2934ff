//! Settings: their defaults, what a site puts over them, and what it may not.

use std::fmt::Write;

use expect_test::expect;

use super::{
    super::{Bound, Settings},
    BOOKSTORE, lifecycle,
};

fn overridden(name: &str, value: &str) -> Result<String, String> {
    let lifecycle = lifecycle(
        "version = 1\n\
         settings = { wait = \"600s\", lines = 500, on = true, mode = \"fast\" }\n\
         on = [{ command = \"place\", from = \"New\", by = \"buyer\", to = \"Completed\", when.setting \
         = { wait = \"600s\", lines = 500, on = true, mode = \"fast\" } }]",
    );
    let overrides = [(name.to_owned(), value.to_owned())].into();
    let settings = Settings::override_with(lifecycle.default_settings(), &overrides);
    let settings = settings.map_err(|problem| problem.to_string())?;
    let again = Settings::recorded(lifecycle.default_settings(), &settings.to_texts());
    assert_eq!(settings, again, "what is recorded is read back");
    Ok(settings.to_texts().iter().map(|(name, value)| format!("{name}={value} ")).collect())
}

#[test]
fn settings_take_values_of_their_kind() {
    let mut list = String::new();
    for (name, value) in [
        ("wait", "10m"),
        ("wait", "0s"),
        ("wait", "3650d"),
        ("wait", "3651d"),
        ("wait", "99999999999999999999s"),
        ("wait", "-1s"),
        ("wait", "10"),
        ("wait", "s"),
        ("wait", "1.5h"),
        ("wait", "10µ"),
        ("wait", ""),
        ("lines", "0"),
        ("lines", "9223372036854775807"),
        ("lines", "9223372036854775808"),
        ("lines", "-1"),
        ("lines", "7d"),
        ("on", "false"),
        ("on", "no"),
        ("mode", "slow"),
        ("mode", "true"),
        ("mode", "7d"),
        ("mode", "a\nb"),
        ("speed", "1"),
    ] {
        let answer = overridden(name, value).unwrap_or_else(|problem| format!("no: {problem}"));
        writeln!(list, "{value:?}: {}", answer.trim_end()).unwrap();
    }
    expect![[r#"
        "10m": lines=500 mode=fast on=true wait=10m
        "0s": lines=500 mode=fast on=true wait=0s
        "3650d": lines=500 mode=fast on=true wait=3650d
        "3651d": no: setting wait cannot be "3651d": it must be a duration from 0s to 3650d: a number and s, m, h or d
        "99999999999999999999s": no: setting wait cannot be "99999999999999999999s": it must be a duration from 0s to 3650d: a number and s, m, h or d
        "-1s": no: setting wait cannot be "-1s": it must be a duration from 0s to 3650d: a number and s, m, h or d
        "10": no: setting wait cannot be "10": it must be a duration from 0s to 3650d: a number and s, m, h or d
        "s": no: setting wait cannot be "s": it must be a duration from 0s to 3650d: a number and s, m, h or d
        "1.5h": no: setting wait cannot be "1.5h": it must be a duration from 0s to 3650d: a number and s, m, h or d
        "10µ": no: setting wait cannot be "10µ": it must be a duration from 0s to 3650d: a number and s, m, h or d
        "": no: setting wait cannot be "": it must be a duration from 0s to 3650d: a number and s, m, h or d
        "0": lines=0 mode=fast on=true wait=600s
        "9223372036854775807": lines=9223372036854775807 mode=fast on=true wait=600s
        "9223372036854775808": no: setting lines cannot be "9223372036854775808": it must be a whole number from 0
        "-1": no: setting lines cannot be "-1": it must be a whole number from 0
        "7d": no: setting lines cannot be "7d": it must be a whole number from 0
        "false": lines=500 mode=fast on=false wait=600s
        "no": no: setting on cannot be "no": it must be true or false
        "slow": lines=500 mode=slow on=true wait=600s
        "true": no: setting mode cannot be "true": it must be a word of 1 to 64 bytes, other than true and false, that begins with no digit or sign
        "7d": no: setting mode cannot be "7d": it must be a word of 1 to 64 bytes, other than true and false, that begins with no digit or sign
        "a\nb": no: setting mode cannot be "a\nb": it must be a word of 1 to 64 bytes, other than true and false, that begins with no digit or sign
        "1": no: there is no setting "speed"; there are lines, mode, on, wait, max_accounts, max_stores, max_listings, max_open_orders
    "#]].assert_eq(&list);
}

/// Whether its file names a bound or not, a channel has it, and its site may set it.
#[test]
fn bounds_are_settings_of_every_life_cycle() {
    let named = BOOKSTORE.replace("[settings]\n", "[settings]\nmax_stores = 7\n");
    for (text, by_itself) in [(BOOKSTORE, 100_000), (&named, 7)] {
        let lifecycle = lifecycle(text);
        let set = |value: Option<&str>| {
            let value = value.map(|value| ("max_stores".to_owned(), value.to_owned()));
            let overrides = value.into_iter().collect();
            let settings = Settings::override_with(lifecycle.default_settings(), &overrides);
            let settings = settings.map_err(|problem| problem.to_string())?;
            let again = Settings::recorded(lifecycle.default_settings(), &settings.to_texts());
            assert_eq!(settings, again, "what is recorded is read back");
            Ok(settings.most(Bound::Stores))
        };
        assert_eq!(set(None), Ok(by_itself));
        assert_eq!(set(Some("0")), Ok(0));
        assert_eq!(set(Some("2000000")), Ok(2_000_000));
        let wanted = "setting max_stores cannot be \"5d\": it must be a whole number from 0";
        assert_eq!(set(Some("5d")), Err(wanted.to_owned()));
    }
    let recorded = [("max_stores".to_owned(), "5d".to_owned())].into();
    let settings = Settings::recorded(lifecycle(BOOKSTORE).default_settings(), &recorded);
    assert_eq!(settings.most(Bound::Stores), 100_000, "history is never refused");
}

#[test]
fn settings_recorded_may_be_of_another_version() {
    let lifecycle = lifecycle(BOOKSTORE);
    let recorded =
        [("pay_within", "1h"), ("receive_within", "50"), ("gone", "5"), ("max_lines", "50")];
    let recorded = recorded.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let settings = Settings::recorded(lifecycle.default_settings(), &recorded);
    assert_eq!(settings.duration_ms("pay_within"), Some(3_600_000));
    assert_eq!(settings.duration_ms("receive_within"), Some(7 * 86_400_000));
    assert_eq!(settings.integer("max_lines"), Some(50));
    assert_eq!(settings.duration_ms("key_ttl"), Some(86_400_000));
    assert_eq!(settings.get("gone"), None);
    assert_eq!(settings.duration_ms("max_lines"), None);
    assert_eq!(settings.boolean("max_lines"), None);
    assert_eq!(settings.text("max_lines"), None);
}
