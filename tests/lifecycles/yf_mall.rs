//! The Yf mall: 1 to be paid, 2 paid, 3 to be shipped, 4 shipped (of codes: issued), 6 done,
//! 7 cancelled, 11 to be fetched. Refunds stand beside the status, in cases.

use docket::domain::lifecycle::{Amount, Audit, CaseKind, Due};

use super::table;

const FILE: &str = include_str!("../../schemas/lifecycles/yf_mall.toml");

const TABLE: &str = r#"
    # addOrder, addVirtualOrder: stock is taken at placing; on delivery starts at 3, in the store at
    # 11; other pairs of kind and method would never be paid
    New place buyer if method=online -> AwaitingPayment reserve pay=set
    New place buyer if method=on_delivery kind=physical -> Preparing reserve
    New place buyer if method=at_store kind=pick_up -> Ready reserve

    # addUorder, editCost
    AwaitingPayment open_payment buyer -> stays
    AwaitingPayment adjust_price seller -> stays

    # the pay callback: 2; codes are issued and 4 at once; to be fetched 11
    AwaitingPayment pay gateway if kind=physical -> Paid capture pay=clear
    AwaitingPayment pay gateway if kind=virtual -> Shipped consume capture codes pay=clear use=set
    AwaitingPayment pay gateway if kind=pick_up -> Ready capture pay=clear

    # orderCancel by buyer and seller: from 1, or from 3 when it is paid on delivery; auto cancel
    AwaitingPayment cancel buyer|seller -> Cancelled return pay=clear
    Preparing cancel buyer|seller if method=on_delivery -> Cancelled return
    AwaitingPayment expire timer -> Cancelled return pay=clear

    # 2 to 3; send from 2 and 3
    Paid prepare seller -> Preparing
    Paid|Preparing ship seller -> Shipped consume receive=set

    # confirmOrder and auto confirm; cash comes now
    Shipped receive buyer|timer if kind=physical method=wallet|online|bank|at_store -> Completed release receive=clear
    Shipped receive buyer|timer if kind=physical method=on_delivery -> Completed capture release receive=clear

    # fetched at the store; paid there, the money comes now
    Ready receive seller if method=wallet|online|bank|on_delivery -> Completed consume release
    Ready receive seller if method=at_store -> Completed consume capture release

    # virtualExchange pays the seller code by code, and the last one completes the order
    Shipped redeem seller if kind=virtual -> stays release(code)
    then Shipped if kind=virtual codes=all_used -> Completed use=clear

    # virtual expiry, never while a refund is asked for
    Shipped expire timer if kind=virtual cases=none_open on_expiry=refund -> Completed refund use=clear
    Shipped expire timer if kind=virtual cases=none_open on_expiry=keep -> Completed release use=clear

    # addReturn: money for a line paid and not shipped, never with cash on delivery; goods of a
    # completed order; codes of a virtual order
    Paid|Preparing open_case buyer if case=money payment=captured -> stays
    Completed open_case buyer if case=goods -> stays
    Shipped open_case buyer if case=virtual kind=virtual -> stays

    # cancelRefund, agreeReturn, agreeGoods, closeReturn, the platform's word, whatever has become
    # of the order meanwhile
    ANY withdraw_case buyer if case=money|goods|virtual -> stays
    ANY approve_case seller if case=money|goods|virtual -> stays
    ANY goods_back seller if case=money|goods|virtual -> stays
    ANY refuse_case seller|operator if case=money|goods|virtual -> stays
    ANY settle_case operator if case=money|goods|virtual -> stays

    # when all lines are refunded and the order is not 6, it is
    then Paid|Preparing|Shipped if lines=all_refunded -> Completed pay=clear receive=clear use=clear

    # evaluation; hideOrder and restoreOrder, of 6 and 7
    Completed evaluate buyer -> stays
    Completed|Cancelled set_visibility buyer|seller -> stays
"#;

const ANY: &str = "AwaitingPayment|Paid|Preparing|Ready|Shipped|DeliveryFailed|Received|Completed|\
                   Cancelled|Refunding|Refunded|Rejected";

#[test]
fn a_mall_order_does_what_the_table_says() {
    let mall = table::lifecycle("yf_mall", FILE);
    let facets = ["kind", "method", "payment", "cases", "codes", "lines", "on_expiry", "case"];
    table::check(&mall, &facets, &[], &TABLE.replace("ANY", ANY));
    table::check_delays(&mall, &[("pay", 86_400, "expire"), ("receive", 604_800, "receive")]);
    assert_eq!(mall.deadline("use").unwrap().due, Due::At("common_virtual_date".to_owned()));
}

/// What is refunded: a line, with the freight when it is the last; units, rounded down, never
/// freight; unused codes. Goods go back to the shelf unless the buyer sends them back, and then they
/// must be there first. The platform looks at all of them unless its audit is off.
#[test]
fn a_mall_refunds_by_cases() {
    let mall = table::lifecycle("yf_mall", FILE);
    let rule = |kind| {
        let rule = mall.case(kind).unwrap();
        assert_eq!(rule.audit, Audit::Setting("platform_audit".to_owned()));
        (rule.amount, rule.returns_stock, rule.goods_back)
    };
    assert_eq!(rule(CaseKind::Money), (Amount::Line, true, false));
    assert_eq!(rule(CaseKind::Goods), (Amount::Units, false, true));
    assert_eq!(rule(CaseKind::Virtual), (Amount::Codes, true, false));
}

/// Who is not logged in is told so before anything else, and is told nothing of others' orders.
#[test]
fn a_mall_checks_who_is_there_first() {
    let lists = [
        ("place", "credential store phase lines"),
        ("cancel", "credential known own phase"),
        ("redeem", "credential known own phase"),
        ("approve_case", "credential known own phase funds"),
    ];
    table::check_order(&table::lifecycle("yf_mall", FILE), &lists);
}
