//! Walks all lives that an order can have under a file: from New, by every row that some caller
//! can find under some facts, until nothing new is found.
//!
//! An order is walked as a [`State`]: its phase, the facts that never change in its life (kind,
//! method, what is delivered, what expiry means; as far as any row asks for them), where its money
//! and its stock are, and which deadlines are pending. All other facts may be anything at any
//! time, settings too; `payment` alone follows from where the money has been. The timer only comes
//! while a deadline is pending that fires the command. So a problem that is found may need facts
//! that a shop knows never to meet; then a `when` should say so.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use events::{By, Phase, StockWord};

use super::super::{
    DeadlineWord, Lifecycle, MoneyStep, MoneyWord, Problem, Share,
    facets::{Answers, CODES, DIMENSIONS, LINES, PAYMENT, Phases, phase_word},
    next::{Found, Row, find},
    words::{Payment, Vocabulary, Word},
};

use super::{
    scenarios::{Scenario, assignments, scenarios},
    take_over::{Kept, Standing},
};

/// The most row tests of a walk: some seconds on a slow machine, where the largest file known
/// takes a hundredth of it. Whoever adopts a file waits for the check.
const TESTS_MAX: usize = 20_000_000;

/// What was found on the way.
pub(in super::super) struct Walk<'a> {
    lifecycle: &'a Lifecycle,
    /// Deadlines; the place of each is its bit in [`State::pending`].
    deadlines: Vec<&'a str>,
    /// Each state with what is known of it.
    states: BTreeMap<State, Seen>,
    /// Deadlines that were set somewhere, as bits.
    set: u32,
    /// What was told already: line, topic and phase.
    told: BTreeSet<(usize, String, Option<Phase>)>,
    /// Phases that an order can come to.
    pub reached: Phases,
    /// Rows that were found by somebody: command and line, no command for `then` rows.
    pub used: BTreeSet<(Option<Word>, usize)>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Whether all lives were walked. If not, nothing follows from what was not found.
    pub complete: bool,
}

/// All of an order that its future depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    phase: Option<Phase>,
    constants: u64,
    money: Kept,
    stock: Kept,
    pending: u32,
}

#[derive(Default)]
struct Seen {
    /// The line of the first row that led here.
    line: usize,
    /// Where it can go from here.
    next: BTreeSet<State>,
    /// Deadlines that would find a row here, as bits.
    firing: u32,
}

/// Every life from New on, and all that is wrong with it.
pub(in super::super) fn walk(lifecycle: &Lifecycle) -> Walk<'_> {
    let all = Word::ALL.iter().flat_map(|word| &lifecycle.on[*word as usize]);
    let asked: Vec<_> = all.chain(&lifecycle.then).map(|row| row.when).collect();
    let (money, stock) = (Kept::Never, Kept::Never);
    let new = |constants| State { phase: None, constants, money, stock, pending: 0 };
    let starts = assignments(&asked, |it| it.constant).into_iter().map(new).collect();
    let mut walk = walk_from(lifecycle, starts);
    if walk.complete {
        walk.unset();
    }
    walk
}

/// Every life from one order on, and what is wrong with those.
pub(super) fn walk_on<'a>(lifecycle: &'a Lifecycle, order: &Standing<'_>) -> Walk<'a> {
    let named = |name: &str| order.deadlines.contains(&name);
    let deadlines = lifecycle.deadlines().enumerate();
    let pending = deadlines.filter(|(_, (name, _))| named(name)).map(|(at, _)| 1 << at);
    let constant = DIMENSIONS.iter().filter(|it| it.constant);
    let start = State {
        phase: Some(order.phase),
        constants: order.facets.answers().0 & constant.fold(0, |all, it| all | it.mask()),
        money: order.money,
        stock: order.stock,
        pending: pending.fold(0, |all, bit: u32| all | bit),
    };
    walk_from(lifecycle, vec![start])
}

