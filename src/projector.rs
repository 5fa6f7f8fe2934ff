//! Feeds the views: each follows the journal on a thread of its own, commit by commit, and says
//! how far it is.
//!
//! **Invariant:** a view's rows are the fold of the journal up to its position. A commit that does
//! not continue the chain, or cannot be read, stops the view, and its status says why; nothing is
//! skipped. A view that stands where this journal never was begins anew.

use std::{
    fmt, io,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use events::{Millis, Position};
use projections::{Catalogue, OrderDetail, OrderList, Pair, Rows, View, Wallets};
use tokio::sync::watch;

use crate::journal::{Journal, JournalError};

mod follower;
mod reader;
#[cfg(test)]
mod tests;

use follower::Follower;
use reader::{Reader, newest_recorded_at};

/// One of the views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ViewName {
    /// What one order is like.
    OrderDetail,
    /// Orders by owner, phase and time.
    OrderList,
    /// What accounts have.
    Wallets,
    /// Stores, listings, stock.
    Catalogue,
}

impl ViewName {
    /// Every view.
    pub const ALL: [Self; 4] = [Self::OrderDetail, Self::OrderList, Self::Wallets, Self::Catalogue];

    /// As in folders, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrderDetail => OrderDetail::NAME,
            Self::OrderList => OrderList::NAME,
            Self::Wallets => Wallets::NAME,
            Self::Catalogue => Catalogue::NAME,
        }
    }
}

impl fmt::Display for ViewName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the views are fed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How each view is kept.
    pub keeping: projections::Options,
    /// Events taken into one batch, about: commits stay whole; at least 1. While a batch is
    /// written, queries wait. More than some hundred were not measured to be faster.
    pub batch_events: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { keeping: projections::Options::default(), batch_events: 500 }
    }
}

/// What can keep views from being fed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A view cannot be opened or written.
    #[error("view {view}: {source}")]
    View {
        /// Which.
        view: ViewName,
        /// Why.
        source: projections::Error,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The system gives no thread.
    #[error("view {view} gets no thread: {source}")]
    Thread {
        /// Which.
        view: ViewName,
        /// Why.
        source: io::Error,
    },
}

/// A view that has not reached a position in time, or will not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("view {view} stands at {at}, not yet at {wanted}")]
pub struct Behind {
    /// Which.
    pub view: ViewName,
    /// The position it has reached.
    pub at: Position,
    /// The position it was wanted at.
    pub wanted: Position,
    /// Why it does not go on, where it does not.
    pub error: Option<String>,
}

/// How a view is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewStatus {
    /// Which.
    pub name: ViewName,
    /// The version of its rows.
    pub version: u32,
    /// The newest event it holds.
    pub position: Position,
    /// Events in the journal that it does not hold yet.
    pub lag_events: u64,
    /// Milliseconds between the recording of the newest event it holds and that of the journal's
    /// newest; `None` where it holds nothing yet, or the journal cannot be read.
    pub lag_ms: Option<u64>,
    /// Whether it began anew and has not yet reached what was there when it did.
    pub rebuilding: bool,
    /// Keys written since it was opened.
    pub writes: u64,
    /// Why it does not go on, where it does not.
    pub error: Option<String>,
}

/// How far a view is; published after each batch.
#[derive(Debug, Clone, Default)]
struct Progress {
    position: Position,
    recorded_at: Option<Millis>,
    rebuilding: bool,
    error: Option<Arc<str>>,
}

struct Followed {
    name: ViewName,
    version: u32,
    rows: Rows,
    progress: watch::Receiver<Progress>,
}

/// What answers queries, cheap to clone. A query that must see what it knows to be recorded first
/// waits with [`reached`](Self::reached). Queries themselves block on storage.
#[derive(Clone)]
pub struct Views {
    /// What one order is like.
    pub order_detail: OrderDetail,
    /// Orders by owner, phase and time.
    pub order_list: OrderList,
    /// What accounts have.
    pub wallets: Wallets,
    /// Stores, listings, stock.
    pub catalogue: Catalogue,
    followed: Arc<[Followed; 4]>,
    journal: Arc<dyn Journal>,
}

impl Views {
    /// Opens the views in `folder` and feeds them from `journal` until [`Projectors::stop`].
    /// Blocks on storage.
    ///
    /// # Errors
    /// When a view cannot be opened even anew, the journal cannot be read, or threads are short.
    pub fn start(
        journal: Arc<dyn Journal>,
        folder: &Path,
        options: &Options,
    ) -> Result<(Self, Projectors), Error> {
        let reader = Arc::new(Reader::new(Arc::clone(&journal), options.batch_events));
        let mut projectors = Projectors { stop: watch::Sender::new(false), threads: Vec::new() };
        let views = Self::build(
            journal,
            Starting { folder, options, reader, projectors: &mut projectors },
        )?;
        Ok((views, projectors))
    }

    /// Folds the journal's events up to and with `upto` into views of their own in `folder`; rows
    /// that are there already go. They stay as they are. Blocks on storage.
    ///
    /// # Errors
    /// When a view cannot be opened or written, or the journal cannot be read.
    pub fn fold(
        journal: Arc<dyn Journal>,
        upto: Position,
        folder: &Path,
        options: &Options,
    ) -> Result<Self, Error> {
        let reader = Arc::new(Reader::new(Arc::clone(&journal), options.batch_events));
        Self::build(journal, Folding { folder, options, reader, upto })
    }

