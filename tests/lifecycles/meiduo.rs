//! Meiduo: 1 to be paid, 2 to be shipped (paid, or preparing where cash comes on delivery), 3 to be
//! received, 4 to be reviewed, 5 done, 6 cancelled. No timers.

use super::table;

const FILE: &str = include_str!("../../schemas/lifecycles/meiduo.toml");

const TABLE: &str = r#"
    # POST /orders/: stock is taken at placing; cash on delivery starts at 2
    New place buyer if method=online|bank -> AwaitingPayment reserve
    New place buyer if method=on_delivery -> Preparing reserve

    # GET /orders/{id}/payment/ is for pay_method 2 in state 1; PUT /payment/status/ leads to 2; an
    # operator confirms a transfer
    AwaitingPayment open_payment buyer if method=online -> stays
    AwaitingPayment pay gateway if method=online -> Paid capture
    AwaitingPayment pay operator if method=bank -> Paid capture

    # 2 to 3, 3 to 4
    Paid|Preparing ship staff -> Shipped consume
    Shipped receive buyer|staff if method=wallet|online|bank|at_store -> Received release
    Shipped receive buyer|staff if method=on_delivery -> Received capture release

    # comments, and 4 to 5 when all lines have one
    Received evaluate buyer -> stays
    then Received if reviews=every_line -> Completed

    # no buyer may cancel; an operator may, from 1 and 2
    AwaitingPayment|Preparing cancel operator -> Cancelled return
    Paid cancel operator -> Cancelled return refund
"#;

#[test]
fn a_meiduo_order_does_what_the_table_says() {
    let meiduo = table::lifecycle("meiduo", FILE);
    table::check(&meiduo, &["method", "payment", "reviews"], &[], TABLE);
    table::check_delays(&meiduo, &[]);
}
