use std::fmt::Write;

use events::{By, Channel, Kind, Method, Phase};
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{words::Vocabulary, *};

mod bad;
mod drafts;

const BOOKSTORE: &str = include_str!("../../../schemas/lifecycles/bookstore.toml");

fn lifecycle(text: &str) -> Lifecycle {
    Lifecycle::parse(&Channel::new("test").unwrap(), text).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|it| format!("{it}\n")).collect::<String>())
    })
}

fn defaults(lifecycle: &Lifecycle) -> Settings {
    Settings::recorded(lifecycle.default_settings(), &BTreeMap::new())
}

/// Everything that anybody may do while the facts are these, one line each: what it says not, is
/// refused.
fn table(lifecycle: &Lifecycle, settings: &Settings, facets: &Facets) -> String {
    let mut table = String::new();
    for phase in std::iter::once(None).chain(Phase::ALL.map(Some)) {
        for command in Word::ALL.iter().copied() {
            for (who, by) in By::ALL {
                let Ok(next) = next(lifecycle, settings, phase, facets, command, &[*by]) else {
                    continue;
                };
                assert_eq!(next.by, *by);
                let from = facets::phase_word(phase);
                write!(table, "{from} {command} {who} -> {}", next.to.word()).unwrap();
                next.stock().for_each(|word| write!(table, " {}", word.word()).unwrap());
                for MoneyStep { word, share } in next.money() {
                    let share = if share == Share::Code { "(code)" } else { "" };
                    write!(table, " {word}{share}").unwrap();
                }
                for (name, word) in next.deadlines() {
                    write!(table, " {name}={word:?}").unwrap();
                }
                if next.issues_codes() {
                    table.push_str(" codes");
                }
                if let Some(note) = next.note() {
                    write!(table, " {note:?}").unwrap();
                }
                if next.event_kind() != command.event_kind() {
                    write!(table, " {}", next.event_kind()).unwrap();
                }
                table.push('\n');
            }
        }
    }
    table
}

fn check(text: &str, facets: Facets, expect: Expect) {
    let lifecycle = lifecycle(text);
    expect.assert_eq(&table(&lifecycle, &defaults(&lifecycle), &facets));
}

/// Stock is taken at placing, money at payment, the seller has it at receipt; until it is shipped
/// the buyer may cancel; time cancels the unpaid and receives the shipped. Nothing else may be
/// done by anybody.
#[test]
fn a_bookstore_order() {
    check(BOOKSTORE, Facets::default(), expect![[""]]);
}

#[test]
fn a_bookstore_asks_nothing_but_the_phase() {
    let lifecycle = lifecycle(BOOKSTORE);
    let settings = defaults(&lifecycle);
    let usual = table(&lifecycle, &settings, &Facets::default());
    let strange = Facets {
        kind: Kind::Virtual,
        method: Method::Bank,
        payment: Payment::Captured,
        risk: Risk::Cheated,
        stock: Stock::Short,
        delivers: Delivers::Card,
        case_open: true,
        case: Some(CaseKind::Goods),
        codes_all_used: true,
        lines_all_refunded: true,
        every_line_reviewed: true,
        on_expiry: OnExpiry::Refund,
    };
    assert_eq!(usual, table(&lifecycle, &settings, &strange));
}

/// In the order of the document's errors, then what it does not list.
#[test]
fn a_bookstore_checks() {
    let lifecycle = lifecycle(BOOKSTORE);
    let mut list = String::new();
    for command in Word::ALL.iter().filter(|it| lifecycle.roles(**it).next().is_some()) {
        let roles: Vec<_> = lifecycle.roles(*command).map(Vocabulary::word).collect();
        let checks: Vec<_> = lifecycle.checks(*command).iter().map(|it| it.as_str()).collect();
        writeln!(list, "{command} by {}: {}", roles.join(", "), checks.join(", ")).unwrap();
    }
    expect![[""]].assert_eq(&list);
}

