//! The journal in memory, for tests: the same behaviour as the one in a file, without the file,
//! and with failures where a test wants them.
//!
//! What survives a crash is the [`MemoryStore`]. A test keeps it, lets the journal fail, or holds
//! it at a [`Gate`], and opens another on the same store; from then on the first writes nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::Duration,
};

use events::{
    Channel, CommandId, Commit, CommitError, CommitNumber, DecisionHeader, Envelope, Head,
    Position, Subject, WrappedKey,
};
use tokio::sync::{oneshot, watch};

use super::{Appending, Indexed, Journal, JournalError, follows};

/// What is to happen at one append. Several for the same commit happen one after the other, until
/// one fails.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The append fails and nothing is stored.
    Fail,
    /// The append fails, but whoever opens the store next finds the whole commit, as after a crash
    /// between the write and its acknowledgement.
    TearAfter,
    /// The append fails half-written; whoever opens the store next finds that and discards it.
    TearWithin,
    /// The append waits until the test opens the gate, and with it all that come after.
    Hold(Gate),
    /// The append waits so long. Inside a tokio runtime that is its time, which a test may pause.
    Delay(Duration),
}

/// Holds appends until it is opened. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<GateState>);

#[derive(Debug)]
struct GateState {
    passage: Mutex<Passage>,
    reached: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Passage {
    open: bool,
    held: Vec<Weak<Shared>>,
}

impl Gate {
    /// A closed gate.
    #[allow(clippy::new_without_default)] // A default gate would be open or closed, who knows.
    pub fn new() -> Self {
        let passage = Mutex::default();
        Self(Arc::new(GateState { passage, reached: watch::Sender::new(false) }))
    }

    /// Waits until an append stands before the gate, or has stood there.
    pub async fn reached(&self) {
        let mut reached = self.0.reached.subscribe();
        let _ = reached.wait_for(|reached| *reached).await; // The sender lives as long as `self`.
    }

    /// Opens the gate for good. What was held is done when this returns.
    pub fn open(&self) {
        let held = {
            let mut passage = locked(&self.0.passage);
            passage.open = true;
            std::mem::take(&mut passage.held)
        };
        for journal in held.iter().filter_map(Weak::upgrade) {
            journal.settle();
        }
    }

    fn lets_pass(&self, journal: &Arc<Shared>) -> bool {
        let mut passage = locked(&self.0.passage);
        if !passage.open {
            passage.held.push(Arc::downgrade(journal));
        }
        self.0.reached.send_replace(true);
        passage.open
    }
}

/// What survives when a journal in memory is dropped, or its engine crashes.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Stored>);

#[derive(Debug, Default)]
struct Stored {
    commits: Vec<Arc<Commit>>,
    keys: BTreeMap<String, Vec<u8>>,
    torn: Option<Torn>,
    /// Counts the journals opened on this store; only the newest writes.
    owner: u64,
}

#[derive(Debug)]
struct Torn {
    commit: Arc<Commit>,
    keys: Vec<WrappedKey>,
    whole: bool,
}

/// A journal in memory. Dropping it is a crash: appends that a [`Gate`] holds are lost.
#[derive(Debug)]
pub struct MemoryJournal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<MemoryStore>,
    owner: u64,
    head: watch::Sender<Head>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    faults: BTreeMap<CommitNumber, VecDeque<Fault>>,
    failed: Option<String>,
}

#[derive(Debug)]
struct Pending {
    commit: Arc<Commit>,
    keys: Vec<WrappedKey>,
    answer: oneshot::Sender<Result<(), JournalError>>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryJournal {
    /// An empty journal on a store of its own.
    pub fn new() -> Self {
        Self::from_store(Arc::default())
    }

    /// Opens what survived. A torn commit is settled now: a whole one stays, half of one goes.
    pub fn from_store(store: Arc<MemoryStore>) -> Self {
        let (owner, head) = {
            let mut stored = locked(&store.0);
            stored.owner += 1;
            if let Some(Torn { commit, keys, whole: true }) = stored.torn.take() {
                stored.put(commit, keys);
            }
            let head = stored.commits.last().map(|commit| commit.head()).unwrap_or_default();
            (stored.owner, head)
        };
        let (head, queue) = (watch::Sender::new(head), Mutex::default());
        Self(Arc::new(Shared { store, owner, head, queue }))
    }

    /// What survives this journal.
    pub fn store(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.0.store)
    }

