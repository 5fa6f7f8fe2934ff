//! The writer's loop.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use events::{Head, Recorded};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Accepted, Credentials, Error, Options, PANICKED, Reply, Request, State, Waiting,
    deadlines::Deadlines,
    decider::{Decider, SealedCommit},
    measure::{self, Meters},
    time::Time,
};
use crate::{
    domain::World,
    journal::{Appending, Journal, JournalError},
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
    /// What is told when the commit after the one on its way is durable.
    answers: Vec<(Reply, Result<Accepted, Error>)>,
    in_flight: Option<InFlight>,
}

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
    appending: Appending,
    since: Instant,
    events: Vec<Recorded>,
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
            time,
            journal,
            credentials,
            state,
            deadlines: Deadlines::new(&options),
            meters: Meters::new(),
            options,
            answers: Vec::new(),
            in_flight: None,
        }
    }

    /// Runs until it is told to stop and has finished what waits, or until an append fails.
    pub(super) async fn run(
        mut self,
        mut queue: mpsc::Receiver<Waiting>,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<World, Arc<str>> {
        let mut tick = interval(self.options.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn: VecDeque<Waiting> = VecDeque::new();
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
                _ = tick.tick(), if room && !stopping => self.fire(),
                count = queue.recv_many(&mut incoming, self.options.turn_max),
                    if room && turn.is_empty() && !drained =>
                {
                    drained = count == 0;
                    turn.extend(incoming.drain(..));
                }
            }
            while self.decider.has_room()
                && let Some(waiting) = turn.pop_front()
            {
                self.take(waiting);
            }
            self.flush();
            if drained && turn.is_empty() && self.in_flight.is_none() {
                return Ok(self.decider.into_world());
            }
        }
    }

    /// Sends what was decided to the journal, unless a commit is on its way.
    fn flush(&mut self) {
        if self.in_flight.is_some() {
            return;
        }
        let Some(SealedCommit { commit, keys, events }) = self.decider.seal() else { return };
        let answers = std::mem::take(&mut self.answers);
        self.meters.sealed(events.len());
        let appending = self.journal.append(commit, keys);
        self.in_flight = Some(InFlight { appending, since: Instant::now(), events, answers });
    }

    /// A commit is durable: the table of credentials learns it, then its callers.
    fn settle(&mut self, done: InFlight) {
        self.meters.committed(done.since.elapsed());
        for recorded in &done.events {
            self.credentials.apply(recorded);
        }
        for (reply, answer) in done.answers {
            let _ = reply.send(answer); // The caller may have gone away.
        }
    }

    fn take(&mut self, Waiting { request, deadline, claimed, reply }: Waiting) {
        let name = request.command.action.name();
        if deadline <= Instant::now() || claimed.swap(true, Ordering::AcqRel) {
            measure::dropped(name);
            let _ = reply.send(Err(Error::Overdue)); // The caller may have given up before.
            return;
        }
        let answer = self.decide(request);
        self.meters.decided(name, &answer);
        self.answer(reply, answer);
    }

    /// Answers when all that the answer was decided on is durable.
    fn answer(&mut self, reply: Reply, answer: Result<Accepted, Error>) {
        if !self.decider.is_empty() {
            self.answers.push((reply, answer));
        } else if let Some(in_flight) = &mut self.in_flight {
            in_flight.answers.push((reply, answer));
        } else {
            let _ = reply.send(answer); // The caller may have gone away.
        }
    }

    fn decide(&mut self, request: Request) -> Result<Accepted, Error> {
        let now = self.time.now();
        let before = self.decider.position();
        let accepted = self.decider.decide(request, now)?;
        if self.decider.position() != before {
            self.time.recorded(now);
        }
        Ok(accepted)
    }

    /// Gives the commands of the deadlines that are due, and tells how large the world is.
    fn fire(&mut self) {
        // By the clock, so that one that was ahead once does not end every open order for good.
        let now = self.time.clock();
        self.meters.tick(self.decider.world(), self.time.behind_ms());
        for (which, request) in self.deadlines.due(self.decider.world(), now) {
            if !self.decider.has_room() {
                return; // The next tick finds the rest.
            }
            let name = request.command.action.name();
            let answer = self.decide(request);
            self.meters.decided(name, &answer);
            if let Err(reason) = answer {
                self.deadlines.put_off(which, now, &reason);
            }
        }
    }

    /// Answers everything that waits, and takes nothing more.
    fn fail(
        mut self,
        error: &JournalError,
        mut queue: mpsc::Receiver<Waiting>,
        turn: VecDeque<Waiting>,
    ) -> Arc<str> {
        let reason: Arc<str> = error.to_string().into();
        tracing::error!(%reason, "the journal failed; nothing more is taken");
        self.state.send_replace(State::Stopped(Arc::clone(&reason)));
        queue.close();
        let in_flight = self.in_flight.take().map(|it| it.answers).unwrap_or_default();
        let decided = in_flight.into_iter().chain(self.answers).map(|(reply, _)| reply);
        let undecided = std::iter::from_fn(|| queue.try_recv().ok());
        let waiting = turn.into_iter().chain(undecided).map(|waiting| waiting.reply);
        for reply in decided.chain(waiting) {
            let _ = reply.send(Err(Error::Stopped(Arc::clone(&reason))));
        }
        reason
    }
}

/// Waits for the commit that is on its way, for ever if none is.
async fn appended(slot: &mut Option<InFlight>) -> Result<InFlight, JournalError> {
    let Some(in_flight) = slot else { return std::future::pending().await };
    let result = (&mut in_flight.appending).await;
    let in_flight = slot.take().expect("it was just there");
    match result {
        Ok(Ok(())) => Ok(in_flight),
        Ok(Err(error)) => {
            *slot = Some(in_flight);
            Err(error)
        }
        Err(_) => {
            *slot = Some(in_flight);
            Err(JournalError::Closed("its thread has ended".into()))
        }
    }
}
