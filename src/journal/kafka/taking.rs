//! Takes commits in the order of the log, whoever tells where they lie: the reader of the topics, or
//! the brokers, when they say which offset a commit of this node has got.
//!
//! An offset that directly follows what was taken last proves that nothing came between, so a writer
//! need not read back what it has sent. Where one does not follow, somebody else has written: what
//! lies between is for the reader to read.
//!
//! **Invariant:** what was taken is the log from its beginning up to [`Taker::next`], and nothing of
//! it was passed over.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use events::{Commit, CommitNumber, Epoch, Hash, Head};
use tokio::sync::watch;

use super::{
    chain::{Verdict, judge},
    follower::{Note, Offsets, Progress},
    local::{Local, Storing},
};
use crate::journal::{JournalError, follows};

/// How often it is written down how far the topics are read, in commits.
const NOTE_EVERY: u64 = 256;

/// Several threads take commits, one at a time.
pub struct Taking(Mutex<Taker>);

pub struct Taker {
    pub local: Arc<Local>,
    pub storing: Storing,
    progress: watch::Sender<Progress>,
    head: Head,
    pub next: Offsets,
    unfinished: bool,
    /// Commits that wait for the keys that were sent before them.
    early: VecDeque<(Found, i64)>,
    unnoted: u64,
    /// When the brokers last told the offset that came next.
    pub told_at: Option<Instant>,
    /// The furthest offset that they told and that did not follow.
    far: i64,
    /// Why nothing more is taken.
    failed: Option<JournalError>,
    over: bool,
}

/// A commit as it was found in the log.
pub enum Found {
    /// The very one that this node has sealed and sent.
    Own(Arc<Commit>),
    /// Whatever a record says.
    Foreign(Arc<Commit>),
}

/// What became of a commit in the log.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// It counts, and made this head.
    Taken(Head),
    /// It came too late.
    Lost {
        /// Its number.
        number: CommitNumber,
        /// Its hash.
        hash: Hash,
        /// Of whoever has its place.
        epoch: Epoch,
    },
}

impl Taking {
    pub fn new(local: Arc<Local>, note: Note, progress: watch::Sender<Progress>) -> Self {
        let head = *local.head().borrow();
        let Note { read: next, unfinished } = note;
        progress.send_modify(|it| {
            (it.read, it.epoch, it.unfinished) = (next, head.epoch, unfinished);
        });
        Self(Mutex::new(Taker {
            storing: Storing::new(Arc::clone(&local)),
            local,
            progress,
            head,
            next,
            unfinished,
            early: VecDeque::new(),
            unnoted: 0,
            told_at: None,
            far: -1,
            failed: None,
            over: false,
        }))
    }

    /// For the reader alone: what goes wrong with what the brokers tell is told to it, once.
    ///
    /// # Errors
    /// When somebody panicked over it, or something went wrong with what the brokers told.
    pub fn lock(&self) -> Result<MutexGuard<'_, Taker>, JournalError> {
        let doubtful = || JournalError::Closed("taking a commit panicked".into());
        let mut taker = self.0.lock().map_err(|_| doubtful())?;
        match taker.failed.take() {
            Some(error) => Err(error),
            None => Ok(taker),
        }
    }

    /// The brokers have a commit of this node at an offset; `keys` is what its record says of keys.
    /// Gives what became of it, as far as that is known now.
    pub fn delivered(&self, commit: &Arc<Commit>, offset: i64, keys: i64) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if let Ok(mut taker) = self.0.lock()
            && !taker.over
            && let Err(error) = taker.delivered(commit, offset, keys, &mut outcomes)
        {
            (taker.over, taker.failed) = (true, Some(error)); // The reader finds it.
        }
        outcomes
    }

    /// Takes nothing more, and says why to all who ask how far it is.
    pub fn fail(&self, reason: &Arc<str>) {
        let mut taker = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        taker.over = true;
        taker.progress.send_modify(|it| it.failed = Some(Arc::clone(reason)));
    }
}

impl Taker {
    fn delivered(
        &mut self,
        commit: &Arc<Commit>,
        offset: i64,
        keys: i64,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), JournalError> {
        if offset != self.next.journal {
            // One that was read first is known. An offset below zero is none: the record was there
            // already when it was sent again, and the client does not know where.
            self.far = self.far.max(if offset < 0 { self.next.journal } else { offset });
            return Ok(());
        }
        if commit.number.0 > self.head.number.0 + self.early.len() as u64 + 1 {
            // Sent again together with others, whose offsets the client counts from one it does not
            // know.
            self.far = self.far.max(offset);
            return Ok(());
        }
        self.told_at = Some(Instant::now());
        self.found(Found::Own(Arc::clone(commit)), offset, keys, outcomes)?;
        self.storing.look()?;
        self.note_in_time();
        Ok(())
    }

    /// The commit at the next offset.
    ///
    /// # Errors
    /// When it is not the next, or does not belong there, or the local journal has failed.
    pub fn found(
        &mut self,
        commit: Found,
        offset: i64,
        keys: i64,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), JournalError> {
        in_order(self.next.journal, offset)?;
        self.next.journal = offset + 1;
        self.early.push_back((commit, keys));
        self.take_early(outcomes)
    }

