//! What the language can say and this docket cannot do: such a file is never in force.

use events::{CommandId, Digest, Millis};
use expect_test::{Expect, expect};
use uuid::Uuid;

use super::{super::super::*, BOOKSTORE, NATIVE, PRINTING, YF_MALL, lifecycle};

fn check(text: &str, expect: Expect) {
    let problems = lifecycle(text).unsupported();
    let lines: Vec<_> = problems.iter().map(|it| format!("{it}\n")).collect();
    expect.assert_eq(&lines.concat());
    let adopted = adopt(&World::default(), text);
    match problems.is_empty() {
        true => assert_eq!(adopted.unwrap().events.len(), 1),
        false => {
            let told = lines.concat().trim_end().to_owned();
            assert_eq!(adopted.unwrap_err(), Rejection::LifecycleBad(told));
        }
    }
}

/// What docket itself does with a file at its start.
fn adopt(world: &World, text: &str) -> Result<Decided, Rejection> {
    let action = Action::AdoptLifecycle { digest: Digest([7; 32]), text: text.to_owned() };
    let channel = events::Channel::new("test").unwrap();
    let id = CommandId(Uuid::from_u128(1));
    let command = Command { id, channel, caller: Caller::System, action };
    decide(world, &command, Millis(1))
}

#[test]
fn what_is_served_can_come_into_force() {
    for text in [BOOKSTORE, NATIVE] {
        check(text, expect![""]);
    }
}

/// The money of one code would have been the money of all of them, and a note would have been
/// written nowhere.
#[test]
fn a_row_is_not_done_by_halves() {
    check(
        r#"version = 1
on = [
    { command = "place", from = "New", by = "buyer", to = "Paid", money = "hold" },
    { command = "receive", from = "Paid", by = "buyer", money = "release", share = "code" },
    { command = "ship", from = "Paid", by = "seller", codes = "issue" },
    { command = "cancel", from = "Paid", by = "seller", to = "Cancelled", money = "refund", note = "gone" },
]"#,
        expect![[r#"
            line 4: docket has no codes yet: leave share out
            line 5: docket has no codes yet: leave codes out
            line 6: docket keeps no notes yet: leave note out
        "#]],
    );
}

/// No order would ever have come to such a row.
#[test]
fn nothing_is_asked_that_docket_never_learns() {
    check(
        r#"version = 1
on = [
    { command = "place", from = "New", by = "buyer", when = { kind = "physical", method = "wallet" }, to = "Paid" },
    { command = "cancel", from = "Paid", by = "seller", when = { payment = "none", stock = "short" }, to = "Cancelled" },
    { command = "cancel", from = "Paid", by = "operator", when = { risk = "cheated" }, to = "Cancelled" },
    { command = "ship", from = "Paid", by = "seller", to = "Shipped" },
    { command = "receive", from = "Shipped", by = "buyer", to = "Completed" },
]
then = [
    { from = "Shipped", when = { delivers = "nothing", reviews = "every_line" }, to = "Completed" },
]"#,
        expect![[r#"
            line 5: docket never learns risk of an order yet: leave it out of when
            line 10: docket never learns delivers of an order yet: leave it out of when
            line 10: docket never learns reviews of an order yet: leave it out of when
        "#]],
    );
}

#[test]
fn files_to_come_wait() {
    check(
        PRINTING,
        expect![[r#"
        line 46: docket does not record payment.opened yet: leave this row out
    "#]],
    );
    check(
        YF_MALL,
        expect![[r#"
        line 58: docket keeps no dates with listings yet: let deadline use be due after a setting
        line 94: docket does not record payment.opened yet: leave this row out
        line 99: docket does not record order.repriced yet: leave this row out
        line 123: docket has no codes yet: leave codes out
        line 215: docket does not record order.code_redeemed yet: leave this row out
        line 215: docket has no codes yet: leave share out
        line 225: docket never learns cases of an order yet: leave it out of when
        line 225: docket never learns on_expiry of an order yet: leave it out of when
        line 234: docket never learns cases of an order yet: leave it out of when
        line 245: docket does not record order.evaluated yet: leave this row out
        line 250: docket does not record order.visibility_set yet: leave this row out
        line 258: docket never learns codes of an order yet: leave it out of when
        line 265: docket never learns lines of an order yet: leave it out of when
        line 276: docket has no cases yet: leave [case.money] out
        line 285: docket has no cases yet: leave [case.goods] out
        line 292: docket has no cases yet: leave [case.virtual] out
    "#]],
    );
}

/// A check that is newer than a file that is in force refuses no start.
#[test]
fn what_is_in_force_stays_in_force() {
    let refused = "version = 1\non = [{ command = \"place\", from = \"New\", by = \"buyer\", \
                   to = \"Completed\", note = \"hello\" }]";
    let mut world = World::default();
    adopt(&world, refused).unwrap_err();
    let channel = events::Channel::new("test").unwrap();
    let (recorded, settings) = (lifecycle(refused), lifecycle::Settings::default());
    let in_force = InForce { digest: Digest([7; 32]), lifecycle: recorded, settings };
    world.channel_mut(&channel).lifecycles.insert(1, in_force);
    assert_eq!(adopt(&world, refused).unwrap().events, []);
}
