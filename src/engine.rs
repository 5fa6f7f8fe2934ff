//! The single writer: one task owns the [`World`], decides what waits in a bounded queue, appends
//! what it decided as one commit while it decides the next, and answers.
//!
//! **Invariant:** no answer of any kind speaks of what is not durable: an accepted command is
//! answered when its commit is, a refusal when the newest commit it was decided on is.
//! **Invariant:** nothing downstream of the journal is ever asked here.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use events::{CommandId, Digest, Head, IdempotencyKey, Millis, Receipt, Recorded, WrappedKey};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    domain::{Command, Rejection, World},
    journal::{Journal, Tail},
};

mod batch;
mod credentials;
mod deadlines;
mod decider;
mod finished;
mod measure;
mod replay;
mod standby;
mod time;
mod writer;

pub use credentials::{Credentials, KnownAccount, KnownLifecycle};
pub use decider::{Decider, SealedCommit};
pub use finished::{Missing, read_back};
pub use measure::{describe_metrics, no_queue, world_sizes};
pub use time::Time;

pub use replay::{ReplayError, replay};
pub use standby::Standby;

/// A clock that is further behind the newest event is worth a word, in milliseconds.
const BEHIND_MS_MAX: i64 = 60_000;

/// Tells the time: milliseconds since 1970, UTC.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// What a site may set about the engine.
#[derive(Clone)]
pub struct Options {
    /// How many commands may wait to be decided, and as many again for orders that are read back;
    /// more are answered 503. Default 4096.
    pub queue_max: usize,
    /// How many commands are decided in one turn. Default 256.
    pub turn_max: usize,
    /// How long a caller waits for an answer, in the queue and after. Default 10 s.
    pub answer_within: Duration,
    /// How often deadlines are looked at. Default 200 ms.
    pub tick: Duration,
    /// How far the clock may jump ahead between two ticks before deadlines stop. Default 1 h.
    pub clock_jump_max: Duration,
    /// What the time was when it was last known from somebody else, and when that was: a clock that is
    /// further ahead of it has jumped, too. Nothing where nobody knows.
    pub heard: Option<(tokio::time::Instant, Millis)>,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where those who follow closely find what was recorded last. Default: one that keeps nothing.
    pub tail: Tail,
    /// Whether nobody else can have decided anything up to now. Default: always so.
    pub alone: Alone,
}

/// Tells whether nobody else can have decided anything up to now.
pub type Alone = Arc<dyn Fn() -> bool + Send + Sync>;

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_max: 4096,
            turn_max: 256,
            answer_within: Duration::from_secs(10),
            tick: Duration::from_millis(200),
            clock_jump_max: Duration::from_secs(3600),
            heard: None,
            clock: Arc::new(|| Millis(chrono::Utc::now().timestamp_millis())),
            tail: Tail::default(),
            alone: Arc::new(|| true),
        }
    }
}

/// A command, and what belongs to it but not to the decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What is asked for.
    pub command: Command,
    /// The idempotency key that came with it.
    pub key: Option<KeyUse>,
    /// What the caller says it belongs together with.
    pub correlation: Option<String>,
    /// Keys that the journal stores with the commit, if there is one.
    pub wrapped: Vec<WrappedKey>,
    /// Whether it was given before, to this engine or another, and its outcome is not known. Then
    /// that is looked for first, so that it has effect once.
    pub again: bool,
}

impl Request {
    /// A command with nothing beside it.
    pub fn new(command: Command) -> Self {
        Self { command, key: None, correlation: None, wrapped: Vec::new(), again: false }
    }
}

/// An idempotency key as used by one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyUse {
    /// Whose key it is.
    pub owner: KeyOwner,
    /// What it is used for.
    pub operation: Cow<'static, str>,
    /// The key.
    pub key: IdempotencyKey,
    /// HMAC of method, path and raw body.
    pub request: Digest,
}

/// Whose an idempotency key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyOwner {
    /// The calling account's; its credential must hold before the key is looked at.
    Account,
    /// A login name's, for calls that carry its password in the body: the same body proves it.
    Login(Digest),
    /// A token's, for a call after which the token is dead.
    Token(Digest),
}

/// A command that was accepted, now or before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// The command that was decided: an earlier one where the key was used before.
    pub command: CommandId,
    /// All that the answer is made of.
    pub receipt: Receipt,
    /// Whether an earlier request with this key had been accepted.
    pub replay: bool,
}

/// All that can stop a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum Error {
    /// The domain says no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// Too many commands wait.
    #[error("too many requests wait; try again soon")]
    Full,
    /// It waited too long and was not decided; nothing has happened.
    #[error("the request waited too long and was dropped; nothing has happened, try again")]
    Overdue,
    /// It was decided, or may have been, and its outcome is not known yet.
    #[error("no answer in time; the outcome of command {0} is not known yet")]
    Unknown(CommandId),
    /// What it depends on could not be read back; nothing has happened by this.
    #[error("what was recorded cannot be read: {0}; nothing has happened, try again")]
    Unread(Arc<str>),
    /// The engine has stopped. Commands that waited may or may not have become durable.
    #[error("the engine has stopped: {0}")]
    Stopped(Arc<str>),
    /// Nobody is known to decide: another node may, or none does.
    #[error(
        "no node is known to take commands at the moment; nothing has happened, try again soon"
    )]
    NoWriter,
    /// docket is shutting down and takes nothing new.
    #[error("docket is shutting down")]
    ShuttingDown,
}

/// Whether the engine takes commands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// It does.
    #[default]
    Running,
    /// It finishes what it has.
    ShuttingDown,
    /// It has stopped, for this reason.
    Stopped(Arc<str>),
}