    fn build(journal: Arc<dyn Journal>, mut how: impl Build) -> Result<Self, Error> {
        let (order_detail, first) = how.view::<OrderDetail>(ViewName::OrderDetail)?;
        let (order_list, second) = how.view::<OrderList>(ViewName::OrderList)?;
        let (wallets, third) = how.view::<Wallets>(ViewName::Wallets)?;
        let (catalogue, fourth) = how.view::<Catalogue>(ViewName::Catalogue)?;
        let followed = Arc::new([first, second, third, fourth]);
        Ok(Self { order_detail, order_list, wallets, catalogue, followed, journal })
    }

    /// Waits until a view holds the event at `position`, so long at most.
    ///
    /// # Errors
    /// When the time is over, or as soon as it is known that the view does not go on.
    pub async fn reached(
        &self,
        view: ViewName,
        position: Position,
        timeout: Duration,
    ) -> Result<(), Behind> {
        let followed = self.followed(view);
        if followed.progress.borrow().position >= position {
            return Ok(());
        }
        let mut progress = followed.progress.clone();
        let settled = |it: &Progress| it.position >= position || it.error.is_some();
        // Late, or nobody publishes any more: what counts is how far the view is.
        let _ = tokio::time::timeout(timeout, progress.wait_for(settled)).await;
        let it = followed.progress.borrow();
        if it.position >= position {
            return Ok(());
        }
        let error = it.error.as_deref().map(str::to_owned);
        Err(Behind { view, at: it.position, wanted: position, error })
    }

    /// The newest event that a view holds.
    pub fn position(&self, view: ViewName) -> Position {
        self.followed(view).progress.borrow().position
    }

    /// How each view is doing. Blocks on storage while one is behind.
    pub fn status(&self) -> Vec<ViewStatus> {
        let head = *self.journal.head().borrow();
        let mut newest = None;
        let status = |followed: &Followed| {
            let it = followed.progress.borrow().clone();
            let lag_events = head.position.0.saturating_sub(it.position.0);
            let lag_ms = match lag_events {
                0 => Some(0),
                _ => newest
                    .get_or_insert_with(|| newest_recorded_at(self.journal.as_ref(), head.number))
                    .zip(it.recorded_at)
                    .map(|(newest, at)| newest.0.saturating_sub(at.0).max(0) as u64),
            };
            ViewStatus {
                name: followed.name,
                version: followed.version,
                position: it.position,
                lag_events,
                lag_ms,
                rebuilding: it.rebuilding,
                writes: followed.rows.writes(),
                error: it.error.as_deref().map(str::to_owned),
            }
        };
        self.followed.iter().map(status).collect()
    }

    /// Every row of a view, in the order of the keys: two that hold the same events give the same
    /// bytes. Takes all of it into memory: for tests and comparisons.
    pub fn dump(&self, view: ViewName) -> Result<Vec<Pair>, projections::Error> {
        self.followed(view).rows.dump()
    }

    fn followed(&self, view: ViewName) -> &Followed {
        &self.followed[view as usize]
    }
}

/// The threads that feed the views. Dropped, they end by themselves a moment later.
pub struct Projectors {
    stop: watch::Sender<bool>,
    threads: Vec<(ViewName, JoinHandle<Result<(), projections::Error>>)>,
}

impl Projectors {
    /// Lets each view finish its batch and closes it, so that the next start goes on there.
    /// Queries are refused from then on.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for (view, thread) in self.threads {
            let joined = tokio::task::spawn_blocking(|| thread.join()).await;
            match joined {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => {
                    tracing::warn!(%view, %error, "the view was not closed in good order");
                }
                Ok(Err(_)) | Err(_) => {
                    tracing::error!(%view, "the view's thread panicked");
                }
            }
        }
    }
}

/// How to come by a view.
trait Build {
    fn view<V: View>(&mut self, name: ViewName) -> Result<(V, Followed), Error>;
}

struct Starting<'a> {
    folder: &'a Path,
    options: &'a Options,
    reader: Arc<Reader>,
    projectors: &'a mut Projectors,
}

impl Build for Starting<'_> {
    fn view<V: View>(&mut self, name: ViewName) -> Result<(V, Followed), Error> {
        let reader = Arc::clone(&self.reader);
        let mut follower = Follower::<V>::open(name, self.folder, &self.options.keeping, reader)?;
        follower.resume()?;
        let (view, followed) = follower.queries();
        let stop = self.projectors.stop.subscribe();
        let thread = thread::Builder::new()
            .name(format!("view {name}"))
            .spawn(move || follower.run(stop))
            .map_err(|source| Error::Thread { view: name, source })?;
        self.projectors.threads.push((name, thread));
        Ok((view, followed))
    }
}

struct Folding<'a> {
    folder: &'a Path,
    options: &'a Options,
    reader: Arc<Reader>,
    upto: Position,
}

impl Build for Folding<'_> {
    fn view<V: View>(&mut self, name: ViewName) -> Result<(V, Followed), Error> {
        let reader = Arc::clone(&self.reader);
        let mut follower = Follower::<V>::open(name, self.folder, &self.options.keeping, reader)?;
        follower.begin_anew()?;
        while follower.advance(self.upto)? {}
        Ok(follower.queries())
    }
}
