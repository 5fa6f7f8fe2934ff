//! Whether an order that lives by one life cycle can go on under another.

use events::Phase;

use super::{
    super::{Facets, Lifecycle},
    walk::walk_on,
};

/// All of an open order that its future depends on. Orders that stand alike get the same answer,
/// so it is enough to ask once for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Where it is.
    pub phase: Phase,
    /// Of these only what never changes counts: kind, method, what is delivered, what expiry means.
    pub facets: &'a Facets,
    /// The money that came for it.
    pub money: Kept,
    /// What was taken from the shelf for it.
    pub stock: Kept,
    /// Names of the deadlines that are pending.
    pub deadlines: &'a [&'a str],
}

/// How much of an order's money, or of its stock, is with the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kept {
    /// None was ever taken.
    Never,
    /// All of it.
    Whole,
    /// All of it, or a part: a code may have been used, a case settled.
    Part,
    /// No longer any.
    Gone,
}

impl Kept {
    /// Whether there is any with the order.
    pub(super) fn is_here(self) -> bool {
        matches!(self, Self::Whole | Self::Part)
    }

    /// Part of it may have been taken.
    pub(super) fn touched(self) -> Self {
        if self == Self::Whole { Self::Part } else { self }
    }
}

impl Lifecycle {
    /// Whether an order that stands like this, under whatever life cycle it was placed, can go on
    /// under this one: all that [`Lifecycle::parse`] asks of orders placed under it holds for what
    /// this one can still come to. An order that is over can always. The error is a sentence for
    /// each thing that does not hold.
    pub fn takes_over(&self, order: &Standing<'_>) -> Result<(), Vec<String>> {
        if order.phase.is_final() {
            return Ok(());
        }
        let unknown = order.deadlines.iter().filter(|name| self.deadline(name).is_none());
        let mut reasons: Vec<_> = unknown
            .map(|name| format!("deadline {name} is pending, and there is none of this name"))
            .collect();
        let mut problems = walk_on(self, order).problems;
        problems.sort();
        reasons.extend(problems.into_iter().map(|it| match it.line {
            0 => it.reason, // About where it stands, where no row of this file has led it.
            line => format!("line {line}: {}", it.reason),
        }));
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }
}
