//! Deadlines that are refused, and what is said of them.

use expect_test::expect;

use super::bad::{check, check_with};

#[test]
fn deadlines_that_fire_nothing() {
    check(
        r#"version = 1
settings = { wait = "1s" }
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
        expect![[r#"
            line 4: deadline never_set is never set: add deadlines = { never_set = "set" } to a row, or leave the deadline out
            line 5: deadline no_row fires nothing: no row lets the timer receive; add an [[on]] row with command = "receive" and by = ["timer"]
            line 8: deadline elsewhere finds no row: an order that is AwaitingPayment can have it pending, and no row lets the timer cancel there; clear it on the way, or add such a row
            line 14: deadline again would fire again at once, for ever: an order that is AwaitingPayment keeps it pending here; add deadlines = { again = "clear" }
            line 18: deadline again finds no row: an order that is Preparing can have it pending, and no row lets the timer evaluate there; clear it on the way, or add such a row
            line 23: deadline again is left over: an order that is Cancelled would have it still pending; add deadlines = { again = "clear" }
            line 23: deadline no_row is left over: an order that is Cancelled would have it still pending; add deadlines = { no_row = "clear" }
            line 29: no order ever comes to this row: earlier rows take all of them, or none is ever in this phase with such facts; change its from or when, or leave it out
            line 34: the timer never comes here: no deadline fires ship; declare one in [deadline.<name>] or leave the timer out
        "#]],
    );
}

#[test]
fn a_deadline_after_something_else() {
    check_with(
        "[settings]\nmost = 5\n[deadline.pay]\nafter = \"most\"\ncommand = \"expire\"\n",
        expect![[r#"
            line 10: setting most must be a duration here, not a whole number
        "#]],
    );
}

#[test]
fn deadlines_are_few() {
    let many: String =
        (0..9).map(|at| format!("d{at} = {{ at = \"date\", command = \"expire\" }}\n")).collect();
    check_with(
        &format!("[deadline]\n{many}"),
        expect![[r#"
        line 7: there are at most 8 deadlines
    "#]],
    );
}
