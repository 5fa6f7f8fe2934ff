//! The domain alone, without engine or journal.

use std::collections::BTreeMap;

use docket::domain::{self, Caller, Command, Rejection, World};
use events::*;

use super::{books::Books, site::adopt};

/// Decides, evolves, keeps books and counts.
pub struct Play {
    pub world: World,
    pub books: Books,
    /// All that was recorded.
    pub events: Vec<Recorded>,
    pub now: Millis,
    position: Position,
    /// How many commands of each name were accepted and refused, those with nothing to do aside.
    pub actions: BTreeMap<&'static str, [usize; 2]>,
    /// The same of each kind of caller.
    pub callers: BTreeMap<&'static str, [usize; 2]>,
}

impl Play {
    /// With the two channels that docket serves.
    pub fn new() -> Self {
        let mut play = Self {
            world: World::default(),
            books: Default::default(),
            events: Vec::new(),
            now: super::site::BEGIN,
            position: Position(0),
            actions: BTreeMap::new(),
            callers: BTreeMap::new(),
        };
        for channel in ["bookstore", "native"] {
            for command in adopt(&Channel::new(channel).unwrap(), &[]) {
                play.give(&command).unwrap();
            }
        }
        play
    }

    /// Decides a command; gives how many events it wrote.
    pub fn give(&mut self, command: &Command) -> Result<usize, Rejection> {
        let caller = self.kind_of(&command.caller);
        let decided = domain::decide(&self.world, command, self.now);
        let column = match &decided {
            Ok(decided) if decided.events.is_empty() => return Ok(0),
            Ok(_) => 0,
            Err(_) => 1,
        };
        self.actions.entry(command.action.name()).or_default()[column] += 1;
        self.callers.entry(caller).or_default()[column] += 1;
        let events = decided?.events;
        let count = events.len();
        for ((subject, event), n) in events.into_iter().zip(0..) {
            self.position.0 += 1;
            let recorded = Recorded {
                position: self.position,
                id: EventId { command: command.id, n },
                subject,
                recorded_at: self.now,
                channel: command.channel.clone(),
                event,
            };
            let again = Recorded::decode(&recorded.envelope()).unwrap();
            assert_eq!(again, recorded, "what is written reads back");
            self.world.evolve(&recorded);
            self.books.enter(&recorded);
            self.events.push(recorded);
        }
        Ok(count)
    }

    /// What kind of caller this is. Every kind is named, so that a new one is thought about.
    fn kind_of(&self, caller: &Caller) -> &'static str {
        match caller {
            Caller::System => "system",
            Caller::Timer => "timer",
            Caller::Login(_) => "login",
            Caller::Somebody { .. } => "somebody",
            Caller::Token { token, .. } => match self.world.tokens.get(token) {
                None => "revoked token",
                Some(it) if it.expires_at.is_some_and(|at| at <= self.now) => "expired token",
                Some(it) => match it.role {
                    Role::Operator => "operator",
                    Role::Auditor => "auditor",
                    Role::Staff => "staff",
                    Role::Gateway => "gateway",
                },
            },
        }
    }
}
