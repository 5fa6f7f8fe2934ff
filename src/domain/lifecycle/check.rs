//! What the rows of a file mean together, and whether that makes sense: each finding is a problem
//! with the line where it can be mended.
//!
//! What one row says about another is found by comparing them; what orders can come to is found by
//! [walking](walk) all lives an order can have.

use std::collections::BTreeMap;

use events::By;

use super::{
    Lifecycle, Problem,
    facets::{Callers, phase_word},
    next::Row,
    words::Word,
};

mod scenarios;
mod take_over;
mod unsupported;
mod walk;

pub use take_over::{Kept, Standing};

/// Every problem with a file that could be read, in no particular order.
pub(super) fn check(lifecycle: &Lifecycle) -> Vec<Problem> {
    if lifecycle.on[Word::Place as usize].is_empty() {
        let reason = "no row places an order: add an [[on]] row with command = \"place\" and \
                      from = [\"New\"]";
        return vec![Problem { line: 1, reason: reason.to_owned() }];
    }
    let walk = walk::walk(lifecycle);
    if !walk.complete {
        return walk.problems;
    }
    let mut problems = timers(lifecycle);
    problems.extend(unreachable(lifecycle, &walk));
    problems.extend(vain(lifecycle, &walk));
    problems.extend(walk.problems);
    problems
}

/// Timers without rows, and rows for timers without one.
fn timers(lifecycle: &Lifecycle) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, rule) in lifecycle.deadlines() {
        if !lifecycle.roles(rule.command).any(|by| by == By::Timer) {
            let reason = format!(
                "deadline {name} fires nothing: no row lets the timer {0}; add an [[on]] row with \
                 command = \"{0}\" and by = [\"timer\"]",
                rule.command
            );
            problems.push(Problem { line: rule.line, reason });
        }
    }
    for (command, row) in rows(lifecycle) {
        if row.by.has(By::Timer) && lifecycle.deadlines().all(|(_, it)| it.command != command) {
            let reason = format!(
                "the timer never comes here: no deadline fires {command}; declare one in \
                 [deadline.<name>] or leave the timer out"
            );
            problems.push(Problem { line: row.line, reason });
        }
    }
    problems
}

/// Phases that rows start from and no row leads to; each once, where it is named first.
fn unreachable(lifecycle: &Lifecycle, walk: &walk::Walk<'_>) -> Vec<Problem> {
    let mut first = BTreeMap::new();
    for row in rows(lifecycle).map(|(_, row)| row).chain(&lifecycle.then) {
        for phase in row.from.iter().filter(|phase| !walk.reached.has(*phase)) {
            let line: &mut usize = first.entry(phase).or_insert(row.line);
            *line = row.line.min(*line);
        }
    }
    let problem = |(phase, line)| {
        let phase = phase_word(phase);
        let reason = format!(
            "{phase} is unreachable: no row that an order can come to leads there; add one with \
             to = \"{phase}\", or leave {phase} out of from"
        );
        Problem { line, reason }
    };
    first.into_iter().map(problem).collect()
}

/// Rows that nothing ever comes to.
fn vain(lifecycle: &Lifecycle, walk: &walk::Walk<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    // A row that only the timer finds, where no deadline fires its command.
    let only_timer = Callers::default().with(By::Timer);
    let lost = |command: Option<Word>, row: &Row| {
        row.by == only_timer && lifecycle.deadlines().all(|(_, rule)| Some(rule.command) != command)
    };
    let mut look = |command: Option<Word>, list: &[Row]| {
        for (at, row) in list.iter().enumerate() {
            if walk.used.contains(&(command, row.line)) {
                continue;
            }
            let reason = if let Some(earlier) = list[..at].iter().find(|it| takes_all(it, row)) {
                format!(
                    "this row can never match: the one at line {} takes all that it asks for; \
                     put this one first, or leave it out",
                    earlier.line
                )
            } else if row.from.iter().any(|phase| walk.reached.has(phase)) && !lost(command, row) {
                "no order ever comes to this row: earlier rows take all of them, or none is ever \
                 in this phase with such facts; change its from or when, or leave it out"
                    .to_owned()
            } else {
                continue; // Told of elsewhere.
            };
            problems.push(Problem { line: row.line, reason });
        }
    };
    for command in Word::ALL.iter().copied() {
        if command.case_callers().is_empty() || command == Word::OpenCase {
            look(Some(command), &lifecycle.on[command as usize]);
        }
    }
    look(None, &lifecycle.then);
    problems
}

/// Whether the first row takes everything that the second would.
fn takes_all(first: &Row, second: &Row) -> bool {
    second.from.within(first.from)
        && second.by.within(first.by)
        && second.when.within(first.when)
        && first.settings.iter().all(|(name, wider)| {
            let mut asked = second.settings.iter().filter(|(other, _)| other == name);
            asked.any(|(_, values)| values.iter().all(|value| wider.contains(value)))
        })
}

/// Every `on` row that the file itself has, with its command; of a case, the row that opens it.
fn rows(lifecycle: &Lifecycle) -> impl Iterator<Item = (Word, &Row)> {
    Word::ALL
        .iter()
        .copied()
        .filter(|command| command.case_callers().is_empty() || *command == Word::OpenCase)
        .flat_map(|command| lifecycle.on[command as usize].iter().map(move |row| (command, row)))
}
