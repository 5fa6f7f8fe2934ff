//! The writer's loop.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use events::{CommandId, Commit, DecisionHeader, Head, Millis, RecordedDecision};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Accepted, Credentials, Error, Options, PANICKED, Reply, Request, State, Waiting,
    deadlines::Deadlines,
    decider::{Decider, SealedCommit},
    finished::{Aside, Read},
    measure::{self, Meters},
    time::Time,
};
use crate::{
    domain::{Finished, World},
    journal::{Appending, Followed, Journal, JournalError},
};

pub(super) struct Writer {
    decider: Decider,
    time: Arc<Time>,
    journal: Arc<dyn Journal>,
    credentials: Arc<Credentials>,
    state: Arc<watch::Sender<State>>,
    options: Options,
    deadlines: Deadlines,
    meters: Meters,
    /// What is told when the commit after those on their way is durable.
    answers: Vec<(Reply, Result<Accepted, Error>)>,
    /// Commits on their way, in their order: at most [`IN_FLIGHT_MAX`].
    in_flight: VecDeque<InFlight>,
    aside: Aside,
}

/// So many commits may be on their way at once.
const IN_FLIGHT_MAX: usize = 4;

/// So many events a commit has at least that is sent behind another.
const BEHIND_ANOTHER_MIN: usize = 8;

/// Commands whose turn it is, each with the order that was read back for it.
type Turn = VecDeque<(Waiting, Option<Arc<Finished>>)>;

/// Tells everybody when the writer panics: it is as good as a journal that failed.
struct SaysSo(Arc<watch::Sender<State>>);

impl Drop for SaysSo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send_replace(State::Stopped(PANICKED.into()));
        }
    }
}

/// A commit on its way, and what waits for it.
struct InFlight {
    commit: Arc<Commit>,
    appending: Appending,
    since: Instant,
    followed: Arc<Followed>,
    answers: Vec<(Reply, Result<Accepted, Error>)>,
}

impl Writer {
    pub(super) fn new(
        world: World,
        head: Head,
        time: Arc<Time>,
        journal: Arc<dyn Journal>,
        credentials: Arc<Credentials>,
        state: Arc<watch::Sender<State>>,
        options: Options,
    ) -> Self {
        Self {
            decider: Decider::new(world, head),
            aside: Aside::new(Arc::clone(&journal), options.queue_max),
            time,
            journal,
            credentials,
            state,
            deadlines: Deadlines::new(&options),
            meters: Meters::new(),
            options,
            answers: Vec::new(),
            in_flight: VecDeque::new(),
        }
    }

    /// How many commands wait for an order that is read back, from now on.
    pub(super) fn aside(&self) -> Arc<AtomicUsize> {
        self.aside.count()
    }

