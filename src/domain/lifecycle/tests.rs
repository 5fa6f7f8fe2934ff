//! What files say, what orders do by them, and how a bad file is refused.

use std::fmt::Write;

use events::{By, Channel, Kind, Method, Phase};
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{words::Vocabulary, *};

mod bad;
mod deadlines;
mod draw;
mod language;
mod settings;
mod take_over;
mod unsupported;

const BOOKSTORE: &str = include_str!("../../../schemas/lifecycles/bookstore.toml");
const NATIVE: &str = include_str!("../../../schemas/lifecycles/native.toml");
const PRINTING: &str = include_str!("../../../schemas/lifecycles/printing.toml");
const GIFT_CARD: &str = include_str!("../../../schemas/lifecycles/gift_card.toml");
const MEIDUO: &str = include_str!("../../../schemas/lifecycles/meiduo.toml");
const YF_MALL: &str = include_str!("../../../schemas/lifecycles/yf_mall.toml");

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
    check(
        BOOKSTORE,
        Facets::default(),
        expect![[r#"
        New place buyer -> AwaitingPayment reserve pay=Set
        AwaitingPayment pay buyer -> Paid hold pay=Clear
        AwaitingPayment cancel buyer -> Cancelled return pay=Clear
        AwaitingPayment expire timer -> Cancelled return pay=Clear
        Paid ship seller -> Shipped consume receive=Set
        Paid cancel buyer -> Cancelled return refund
        Shipped receive buyer -> Completed release receive=Clear
        Shipped receive timer -> Completed release receive=Clear
    "#]],
    );
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
    expect![[r#"
        place by buyer: account, credential, store, phase, lines, known, own, funds
        pay by buyer: known, own, credential, phase, funds, account, store, lines
        ship by seller: account, credential, store, known, own, phase, lines, funds
        receive by buyer, timer: account, credential, known, own, phase, store, lines, funds
        cancel by buyer: account, credential, known, own, phase, store, lines, funds
        expire by timer: account, credential, store, known, own, phase, lines, funds
    "#]]
    .assert_eq(&list);
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
    let mall = lifecycle(YF_MALL);
    let due = &mall.deadline("use").unwrap().due;
    assert_eq!(due, &Due::At("common_virtual_date".to_owned()));
}

#[test]
fn a_native_order() {
    check(
        NATIVE,
        Facets::default(),
        expect![[r#"
        New place buyer -> AwaitingPayment reserve pay=Set
        AwaitingPayment pay buyer -> Paid hold pay=Clear
        AwaitingPayment cancel buyer -> Cancelled return pay=Clear
        AwaitingPayment cancel seller -> Cancelled return pay=Clear
        AwaitingPayment cancel operator -> Cancelled return pay=Clear
        AwaitingPayment expire timer -> Cancelled return pay=Clear
        Paid ship seller -> Shipped consume receive=Set
        Paid cancel seller -> Cancelled return refund
        Paid cancel operator -> Cancelled return refund
        Shipped receive buyer -> Completed release receive=Clear
        Shipped receive timer -> Completed release receive=Clear
    "#]],
    );
}

#[test]
fn a_print_order() {
    check(
        PRINTING,
        Facets::default(),
        expect![[r#"
        New place buyer -> AwaitingPayment
        AwaitingPayment open_payment buyer -> AwaitingPayment
        AwaitingPayment pay gateway -> Paid capture
        AwaitingPayment cancel buyer -> Cancelled
        Paid prepare staff -> Ready
        Paid request_refund operator -> Refunding
        Ready receive staff -> Completed release
        Refunding confirm_refund gateway -> Refunded refund
    "#]],
    );
}

#[test]
fn a_gift_card_of_unknown_risk_goes_nowhere() {
    check(
        GIFT_CARD,
        Facets::default(),
        expect![[r#"
        New place staff -> Preparing
        Preparing reclassify staff -> Preparing
        Shipped confirm_delivery gateway -> Completed consume
        Shipped fail_delivery gateway -> DeliveryFailed return
        Shipped reclassify staff -> Shipped
        DeliveryFailed reclassify staff -> DeliveryFailed
    "#]],
    );
}

#[test]
fn a_gift_card_is_shipped_by_hand() {
    let facets = Facets { risk: Risk::Ok, delivers: Delivers::Serial, ..Facets::default() };
    check(
        GIFT_CARD,
        facets,
        expect![[r#"
        New place staff -> Preparing
        Preparing ship staff -> Shipped reserve
        Preparing reclassify staff -> Preparing
        Shipped confirm_delivery gateway -> Completed consume
        Shipped fail_delivery gateway -> DeliveryFailed return
        Shipped reclassify staff -> Shipped
        DeliveryFailed ship staff -> Shipped reserve
        DeliveryFailed reclassify staff -> DeliveryFailed
    "#]],
    );
}

/// The setting makes the `then` rows fire, inside the command that leads to `Preparing`.
#[test]
fn a_gift_card_may_ship_itself() {
    let lifecycle = lifecycle(GIFT_CARD);
    let overrides = [("auto_deliver".to_owned(), "true".to_owned())].into();
    let settings = Settings::override_with(lifecycle.default_settings(), &overrides).unwrap();
    let short = Facets {
        risk: Risk::Ok,
        delivers: Delivers::Serial,
        stock: Stock::Short,
        ..Facets::default()
    };
    expect![[r#"
        New place staff -> DeliveryFailed "not enough inventory"
        Preparing ship staff -> DeliveryFailed "not enough inventory" order.delivery_failed
        Preparing reclassify staff -> DeliveryFailed "not enough inventory"
        Shipped confirm_delivery gateway -> Completed consume
        Shipped fail_delivery gateway -> DeliveryFailed return
        Shipped reclassify staff -> Shipped
        DeliveryFailed ship staff -> DeliveryFailed "not enough inventory" order.delivery_failed
        DeliveryFailed reclassify staff -> DeliveryFailed
    "#]]
    .assert_eq(&table(&lifecycle, &settings, &short));
}

#[test]
fn a_meiduo_order_is_paid_on_delivery() {
    let facets = Facets { method: Method::OnDelivery, ..Facets::default() };
    check(
        MEIDUO,
        facets,
        expect![[r#"
        New place buyer -> Preparing reserve
        AwaitingPayment cancel operator -> Cancelled return
        Paid ship staff -> Shipped consume
        Paid cancel operator -> Cancelled return refund
        Preparing ship staff -> Shipped consume
        Preparing cancel operator -> Cancelled return
        Shipped receive buyer -> Received capture release
        Shipped receive staff -> Received capture release
        Received evaluate buyer -> Received
    "#]],
    );
}

#[test]
fn a_meiduo_order_ends_with_the_last_review() {
    let facets = Facets { method: Method::Bank, every_line_reviewed: true, ..Facets::default() };
    check(
        MEIDUO,
        facets,
        expect![[r#"
        New place buyer -> AwaitingPayment reserve
        AwaitingPayment pay operator -> Paid capture
        AwaitingPayment cancel operator -> Cancelled return
        Paid ship staff -> Shipped consume
        Paid cancel operator -> Cancelled return refund
        Preparing ship staff -> Shipped consume
        Preparing cancel operator -> Cancelled return
        Shipped receive buyer -> Completed release
        Shipped receive staff -> Completed release
        Received evaluate buyer -> Completed
    "#]],
    );
}

#[test]
fn a_mall_order_is_paid_online() {
    let facets = Facets { method: Method::Online, ..Facets::default() };
    check(
        YF_MALL,
        facets,
        expect![[r#"
        New place buyer -> AwaitingPayment reserve pay=Set
        AwaitingPayment open_payment buyer -> AwaitingPayment
        AwaitingPayment pay gateway -> Paid capture pay=Clear
        AwaitingPayment adjust_price seller -> AwaitingPayment
        AwaitingPayment cancel buyer -> Cancelled return pay=Clear
        AwaitingPayment cancel seller -> Cancelled return pay=Clear
        AwaitingPayment expire timer -> Cancelled return pay=Clear
        Paid prepare seller -> Preparing
        Paid ship seller -> Shipped consume receive=Set
        Preparing ship seller -> Shipped consume receive=Set
        Ready receive seller -> Completed consume release
        Shipped receive buyer -> Completed release receive=Clear
        Shipped receive timer -> Completed release receive=Clear
        Completed evaluate buyer -> Completed
        Completed set_visibility buyer -> Completed
        Completed set_visibility seller -> Completed
        Cancelled set_visibility buyer -> Cancelled
        Cancelled set_visibility seller -> Cancelled
    "#]],
    );
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
    check(
        YF_MALL,
        facets,
        expect![[r#"
        New place buyer -> AwaitingPayment reserve pay=Set
        AwaitingPayment open_payment buyer -> AwaitingPayment
        AwaitingPayment pay gateway -> Completed consume capture pay=Clear use=Clear codes
        AwaitingPayment adjust_price seller -> AwaitingPayment
        AwaitingPayment cancel buyer -> Cancelled return pay=Clear
        AwaitingPayment cancel seller -> Cancelled return pay=Clear
        AwaitingPayment expire timer -> Cancelled return pay=Clear
        Paid prepare seller -> Preparing
        Paid ship seller -> Completed consume receive=Set use=Clear
        Preparing ship seller -> Completed consume receive=Set use=Clear
        Ready receive seller -> Completed consume release
        Shipped redeem seller -> Completed release(code) use=Clear
        Shipped expire timer -> Completed release use=Clear
        Completed evaluate buyer -> Completed
        Completed set_visibility buyer -> Completed
        Completed set_visibility seller -> Completed
        Cancelled set_visibility buyer -> Cancelled
        Cancelled set_visibility seller -> Cancelled
    "#]],
    );
}

/// The table says when a case may be opened; its later steps may be taken anywhere, and the last
/// one ends the order.
#[test]
fn a_mall_order_ends_when_all_of_it_is_refunded() {
    let lifecycle = lifecycle(YF_MALL);
    let settings = defaults(&lifecycle);
    let facets = Facets {
        method: Method::Online,
        payment: Payment::Captured,
        case_open: true,
        case: Some(CaseKind::Money),
        ..Facets::default()
    };
    let step = |phase, facets, command, by| {
        next(&lifecycle, &settings, Some(phase), &facets, command, &[by])
    };
    assert_eq!(step(Phase::Paid, facets, Word::OpenCase, By::Buyer).unwrap().to, Phase::Paid);
    step(Phase::Paid, facets, Word::OpenCase, By::Seller).unwrap_err();
    step(Phase::Shipped, facets, Word::OpenCase, By::Buyer).unwrap_err();
    let unpaid = Facets { payment: Payment::None, ..facets };
    step(Phase::Preparing, unpaid, Word::OpenCase, By::Buyer).unwrap_err();
    let nothing = Facets { case: None, ..facets };
    step(Phase::Paid, nothing, Word::OpenCase, By::Buyer).unwrap_err();

    step(Phase::Shipped, facets, Word::SettleCase, By::Seller).unwrap_err();
    let part = step(Phase::Shipped, facets, Word::SettleCase, By::Operator).unwrap();
    assert_eq!((part.to, part.deadlines().count()), (Phase::Shipped, 0));
    let all = Facets { lines_all_refunded: true, ..facets };
    let last = step(Phase::Shipped, all, Word::SettleCase, By::Operator).unwrap();
    assert_eq!((last.to, last.deadlines().count()), (Phase::Completed, 3));
    assert_eq!(last.event_kind(), "order.case_settled");
}

#[test]
fn a_case_does_what_its_table_says() {
    let mall = lifecycle(YF_MALL);
    let money = mall.case(CaseKind::Money).unwrap();
    assert_eq!((money.amount, money.returns_stock, money.goods_back), (Amount::Line, true, false));
    assert_eq!(money.audit, Audit::Setting("platform_audit".to_owned()));
    let goods = mall.case(CaseKind::Goods).unwrap();
    assert_eq!((goods.amount, goods.returns_stock, goods.goods_back), (Amount::Units, false, true));
    assert_eq!(goods.audit, Audit::Setting("platform_audit".to_owned()));
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
    assert_eq!(Word::parse("Place"), None);
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
