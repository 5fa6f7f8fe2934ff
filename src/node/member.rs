//! One node of several: it follows the journal, decides while it is its turn, and follows again.
//!
//! **Invariant:** an engine runs here only from the end of the journal, after the commit that opens
//! its epoch has been taken, and is never gone back to: what it had decided when it ended may or may
//! not have come to count, so that the journal is read anew.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use events::{AccountId, CommitNumber, Epoch, NodeName};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Error, Refused, bring_into_force, follow::Follow};
use crate::{
    cluster::{Election, Publisher, publisher},
    config::Config,
    desk::Writer,
    domain::World,
    engine::{self, Credentials, Handle, Running, Standby, State},
    http,
    journal::{Journal, JournalError, kafka},
};

/// How long a node whose turn it is waits for the end of the journal before it looks again whether
/// it still is.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(5);
/// How long after something went wrong it is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// After so many sessions a node whose turn it is, and that still cannot write, leaves it to another.
const ASIDE_AFTER: u32 = 5;
/// How often it is looked whether the coordinator has confirmed a turn.
const LEASE_POLL: Duration = Duration::from_millis(10);
/// How long an engine whose turn is over may take to hear of what it has on its way.
const END_WITHIN: Duration = Duration::from_millis(500);
/// How long what is recorded may take to be published before this node ends.
const PUBLISH_WITHIN: Duration = Duration::from_secs(2);

/// A node that is up.
pub(super) struct Member {
    /// Where the other nodes reach it.
    pub(super) address: NodeName,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<World, Arc<str>>>,
    inner: JoinHandle<()>,
}

/// All that a node needs to take its turn.
pub(super) struct Seat {
    pub(super) follow: Follow,
    pub(super) election: Election,
    pub(super) config: Config,
    pub(super) options: engine::Options,
    pub(super) site: kafka::Options,
    pub(super) credentials: Arc<Credentials>,
    pub(super) time: Arc<engine::Time>,
    pub(super) state: watch::Sender<State>,
    /// The newest commit whose public events are in the topics, as far as this node published.
    pub(super) published: watch::Sender<CommitNumber>,
}

/// Why a turn ends.
enum Ended {
    /// It is another node's turn.
    Lost,
    /// The engine has ended: it was too late, or the journal failed.
    Failed,
    /// This node ends.
    Stopped,
}

impl Member {
    /// Takes the seat, and serves the other nodes at `listener`.
    pub(super) fn begin(
        seat: Seat,
        standby: Standby,
        listener: TcpListener,
        inner: Router,
        options: http::server::Options,
    ) -> Self {
        let (stop, address) = (watch::Sender::new(false), seat.follow.me.address.clone());
        let (state, running) =
            (seat.state.clone(), tokio::spawn(seat.run(standby, stop.subscribe())));
        let task = tokio::spawn(async move {
            running.await.unwrap_or_else(|_| {
                let reason: Arc<str> = "the node panicked; it must be started again".into();
                state.send_replace(State::Stopped(Arc::clone(&reason)));
                Err(reason)
            })
        });
        let mut stopped = stop.subscribe();
        let inner = tokio::spawn(async move {
            let ended = async move { becomes(&mut stopped, true).await };
            http::server::serve(listener, inner, http::trouble::ending(), ended, &options).await;
        });
        Self { address, stop, task, inner }
    }

    /// Ends its turn in good order where it has one, and leaves. Gives the world as this node last
    /// knew it, or why it had ended before.
    pub(super) async fn shut_down(self) -> Result<World, Arc<str>> {
        self.stop.send_replace(true);
        let world = self.task.await.unwrap_or_else(|_| Err("the node's task panicked".into()));
        let _ = self.inner.await; // It has ended, or panicked, which its log says.
        world
    }
}

impl Seat {
    async fn run(
        mut self,
        mut standby: Standby,
        mut stop: watch::Receiver<bool>,
    ) -> Result<World, Arc<str>> {
        let ended = loop {
            standby = match self.stand_by(standby, &mut stop).await {
                Ok(standby) => standby,
                Err(error) => break Err(error),
            };
            if *stop.borrow() {
                break Ok(standby.into_world());
            }
            match self.take_over(standby, &mut stop).await {
                Ok((follower, false)) => standby = follower,
                Ok((ready, true)) => match self.write(ready, &mut stop).await {
                    Ok(Some(world)) => break Ok(world),
                    Ok(None) => standby = self.anew(),
                    Err(error) => break Err(error),
                },
                Err(error) => break Err(error),
            }
        };
        self.follow.writer.send_replace(Writer::Nobody);
        match ended {
            Ok(world) => {
                self.state.send_replace(State::ShuttingDown);
                Ok(world)
            }
            Err(error) => {
                let reason: Arc<str> = error.to_string().into();
                tracing::error!(%reason, "this node can go on no more");
                self.state.send_replace(State::Stopped(Arc::clone(&reason)));
                drop(self.election); // Another one may.
                becomes(&mut stop, true).await;
                Err(reason)
            }
        }
    }