fn walk_from(lifecycle: &Lifecycle, mut open: Vec<State>) -> Walk<'_> {
    let mut walk = Walk {
        lifecycle,
        deadlines: lifecycle.deadlines().map(|(name, _)| name).collect(),
        states: open.iter().map(|state| (*state, Seen::default())).collect(),
        set: 0,
        told: BTreeSet::new(),
        reached: Phases::default(),
        used: BTreeSet::new(),
        problems: Vec::new(),
        complete: true,
    };
    let scenarios: Option<Vec<_>> =
        Word::ALL.iter().map(|word| scenarios(lifecycle, *word)).collect();
    let Some(scenarios) = scenarios else {
        walk.give_up();
        return walk;
    };
    let mut tests = 0;
    while let Some(state) = open.pop() {
        walk.reached = walk.reached.with(state.phase);
        for command in Word::ALL.iter().copied() {
            let scenarios = &scenarios[command as usize];
            tests +=
                scenarios.len() * (lifecycle.on[command as usize].len() + lifecycle.then.len());
            if tests > TESTS_MAX {
                walk.give_up();
                return walk;
            }
            for scenario in scenarios {
                walk.command(state, command, scenario, &mut open);
            }
        }
    }
    walk.ends();
    walk.idle();
    walk
}

impl<'a> Walk<'a> {
    /// Leaves the one problem that matters: the rest may be none.
    fn give_up(&mut self) {
        let reason = "the rows ask for too many different facts and settings to be checked: ask \
                      for fewer in when";
        self.problems = vec![Problem { line: 1, reason: reason.to_owned() }];
        self.complete = false;
    }

    /// Everybody gives one command under the same facts.
    fn command(&mut self, state: State, command: Word, scenario: &Scenario, open: &mut Vec<State>) {
        let payment = if state.money == Kept::Never { Payment::None } else { Payment::Captured };
        let answers = state.constants | scenario.facts | PAYMENT.bit(payment as u32);
        let firing = self.firing(state, command);
        for by in self.lifecycle.roles(command) {
            if by == By::Timer && firing == 0 {
                continue;
            }
            let (lifecycle, settings) = (self.lifecycle, &scenario.settings);
            let answers = Answers(answers);
            let found = find(lifecycle, settings, state.phase, answers, command, &[by]);
            let Some(found) = found else { continue };
            let next = self.step(state, command, answers, &found);
            if by == By::Timer {
                self.stays(state, firing, &found);
            }
            let line = self.leading(&found).line;
            if let Entry::Vacant(new) = self.states.entry(next) {
                new.insert(Seen { line, ..Seen::default() });
                open.push(next);
            }
            let seen = self.states.get_mut(&state).expect("a state is known before it is walked");
            seen.next.insert(next);
            if by == By::Timer {
                seen.firing |= firing;
            }
        }
    }

    /// Pending deadlines that fire a command.
    fn firing(&self, state: State, command: Word) -> u32 {
        let rules = self.lifecycle.deadlines().enumerate();
        let bits = rules.filter(|(_, (_, rule))| rule.command == command).map(|(at, _)| 1 << at);
        state.pending & bits.fold(0, |all, bit: u32| all | bit)
    }

    /// A deadline that fires must not be left as it is.
    fn stays(&mut self, state: State, firing: u32, found: &Found<'_>) {
        let changed = self.bits(found.effects().deadlines.iter().map(|(name, _)| name.as_str()));
        for name in self.names(firing & !changed) {
            self.report(
                found.on.line,
                &format!("deadline {name} would fire again at once, for ever"),
                state,
                &format!("keeps it pending here; add deadlines = {{ {name} = \"clear\" }}"),
            );
        }
    }

