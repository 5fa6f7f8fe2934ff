//! One view on its way through the journal.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use events::{CommitNumber, Hash, Head, Millis, Position};
use metrics::{Counter, Gauge};
use projections::{Mark, Projection, View};
use tokio::{runtime, sync::watch};

use super::{Error, Followed, Progress, Reader, ViewName, newest_recorded_at};
use crate::journal::JournalError;

/// How long a journal that could not be read, though it may be whole, is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often a long way to the head says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Folds the journal into one view.
pub struct Follower<V> {
    name: ViewName,
    projection: Projection<V>,
    reader: Arc<Reader>,
    /// Where the view stands.
    head: Head,
    /// The hash of the journal's first commit, once the view stands behind it.
    journal: Option<Hash>,
    /// Where a view that began anew is no longer being rebuilt.
    rebuilt_at: Position,
    /// When the newest event that the view holds was recorded.
    recorded_at: Option<Millis>,
    progress: watch::Sender<Progress>,
    position_gauge: Gauge,
    writes_counter: Counter,
}

impl<V: View> Follower<V> {
    /// Opens the view, not yet knowing where it stands: [`resume`](Self::resume) or
    /// [`begin_anew`](Self::begin_anew) must follow.
    pub fn open(
        name: ViewName,
        folder: &Path,
        options: &projections::Options,
        reader: Arc<Reader>,
    ) -> Result<Self, Error> {
        let projection = Projection::open(folder, options)
            .map_err(|source| Error::View { view: name, source })?;
        if let Some(reason) = projection.discarded() {
            tracing::warn!(view = %name, reason, "the view's rows are given up; it is rebuilt");
        }
        Ok(Self {
            name,
            projection,
            reader,
            head: Head::default(),
            journal: None,
            rebuilt_at: Position(0),
            recorded_at: None,
            progress: watch::Sender::default(),
            position_gauge: metrics::gauge!("docket_view_position", "view" => name.as_str()),
            writes_counter: metrics::counter!("docket_view_writes_total", "view" => name.as_str()),
        })
    }

    /// Goes on where the view stands, if that is a place in this journal; else begins anew.
    pub fn resume(&mut self) -> Result<(), Error> {
        let Some(mark) = self.projection.mark() else {
            self.rebuilt_at = self.reader.head().borrow().position;
            self.publish(None);
            return Ok(());
        };
        let journal = self.reader.journal.as_ref();
        let first = journal.head_at(CommitNumber(1))?;
        let there = journal.head_at(mark.commit)?;
        let reason = match (first, there) {
            (Some(first), Some(there))
                if first.hash == mark.journal
                    && there.hash == mark.hash
                    && there.position == mark.position =>
            {
                self.head = there;
                self.journal = Some(mark.journal);
                self.recorded_at = newest_recorded_at(journal, there.number);
                self.publish(None);
                return Ok(());
            }
            (Some(first), _) if first.hash == mark.journal => {
                "the journal does not have its commit"
            }
            _ => "it belongs to another journal",
        };
        tracing::warn!(view = %self.name, commit = %mark.commit, reason, "the view is rebuilt");
        self.begin_anew()
    }

    /// Gives up what the view holds.
    pub fn begin_anew(&mut self) -> Result<(), Error> {
        if self.projection.mark().is_some() {
            self.projection.wipe().map_err(|source| self.failed(source))?;
        }
        self.rebuilt_at = self.reader.head().borrow().position;
        self.publish(None);
        Ok(())
    }

    /// What answers queries, and tells how far the view is.
    pub fn queries(&self) -> (V, Followed) {
        let followed = Followed {
            name: self.name,
            version: V::VERSION,
            rows: self.projection.rows().clone(),
            progress: self.progress.subscribe(),
        };
        (self.projection.view(), followed)
    }