    /// Follows until it is this node's turn, or it ends.
    async fn stand_by(
        &mut self,
        mut standby: Standby,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Standby, Error> {
        if *stop.borrow() {
            return Ok(standby);
        }
        // A producer that is ready saves half a second when the turn comes.
        self.follow.journal.begin().map_err(other)?;
        let mut head = self.follow.journal.head();
        let mut progress = self.follow.journal.progress();
        let mut turn = self.election.turn();
        loop {
            head.borrow_and_update();
            if self.follow.is_behind(&standby) {
                standby = self.follow.catch_up(standby).await?;
            }
            if let Some(reason) = &progress.borrow_and_update().failed {
                return Err(other(JournalError::Closed(reason.to_string())));
            }
            if *stop.borrow() || *turn.borrow_and_update() {
                return Ok(standby);
            }
            tokio::select! {
                _ = head.changed() => {}
                _ = turn.changed() => {}
                _ = stop.changed() => {}
                _ = failed(&mut progress) => {}
            }
        }
    }

    /// Goes to the end of the journal and opens an epoch there; says whether it did, or whether the
    /// turn is over before, as it is where that takes too long.
    async fn take_over(
        &mut self,
        mut standby: Standby,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(Standby, bool), Error> {
        let began = Instant::now();
        let until = began + ASIDE_AFTER * self.config.duration("writer_session");
        let me = self.follow.me.clone();
        tracing::info!(node = %me.node, "it is this node's turn to write");
        while *self.election.turn().borrow() && !*stop.borrow() {
            if Instant::now() >= until {
                self.leave_turn().await;
                break;
            }
            if !self.election.lease().holds() {
                sleep(LEASE_POLL).await; // A turn that the coordinator does not confirm may be over.
                continue;
            }
            let journal = Arc::clone(&self.follow.journal);
            let caught_up = move || Ok(journal.catch_up(CATCH_UP_WITHIN));
            match super::blocking(caught_up).await? {
                Ok(()) => {}
                Err(error @ JournalError::Kafka { .. }) => {
                    tracing::warn!(%error, "the end of the journal is not reached yet");
                    sleep(PAUSE).await;
                    continue;
                }
                Err(error) => return Err(other(error)),
            }
            standby = self.follow.catch_up(standby).await?;
            // Whoever opened an epoch before that end was read had the turn after this node: then the
            // lease is over by now. Whoever opens one later makes this node's come too late.
            if !self.election.lease().holds() {
                continue;
            }
            let (back, opened) = self.open_epoch(standby, until, stop).await?;
            standby = back;
            match opened {
                Ok(epoch) => {
                    standby = self.follow.catch_up(standby).await?; // With its own commit.
                    if !standby.ends_in(epoch) {
                        tracing::info!(%epoch, "another node has opened an epoch meanwhile");
                        self.follow.journal.begin().map_err(other)?;
                        continue;
                    }
                    let took_ms = began.elapsed().as_millis();
                    tracing::info!(node = %me.node, %epoch, took_ms, "this node opened an epoch");
                    return Ok((standby, true));
                }
                Err(error) => {
                    tracing::warn!(%error, "this node could not open an epoch");
                    self.follow.journal.begin().map_err(other)?;
                    match error {
                        JournalError::Fenced { .. } => sleep(PAUSE).await,
                        _ => self.leave_turn().await,
                    }
                }
            }
        }
        Ok((standby, false))
    }

    /// Appends the commit that opens an epoch above all others. Gives up when the turn is over, or that
    /// moment has come.
    async fn open_epoch(
        &mut self,
        standby: Standby,
        until: Instant,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(Standby, Result<Epoch, JournalError>), Error> {
        let journal = Arc::clone(&self.follow.journal);
        let newest = journal.progress().borrow().epoch.max(standby.head().epoch);
        let (epoch, me) = (Epoch(newest.0 + 1), self.follow.me.clone());
        let opening = super::blocking(move || {
            let opened = standby.open_epoch(journal.as_ref(), epoch, me);
            Ok((standby, opened.map(|()| epoch)))
        });
        let mut opening = std::pin::pin!(opening);
        let mut turn = self.election.turn();
        tokio::select! {
            done = &mut opening => return done,
            () = becomes(&mut turn, false) => {}
            () = becomes(stop, true) => {}
            () = sleep_until(until) => {}
        }
        self.follow.journal.end(); // So that it is told that it waits in vain.
        opening.await
    }

    /// Decides until the turn is over. Gives the world where this node ends.
    async fn write(
        &mut self,
        standby: Standby,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Option<World>, Error> {
        let journal: Arc<dyn Journal> = self.follow.journal.clone();
        let options = engine::Options { heard: self.follow.heard, ..self.options.clone() };
        let (engine, running) = engine::start_from(standby, journal, options);
        let forgotten: Vec<AccountId> = self.follow.forgotten.clone();
        let ring = &self.follow.ring;
        match bring_into_force(&self.config, &engine, ring, forgotten, Refused::Stays).await {
            Ok(()) => self.follow.forgotten.clear(),
            Err(Error::Storage(error)) => {
                tracing::warn!(%error, "this node cannot write");
                self.end(running, END_WITHIN).await;
                self.leave_turn().await;
                return Ok(None);
            }
            Err(error) => {
                self.end(running, END_WITHIN).await;
                return Err(error);
            }
        }
        let ends = self.publish();
        self.follow.writer.send_replace(Writer::Here(engine.clone()));
        tracing::info!(node = %self.follow.me.node, "this node takes commands");
        let ended = self.until_over(&engine, stop).await;
        self.follow.writer.send_replace(Writer::Nobody);
        let world = match ended {
            Ended::Lost | Ended::Failed => {
                ends.store(true, Ordering::Relaxed);
                tracing::warn!(node = %self.follow.me.node, "this node writes no more");
                self.end(running, END_WITHIN).await;
                if let Ended::Failed = ended {
                    self.leave_turn().await;
                }
                None
            }
            Ended::Stopped => self.end(running, self.config.duration("drain_within")).await,
        };
        if world.is_some() {
            let head = self.follow.journal.head().borrow().number;
            let mut published = self.published.subscribe();
            let done = published.wait_for(|published| *published >= head);
            if timeout(PUBLISH_WITHIN, done).await.is_err() {
                tracing::info!(
                    "not everything is published yet; the next node that writes goes on"
                );
            }
        }
        ends.store(true, Ordering::Relaxed);
        self.follow.followed.send_replace(engine.credentials().position());
        Ok(world)
    }

    async fn until_over(&self, engine: &Handle, stop: &mut watch::Receiver<bool>) -> Ended {
        let (mut turn, mut state) = (self.election.turn(), engine.state());
        tokio::select! {
            () = becomes(stop, true) => Ended::Stopped,
            () = becomes(&mut turn, false) => Ended::Lost,
            _ = state.wait_for(|state| *state != State::Running) => Ended::Failed,
        }
    }

    /// Ends an engine. What it has on its way may take so long; then nobody waits for it any more.
    async fn end(&self, running: Running, within: Duration) -> Option<World> {
        let mut ending = tokio::spawn(running.shut_down());
        let ended = match timeout(within, &mut ending).await {
            Ok(ended) => ended,
            Err(_) => {
                self.follow.journal.end();
                ending.await
            }
        };
        self.follow.journal.end();
        ended.ok()?.ok()
    }

    /// Leaves the turn to another, where it is this node's.
    async fn leave_turn(&self) {
        let mut turn = self.election.turn();
        if *turn.borrow() {
            tracing::warn!(node = %self.follow.me.node, "this node leaves its turn to another");
            self.election.step_aside();
            becomes(&mut turn, false).await;
        }
    }

    /// A standby that begins again, beside what is known already.
    fn anew(&self) -> Standby {
        Standby::beside(Arc::clone(&self.credentials), Arc::clone(&self.time))
    }

    /// Publishes what is recorded until the flag is set, or another node does.
    fn publish(&self) -> Arc<AtomicBool> {
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let journal: Arc<dyn Journal> = self.follow.journal.clone();
        let (client, prefix) = (self.site.client(), self.site.prefix.clone());
        let (published, tail) = (self.published.clone(), self.options.tail.clone());
        tokio::spawn(async move {
            while !told.load(Ordering::Relaxed) {
                let (journal, tail) = (Arc::clone(&journal), tail.clone());
                let (client, prefix) = (client.clone(), prefix.clone());
                let begin = move || Publisher::begin(journal, tail, &client, &prefix);
                let done = match tokio::task::spawn_blocking(begin).await {
                    Ok(Ok(publisher)) => {
                        let mut newest = publisher.published();
                        let telling = async {
                            loop {
                                published.send_replace(newest.borrow_and_update().number);
                                if newest.changed().await.is_err() {
                                    std::future::pending::<()>().await;
                                }
                            }
                        };
                        tokio::select! {
                            done = publisher.run(&told) => done,
                            () = telling => Ok(()),
                        }
                    }
                    Ok(Err(error)) => Err(error),
                    Err(_) => return,
                };
                match done {
                    Ok(()) => {}
                    Err(publisher::Error::Fenced) => {
                        tracing::info!("another node publishes");
                        sleep(PAUSE).await;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "nothing is published; trying again");
                        sleep(PAUSE).await;
                    }
                }
            }
        });
        ends
    }
}

/// Resolves when a flag has this value, or nobody sets it any more.
async fn becomes(flag: &mut watch::Receiver<bool>, value: bool) {
    let _ = flag.wait_for(|it| *it == value).await;
}

/// Resolves when the journal is followed no more.
async fn failed(progress: &mut watch::Receiver<kafka::Progress>) {
    let _ = progress.wait_for(|it| it.failed.is_some()).await;
}

fn other(error: impl Into<anyhow::Error>) -> Error {
    Error::Other(error.into())
}