    /// Lets something happen when commit `number` is appended.
    pub fn inject(&self, number: CommitNumber, fault: Fault) {
        locked(&self.0.queue).faults.entry(number).or_default().push_back(fault);
    }
}

impl Journal for MemoryJournal {
    fn append(&self, commit: Arc<Commit>, keys: Vec<WrappedKey>) -> Appending {
        let (answer, appending) = oneshot::channel();
        locked(&self.0.queue).waiting.push_back(Pending { commit, keys, answer });
        self.0.settle();
        appending
    }

    fn head(&self) -> watch::Receiver<Head> {
        self.0.head.subscribe()
    }

    fn read(&self, after: CommitNumber, events_max: usize) -> Result<Vec<Commit>, JournalError> {
        let stored = locked(&self.0.store.0);
        let mut commits = Vec::new();
        let mut room = events_max;
        for commit in self.0.visible(&stored).iter().skip(after.0 as usize) {
            let events = commit.decisions.iter().map(|decision| decision.events.len()).sum();
            if events > room && !commits.is_empty() {
                break;
            }
            room = room.saturating_sub(events);
            commits.push(Commit::clone(commit));
        }
        Ok(commits)
    }

    fn head_at(&self, number: CommitNumber) -> Result<Option<Head>, JournalError> {
        let stored = locked(&self.0.store.0);
        let Some(before) = (number.0 as usize).checked_sub(1) else {
            return Ok(Some(Head::default()));
        };
        Ok(self.0.visible(&stored).get(before).map(|commit| commit.head()))
    }

    fn read_subject(
        &self,
        channel: &Channel,
        subject: &Subject,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Envelope>, JournalError> {
        let stored = locked(&self.0.store.0);
        let mut found = Vec::new();
        for commit in self.0.visible(&stored) {
            if commit.head().position <= after {
                continue;
            }
            let events = commit.decisions.iter().flat_map(|decision| &decision.events);
            for (bytes, position) in events.zip(commit.first_position.0..) {
                if found.len() >= limit {
                    return Ok(found);
                }
                let indexed = Indexed::of(commit.number, bytes)?;
                if position <= after.0
                    || indexed.subject != subject.as_str()
                    || indexed.channel != channel.as_str()
                {
                    continue;
                }
                let envelope =
                    serde_json::from_str(bytes).map_err(|error| CommitError::Content {
                        number: commit.number,
                        reason: format!("event {position} cannot be read: {error}"),
                    })?;
                found.push(envelope);
            }
        }
        Ok(found)
    }

    fn decision(&self, command: CommandId) -> Result<Option<DecisionHeader>, JournalError> {
        let stored = locked(&self.0.store.0);
        for commit in self.0.visible(&stored) {
            for decision in &commit.decisions {
                let header: DecisionHeader =
                    serde_json::from_str(&decision.header).map_err(|error| {
                        let reason = format!("a decision cannot be read: {error}");
                        CommitError::Content { number: commit.number, reason }
                    })?;
                if header.command == command {
                    return Ok(Some(header));
                }
            }
        }
        Ok(None)
    }

    fn wrapped_key(&self, id: &str) -> Result<Option<WrappedKey>, JournalError> {
        let stored = locked(&self.0.store.0);
        Ok(stored.keys.get(id).map(|bytes| WrappedKey { id: id.to_owned(), bytes: bytes.clone() }))
    }

    fn wrapped_keys(&self, after: &str, limit: usize) -> Result<Vec<WrappedKey>, JournalError> {
        let stored = locked(&self.0.store.0);
        let later = (Bound::Excluded(after), Bound::Unbounded);
        let keys = stored.keys.range::<str, _>(later).take(limit);
        Ok(keys.map(|(id, bytes)| WrappedKey { id: id.clone(), bytes: bytes.clone() }).collect())
    }

    fn ensure_key(&self, key: WrappedKey) -> Result<WrappedKey, JournalError> {
        let mut stored = self.0.to_write()?;
        let bytes = stored.keys.entry(key.id.clone()).or_insert(key.bytes).clone();
        Ok(WrappedKey { id: key.id, bytes })
    }

    fn destroy_key(&self, id: &str) -> Result<(), JournalError> {
        self.0.to_write()?.keys.remove(id);
        Ok(())
    }
}

impl Shared {
    /// Does what waits, in order, up to the first that is held.
    fn settle(self: &Arc<Self>) {
        let mut queue = locked(&self.queue);
        while let Some(number) = queue.waiting.front().map(|pending| pending.commit.number) {
            let mut fault = None;
            if queue.failed.is_none() {
                let faults = queue.faults.entry(number).or_default();
                if let Some(Fault::Delay(delay)) = faults.front() {
                    let gate = Gate::new();
                    open_after(*delay, gate.clone());
                    faults[0] = Fault::Hold(gate);
                }
                if let Some(Fault::Hold(gate)) = faults.front() {
                    if !gate.lets_pass(self) {
                        return;
                    }
                    faults.pop_front();
                    continue;
                }
                fault = faults.pop_front();
            }
            let Some(Pending { commit, keys, answer }) = queue.waiting.pop_front() else { return };
            let result = match &queue.failed {
                Some(reason) => Err(JournalError::Closed(reason.clone())),
                None => self.store(commit, keys, fault),
            };
            if let (Err(error), None) = (&result, &queue.failed) {
                queue.failed = Some(error.to_string());
            }
            let _ = answer.send(result); // Whoever asked may have gone away.
        }
    }

