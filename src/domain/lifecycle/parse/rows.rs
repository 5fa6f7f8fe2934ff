//! Reads the rows, and what cases have in common with them.

use std::ops::Range;

use events::{By, Phase};
use toml::de::DeTable;

use super::{
    super::{
        facets::{Answers, Callers, DIMENSIONS, Phases},
        language::{CODES, NONE, ON, SETTING, SHARE, THEN},
        next::{DeadlineWord, Effects, MoneyStep, Row, Share},
        settings::Setting,
        words::{MoneyWord, STEP_KINDS, Vocabulary, Word},
    },
    reader::{Reader, Value, setting},
};

/// The longest a note may be, in bytes.
const NOTE_BYTES_MAX: usize = 255;

/// A condition: what is asked about the order, and what about settings.
type When = (Answers, Vec<(String, Vec<Setting>)>);

impl Reader<'_> {
    pub fn on(&mut self, value: &Value<'_>) -> Option<(Word, Row)> {
        let table = self.table(value, "[[on]]")?;
        self.keys(table, &ON);
        let mut row = self.row(value.span(), table, ON.what);
        for by in self
            .required(table, "by", value.span(), ON.what)
            .map(|by| self.words::<By>("caller", by))
            .unwrap_or_default()
        {
            row.by = row.by.with(by);
        }
        let named = self.required(table, "command", value.span(), ON.what)?;
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
        let from = table.get("from").map_or(value.span(), |from| from.span());
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

    pub fn then(&mut self, value: &Value<'_>) -> Option<Row> {
        let table = self.table(value, "[[then]]")?;
        self.keys(table, &THEN);
        let row = self.row(value.span(), table, THEN.what);
        if row.from.has(None) {
            self.report(value.span(), "a [[then]] row comes after a command: it cannot be New");
        }
        let asks = |key: &str| matches!(key, "from" | "when");
        if !THEN.names.iter().any(|key| !asks(key) && table.contains_key(*key)) {
            self.report(value.span(), "this row does nothing: add to, stock, money or deadlines");
        }
        Some(row)
    }

    /// What `on` and `then` rows have in common.
    fn row(&mut self, span: Range<usize>, table: &DeTable<'_>, what: &str) -> Row {
        let (when, settings) = self.when(table.get("when"));
        let share = table.get("share").and_then(|value| self.choice("share", value, SHARE));
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
                let share = share.filter(|_| out(&word)).map_or(Share::Whole, |_| Share::Code);
                MoneyStep { word, share }
            })
            .collect();
        let codes = table.get("codes").and_then(|value| self.choice("codes", value, CODES));
        let effects = Effects {
            stock: self.moves("stock", table.get("stock")),
            money,
            deadlines: self.deadline_words(table.get("deadlines")),
            issues_codes: codes.is_some(),
            note: table.get("note").and_then(|value| self.note(value)),
        };
        Row {
            line: self.line(span.clone()),
            from: self.phases(span, table, what),
            by: Callers::default(),
            when,
            settings,
            to: table.get("to").and_then(|value| self.word("phase", value)),
            event: None,
            effects,
            with_then: Vec::new(),
        }
    }

    pub fn phases(&mut self, span: Range<usize>, table: &DeTable<'_>, what: &str) -> Phases {
        let Some(value) = self.required(table, "from", span, what) else {
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
                            "phase cannot be {word:?}; it may be {}, {}",
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

    pub fn when(&mut self, value: Option<&Value<'_>>) -> When {
        let mut answers = Answers::ANY;
        let mut settings = Vec::new();
        for (key, value) in self.entries(value, "when") {
            let name = key.get_ref().as_ref();
            if name == SETTING {
                settings.extend(self.when_settings(value));
                continue;
            }
            let Some(dimension) = DIMENSIONS.iter().find(|it| it.name == name && it.is_asked())
            else {
                let names = DIMENSIONS.iter().filter(|it| it.is_asked()).map(|it| it.name);
                let names = names.chain([SETTING]).collect::<Vec<_>>().join(", ");
                let reason = format!("when cannot ask for {name:?}; it may for {names}.<name>");
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
                        format!(
                            "{name} is never {word:?}; it may be {}",
                            dimension.words().collect::<Vec<_>>().join(", ")
                        ),
                    ),
                }
            }
            answers = Answers(answers.0 & !dimension.mask() | bits);
        }
        (answers, settings)
    }

    fn when_settings(&mut self, value: &Value<'_>) -> Vec<(String, Vec<Setting>)> {
        let mut asked = Vec::new();
        for (key, value) in self.entries(Some(value), "setting.<name>") {
            let name = key.get_ref().as_ref();
            let Some(default) = self.declared(name, key.span()) else { continue };
            let mut values = Vec::new();
            for value in self.list(value) {
                match setting(value).ok().filter(|it| it.kind() == default.kind()) {
                    Some(setting) => values.push(setting),
                    None => {
                        let reason =
                            format!("setting {name} is {}: it is never this", default.kind());
                        self.report(value.span(), reason);
                    }
                }
            }
            asked.push((name.to_owned(), values));
        }
        asked
    }

    /// Stock or money words: `"none"`, one, or a list in order.
    fn moves<T: Vocabulary>(&mut self, what: &str, value: Option<&Value<'_>>) -> Vec<T> {
        let Some(value) = value else { return Vec::new() };
        if value.get_ref().as_str() == Some(NONE) {
            return Vec::new();
        }
        let mut words = Vec::new();
        for value in self.list(value) {
            match self.text(value, what).map(|word| (word, T::from_word(word))) {
                Some((_, Some(word))) => words.push(word),
                Some((NONE, None)) => {
                    self.report(value.span(), format!("{NONE} stands alone: leave it out"));
                }
                Some((word, None)) => {
                    let known = T::words();
                    let reason = format!("{what} cannot be {word:?}; it may be {NONE}, {known}");
                    self.report(value.span(), reason);
                }
                None => {}
            }
        }
        words
    }

    fn deadline_words(&mut self, value: Option<&Value<'_>>) -> Vec<(String, DeadlineWord)> {
        let Some(value) = value else { return Vec::new() };
        if value.get_ref().as_str() == Some("clear") {
            let all = self.deadlines.keys();
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
            if !self.deadlines.contains_key(name) && !self.broken.contains(name) {
                let reason =
                    format!("there is no deadline {name:?}: declare it in [deadline.{name}]");
                self.report(key.span(), reason);
            }
            if let Some(word) = self.word(&format!("deadline {name}"), value) {
                words.push((name.to_owned(), word));
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
}
