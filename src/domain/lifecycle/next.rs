//! The interpreter: which row a command finds, and what the row says.

use events::{By, Phase, StockWord};

use super::{
    Lifecycle,
    facets::{Answers, Callers, Facets, Phases, phase_word},
    settings::{Setting, Settings},
    words::{MoneyWord, Word},
};

/// What a command does to an order, or why nothing.
///
/// The first `on` row that matches the command, the phase (`None` for an order that does not exist
/// yet), one of the callers and the facets says it. Then the first `then` row that matches where
/// that leads adds its own part, under the same facets and settings; it never fires another one.
/// `by` is all that the caller is to this order; the role that is recorded is the first of them
/// that the row names.
pub fn next<'a>(
    lifecycle: &'a Lifecycle,
    settings: &Settings,
    phase: Option<Phase>,
    facets: &Facets,
    command: Word,
    by: &[By],
) -> Result<Next<'a>, Refused> {
    let found = find(lifecycle, settings, phase, facets.answers(), command, by);
    let found = found.ok_or(Refused { phase, command })?;
    Ok(Next {
        by: found.by,
        to: found.to,
        event_kind: found.on.event.unwrap_or_else(|| command.event_kind()),
        effects: found.effects(),
    })
}

/// What a command does: an `on` row and, where one fires, a `then` row, folded into one.
#[derive(Debug, Clone, Copy)]
pub struct Next<'a> {
    /// The role under which the caller may do it.
    pub by: By,
    /// The phase after both rows.
    pub to: Phase,
    event_kind: &'static str,
    effects: &'a Effects,
}

impl<'a> Next<'a> {
    /// The kind of the event to write: the command's own, unless its row names another. A `then`
    /// row never changes it, since it only adds to what the command did.
    pub fn event_kind(&self) -> &'static str {
        self.event_kind
    }

    /// How stock moves, in this order: the `on` row's words, then the `then` row's.
    pub fn stock(&self) -> impl Iterator<Item = StockWord> + use<'a> {
        self.effects.stock.iter().copied()
    }

    /// How money moves, in this order: likewise.
    pub fn money(&self) -> impl Iterator<Item = MoneyStep> + use<'a> {
        self.effects.money.iter().copied()
    }

    /// Deadlines to set or clear, each name once; where both rows name one, as the `then` row
    /// says. One that is cleared may not be pending, and then that means nothing.
    pub fn deadlines(&self) -> impl Iterator<Item = (&'a str, DeadlineWord)> + use<'a> {
        self.effects.deadlines.iter().map(|(name, word)| (name.as_str(), *word))
    }

    /// Whether codes are issued.
    pub fn issues_codes(&self) -> bool {
        self.effects.issues_codes
    }

    /// What the order keeps as its error text: the `then` row's where it has one.
    pub fn note(&self) -> Option<&'a str> {
        self.effects.note.as_deref()
    }
}

/// No row allows the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{command} is not allowed: the order is {}", phase_word(*.phase))]
pub struct Refused {
    /// Where the order is; `None` for an order that does not exist yet.
    pub phase: Option<Phase>,
    /// What was asked for.
    pub command: Word,
}

/// One move of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoneyStep {
    /// Which way.
    pub word: MoneyWord,
    /// How much of it.
    pub share: Share,
}

/// How much of an order's money a step moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All there is.
    Whole,
    /// The part of the one code that the command is about.
    Code,
}

/// What happens to a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadlineWord {
    /// It is set, or set anew.
    Set,
    /// It is no longer pending.
    Clear,
}

/// Finds the rows; see [`next`].
pub(super) fn find<'a>(
    lifecycle: &'a Lifecycle,
    settings: &Settings,
    phase: Option<Phase>,
    answers: Answers,
    command: Word,
    by: &[By],
) -> Option<Found<'a>> {
    let takes = |row: &Row, phase| {
        let Row { from, when, settings: asked, .. } = row;
        from.has(phase)
            && answers.within(*when)
            && asked.iter().all(|(name, any)| settings.get(name).is_some_and(|it| any.contains(it)))
    };
    let mut rows = lifecycle.on[command as usize].iter().filter(|row| takes(row, phase));
    rows.find_map(|on| {
        let by = by.iter().copied().find(|by| on.by.has(*by))?;
        let reached = on.to.or(phase)?; // `place`, which comes from nowhere, leads somewhere.
        let then = lifecycle.then.iter().position(|row| takes(row, Some(reached)));
        let to = then.and_then(|at| lifecycle.then[at].to).unwrap_or(reached);
        Some(Found { by, to, on, then })
    })
}

/// The rows that a command finds.
pub(super) struct Found<'a> {
    pub by: By,
    pub to: Phase,
    pub on: &'a Row,
    /// Its place among the `then` rows.
    pub then: Option<usize>,
}

impl<'a> Found<'a> {
    /// What both rows do.
    pub fn effects(&self) -> &'a Effects {
        self.then.map_or(&self.on.effects, |at| &self.on.with_then[at])
    }
}

/// A row of a file, `on` or `then`.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub line: usize,
    pub from: Phases,
    /// Who may; nobody in a `then` row, which asks for no caller.
    pub by: Callers,
    pub when: Answers,
    /// Settings that must have one of these values.
    pub settings: Vec<(String, Vec<Setting>)>,
    pub to: Option<Phase>,
    pub event: Option<&'static str>,
    pub effects: Effects,
    /// In an `on` row: the effects with those of each `then` row after them, so that nothing is
    /// put together when a command is decided.
    pub with_then: Vec<Effects>,
}

impl Row {
    /// Makes `with_then`.
    pub fn fold(&mut self, then: &[Row]) {
        self.with_then = then.iter().map(|then| self.effects.and(&then.effects)).collect();
    }
}

/// What a row does, apart from the phase it leads to.
#[derive(Debug, Clone, Default)]
pub(super) struct Effects {
    pub stock: Vec<StockWord>,
    pub money: Vec<MoneyStep>,
    pub deadlines: Vec<(String, DeadlineWord)>,
    pub issues_codes: bool,
    pub note: Option<String>,
}

impl Effects {
    /// First these, then those.
    fn and(&self, then: &Self) -> Self {
        let overruled = |name: &String| then.deadlines.iter().any(|(other, _)| other == name);
        let kept = self.deadlines.iter().filter(|(name, _)| !overruled(name));
        Self {
            stock: [&self.stock[..], &then.stock].concat(),
            money: [&self.money[..], &then.money].concat(),
            deadlines: kept.chain(&then.deadlines).cloned().collect(),
            issues_codes: self.issues_codes || then.issues_codes,
            note: then.note.clone().or_else(|| self.note.clone()),
        }
    }
}
