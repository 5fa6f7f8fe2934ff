//! Life cycles as data: which command may be given on an order in which phase, by whom, and what
//! it does. A channel's file is a list of rows; [`Lifecycle::parse`] reads and checks it, [`next`]
//! finds the row for a command. What the language can say is what its words can say; a shop that
//! needs more needs another word here, not a condition somewhere else.
//!
//! **Invariant:** a life cycle that is adopted has passed every check: each phase it names can be
//! reached and left, no row is in vain, money and stock are moved only where there are any, and
//! nothing of an order is left over when it ends.

use std::collections::BTreeMap;

use events::{By, Channel};

mod bounds;
mod check;
mod draw;
mod facets;
mod language;
mod next;
mod parse;
mod settings;
#[cfg(test)]
mod tests;
mod words;

pub use bounds::Bound;
pub use check::{Kept, Standing};
pub use facets::Facets;
pub use language::language;
pub use next::{DeadlineWord, MoneyStep, Next, Refused, Share, next};
pub use parse::Problem;
pub use settings::{Duration, Setting, SettingProblem, Settings};
pub use words::{
    Amount, CaseKind, Check, Delivers, Late, MoneyWord, OnExpiry, Payment, Risk, Stock, Word,
};

use facets::{Answers, Callers, Phases};
use next::Row;

/// A channel's life cycle: read, checked, and ready to be asked.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    channel: Channel,
    version: u32,
    late: Late,
    settings: BTreeMap<String, Setting>,
    /// By command: all checks, in order.
    checks: Vec<Vec<Check>>,
    deadlines: BTreeMap<String, DeadlineRule>,
    /// By command: its rows, in the order of the file.
    on: Vec<Vec<Row>>,
    then: Vec<Row>,
    cases: BTreeMap<CaseKind, CaseRule>,
}

impl Lifecycle {
    /// Reads a file and checks it. The error is every problem that was found, in the order of the
    /// lines, and never empty.
    pub fn parse(channel: &Channel, text: &str) -> Result<Self, Vec<Problem>> {
        let (lifecycle, mut problems) = parse::parse(channel, text);
        match lifecycle {
            Some(lifecycle) => {
                // Rows that could not be read would look like rows that are missing.
                if problems.is_empty() {
                    problems = check::check(&lifecycle);
                }
                if problems.is_empty() {
                    return Ok(lifecycle);
                }
            }
            None => debug_assert!(!problems.is_empty(), "a file without problems was not read"),
        }
        problems.sort();
        problems.dedup();
        Err(problems)
    }

    /// Reads a text that was adopted once and is not checked again: history is never refused, even
    /// by a check that is newer than it. Nothing where the text is no TOML.
    pub fn recorded(channel: &Channel, text: &str) -> Option<Self> {
        parse::parse(channel, text).0
    }

    /// The channel it is for.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// From 1; a changed file has a higher one.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What becomes of money that comes after an order is closed.
    pub fn late(&self) -> Late {
        self.late
    }

    /// Its settings and the values they have where a site says nothing.
    pub fn default_settings(&self) -> &BTreeMap<String, Setting> {
        &self.settings
    }

    /// What a command is checked for, in order: what the file lists, then all the others in the
    /// order of [`Check::ALL`].
    pub fn checks(&self, command: Word) -> &[Check] {
        &self.checks[command as usize]
    }

    /// Who may give a command in any phase at all: a caller that is none of these to the order
    /// fails [`Check::Own`]. None where the channel does not have the command.
    pub fn roles(&self, command: Word) -> impl Iterator<Item = By> + use<> {
        let rows = &self.on[command as usize];
        rows.iter().fold(Callers::default(), |all, row| all.or(row.by)).iter()
    }

    /// What a deadline is about; nothing where the file declares none of this name.
    pub fn deadline(&self, name: &str) -> Option<&DeadlineRule> {
        self.deadlines.get(name)
    }

    /// Every deadline by name.
    pub fn deadlines(&self) -> impl Iterator<Item = (&str, &DeadlineRule)> {
        self.deadlines.iter().map(|(name, rule)| (name.as_str(), rule))
    }

    /// What a case of this kind does; nothing where the channel has no such cases. Whether one may
    /// be opened is a matter of [`next`].
    pub fn case(&self, kind: CaseKind) -> Option<&CaseRule> {
        self.cases.get(&kind)
    }
}

/// What a deadline fires, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlineRule {
    /// When it is due.
    pub due: Due,
    /// What is asked for in the name of [`By::Timer`] when it is.
    pub command: Word,
    line: usize,
}

/// When a deadline is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// So long after it is set: the name of a setting that is a duration.
    After(String),
    /// At a date that the listing carries: the name of one of its attributes.
    At(String),
}

/// What an after-sale case does once it is open; the steps from there are code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseRule {
    /// How much money it is about.
    pub amount: Amount,
    /// Whether what it is about goes back to the shelf when it is settled.
    pub returns_stock: bool,
    /// Whether the seller must have the goods back before it is settled.
    pub goods_back: bool,
    /// Whether an operator looks at it before it is settled.
    pub audit: Audit,
    line: usize,
    from: Phases,
    when: Answers,
    settings: Vec<(String, Vec<Setting>)>,
}

/// Whether an operator looks at a case before it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audit {
    /// Always.
    Always,
    /// Never: the seller's word settles it.
    Never,
    /// As the setting of this name says, which is `true` or `false`.
    Setting(String),
}
