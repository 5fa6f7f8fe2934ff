//! Moving house: a journal copied to another place, whatever keeps the two, with its wrapped keys and
//! the blobs that its events name. Numbers, positions, epochs and hashes stay as they are.
//!
//! Keys come first, so that whoever follows the copy has the key of what it reads; a blob comes before
//! the commit that names it. So what is there of a copy that was cut off is right, and the next goes
//! on behind it.
//!
//! **Invariant:** a commit is copied when it continues the one before, and only behind commits that
//! the source has too. Nobody else writes to either of the two meanwhile; that is for whoever opens
//! them to see to.

use std::{
    collections::VecDeque,
    ops::ControlFlow,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use events::{Commit, CommitNumber, Digest, Hash, Head, RecordedDecision};
use tokio::sync::oneshot::error::TryRecvError;

use crate::{
    backup::{self, Named, Progress, Tell},
    blobs::{self, Blobs},
    journal::{Appending, Journal, JournalError},
    keys,
};

mod both;

/// How many events are taken at a time.
const SLICE_EVENTS: usize = 500;

/// How many keys are taken at a time.
const SLICE_KEYS: usize = 1000;

/// So many commits are on their way at most, and so many bytes, about.
const SENT_MAX: (usize, usize) = (512, 16 << 20);

/// How often it is looked whether a commit has arrived.
const LOOK: Duration = Duration::from_millis(1);

/// A journal, and the blobs that its events name.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The journal.
    pub journal: &'a dyn Journal,
    /// The blobs.
    pub blobs: &'a Blobs,
}

/// What is wished beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// To go on where blobs are missing or damaged.
    pub allow_lost_blobs: bool,
    /// How long the destination may take for one commit.
    pub patience: Duration,
}

/// What the destination has, and what of it is new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// The newest commit of both.
    pub head: Head,
    /// How many commits were not there before.
    pub commits: u64,
    /// How many keys both have.
    pub keys: u64,
    /// How many keys were not there before, or are not any more.
    pub keys_changed: u64,
    /// How many blobs the events name, those that are lost aside.
    pub blobs: u64,
    /// How many of them were not there before.
    pub blobs_put: u64,
    /// How many blobs are lost.
    pub blobs_lost: u64,
}

impl Copied {
    /// Whether there was nothing to do.
    pub fn was_complete(&self) -> bool {
        (self.commits, self.keys_changed, self.blobs_put) == (0, 0, 0)
    }
}

/// Why a copy is not whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of the journals failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The source is damaged, or somebody said to stop.
    #[error(transparent)]
    Read(#[from] backup::Error),
    /// A blob cannot be read or written.
    #[error(transparent)]
    Blob(#[from] blobs::Error),
    /// The destination holds another journal.
    #[error(
        "the destination holds another journal: its commit {number} has the hash {found}, and the \
         source's {expected}"
    )]
    Differs {
        /// The first commit that is another.
        number: CommitNumber,
        /// Its hash.
        found: Hash,
        /// The hash of the source's.
        expected: Hash,
    },
    /// The destination has gone on.
    #[error(
        "the destination has gone on by itself: its commit {number} comes after the source's newest"
    )]
    GoneOn {
        /// The first commit that the source does not have.
        number: CommitNumber,
    },
    /// The destination holds keys of another site.
    #[error("the destination holds keys of another site: {id} is not what the source has")]
    Key {
        /// The first key that is another.
        id: String,
    },
    /// The destination does not answer.
    #[error("commit {number} is not there after {patience:?}; what came before it is")]
    Stuck {
        /// The commit.
        number: CommitNumber,
        /// How long it was waited for.
        patience: Duration,
    },
}

/// Whether the destination holds a part of what the source does, or all of it, or nothing. Blocks on
/// storage.
///
/// # Errors
/// When it holds something else.
pub fn check(from: Place<'_>, to: Place<'_>) -> Result<(), Error> {
    check_both(from, to).map(drop)
}

fn check_both(from: Place<'_>, to: Place<'_>) -> Result<u64, Error> {
    both::check_history(from.journal, to.journal)?;
    both::check_keys(from.journal, to.journal)
}

/// Copies what the destination does not have yet. Blocks on storage.
///
/// # Errors
/// When the destination holds something else, which is seen before anything is changed; when the
/// source is damaged; when one of the two fails. What was copied by then stays, and the next copy goes
/// on behind it.
pub fn copy(
    from: Place<'_>,
    to: Place<'_>,
    wishes: Wishes,
    tell: &mut Tell<'_>,
) -> Result<Copied, Error> {
    let goal = *from.journal.head().borrow();
    let begun = *to.journal.head().borrow();
    let missing = check_both(from, to)?;
    let mut copied = both::copy_keys(from.journal, to.journal, missing, tell)?;
    let mut copy =
        Copy { from, to, wishes, begun, goal, named: Named::default(), sent: VecDeque::new() };
    copy.commits(&mut copied, tell)?;
    let forgotten = copy.forgotten()?;
    copied.keys -= forgotten;
    copied.keys_changed += forgotten;
    copied.head = *to.journal.head().borrow();
    match copied.head == goal {
        true => Ok(copied),
        false => Err(Error::GoneOn { number: CommitNumber(goal.number.0 + 1) }),
    }
}