#[test]
fn a_refusal_says_where_the_order_is() {
    let lifecycle = lifecycle(BOOKSTORE);
    let refusal = |phase, by: &[By]| {
        let facets = Facets::default();
        next(&lifecycle, &defaults(&lifecycle), phase, &facets, Word::Ship, by).unwrap_err()
    };
    let shipped = refusal(Some(Phase::Shipped), &[By::Seller]);
    assert_eq!(shipped, Refused { phase: Some(Phase::Shipped), command: Word::Ship });
    assert_eq!(shipped.to_string(), "ship is not allowed: the order is Shipped");
    refusal(Some(Phase::Paid), &[By::Buyer]);
    refusal(Some(Phase::Paid), &[]);
    refusal(None, &[By::Seller]);
}

/// Somebody who buys in their own store is both; the role that counts is one that may.
#[test]
fn a_caller_may_be_several_things() {
    let lifecycle = lifecycle(BOOKSTORE);
    let both = [By::Buyer, By::Seller];
    let role = |phase, command| {
        let facets = Facets::default();
        next(&lifecycle, &defaults(&lifecycle), Some(phase), &facets, command, &both).unwrap().by
    };
    assert_eq!(role(Phase::AwaitingPayment, Word::Pay), By::Buyer);
    assert_eq!(role(Phase::Paid, Word::Ship), By::Seller);
}

#[test]
fn a_deadline_fires_a_command() {
    let bookstore = lifecycle(BOOKSTORE);
    let pay = bookstore.deadline("pay").unwrap();
    assert_eq!((&pay.due, pay.command), (&Due::After("pay_within".to_owned()), Word::Expire));
    assert_eq!(bookstore.deadline("paid"), None);
    let mall = lifecycle(drafts::YF_MALL);
    let due = &mall.deadline("use").unwrap().due;
    assert_eq!(due, &Due::At("common_virtual_date".to_owned()));
}

#[test]
fn a_native_order() {
    check(drafts::NATIVE, Facets::default(), expect![[""]]);
}

#[test]
fn a_print_order() {
    check(drafts::PRINTING, Facets::default(), expect![[""]]);
}

#[test]
fn a_gift_card_of_unknown_risk_goes_nowhere() {
    check(drafts::GIFT_CARD, Facets::default(), expect![[""]]);
}

#[test]
fn a_gift_card_is_shipped_by_hand() {
    let facets = Facets { risk: Risk::Ok, delivers: Delivers::Serial, ..Facets::default() };
    check(drafts::GIFT_CARD, facets, expect![[""]]);
}

/// The setting makes the `then` rows fire, inside the command that leads to `Preparing`.
#[test]
fn a_gift_card_may_ship_itself() {
    let lifecycle = lifecycle(drafts::GIFT_CARD);
    let overrides = [("auto_deliver".to_owned(), "true".to_owned())].into();
    let settings = Settings::override_with(lifecycle.default_settings(), &overrides).unwrap();
    let short = Facets {
        risk: Risk::Ok,
        delivers: Delivers::Serial,
        stock: Stock::Short,
        ..Facets::default()
    };
    expect![[""]].assert_eq(&table(&lifecycle, &settings, &short));
}

#[test]
fn a_meiduo_order_is_paid_on_delivery() {
    let facets = Facets { method: Method::OnDelivery, ..Facets::default() };
    check(drafts::MEIDUO, facets, expect![[""]]);
}

#[test]
fn a_meiduo_order_ends_with_the_last_review() {
    let facets = Facets { method: Method::Bank, every_line_reviewed: true, ..Facets::default() };
    check(drafts::MEIDUO, facets, expect![[""]]);
}

#[test]
fn a_mall_order_is_paid_online() {
    let facets = Facets { method: Method::Online, ..Facets::default() };
    check(drafts::YF_MALL, facets, expect![[""]]);
}

#[test]
fn a_mall_order_of_codes_ends_with_the_last_one() {
    let facets = Facets {
        kind: Kind::Virtual,
        method: Method::Online,
        payment: Payment::Captured,
        codes_all_used: true,
        ..Facets::default()
    };
    check(drafts::YF_MALL, facets, expect![[""]]);
}

