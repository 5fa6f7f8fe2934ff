//! Gift cards: ongoing (preparing, or shipped and not yet confirmed), error (delivery failed),
//! complete, reject; beside it the verdict ok, doubtful or cheated.

use super::table;

const FILE: &str = include_str!("../../schemas/lifecycles/gift_card.toml");

/// What the boss can do, whatever the setting.
const TABLE: &str = r#"
    # delivery/makeorder, whatever the verdict
    New place staff -> Preparing

    # delivery/deliver of a cheated one rejects it; of a doubtful one, or of one without a verdict,
    # nor of one complete or rejected, nothing comes: 602
    Preparing|DeliveryFailed ship staff if risk=cheated -> Rejected as order.rejected

    # of a good one: nothing to send is complete at once; a serial is locked, a card is made by its
    # issuer, which has as many as it likes; none left is an error
    Preparing|DeliveryFailed ship staff if risk=ok delivers=nothing -> Completed as order.delivered
    Preparing|DeliveryFailed ship staff if risk=ok delivers=serial|card stock=available -> Shipped reserve
    Preparing|DeliveryFailed ship staff if risk=ok delivers=serial|card stock=short -> DeliveryFailed as order.delivery_failed "not enough inventory"

    # the mail's webhook: a serial is deleted when it is delivered, and free again when it is not
    Shipped confirm_delivery gateway -> Completed consume
    Shipped fail_delivery gateway -> DeliveryFailed return

    # delivery/update: the verdict is replaced and the state kept, until it is complete or rejected
    Preparing|Shipped|DeliveryFailed reclassify staff -> stays
"#;

/// With `auto_deliver`, an order of good verdict does not wait for the boss.
const BY_ITSELF: &str = r#"
    then Preparing if auto_deliver=true risk=ok delivers=nothing -> Completed
    then Preparing if auto_deliver=true risk=ok delivers=serial|card stock=available -> Shipped reserve
    then Preparing if auto_deliver=true risk=ok delivers=serial|card stock=short -> DeliveryFailed "not enough inventory"
"#;

const FACETS: [&str; 3] = ["risk", "stock", "delivers"];

#[test]
fn a_gift_card_does_what_the_table_says() {
    let gift_card = table::lifecycle("gift_card", FILE);
    table::check(&gift_card, &FACETS, &[], TABLE);
    let table = format!("{TABLE}{BY_ITSELF}");
    table::check(&gift_card, &FACETS, &[("auto_deliver", &["true", "false"])], &table);
    table::check_delays(&gift_card, &[]);
}

/// 902 is no session, 601 no such order, 602 a state or verdict that does not allow it.
#[test]
fn a_gift_card_is_checked_in_the_order_of_its_errors() {
    let list = "credential known phase";
    table::check_order(
        &table::lifecycle("gift_card", FILE),
        &[("ship", list), ("reclassify", list)],
    );
}
