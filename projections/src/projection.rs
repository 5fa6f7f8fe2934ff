//! A view being kept: events in, rows and mark out, together.

use std::{
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
};

use events::{CommitNumber, Effect, Event, Hash, OrderId, OrderRef, Position, Recorded};
use serde::{Deserialize, Serialize};

use crate::{
    batch::{Batch, to_json},
    builds::{self, Build},
    folder,
    store::{Error, Held, Rows, SledStore, Store},
};

/// The only key of table 0.
pub(crate) const MARK_KEY: &[u8] = &[0];

/// How much of which journal the rows hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The journal, by the hash of its first commit.
    pub journal: Hash,
    /// The newest commit the rows hold.
    pub commit: CommitNumber,
    /// Its hash.
    pub hash: Hash,
    /// The newest event the rows hold.
    pub position: Position,
}

/// What a view keeps of each event. The type itself is what answers queries, cheap to clone.
pub trait View: Clone + Send + Sync + 'static {
    /// Names the view's folder.
    const NAME: &'static str;
    /// Rises with every change of its keys, its rows or their meaning.
    const VERSION: u32;
    /// Older versions whose rows this program still reads and keeps, as far as they go: they serve
    /// until those of [`VERSION`](Self::VERSION) have been built beside them.
    const SERVES: &'static [u32] = &[];

    /// Takes in one fact, into rows of the [version](Batch::version) that the batch has. Each is
    /// handed over once, in order.
    fn apply(recorded: &Recorded, rows: &mut Batch<'_>) -> Result<(), Error>;

    /// Answers queries from these rows.
    fn over(rows: Rows) -> Self;
}

/// Opens a store in a folder, or makes it, with a cache of so many bytes.
pub type Opener = fn(&Path, u64) -> Result<Box<dyn Store>, Error>;

/// How views are kept.
#[derive(Clone)]
pub struct Options {
    /// What the machine calls the time since its last start; empty where nobody can tell, so that
    /// a view that was not closed cleanly is rebuilt.
    pub boot: String,
    /// Memory a view's store may use for its pages, in bytes; as much again while another is built
    /// beside it.
    pub cache_bytes: u64,
    /// Events that may pass without a change of rows before the mark is written nonetheless.
    pub mark_every_events: u64,
    /// Opens each view's store.
    pub open: Opener,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            boot: String::new(),
            cache_bytes: 64 << 20,
            mark_every_events: 10_000,
            open: SledStore::open,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("boot", &self.boot)
            .field("cache_bytes", &self.cache_bytes)
            .field("mark_every_events", &self.mark_every_events)
            .finish_non_exhaustive()
    }
}

/// A view's rows in one of its folders, open for writing. There is one for each folder.
pub struct Projection<V> {
    rows: Rows,
    views: PathBuf,
    build: Build,
    options: Options,
    mark: Option<Mark>,
    /// The mark's position as the store has it.
    written: Position,
    unwritten_bytes: usize,
    discarded: Option<String>,
    view: PhantomData<V>,
}

/// Rows that serve no more. Dropped, they stay where they are until the next start.
pub struct Retired {
    path: PathBuf,
    held: Option<Held>,
}

impl Retired {
    /// Closes the store and deletes its folder. May take a while.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(self) -> Result<(), Error> {
        drop(self.held);
        folder::wipe(&self.path)
    }
}

impl<V: View> Projection<V> {
    /// Opens the newest of the folders with rows of the view's version, or makes one.
    ///
    /// # Errors
    /// When the folder is in use, or the file system refuses.
    pub fn open(views: &Path, options: &Options) -> Result<Self, Error> {
        let builds = builds::list(views, V::NAME)?;
        let newest = builds.into_iter().rfind(|build| build.version == V::VERSION);
        Self::open_build(views, newest.unwrap_or(Build { version: V::VERSION, number: 1 }), options)
    }

