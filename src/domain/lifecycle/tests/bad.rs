//! Files that are refused, and what is said of them.

use events::Channel;
use expect_test::{Expect, expect};

use super::Lifecycle;

pub(super) fn check(text: &str, expect: Expect) {
    let problems = Lifecycle::parse(&Channel::new("test").unwrap(), text).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|it| format!("{it}\n")).collect();
    expect.assert_eq(&lines.concat());
}

/// A file that would be good without the lines that are added.
pub(super) fn check_with(lines: &str, expect: Expect) {
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
    check(
        "version = 1\non = [",
        expect![[r#"
        line 2: unclosed array, expected `]`
    "#]],
    );
    check(
        "version = 1\nversion = 2\n",
        expect![[r#"
        line 2: duplicate key
    "#]],
    );
}

#[test]
fn nothing() {
    check(
        "",
        expect![[r#"
        line 1: a life cycle has a version, a whole number from 1 that rises with each change: add version = 1
    "#]],
    );
    check(
        "version = 1\n",
        expect![[r#"
        line 1: no row places an order: add an [[on]] row with command = "place" and from = ["New"]
    "#]],
    );
}

#[test]
fn versions() {
    check(
        "version = 0\n",
        expect![[r#"
        line 1: a life cycle has a version, a whole number from 1 that rises with each change
    "#]],
    );
    check(
        "version = \"1\"\n",
        expect![[r#"
        line 1: a life cycle has a version, a whole number from 1 that rises with each change
    "#]],
    );
    check(
        "version = 4294967296\n",
        expect![[r#"
        line 1: a life cycle has a version, a whole number from 1 that rises with each change
    "#]],
    );
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
        expect![[r#"
            line 3: a life cycle has no "colour"; it has version, late, settings, checks, deadline, on, then, case
            line 4: late cannot be "never"; it may be refund, hold
            line 7: "Wait" cannot name a setting: use 1 to 64 small letters, digits and _, a letter first
            line 8: setting wait must be a duration from 0s to 3650d: a number and s, m, h or d
            line 9: setting rate must be a duration, a whole number, true, false or a word
            line 10: setting most must be a whole number from 0
            line 11: setting many must be written without quotes: 500
            line 14: command cannot be "sell"; it may be place, open_payment, pay, adjust_price, prepare, ship, confirm_delivery, fail_delivery, redeem, receive, evaluate, cancel, expire, request_refund, confirm_refund, reclassify, set_visibility, open_case, withdraw_case, approve_case, refuse_case, settle_case, goods_back
            line 15: check cannot be "luck"; it may be account, credential, store, known, own, phase, lines, funds
            line 15: phase is named twice: leave one out
            line 16: this list is empty: name at least one
            line 19: there is no setting "waits": declare it in [settings]
            line 20: command cannot be "explode"; it may be place, open_payment, pay, adjust_price, prepare, ship, confirm_delivery, fail_delivery, redeem, receive, evaluate, cancel, expire, request_refund, confirm_refund, reclassify, set_visibility, open_case, withdraw_case, approve_case, refuse_case, settle_case, goods_back
            line 21: a deadline has no "colour"; it has after, at, command
            line 23: deadline both is due either after a setting or at a listing field: write after = "…" or at = "…"
            line 28: deadline neither is due either after a setting or at a listing field: write after = "…" or at = "…"
            line 31: an [[on]] row needs command: add command = …
            line 32: an [[on]] row has no "comand"; it has command, from, by, when, to, stock, money, share, deadlines, codes, note, event
            line 33: New is named twice: leave one out
            line 33: phase cannot be "Nowhere"; it may be New, AwaitingPayment, Paid, Preparing, Ready, Shipped, DeliveryFailed, Received, Completed, Cancelled, Refunding, Refunded, Rejected
            line 34: caller cannot be "thief"; it may be buyer, seller, staff, operator, gateway, timer
            line 35: phase cannot be "Somewhere"; it may be AwaitingPayment, Paid, Preparing, Ready, Shipped, DeliveryFailed, Received, Completed, Cancelled, Refunding, Refunded, Rejected
            line 36: stock cannot be "steal"; it may be none, reserve, consume, return
            line 37: none stands alone: leave it out
            line 38: deadline pay cannot be "start"; it may be set, clear
            line 38: there is no deadline "play": declare it in [deadline.play]
            line 39: codes cannot be "print"; it may be issue
            line 40: a note has 1 to 255 bytes
            line 45: this list is empty: name at least one
            line 46: caller must be a text in quotes, not integer
            line 47: codes is never "some"; it may be all_used
            line 47: kind is never "heavy"; it may be physical, virtual, pick_up
            line 47: there is no setting "mood": declare it in [settings]
            line 47: when cannot ask for "colour"; it may for kind, method, payment, risk, stock, delivers, cases, codes, lines, reviews, on_expiry, setting.<name>
            line 48: share says how much to release or refund: this row does neither
            line 49: event cannot be "order.stolen"; it may be order.prepared, order.shipped, order.delivered, order.delivery_failed, order.received, order.cancelled, order.expired, order.refund_requested, order.refunded, order.rejected
            line 51: a [[then]] row comes after a command: it cannot be New
            line 51: this row does nothing: add to, stock, money or deadlines
            line 53: a [[then]] row has no "by"; it has from, when, to, stock, money, share, deadlines, codes, note
            line 55: a case is about an order that exists: it cannot be New
            line 55: a case needs amount: add amount = …
            line 55: case cannot be "gift"; it may be money, goods, virtual
            line 57: the stock of a case cannot be "reserve"; it may be none, return
            line 58: goods_back is true or false
            line 59: there is no setting "mood": declare it in [settings]
        "#]],
    );
}

/// A misspelled name would mean nothing, and of another kind it would too.
#[test]
fn settings_mean_something() {
    check_with(
        "[settings]\nmax_line = 5\nmax_lines = 5\nkey_ttl = \"1h\"\n",
        expect![[r#"
            line 8: setting max_line is never asked for: name it in a when, a deadline's after or a case's audit, or leave it out; docket itself reads max_lines, key_ttl, after_sale, max_accounts, max_stores, max_listings and max_open_orders alone
        "#]],
    );
    check_with(
        "[settings]\nmax_lines = \"5d\"\nkey_ttl = 60\n",
        expect![[r#"
            line 8: docket reads max_lines: it must be a whole number, not a duration
            line 9: docket reads key_ttl: it must be a duration, not a whole number
        "#]],
    );
}

#[test]
fn none_stands_alone() {
    check_with(
        "[[then]]\nfrom = \"Completed\"\nstock = [\"none\"]\nmoney = [\"hold\", \"none\"]\ndeadlines = \"set\"\n",
        expect![[r#"
            line 9: none stands alone: leave it out
            line 10: none stands alone: leave it out
            line 11: deadlines is { <name> = "set" or "clear" }, or "clear" for all of them
        "#]],
    );
}

/// Each says which table wants it.
#[test]
fn what_is_missing_is_named() {
    check_with(
        "[[on]]\n[[then]]\n[case.money]\n[deadline.pay]\n",
        expect![[r#"
            line 7: an [[on]] row needs by: add by = …
            line 7: an [[on]] row needs command: add command = …
            line 7: an [[on]] row needs from: add from = …
            line 8: a [[then]] row needs from: add from = …
            line 8: this row does nothing: add to, stock, money or deadlines
            line 9: a case needs amount: add amount = …
            line 9: a case needs from: add from = …
            line 10: a deadline needs command: add command = …
            line 10: deadline pay is due either after a setting or at a listing field: write after = "…" or at = "…"
        "#]],
    );
}

#[test]
fn wrong_shapes() {
    check(
        "version = 1\nsettings = 1\nchecks = 2\ndeadline.pay = 3\non = 4\n",
        expect![[r#"
        line 2: [settings] must be a table, not integer
        line 3: [checks] must be a table, not integer
        line 4: a deadline must be a table, not integer
        line 5: this must be a list of tables: write [[on]]
    "#]],
    );
    check(
        "version = 1\non = [5]\nthen = { from = \"Paid\" }\ncase.money = 6\n",
        expect![[r#"
        line 2: [[on]] must be a table, not integer
        line 3: this must be a list of tables: write [[then]]
        line 4: a case must be a table, not integer
    "#]],
    );
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
        expect![[r#"
            line 9: an order is placed once: place comes from = ["New"] alone
            line 12: a placed order is somewhere: add to = "<phase>"
            line 18: New is an order that does not exist yet: ship cannot start there
        "#]],
    );
}

#[test]
fn the_steps_of_a_case_have_no_rows() {
    check_with(
        "[[on]]\ncommand = \"open_case\"\nfrom = \"Completed\"\nby = \"buyer\"\n",
        expect![[r#"
            line 8: open_case has no rows, the steps of a case are code: write a [case.money], [case.goods] or [case.virtual] table that says when a case may be opened
        "#]],
    );
}

#[test]
fn some_events_say_more_than_a_step() {
    check_with(
        "[[on]]\ncommand = \"reclassify\"\nfrom = \"Completed\"\nby = \"buyer\"\nevent = \"order.shipped\"\n",
        expect![[r#"
            line 11: reclassify always writes order.reclassified, which says more than a step: leave event out
        "#]],
    );
}

#[test]
fn an_unreachable_phase() {
    check_with(
        "[[on]]\ncommand = \"ship\"\nfrom = [\"Completed\", \"Paid\"]\nby = \"seller\"\n\
         [[then]]\nfrom = \"Ready\"\nto = \"Completed\"\n",
        expect![[r#"
            line 7: Paid is unreachable: no row that an order can come to leads there; add one with to = "Paid", or leave Paid out of from
            line 11: Ready is unreachable: no row that an order can come to leads there; add one with to = "Ready", or leave Ready out of from
        "#]],
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
        expect![[r#"
            line 3: dead end: an order of kind pick_up that is Preparing has no way out; add one, or narrow from or when so that none comes here
            line 4: dead end: an order of kind virtual that is Shipped has no way out; add one, or narrow from or when so that none comes here
        "#]],
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
        expect![[r#"
            line 3: dead end: an order that is Preparing can only go round; add a row that leads on to Completed, Cancelled, Refunded or Rejected
            line 4: dead end: an order that is Shipped can only go round; add a row that leads on to Completed, Cancelled, Refunded or Rejected
        "#]],
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
        expect![[r#"
            line 5: hold would take money twice: an order of method wallet that is Paid can have paid already; narrow from or when
            line 7: release finds no money: an order of method on_delivery that is Shipped can have nothing held; hold or capture it on every way to here, or narrow from or when
            line 8: refund finds no money: an order of method on_delivery that is Received can have nothing held; hold or capture it on every way to here, or narrow from or when
        "#]],
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
        expect![[r#"
            line 4: money is left over: an order that is Completed would keep it held; release or refund it
        "#]],
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
        expect![[r#"
            line 4: return finds no stock: an order that is AwaitingPayment can have nothing reserved; reserve it on every way to here, or narrow from or when
            line 6: reserve would take stock twice: an order that is Ready can have it already; narrow from or when
            line 7: return finds no stock: an order that is Ready can have nothing reserved; reserve it on every way to here, or narrow from or when
            line 8: stock is left over: an order that is Cancelled would keep it reserved; consume or return it
        "#]],
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
        expect![[r#"
            line 5: this row can never match: the one at line 4 takes all that it asks for; put this one first, or leave it out
            line 8: no order ever comes to this row: earlier rows take all of them, or none is ever in this phase with such facts; change its from or when, or leave it out
            line 9: no order ever comes to this row: earlier rows take all of them, or none is ever in this phase with such facts; change its from or when, or leave it out
        "#]],
    );
}

/// A check takes no longer than somebody is willing to wait.
#[test]
fn too_much_to_check() {
    let switches: String = (0..14).map(|at| format!("s{at} = true\n")).collect();
    let asked: String = (0..14).map(|at| format!("setting.s{at} = true, ")).collect();
    check_with(
        &format!(
            "[[then]]\nfrom = \"Completed\"\nwhen = {{ {asked} }}\nmoney = \"hold\"\n[settings]\n{switches}"
        ),
        expect![[r#"
            line 1: the rows ask for too many different facts and settings to be checked: ask for fewer in when
        "#]],
    );
}
