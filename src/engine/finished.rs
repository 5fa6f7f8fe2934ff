//! Orders that are over and have left the world: read back from the journal, each from its own
//! events. A command that names one is set aside meanwhile; all others go on.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use events::{Channel, OrderId, Position, Subject};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    Waiting,
    replay::{ReplayError, decode},
};
use crate::{
    domain::{Finished, World},
    journal::Journal,
};

/// How many events are read at a time.
const SLICE_EVENTS: usize = 1000;
/// So many orders are read at the same time: journals have few readers, and queries need some.
const READ_AT_ONCE: usize = 4;

/// An order that is over and has left the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its channel.
    pub channel: Channel,
    /// The order.
    pub order: OrderId,
    /// Where its newest event stands.
    pub position: Position,
}

impl Missing {
    /// Whether this is the order as it is now: it may have gone on since it was read.
    pub(super) fn is(&self, finished: &Finished) -> bool {
        (finished.id(), finished.order().changed_at) == (self.order, self.position)
    }
}

/// Reads an order back as it was when it left. Blocks on storage; its events must be durable.
///
/// # Errors
/// When the journal cannot be read, or does not have it.
pub fn read_back(journal: &dyn Journal, missing: &Missing) -> Result<Finished, ReplayError> {
    let Missing { channel, order, position: newest } = missing;
    let subject = Subject::order(*order);
    let lost = || ReplayError::Order { order: *order, position: *newest };
    let (mut alone, mut at) = (World::default(), Position(0));
    while at < *newest {
        let envelopes = journal.read_subject(channel, &subject, at, SLICE_EVENTS)?;
        let before = at;
        for envelope in envelopes.iter().take_while(|it| it.position <= *newest) {
            alone.evolve(&decode(envelope)?);
            at = envelope.position;
        }
        if at == before {
            return Err(lost());
        }
    }
    Finished::out_of(alone, *order).ok_or_else(lost)
}

/// Commands that are set aside until the orders that they name are read back.
pub(super) struct Aside {
    journal: Arc<dyn Journal>,
    most: usize,
    /// How many commands are set aside; everybody may look.
    count: Arc<AtomicUsize>,
    waiting: HashMap<OrderId, Vec<Waiting>>,
    reading: JoinSet<(OrderId, Read)>,
    turns: Arc<Semaphore>,
}

/// An order that was read back, or why it could not be.
pub(super) type Read = Result<Arc<Finished>, Arc<str>>;

impl Aside {
    /// With room for so many commands.
    pub(super) fn new(journal: Arc<dyn Journal>, most: usize) -> Self {
        let turns = Arc::new(Semaphore::new(READ_AT_ONCE));
        let (waiting, reading) = (HashMap::new(), JoinSet::new());
        Self { journal, most, count: Arc::default(), waiting, reading, turns }
    }

    /// How many commands are set aside, from now on.
    pub(super) fn count(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.count)
    }

    /// Whether nothing is set aside.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sets a command aside, and begins to read its order unless that is under way. Gives the
    /// command back where there is no room.
    pub(super) fn put(&mut self, missing: Missing, waiting: Waiting) -> Option<Waiting> {
        if self.count.load(Ordering::Relaxed) >= self.most {
            return Some(waiting);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let same = self.waiting.entry(missing.order).or_default();
        same.push(waiting);
        if same.len() == 1 {
            let (journal, turns) = (Arc::clone(&self.journal), Arc::clone(&self.turns));
            self.reading.spawn(async move {
                let order = missing.order;
                (order, read(journal, turns, missing).await.map(Arc::new).map_err(Arc::from))
            });
        }
        None
    }

    /// The next order that was read back, and the commands that waited for it, in their order;
    /// nothing where none is set aside. Dropped before it is ready, it has taken nothing.
    pub(super) async fn next(&mut self) -> Option<(Vec<Waiting>, Read)> {
        let done = self.reading.join_next().await?;
        let (order, read) = done.expect("it panics in a thread of its own, and nobody cancels it");
        let waiting = self.waiting.remove(&order).unwrap_or_default();
        self.count.fetch_sub(waiting.len(), Ordering::Relaxed);
        Some((waiting, read))
    }

    /// Everything that is set aside, for good.
    pub(super) fn into_waiting(self) -> impl Iterator<Item = Waiting> {
        self.count.store(0, Ordering::Relaxed);
        self.waiting.into_values().flatten()
    }
}

/// Reads an order back off the async threads, once all that is known of it is durable.
async fn read(
    journal: Arc<dyn Journal>,
    turns: Arc<Semaphore>,
    missing: Missing,
) -> Result<Finished, String> {
    let mut head = journal.head();
    let durable = head.wait_for(|head| head.position >= missing.position).await;
    durable.map_err(|_| "the journal was closed".to_owned())?;
    let _turn = turns.acquire().await.map_err(|error| error.to_string())?;
    let reading = tokio::task::spawn_blocking(move || read_back(journal.as_ref(), &missing));
    let read = reading.await.map_err(|error| error.to_string())?;
    read.map_err(|error| error.to_string())
}