    /// The keys are read up to this offset.
    pub fn keys_reach(
        &mut self,
        next: i64,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), JournalError> {
        self.next.keys = next;
        self.take_early(outcomes)
    }

    /// Whether the log has commits at the next offset or behind it that only a reader can get.
    pub fn is_behind(&self) -> bool {
        self.far >= self.next.journal
    }

    /// How many commits wait for keys.
    pub fn waiting(&self) -> usize {
        self.early.len()
    }

    /// Takes in the commits whose keys are here.
    fn take_early(&mut self, outcomes: &mut Vec<Outcome>) -> Result<(), JournalError> {
        while self.early.front().is_some_and(|(_, keys)| *keys <= self.next.keys) {
            if let Some((commit, _)) = self.early.pop_front() {
                outcomes.push(self.judge(commit)?);
            }
        }
        Ok(())
    }

    fn judge(&mut self, found: Found) -> Result<Outcome, JournalError> {
        let local = &self.local;
        let hash_at = |number| Ok(local.head_at(number)?.map(|it| it.hash));
        let verdict = match &found {
            Found::Own(commit) => judge::<JournalError>(commit, &self.head, hash_at, follows)?,
            Found::Foreign(commit) => judge(commit, &self.head, hash_at, Commit::continues)?,
        };
        let (Found::Own(commit) | Found::Foreign(commit)) = found;
        let (number, epoch, hash) = (commit.number, commit.epoch, commit.hash);
        match verdict {
            // Whoever copies a journal may send what another sent before it.
            Verdict::Known => Ok(Outcome::Taken(commit.head())),
            Verdict::Fenced => {
                tracing::warn!(%number, %epoch, "a commit came too late and does not count");
                self.progress.send_modify(|it| {
                    it.fenced += 1;
                    it.epoch = it.epoch.max(epoch);
                });
                Ok(Outcome::Lost { number, hash, epoch: self.head.epoch })
            }
            Verdict::Taken => {
                self.head = commit.head();
                self.storing.take(commit)?;
                self.unnoted += 1;
                Ok(Outcome::Taken(self.head))
            }
        }
    }

    /// Whether what is read is a part of a copy.
    pub fn set_unfinished(&mut self, unfinished: bool) {
        self.storing.give();
        self.unfinished = unfinished;
    }

    /// Writes down how far it has come, where it has come far.
    pub fn note_in_time(&mut self) {
        if self.unnoted >= NOTE_EVERY {
            self.tell();
            self.note();
        }
    }

    /// Tells how far it is.
    pub fn tell(&self) {
        if self.progress.borrow().read == self.next {
            return;
        }
        let (read, epoch, none_waits) = (self.next, self.head.epoch, self.early.is_empty());
        let unfinished = self.unfinished;
        self.progress.send_modify(|it| {
            (it.read.keys, it.unfinished) = (read.keys, unfinished);
            if none_waits {
                it.read.journal = read.journal;
                it.epoch = it.epoch.max(epoch);
            }
        });
    }

    /// Writes down how far it has come, behind the commits that it took. One that waits for keys is
    /// read again.
    fn note(&mut self) {
        if self.early.is_empty() {
            self.storing.give();
            let note = Note { read: self.next, unfinished: self.unfinished };
            let _ = self.local.stored.note(note.to_text()); // A journal that has failed says so when it appends.
            self.unnoted = 0;
        }
    }

    /// Stores what was taken, and takes nothing more.
    ///
    /// # Errors
    /// When the local journal has failed.
    pub fn end(&mut self) -> Result<(), JournalError> {
        self.over = true;
        self.storing.give();
        self.note();
        self.storing.settle()
    }
}

