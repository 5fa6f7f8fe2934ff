//! Files that are refused, and what is said of them.

use events::Channel;
use expect_test::{Expect, expect};

use super::Lifecycle;

fn check(text: &str, expect: Expect) {
    let problems = Lifecycle::parse(&Channel::new("test").unwrap(), text).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|it| format!("{it}\n")).collect();
    expect.assert_eq(&lines.concat());
}

/// A file that would be good without the lines that are added.
fn check_with(lines: &str, expect: Expect) {
    check(&format!("{GOOD}{lines}"), expect);
}

/// Six lines.
const GOOD: &str = r#"version = 1
[[on]]
command = "place"
from = "New"
by = "buyer"
to = "Completed"
"#;

#[test]
fn good_is_good() {
    assert!(Lifecycle::parse(&Channel::new("test").unwrap(), GOOD).is_ok());
}

#[test]
fn no_toml() {
    check("version = 1\non = [", expect![[""]]);
    check("version = 1\nversion = 2\n", expect![[""]]);
}

#[test]
fn nothing() {
    check("", expect![[""]]);
    check("version = 1\n", expect![[""]]);
}

#[test]
fn versions() {
    check("version = 0\n", expect![[""]]);
    check("version = \"1\"\n", expect![[""]]);
    check("version = 4294967296\n", expect![[""]]);
}

#[test]
fn unknown_keys_and_words_all_at_once() {
    check(
        r#"
version = 1
colour = "red"
late = "never"

[settings]
Wait = "1s"
wait = "7 days"
rate = 1.5
most = -1
many = "500"

[checks]
sell = ["phase"]
pay = ["phase", "luck", "phase"]
ship = []

[deadline.pay]
after = "waits"
command = "explode"
colour = "red"

[deadline.both]
after = "wait"
at = "date"
command = "expire"

[deadline.neither]
command = "expire"

[[on]]
comand = "place"
from = ["New", "Nowhere", "New"]
by = ["buyer", "thief"]
to = "Somewhere"
stock = "steal"
money = ["none", "hold"]
deadlines = { play = "set", pay = "start" }
codes = "print"
note = ""
event = "order.rejected"

[[on]]
command = "ship"
from = []
by = 1
when = { colour = "red", kind = "heavy", codes = "some", setting.mood = "good" }
share = "code"
event = "order.stolen"

[[then]]
from = ["New"]
by = ["buyer"]

[case.gift]
from = "New"
stock = "reserve"
goods_back = "yes"
audit = "mood"
"#,
        expect![[""]],
    );
}

#[test]
fn wrong_shapes() {
    check("version = 1\nsettings = 1\nchecks = 2\ndeadline.pay = 3\non = 4\n", expect![[""]]);
    check("version = 1\non = [5]\nthen = { from = \"Paid\" }\ncase.money = 6\n", expect![[""]]);
}

#[test]
fn place_is_where_orders_come_from() {
    check_with(
        r#"[[on]]
command = "place"
from = ["New", "Paid"]
by = "buyer"
to = "Paid"
[[on]]
command = "place"
from = "New"
by = "seller"
[[on]]
command = "ship"
from = "New"
by = "seller"
to = "Completed"
"#,
        expect![[""]],
    );
}

#[test]
fn the_steps_of_a_case_have_no_rows() {
    check_with(
        "[[on]]\ncommand = \"open_case\"\nfrom = \"Completed\"\nby = \"buyer\"\n",
        expect![[""]],
    );
}

#[test]
fn some_events_say_more_than_a_step() {
    check_with(
        "[[on]]\ncommand = \"reclassify\"\nfrom = \"Completed\"\nby = \"buyer\"\nevent = \"order.shipped\"\n",
        expect![[""]],
    );
}

#[test]
fn an_unreachable_phase() {
    check_with(
        "[[on]]\ncommand = \"ship\"\nfrom = [\"Completed\", \"Paid\"]\nby = \"seller\"\n\
         [[then]]\nfrom = \"Ready\"\nto = \"Completed\"\n",
        expect![[""]],
    );
}

#[test]
fn a_dead_end() {
    check(
        r#"version = 1
on = [
    { command = "place", from = "New", by = "buyer", to = "Preparing" },
    { command = "ship", from = "Preparing", by = "seller", when.kind = ["physical", "virtual"], to = "Shipped" },
    { command = "receive", from = "Shipped", by = "buyer", when.kind = "physical", to = "Completed" },
]"#,
        expect![[""]],
    );
}

