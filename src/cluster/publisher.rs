//! Writes the public topics: every record that [`publish`] makes of the journal's events, once and in
//! the journal's order.
//!
//! One transaction holds the records of some commits. Whoever publishes next shuts out the one before,
//! and goes on behind the newest record that is in the topics, which are kept for ever.
//!
//! Nothing else tells how far is published. An offset of a group could be committed in the same
//! transaction, but brokers forget it after some idle days, and librdkafka 2.12 may wait for its
//! coordinator without end once that was started again.
//!
//! **Invariant:** a reader of what is committed finds each record exactly once, those of one key in
//! the order of the journal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use events::{CommitNumber, Head, Position};
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::Producer as _,
};
use tokio::sync::watch;

use crate::journal::{Followed, Journal, JournalError, Reader, Tail};

mod aside;
pub(crate) mod producer;
mod sending;
mod topics;

use aside::Aside;
use producer::Producer;
use sending::Sending;

/// So many events are read at once, about, as commits stay whole, and make a transaction worth its while.
pub(crate) const EVENTS_AT_ONCE: usize = 500;
/// So many are published in one transaction at most, about. A publisher begins with fewer, as whatever
/// ended the one before may have been too many.
pub(crate) const EVENTS_MAX: usize = 4_000;
/// How long the brokers may take for one step.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a transaction may take, tries included, before it is left to whoever begins anew, should
/// one of its steps ignore how long it may take.
const PUT_WITHIN: Duration = Duration::from_secs(45);
/// How long commits are gathered for the next transaction, where it would have fewer events than these:
/// each costs the brokers a mark in every partition that it touches, however much is in it.
pub(crate) const GATHER: Duration = Duration::from_millis(100);
/// How long to wait for a commit before looking whether to end.
const POLL: Duration = Duration::from_millis(200);
/// So long the records of a transaction are made and sent by a thread that waits for a core that nothing
/// else wants; an ordinary one goes on.
const ASIDE_WITHIN: Duration = Duration::from_secs(1);
/// So long that thread may take to say how far it has come, within a transaction's 10 s. Who begins anew
/// shuts out what it may send yet, and does not wait for it at first.
const ASIDE_MAX: Duration = Duration::from_secs(5);
/// Where more events than these are not published, nothing waits for such a core,
const HURRIES_FROM: u64 = 5_000;
/// until so few are left.
const HURRIES_UNTIL: u64 = 1_000;

/// Why nothing more is published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another node publishes.
    #[error("another node publishes")]
    Fenced,
    /// A transaction came to no end. Whoever begins anew ends it.
    #[error("a transaction came to no end")]
    Stuck,
    /// The brokers refused.
    #[error("{doing}: {source}")]
    Kafka {
        /// What was being done.
        doing: &'static str,
        /// What was said.
        source: KafkaError,
    },
    /// This node has not read all that is published: another one has written it.
    #[error("this node has not read yet what another has published")]
    Behind,
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Publishes what a journal holds.
pub struct Publisher {
    reader: Arc<Reader>,
    producer: Producer,
    prefix: String,
    published: watch::Sender<Head>,
    aside: Arc<Aside>,
}

impl Publisher {
    /// Takes over from whoever published before. `tail` is what the engine has just recorded. Blocks.
    ///
    /// # Errors
    /// When the brokers do not answer, and [`Error::Behind`] when the journal does not hold all that is
    /// published yet.
    pub fn begin(
        journal: Arc<dyn Journal>,
        tail: Tail,
        config: &ClientConfig,
        prefix: &str,
    ) -> Result<Self, Error> {
        let failed = |doing| move |source| Error::Kafka { doing, source };
        let id = format!("{prefix}.publisher");
        let producer = producer::make(config, &id).map_err(failed("cannot make a producer"))?;
        producer.init_transactions(ANSWER_WITHIN).map_err(failed("cannot begin to publish"))?;
        let newest =
            topics::newest(config, prefix).map_err(failed("cannot read what is published"))?;
        let published = watch::Sender::new(head_of(journal.as_ref(), newest)?);
        let reader = Arc::new(Reader::new(journal, tail, EVENTS_AT_ONCE));
        let aside = Aside::begin().map_err(|source| {
            let doing = "cannot start the publisher's thread".into();
            JournalError::Io { doing, source }
        })?;
        Ok(Self { reader, producer, prefix: prefix.to_owned(), published, aside: Arc::new(aside) })
    }

    /// The head that the newest commit made which is published, and a way to wait for the next.
    pub fn published(&self) -> watch::Receiver<Head> {
        self.published.subscribe()
    }

    /// Publishes until it is told to end, or another node publishes. A transaction that is taken back
    /// is tried again; brokers that are silent for longer than half a minute end it.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another node publishes; what the journal or the brokers say otherwise.
    pub async fn run(&self, ends: &AtomicBool) -> Result<(), Error> {
        let mut head = self.reader.head();
        let (mut hurries, mut events) = (true, EVENTS_AT_ONCE);
        while !ends.load(Ordering::Relaxed) {
            let after = *self.published.borrow();
            let newest = *head.borrow_and_update();
            if newest.number <= after.number {
                let _ = tokio::time::timeout(POLL, head.changed()).await; // Then it looks again.
                continue;
            }
            let reader = Arc::clone(&self.reader);
            // Others wait for who reads: not a thing for a thread that may have to wait for its core.
            let read = tokio::task::spawn_blocking(move || next(&reader, &after, events)).await;
            let ended = |_| JournalError::Closed("reading it has ended".into());
            let commits = read.map_err(ended)??;
            let last = commits.last().map_or(after, |commit| commit.after);
            let commits = commits.into();
            let put = self.put(&commits, hurries, ends);
            let put = tokio::time::timeout(PUT_WITHIN, put).await;
            if put.map_err(|_| Error::Stuck)?? {
                self.published.send_replace(last);
                events = EVENTS_MAX.min(2 * events);
            }
            let left = head.borrow().position.0.saturating_sub(last.position.0);
            hurries = still_hurries(hurries, left);
            if left < EVENTS_AT_ONCE as u64 {
                tokio::time::sleep(GATHER).await;
            }
        }
        Ok(())
    }

