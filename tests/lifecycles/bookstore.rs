//! The bookstore: states 0 unpaid, 1 paid, 2 shipped, 3 received, -1 cancelled. Stock is taken at
//! new_order; payment debits the buyer; the seller is credited at receipt.

use super::table;

const FILE: &str = include_str!("../../schemas/lifecycles/bookstore.toml");

const TABLE: &str = r#"
    # buyer/new_order, buyer/payment
    New place buyer -> AwaitingPayment reserve pay=set
    AwaitingPayment pay buyer -> Paid hold pay=clear

    # buyer/cancel_order: an unpaid order returns the stock, a paid one stock and money in full
    AwaitingPayment cancel buyer -> Cancelled return pay=clear
    Paid cancel buyer -> Cancelled return refund

    # unpaid orders cancel themselves
    AwaitingPayment expire timer -> Cancelled return pay=clear

    # seller/delivery_book, buyer/receive_book; shipped orders confirm themselves
    Paid ship seller -> Shipped consume receive=set
    Shipped receive buyer|timer -> Completed release receive=clear
"#;

#[test]
fn a_bookstore_order_does_what_the_table_says() {
    let bookstore = table::lifecycle("bookstore", FILE);
    table::check(&bookstore, &["kind", "method", "payment"], &[], TABLE);
    table::check_delays(&bookstore, &[("pay", 600, "expire"), ("receive", 7 * 86_400, "receive")]);
}

/// 511 is no account, 401 no credential or not one's own, 513 no store, 515 and 517 are about a
/// line, 519 is about funds; 518 is an order unknown, or one in a phase that does not allow it, as
/// are 520, 521 and 522.
#[test]
fn a_bookstore_checks_in_the_order_of_its_errors() {
    let lists = [
        ("place", "account credential store phase lines"),
        ("pay", "known own credential phase funds"),
        ("ship", "account credential store known own phase"),
        ("cancel", "account credential known own phase"),
        ("receive", "account credential known own phase"),
    ];
    table::check_order(&table::lifecycle("bookstore", FILE), &lists);
}
