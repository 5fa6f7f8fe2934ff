//! What the engine tells at `/metrics`: what it decided, its commits, its clock and how large its
//! world is.

use std::{collections::HashMap, time::Duration};

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use tokio::time::Instant;

use super::{Accepted, Error};
use crate::domain::{ChannelState, Pots, World};

const COMMANDS: &str = "docket_commands_total";
const COMMIT_SECONDS: &str = "docket_commit_seconds";
const COMMIT_EVENTS: &str = "docket_commit_events";
const QUEUE_DEPTH: &str = "docket_queue_depth";
const WORLD_SIZE: &str = "docket_world_size";
const CLOCK_BEHIND: &str = "docket_clock_behind_seconds";
const DEADLINES_REFUSED: &str = "docket_deadlines_refused_total";
const DEADLINES_STOPPED: &str = "docket_deadlines_stopped";

/// How often the world is measured: some of its maps lie inside others and are walked.
const WORLD_EVERY: Duration = Duration::from_secs(1);

/// Says what each metric of the engine counts, and in what.
pub fn describe_metrics() {
    describe_counter!(
        COMMANDS,
        Unit::Count,
        "Commands by what became of them: accepted, replayed (answered as an earlier request with \
         the same idempotency key was), refused, or dropped undecided because too many waited \
         [commands]"
    );
    describe_histogram!(
        COMMIT_SECONDS,
        Unit::Seconds,
        "From handing a commit to the journal until it is durable [seconds]"
    );
    describe_histogram!(COMMIT_EVENTS, Unit::Count, "How large a commit is [events]");
    describe_gauge!(QUEUE_DEPTH, Unit::Count, "What waits to be decided [commands]");
    describe_gauge!(
        WORLD_SIZE,
        Unit::Count,
        "What the writer holds in memory, by map; as it was a second ago at most [entries]"
    );
    describe_gauge!(
        CLOCK_BEHIND,
        Unit::Seconds,
        "How far the machine's clock is behind the newest event [seconds]"
    );
    describe_counter!(
        DEADLINES_REFUSED,
        Unit::Count,
        "Deadlines that were due and whose command was refused; each rests and is tried again \
         [attempts]"
    );
    describe_gauge!(
        DEADLINES_STOPPED,
        Unit::Count,
        "1 while no deadline fires because the clock jumped ahead, otherwise 0 [boolean]"
    );
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    Accepted,
    Replayed,
    Refused,
    Dropped,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Replayed => "replayed",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
        }
    }
}

/// What the writer counts. Handles are looked up once: it is one task, and decides fast.
pub(super) struct Meters {
    commands: HashMap<(&'static str, Outcome), Counter>,
    commit_seconds: Histogram,
    commit_events: Histogram,
    clock_behind: Gauge,
    world_measured: Option<Instant>,
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            commands: HashMap::new(),
            commit_seconds: histogram!(COMMIT_SECONDS),
            commit_events: histogram!(COMMIT_EVENTS),
            clock_behind: gauge!(CLOCK_BEHIND),
            world_measured: None,
        }
    }

    /// A command was decided.
    pub(super) fn decided(&mut self, command: &'static str, answer: &Result<Accepted, Error>) {
        let outcome = match answer {
            Ok(Accepted { replay: true, .. }) => Outcome::Replayed,
            Ok(_) => Outcome::Accepted,
            Err(_) => Outcome::Refused,
        };
        let counter = || command_counter(command, outcome);
        self.commands.entry((command, outcome)).or_insert_with(counter).increment(1);
    }

    /// A commit goes to the journal.
    pub(super) fn sealed(&self, events: usize) {
        self.commit_events.record(events as f64);
    }

    /// A commit is durable.
    pub(super) fn committed(&self, took: Duration) {
        self.commit_seconds.record(took);
    }

    /// A tick.
    pub(super) fn tick(&mut self, world: &World, behind_ms: i64) {
        self.clock_behind.set(behind_ms as f64 / 1000.0);
        if self.world_measured.is_some_and(|at| at.elapsed() < WORLD_EVERY) {
            return;
        }
        self.world_measured = Some(Instant::now());
        for (map, size) in world_sizes(world) {
            gauge!(WORLD_SIZE, "map" => map).set(size as f64);
        }
    }
}

/// What tells of deadlines.
pub(super) struct DeadlineMeters {
    pub(super) refused: Counter,
    pub(super) stopped: Gauge,
}

impl DeadlineMeters {
    pub(super) fn new() -> Self {
        Self { refused: counter!(DEADLINES_REFUSED), stopped: gauge!(DEADLINES_STOPPED) }
    }
}

/// A command goes undecided.
pub(super) fn dropped(command: &'static str) {
    command_counter(command, Outcome::Dropped).increment(1);
}

/// How many commands wait.
pub(super) fn queued(commands: usize) {
    gauge!(QUEUE_DEPTH).set(commands as f64);
}

/// No engine runs here, so no command waits.
pub fn no_queue() {
    queued(0);
}

fn command_counter(command: &'static str, outcome: Outcome) -> Counter {
    counter!(COMMANDS, "command" => command, "outcome" => outcome.as_str())
}

/// Every map of the world with how many entries it has, as `docket_world_size` tells it. A new one
/// does not compile until it is told here.
pub fn world_sizes(world: &World) -> [(&'static str, usize); 16] {
    let World {
        accounts,
        logins,
        tokens,
        channels,
        orders,
        leaving,
        deadlines,
        keys,
        pots,
        level: _,
    } = world;
    let Pots { outside, wallets, held } = pots;
    let mut inside = [0; 7];
    for state in channels.values() {
        let ChannelState {
            lifecycles,
            settings,
            settings_number: _,
            accounts: _, // Among all.
            stores,
            finished,
            numbers,
            payables,
        } = state;
        let listings = stores.values().map(|store| store.listings.len()).sum();
        let here = [
            lifecycles.len(),
            settings.len(),
            stores.len(),
            listings,
            finished.len(),
            numbers.len(),
            payables.len(),
        ];
        for (sum, size) in inside.iter_mut().zip(here) {
            *sum += size;
        }
    }
    let [lifecycles, settings, stores, listings, finished, numbers, payables] = inside;
    [
        ("accounts", accounts.len()),
        ("logins", logins.len()),
        ("tokens", tokens.len()),
        ("channels", channels.len()),
        ("lifecycles", lifecycles),
        ("settings", settings),
        ("stores", stores),
        ("listings", listings),
        ("finished", finished),
        ("numbers", numbers),
        ("payables", payables),
        ("orders", orders.len()),
        ("leaving", leaving.len()),
        ("deadlines", deadlines.len()),
        ("keys", keys.len()),
        ("pots", outside.len() + wallets.len() + held.len()),
    ]
}
