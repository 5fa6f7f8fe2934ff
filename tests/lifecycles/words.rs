//! The words of the tables, and what each stands for.

use docket::domain::lifecycle::{
    CaseKind, Check, Delivers, Facets, MoneyWord, OnExpiry, Payment, Risk, Share, Stock, Word,
};
use events::{By, Kind, Method, Phase, StockWord};

pub const CALLERS: [(&str, By); 6] = [
    ("buyer", By::Buyer),
    ("seller", By::Seller),
    ("staff", By::Staff),
    ("operator", By::Operator),
    ("gateway", By::Gateway),
    ("timer", By::Timer),
];

/// Each command, and the kind of the event that it writes.
pub const COMMANDS: [(&str, &str); 23] = [
    ("place", "order.placed"),
    ("open_payment", "payment.opened"),
    ("pay", "order.paid"),
    ("adjust_price", "order.repriced"),
    ("prepare", "order.prepared"),
    ("ship", "order.shipped"),
    ("confirm_delivery", "order.delivered"),
    ("fail_delivery", "order.delivery_failed"),
    ("redeem", "order.code_redeemed"),
    ("receive", "order.received"),
    ("evaluate", "order.evaluated"),
    ("cancel", "order.cancelled"),
    ("expire", "order.expired"),
    ("request_refund", "order.refund_requested"),
    ("confirm_refund", "order.refunded"),
    ("reclassify", "order.reclassified"),
    ("set_visibility", "order.visibility_set"),
    ("open_case", "order.case_opened"),
    ("withdraw_case", "order.case_withdrawn"),
    ("approve_case", "order.case_approved"),
    ("refuse_case", "order.case_refused"),
    ("settle_case", "order.case_settled"),
    ("goods_back", "order.goods_returned"),
];

/// Each thing that may be known of an order, and what it may be. The first is the usual one, the
/// last as far from it as can be.
const FACETS: [(&str, &[&str]); 12] = [
    ("kind", &["physical", "pick_up", "virtual"]),
    ("method", &["wallet", "online", "on_delivery", "at_store", "bank"]),
    ("payment", &["none", "captured"]),
    ("risk", &["none", "ok", "doubtful", "cheated"]),
    ("stock", &["available", "short"]),
    ("delivers", &["nothing", "serial", "card"]),
    ("cases", &["none_open", "open"]),
    ("codes", &["unused", "all_used"]),
    ("lines", &["kept", "all_refunded"]),
    ("reviews", &["missing", "every_line"]),
    ("on_expiry", &["keep", "refund"]),
    ("case", &["none", "money", "virtual", "goods"]),
];

pub fn phase(word: &str) -> Option<Phase> {
    let found = Phase::ALL.into_iter().find(|phase| format!("{phase:?}") == word);
    assert!(found.is_some() || word == "New", "no phase: {word}");
    found
}

pub fn by(word: &str) -> By {
    let found = CALLERS.iter().find(|(name, _)| *name == word);
    found.unwrap_or_else(|| panic!("no caller: {word}")).1
}

pub fn command(word: &str) -> Word {
    Word::parse(word).unwrap_or_else(|| panic!("no command: {word}"))
}

/// The kind of event that a command writes.
pub fn event_of(command: Word) -> &'static str {
    COMMANDS.iter().find(|(word, _)| *word == command.as_str()).unwrap().1
}

pub fn stock(word: &str) -> Option<StockWord> {
    match word {
        "reserve" => Some(StockWord::Reserve),
        "consume" => Some(StockWord::Consume),
        "return" => Some(StockWord::Return),
        _ => None,
    }
}

pub fn money(word: &str) -> Option<(MoneyWord, Share)> {
    let whole = word.strip_suffix("(code)").unwrap_or(word);
    let share = if whole == word { Share::Whole } else { Share::Code };
    MoneyWord::parse(whole).map(|word| (word, share))
}

pub fn checks(list: &str) -> Vec<Check> {
    list.split(' ').map(|word| Check::parse(word).unwrap()).collect()
}

/// What a facet may be.
pub fn values(name: &str) -> &'static [&'static str] {
    FACETS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no facet: {name}")).1
}

/// Every facet, at the usual end or at the other.
pub fn background(strange: bool) -> Facets {
    let mut facets = Facets::default();
    for (name, values) in FACETS {
        set(&mut facets, name, if strange { values.last() } else { values.first() }.unwrap());
    }
    facets
}

pub fn set(facets: &mut Facets, name: &str, value: &str) {
    assert!(values(name).contains(&value), "{name} is never {value}");
    match name {
        "kind" => {
            facets.kind = match value {
                "virtual" => Kind::Virtual,
                "pick_up" => Kind::PickUp,
                _ => Kind::Physical,
            }
        }
        "method" => {
            facets.method = match value {
                "online" => Method::Online,
                "bank" => Method::Bank,
                "on_delivery" => Method::OnDelivery,
                "at_store" => Method::AtStore,
                _ => Method::Wallet,
            }
        }
        "payment" => facets.payment = Payment::parse(value).unwrap(),
        "risk" => facets.risk = Risk::parse(value).unwrap(),
        "stock" => facets.stock = Stock::parse(value).unwrap(),
        "delivers" => facets.delivers = Delivers::parse(value).unwrap(),
        "cases" => facets.case_open = value == "open",
        "codes" => facets.codes_all_used = value == "all_used",
        "lines" => facets.lines_all_refunded = value == "all_refunded",
        "reviews" => facets.every_line_reviewed = value == "every_line",
        "on_expiry" => facets.on_expiry = OnExpiry::parse(value).unwrap(),
        _ => facets.case = CaseKind::parse(value),
    }
}
