//! Reads the journal for all views: each commit is checked against the one before and decoded,
//! once for all views that are near the journal's end.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use events::{Commit, CommitNumber, Head, Millis, Recorded};
use tokio::sync::watch;

use crate::journal::{Journal, JournalError};

/// A commit that continues `before`, decoded.
pub struct Read {
    /// What it was checked against.
    pub before: Head,
    /// What the next one is checked against.
    pub after: Head,
    /// Its events, of all its decisions.
    pub events: Vec<Recorded>,
}

/// Reads a journal slice by slice.
pub struct Reader {
    /// The journal read.
    pub journal: Arc<dyn Journal>,
    head: watch::Receiver<Head>,
    slice_events: usize,
    recent: Mutex<Recent>,
    newest: Mutex<Newest>,
}

/// The newest commit that somebody has read, and when its last event was recorded.
#[derive(Default)]
struct Newest {
    number: CommitNumber,
    recorded_at: Option<Millis>,
}

/// The newest commits read, one continuing the other.
#[derive(Default)]
struct Recent {
    commits: VecDeque<Arc<Read>>,
    events: usize,
}

/// Slices that are kept decoded. A view further behind than this reads for itself.
const RECENT_SLICES: usize = 4;

impl Reader {
    /// Reads so many events at once, about: commits stay whole.
    pub fn new(journal: Arc<dyn Journal>, slice_events: usize) -> Self {
        let head = journal.head();
        let (recent, newest) = (Mutex::default(), Mutex::default());
        Self { journal, head, slice_events: slice_events.max(1), recent, newest }
    }

    /// One that reads the same and remembers for itself.
    pub fn another(&self) -> Self {
        Self::new(Arc::clone(&self.journal), self.slice_events)
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
            self.note_newest(number, recorded_at);
        }
    }

    fn note_newest(&self, number: CommitNumber, recorded_at: Millis) {
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
    pub fn after(&self, head: &Head) -> Result<Vec<Arc<Read>>, JournalError> {
        let newest = self.head.borrow().position;
        let near = (RECENT_SLICES * self.slice_events) as u64;
        if newest.0.saturating_sub(head.position.0) > near {
            return self.read(head);
        }
        // Held while reading, so that the views that wake together read once.
        let mut recent = locked(&self.recent);
        let known = recent.after(head, self.slice_events);
        if !known.is_empty() {
            return Ok(known);
        }
        let read = self.read(head)?;
        for commit in &read {
            recent.push(Arc::clone(commit), RECENT_SLICES * self.slice_events);
        }
        Ok(read)
    }

    fn read(&self, head: &Head) -> Result<Vec<Arc<Read>>, JournalError> {
        let mut before = *head;
        let mut read = Vec::new();
        for commit in self.journal.read(head.number, self.slice_events)? {
            commit.continues(&before)?;
            let after = commit.head();
            read.push(Arc::new(Read { before, after, events: decoded(&commit)? }));
            before = after;
        }
        if let Some((last, newest)) = read.last().and_then(|last| Some((last, last.events.last()?)))
        {
            self.note_newest(last.after.number, newest.recorded_at);
        }
        Ok(read)
    }
}

impl Recent {
    fn after(&self, head: &Head, events_max: usize) -> Vec<Arc<Read>> {
        let Some(first) = self.commits.front() else { return Vec::new() };
        let skipped = head.number.0.checked_sub(first.before.number.0);
        let mut found: Vec<Arc<Read>> = Vec::new();
        let mut events = 0;
        for commit in self.commits.iter().skip(skipped.map_or(usize::MAX, |n| n as usize)) {
            let continued = found.last().map_or(head, |last| &last.after);
            events += commit.events.len();
            if commit.before != *continued || (events > events_max && !found.is_empty()) {
                break;
            }
            found.push(Arc::clone(commit));
        }
        found
    }

    fn push(&mut self, commit: Arc<Read>, events_max: usize) {
        if self.commits.back().is_some_and(|last| last.after != commit.before) {
            *self = Self::default();
        }
        self.events += commit.events.len();
        self.commits.push_back(commit);
        while self.events > events_max && self.commits.len() > 1 {
            self.events -= self.commits.pop_front().map_or(0, |oldest| oldest.events.len());
        }
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