    /// Runs until it is told to stop and has finished what waits, or until an append fails.
    pub(super) async fn run(
        mut self,
        mut queue: mpsc::Receiver<Waiting>,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<World, Arc<str>> {
        let mut tick = interval(self.options.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn = Turn::new();
        let mut incoming = Vec::new();
        let (mut stopping, mut drained) = (false, false);
        // The last to be made is the first to go: before the callers that wait are let go.
        let _says_so = SaysSo(Arc::clone(&self.state));
        loop {
            let room = self.decider.has_room();
            tokio::select! {
                biased;
                result = appended(&mut self.in_flight) => {
                    match result {
                        Ok(done) => self.settle(done),
                        Err(error) => return Err(self.fail(&error, queue, turn)),
                    }
                }
                _ = &mut stop, if !stopping => {
                    stopping = true;
                    queue.close();
                }
                Some((waiting, read)) = self.aside.next() => resume(waiting, read, &mut turn),
                _ = tick.tick(), if room && !stopping => self.fire(),
                count = queue.recv_many(&mut incoming, self.options.turn_max),
                    if room && turn.is_empty() && !drained =>
                {
                    drained = count == 0;
                    turn.extend(incoming.drain(..).map(|waiting| (waiting, None)));
                }
            }
            while self.decider.has_room()
                && let Some((waiting, finished)) = turn.pop_front()
            {
                self.take(waiting, finished.as_deref());
            }
            self.flush();
            let idle = turn.is_empty() && self.in_flight.is_empty() && self.aside.is_empty();
            if drained && idle {
                return Ok(self.decider.into_world());
            }
        }
    }

    /// Sends what was decided to the journal, unless it had better wait for more. While one commit is
    /// on its way, others may be: the journal has them at hand when the first is durable.
    fn flush(&mut self) {
        let enough = self.in_flight.is_empty() || self.decider.unsealed() >= BEHIND_ANOTHER_MIN;
        if !enough || self.in_flight.len() >= IN_FLIGHT_MAX {
            return;
        }
        let Some(SealedCommit { commit, keys, followed }) = self.decider.seal() else { return };
        let answers = std::mem::take(&mut self.answers);
        self.meters.sealed(followed.events.len());
        let appending = self.journal.append(Arc::clone(&commit), keys);
        let since = Instant::now();
        self.in_flight.push_back(InFlight { commit, appending, since, followed, answers });
    }

    /// A commit is durable: the table of credentials learns it, and who follows, then its callers.
    fn settle(&mut self, done: InFlight) {
        self.meters.committed(done.since.elapsed());
        for recorded in &done.followed.events {
            self.credentials.apply(recorded);
        }
        self.options.tail.push(done.followed);
        for (reply, answer) in done.answers {
            let _ = reply.send(answer); // The caller may have gone away.
        }
    }

    /// Decides a command, or sets it aside until the order that it names is read back.
    fn take(&mut self, waiting: Waiting, finished: Option<&Finished>) {
        if waiting.deadline <= Instant::now() || waiting.claimed.load(Ordering::Acquire) {
            return drop_undecided(waiting, Error::Overdue);
        }
        if waiting.request.again
            && let Some(answer) = self.outcome(waiting.request.command.id).transpose()
        {
            if !waiting.claimed.swap(true, Ordering::AcqRel) {
                self.answer(waiting.reply, answer);
            }
            return;
        }
        let now = self.time.now();
        let missing = self.decider.missing(&waiting.request, now);
        let finished = match (missing, finished) {
            (None, _) => None,
            (Some(missing), Some(finished)) if missing.is(finished) => Some(finished),
            (Some(missing), _) => {
                if let Some(waiting) = self.aside.put(missing, waiting) {
                    drop_undecided(waiting, Error::Full);
                }
                return;
            }
        };
        if waiting.claimed.swap(true, Ordering::AcqRel) {
            return drop_undecided(waiting, Error::Overdue);
        }
        let name = waiting.request.command.action.name();
        let answer = self.decide(waiting.request, finished, now);
        self.meters.decided(name, &answer);
        self.answer(waiting.reply, answer);
    }

    /// What became of a command that was given before; nothing where it was not accepted.
    fn outcome(&self, command: CommandId) -> Result<Option<Accepted>, Error> {
        let in_flight = self.in_flight.iter().map(|it| &it.commit.decisions);
        let mut undurable = in_flight.chain([self.decider.unsealed_decisions()]);
        let found = match undurable.find_map(|decisions| header_of(decisions, command)) {
            Some(header) => Some(header),
            // It is rare, and one look at an index.
            None => self.journal.decision(command).map_err(|error| {
                tracing::error!(%error, %command, "the outcome of a command cannot be read");
                Error::Unread(error.to_string().into())
            })?,
        };
        let accepted =
            |it: DecisionHeader| Accepted { command, receipt: it.receipt, replay: false };
        Ok(found.map(accepted))
    }

    /// Answers when all that the answer was decided on is durable.
    fn answer(&mut self, reply: Reply, answer: Result<Accepted, Error>) {
        if !self.decider.is_empty() {
            self.answers.push((reply, answer));
        } else if let Some(in_flight) = self.in_flight.back_mut() {
            in_flight.answers.push((reply, answer));
        } else {
            // No commit will prove that nobody else has decided meanwhile.
            let answer = if (self.options.alone)() { answer } else { Err(Error::NoWriter) };
            let _ = reply.send(answer); // The caller may have gone away.
        }
    }

    fn decide(
        &mut self,
        request: Request,
        finished: Option<&Finished>,
        now: Millis,
    ) -> Result<Accepted, Error> {
        let before = self.decider.position();
        let accepted = match finished {
            Some(finished) => self.decider.decide_on(finished.clone(), request, now)?,
            None => self.decider.decide(request, now)?,
        };
        if self.decider.position() != before {
            self.time.recorded(now);
        }
        Ok(accepted)
    }

    /// Gives the commands of the deadlines that are due, and tells how large the world is.
    fn fire(&mut self) {
        // By the clock, so that one that was ahead once does not end every open order for good.
        let clock = self.time.clock();
        self.meters.tick(self.decider.world(), self.time.behind_ms());
        for (which, request) in self.deadlines.due(self.decider.world(), clock) {
            if !self.decider.has_room() {
                return; // The next tick finds the rest.
            }
            let now = self.time.now();
            if self.decider.missing(&request, now).is_some() {
                continue; // Another deadline has ended the order in this very turn.
            }
            let name = request.command.action.name();
            let answer = self.decide(request, None, now);
            self.meters.decided(name, &answer);
            if let Err(reason) = answer {
                self.deadlines.put_off(which, clock, &reason);
            }
        }
    }

    /// Answers everything that waits, and takes nothing more.
    fn fail(
        self,
        error: &JournalError,
        mut queue: mpsc::Receiver<Waiting>,
        turn: Turn,
    ) -> Arc<str> {
        let reason: Arc<str> = error.to_string().into();
        tracing::error!(%reason, "the journal failed; nothing more is taken");
        self.state.send_replace(State::Stopped(Arc::clone(&reason)));
        queue.close();
        let in_flight = self.in_flight.into_iter().flat_map(|it| it.answers);
        let decided = in_flight.chain(self.answers).map(|(reply, _)| reply);
        let undecided = std::iter::from_fn(|| queue.try_recv().ok());
        let turn = turn.into_iter().map(|(waiting, _)| waiting);
        let waiting = turn.chain(self.aside.into_waiting()).chain(undecided);
        let waiting = waiting.map(|waiting| waiting.reply);
        for reply in decided.chain(waiting) {
            let _ = reply.send(Err(Error::Stopped(Arc::clone(&reason))));
        }
        reason
    }
}

/// A command's header among decisions that are encoded.
fn header_of(decisions: &[RecordedDecision], command: CommandId) -> Option<DecisionHeader> {
    let begins = format!("{{\"command\":\"{command}\"");
    let found = decisions.iter().find(|decision| decision.header.starts_with(&begins))?;
    serde_json::from_str(&found.header).ok()
}

/// Gives commands their turn whose order was read back, or says why it could not be.
fn resume(waiting: Vec<Waiting>, read: Read, turn: &mut Turn) {
    match read {
        Ok(finished) => {
            turn.extend(waiting.into_iter().map(|it| (it, Some(Arc::clone(&finished)))));
        }
        Err(reason) => {
            tracing::error!(%reason, "an order that is over cannot be read back");
            for waiting in waiting {
                drop_undecided(waiting, Error::Unread(Arc::clone(&reason)));
            }
        }
    }
}

/// Tells a caller, if it still waits, that its command was not decided and never will be.
fn drop_undecided(waiting: Waiting, why: Error) {
    measure::dropped(waiting.request.command.action.name());
    let _ = waiting.reply.send(Err(why)); // The caller may have given up before.
}

/// Waits for the first of the commits that are on their way, for ever if none is.
async fn appended(in_flight: &mut VecDeque<InFlight>) -> Result<InFlight, JournalError> {
    let Some(first) = in_flight.front_mut() else { return std::future::pending().await };
    let ended = || JournalError::Closed("its thread has ended".into());
    (&mut first.appending).await.map_err(|_| ended())??;
    in_flight.pop_front().ok_or_else(ended)
}
