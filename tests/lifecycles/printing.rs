//! Print orders: PAYING, PAID, PRINTED (ready), FINISH, CANCEL, REFUNDING, REFUNDED. No stock, no
//! timeout.

use docket::domain::lifecycle::Late;

use super::table;

const FILE: &str = include_str!("../../schemas/lifecycles/printing.toml");

const TABLE: &str = r#"
    # order/verify
    New place buyer -> AwaitingPayment

    # pay/payment, which may be repeated; the gateway's notice; order/cancel, before it is paid
    AwaitingPayment open_payment buyer -> stays
    AwaitingPayment pay gateway -> Paid capture
    AwaitingPayment cancel buyer -> Cancelled

    # printed by the point, taken at the point
    Paid prepare staff -> Ready
    Ready receive staff -> Completed release

    # a refund, by the manager, of what is paid and not yet printed
    Paid request_refund operator -> Refunding
    Refunding confirm_refund gateway -> Refunded refund
"#;

#[test]
fn a_print_order_does_what_the_table_says() {
    let printing = table::lifecycle("printing", FILE);
    table::check(&printing, &["kind", "method", "payment"], &[], TABLE);
    table::check_delays(&printing, &[]);
    assert_eq!(printing.late(), Late::Refund, "a late notice on a cancelled order is refunded");
}
