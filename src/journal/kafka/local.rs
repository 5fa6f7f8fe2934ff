//! What was taken, as this node has it: in the local journal, and the newest of it in memory.
//!
//! A commit that is taken lies with the brokers, as durable as they were asked to keep it. So it
//! counts at once, and the local journal is given it a moment later, in one transaction with those
//! behind it. Until it is stored there, whoever reads gets it from memory.
//!
//! **Invariant:** all that the head tells of can be read here. The local journal is given nothing
//! that the head does not tell of.

use std::{
    collections::VecDeque,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use events::{
    Channel, CommandId, Commit, CommitNumber, DecisionHeader, Envelope, Head, Position, Subject,
};
use tokio::sync::{oneshot::error::TryRecvError, watch};

use crate::journal::{Appending, Indexed, Journal as _, JournalError, SqliteJournal};

/// The local journal is given what was taken after so long at the latest,
const GIVE_AFTER: Duration = Duration::from_millis(100);
/// or as soon as it is so many commits,
const GIVE_COMMITS: usize = 256;
/// or so many bytes.
const GIVE_BYTES: usize = 1024 * 1024;
/// So many bytes are in memory alone at most, which bridges the moments in which the local journal waits
/// for its disk. Where it is slower than the log for longer, nothing more is taken meanwhile.
const UNSTORED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What can be read on this node.
pub struct Local {
    pub stored: SqliteJournal,
    head: watch::Sender<Head>,
    /// Commits up to the head, oldest first: all that are not stored.
    newest: Mutex<VecDeque<Arc<Commit>>>,
}

impl Local {
    pub fn new(stored: SqliteJournal) -> Self {
        let head = watch::Sender::new(*stored.head().borrow());
        Self { stored, head, newest: Mutex::default() }
    }

    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    pub fn read(
        &self,
        after: CommitNumber,
        events_max: usize,
    ) -> Result<Vec<Commit>, JournalError> {
        let (head, newest) = self.unstored();
        let first = newest.front().map_or(head.number.0 + 1, |commit| commit.number.0);
        let mut found = Vec::new();
        if after.0 + 1 < first {
            found = self.stored.read(after, events_max)?;
            found.retain(|commit| commit.number <= head.number);
        }
        let next = found.last().map_or(after, |commit| commit.number);
        let mut events: usize = found.iter().map(events_of).sum();
        for commit in newest.iter().filter(|commit| commit.number > next) {
            events += events_of(commit);
            let next = found.last().map_or(after, |commit| commit.number).0 + 1;
            if commit.number.0 != next || (events > events_max && !found.is_empty()) {
                break;
            }
            found.push(Commit::clone(commit));
        }
        Ok(found)
    }

    pub fn head_at(&self, number: CommitNumber) -> Result<Option<Head>, JournalError> {
        let (head, newest) = self.unstored();
        if number > head.number {
            return Ok(None);
        }
        match newest.iter().find(|commit| commit.number == number) {
            Some(commit) => Ok(Some(commit.head())),
            None => self.stored.head_at(number),
        }
    }

    pub fn read_subject(
        &self,
        channel: &Channel,
        subject: &Subject,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Envelope>, JournalError> {
        let (head, newest) = self.unstored();
        let first = newest.front().map_or(Position(head.position.0 + 1), |it| it.first_position);
        let mut found = self.stored.read_subject(channel, subject, after, limit)?;
        found.retain(|event| event.position < first);
        for commit in &newest {
            let events = commit.decisions.iter().flat_map(|decision| &decision.events);
            for (bytes, position) in
                events.zip(commit.first_position.0..).map(|(bytes, n)| (bytes, Position(n)))
            {
                if position <= after || found.len() >= limit {
                    continue;
                }
                let indexed = Indexed::of(commit.number, bytes)?;
                if indexed.subject == subject.as_str() && indexed.channel == channel.as_str() {
                    let decoded = serde_json::from_str(bytes);
                    found.push(decoded.map_err(|error| unreadable(commit, &error))?);
                }
            }
        }
        Ok(found)
    }

    pub fn decision(&self, command: CommandId) -> Result<Option<DecisionHeader>, JournalError> {
        let (_, newest) = self.unstored();
        let id = command.to_string();
        for commit in &newest {
            // Where the local journal looks too: a header begins with its command's id.
            let is_its = |header: &&String| header.get(12..12 + id.len()) == Some(id.as_str());
            let header = commit.decisions.iter().map(|decision| &decision.header).find(is_its);
            if let Some(header) = header {
                let decoded = serde_json::from_str(header);
                return decoded.map(Some).map_err(|error| unreadable(commit, &error));
            }
        }
        self.stored.decision(command)
    }

    /// The head, and the commits up to there that may not be stored. Those before them are.
    fn unstored(&self) -> (Head, VecDeque<Arc<Commit>>) {
        let newest = self.newest();
        (*self.head.borrow(), newest.clone())
    }

    /// A list of whole commits is whole whatever panicked beside it.
    fn newest(&self) -> MutexGuard<'_, VecDeque<Arc<Commit>>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was taken on its way to the local journal. Whoever takes a commit has it.
pub struct Storing {
    local: Arc<Local>,
    /// Not given to it yet.
    waiting: Vec<Arc<Commit>>,
    waiting_bytes: usize,
    /// When the first of them was taken.
    since: Instant,
    given: VecDeque<Given>,
    /// Of all that is given and not stored.
    given_bytes: usize,
}

/// Commits that the local journal stores in one transaction.
struct Given {
    commits: usize,
    bytes: usize,
    appending: Appending,
}

impl Storing {
    pub fn new(local: Arc<Local>) -> Self {
        Self {
            local,
            waiting: Vec::new(),
            waiting_bytes: 0,
            since: Instant::now(),
            given: VecDeque::new(),
            given_bytes: 0,
        }
    }

    /// The next commit counts from now on.
    pub fn take(&mut self, commit: Arc<Commit>) -> Result<(), JournalError> {
        let head = commit.head();
        {
            let mut newest = self.local.newest();
            newest.push_back(Arc::clone(&commit));
            self.local.head.send_replace(head);
        }
        if self.waiting.is_empty() {
            self.since = Instant::now();
        }
        self.waiting_bytes += commit.decisions.iter().map(|it| it.bytes()).sum::<usize>();
        self.waiting.push(commit);
        while self.waiting_bytes + self.given_bytes > UNSTORED_BYTES_MAX {
            self.give();
            self.stored_next()?;
        }
        Ok(())
    }

    /// How long whoever waits may do so before it [looks](Self::look) again.
    pub fn room(&self, most: Duration) -> Duration {
        match self.waiting.is_empty() {
            true => most,
            false => GIVE_AFTER.saturating_sub(self.since.elapsed()).min(most),
        }
    }

    /// Gives the local journal what is due, and forgets what it has stored.
    ///
    /// # Errors
    /// When the local journal has failed.
    pub fn look(&mut self) -> Result<(), JournalError> {
        let many = self.waiting.len() >= GIVE_COMMITS || self.waiting_bytes >= GIVE_BYTES;
        if many || (!self.waiting.is_empty() && self.since.elapsed() >= GIVE_AFTER) {
            self.give();
        }
        while self.forget()?.is_continue() {}
        Ok(())
    }

    /// Gives the local journal all that was taken.
    pub fn give(&mut self) {
        if !self.waiting.is_empty() {
            let (waiting, bytes) = (std::mem::take(&mut self.waiting), self.waiting_bytes);
            let commits = waiting.len();
            let appending = self.local.stored.append_together(waiting);
            self.given.push_back(Given { commits, bytes, appending });
            self.given_bytes += bytes;
            self.waiting_bytes = 0;
        }
    }

    /// Waits until all that was taken is stored.
    pub fn settle(&mut self) -> Result<(), JournalError> {
        self.give();
        while !self.given.is_empty() {
            self.stored_next()?;
        }
        Ok(())
    }

    /// Waits until the oldest that was given is stored.
    fn stored_next(&mut self) -> Result<(), JournalError> {
        if let Some(Given { commits, bytes, appending }) = self.given.pop_front() {
            appending.blocking_recv().map_err(|_| ended())??;
            self.forgotten(commits, bytes);
        }
        Ok(())
    }

    /// Forgets the oldest that was given, if it is stored.
    fn forget(&mut self) -> Result<ControlFlow<()>, JournalError> {
        let Some(oldest) = self.given.front_mut() else { return Ok(ControlFlow::Break(())) };
        match oldest.appending.try_recv() {
            Err(TryRecvError::Empty) => return Ok(ControlFlow::Break(())),
            Err(TryRecvError::Closed) => return Err(ended()),
            Ok(stored) => stored?,
        }
        let (commits, bytes) = (oldest.commits, oldest.bytes);
        self.given.pop_front();
        self.forgotten(commits, bytes);
        Ok(ControlFlow::Continue(()))
    }

    fn forgotten(&mut self, commits: usize, bytes: usize) {
        self.given_bytes -= bytes;
        self.local.newest().drain(..commits);
    }
}

fn events_of(commit: &Commit) -> usize {
    commit.decisions.iter().map(|decision| decision.events.len()).sum()
}

fn ended() -> JournalError {
    JournalError::Closed("the local journal has ended".into())
}

fn unreadable(commit: &Commit, error: &serde_json::Error) -> JournalError {
    let reason = format!("what it holds cannot be read: {error}");
    events::CommitError::Content { number: commit.number, reason }.into()
}

#[cfg(test)]
mod tests {
    use events::{Epoch, Sku, StoreId};
    use uuid::Uuid;

    use super::*;
    use crate::{
        journal::{MemoryJournal, sqlite},
        test_decision::adding,
    };

    fn local(folder: &std::path::Path, options: sqlite::Options) -> (Arc<Local>, Storing) {
        let local = Arc::new(Local::new(SqliteJournal::open(folder, options).unwrap()));
        (Arc::clone(&local), Storing::new(local))
    }

    /// A commit with so many decisions, each about one of two things.
    fn commit(head: &Head, decisions: u64) -> Arc<Commit> {
        let first = head.position.0 + 1;
        let decisions =
            (first..first + decisions).map(|n| adding(Position(n), thing(n % 2))).collect();
        Arc::new(Commit::seal(head, Epoch(1), decisions))
    }

    fn thing(n: u64) -> &'static str {
        ["tea", "cup"][n as usize]
    }

    /// Whatever is asked is answered as a journal answers that has stored it all.
    fn answers_as(local: &Local, whole: &MemoryJournal) {
        let head = *whole.head().borrow();
        assert_eq!(*local.head().borrow(), head);
        for number in (0..head.number.0 + 3).map(CommitNumber) {
            assert_eq!(local.head_at(number).unwrap(), whole.head_at(number).unwrap());
            for most in [0, 1, 2, 3, 5, 8, 1000] {
                let (found, expected) = (local.read(number, most), whole.read(number, most));
                assert_eq!(found.unwrap(), expected.unwrap(), "after {number}, {most} events");
            }
        }
        let channel = Channel::new("test").unwrap();
        for n in 0..2 {
            let subject =
                Subject::listing(&StoreId::new("corner").unwrap(), &Sku::new(thing(n)).unwrap());
            for (after, most) in (0..=head.position.0).flat_map(|it| [(it, 1), (it, 3), (it, 99)]) {
                let of = |journal: &dyn Fn(Position) -> Vec<Envelope>| {
                    let found = journal(Position(after)).into_iter();
                    found.map(|event| (event.position, event.id)).collect::<Vec<_>>()
                };
                let found = of(&|it| local.read_subject(&channel, &subject, it, most).unwrap());
                let expected = of(&|it| whole.read_subject(&channel, &subject, it, most).unwrap());
                assert_eq!(found, expected, "{subject} after {after}");
            }
        }
        let all = whole.read(CommitNumber(0), usize::MAX).unwrap();
        for decision in all.iter().flat_map(|commit| &commit.decisions) {
            let header: DecisionHeader = serde_json::from_str(&decision.header).unwrap();
            assert_eq!(
                local.decision(header.command).unwrap().map(|it| it.to_json()),
                Some(header.to_json())
            );
        }
        assert!(local.decision(CommandId(Uuid::new_v4())).unwrap().is_none());
    }

    #[test]
    fn what_was_taken_is_read_before_it_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let (local, mut storing) = local(folder.path(), sqlite::Options::default());
        let (whole, mut head) = (MemoryJournal::default(), Head::default());
        answers_as(&local, &whole);
        for decisions in [1, 3, 2, 2, 1, 4] {
            let next = commit(&head, decisions);
            head = next.head();
            whole.append(Arc::clone(&next), Vec::new()).blocking_recv().unwrap().unwrap();
            storing.take(next).unwrap();
            answers_as(&local, &whole);
            if head.number.0 == 2 || head.number.0 == 5 {
                assert_ne!(*local.stored.head().borrow(), head, "not given yet");
                storing.settle().unwrap();
                assert_eq!(*local.stored.head().borrow(), head);
                answers_as(&local, &whole);
            }
        }
        storing.settle().unwrap();
        assert!(local.newest().is_empty());
        answers_as(&local, &whole);
        drop((storing, local));
        let again = SqliteJournal::open(folder.path(), sqlite::Options::default()).unwrap();
        assert_eq!(*again.head().borrow(), head);
    }

    #[test]
    fn it_is_stored_without_being_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (local, mut storing) = local(folder.path(), sqlite::Options::default());
        let mut head = Head::default();
        for _ in 0..GIVE_COMMITS {
            let next = commit(&head, 1);
            head = next.head();
            storing.take(next).unwrap();
        }
        let mut stored = local.stored.head();
        while !local.newest().is_empty() {
            storing.look().unwrap();
        }
        assert_eq!(*stored.borrow_and_update(), head);
        // One alone, after a moment.
        storing.take(commit(&head, 1)).unwrap();
        assert!(storing.room(Duration::from_secs(1)) <= GIVE_AFTER);
        while !local.newest().is_empty() {
            storing.look().unwrap();
        }
        assert_eq!(stored.borrow_and_update().number.0, head.number.0 + 1);
    }

    #[test]
    fn a_slow_local_journal_is_waited_for_and_a_full_one_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let options =
            sqlite::Options { max_page_count: Some(16_000), ..sqlite::Options::default() };
        let (local, mut storing) = local(folder.path(), options);
        let mut head = Head::default();
        let refused = loop {
            let next = commit(&head, 200);
            head = next.head();
            if let Err(error) = storing.take(next) {
                break error;
            }
            let unstored: usize =
                local.newest().iter().flat_map(|it| &it.decisions).map(|it| it.bytes()).sum();
            assert!(unstored <= UNSTORED_BYTES_MAX, "{unstored} bytes");
            assert!(head.number.0 < 2000, "64 MiB take no more than this");
        };
        assert!(matches!(refused, JournalError::Sqlite { .. }), "{refused}");
        assert!(local.stored.head().borrow().number.0 > 0, "some were stored");
    }
}