    /// Opens every folder of the view that can serve, oldest first. One that is damaged is renamed
    /// aside, one that the machine went down with is removed; it is empty then. Folders of older
    /// versions that cannot serve are deleted, those of newer versions left alone.
    ///
    /// # Errors
    /// When a folder is in use, or the file system refuses.
    pub fn open_each(views: &Path, options: &Options) -> Result<Vec<Self>, Error> {
        builds::tidy(views, V::NAME)?;
        let mut opened = Vec::new();
        for build in builds::list(views, V::NAME)? {
            if build.version == V::VERSION || V::SERVES.contains(&build.version) {
                opened.push(Self::open_build(views, build, options)?);
            } else if build.version < V::VERSION {
                folder::wipe(&build.path(views, V::NAME))?;
            }
        }
        Ok(opened)
    }

    /// Makes a folder for rows of the view's version, beside all that are there.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(views: &Path, options: &Options) -> Result<Self, Error> {
        Self::open_build(views, builds::next(views, V::NAME, V::VERSION)?, options)
    }

    fn open_build(views: &Path, build: Build, options: &Options) -> Result<Self, Error> {
        let path = build.path(views, V::NAME);
        let opened = folder::open(&path, options)?;
        let held = Held::new(path, build.version, opened.store);
        Ok(Self {
            rows: Rows::new(held),
            views: views.to_owned(),
            build,
            options: options.clone(),
            mark: opened.mark,
            written: opened.mark.map_or(Position(0), |mark| mark.position),
            unwritten_bytes: 0,
            discarded: opened.discarded,
            view: PhantomData,
        })
    }

    /// Why the rows found at opening were given up, where they were.
    pub fn discarded(&self) -> Option<&str> {
        self.discarded.as_deref()
    }

    /// The version of the rows: the view's own, or one that it [serves](View::SERVES).
    pub fn version(&self) -> u32 {
        self.build.version
    }

    /// How much of which journal the rows hold; `None` where they hold nothing.
    pub fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// What answers queries.
    pub fn view(&self) -> V {
        V::over(self.rows.clone())
    }

    /// The rows themselves.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Writes what is not written, and hands it to the operating system.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.write()?;
        self.rows.flush()
    }

    /// Puts newer rows in the place of these: whatever answers queries from these answers from
    /// those from the same moment on. Gives back these, which nobody needs any more.
    pub fn take_over(&mut self, newer: Self) -> Retired {
        let path = self.path();
        let held = self.rows.take_over(&newer.rows);
        *self = Self { rows: self.rows.clone(), ..newer };
        Retired { path, held }
    }

    /// Gives the rows up, folder and all.
    pub fn retire(self) -> Retired {
        Retired { path: self.path(), held: self.rows.replace(None) }
    }

    fn path(&self) -> PathBuf {
        self.build.path(&self.views, V::NAME)
    }

    /// Takes in the events after the mark, all of them up to the new mark's position. Queries see
    /// them at once; the store has them after the next [`write`](Self::write).
    ///
    /// # Errors
    /// When events are missing or out of order, when they do not fit the rows, or when the store
    /// cannot be read. Nothing is taken in then.
    pub fn apply<'e>(
        &mut self,
        events: impl IntoIterator<Item = &'e Recorded>,
        mark: Mark,
    ) -> Result<(), Error> {
        let mut position = self.mark.map_or(Position(0), |mark| mark.position);
        let version = self.build.version;
        let changes = self.rows.read(|rows| {
            let mut batch = Batch::over(rows, version);
            for recorded in events {
                position.0 += 1;
                if recorded.position != position {
                    return Err(Error::Gap { expected: position, found: recorded.position });
                }
                V::apply(recorded, &mut batch)?;
            }
            Ok(batch.into_changes())
        })?;
        if mark.position != position {
            return Err(Error::Gap { expected: position, found: mark.position });
        }
        if !changes.is_empty() {
            self.unwritten_bytes = self.rows.take_in(changes)?;
        }
        self.mark = Some(mark);
        Ok(())
    }

    /// What the changes take that are taken in and not written, in bytes of memory, about.
    pub fn unwritten_bytes(&self) -> usize {
        self.unwritten_bytes
    }

    /// Writes what is taken in and not written, rows and mark together. Where no row has changed,
    /// the mark waits for one that does, for some thousand events, or for the closing. Queries go
    /// on meanwhile.
    ///
    /// # Errors
    /// When the store refuses. Nothing is written then.
    pub fn write(&mut self) -> Result<(), Error> {
        let Some(mark) = self.mark else { return Ok(()) };
        let passed = mark.position.0 - self.written.0;
        if self.unwritten_bytes > 0 || passed >= self.options.mark_every_events {
            self.write_with(mark)?;
        }
        Ok(())
    }

    /// Gives up every row: the view begins anew.
    ///
    /// # Errors
    /// When the file system refuses; the view is closed then.
    pub fn wipe(&mut self) -> Result<(), Error> {
        drop(self.rows.replace(None));
        let folder = self.path();
        folder::wipe(&folder)?;
        let opened = folder::open(&folder, &self.options)?;
        self.rows.replace(Some(Held::new(folder, self.build.version, opened.store)));
        self.mark = None;
        (self.written, self.unwritten_bytes) = (Position(0), 0);
        Ok(())
    }

    /// Writes everything, brings it to the device and says that it is there. Queries are
    /// refused from here on.
    ///
    /// # Errors
    /// When the store or the file system refuses: the view may have to be rebuilt.
    pub fn close(mut self) -> Result<(), Error> {
        if let Some(mark) = self.mark.filter(|mark| mark.position != self.written) {
            self.write_with(mark)?;
        }
        self.rows.flush()?;
        drop(self.rows.replace(None));
        folder::close(&self.path())
    }

    /// Has the rows built anew at the next opening. They may be let go of, but not closed.
    pub fn distrust(&self, reason: &str) {
        self.rows.noted(&Error::Panicked(reason.to_owned()));
    }

    fn write_with(&mut self, mark: Mark) -> Result<(), Error> {
        self.rows.write((MARK_KEY, Some(&to_json(&mark))))?;
        (self.written, self.unwritten_bytes) = (mark.position, 0);
        Ok(())
    }
}

