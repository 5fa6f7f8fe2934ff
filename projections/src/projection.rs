//! A view being kept: events in, rows and mark out, together.

use std::{fmt, marker::PhantomData, path::Path};

use events::{CommitNumber, Effect, Event, Hash, OrderId, OrderRef, Position, Recorded};
use serde::{Deserialize, Serialize};

use crate::{
    batch::{Batch, to_json},
    folder,
    store::{Change, Error, Rows, SledStore, Store},
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

    /// Takes in one fact. Each is handed over once, in order.
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
    /// Memory a view's store may use for its pages, in bytes.
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

/// A view, open for writing. There is one for each folder.
pub struct Projection<V> {
    rows: Rows,
    options: Options,
    mark: Option<Mark>,
    /// The mark's position as the store has it.
    written: Position,
    discarded: Option<String>,
    view: PhantomData<V>,
}

impl<V: View> Projection<V> {
    /// Opens the view's folder among `views`, or makes it. One that is damaged is renamed aside,
    /// one that the machine went down with is removed; the view then begins anew.
    ///
    /// # Errors
    /// When the folder is in use, or the file system refuses.
    pub fn open(views: &Path, options: &Options) -> Result<Self, Error> {
        let path = views.join(format!("{}.v{}", V::NAME, V::VERSION));
        let opened = folder::open(&path, options)?;
        Ok(Self {
            rows: Rows::new(path, opened.store),
            options: options.clone(),
            mark: opened.mark,
            written: opened.mark.map_or(Position(0), |mark| mark.position),
            discarded: opened.discarded,
            view: PhantomData,
        })
    }

    /// Why the rows found at opening were given up, where they were.
    pub fn discarded(&self) -> Option<&str> {
        self.discarded.as_deref()
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

    /// Takes in the events after the mark, all of them up to the new mark's position, and writes
    /// rows and mark together. Where no row changes, the mark waits for one that does, for some
    /// thousand events, or for the closing.
    ///
    /// # Errors
    /// When events are missing or out of order, when they do not fit the rows, or when the store
    /// refuses. Nothing is written then.
    pub fn apply<'e>(
        &mut self,
        events: impl IntoIterator<Item = &'e Recorded>,
        mark: Mark,
    ) -> Result<(), Error> {
        let mut position = self.mark.map_or(Position(0), |mark| mark.position);
        let changes = self.rows.read(|store| {
            let mut batch = Batch::over(store);
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
        let passed = position.0 - self.written.0;
        if !changes.is_empty() || passed >= self.options.mark_every_events {
            self.write(changes, mark)?;
        }
        self.mark = Some(mark);
        Ok(())
    }

    /// Gives up every row: the view begins anew.
    ///
    /// # Errors
    /// When the file system refuses; the view is closed then.
    pub fn wipe(&mut self) -> Result<(), Error> {
        drop(self.rows.replace(None));
        folder::wipe(self.rows.folder())?;
        let opened = folder::open(self.rows.folder(), &self.options)?;
        self.rows.replace(Some(opened.store));
        self.mark = None;
        self.written = Position(0);
        Ok(())
    }

    /// Writes the mark, brings everything to the device and says that it is there. Queries are
    /// refused from here on.
    ///
    /// # Errors
    /// When the store or the file system refuses: the view may have to be rebuilt.
    pub fn close(mut self) -> Result<(), Error> {
        if let Some(mark) = self.mark.filter(|mark| mark.position != self.written) {
            self.write(Vec::new(), mark)?;
        }
        self.rows.read(|store| store.flush())?;
        drop(self.rows.replace(None));
        folder::close(self.rows.folder())
    }

    /// Lets go of the view without a word to its store, and has it rebuilt at the next opening.
    pub fn abandon(self, reason: &str) {
        self.rows.noted(&Error::Panicked(reason.to_owned()));
    }

    fn write(&mut self, mut changes: Vec<Change>, mark: Mark) -> Result<(), Error> {
        changes.push((MARK_KEY.to_vec(), Some(to_json(&mark))));
        self.rows.write(changes)?;
        self.written = mark.position;
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
    fn an_order_of_two_lines_writes_ten_keys() {
        let mut log = Log::default();
        log.open("s", &["a", "b"]);
        log.charge(1, 5000);
        let seen = log.events.len();
        log.place(1, "s", &[("a", 1), ("b", 2)]);
        let (before, then) = log.events.split_at(seen);
        // Detail, lists and counts by buyer and store, two listings; a mark for each but wallets.
        assert_eq!(writes_of_each(before, then), [2, 5, 0, 3]);
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
        assert_eq!(writes_of_each(before, then), [2, 5, 3, 3]);
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
