//! From the journal to the world.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use events::{
    CommitError, DecisionHeader, DecodeError, Envelope, Head, OrderId, Position, Recorded,
};

use super::finished::{Missing, read_back};
use crate::{
    domain::World,
    journal::{Journal, JournalError},
};

/// How many events are read at a time.
const SLICE_EVENTS: usize = 2000;
/// How often a long replay says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Why a journal cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A commit does not continue the chain.
    #[error("the journal is damaged: {0}")]
    Chain(#[from] CommitError),
    /// An event cannot be understood.
    #[error("event {position}: {source}")]
    Decode {
        /// Where it stands.
        position: Position,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The events of an order do not say what became of it.
    #[error("order {order} cannot be read back: its events do not end at {position}")]
    Order {
        /// Which.
        order: OrderId,
        /// Where its newest event should stand.
        position: Position,
    },
}

/// Folds the whole journal, checking every commit against the one before.
pub fn replay(journal: &dyn Journal) -> Result<(World, Head), ReplayError> {
    let (mut world, mut head) = (World::default(), Head::default());
    follow(journal, &mut world, &mut head, |_| {})?;
    Ok((world, head))
}

/// Folds what the journal holds behind `head`, to its end, and shows each event to somebody else on
/// the way. Another thread reads, checks and decodes ahead of it. After an error the world stands
/// somewhere behind the head, and is of no use any more.
pub(super) fn follow(
    journal: &dyn Journal,
    world: &mut World,
    head: &mut Head,
    mut see: impl FnMut(&Recorded),
) -> Result<(), ReplayError> {
    let newest = journal.head().borrow().position;
    let mut told = Instant::now();
    let (slices, read) = mpsc::sync_channel(SLICES_AHEAD);
    let begin = *head;
    thread::scope(|scope| {
        scope.spawn(|| read_ahead(journal, begin, slices));
        for slice in read {
            let Slice { decisions, ends } = slice?;
            for (header, events) in decisions {
                for recorded in events {
                    if let Some(missing) = missing(world, &recorded) {
                        world.recall(read_back(journal, &missing)?);
                    }
                    world.apply(&recorded);
                    see(&recorded);
                }
                world.keys.evolve(&header);
            }
            *head = ends;
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                tracing::info!(events = head.position.0, of = newest.0, "replaying the journal");
            }
        }
        Ok(())
    })
}

/// So many slices are read before their turn.
const SLICES_AHEAD: usize = 2;

/// Commits that continue each other, decoded, and the head where they end.
struct Slice {
    decisions: Vec<(DecisionHeader, Vec<Recorded>)>,
    ends: Head,
}

/// Reads what is behind `head`, to the journal's end, to the first error, or until nobody wants more.
fn read_ahead(
    journal: &dyn Journal,
    mut head: Head,
    slices: mpsc::SyncSender<Result<Slice, ReplayError>>,
) {
    loop {
        let slice = read_slice(journal, &head);
        match &slice {
            Ok(slice) if slice.decisions.is_empty() => return,
            Ok(slice) => head = slice.ends,
            Err(_) => {}
        }
        let failed = slice.is_err();
        if slices.send(slice).is_err() || failed {
            return;
        }
    }
}

/// The next commits after `after`; none where the journal ends.
fn read_slice(journal: &dyn Journal, after: &Head) -> Result<Slice, ReplayError> {
    let mut slice = Slice { decisions: Vec::new(), ends: *after };
    for commit in journal.read(after.number, SLICE_EVENTS)? {
        commit.continues(&slice.ends)?;
        for (header, envelopes) in commit.contents()? {
            let events: Result<_, _> = envelopes.iter().map(decode).collect();
            slice.decisions.push((header, events?));
        }
        slice.ends = commit.head();
    }
    Ok(slice)
}

pub(super) fn decode(envelope: &Envelope) -> Result<Recorded, ReplayError> {
    let position = envelope.position;
    Recorded::decode(envelope).map_err(|source| ReplayError::Decode { position, source })
}

/// The order that an event goes on with, where that was over and has left.
fn missing(world: &World, recorded: &Recorded) -> Option<Missing> {
    let order = recorded.subject.as_order()?;
    let position = world.left(&recorded.channel, order)?;
    Some(Missing { channel: recorded.channel.clone(), order, position })
}
