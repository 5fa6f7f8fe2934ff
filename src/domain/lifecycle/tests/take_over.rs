//! Open orders under a newer life cycle.

use expect_test::{Expect, expect};

use super::*;

fn standing(phase: Phase, money: Kept, stock: Kept) -> Standing<'static> {
    const PARCEL: &Facets = &Facets {
        kind: Kind::Physical,
        method: Method::Wallet,
        payment: Payment::None,
        risk: Risk::None,
        stock: Stock::Available,
        delivers: Delivers::Nothing,
        case_open: false,
        case: None,
        codes_all_used: false,
        lines_all_refunded: false,
        every_line_reviewed: false,
        on_expiry: OnExpiry::Keep,
    };
    Standing { phase, facets: PARCEL, money, stock, deadlines: &[] }
}

fn check(text: &str, order: Standing<'_>, expect: Expect) {
    let answer = match lifecycle(text).takes_over(&order) {
        Ok(()) => "yes\n".to_owned(),
        Err(reasons) => reasons.iter().map(|reason| format!("no: {reason}\n")).collect(),
    };
    expect.assert_eq(&answer);
}

/// Wherever an order of the bookstore can be, its own life cycle takes it over, and so do those
/// that agree on what has happened to it so far.
#[test]
fn orders_go_on_where_the_rows_fit() {
    let orders = [
        Standing {
            deadlines: &["pay"],
            ..standing(Phase::AwaitingPayment, Kept::Never, Kept::Whole)
        },
        standing(Phase::Paid, Kept::Whole, Kept::Whole),
        Standing { deadlines: &["receive"], ..standing(Phase::Shipped, Kept::Whole, Kept::Gone) },
        standing(Phase::Completed, Kept::Gone, Kept::Gone),
        standing(Phase::Cancelled, Kept::Gone, Kept::Gone),
    ];
    for order in orders {
        for text in [BOOKSTORE, NATIVE, YF_MALL] {
            check(
                text,
                order,
                expect![[r#"
                yes
            "#]],
            );
        }
    }
}

#[test]
fn an_order_may_stand_where_nothing_leads_on() {
    let preparing = standing(Phase::Preparing, Kept::Never, Kept::Whole);
    check(
        BOOKSTORE,
        preparing,
        expect![[r#"
        no: dead end: an order that is Preparing has no way out; add one, or narrow from or when so that none comes here
    "#]],
    );
}

#[test]
fn an_order_may_have_what_no_row_moves() {
    check(
        PRINTING,
        standing(Phase::Paid, Kept::Whole, Kept::Whole),
        expect![[r#"
            no: line 73: stock is left over: an order that is Completed would keep it reserved; consume or return it
            no: line 88: stock is left over: an order that is Refunded would keep it reserved; consume or return it
        "#]],
    );
}

#[test]
fn an_order_may_lack_what_a_row_moves() {
    let shipped = standing(Phase::Shipped, Kept::Never, Kept::Gone);
    check(
        BOOKSTORE,
        Standing { deadlines: &["receive"], ..shipped },
        expect![[r#"
        no: line 93: release finds no money: an order that is Shipped can have nothing held; hold or capture it on every way to here, or narrow from or when
    "#]],
    );
}

/// What never changes about an order counts: here, that it is paid on delivery.
#[test]
fn an_order_may_be_of_a_kind_that_lacks_nothing() {
    let facets = Facets { method: Method::OnDelivery, ..Facets::default() };
    let shipped = standing(Phase::Shipped, Kept::Never, Kept::Gone);
    check(
        YF_MALL,
        Standing { facets: &facets, ..shipped },
        expect![[r#"
        yes
    "#]],
    );
    check(
        YF_MALL,
        shipped,
        expect![[r#"
        no: line 186: release finds no money: an order of kind physical, method wallet, on_expiry keep that is Shipped can have nothing held; hold or capture it on every way to here, or narrow from or when
    "#]],
    );
}

#[test]
fn a_deadline_may_mean_nothing() {
    let shipped = standing(Phase::Shipped, Kept::Whole, Kept::Gone);
    check(
        BOOKSTORE,
        Standing { deadlines: &["pay", "use"], ..shipped },
        expect![[r#"
            no: deadline use is pending, and there is none of this name
            no: deadline pay finds no row: an order that is Shipped can have it pending, and no row lets the timer expire there; clear it on the way, or add such a row
            no: line 93: deadline pay is left over: an order that is Completed would have it still pending; add deadlines = { pay = "clear" }
        "#]],
    );
}