    /// What a row, and a `then` row after it, make of an order.
    fn step(&mut self, state: State, command: Word, answers: Answers, found: &Found<'_>) -> State {
        let mut next = state;
        self.used.insert((Some(command), found.on.line));
        self.moves(&mut next, found.on);
        // Whatever a case moves is code; all that is known here is that it may have.
        if matches!(command, Word::ApproveCase | Word::SettleCase) {
            next.money = next.money.touched();
            next.stock = next.stock.touched();
        }
        if answers.0 & (CODES.bit(0) | LINES.bit(0)) != 0 {
            next.money = next.money.touched(); // Codes are used and lines refunded for money.
            next.stock = next.stock.touched();
        }
        if let Some(at) = found.then {
            let then = &self.lifecycle.then[at];
            self.used.insert((None, then.line));
            next.phase = found.on.to.or(state.phase);
            self.moves(&mut next, then);
        }
        for (name, word) in &found.effects().deadlines {
            let bit = self.bits([name.as_str()]);
            match word {
                DeadlineWord::Set => {
                    next.pending |= bit;
                    self.set |= bit;
                }
                DeadlineWord::Clear => next.pending &= !bit,
            }
        }
        next.phase = Some(found.to);
        self.leaves(state, next, self.leading(found).line);
        next
    }

    /// Moves stock and money as a row says, which must find them.
    fn moves(&mut self, order: &mut State, row: &Row) {
        let narrow = "narrow from or when";
        for word in &row.effects.stock {
            let here = order.stock.is_here();
            match (word, here) {
                (StockWord::Reserve, true) => {
                    let tail = format!("can have it already; {narrow}");
                    self.report(row.line, "reserve would take stock twice", *order, &tail);
                }
                (StockWord::Consume | StockWord::Return, false) => {
                    let tail = format!(
                        "can have nothing reserved; reserve it on every way to here, or {narrow}"
                    );
                    let topic = format!("{} finds no stock", word.word());
                    self.report(row.line, &topic, *order, &tail);
                }
                (StockWord::Reserve, false) | (StockWord::Consume | StockWord::Return, true) => {}
            }
            order.stock = match word {
                StockWord::Reserve => Kept::Whole,
                StockWord::Consume | StockWord::Return => Kept::Gone,
            };
        }
        for MoneyStep { word, share } in &row.effects.money {
            let comes = matches!(word, MoneyWord::Hold | MoneyWord::Capture);
            match (comes, order.money.is_here()) {
                (true, true) => {
                    let topic = format!("{word} would take money twice");
                    let tail = format!("can have paid already; {narrow}");
                    self.report(row.line, &topic, *order, &tail);
                }
                (false, false) => {
                    let tail = format!(
                        "can have nothing held; hold or capture it on every way to here, or \
                         {narrow}"
                    );
                    self.report(row.line, &format!("{word} finds no money"), *order, &tail);
                }
                (true, false) | (false, true) => {}
            }
            order.money = match (comes, share) {
                (true, _) => Kept::Whole,
                (false, Share::Whole) => Kept::Gone,
                (false, Share::Code) => order.money.touched(),
            };
        }
    }

    /// An order that ends leaves nothing behind.
    fn leaves(&mut self, before: State, after: State, line: usize) {
        if !after.phase.is_some_and(Phase::is_final) {
            return;
        }
        let ends = before.phase != after.phase;
        if ends && after.money == Kept::Whole {
            let tail = "would keep it held; release or refund it";
            self.report(line, "money is left over", after, tail);
        }
        if ends && after.stock == Kept::Whole {
            let tail = "would keep it reserved; consume or return it";
            self.report(line, "stock is left over", after, tail);
        }
        let left = if ends { after.pending } else { after.pending & !before.pending };
        for name in self.names(left) {
            let tail =
                format!("would have it still pending; add deadlines = {{ {name} = \"clear\" }}");
            self.report(line, &format!("deadline {name} is left over"), after, &tail);
        }
    }

    /// Every order can end.
    fn ends(&mut self) {
        let mut stuck: BTreeSet<State> = self.states.keys().copied().collect();
        loop {
            let gone = |state: &State| {
                // Where there is no order yet, none is stuck.
                let ends = state.phase.is_none_or(Phase::is_final);
                ends || self.states[state].next.iter().any(|next| !stuck.contains(next))
            };
            let out: Vec<_> = stuck.iter().copied().filter(gone).collect();
            if out.is_empty() {
                break;
            }
            for state in out {
                stuck.remove(&state);
            }
        }
        let way_out =
            |state: &State| self.states[state].next.iter().any(|next| next.phase != state.phase);
        // Those before a dead end are stuck because of it; it is enough to mend the end.
        let dead: Vec<_> = stuck.iter().copied().filter(|it| !way_out(it)).collect();
        let (dead, tail) = if dead.is_empty() {
            let tail = "can only go round; add a row that leads on to Completed, Cancelled, \
                        Refunded or Rejected";
            (stuck.into_iter().collect(), tail)
        } else {
            (dead, "has no way out; add one, or narrow from or when so that none comes here")
        };
        for state in dead {
            self.report(self.states[&state].line, "dead end", state, tail);
        }
    }

