//! Where which word may stand: the keys of each table, and what a key takes that takes words. The
//! parser refuses every other, and `schemas/lifecycles/README.md` explains each.

use std::collections::BTreeMap;

use events::{By, Phase, StockWord};

use super::{
    facets::{DIMENSIONS, Phases},
    next::DeadlineWord,
    words::{Amount, CaseKind, Check, Late, MoneyWord, STEP_KINDS, Vocabulary, Word},
};

/// The keys of one kind of table.
pub(super) struct Keys {
    /// For a sentence.
    pub what: &'static str,
    pub names: &'static [&'static str],
}

pub(super) const FILE: Keys = Keys {
    what: "a life cycle",
    names: &["version", "late", "settings", "checks", "deadline", "on", "then", "case"],
};
pub(super) const DEADLINE: Keys = Keys { what: "a deadline", names: &["after", "at", "command"] };
pub(super) const ON: Keys = Keys {
    what: "an [[on]] row",
    names: &[
        "command",
        "from",
        "by",
        "when",
        "to",
        "stock",
        "money",
        "share",
        "deadlines",
        "codes",
        "note",
        "event",
    ],
};
pub(super) const THEN: Keys = Keys {
    what: "a [[then]] row",
    names: &["from", "when", "to", "stock", "money", "share", "deadlines", "codes", "note"],
};
pub(super) const CASE: Keys =
    Keys { what: "a case", names: &["from", "when", "amount", "stock", "goods_back", "audit"] };

/// Nothing moves: stands alone, where a list of words may stand too.
pub(super) const NONE: &str = "none";
/// What `share` takes.
pub(super) const SHARE: &[&str] = &["code"];
/// What `codes` takes.
pub(super) const CODES: &[&str] = &["issue"];
/// What the `stock` of a case takes.
pub(super) const CASE_STOCK: &[&str] = &[NONE, "return"];
/// The name in `when` under which settings are asked for.
pub(super) const SETTING: &str = "setting";

/// Every word of the language by the place where it may stand. A place is called as it is in
/// `schemas/lifecycles/README.md`: `[[on]]` for the keys of such a row, `by` for what a key takes,
/// `when.kind` for what a key takes in a certain table.
pub fn language() -> BTreeMap<String, Vec<&'static str>> {
    fn all<T: Vocabulary>() -> Vec<&'static str> {
        T::ALL.iter().map(|(word, _)| *word).collect()
    }
    fn with<T: Vocabulary>(first: &'static str) -> Vec<&'static str> {
        std::iter::once(first).chain(all::<T>()).collect()
    }
    let asked = || DIMENSIONS.iter().filter(|it| it.is_asked());
    let places = [
        ("<channel>.toml", FILE.names.to_vec()),
        ("<channel>.toml.late", all::<Late>()),
        ("[checks]", all::<Check>()),
        ("[deadline.<name>]", DEADLINE.names.to_vec()),
        ("[[on]]", ON.names.to_vec()),
        ("[[on]].share", SHARE.to_vec()),
        ("[[on]].deadlines", all::<DeadlineWord>()),
        ("[[on]].codes", CODES.to_vec()),
        ("[[then]]", THEN.names.to_vec()),
        ("command", all::<Word>()),
        ("from", with::<Phase>(Phases::NEW)),
        ("to", all::<Phase>()),
        ("by", all::<By>()),
        ("when", asked().map(|it| it.name).chain([SETTING]).collect()),
        ("stock", with::<StockWord>(NONE)),
        ("money", with::<MoneyWord>(NONE)),
        ("event", STEP_KINDS.to_vec()),
        ("case", all::<CaseKind>()),
        ("[case.<kind>]", CASE.names.to_vec()),
        ("[case.<kind>].amount", all::<Amount>()),
        ("[case.<kind>].stock", CASE_STOCK.to_vec()),
    ];
    let facts = asked().map(|it| (format!("when.{}", it.name), it.words().collect()));
    places.map(|(place, words)| (place.to_owned(), words)).into_iter().chain(facts).collect()
}
