//! Reads the text of a file: every key and word must be known, and every problem says its line.
//! What the rows mean together is a matter for [`check`](super::check).

use std::{collections::BTreeMap, fmt};

use events::{Channel, Phase};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Audit, CaseRule, DeadlineRule, Due, Lifecycle,
    facets::{Answers, CASE, Callers, Phases},
    language,
    next::{Effects, Row},
    settings::{Setting, read_by_docket},
    words::{CaseKind, Check, Late, Word},
};
use reader::{Key, Reader, Value, integer, setting};

mod reader;
mod rows;

/// The most deadlines of a file: the checker walks every set of them that can be pending.
const DEADLINES_MAX: usize = 8;

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// A sentence: what is wrong, and what to do about it.
    pub reason: String,
}

impl Problem {
    /// `file:line: reason`, as compilers say it and editors understand it.
    pub fn in_file(&self, file: impl fmt::Display) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "{file}:{}: {}", self.line, self.reason))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// What could be read, and the problems with the rest. Nothing is read where it is no TOML.
pub(super) fn parse(channel: &Channel, text: &str) -> (Option<Lifecycle>, Vec<Problem>) {
    let mut reader = Reader::new(text);
    let lifecycle = match DeTable::parse(text) {
        Ok(table) => Some(reader.file(channel, table.get_ref())),
        Err(error) => {
            reader.report(error.span().unwrap_or(0..0), error.message().replace('\n', "; "));
            None
        }
    };
    (lifecycle, reader.problems)
}

