//! A table of what orders may do, and how it is compared with a life cycle.
//!
//! A line says `<phases> <command> <callers> [if <facet>=<values> …] -> <phase or stays> <what
//! moves>`, with `|` between several. What moves: stock words, money words, `<deadline>=set` or
//! `=clear`, `codes`, `as <kind>` where the event is not the command's own, and last `"a note"`.
//! Lines have no order: no two of them may speak of the same order. A line that begins with `then`
//! says what follows any command that leads there; of these the first that fits counts.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

use docket::domain::lifecycle::{
    DeadlineWord, Due, Facets, Lifecycle, MoneyStep, MoneyWord, Next, Refused, Settings, Share,
    Word, next,
};
use events::{By, Channel, Phase, StockWord};

use super::words;

/// What is known of an order, as the tables write it.
type Known<'a> = BTreeMap<&'a str, &'a str>;

struct Line<'a> {
    text: &'a str,
    from: Vec<Option<Phase>>,
    /// Nothing and nobody in a `then` line.
    command: Option<Word>,
    by: Vec<By>,
    when: Vec<(&'a str, Vec<&'a str>)>,
    to: Option<Phase>,
    does: Does,
}

/// What happens to an order, apart from where it goes.
#[derive(Debug, Clone, Default, PartialEq)]
struct Does {
    stock: Vec<StockWord>,
    money: Vec<(MoneyWord, Share)>,
    deadlines: BTreeMap<String, DeadlineWord>,
    codes: bool,
    note: Option<String>,
    event: Option<String>,
}

pub fn lifecycle(channel: &str, text: &str) -> Lifecycle {
    Lifecycle::parse(&Channel::new(channel).unwrap(), text).unwrap_or_else(|problems| {
        let file = format!("{channel}.toml");
        panic!(
            "{}",
            problems.iter().map(|it| format!("{}\n", it.in_file(&file))).collect::<String>()
        )
    })
}

