//! The way to whoever decides: the engine of this process or, where several nodes are one docket,
//! that of the node that writes.
//!
//! **Invariant:** a command has effect once, however often it is given on: after an outcome that is
//! not known it is given again under its own id, and whoever decides then looks first what became of
//! it.
//! **Invariant:** what is called newest is as new as every write that was acknowledged before it was
//! asked for, whichever node did so.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use events::{Head, Millis, NodeName, Position, Role};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    cluster::Lease,
    domain::Rejection,
    engine::{self, Accepted, Credentials, Error, Handle, Request, State},
    inner::{Failure, Peer},
};

/// How long to wait before a node is asked again that gave no answer.
const PAUSE: Duration = Duration::from_millis(50);

/// How long nobody asks again for the newest commit after that came to nothing.
const DOUBT: Duration = Duration::from_millis(250);

/// How often it is said that nobody does.
const SAID_EVERY: Duration = Duration::from_secs(30);

/// How everything else reaches whoever decides. Cheap to clone.
#[derive(Clone)]
pub struct Desk(Kind);

#[derive(Clone)]
enum Kind {
    Alone(Handle),
    OfSeveral(Arc<OfSeveral>),
}

/// Who decides, as far as this node knows.
#[derive(Clone, Default)]
pub enum Writer {
    /// This node.
    Here(Handle),
    /// Another one.
    There(Arc<Peer>),
    /// Nobody is known to.
    #[default]
    Nobody,
}

/// What the desk of one node of several is made of.
pub struct OfSeveral {
    /// Who decides.
    pub writer: watch::Receiver<Writer>,
    /// Until when nobody else can have begun to, where that is this node.
    pub lease: Lease,
    /// The newest commit that this node has.
    pub head: watch::Receiver<Head>,
    /// How far the table of credentials has come on this node.
    pub followed: watch::Receiver<Position>,
    /// Who has an account.
    pub credentials: Arc<Credentials>,
    /// What time it is.
    pub time: Arc<engine::Time>,
    /// Whether this node serves at all.
    pub state: watch::Receiver<State>,
    /// Whether a node has ever begun to take commands on this site.
    pub begun: Begun,
    /// How long a command may take, waiting for a writer included.
    pub answer_within: Duration,
    /// When somebody asked in vain for the newest commit, and whom.
    pub doubt: Doubt,
}

/// Whether a node has ever begun to take commands: the last thing that it records before it does is
/// the operator's token.
#[derive(Default)]
pub struct Begun(AtomicBool);

/// When a node was asked in vain, and when that was last said.
#[derive(Default)]
pub struct Doubt {
    asked: Mutex<Option<(NodeName, Instant)>>,
    said: Mutex<Option<Instant>>,
}

/// The newest commit, as far as anybody can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newest {
    /// There was none newer when this was asked for.
    Vouched(Position),
    /// Nobody can tell: this is the newest that this node has.
    Known(Position),
}

impl Newest {
    /// Where it ends.
    pub fn position(self) -> Position {
        match self {
            Self::Vouched(position) | Self::Known(position) => position,
        }
    }
}

/// What came of giving a command to somebody.
enum Given {
    Answered(Result<Accepted, Error>),
    /// It may have had its effect.
    Unknown,
    Undecided,
}

impl Desk {
    /// Of a docket that is one process: its engine decides.
    pub fn alone(engine: Handle) -> Self {
        Self(Kind::Alone(engine))
    }

    /// Of one node of several.
    pub fn of_several(parts: OfSeveral) -> Self {
        Self(Kind::OfSeveral(Arc::new(parts)))
    }

    /// Gives a command to whoever decides and waits for the answer, at most as long as the settings
    /// say. A caller that goes away does not undo its command.
    ///
    /// # Errors
    /// As the engine's; [`Error::NoWriter`] where nobody decided in time, and [`Error::Unknown`] where
    /// somebody may have.
    pub async fn submit(&self, request: Request) -> Result<Accepted, Error> {
        match &self.0 {
            Kind::Alone(engine) => engine.submit(request).await,
            Kind::OfSeveral(it) => it.submit(request).await,
        }
    }

    /// Who has an account, and what proves it.
    pub fn credentials(&self) -> &Arc<Credentials> {
        match &self.0 {
            Kind::Alone(engine) => engine.credentials(),
            Kind::OfSeveral(it) => &it.credentials,
        }
    }

