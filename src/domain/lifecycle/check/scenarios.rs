//! Under what facts and settings a command may come, as far as any row asks for them.

use std::collections::BTreeMap;

use super::super::{
    Lifecycle, Setting, Settings,
    facets::{Answers, DIMENSIONS, Dimension, Facets, PAYMENT},
    words::Word,
};

/// The most scenarios of a command.
const SCENARIOS_MAX: usize = 10_000;

/// Facts that may change, and settings, under which a command may come.
pub(super) struct Scenario {
    pub facts: u64,
    pub settings: Settings,
}

/// All facts and settings that make a difference to a command or to what follows it; nothing where
/// there are too many.
pub(super) fn scenarios(lifecycle: &Lifecycle, command: Word) -> Option<Vec<Scenario>> {
    let rows: Vec<_> = lifecycle.on[command as usize].iter().chain(&lifecycle.then).collect();
    if lifecycle.on[command as usize].is_empty() {
        return Some(Vec::new());
    }
    let asked: Vec<_> = rows.iter().map(|row| row.when).collect();
    let mut settings: Vec<Vec<(String, Setting)>> = vec![Vec::new()];
    let mut values: BTreeMap<&str, Vec<&Setting>> = BTreeMap::new();
    for (name, wanted) in rows.iter().flat_map(|row| &row.settings) {
        values.entry(name).or_default().extend(wanted);
    }
    for (name, values) in values {
        // Each value that is asked for, and one that nobody asks for: here, none at all.
        let with = |list: &Vec<(String, Setting)>| {
            let mut lists = vec![list.clone()];
            for value in &values {
                let mut list = list.clone();
                list.push((name.to_owned(), (*value).clone()));
                lists.push(list);
            }
            lists
        };
        settings = settings.iter().flat_map(with).collect();
        if settings.len() > SCENARIOS_MAX {
            return None;
        }
    }
    let facts = assignments(&asked, |it| !it.constant && it.name != PAYMENT.name);
    if facts.len() * settings.len() > SCENARIOS_MAX {
        return None;
    }
    let scenario = |facts: u64| {
        let all = settings.iter();
        all.map(move |list| Scenario { facts, settings: list.iter().cloned().collect() })
    };
    Some(facts.into_iter().flat_map(scenario).collect())
}

/// Every answer in each of these dimensions that is asked for, with all others; the default one in
/// those that nobody asks for.
pub(super) fn assignments(asked: &[Answers], of: impl Fn(&Dimension) -> bool) -> Vec<u64> {
    let default = Facets::default().answers();
    let mut all = vec![0];
    for dimension in DIMENSIONS.iter().filter(|it| of(it)) {
        if asked.iter().all(|when| when.ignores(dimension)) {
            all.iter_mut().for_each(|facts| *facts |= default.0 & dimension.mask());
        } else {
            let bits = (0..dimension.width).map(|value| dimension.bit(value));
            let with = |facts: &u64| bits.clone().map(|bit| *facts | bit).collect::<Vec<_>>();
            all = all.iter().flat_map(with).collect();
        }
    }
    all
}