    /// Every deadline is set somewhere.
    fn unset(&mut self) {
        for (at, (name, rule)) in self.lifecycle.deadlines().enumerate() {
            if self.set & 1 << at == 0 {
                let reason = format!(
                    "deadline {name} is never set: add deadlines = {{ {name} = \"set\" }} to a \
                     row, or leave the deadline out"
                );
                self.problems.push(Problem { line: rule.line, reason });
            }
        }
    }

    /// Every deadline finds a row wherever it is pending.
    fn idle(&mut self) {
        let lifecycle = self.lifecycle;
        for (at, (name, rule)) in lifecycle.deadlines().enumerate() {
            let (bit, command) = (1 << at, rule.command);
            if !lifecycle.roles(command).any(|by| by == By::Timer) {
                continue; // Told of elsewhere.
            }
            let idle = |(state, seen): &(&State, &Seen)| {
                let ended = state.phase.is_none_or(Phase::is_final);
                !ended && state.pending & !seen.firing & bit != 0
            };
            let idle: Vec<_> = self.states.iter().filter(idle).collect();
            let idle: Vec<_> = idle.into_iter().map(|(state, seen)| (*state, seen.line)).collect();
            for (state, line) in idle {
                let tail = format!(
                    "can have it pending, and no row lets the timer {command} there; clear it on \
                     the way, or add such a row"
                );
                self.report(line, &format!("deadline {name} finds no row"), state, &tail);
            }
        }
    }

    /// Tells of a problem: its topic, which orders have it, and the rest of the sentence. Once
    /// a line, topic and phase, however many orders have it.
    fn report(&mut self, line: usize, topic: &str, order: State, tail: &str) {
        if self.told.insert((line, topic.to_owned(), order.phase)) {
            let reason = format!("{topic}: {} {tail}", self.whose(order));
            self.problems.push(Problem { line, reason });
        }
    }

    /// "an order of kind virtual that is Paid": which orders a problem is about.
    fn whose(&self, order: State) -> String {
        let rows = self.lifecycle.on.iter().flatten().chain(&self.lifecycle.then);
        let asked: Vec<_> = rows.map(|row| row.when).collect();
        let constant = DIMENSIONS.iter().filter(|it| it.constant);
        let facts = constant
            .filter(|dimension| asked.iter().any(|when| !when.ignores(dimension)))
            .filter_map(|dimension| {
                let mut values = 0..dimension.width;
                let value = values.find(|it| order.constants & dimension.bit(*it) != 0)?;
                Some(format!("{} {}", dimension.name, dimension.word(value)))
            });
        let facts: Vec<_> = facts.collect();
        let of = if facts.is_empty() { "" } else { " of " };
        format!("an order{of}{} that is {}", facts.join(", "), phase_word(order.phase))
    }

    /// The row that says where an order is in the end.
    fn leading<'f>(&self, found: &Found<'f>) -> &'f Row
    where
        'a: 'f,
    {
        let then = found.then.map(|at| &self.lifecycle.then[at]);
        then.filter(|row| row.to.is_some()).unwrap_or(found.on)
    }

    fn bits<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> u32 {
        let place = |name| self.deadlines.iter().position(|known| *known == name);
        names.into_iter().filter_map(place).fold(0, |all, at| all | 1 << at)
    }

    fn names(&self, bits: u32) -> Vec<&'a str> {
        let all = self.deadlines.iter().enumerate();
        all.filter(|(at, _)| bits & 1 << at != 0).map(|(_, name)| *name).collect()
    }
}