/// The order that an event is about, what is known of it, and what the event does.
pub(crate) fn order_event(
    recorded: &Recorded,
) -> Result<Option<(OrderId, &OrderRef, &Effect)>, Error> {
    let (order, effect) = match (&recorded.event, recorded.event.as_step()) {
        (Event::OrderPlaced(placed), _) => (&placed.order, &placed.effect),
        (_, Some(step)) => (&step.order, &step.effect),
        (_, None) => return Ok(None),
    };
    let id = recorded.subject.as_order();
    let id = id.ok_or_else(|| unfit(recorded, format!("{} is no order", recorded.subject)))?;
    Ok(Some((id, order, effect)))
}

/// An event that does not fit the rows.
pub(crate) fn unfit(recorded: &Recorded, reason: impl Into<String>) -> Error {
    Error::Unfit { position: recorded.position, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Catalogue, OrderDetail, OrderList, Wallets, fixtures::*};

    /// Folds a history and gives the keys written for it.
    fn writes<V: View>(before: &[Recorded], then: &[Recorded]) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<V>::open(&folder);
        view.apply(before);
        let so_far = view.projection.rows().writes();
        view.apply(then);
        view.projection.rows().writes() - so_far
    }

    fn writes_of_each(before: &[Recorded], then: &[Recorded]) -> [u64; 4] {
        [
            writes::<OrderDetail>(before, then),
            writes::<OrderList>(before, then),
            writes::<Wallets>(before, then),
            writes::<Catalogue>(before, then),
        ]
    }

    #[test]
    fn an_order_of_two_lines_writes_nine_keys() {
        let mut log = Log::default();
        log.open("s", &["a", "b"]);
        log.charge(1, 5000);
        let seen = log.events.len();
        log.place(1, "s", &[("a", 1), ("b", 2)]);
        let (before, then) = log.events.split_at(seen);
        // Detail, lists by buyer, store and channel, two listings; a mark for each but wallets.
        assert_eq!(writes_of_each(before, then), [2, 4, 0, 3]);
    }

    #[test]
    fn a_key_is_written_once_a_batch_however_often_it_changes() {
        let mut log = Log::default();
        log.open("s", &["a", "b"]);
        log.charge(1, 5000);
        let seen = log.events.len();
        log.place(1, "s", &[("a", 1), ("b", 2)]);
        log.pay(1);
        log.ship(1);
        log.receive(1);
        let (before, then) = log.events.split_at(seen);
        // The lists' keys in the phases between are never written.
        assert_eq!(writes_of_each(before, then), [2, 4, 3, 3]);
    }

    #[test]
    fn rows_do_not_depend_on_how_events_were_batched() {
        fn dump<V: View>(events: &[Recorded], size: usize) -> Vec<crate::Pair> {
            let folder = tempfile::tempdir().unwrap();
            let mut view = Kept::<V>::open(&folder);
            events.chunks(size).for_each(|chunk| view.apply(chunk));
            view.projection.rows().dump().unwrap()
        }
        fn check<V: View>(events: &[Recorded]) {
            let one_by_one = dump::<V>(events, 1);
            assert!(!one_by_one.is_empty());
            for size in [2, 3, events.len()] {
                assert_eq!(one_by_one, dump::<V>(events, size), "{} by {size}", V::NAME);
            }
        }
        let mut log = Log::default();
        log.open("s", &["a", "b"]);
        log.charge(1, 9000);
        for n in 1..=4 {
            log.place(n, "s", &[("a", 1), ("b", 2)]);
            log.pay(n);
        }
        log.cancel(1);
        log.ship(2);
        log.receive(2);
        check::<OrderDetail>(&log.events);
        check::<OrderList>(&log.events);
        check::<Wallets>(&log.events);
        check::<Catalogue>(&log.events);
    }

    #[test]
    fn a_mark_waits_until_rows_change_or_the_view_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { boot: "boot".into(), mark_every_events: 5, ..small() };
        let mut view = Kept::<Wallets>::open_with(&folder, &options);
        let mut log = Log::default();
        log.charge(1, 5000);
        (0..9).for_each(|_| log.close_session());
        let mut written = Vec::new();
        for recorded in &log.events {
            view.apply(std::slice::from_ref(recorded));
            written.push(view.projection.rows().writes());
        }
        assert_eq!(written, [2, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
        drop(view);
        // As after a crash of the process.
        let view = Kept::<Wallets>::open_with(&folder, &options);
        assert_eq!(view.projection.mark(), Some(mark(6)));
        let mut view = view;
        view.apply(&log.events[6..]);
        view.projection.close().unwrap();
        let view = Kept::<Wallets>::open_with(&folder, &options);
        assert_eq!(view.projection.mark(), Some(mark(10)));
    }

    #[test]
    fn events_are_taken_in_order_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<Wallets>::open(&folder);
        let mut log = Log::default();
        (0..3).for_each(|_| log.charge(1, 100));
        let is_gap = |result| matches!(result, Err(Error::Gap { .. }));
        assert!(is_gap(view.try_apply(&log.events[1..])), "the first is missing");
        assert!(is_gap(view.projection.apply(&log.events[..2], mark(3))), "the last is missing");
        view.apply(&log.events[..2]);
        assert!(is_gap(view.try_apply(&log.events[..2])), "both were seen before");
        view.apply(&log.events[2..]);
        let wallet = view.query().get(account(1)).unwrap().unwrap();
        assert_eq!(wallet.balances, [cny(300)]);
    }

    #[test]
    fn a_wiped_view_begins_anew_and_a_closed_one_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<Wallets>::open(&folder);
        let mut log = Log::default();
        log.charge(1, 100);
        view.apply(&log.events);
        let query = view.query();
        view.projection.wipe().unwrap();
        assert_eq!((query.get(account(1)).unwrap(), view.projection.mark()), (None, None));
        view.apply(&log.events);
        assert!(query.get(account(1)).unwrap().is_some());
        view.projection.close().unwrap();
        assert!(matches!(query.get(account(1)), Err(Error::Closed)));
    }
}