/// Compares a table with a life cycle, for every value of the facets and settings that are named,
/// while the others are as usual, and while they are as strange as can be.
pub fn check(lifecycle: &Lifecycle, facets: &[&str], settings: &[(&str, &[&str])], table: &str) {
    let lines = table.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#'));
    let lines: Vec<_> = lines.map(line).collect();
    let mut told = vec![false; lines.len()];
    let mut wrong = String::new();
    let choices = facets.iter().map(|name| (*name, words::values(name)));
    let choices: Vec<_> = choices.chain(settings.iter().copied()).collect();
    for known in combinations(&choices) {
        let overrides = settings.iter().map(|(name, _)| ((*name).into(), known[name].into()));
        let overrides = overrides.collect();
        let site = Settings::override_with(lifecycle.default_settings(), &overrides).unwrap();
        let fits: Vec<_> = lines.iter().map(|line| line.fits(&known)).collect();
        for strange in [false, true] {
            let mut order = words::background(strange);
            facets.iter().for_each(|name| words::set(&mut order, name, known[name]));
            compare(lifecycle, &site, &order, &lines, &fits, &mut told, &mut wrong);
            assert!(wrong.is_empty(), "where {known:?}, others strange: {strange}\n{wrong}");
        }
    }
    for (line, _) in lines.iter().zip(told).filter(|(_, told)| !told) {
        wrong += &format!("no order comes to this line: {}\n", line.text);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Every command by everybody in every phase. `fits` says which lines are about such an order.
fn compare(
    lifecycle: &Lifecycle,
    settings: &Settings,
    order: &Facets,
    lines: &[Line<'_>],
    fits: &[bool],
    told: &mut [bool],
    wrong: &mut String,
) {
    let said = said(lines, fits);
    for phase in std::iter::once(None).chain(Phase::ALL.map(Some)) {
        for command in Word::ALL.iter().copied() {
            for (who, by) in words::CALLERS {
                let found = next(lifecycle, settings, phase, order, command, &[by]);
                let found = found.map(|next| (Some(next.to), next.by, Does::of(&next)));
                let Some(at) = said.get(&(phase, command, by)).copied() else {
                    if found != Err(Refused { phase, command }) {
                        writeln!(wrong, "{phase:?} {command} {who} gives {found:?}").unwrap();
                    }
                    continue;
                };
                told[at] = true;
                let (mut to, mut does) = (lines[at].to.or(phase), lines[at].does.clone());
                does.event.get_or_insert_with(|| words::event_of(command).to_owned());
                let then = (0..lines.len()).find(|at| fits[*at] && lines[*at].follows(to));
                if let Some(then) = then {
                    told[then] = true;
                    to = lines[then].to.or(to);
                    does = does.and(&lines[then].does);
                }
                if found != Ok((to, by, does)) {
                    let text = lines[at].text;
                    writeln!(wrong, "{text}: {phase:?} {who} gives {found:?}").unwrap();
                }
            }
        }
    }
}

/// Which line says what becomes of a command.
fn said(lines: &[Line<'_>], fits: &[bool]) -> HashMap<(Option<Phase>, Word, By), usize> {
    let mut said = HashMap::new();
    for (at, line) in lines.iter().enumerate().filter(|(at, _)| fits[*at]) {
        let Some(command) = line.command else { continue };
        for (from, by) in line.from.iter().flat_map(|it| line.by.iter().map(move |by| (it, by))) {
            if let Some(twice) = said.insert((*from, command, *by), at) {
                panic!("two lines say the same:\n{}\n{}", line.text, lines[twice].text);
            }
        }
    }
    said
}

impl Line<'_> {
    /// Whether it is a `then` line about orders in this phase.
    fn follows(&self, phase: Option<Phase>) -> bool {
        self.command.is_none() && self.from.contains(&phase)
    }

    fn fits(&self, known: &Known<'_>) -> bool {
        self.when.iter().all(|(name, values)| {
            let value = known.get(name);
            values.contains(value.unwrap_or_else(|| panic!("{name} does not vary: {}", self.text)))
        })
    }
}

impl Does {
    fn of(next: &Next<'_>) -> Self {
        let step = |MoneyStep { word, share }| (word, share);
        Self {
            stock: next.stock().collect(),
            money: next.money().map(step).collect(),
            deadlines: next.deadlines().map(|(name, word)| (name.to_owned(), word)).collect(),
            codes: next.issues_codes(),
            note: next.note().map(str::to_owned),
            event: Some(next.event_kind().to_owned()),
        }
    }

    fn and(mut self, then: &Self) -> Self {
        self.stock.extend(&then.stock);
        self.money.extend(&then.money);
        self.deadlines.extend(then.deadlines.clone());
        self.codes |= then.codes;
        self.note = then.note.clone().or(self.note);
        self
    }
}

fn line(text: &str) -> Line<'_> {
    let (left, right) = text.split_once(" -> ").unwrap_or_else(|| panic!("no arrow: {text}"));
    let (left, when) = left.split_once(" if ").unwrap_or((left, ""));
    let (right, note) = match right.split_once(" \"") {
        Some((right, note)) => (right, Some(note.trim_end_matches('"').to_owned())),
        None => (right, None),
    };
    let phases = |list: &str| list.split('|').map(words::phase).collect();
    let (from, command, by) = match left.split(' ').collect::<Vec<_>>()[..] {
        ["then", from] => (phases(from), None, Vec::new()),
        [from, command, by] => {
            let by = by.split('|').map(words::by).collect();
            (phases(from), Some(words::command(command)), by)
        }
        _ => panic!("not a line: {text}"),
    };
    let when = when.split(' ').filter(|it| !it.is_empty()).map(|it| {
        let (name, values) = it.split_once('=').unwrap();
        (name, values.split('|').collect())
    });
    let mut right = right.split(' ');
    let to = right.next().filter(|to| *to != "stays").and_then(words::phase);
    let mut does = Does { note, ..Does::default() };
    while let Some(word) = right.next() {
        match (words::stock(word), words::money(word), word.split_once('=')) {
            (Some(stock), ..) => does.stock.push(stock),
            (_, Some(money), _) => does.money.push(money),
            (_, _, Some((name, "set"))) => {
                does.deadlines.insert(name.to_owned(), DeadlineWord::Set);
            }
            (_, _, Some((name, "clear"))) => {
                does.deadlines.insert(name.to_owned(), DeadlineWord::Clear);
            }
            _ if word == "codes" => does.codes = true,
            _ if word == "as" => does.event = right.next().map(str::to_owned),
            _ => panic!("{word} means nothing: {text}"),
        }
    }
    Line { text, from, command, by, when: when.collect(), to, does }
}

fn combinations<'a>(choices: &[(&'a str, &[&'a str])]) -> Vec<Known<'a>> {
    let mut all = vec![Known::new()];
    for (name, values) in choices {
        let with = |known: &Known<'a>| {
            let one = |value: &&'a str| {
                let mut known = known.clone();
                known.insert(name, value);
                known
            };
            values.iter().map(one).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

/// Compares the delays: deadline, seconds, command.
pub fn check_delays(lifecycle: &Lifecycle, delays: &[(&str, i64, &str)]) {
    let settings = Settings::override_with(lifecycle.default_settings(), &BTreeMap::new()).unwrap();
    let found = lifecycle.deadlines().filter_map(|(name, rule)| match &rule.due {
        Due::After(setting) => {
            let seconds = settings.duration_ms(setting).unwrap() / 1000;
            Some((name, seconds, rule.command.as_str()))
        }
        Due::At(_) => None,
    });
    assert_eq!(found.collect::<Vec<_>>(), delays);
    assert_eq!(settings.duration_ms("key_ttl"), Some(86_400_000));
    assert_eq!(settings.integer("max_lines"), Some(500));
}

/// Compares the order in which commands are checked, as far as it is given.
pub fn check_order(lifecycle: &Lifecycle, lists: &[(&str, &str)]) {
    for (command, list) in lists {
        let list = words::checks(list);
        let found = lifecycle.checks(words::command(command));
        let found: Vec<_> = found.iter().copied().filter(|check| list.contains(check)).collect();
        assert_eq!(found, list, "{command}");
    }
}
