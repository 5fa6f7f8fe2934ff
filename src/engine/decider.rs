//! The writer without its queue: decides, evolves, and puts what follows into commits.
//!
//! **Invariant:** what is decided is decided on all that was decided before, durable or not; the
//! writer answers when it is.

use std::sync::Arc;

use events::{Commit, Epoch, Head, Millis, Position, Receipt, RecordedDecision, WrappedKey};

use super::{
    Accepted, Error, KeyOwner, Request,
    batch::{Batch, encode},
    finished::Missing,
};
use crate::{
    domain::{self, Caller, Finished, Scope, World},
    journal::Followed,
};

/// How long idempotency keys live where a channel's settings do not say: 24 hours.
const KEY_LIVES_MS: i64 = 24 * 3600 * 1000;

/// Decides commands one after the other, against all that came before.
pub struct Decider {
    world: World,
    /// The newest commit that was sealed, durable or not.
    head: Head,
    /// The newest event that was decided, sealed or not.
    position: Position,
    batch: Batch,
}

/// A commit on its way to the journal.
pub struct SealedCommit {
    /// It continues the one sealed before.
    pub commit: Arc<Commit>,
    /// The keys that it uses for the first time.
    pub keys: Vec<WrappedKey>,
    /// The same, decoded.
    pub followed: Arc<Followed>,
}

impl Decider {
    /// Goes on from a replayed journal.
    pub fn new(world: World, head: Head) -> Self {
        Self { world, head, position: head.position, batch: Batch::default() }
    }

    /// Everything that was decided, durable or not.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The same, for keeps.
    pub fn into_world(self) -> World {
        self.world
    }

    /// The newest event that was decided.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether one more decision of any size fits into the next commit.
    pub fn has_room(&self) -> bool {
        self.batch.has_room()
    }

    /// Whether nothing is decided that is not sealed.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// What is decided and not sealed, in its recorded form.
    pub(super) fn unsealed_decisions(&self) -> &Vec<RecordedDecision> {
        self.batch.decisions()
    }

    /// How many events are decided and not sealed.
    pub fn unsealed(&self) -> usize {
        self.batch.events()
    }

    /// Seals what was decided since the last time; nothing where that is nothing.
    pub fn seal(&mut self) -> Option<SealedCommit> {
        if self.batch.is_empty() {
            return None;
        }
        let (commit, keys) = self.batch.seal(&self.head, self.epoch());
        let (before, after) = (self.head, commit.head());
        self.head = after;
        let events = self.batch.take_events();
        Some(SealedCommit { commit, keys, followed: Arc::new(Followed { before, after, events }) })
    }

    /// On one machine the epoch tells nothing apart: the lock on the folder does.
    fn epoch(&self) -> Epoch {
        Epoch(self.head.epoch.0.max(1))
    }

    /// The order that a command names, where that is over and has left: it must be
    /// [read back](super::read_back), and the command [decided on it](Self::decide_on).
    pub fn missing(&self, request: &Request, now: Millis) -> Option<Missing> {
        let command = &request.command;
        let order = command.action.order()?;
        let position = self.world.left(&command.channel, order)?;
        let undecided = matches!(self.replayed(request, now), Ok(None));
        undecided.then(|| Missing { channel: command.channel.clone(), order, position })
    }

    /// Decides a command on the order that was [missing](Self::missing), as
    /// [`decide`](Self::decide) does. The order leaves again, unless it is open from here on.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub fn decide_on(
        &mut self,
        finished: Finished,
        request: Request,
        now: Millis,
    ) -> Result<Accepted, Error> {
        let (order, before) = (finished.id(), self.position);
        self.world.recall(finished);
        let answer = self.decide(request, now);
        if self.position == before {
            self.world.dismiss(order);
        }
        answer
    }

    /// Decides a command that [misses](Self::missing) nothing, at a moment. What follows from it is
    /// part of the world at once, and of the commit that is sealed next.
    ///
    /// # Errors
    /// [`Error::Rejected`] where the domain says no, [`Error::KeyReused`] where the idempotency key
    /// belongs to another request. Nothing has changed then.
    pub fn decide(&mut self, request: Request, now: Millis) -> Result<Accepted, Error> {
        debug_assert!(self.missing(&request, now).is_none(), "an order was not read back");
        if let Some(accepted) = self.replayed(&request, now)? {
            return Ok(accepted);
        }
        let decided = domain::decide(&self.world, &request.command, now)?;
        let command = request.command.id;
        if decided.events.is_empty() {
            let (position, orders) = (self.position, decided.orders);
            let receipt = Receipt { position, recorded_at: now, orders };
            return Ok(Accepted { command, receipt, replay: false });
        }
        let channel = request.command.channel.clone();
        let in_force = self.world.channels.get(&channel).and_then(|it| it.newest());
        let lives = in_force.and_then(|it| it.settings.duration_ms("key_ttl"));
        let first = Position(self.position.0 + 1);
        let at = (first, self.world.level);
        let encoded = encode(&request, &channel, decided, at, now, lives.unwrap_or(KEY_LIVES_MS))?;
        for recorded in &encoded.events {
            self.world.apply(recorded);
        }
        self.world.keys.evolve(&encoded.header);
        let receipt = encoded.header.receipt.clone();
        self.position = receipt.position;
        self.batch.push(encoded, request.wrapped);
        Ok(Accepted { command, receipt, replay: false })
    }

    /// What an earlier request with the same key was told.
    fn replayed(&self, request: &Request, now: Millis) -> Result<Option<Accepted>, Error> {
        let Some(used) = &request.key else { return Ok(None) };
        let proven = used.owner != KeyOwner::Account
            || domain::authentic(&self.world, &request.command, now).is_ok();
        let scope = Scope {
            channel: request.command.channel.clone(),
            owner: used.owner.text(&request.command.caller),
            operation: used.operation.to_string(),
            key: used.key.clone(),
        };
        match self.world.keys.get(&scope, now) {
            Some(taken) if proven && taken.request == used.request => Ok(Some(Accepted {
                command: taken.command,
                receipt: taken.receipt.clone(),
                replay: true,
            })),
            Some(_) if proven => Err(Error::KeyReused),
            Some(_) | None => Ok(None), // Without proof the decision says what is wrong.
        }
    }
}

impl KeyOwner {
    /// As a decision's header writes it.
    pub(super) fn text(&self, caller: &Caller) -> String {
        match self {
            Self::Account => caller.actor(),
            Self::Login(login) => format!("login/{login}"),
            Self::Token(token) => format!("token/{token}"),
        }
    }
}