struct Copy<'a> {
    from: Place<'a>,
    to: Place<'a>,
    wishes: Wishes,
    /// The newest commit that was there already.
    begun: Head,
    /// The newest commit of the source.
    goal: Head,
    named: Named,
    /// What is on its way, oldest first.
    sent: VecDeque<Sent>,
}

/// A commit on its way.
struct Sent {
    head: Head,
    bytes: usize,
    appending: Appending,
}

impl Copy<'_> {
    /// Reads the whole source, and copies what is not there yet.
    fn commits(&mut self, copied: &mut Copied, tell: &mut Tell<'_>) -> Result<(), Error> {
        let mut at = Head::default();
        while at.number < self.goal.number {
            let commits = self.from.journal.read(at.number, SLICE_EVENTS)?;
            let Some(last) = commits.last().map(Commit::head) else { break };
            for blob in self.named.take(&commits, at)? {
                self.blob(blob, copied)?;
            }
            at = last;
            if at.number <= self.begun.number {
                go_on(tell, "comparing events", at.position.0, self.begun.position.0)?;
            }
            for commit in commits {
                if commit.number > self.begun.number {
                    self.send(commit, tell)?;
                    copied.commits += 1;
                }
            }
        }
        while !self.sent.is_empty() {
            self.settle(tell)?;
        }
        Ok(())
    }

    fn send(&mut self, commit: Commit, tell: &mut Tell<'_>) -> Result<(), Error> {
        let (head, decisions) = (commit.head(), commit.decisions.iter());
        let bytes = decisions.map(RecordedDecision::bytes).sum();
        let (commits_max, bytes_max) = SENT_MAX;
        let on_their_way = |sent: &VecDeque<Sent>| sent.iter().map(|it| it.bytes).sum::<usize>();
        while self.sent.len() >= commits_max || on_their_way(&self.sent) >= bytes_max {
            self.settle(tell)?;
        }
        let appending = self.to.journal.append(Arc::new(commit), Vec::new());
        self.sent.push_back(Sent { head, bytes, appending });
        Ok(())
    }

    /// Waits for the oldest that is on its way.
    fn settle(&mut self, tell: &mut Tell<'_>) -> Result<(), Error> {
        let Some(Sent { head, mut appending, .. }) = self.sent.pop_front() else { return Ok(()) };
        let (since, patience) = (Instant::now(), self.wishes.patience);
        loop {
            match appending.try_recv() {
                Ok(done) => {
                    done?;
                    return go_on(tell, "copying events", head.position.0, self.goal.position.0);
                }
                Err(TryRecvError::Closed) => {
                    return Err(JournalError::Closed("its writer has ended".into()).into());
                }
                Err(TryRecvError::Empty) if since.elapsed() > patience => {
                    return Err(Error::Stuck { number: head.number, patience });
                }
                Err(TryRecvError::Empty) => {
                    let before = head.position.0 - 1;
                    go_on(tell, "copying events", before, self.goal.position.0)?;
                    thread::sleep(LOOK);
                }
            }
        }
    }

    fn blob(&self, blob: Digest, copied: &mut Copied) -> Result<(), Error> {
        if matches!(self.to.blobs.get(&blob), Ok(Some(_))) {
            copied.blobs += 1;
            return Ok(());
        }
        let lost = match self.from.blobs.get(&blob) {
            Ok(Some(bytes)) => {
                self.to.blobs.put(&bytes)?;
                copied.blobs += 1;
                copied.blobs_put += 1;
                return Ok(());
            }
            Ok(None) => "there is no such file".to_owned(),
            Err(error @ blobs::Error::Damaged { .. }) => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        if !self.wishes.allow_lost_blobs {
            let position = self.named.blobs[&blob];
            return Err(backup::Error::BlobLost { blob, position, why: lost }.into());
        }
        copied.blobs_lost += 1;
        Ok(())
    }

    /// Leaves no key of anybody who is forgotten, as whoever forgot them may not have come to that.
    fn forgotten(&self) -> Result<u64, Error> {
        let mut destroyed = 0;
        for account in &self.named.forgotten {
            let id = keys::key_id(*account);
            if self.to.journal.wrapped_key(&id)?.is_some() {
                self.to.journal.destroy_key(&id)?;
                destroyed += 1;
            }
        }
        Ok(destroyed)
    }
}

/// Goes on unless somebody says to stop.
fn go_on(tell: &mut Tell<'_>, doing: &'static str, done: u64, of: u64) -> Result<(), Error> {
    match tell(Progress { doing, done, of: of.max(done) }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(backup::Error::Stopped.into()),
    }
}

#[cfg(test)]
mod tests;