#[test]
fn a_mall_order_ends_when_all_of_it_is_refunded() {
    let facets = Facets {
        method: Method::Online,
        payment: Payment::Captured,
        lines_all_refunded: true,
        case_open: true,
        case: Some(CaseKind::Money),
        ..Facets::default()
    };
    check(drafts::YF_MALL, facets, expect![[""]]);
}

#[test]
fn a_case_does_what_its_table_says() {
    let mall = lifecycle(drafts::YF_MALL);
    let money = mall.case(CaseKind::Money).unwrap();
    assert_eq!((money.amount, money.returns_stock, money.goods_back), (Amount::Line, true, false));
    assert_eq!(money.audit, Audit::Setting("platform_audit".to_owned()));
    let goods = mall.case(CaseKind::Goods).unwrap();
    assert_eq!((goods.amount, goods.returns_stock, goods.goods_back), (Amount::Units, false, true));
    assert_eq!(goods.audit, Audit::Always);
    assert_eq!(lifecycle(BOOKSTORE).case(CaseKind::Money), None);
}

#[test]
fn words_are_read_as_they_are_written() {
    fn all<T: Vocabulary + PartialEq + std::fmt::Debug>() {
        for (word, it) in T::ALL {
            assert_eq!((it.word(), T::from_word(word)), (*word, Some(*it)));
        }
    }
    all::<Word>();
    all::<Check>();
    all::<MoneyWord>();
    all::<Phase>();
    all::<By>();
    all::<Kind>();
    all::<Method>();
    for (at, (_, phase)) in Phase::ALL.iter().zip(<Phase as Vocabulary>::ALL).enumerate() {
        assert_eq!(*phase as usize, at);
    }
    assert_eq!(Word::parse("Place"), None);
}

fn overridden(name: &str, value: &str) -> Result<String, String> {
    let lifecycle = lifecycle(
        "version = 1\n\
         settings = { wait = \"600s\", lines = 500, on = true, mode = \"fast\" }\n\
         on = [{ command = \"place\", from = \"New\", by = \"buyer\", to = \"Completed\" }]",
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
    expect![[""]].assert_eq(&list);
}

#[test]
fn settings_recorded_may_be_of_another_version() {
    let lifecycle = lifecycle(BOOKSTORE);
    let recorded = [("pay_within", "1h"), ("max_lines", "7d"), ("gone", "5"), ("page_size", "50")];
    let recorded = recorded.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let settings = Settings::recorded(lifecycle.default_settings(), &recorded);
    assert_eq!(settings.duration_ms("pay_within"), Some(3_600_000));
    assert_eq!(settings.integer("max_lines"), Some(500));
    assert_eq!(settings.integer("page_size"), Some(50));
    assert_eq!(settings.duration_ms("key_ttl"), Some(86_400_000));
    assert_eq!(settings.get("gone"), None);
    assert_eq!(settings.duration_ms("page_size"), None);
    assert_eq!(settings.boolean("page_size"), None);
    assert_eq!(settings.text("page_size"), None);
}

proptest! {
    /// Whatever is in a file, reading it ends, with a life cycle or with problems.
    #[test]
    fn any_file_is_read_or_refused(at in 0usize..3000, cut in 0usize..40, with in ".{0,12}") {
        let chars: Vec<char> = BOOKSTORE.chars().collect();
        let at = at.min(chars.len());
        let end = (at + cut).min(chars.len());
        let text: String =
            chars[..at].iter().copied().chain(with.chars()).chain(chars[end..].iter().copied()).collect();
        if let Err(problems) = Lifecycle::parse(&Channel::new("test").unwrap(), &text) {
            prop_assert!(!problems.is_empty());
            let lines = text.lines().count() + 1;
            prop_assert!(problems.iter().all(|it| (1..=lines).contains(&it.line)));
            prop_assert!(problems.is_sorted());
        }
    }
}