    /// Takes in the next commits, none of their events behind `upto`; says whether there may be
    /// more.
    pub fn advance(&mut self, upto: Position) -> Result<bool, Error> {
        let commits = self.reader.after(&self.head)?;
        let commits = match commits.iter().position(|commit| commit.before.position >= upto) {
            Some(behind) => &commits[..behind],
            None => &commits,
        };
        let Some(last) = commits.last() else { return Ok(false) };
        let journal = self.journal.unwrap_or(commits[0].after.hash);
        let mark = Mark {
            journal,
            commit: last.after.number,
            hash: last.after.hash,
            position: last.after.position.min(upto),
        };
        let events = commits.iter().flat_map(|commit| &commit.events);
        let events = events.take_while(|recorded| recorded.position <= upto);
        self.projection.apply(events, mark).map_err(|source| self.failed(source))?;
        self.journal = Some(journal);
        self.head = last.after;
        let newest = last.events.iter().rfind(|recorded| recorded.position <= upto);
        self.recorded_at = newest.map(|recorded| recorded.recorded_at);
        self.publish(None);
        Ok(self.head.position < upto)
    }

    /// Follows the journal until told to stop, then closes the view.
    pub fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), projections::Error> {
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime without I/O takes nothing from the system");
        loop {
            let state = catch_unwind(AssertUnwindSafe(|| self.catch_up(&stop)));
            let stopped = match state {
                Ok(Ok(())) => runtime.block_on(self.next_commit(&mut stop)),
                Ok(Err(Error::Journal(error))) if may_pass(&error) => {
                    self.report(&error);
                    let stopped = stop.wait_for(|stop| *stop);
                    let retry = runtime.block_on(async {
                        tokio::time::timeout(RETRY_AFTER, stopped).await.is_err()
                    });
                    !retry
                }
                Ok(Err(error)) => {
                    self.report(&error);
                    let _ = runtime.block_on(stop.wait_for(|stop| *stop)); // Dropped is told, too.
                    true
                }
                Err(_) => {
                    self.report(&"the view panicked; it is rebuilt at the next start");
                    let _ = runtime.block_on(stop.wait_for(|stop| *stop));
                    self.projection.abandon("the view panicked");
                    return Ok(());
                }
            };
            if stopped {
                return self.projection.close();
            }
        }
    }

    fn catch_up(&mut self, stop: &watch::Receiver<bool>) -> Result<(), Error> {
        let mut told = Instant::now();
        while !*stop.borrow() && self.advance(Position(u64::MAX))? {
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                let (events, of) = (self.head.position, self.reader.head().borrow().position);
                tracing::info!(view = %self.name, %events, %of, "the view catches up");
            }
            if *self.reader.head().borrow() == self.head {
                break;
            }
        }
        if self.progress.borrow().error.is_some() {
            self.publish(None);
        }
        Ok(())
    }

    /// Waits for a commit; `true` when it is time to stop instead.
    async fn next_commit(&self, stop: &mut watch::Receiver<bool>) -> bool {
        let mut head = self.reader.head();
        let more = async {
            if head.wait_for(|head| head.number > self.head.number).await.is_err() {
                std::future::pending::<()>().await; // The journal is closed: nothing comes.
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => true,
            () = more => false,
        }
    }

    fn publish(&self, error: Option<Arc<str>>) {
        let position = match self.projection.mark() {
            Some(mark) => mark.position,
            None => Position(0),
        };
        let (recorded_at, rebuilding) = (self.recorded_at, position < self.rebuilt_at);
        self.progress.send_replace(Progress { position, recorded_at, rebuilding, error });
        self.position_gauge.set(position.0 as f64);
        self.writes_counter.absolute(self.projection.rows().writes());
    }

    fn report(&self, error: &dyn std::fmt::Display) {
        let position = self.progress.borrow().position;
        tracing::error!(view = %self.name, %position, %error, "the view does not go on");
        self.publish(Some(error.to_string().into()));
    }

    fn failed(&self, source: projections::Error) -> Error {
        Error::View { view: self.name, source }
    }
}

/// Whether trying again may help: the journal's file, not what is in it.
fn may_pass(error: &JournalError) -> bool {
    matches!(error, JournalError::Io { .. } | JournalError::Sqlite { .. })
}
