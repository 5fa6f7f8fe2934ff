//! docket's own API: prepaid from the wallet, called off by the buyer only before that.

use super::table;

const FILE: &str = include_str!("../../schemas/lifecycles/native.toml");

const TABLE: &str = r#"
    New place buyer -> AwaitingPayment reserve pay=set
    AwaitingPayment pay buyer if method=wallet -> Paid hold pay=clear
    AwaitingPayment cancel buyer|seller|operator -> Cancelled return pay=clear
    AwaitingPayment expire timer -> Cancelled return pay=clear
    Paid cancel seller|operator -> Cancelled return refund
    Paid ship seller -> Shipped consume receive=set
    Shipped receive buyer|timer -> Completed release receive=clear
"#;

#[test]
fn a_native_order_does_what_the_table_says() {
    let native = table::lifecycle("native", FILE);
    table::check(&native, &["method"], &[], TABLE);
    table::check_delays(&native, &[("pay", 600, "expire"), ("receive", 7 * 86_400, "receive")]);
}
