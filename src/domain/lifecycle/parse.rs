//! Reads the text of a file: every key and word must be known, and every problem says its line.
//! What the rows mean together is a matter for [`check`](super::check).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
};

use events::{By, Channel, Phase};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Audit, CaseRule, DeadlineRule, Due, Lifecycle,
    facets::{Answers, CASE, Callers, DIMENSIONS, Phases},
    next::{DeadlineWord, Effects, MoneyStep, Row, Share},
    settings::Setting,
    words::{CaseKind, Check, Late, MoneyWord, STEP_KINDS, Vocabulary, Word},
};

/// The longest a name may be, and a note, in bytes.
const NAME_BYTES_MAX: usize = 64;
const NOTE_BYTES_MAX: usize = 255;
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

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// What could be read, and the problems with the rest. Nothing is read where it is no TOML.
pub(super) fn parse(channel: &Channel, text: &str) -> (Option<Lifecycle>, Vec<Problem>) {
    let mut reader = Reader { text, problems: Vec::new() };
    let lifecycle = match DeTable::parse(text) {
        Ok(table) => Some(reader.file(channel, table.get_ref())),
        Err(error) => {
            reader.report(error.span().unwrap_or(0..0), error.message().replace('\n', "; "));
            None
        }
    };
    (lifecycle, reader.problems)
}

/// A value and where it stands.
type Value<'i> = Spanned<DeValue<'i>>;

struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn file(&mut self, channel: &Channel, file: &DeTable<'_>) -> Lifecycle {
        let known = ["version", "late", "settings", "checks", "deadline", "on", "then", "case"];
        self.keys(file, "a life cycle", &known);
        let settings = self.settings(file.get("settings"));
        let deadlines = self.deadlines(file.get("deadline"), &settings);
        let context = Context { settings: &settings, deadlines: &deadlines };
        let mut on = vec![Vec::new(); Word::ALL.len()];
        for value in self.tables(file.get("on"), "[[on]]") {
            if let Some((command, row)) = self.on(value, context) {
                on[command as usize].push(row);
            }
        }
        let then: Vec<Row> = self
            .tables(file.get("then"), "[[then]]")
            .into_iter()
            .filter_map(|value| self.then(value, context))
            .collect();
        let cases = self.cases(file.get("case"), context);
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
            settings,
            deadlines,
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
            let setting = match value.get_ref() {
                DeValue::String(text) => quoted(text),
                DeValue::Boolean(it) => Ok(Setting::Boolean(*it)),
                DeValue::Integer(_) => match integer(value) {
                    Some(number @ 0..) => Ok(Setting::Integer(number)),
                    _ => Err("a whole number from 0".to_owned()),
                },
                _ => Err("a duration, a whole number, true, false or a word".to_owned()),
            };
            match setting {
                Ok(setting) => {
                    if let Some(name) = self.name(key, "a setting") {
                        settings.insert(name, setting);
                    }
                }
                Err(wanted) => {
                    self.report(value.span(), format!("setting {} must be {wanted}", key.get_ref()))
                }
            }
        }
        settings
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

    fn deadlines(
        &mut self,
        value: Option<&Value<'_>>,
        settings: &BTreeMap<String, Setting>,
    ) -> BTreeMap<String, DeadlineRule> {
        let mut deadlines = BTreeMap::new();
        for (key, value) in self.entries(value, "[deadline]") {
            let Some(table) = self.table(value, "a deadline") else { continue };
            self.keys(table, "a deadline", &["after", "at", "command"]);
            let due = match (table.get("after"), table.get("at")) {
                (Some(after), None) => self
                    .setting_of_kind(after, settings, "a duration", |it| {
                        matches!(it, Setting::Duration(_))
                    })
                    .map(Due::After),
                (None, Some(at)) => self.text(at, "at").and_then(|field| {
                    self.name(&Spanned::new(at.span(), field.into()), "a listing field")
                        .map(Due::At)
                }),
                _ => {
                    self.report(
                        key.span(),
                        format!(
                            "deadline {} is due either after a setting or at a listing field: \
                             write after = \"…\" or at = \"…\"",
                            key.get_ref()
                        ),
                    );
                    None
                }
            };
            let command = self
                .required(table, "command", key.span(), "a deadline")
                .and_then(|command| self.word("command", command));
            if let (Some(name), Some(due), Some(command)) =
                (self.name(key, "a deadline"), due, command)
            {
                let line = self.line(key.span());
                deadlines.insert(name, DeadlineRule { due, command, line });
            }
        }
        if deadlines.len() > DEADLINES_MAX
            && let Some(value) = value
        {
            self.report(value.span(), format!("there are at most {DEADLINES_MAX} deadlines"));
        }
        deadlines
    }

    fn on(&mut self, value: &Value<'_>, context: Context<'_>) -> Option<(Word, Row)> {
        let table = self.table(value, "[[on]]")?;
        let known = [
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
        ];
        self.keys(table, "an [[on]] row", &known);
        let mut row = self.row(value.span(), table, context);
        for by in self
            .required(table, "by", value.span(), "an [[on]] row")
            .map(|by| self.words::<By>("caller", by))
            .unwrap_or_default()
        {
            row.by = row.by.with(by);
        }
        let named = self.required(table, "command", value.span(), "an [[on]] row")?;
        let command: Word = self.word("command", named)?;
        if !command.case_callers().is_empty() {
            self.report(
                named.span(),
                format!(
                    "{command} has no rows, the steps of a case are code: write a [case.money], \
                     [case.goods] or [case.virtual] table that says when a case may be opened"
                ),
            );
            return None;
        }
        let from = table.get("from").map_or(value.span(), Spanned::span);
        match (command, row.from.has(None)) {
            (Word::Place, _) if row.from != Phases::default().with(None) => {
                self.report(from, "an order is placed once: place comes from = [\"New\"] alone");
            }
            (Word::Place, _) if row.to.is_none() && !table.contains_key("to") => {
                self.report(value.span(), "a placed order is somewhere: add to = \"<phase>\"");
            }
            (Word::Place, _) | (_, false) => {}
            (_, true) => self.report(
                from,
                format!("New is an order that does not exist yet: {command} cannot start there"),
            ),
        }
        if let Some(event) = table.get("event") {
            row.event = self.event(command, event);
        }
        Some((command, row))
    }

    fn then(&mut self, value: &Value<'_>, context: Context<'_>) -> Option<Row> {
        let table = self.table(value, "[[then]]")?;
        let known = ["from", "when", "to", "stock", "money", "share", "deadlines", "codes", "note"];
        self.keys(table, "a [[then]] row", &known);
        let row = self.row(value.span(), table, context);
        if row.from.has(None) {
            self.report(value.span(), "a [[then]] row comes after a command: it cannot be New");
        }
        if !known[2..].iter().any(|key| table.contains_key(*key)) {
            self.report(value.span(), "this row does nothing: add to, stock, money or deadlines");
        }
        Some(row)
    }

    /// What `on` and `then` rows have in common.
    fn row(&mut self, span: Range<usize>, table: &DeTable<'_>, context: Context<'_>) -> Row {
        let (when, settings) = self.when(table.get("when"), context);
        let share = table.get("share").and_then(|value| match self.text(value, "share")? {
            "code" => Some(Share::Code),
            other => {
                let reason = format!("share cannot be {other:?}: it may only be \"code\"");
                self.report(value.span(), reason);
                None
            }
        });
        let money: Vec<MoneyWord> = self.moves("money", table.get("money"));
        let out = |word: &MoneyWord| matches!(word, MoneyWord::Release | MoneyWord::Refund);
        if let (Some(value), false) = (table.get("share"), money.iter().any(out)) {
            self.report(
                value.span(),
                "share says how much to release or refund: this row does neither",
            );
        }
        let money = money
            .into_iter()
            .map(|word| {
                let share = share.filter(|_| out(&word)).unwrap_or(Share::Whole);
                MoneyStep { word, share }
            })
            .collect();
        let issues_codes =
            table.get("codes").is_some_and(|value| match self.text(value, "codes") {
                Some("issue") => true,
                Some(other) => {
                    let reason = format!("codes cannot be {other:?}: it may only be \"issue\"");
                    self.report(value.span(), reason);
                    false
                }
                None => false,
            });
        let effects = Effects {
            stock: self.moves("stock", table.get("stock")),
            money,
            deadlines: self.deadline_words(table.get("deadlines"), context),
            issues_codes,
            note: table.get("note").and_then(|value| self.note(value)),
        };
        Row {
            line: self.line(span.clone()),
            from: self.phases(span, table),
            by: Callers::default(),
            when,
            settings,
            to: table.get("to").and_then(|value| self.word("phase", value)),
            event: None,
            effects,
            with_then: Vec::new(),
        }
    }

    fn phases(&mut self, span: Range<usize>, table: &DeTable<'_>) -> Phases {
        let Some(value) = self.required(table, "from", span, "a row") else {
            return Phases::default();
        };
        let mut phases = Phases::default();
        for value in self.list(value) {
            let Some(word) = self.text(value, "a phase") else { continue };
            let phase = match word {
                Phases::NEW => None,
                _ => match Phase::from_word(word) {
                    Some(phase) => Some(phase),
                    None => {
                        let reason = format!(
                            "there is no phase {word:?}; there are {}, {}",
                            Phases::NEW,
                            Phase::words()
                        );
                        self.report(value.span(), reason);
                        continue;
                    }
                },
            };
            if phases.has(phase) {
                self.report(value.span(), format!("{word} is named twice: leave one out"));
            }
            phases = phases.with(phase);
        }
        phases
    }

    fn when(&mut self, value: Option<&Value<'_>>, context: Context<'_>) -> When {
        let mut answers = Answers::ANY;
        let mut settings = Vec::new();
        for (key, value) in self.entries(value, "when") {
            let name = key.get_ref().as_ref();
            if name == "setting" {
                settings.extend(self.when_settings(value, context));
                continue;
            }
            let Some(dimension) = DIMENSIONS.iter().find(|it| it.name == name && it.is_asked())
            else {
                let names = DIMENSIONS.iter().filter(|it| it.is_asked()).map(|it| it.name);
                let names = names.collect::<Vec<_>>().join(", ");
                let reason =
                    format!("when cannot ask for {name:?}; it can for {names}, setting.<name>");
                self.report(key.span(), reason);
                continue;
            };
            let mut bits = 0;
            for value in self.list(value) {
                let Some(word) = self.text(value, name) else { continue };
                match dimension.value(word) {
                    Some(answer) => bits |= dimension.bit(answer),
                    None => self.report(
                        value.span(),
                        format!("{name} is never {word:?}; it may be {}", dimension.words()),
                    ),
                }
            }
            answers = Answers(answers.0 & !dimension.mask() | bits);
        }
        (answers, settings)
    }

    fn when_settings(
        &mut self,
        value: &Value<'_>,
        context: Context<'_>,
    ) -> Vec<(String, Vec<Setting>)> {
        let mut asked = Vec::new();
        for (key, value) in self.entries(Some(value), "setting.<name>") {
            let name = key.get_ref().as_ref();
            let Some(default) = context.settings.get(name) else {
                self.report(key.span(), no_setting(name, context.settings));
                continue;
            };
            let mut values = Vec::new();
            for value in self.list(value) {
                let read = match value.get_ref() {
                    DeValue::String(text) => quoted(text).ok(),
                    DeValue::Boolean(it) => Some(Setting::Boolean(*it)),
                    DeValue::Integer(_) => integer(value).map(Setting::Integer),
                    _ => None,
                };
                match read.filter(|it| it.kind() == default.kind()) {
                    Some(setting) => values.push(setting),
                    None => self.report(
                        value.span(),
                        format!("setting {name} is {}: it is never this", default.kind()),
                    ),
                }
            }
            asked.push((name.to_owned(), values));
        }
        asked
    }

    /// Stock or money words: `"none"`, one, or a list in order.
    fn moves<T: Vocabulary>(&mut self, what: &str, value: Option<&Value<'_>>) -> Vec<T> {
        let Some(value) = value else { return Vec::new() };
        if value.get_ref().as_str() == Some("none") {
            return Vec::new();
        }
        let values = self.list(value);
        values.into_iter().filter_map(|value| self.word(what, value)).collect()
    }

    fn deadline_words(
        &mut self,
        value: Option<&Value<'_>>,
        context: Context<'_>,
    ) -> Vec<(String, DeadlineWord)> {
        let Some(value) = value else { return Vec::new() };
        if value.get_ref().as_str() == Some("clear") {
            let all = context.deadlines.keys();
            return all.map(|name| (name.clone(), DeadlineWord::Clear)).collect();
        }
        if !value.get_ref().is_table() {
            self.report(
                value.span(),
                "deadlines is { <name> = \"set\" or \"clear\" }, or \"clear\" for all of them",
            );
            return Vec::new();
        }
        let mut words = Vec::new();
        for (key, value) in self.entries(Some(value), "deadlines") {
            let name = key.get_ref().as_ref();
            if !context.deadlines.contains_key(name) {
                self.report(
                    key.span(),
                    format!("there is no deadline {name:?}: declare it in [deadline.{name}]"),
                );
            }
            match value.get_ref().as_str() {
                Some("set") => words.push((name.to_owned(), DeadlineWord::Set)),
                Some("clear") => words.push((name.to_owned(), DeadlineWord::Clear)),
                _ => self.report(
                    value.span(),
                    format!("deadline {name} can be \"set\" or \"clear\" and nothing else"),
                ),
            }
        }
        words
    }

    fn note(&mut self, value: &Value<'_>) -> Option<String> {
        let note = self.text(value, "note")?;
        if note.is_empty() || note.len() > NOTE_BYTES_MAX {
            self.report(value.span(), format!("a note has 1 to {NOTE_BYTES_MAX} bytes"));
            return None;
        }
        Some(note.to_owned())
    }

    fn event(&mut self, command: Word, value: &Value<'_>) -> Option<&'static str> {
        let kind = self.text(value, "event")?;
        if !STEP_KINDS.contains(&command.event_kind()) {
            let own = command.event_kind();
            let reason = format!(
                "{command} always writes {own}, which says more than a step: leave event out"
            );
            self.report(value.span(), reason);
            return None;
        }
        let known = STEP_KINDS.iter().find(|it| **it == kind);
        if known.is_none() {
            let reason = format!("event cannot be {kind:?}; it may be {}", STEP_KINDS.join(", "));
            self.report(value.span(), reason);
        }
        known.copied()
    }

    fn cases(
        &mut self,
        value: Option<&Value<'_>>,
        context: Context<'_>,
    ) -> BTreeMap<CaseKind, CaseRule> {
        let mut cases = BTreeMap::new();
        for (key, value) in self.entries(value, "[case]") {
            let kind = CaseKind::parse(key.get_ref());
            if kind.is_none() {
                self.unknown::<CaseKind>(key.span(), "case", key.get_ref());
            }
            let Some(table) = self.table(value, "a case") else { continue };
            self.keys(table, "a case", &["from", "when", "amount", "stock", "goods_back", "audit"]);
            let from = self.phases(key.span(), table);
            if from.has(None) {
                self.report(key.span(), "a case is about an order that exists: it cannot be New");
            }
            let (when, settings) = self.when(table.get("when"), context);
            let amount = self
                .required(table, "amount", key.span(), "a case")
                .and_then(|value| self.word("amount", value));
            let returns_stock = match table.get("stock").map(|it| (it, it.get_ref().as_str())) {
                None | Some((_, Some("none"))) => false,
                Some((_, Some("return"))) => true,
                Some((value, _)) => {
                    self.report(value.span(), "the stock of a case can be \"return\" or \"none\"");
                    false
                }
            };
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
                Some((value, _)) => self
                    .setting_of_kind(value, context.settings, "true or false", |it| {
                        matches!(it, Setting::Boolean(_))
                    })
                    .map_or(Audit::Never, Audit::Setting),
            };
            if let (Some(kind), Some(amount)) = (kind, amount) {
                let line = self.line(key.span());
                let rule = CaseRule {
                    amount,
                    returns_stock,
                    goods_back,
                    audit,
                    line,
                    from,
                    when,
                    settings,
                };
                cases.insert(kind, rule);
            }
        }
        cases
    }

    /// The name of a setting of a certain kind.
    fn setting_of_kind(
        &mut self,
        value: &Value<'_>,
        settings: &BTreeMap<String, Setting>,
        wanted: &str,
        fits: fn(&Setting) -> bool,
    ) -> Option<String> {
        let name = self.text(value, "the name of a setting")?;
        match settings.get(name) {
            Some(setting) if fits(setting) => Some(name.to_owned()),
            Some(setting) => {
                let reason =
                    format!("setting {name} must be {wanted} here, not {}", setting.kind());
                self.report(value.span(), reason);
                None
            }
            None => {
                self.report(value.span(), no_setting(name, settings));
                None
            }
        }
    }

    /// A name that the file makes up: small letters, digits and `_`, a letter first.
    fn name(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, what: &str) -> Option<String> {
        let name = key.get_ref();
        let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if begins && name.bytes().all(fits) && name.len() <= NAME_BYTES_MAX {
            return Some(name.clone().into_owned());
        }
        self.report(
            key.span(),
            format!(
                "{name:?} cannot name {what}: use 1 to {NAME_BYTES_MAX} small letters, digits \
                 and _, a letter first"
            ),
        );
        None
    }

    fn word<T: Vocabulary>(&mut self, what: &str, value: &Value<'_>) -> Option<T> {
        let word = self.text(value, what)?;
        let known = T::from_word(word);
        if known.is_none() {
            self.unknown::<T>(value.span(), what, word);
        }
        known
    }

    /// One word or several, each once.
    fn words<T: Vocabulary + PartialEq>(&mut self, what: &str, value: &Value<'_>) -> Vec<T> {
        let mut words = Vec::new();
        for value in self.list(value) {
            let Some(word) = self.word::<T>(what, value) else { continue };
            if words.contains(&word) {
                let reason = format!("{} is named twice: leave one out", word.word());
                self.report(value.span(), reason);
            } else {
                words.push(word);
            }
        }
        words
    }

    fn unknown<T: Vocabulary>(&mut self, span: Range<usize>, what: &str, word: &str) {
        self.report(span, format!("there is no {what} {word:?}; there are {}", T::words()));
    }

    fn text<'v>(&mut self, value: &'v Value<'_>, what: &str) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            let found = value.get_ref().type_str();
            self.report(value.span(), format!("{what} must be a text in quotes, not {found}"));
        }
        text
    }

    /// The values of a list, or the one value that stands for a list of one.
    fn list<'v, 'i>(&mut self, value: &'v Value<'i>) -> Vec<&'v Value<'i>> {
        match value.get_ref() {
            DeValue::Array(values) => {
                if values.is_empty() {
                    self.report(value.span(), "this list is empty: name at least one");
                }
                values.iter().collect()
            }
            _ => vec![value],
        }
    }

    fn table<'v, 'i>(&mut self, value: &'v Value<'i>, what: &str) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let found = value.get_ref().type_str();
            self.report(value.span(), format!("{what} must be a table, not {found}"));
        }
        table
    }

    /// The tables of `[[…]]`, none where there is no such list.
    fn tables<'v, 'i>(&mut self, value: Option<&'v Value<'i>>, what: &str) -> Vec<&'v Value<'i>> {
        match value.map(|value| (value, value.get_ref())) {
            None => Vec::new(),
            Some((_, DeValue::Array(values))) => values.iter().collect(),
            Some((value, _)) => {
                self.report(value.span(), format!("this must be a list of tables: write {what}"));
                Vec::new()
            }
        }
    }

    /// What stands in a table, nothing where there is none.
    fn entries<'v, 'i>(
        &mut self,
        value: Option<&'v Value<'i>>,
        what: &str,
    ) -> Vec<(&'v Spanned<std::borrow::Cow<'i, str>>, &'v Value<'i>)> {
        match value.map(|value| self.table(value, what)) {
            Some(Some(table)) => table.iter().collect(),
            Some(None) | None => Vec::new(),
        }
    }

    fn keys(&mut self, table: &DeTable<'_>, what: &str, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let known = known.join(", ");
            let reason = format!("{what} has no {:?}; it has {known}", key.get_ref());
            self.report(key.span(), reason);
        }
    }

    fn required<'v, 'i>(
        &mut self,
        table: &'v DeTable<'i>,
        key: &str,
        span: Range<usize>,
        what: &str,
    ) -> Option<&'v Value<'i>> {
        let value = table.get(key);
        if value.is_none() {
            self.report(span, format!("{what} needs {key}: add {key} = …"));
        }
        value
    }

    fn report(&mut self, span: Range<usize>, reason: impl Into<String>) {
        let line = self.line(span);
        self.problems.push(Problem { line, reason: reason.into() });
    }

    fn line(&self, span: Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        before.filter(|byte| **byte == b'\n').count() + 1
    }
}

/// What rows refer to.
#[derive(Clone, Copy)]
struct Context<'c> {
    settings: &'c BTreeMap<String, Setting>,
    deadlines: &'c BTreeMap<String, DeadlineRule>,
}

/// A condition: what is asked about the order, and what about settings.
type When = (Answers, Vec<(String, Vec<Setting>)>);

fn integer(value: &Value<'_>) -> Option<i64> {
    let integer = value.get_ref().as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A setting in quotes. Numbers, `true` and `false` are written without.
fn quoted(text: &str) -> Result<Setting, String> {
    match Setting::parse(text)? {
        Setting::Integer(_) | Setting::Boolean(_) => Err(format!("written without quotes: {text}")),
        value => Ok(value),
    }
}

fn no_setting(name: &str, settings: &BTreeMap<String, Setting>) -> String {
    let known: BTreeSet<&str> = settings.keys().map(String::as_str).collect();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    format!("there is no setting {name:?}; [settings] has {known}")
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