/// How everything else reaches the engine. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    queue: mpsc::Sender<Waiting>,
    /// How many commands wait for an order that is read back.
    aside: Arc<AtomicUsize>,
    credentials: Arc<Credentials>,
    head: watch::Receiver<Head>,
    state: watch::Receiver<State>,
    time: Arc<Time>,
    answer_within: Duration,
}

/// The engine's task, and the way to end it.
pub struct Running {
    task: JoinHandle<Result<World, Arc<str>>>,
    state: Arc<watch::Sender<State>>,
    stop: oneshot::Sender<()>,
}

struct Waiting {
    request: Request,
    deadline: Instant,
    /// Set by whoever is first: the engine, when it decides, or the caller, when it gives up.
    claimed: Arc<AtomicBool>,
    reply: Reply,
}

/// The reason for which an engine has stopped that found itself in a state that cannot be.
const PANICKED: &str = "it panicked; docket must be started again";

type Reply = oneshot::Sender<Result<Accepted, Error>>;

/// Folds the journal and starts the engine on it. Blocks while it reads; call it off the async
/// threads, inside a runtime.
pub fn start(
    journal: Arc<dyn Journal>,
    options: Options,
) -> Result<(Handle, Running), ReplayError> {
    start_with(journal, options, |_| {})
}

/// The same, and shows each recorded event to somebody else on the way.
pub fn start_with(
    journal: Arc<dyn Journal>,
    options: Options,
    see: impl FnMut(&Recorded),
) -> Result<(Handle, Running), ReplayError> {
    let mut standby = Standby::new(Arc::clone(&options.clock));
    standby.catch_up(journal.as_ref(), see)?;
    Ok(start_from(standby, journal, options))
}

/// Starts the engine from where a standby has come to, which must be the journal's end. Call it
/// inside a runtime.
pub fn start_from(
    standby: Standby,
    journal: Arc<dyn Journal>,
    options: Options,
) -> (Handle, Running) {
    let Standby { world, head, credentials, time } = standby;
    if time.behind_ms() > BEHIND_MS_MAX {
        let seconds = time.behind_ms() / 1000;
        tracing::warn!(seconds, "the clock is behind the newest event; time goes on from there");
    }
    let (queue, waiting) = mpsc::channel(options.queue_max);
    let (state, states) = watch::channel(State::Running);
    let state = Arc::new(state);
    let (stop, stopped) = oneshot::channel();
    let (durable, answer_within) = (journal.head(), options.answer_within);
    let (known, now, told) = (Arc::clone(&credentials), Arc::clone(&time), Arc::clone(&state));
    let writer = writer::Writer::new(world, head, now, journal, known, told, options);
    let handle = Handle {
        queue,
        aside: writer.aside(),
        credentials,
        head: durable,
        state: states,
        time,
        answer_within,
    };
    let task = tokio::spawn(writer.run(waiting, stopped));
    (handle, Running { task, state, stop })
}

impl Handle {
    /// Gives a command to the engine and waits for its answer, at most as long as the options
    /// say. A caller that goes away does not undo its command.
    pub async fn submit(&self, request: Request) -> Result<Accepted, Error> {
        self.submit_by(request, Instant::now() + self.answer_within).await
    }

    /// The same, and waits until then at most.
    pub async fn submit_by(&self, request: Request, deadline: Instant) -> Result<Accepted, Error> {
        let command = request.command.id;
        let (reply, answer) = oneshot::channel();
        let claimed = Arc::new(AtomicBool::new(false));
        let waiting = Waiting { request, deadline, claimed: Arc::clone(&claimed), reply };
        match self.queue.try_send(waiting) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(waiting)) => {
                measure::dropped(waiting.request.command.action.name());
                return Err(Error::Full);
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(self.stopped()),
        }
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.stopped()),
            Err(_) if claimed.swap(true, Ordering::AcqRel) => Err(Error::Unknown(command)),
            Err(_) => Err(Error::Overdue), // Now nobody decides it any more.
        }
    }

    /// Who has an account, and what proves it; as durable as every answer.
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// The newest durable commit. A query that starts now must see this position.
    pub fn head(&self) -> Head {
        *self.head.borrow()
    }

    /// Whether the engine takes commands, and a way to wait for the day it does not.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// How many commands wait to be decided.
    pub fn queued(&self) -> usize {
        let queue = self.queue.max_capacity() - self.queue.capacity();
        queue + self.aside.load(Ordering::Relaxed)
    }

    /// Tells `/metrics` how many commands wait.
    pub fn measure(&self) {
        measure::queued(self.queued());
    }

    /// The engine's time: the clock's, or later where events are recorded with a later one.
    pub fn now(&self) -> Millis {
        self.time.now()
    }

    /// How far the machine's clock is behind the newest event, in milliseconds; 0 where it is not.
    pub fn clock_behind_ms(&self) -> i64 {
        self.time.behind_ms()
    }

    fn stopped(&self) -> Error {
        match &*self.state.borrow() {
            State::Stopped(reason) => Error::Stopped(Arc::clone(reason)),
            State::Running | State::ShuttingDown => Error::ShuttingDown,
        }
    }
}

impl Running {
    /// Takes nothing new, decides and makes durable what waits, answers it, and gives the world
    /// back as it stands at the end of the journal; or the reason for which the engine had
    /// stopped.
    pub async fn shut_down(self) -> Result<World, Arc<str>> {
        self.state.send_if_modified(|state| {
            let was_running = *state == State::Running;
            if was_running {
                *state = State::ShuttingDown;
            }
            was_running
        });
        let _ = self.stop.send(()); // Stopped by itself already, otherwise.
        self.task.await.unwrap_or_else(|_| Err(PANICKED.into()))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("head", &self.head()).finish_non_exhaustive()
    }
}