/// Nothing between two commits may be missing from what was read.
pub fn in_order(expected: i64, found: i64) -> Result<(), JournalError> {
    match found == expected {
        true => Ok(()),
        false => Err(JournalError::Kafka {
            doing: "the journal's topic has lost records".into(),
            reason: format!("offset {expected} is missing; the next is {found}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use events::{Epoch, Position};

    use super::*;
    use crate::{
        journal::sqlite::{Options, SqliteJournal},
        test_decision::adding,
    };

    const NONE: [u64; 0] = [];

    fn taking(folder: &tempfile::TempDir) -> (Arc<Local>, Taking, watch::Receiver<Progress>) {
        let stored = SqliteJournal::open(folder.path(), Options::default()).unwrap();
        let local = Arc::new(Local::new(stored));
        let (told, progress) = watch::channel(Progress::default());
        (Arc::clone(&local), Taking::new(local, Note::default(), told), progress)
    }

    fn next(head: &Head, epoch: u64) -> Arc<Commit> {
        let decision = adding(Position(head.position.0 + 1), "tea");
        Arc::new(Commit::seal(head, Epoch(epoch), vec![decision]))
    }

    fn taken(outcomes: &[Outcome]) -> Vec<u64> {
        let number = |outcome: &Outcome| match outcome {
            Outcome::Taken(head) => head.number.0,
            Outcome::Lost { .. } => panic!("{outcome:?}"),
        };
        outcomes.iter().map(number).collect()
    }

    #[test]
    fn what_the_brokers_tell_is_taken_where_nothing_lies_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let (local, taking, _) = taking(&folder);
        let first = next(&Head::default(), 1);
        let second = next(&first.head(), 1);
        assert_eq!(taken(&taking.delivered(&first, 0, 0)), [1]);
        assert_eq!(taken(&taking.delivered(&first, 0, 0)), NONE, "it is known");
        assert_eq!(taken(&taking.delivered(&second, 1, 0)), [2]);
        assert_eq!(*local.head().borrow(), second.head());
        assert!(!taking.lock().unwrap().is_behind());
    }

    #[test]
    fn what_lies_between_is_left_to_the_reader() {
        let folder = tempfile::tempdir().unwrap();
        let (local, taking, progress) = taking(&folder);
        let first = next(&Head::default(), 2);
        let late = next(&Head::default(), 1);
        let second = next(&first.head(), 2);
        assert_eq!(taken(&taking.delivered(&first, 0, 0)), [1]);
        assert_eq!(taken(&taking.delivered(&second, 2, 0)), NONE, "somebody else's is at 1");
        let mut taker = taking.lock().unwrap();
        assert!(taker.is_behind());
        let mut outcomes = Vec::new();
        taker.found(Found::Foreign(late), 1, 0, &mut outcomes).unwrap();
        assert!(matches!(outcomes[..], [Outcome::Lost { epoch: Epoch(2), .. }]), "{outcomes:?}");
        assert_eq!(progress.borrow().fenced, 1);
        assert!(taker.is_behind());
        outcomes.clear();
        taker.found(Found::Own(Arc::clone(&second)), 2, 0, &mut outcomes).unwrap();
        assert_eq!(taken(&outcomes), [2]);
        assert!(!taker.is_behind());
        assert!(taker.found(Found::Own(second), 4, 0, &mut outcomes).is_err(), "3 is missing");
        drop(taker);
        assert_eq!(local.head().borrow().number.0, 2);
    }

    /// The brokers had it already when it was sent again.
    #[test]
    fn one_whose_offset_nobody_tells_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (_, taking, _) = taking(&folder);
        let first = next(&Head::default(), 1);
        let second = next(&first.head(), 1);
        assert_eq!(taken(&taking.delivered(&first, -1, 0)), NONE);
        assert_eq!(taken(&taking.delivered(&second, 0, 0)), NONE, "counted from there");
        let mut taker = taking.lock().unwrap();
        assert!(taker.is_behind());
        let mut outcomes = Vec::new();
        taker.found(Found::Own(first), 0, 0, &mut outcomes).unwrap();
        taker.found(Found::Own(second), 1, 0, &mut outcomes).unwrap();
        assert_eq!(taken(&outcomes), [1, 2]);
        assert!(!taker.is_behind());
    }

    #[test]
    fn one_that_another_came_before_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (local, taking, _) = taking(&folder);
        let (opens, late) = (next(&Head::default(), 2), next(&Head::default(), 1));
        let found = Found::Foreign(Arc::clone(&opens));
        taking.lock().unwrap().found(found, 0, 0, &mut Vec::new()).unwrap();
        let outcomes = taking.delivered(&late, 1, 0);
        assert!(
            matches!(outcomes[..], [Outcome::Lost { hash, .. }] if hash == late.hash),
            "{outcomes:?}"
        );
        assert_eq!(*local.head().borrow(), opens.head());
    }

    #[test]
    fn one_waits_for_its_keys_and_the_others_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let (local, taking, _) = taking(&folder);
        let first = next(&Head::default(), 1);
        let second = next(&first.head(), 1);
        assert_eq!(taken(&taking.delivered(&first, 0, 1)), NONE);
        assert_eq!(taken(&taking.delivered(&second, 1, 1)), NONE);
        assert_eq!(*local.head().borrow(), Head::default());
        let mut outcomes = Vec::new();
        taking.lock().unwrap().keys_reach(1, &mut outcomes).unwrap();
        assert_eq!(taken(&outcomes), [1, 2]);
    }

    /// Nothing is taken behind something that is wrong, and the reader says what that was.
    #[test]
    fn one_that_continues_nothing_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let (local, taking, progress) = taking(&folder);
        let first = next(&Head::default(), 1);
        let beside = next(&next(&Head::default(), 2).head(), 2);
        assert_eq!(taken(&taking.delivered(&first, 0, 0)), [1]);
        assert_eq!(taken(&taking.delivered(&beside, 1, 0)), NONE);
        let error = taking.lock().err().unwrap().to_string();
        assert!(error.contains("commit 2"), "{error}");
        taking.fail(&error.into());
        assert!(progress.borrow().failed.is_some());
        assert_eq!(taken(&taking.delivered(&next(&first.head(), 1), 1, 0)), NONE);
        assert_eq!(*local.head().borrow(), first.head());
    }
}