    /// The newest durable commit that this process has.
    pub fn head(&self) -> Head {
        match &self.0 {
            Kind::Alone(engine) => engine.head(),
            Kind::OfSeveral(it) => *it.head.borrow(),
        }
    }

    /// How new an answer must be that is asked for now.
    pub async fn newest(&self) -> Newest {
        match &self.0 {
            Kind::Alone(engine) => Newest::Vouched(engine.head().position),
            Kind::OfSeveral(it) => it.newest().await,
        }
    }

    /// Whether a node has ever begun to take commands on this site, as far as is known here.
    pub fn has_begun(&self) -> bool {
        match &self.0 {
            Kind::Alone(_) => true,
            Kind::OfSeveral(it) => it.begun.look(&it.credentials, *it.followed.borrow()),
        }
    }

    /// Waits until the table of credentials has come as far as that, and says whether it has.
    pub async fn follows(&self, position: Position, within: Duration) -> bool {
        match &self.0 {
            Kind::Alone(_) => true, // It is there before any answer is.
            Kind::OfSeveral(it) => it.follows(position, Instant::now() + within).await,
        }
    }

    /// Whether this process serves, and a way to wait for the day it does not.
    pub fn state(&self) -> watch::Receiver<State> {
        match &self.0 {
            Kind::Alone(engine) => engine.state(),
            Kind::OfSeveral(it) => it.state.clone(),
        }
    }

    /// Tells `/metrics` how many commands wait here.
    pub fn measure(&self) {
        match &self.0 {
            Kind::Alone(engine) => engine.measure(),
            Kind::OfSeveral(it) => match &*it.writer.borrow() {
                Writer::Here(engine) => engine.measure(),
                Writer::There(_) | Writer::Nobody => engine::no_queue(),
            },
        }
    }

    /// The time by which things are decided: the clock's, or later where events are recorded with a
    /// later one.
    pub fn now(&self) -> Millis {
        match &self.0 {
            Kind::Alone(engine) => engine.now(),
            Kind::OfSeveral(it) => it.time.now(),
        }
    }

    /// How far the machine's clock is behind the newest event, in milliseconds; 0 where it is not.
    pub fn clock_behind_ms(&self) -> i64 {
        match &self.0 {
            Kind::Alone(engine) => engine.clock_behind_ms(),
            Kind::OfSeveral(it) => it.time.behind_ms(),
        }
    }
}

impl OfSeveral {
    async fn submit(&self, mut request: Request) -> Result<Accepted, Error> {
        let deadline = Instant::now() + self.answer_within;
        let mut writers = self.writer.clone();
        loop {
            let writer = writers.borrow_and_update().clone();
            let given = match &writer {
                Writer::Here(engine) => here(engine, request.clone(), deadline).await,
                Writer::There(peer) => self.there(peer, &request, deadline).await,
                Writer::Nobody => Given::Undecided,
            };
            match given {
                // That this one has not decided it says nothing of the one before.
                Given::Answered(Err(Error::Full | Error::Overdue | Error::Unread(_)))
                    if request.again => {}
                Given::Answered(answer) => return answer,
                Given::Unknown => request.again = true,
                Given::Undecided => {}
            }
            let now = Instant::now();
            if now >= deadline && request.again {
                return Err(Error::Unknown(request.command.id));
            }
            if now >= deadline {
                return Err(Error::NoWriter);
            }
            let next = match writer {
                Writer::Nobody => deadline,
                Writer::Here(_) | Writer::There(_) => deadline.min(now + PAUSE),
            };
            if let Ok(Err(_)) = timeout_at(next, writers.changed()).await {
                tokio::time::sleep_until(next).await; // Nobody tells any more who decides.
            }
        }
    }

    /// Gives a command to another node. When it is accepted, this node waits for it to arrive here
    /// too, so that whatever follows is as if it had been decided here.
    async fn there(&self, peer: &Peer, request: &Request, deadline: Instant) -> Given {
        let left = deadline.saturating_duration_since(Instant::now());
        match peer.submit(request, left).await {
            Ok(Ok(accepted)) => {
                // If it does not arrive in time, it is accepted all the same.
                let _ = self.follows(accepted.receipt.position, deadline).await;
                Given::Answered(Ok(accepted))
            }
            Ok(Err(error)) => refused(error),
            Err(Failure::TooLarge { bytes }) => {
                Given::Answered(Err(Rejection::TooLarge { bytes }.into()))
            }
            Err(failure) => {
                tracing::debug!(%failure, command = %request.command.id, "not decided by another node");
                match failure.is_outcome_unknown() {
                    true => Given::Unknown,
                    false => Given::Undecided,
                }
            }
        }
    }

