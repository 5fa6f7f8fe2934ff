//! Deadlines that are due become ordinary commands. Which they are is in the world; here is only
//! when to look, and what to put off.

use std::collections::HashMap;

use events::{CommandId, Millis, OrderId};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Options, Request, measure::DeadlineMeters};
use crate::domain::{Action, Caller, Command, World};

/// At most so many a turn, so that callers are not kept waiting.
const TURN_MAX: usize = 256;
const PUT_OFF_FIRST_MS: i64 = 60_000;
const PUT_OFF_MOST_MS: i64 = 3_600_000;

/// Which deadline: of this order, of this name.
pub(super) type Which = (OrderId, String);

pub(super) struct Deadlines {
    jump_max_ms: i64,
    /// When the clock was last believed, and what it said, or should have said if it was behind.
    believed: Option<(Instant, Millis)>,
    stopped: bool,
    /// Until when, and for how long, a refused deadline rests.
    put_off: HashMap<Which, (Millis, i64)>,
    meters: DeadlineMeters,
}

impl Deadlines {
    pub(super) fn new(options: &Options) -> Self {
        let jump_max_ms = i64::try_from(options.clock_jump_max.as_millis()).unwrap_or(i64::MAX);
        Self {
            jump_max_ms,
            believed: options.heard,
            stopped: false,
            put_off: HashMap::new(),
            meters: DeadlineMeters::new(),
        }
    }

    /// The commands of the deadlines that are due by now.
    pub(super) fn due(&mut self, world: &World, now: Millis) -> Vec<(Which, Request)> {
        if !self.believes(now) {
            return Vec::new();
        }
        let set = |(id, name): &Which| {
            let order = world.orders.get(id);
            order.is_some_and(|order| order.deadlines.iter().any(|(known, _)| known == name))
        };
        self.put_off.retain(|which, _| set(which));
        let due = world.deadlines.iter().take_while(|(at, _, _)| *at <= now);
        let awake = due.filter_map(|(_, id, name)| {
            let which = (*id, name.clone());
            let rests = self.put_off.get(&which).is_some_and(|(until, _)| *until > now);
            if rests { None } else { Some((request(world, &which)?, which)) }
        });
        awake.take(TURN_MAX).map(|(request, which)| (which, request)).collect()
    }

    /// Lets a refused deadline rest: a minute, then twice as long each time, an hour at most.
    pub(super) fn put_off(&mut self, which: Which, now: Millis, reason: &dyn std::fmt::Display) {
        let order = which.0;
        let (delay, first) = match self.put_off.get(&which) {
            Some((_, delay)) => ((delay * 2).min(PUT_OFF_MOST_MS), false),
            None => (PUT_OFF_FIRST_MS, true),
        };
        if first {
            tracing::warn!(%order, deadline = which.1, %reason, "a deadline is refused and put off");
        }
        self.meters.refused.increment(1);
        self.put_off.insert(which, (Millis(now.0.saturating_add(delay)), delay));
    }

    /// A clock that jumps ahead would cancel every open order: it stops the deadlines, not the
    /// commands, until it is back or docket is started again.
    fn believes(&mut self, now: Millis) -> bool {
        let (since, said) = *self.believed.get_or_insert((Instant::now(), now));
        let elapsed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
        let ahead = now.0.saturating_sub(said.0).saturating_sub(elapsed);
        let jumped = ahead > self.jump_max_ms;
        if jumped != self.stopped {
            self.stopped = jumped;
            if jumped {
                tracing::error!(
                    ahead_ms = ahead,
                    "the clock jumped ahead: no deadline fires until it is right, or docket is started again"
                );
            } else {
                tracing::info!("the clock is right again: deadlines fire");
            }
        }
        self.meters.stopped.set(if jumped { 1.0 } else { 0.0 });
        if !jumped {
            // A clock that is behind may be set right later, and has not jumped ahead then.
            let at_least = said.0.saturating_add(elapsed);
            self.believed = Some((Instant::now(), Millis(now.0.max(at_least))));
        }
        !jumped
    }
}

fn request(world: &World, (id, name): &Which) -> Option<Request> {
    let order = world.orders.get(id)?;
    let in_force = world.channels.get(&order.channel)?.lifecycles.get(&order.lifecycle)?;
    let word = in_force.lifecycle.deadline(name)?.command;
    Some(Request::new(Command {
        id: CommandId(Uuid::now_v7()),
        channel: order.channel.clone(),
        caller: Caller::Timer,
        action: Action::Step { order: *id, store: None, word },
    }))
}
