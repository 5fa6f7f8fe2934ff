//! Feeds the views: each follows the journal on a thread of its own, commit by commit, and says
//! how far it is.
//!
//! A view whose rows are of an older version, or are to be built anew, answers from them while new
//! ones are built beside; those take over once they stand where the old ones do. Whoever asks
//! notices nothing: at every moment the rows that serve hold what was waited for.
//!
//! **Invariant:** a view's rows are the fold of the journal up to its position. A commit that does
//! not continue the chain, or cannot be read, stops the view, and its status says why; nothing is
//! skipped. A view that stands where this journal never was begins anew.

use std::{
    fmt, io,
    path::Path,
    str::FromStr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use events::{Millis, Position};
use projections::{Catalogue, OrderDetail, OrderList, Pair, Rows, View, Wallets};
use tokio::sync::watch;

use crate::journal::{Journal, JournalError, Reader, Tail, reader::newest_recorded_at};

mod beside;
mod folding;
mod follower;
mod measure;
mod status;
#[cfg(test)]
mod tests;

use folding::Folding;
use follower::Follower;
pub use measure::describe_metrics;
use status::{Beside, Progress};
pub use status::{Rebuild, ViewStatus};

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

impl FromStr for ViewName {
    type Err = UnknownView;

    fn from_str(text: &str) -> Result<Self, UnknownView> {
        let known = Self::ALL.into_iter().find(|view| view.as_str() == text);
        known.ok_or_else(|| UnknownView(text.to_owned()))
    }
}

/// A name that no view has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no view {0}; there are order_detail, order_list, wallets and catalogue")]
pub struct UnknownView(String);

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
    /// How long events are let gather while nobody waits for them, so that a key that many of them
    /// change is written once. Whoever [waits](Views::reached) has them taken in at once, and waits
    /// the longer the more have gathered.
    pub gather: Duration,
    /// How much may be taken in before it is written, in bytes of a view's memory. Queries see what
    /// is taken in; the journal has it should the process die. The more, the more often a row that
    /// changes again is written once for all.
    pub write_bytes: usize,
    /// How long what is taken in stays unwritten at most.
    pub write_after: Duration,
    /// What the engine has just recorded, where it runs in this process. What is not there is read
    /// from the journal.
    pub tail: Tail,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keeping: projections::Options::default(),
            batch_events: 500,
            gather: Duration::from_millis(20),
            write_bytes: 2 << 20,
            write_after: Duration::from_secs(1),
            tail: Tail::default(),
        }
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

/// Why a rebuild does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRebuild {
    /// There is one already.
    #[error("view {0} is being rebuilt already")]
    UnderWay(ViewName),
    /// Nobody feeds the view any more.
    #[error("view {0} is closed")]
    Closed(ViewName),
}

struct Followed {
    name: ViewName,
    /// The newest, which a rebuild builds.
    version: u32,
    rows: Rows,
    progress: watch::Receiver<Progress>,
    wanted: Arc<watch::Sender<Position>>,
    beside: Arc<watch::Sender<Beside>>,
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
    reader: Arc<Reader>,
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
        let reader = Arc::new(Reader::new(journal, options.tail.clone(), options.batch_events));
        reader.learn_newest();
        let mut projectors = Projectors { stop: watch::Sender::new(false), threads: Vec::new() };
        let starting =
            Starting { folder, options, reader: Arc::clone(&reader), projectors: &mut projectors };
        Ok((Self::build(reader, starting)?, projectors))
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
        let reader = Arc::new(Reader::new(journal, options.tail.clone(), options.batch_events));
        let once = Once { folder, options, reader: Arc::clone(&reader), upto };
        Self::build(reader, once)
    }

    fn build(reader: Arc<Reader>, mut how: impl Build) -> Result<Self, Error> {
        let (order_detail, first) = how.view::<OrderDetail>(ViewName::OrderDetail)?;
        let (order_list, second) = how.view::<OrderList>(ViewName::OrderList)?;
        let (wallets, third) = how.view::<Wallets>(ViewName::Wallets)?;
        let (catalogue, fourth) = how.view::<Catalogue>(ViewName::Catalogue)?;
        let followed = Arc::new([first, second, third, fourth]);
        Ok(Self { order_detail, order_list, wallets, catalogue, followed, reader })
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
        followed.wanted.send_if_modified(|wanted| {
            let further = *wanted < position;
            *wanted = position.max(*wanted);
            further
        });
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

    /// How each view is doing. Does not touch storage.
    pub fn status(&self) -> Vec<ViewStatus> {
        let head = self.reader.head().borrow().position;
        let newest = self.reader.newest_recorded_at();
        let status = |followed: &Followed| {
            let it = followed.progress.borrow().clone();
            let beside = followed.beside.borrow().clone();
            let lag_events = head.0.saturating_sub(it.position.0);
            let since = |at: Millis| newest.map(|newest| newest.0.saturating_sub(at.0).max(0));
            let lag_ms = match lag_events {
                0 => Some(0),
                _ => it.recorded_at.and_then(since).map(i64::unsigned_abs),
            };
            let within = it.rebuilding.map(|pace| pace.rebuild(it.version, it.position, head));
            ViewStatus {
                name: followed.name,
                version: it.version,
                position: it.position,
                lag_events,
                lag_ms,
                rebuilding: it.rebuilding.is_some(),
                rebuild: beside.rebuild(followed.version, head).or(within),
                writes: followed.rows.writes(),
                error: it.error.as_deref().map(str::to_owned),
            }
        };
        self.followed.iter().map(status).collect()
    }

    /// Tells `/metrics` how far each view is behind.
    pub fn measure(&self) {
        measure::lag(&self.status());
    }

    /// Has a view's rows built anew beside those that serve, which answer until the new ones have
    /// caught up and take over. [`status`](Self::status) says how far that is.
    ///
    /// # Errors
    /// When that is under way already, or the view is closed.
    pub fn rebuild(&self, view: ViewName) -> Result<(), NoRebuild> {
        let followed = self.followed(view);
        if followed.progress.has_changed().is_err() {
            return Err(NoRebuild::Closed(view));
        }
        let asked = followed.beside.send_if_modified(|beside| {
            let free = !beside.is_under_way();
            if free {
                *beside = Beside::Asked;
            }
            free
        });
        if asked { Ok(()) } else { Err(NoRebuild::UnderWay(view)) }
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
        let follower = Follower::<V>::open(name, self.folder, self.options, reader)?;
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

struct Once<'a> {
    folder: &'a Path,
    options: &'a Options,
    reader: Arc<Reader>,
    upto: Position,
}

impl Build for Once<'_> {
    fn view<V: View>(&mut self, name: ViewName) -> Result<(V, Followed), Error> {
        let reader = Arc::clone(&self.reader);
        let mut rows = Folding::<V>::anew(name, self.folder, self.options, Arc::clone(&reader))?;
        while rows.advance(self.upto)? {}
        Ok(Follower::over(name, self.folder, self.options, reader, rows).queries())
    }
}