#[test]
fn a_way_that_goes_round() {
    check(
        r#"version = 1
on = [
    { command = "place", from = "New", by = "buyer", to = "Preparing" },
    { command = "ship", from = "Preparing", by = "seller", to = "Shipped" },
    { command = "fail_delivery", from = "Shipped", by = "gateway", to = "Preparing" },
]"#,
        expect![[""]],
    );
}

#[test]
fn money_without_a_source() {
    check(
        r#"version = 1
on = [
    { command = "place", from = "New", by = "buyer", when.method = "on_delivery", to = "Preparing" },
    { command = "place", from = "New", by = "buyer", when.method = "wallet", to = "Paid", money = "hold" },
    { command = "pay", from = "Paid", by = "buyer", money = "hold" },
    { command = "ship", from = ["Paid", "Preparing"], by = "seller", to = "Shipped" },
    { command = "receive", from = "Shipped", by = "buyer", to = "Received", money = "release" },
    { command = "cancel", from = "Received", by = "seller", to = "Cancelled", money = "refund" },
]"#,
        expect![[""]],
    );
}

#[test]
fn money_that_is_left_over() {
    check(
        r#"version = 1
on = [
    { command = "place", from = "New", by = "buyer", to = "Paid", money = "capture" },
    { command = "receive", from = "Paid", by = "buyer", to = "Completed" },
]"#,
        expect![[""]],
    );
}

#[test]
fn stock_without_a_source() {
    check(
        r#"version = 1
on = [
    { command = "place", from = "New", by = "buyer", to = "AwaitingPayment" },
    { command = "cancel", from = "AwaitingPayment", by = "buyer", to = "Cancelled", stock = "return" },
    { command = "prepare", from = "AwaitingPayment", by = "seller", to = "Ready", stock = "reserve" },
    { command = "prepare", from = "Ready", by = "seller", stock = "reserve" },
    { command = "receive", from = "Ready", by = "buyer", to = "Completed", stock = ["consume", "return"] },
    { command = "expire", from = "Ready", by = "seller", to = "Cancelled" },
]"#,
        expect![[""]],
    );
}

#[test]
fn deadlines_that_fire_nothing() {
    check(
        r#"version = 1
settings = { wait = "1s", most = 5 }
[deadline]
never_set = { after = "wait", command = "expire" }
no_row = { after = "wait", command = "receive" }
elsewhere = { after = "wait", command = "cancel" }
again = { after = "wait", command = "evaluate" }
[[on]]
command = "place"
from = "New"
by = "buyer"
to = "AwaitingPayment"
deadlines = { no_row = "set", elsewhere = "set", again = "set" }
[[on]]
command = "evaluate"
from = ["AwaitingPayment"]
by = ["timer"]
[[on]]
command = "prepare"
from = "AwaitingPayment"
by = "seller"
to = "Preparing"
[[on]]
command = "cancel"
from = "Preparing"
by = "timer"
to = "Cancelled"
deadlines = { elsewhere = "clear" }
[[on]]
command = "expire"
from = "Preparing"
by = "timer"
to = "Cancelled"
[[on]]
command = "ship"
from = "Preparing"
by = "timer"
to = "Completed"
"#,
        expect![[""]],
    );
}

#[test]
fn a_deadline_after_something_else() {
    check_with(
        "[settings]\nmost = 5\n[deadline.pay]\nafter = \"most\"\ncommand = \"expire\"\n",
        expect![[""]],
    );
}

#[test]
fn rows_in_vain() {
    check(
        r#"version = 1
settings = { strict = true }
on = [
    { command = "place", from = "New", by = "buyer", when.method = ["wallet", "online"], to = "Paid" },
    { command = "place", from = "New", by = "buyer", when = { method = "online", setting.strict = true }, to = "Preparing" },
    { command = "cancel", from = "Paid", by = "buyer", when.kind = ["physical", "virtual"], to = "Cancelled" },
    { command = "cancel", from = "Paid", by = "buyer", when.kind = "pick_up", to = "Cancelled" },
    { command = "cancel", from = "Paid", by = "buyer", to = "Rejected" },
    { command = "ship", from = "Paid", by = "seller", when.method = "bank", to = "Completed" },
]"#,
        expect![[""]],
    );
}

#[test]
fn deadlines_are_few() {
    let many: String =
        (0..9).map(|at| format!("d{at} = {{ at = \"date\", command = \"expire\" }}\n")).collect();
    check_with(&format!("[deadline]\n{many}"), expect![[""]]);
}
