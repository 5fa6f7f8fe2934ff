//! Reads the journal for those who follow it: each commit is checked against the one before and
//! decoded, once for all that are near the journal's end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use events::{Commit, CommitNumber, Head, Millis, Recorded};
use tokio::sync::watch;

use super::{Followed, Journal, JournalError, Tail};

/// Reads a journal slice by slice.
pub struct Reader {
    /// The journal read.
    pub journal: Arc<dyn Journal>,
    head: watch::Receiver<Head>,
    slice_events: usize,
    /// What the engine has just recorded.
    tail: Tail,
    /// What was read last, one commit continuing the other.
    recent: Tail,
    /// Held while reading, so that those who wake together read once.
    reading: Mutex<()>,
    newest: Mutex<Newest>,
}

/// The newest commit that somebody has read, and when its last event was recorded.
#[derive(Default)]
struct Newest {
    number: CommitNumber,
    recorded_at: Option<Millis>,
}

/// Slices that are kept decoded. Who is further behind than this reads for itself.
const RECENT_SLICES: usize = 4;

impl Reader {
    /// Reads so many events at once, about: commits stay whole. What is in the tail is not read.
    pub fn new(journal: Arc<dyn Journal>, tail: Tail, slice_events: usize) -> Self {
        let head = journal.head();
        let slice_events = slice_events.max(1);
        let recent = Tail::keeping(RECENT_SLICES * slice_events);
        let (reading, newest) = (Mutex::default(), Mutex::default());
        Self { journal, head, slice_events, tail, recent, reading, newest }
    }

    /// One that reads the same and remembers for itself.
    pub fn another(&self) -> Self {
        Self::new(Arc::clone(&self.journal), self.tail.clone(), self.slice_events)
    }

    /// How many events are read at once, about.
    pub fn slice_events(&self) -> u64 {
        self.slice_events as u64
    }

    /// When the newest event that somebody has read was recorded. Does not read.
    pub fn newest_recorded_at(&self) -> Option<Millis> {
        locked(&self.newest).recorded_at
    }

    /// Reads when the journal's newest event was recorded, unless it is known.
    pub fn learn_newest(&self) {
        let number = self.head.borrow().number;
        if locked(&self.newest).number >= number {
            return;
        }
        if let Some(recorded_at) = newest_recorded_at(self.journal.as_ref(), number) {
            self.note(number, recorded_at);
        }
    }

    fn note_newest(&self, commit: &Followed) {
        if let Some(last) = commit.events.last() {
            self.note(commit.after.number, last.recorded_at);
        }
    }

    fn note(&self, number: CommitNumber, recorded_at: Millis) {
        let mut newest = locked(&self.newest);
        if newest.number < number {
            *newest = Newest { number, recorded_at: Some(recorded_at) };
        }
    }

    /// The newest durable commit, and a way to wait for the next.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.clone()
    }

    /// The next commits after `head`, none where there are none yet.
    ///
    /// # Errors
    /// When the journal cannot be read, when a commit does not continue the one before, or when it
    /// or one of its events cannot be decoded.
    pub fn after(&self, head: &Head) -> Result<Vec<Arc<Followed>>, JournalError> {
        let newest = self.head.borrow().position;
        let near = self.recent.events_max() as u64;
        let known = self.tail.after(head, self.slice_events);
        if let Some(last) = known.last() {
            self.note_newest(last);
            return Ok(known);
        }
        if newest.0.saturating_sub(head.position.0) > near {
            return self.read(head);
        }
        let _reading = locked(&self.reading);
        let known = self.recent.after(head, self.slice_events);
        if !known.is_empty() {
            return Ok(known);
        }
        let read = self.read(head)?;
        read.iter().for_each(|commit| self.recent.push(Arc::clone(commit)));
        Ok(read)
    }

    fn read(&self, head: &Head) -> Result<Vec<Arc<Followed>>, JournalError> {
        let mut before = *head;
        let mut read = Vec::new();
        for commit in self.journal.read(head.number, self.slice_events)? {
            commit.continues(&before)?;
            let after = commit.head();
            read.push(Arc::new(Followed { before, after, events: decoded(&commit)? }));
            before = after;
        }
        if let Some(last) = read.last() {
            self.note_newest(last);
        }
        Ok(read)
    }
}

fn decoded(commit: &Commit) -> Result<Vec<Recorded>, JournalError> {
    let mut events = Vec::with_capacity(commit.decisions.len());
    for envelope in commit.contents()?.iter().flat_map(|(_, envelopes)| envelopes) {
        let recorded = Recorded::decode(envelope);
        events.push(
            recorded
                .map_err(|source| JournalError::Decode { position: envelope.position, source })?,
        );
    }
    Ok(events)
}

/// When the last event of a commit was recorded; `None` where it cannot be read.
pub fn newest_recorded_at(journal: &dyn Journal, number: CommitNumber) -> Option<Millis> {
    #[derive(serde::Deserialize)]
    struct Time {
        recorded_at: Millis,
    }
    let before = CommitNumber(number.0.checked_sub(1)?);
    let commits = journal.read(before, 1).ok()?;
    let last = commits.first()?.decisions.last()?.events.last()?;
    serde_json::from_str::<Time>(last).ok().map(|it| it.recorded_at)
}

/// A panic leaves nothing half-done behind these locks: at worst a commit is read again.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