impl Reader<'_> {
    fn file(&mut self, channel: &Channel, file: &DeTable<'_>) -> Lifecycle {
        self.keys(file, &language::FILE);
        self.settings = self.settings(file.get("settings"));
        self.deadlines = self.deadlines(file.get("deadline"));
        let mut on = vec![Vec::new(); Word::ALL.len()];
        for value in self.tables(file.get("on"), "[[on]]") {
            if let Some((command, row)) = self.on(value) {
                on[command as usize].push(row);
            }
        }
        let then: Vec<Row> = self
            .tables(file.get("then"), "[[then]]")
            .into_iter()
            .filter_map(|value| self.then(value))
            .collect();
        let cases = self.cases(file.get("case"));
        if self.problems.is_empty() {
            self.settings_in_vain(file.get("settings"));
        }
        add_case_rows(&mut on, &cases);
        for row in on.iter_mut().flatten() {
            row.fold(&then);
        }
        Lifecycle {
            channel: channel.clone(),
            version: self.version(file.get("version")),
            late: file
                .get("late")
                .and_then(|value| self.word("late", value))
                .unwrap_or(Late::Refund),
            checks: self.checks(file.get("checks")),
            settings: std::mem::take(&mut self.settings),
            deadlines: std::mem::take(&mut self.deadlines),
            on,
            then,
            cases,
        }
    }

    fn version(&mut self, value: Option<&Value<'_>>) -> u32 {
        let wanted =
            "a life cycle has a version, a whole number from 1 that rises with each change";
        let Some(value) = value else {
            self.report(0..0, format!("{wanted}: add version = 1"));
            return 0;
        };
        match integer(value).map(u32::try_from) {
            Some(Ok(version @ 1..)) => version,
            _ => {
                self.report(value.span(), wanted);
                0
            }
        }
    }

    fn settings(&mut self, value: Option<&Value<'_>>) -> BTreeMap<String, Setting> {
        let mut settings = BTreeMap::new();
        for (key, value) in self.entries(value, "[settings]") {
            let name = self.name(key, "a setting");
            match (name, setting(value)) {
                (Some(name), Ok(setting)) => {
                    let read = read_by_docket().find(|(read, _)| *read == name);
                    if let Some((_, wanted)) = read.filter(|(_, kind)| *kind != setting.kind()) {
                        let kind = setting.kind();
                        let reason =
                            format!("docket reads {name}: it must be {wanted}, not {kind}");
                        self.report(value.span(), reason);
                    }
                    settings.insert(name, setting);
                }
                (_, Ok(_)) => {}
                (_, Err(wanted)) => {
                    let reason = format!("setting {} must be {wanted}", key.get_ref());
                    self.report(value.span(), reason);
                    self.broken.insert(key.get_ref().clone().into_owned());
                }
            }
        }
        settings
    }

    /// A misspelled name would mean nothing, silently.
    fn settings_in_vain(&mut self, value: Option<&Value<'_>>) {
        for (key, _) in self.entries(value, "[settings]") {
            let name = key.get_ref().as_ref();
            let mut read: Vec<_> = read_by_docket().map(|(read, _)| read).collect();
            if !read.contains(&name) && !self.used.contains(name) {
                let last = read.pop().unwrap_or_default();
                let reason = format!(
                    "setting {name} is never asked for: name it in a when, a deadline's after or \
                     a case's audit, or leave it out; docket itself reads {} and {last} alone",
                    read.join(", ")
                );
                self.report(key.span(), reason);
            }
        }
    }

    fn checks(&mut self, value: Option<&Value<'_>>) -> Vec<Vec<Check>> {
        let mut lists = vec![Vec::new(); Word::ALL.len()];
        for (key, value) in self.entries(value, "[checks]") {
            let Some(command) = Word::parse(key.get_ref()) else {
                self.unknown::<Word>(key.span(), "command", key.get_ref());
                continue;
            };
            lists[command as usize] = self.words::<Check>("check", value);
        }
        for list in &mut lists {
            for check in Check::ALL.iter().copied() {
                if !list.contains(&check) {
                    list.push(check);
                }
            }
        }
        lists
    }

    fn deadlines(&mut self, value: Option<&Value<'_>>) -> BTreeMap<String, DeadlineRule> {
        let mut deadlines = BTreeMap::new();
        for (key, value) in self.entries(value, "[deadline]") {
            match (self.name(key, "a deadline"), self.deadline(key, value)) {
                (Some(name), Some(rule)) => {
                    deadlines.insert(name, rule);
                }
                _ => {
                    self.broken.insert(key.get_ref().clone().into_owned());
                }
            }
        }
        if let Some(value) = value.filter(|_| deadlines.len() > DEADLINES_MAX) {
            self.report(value.span(), format!("there are at most {DEADLINES_MAX} deadlines"));
        }
        deadlines
    }

    fn deadline(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<DeadlineRule> {
        let table = self.table(value, "a deadline")?;
        self.keys(table, &language::DEADLINE);
        let due = match (table.get("after"), table.get("at")) {
            (Some(after), None) => {
                let duration = |it: &Setting| matches!(it, Setting::Duration(_));
                self.setting_of_kind(after, "a duration", duration).map(Due::After)
            }
            (None, Some(at)) => self.text(at, "at").and_then(|field| {
                self.name(&Spanned::new(at.span(), field.into()), "a listing field").map(Due::At)
            }),
            (None, None) | (Some(_), Some(_)) => {
                let reason = format!(
                    "deadline {} is due either after a setting or at a listing field: write \
                     after = \"…\" or at = \"…\"",
                    key.get_ref()
                );
                self.report(key.span(), reason);
                None
            }
        };
        let command = self.required(table, "command", key.span(), "a deadline");
        let command = command.and_then(|command| self.word("command", command));
        Some(DeadlineRule { due: due?, command: command?, line: self.line(key.span()) })
    }

    fn cases(&mut self, value: Option<&Value<'_>>) -> BTreeMap<CaseKind, CaseRule> {
        let mut cases = BTreeMap::new();
        for (key, value) in self.entries(value, "[case]") {
            let kind = CaseKind::parse(key.get_ref());
            if kind.is_none() {
                self.unknown::<CaseKind>(key.span(), "case", key.get_ref());
            }
            if let (Some(rule), Some(kind)) = (self.case(key, value), kind) {
                cases.insert(kind, rule);
            }
        }
        cases
    }

    fn case(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<CaseRule> {
        let table = self.table(value, "a case")?;
        self.keys(table, &language::CASE);
        let from = self.phases(key.span(), table, "a case");
        if from.has(None) {
            self.report(key.span(), "a case is about an order that exists: it cannot be New");
        }
        let (when, settings) = self.when(table.get("when"));
        let amount = self.required(table, "amount", key.span(), "a case");
        let amount = amount.and_then(|value| self.word("amount", value));
        let stock = table
            .get("stock")
            .and_then(|value| self.choice("the stock of a case", value, language::CASE_STOCK));
        let returns_stock = stock.is_some_and(|word| word != language::NONE);
        let goods_back = match table.get("goods_back").map(|it| (it, it.get_ref().as_bool())) {
            None => false,
            Some((_, Some(it))) => it,
            Some((value, None)) => {
                self.report(value.span(), "goods_back is true or false");
                false
            }
        };
        let audit = match table.get("audit").map(|it| (it, it.get_ref())) {
            None | Some((_, DeValue::Boolean(false))) => Audit::Never,
            Some((_, DeValue::Boolean(true))) => Audit::Always,
            Some((value, _)) => {
                let boolean = |it: &Setting| matches!(it, Setting::Boolean(_));
                let setting = self.setting_of_kind(value, "true or false", boolean);
                setting.map_or(Audit::Never, Audit::Setting)
            }
        };
        let line = self.line(key.span());
        Some(CaseRule {
            amount: amount?,
            returns_stock,
            goods_back,
            audit,
            line,
            from,
            when,
            settings,
        })
    }
}

/// Opening a case is a row that its table says; its later steps may be taken in any phase. All of
/// them leave the order where it is, and move what the case is about and nothing else.
fn add_case_rows(on: &mut [Vec<Row>], cases: &BTreeMap<CaseKind, CaseRule>) {
    let anywhere = Phase::ALL.into_iter().fold(Phases::default(), |all, it| all.with(Some(it)));
    for (kind, rule) in cases {
        let about = Answers(Answers::ANY.0 & !CASE.mask() | CASE.bit(*kind as u32 + 1));
        let step = |command: Word| Row {
            line: rule.line,
            from: anywhere,
            by: command.case_callers().iter().fold(Callers::default(), |all, by| all.with(*by)),
            when: about,
            settings: Vec::new(),
            to: None,
            event: None,
            effects: Effects::default(),
            with_then: Vec::new(),
        };
        let open = Row {
            from: rule.from,
            when: rule.when.and(about),
            settings: rule.settings.clone(),
            ..step(Word::OpenCase)
        };
        on[Word::OpenCase as usize].push(open);
        for command in Word::ALL.iter().copied() {
            if command != Word::OpenCase && !command.case_callers().is_empty() {
                on[command as usize].push(step(command));
            }
        }
    }
}