    /// Puts the records of commits into the topics, all or nothing. Says whether it did, or was told to
    /// end before.
    async fn put(
        &self,
        commits: &Arc<[Arc<Followed>]>,
        mut hurries: bool,
        ends: &AtomicBool,
    ) -> Result<bool, Error> {
        while !commits.is_empty() {
            if ends.load(Ordering::Relaxed) {
                return Ok(false);
            }
            match self.transact(commits, hurries).await {
                Ok(()) => break,
                Err(Failure::Late) => return Err(Error::Stuck),
                Err(Failure::Kafka(error)) => self.undo(error).await?,
            }
            hurries = true; // It may have waited too long for a core.
            tokio::time::sleep(POLL).await; // What went wrong may take a moment to pass.
        }
        Ok(true)
    }

    async fn transact(&self, commits: &Arc<[Arc<Followed>]>, hurries: bool) -> Result<(), Failure> {
        let producer = self.producer.clone();
        blocking(move || producer.begin_transaction()).await?;
        let mut sending = Sending::new(&self.producer, &self.prefix, commits);
        if !hurries {
            let aside = Arc::clone(&self.aside);
            let go_on = move || {
                let until = Instant::now() + ASIDE_WITHIN;
                sending.go_on(|| Instant::now() < until)
            };
            // It is an ordinary thread that waits for the other one.
            let sent = blocking(move || Ok(aside.run(ASIDE_MAX, go_on))).await?;
            sending = sent.ok_or(Failure::Late)??;
        }
        if !sending.is_done() {
            sending = blocking(move || sending.go_on(|| true)).await?;
        }
        tracing::debug!(records = sending.records, "a transaction is sent");
        let producer = self.producer.clone();
        Ok(blocking(move || producer::commit(&producer, ANSWER_WITHIN)).await?)
    }

    /// Takes back what was begun, where trying again may help.
    async fn undo(&self, error: KafkaError) -> Result<(), Error> {
        let doing = "cannot publish";
        let fatal = self.producer.client().fatal_error();
        if let Some((code, _)) = &fatal
            && matches!(code, RDKafkaErrorCode::Fenced | RDKafkaErrorCode::InvalidProducerEpoch)
        {
            return Err(Error::Fenced);
        }
        if fatal.is_some() {
            return Err(Error::Kafka { doing, source: error });
        }
        let record = self.producer.client().context().take();
        let record = record.map(|error| error.to_string());
        tracing::warn!(%error, record, "a transaction is taken back and tried again");
        let producer = self.producer.clone();
        let undone = blocking(move || producer.abort_transaction(ANSWER_WITHIN)).await;
        match (undone, self.producer.client().fatal_error()) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some((RDKafkaErrorCode::Fenced, _))) => Err(Error::Fenced),
            (Err(source), _) => Err(Error::Kafka { doing, source }),
        }
    }
}

/// The head that the commit made which an event is in; that of nothing for no event.
fn head_of(journal: &dyn Journal, position: Position) -> Result<Head, Error> {
    let newest = *journal.head().borrow();
    let (mut before, mut at) = (CommitNumber(0), newest);
    if position.0 == 0 {
        return Ok(Head::default());
    }
    if position > newest.position {
        return Err(Error::Behind);
    }
    while before.0 + 1 < at.number.0 {
        let middle = CommitNumber(before.0 + (at.number.0 - before.0) / 2);
        match journal.head_at(middle)? {
            Some(head) if head.position >= position => at = head,
            Some(_) | None => before = middle,
        }
    }
    Ok(at)
}

/// Why a transaction came to nothing.
enum Failure {
    Kafka(KafkaError),
    /// It is not known what is sent yet.
    Late,
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error)
    }
}

/// Whether who did or did not hurry does so now that so many events are left.
fn still_hurries(hurries: bool, left: u64) -> bool {
    left > if hurries { HURRIES_UNTIL } else { HURRIES_FROM }
}

/// The next commits, of so many events or a few more.
fn next(reader: &Reader, after: &Head, events: usize) -> Result<Vec<Arc<Followed>>, JournalError> {
    let mut commits = Vec::new();
    let (mut last, mut read) = (*after, 0);
    while read < events {
        let more = reader.after(&last)?;
        let Some(newest) = more.last() else { break };
        last = newest.after;
        read += more.iter().map(|commit| commit.events.len()).sum::<usize>();
        commits.extend(more);
    }
    Ok(commits)
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, KafkaError> {
    tokio::task::spawn_blocking(call).await.unwrap_or(Err(KafkaError::Canceled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hurries_does_so_until_little_is_left() {
        let left = [5_000, 5_001, 1_001, 1_000, 1_001, 5_000];
        let hurries = left.iter().scan(false, |hurries, left| {
            *hurries = still_hurries(*hurries, *left);
            Some(*hurries)
        });
        assert_eq!(hurries.collect::<Vec<_>>(), [false, true, true, false, false, false]);
    }
}