    fn store(
        &self,
        commit: Arc<Commit>,
        keys: Vec<WrappedKey>,
        fault: Option<Fault>,
    ) -> Result<(), JournalError> {
        follows(&commit, &self.head.borrow())?;
        for bytes in commit.decisions.iter().flat_map(|decision| &decision.events) {
            Indexed::of(commit.number, bytes)?;
        }
        let mut stored = self.own()?;
        for key in &keys {
            if stored.keys.get(&key.id).is_some_and(|bytes| *bytes != key.bytes) {
                return Err(JournalError::KeyTaken { id: key.id.clone() });
            }
        }
        if let Some(fault) = fault {
            let doing = format!("cannot append commit {} to memory", commit.number);
            let whole = matches!(fault, Fault::TearAfter);
            if whole || matches!(fault, Fault::TearWithin) {
                stored.torn = Some(Torn { commit, keys, whole });
            }
            return Err(JournalError::Io { doing, source: io::Error::other("as injected") });
        }
        let head = commit.head();
        stored.put(commit, keys);
        drop(stored);
        self.head.send_replace(head);
        Ok(())
    }

    fn visible<'a>(&self, stored: &'a Stored) -> &'a [Arc<Commit>] {
        &stored.commits[..self.head.borrow().number.0 as usize]
    }

    fn to_write(&self) -> Result<MutexGuard<'_, Stored>, JournalError> {
        match &locked(&self.queue).failed {
            Some(reason) => Err(JournalError::Closed(reason.clone())),
            None => self.own(),
        }
    }

    fn own(&self) -> Result<MutexGuard<'_, Stored>, JournalError> {
        let stored = locked(&self.store.0);
        if stored.owner == self.owner {
            Ok(stored)
        } else {
            Err(JournalError::Closed("another journal was opened on its store".into()))
        }
    }
}

impl Stored {
    fn put(&mut self, commit: Arc<Commit>, keys: Vec<WrappedKey>) {
        self.commits.push(commit);
        self.keys.extend(keys.into_iter().map(|key| (key.id, key.bytes)));
    }
}

fn open_after(delay: Duration, gate: Gate) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            gate.open();
        })),
        Err(_) => drop(thread::spawn(move || {
            thread::sleep(delay);
            gate.open();
        })),
    }
}

/// Nothing panics while it holds one of these locks, so what they guard is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