    async fn newest(&self) -> Newest {
        let mut writers = self.writer.clone();
        for _ in 0..2 {
            let writer = writers.borrow_and_update().clone();
            let known = self.head.borrow().position;
            match writer {
                // The head first: what others may have written since does not matter to who asks now.
                Writer::Here(_) if self.lease.holds() => return Newest::Vouched(known),
                Writer::Here(_) | Writer::Nobody => {}
                Writer::There(peer) if self.doubt.is_about(peer.address()) => {}
                Writer::There(peer) => match peer.position().await {
                    Ok(committed) => return Newest::Vouched(committed.position.max(known)),
                    Err(failure) => {
                        self.doubt.about(peer.address(), &failure);
                    }
                },
            }
            if !writers.has_changed().unwrap_or(false) {
                break;
            }
        }
        let (has, knows) = (self.head.borrow().position, *self.followed.borrow());
        match &*self.writer.borrow() {
            Writer::Here(_) => Newest::Known(has),
            Writer::There(_) | Writer::Nobody => Newest::Known(has.min(knows)),
        }
    }

    async fn follows(&self, position: Position, deadline: Instant) -> bool {
        if matches!(&*self.writer.borrow(), Writer::Here(_)) {
            return true; // The engine keeps the table itself, and answers when it has.
        }
        let mut followed = self.followed.clone();
        let there = followed.wait_for(|followed| *followed >= position);
        matches!(timeout_at(deadline, there).await, Ok(Ok(_)))
    }
}

async fn here(engine: &Handle, request: Request, deadline: Instant) -> Given {
    match engine.submit_by(request, deadline).await {
        Ok(accepted) => Given::Answered(Ok(accepted)),
        Err(error) => refused(error),
    }
}

/// What an engine's error means to whoever may ask another engine.
fn refused(error: Error) -> Given {
    match error {
        Error::NoWriter => Given::Undecided,
        Error::Stopped(_) | Error::ShuttingDown => Given::Unknown,
        Error::Rejected(_)
        | Error::KeyReused
        | Error::Full
        | Error::Overdue
        | Error::Unknown(_)
        | Error::Unread(_) => Given::Answered(Err(error)),
    }
}

impl Begun {
    /// What is read for the first time is in the table before it is known who wrote it: until then
    /// `followed` is 0, and nobody could be asked for the newest commit.
    fn look(&self, credentials: &Credentials, followed: Position) -> bool {
        if self.0.load(Ordering::Relaxed) {
            return true;
        }
        let begun = followed > Position(0)
            && credentials.tokens().iter().any(|it| it.role == Role::Operator);
        self.0.store(begun, Ordering::Relaxed);
        begun
    }
}

impl Doubt {
    fn about(&self, node: &NodeName, failure: &Failure) {
        let now = Instant::now();
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some((node.clone(), now));
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            *said = Some(now);
            tracing::warn!(%failure, "nobody vouches for the newest commit");
        }
    }

    fn is_about(&self, node: &NodeName) -> bool {
        let doubt = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        doubt.as_ref().is_some_and(|(doubted, since)| doubted == node && since.elapsed() < DOUBT)
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("head", &self.head()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use events::{
        Channel, CommandId, Digest, Event, EventId, Recorded, Subject, TokenIssued, TokenName,
    };
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_site_has_begun_for_a_node_that_knows_who_writes() {
        let (credentials, begun) = (Credentials::default(), Begun::default());
        assert!(!begun.look(&credentials, Position(1)), "nobody has begun");
        let (name, token) = (TokenName::new("operator").unwrap(), Digest::default());
        let role = Role::Operator;
        let issued =
            TokenIssued { token, name, role, channel: None, store: None, expires_at: None };
        credentials.apply(&Recorded {
            position: Position(2),
            id: EventId { command: CommandId(Uuid::nil()), n: 0 },
            subject: Subject::order(events::OrderId(Uuid::nil())),
            recorded_at: Millis(0),
            channel: Channel::new("c").unwrap(),
            event: Event::TokenIssued(issued),
        });
        assert!(!begun.look(&credentials, Position(0)), "who wrote it is not known yet");
        assert!(begun.look(&credentials, Position(2)));
        assert!(begun.look(&credentials, Position(0)), "for ever");
    }
}
