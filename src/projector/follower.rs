//! One view on its way through the journal: the rows that serve, and those that are built beside
//! them until they take over.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use events::Position;
use metrics::{Counter, Gauge};
use projections::{Retired, View};
use tokio::{
    runtime::{self, Runtime},
    sync::watch,
};

use super::{
    Error, Followed, Options, Reader, ViewName,
    beside::{self, Builder},
    folding::{Folding, Opened},
    measure,
    status::{Beside, Pace, Progress},
};
use crate::journal::JournalError;

/// How long a journal that could not be read, though it may be whole, is left alone.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often a long way to the head says how far it is.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Keeps one view.
pub struct Follower<V> {
    name: ViewName,
    folder: PathBuf,
    options: Options,
    reader: Arc<Reader>,
    serving: Folding<V>,
    state: State,
    /// Where rows that began anew are no longer being rebuilt, and since when they are.
    rebuilt_at: Position,
    pace: Pace,
    /// What an earlier run has left to be built on.
    left: Option<Folding<V>>,
    builder: Option<Builder<V>>,
    /// Deletes what no longer serves.
    clearing: Option<JoinHandle<()>>,
    progress: watch::Sender<Progress>,
    /// The furthest event that somebody waits for, or has waited for.
    wanted: Arc<watch::Sender<Position>>,
    beside: Arc<watch::Sender<Beside>>,
    position_gauge: Gauge,
    writes_counter: Counter,
}

/// Whether the rows that serve go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Following,
    /// When the journal can be read again.
    Waiting,
    /// Not before they are replaced.
    Stuck,
    /// Likewise, and their store may be in any state.
    Panicked,
}

impl<V: View> Follower<V> {
    /// Opens the view, and knows where it stands and what is to be built beside it.
    ///
    /// # Errors
    /// When a folder cannot be opened even anew, or the journal cannot be read.
    pub fn open(
        name: ViewName,
        folder: &Path,
        options: &Options,
        reader: Arc<Reader>,
    ) -> Result<Self, Error> {
        let Opened { serving, beside } = Opened::<V>::open(name, folder, options, &reader)?;
        let begins = if beside.is_some() { Beside::Asked } else { Beside::Nothing };
        if beside.is_some() {
            let (serves, version) = (serving.projection.version(), V::VERSION);
            tracing::info!(view = %name, version, serves, "the view is built beside what serves");
        }
        let mut this = Self::over(name, folder, options, reader, serving);
        this.left = beside;
        this.beside.send_replace(begins);
        Ok(this)
    }

    /// Keeps these rows.
    pub fn over(
        name: ViewName,
        folder: &Path,
        options: &Options,
        reader: Arc<Reader>,
        serving: Folding<V>,
    ) -> Self {
        let empty = serving.position() == Position(0);
        let head = reader.head().borrow().position;
        let this = Self {
            name,
            folder: folder.to_owned(),
            options: options.clone(),
            reader,
            state: State::Following,
            rebuilt_at: if empty { head } else { Position(0) },
            pace: Pace::begin(serving.position()),
            serving,
            left: None,
            builder: None,
            clearing: None,
            progress: watch::Sender::default(),
            wanted: Arc::default(),
            beside: Arc::default(),
            position_gauge: measure::position(name),
            writes_counter: measure::writes(name),
        };
        this.publish(None);
        this
    }

    /// What answers queries, and tells how far the view is.
    pub fn queries(&self) -> (V, Followed) {
        let followed = Followed {
            name: self.name,
            version: V::VERSION,
            rows: self.serving.projection.rows().clone(),
            progress: self.progress.subscribe(),
            wanted: Arc::clone(&self.wanted),
            beside: Arc::clone(&self.beside),
        };
        (self.serving.projection.view(), followed)
    }

    /// Follows the journal until told to stop, then closes the view.
    pub fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), projections::Error> {
        let runtime = runtime();
        loop {
            self.tend(&stop);
            if matches!(self.state, State::Following | State::Waiting) {
                self.state = self.follow(&stop);
            } else {
                self.reader.learn_newest(); // Other views may not know it either.
            }
            if runtime.block_on(self.next(&mut stop)) {
                return self.end();
            }
        }
    }

    /// Goes to the journal's end, and says how that went.
    fn follow(&mut self, stop: &watch::Receiver<bool>) -> State {
        match catch_unwind(AssertUnwindSafe(|| self.catch_up(stop))) {
            Ok(Ok(())) => State::Following,
            Ok(Err(Error::Journal(error))) if may_pass(&error) => {
                self.report(&error);
                State::Waiting
            }
            Ok(Err(error)) => {
                self.report(&error);
                State::Stuck
            }
            Err(_) => {
                self.report(&"the view panicked; it is rebuilt at the next start");
                self.serving.projection.distrust("the view panicked");
                State::Panicked
            }
        }
    }

    /// Goes to where the journal ends now. What comes meanwhile is let gather in its turn.
    fn catch_up(&mut self, stop: &watch::Receiver<bool>) -> Result<(), Error> {
        let mut told = Instant::now();
        let head = *self.reader.head().borrow();
        while !is_over(stop) && !self.beside.borrow().is_due() {
            let more = self.serving.advance(Position(u64::MAX))?;
            self.publish(None);
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                self.reader.learn_newest();
                let of = self.reader.head().borrow().position;
                let version = self.serving.projection.version();
                let rebuild = self.pace.rebuild(version, self.serving.position(), of);
                rebuild.log(self.name, "the view catches up");
            }
            if !more || self.serving.head().number >= head.number {
                break;
            }
        }
        Ok(())
    }

    /// Waits until there is something to do; `true` when it is time to stop instead.
    async fn next(&self, stop: &mut watch::Receiver<bool>) -> bool {
        let (mut head, mut beside) = (self.reader.head(), self.beside.subscribe());
        let more = async {
            if self.state != State::Following {
                return tokio::time::sleep(RETRY_AFTER).await;
            }
            if head.wait_for(|head| head.number > self.serving.head().number).await.is_err() {
                std::future::pending::<()>().await; // The journal is closed: nothing comes.
            }
            // Not woken by each commit.
            let (position, mut wanted) = (self.serving.position(), self.wanted.subscribe());
            let wanted = wanted.wait_for(|wanted| *wanted > position);
            let _ = tokio::time::timeout(self.options.gather, wanted).await;
        };
        let write = async {
            match self.serving.due_at() {
                Some(at) if self.state == State::Following => {
                    tokio::time::sleep_until(at.into()).await;
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => true, // Dropped is told, too.
            _ = beside.wait_for(Beside::is_due) => false,
            () = write => false,
            () = more => false,
        }
    }

    /// Begins to build beside the rows that serve, where that is asked for, and lets what is built
    /// take over.
    fn tend(&mut self, stop: &watch::Receiver<bool>) {
        let beside = self.beside.borrow().clone();
        match beside {
            Beside::Asked => {
                drop(self.builder.take().map(Builder::join)); // One that has given up.
                let rows = self.left.take().map_or_else(|| self.create(), Ok);
                self.build(rows, stop);
            }
            Beside::Built { .. } => {
                let newer = self.builder.take().and_then(Builder::join);
                self.let_take_over(newer.expect("a builder says so last of all"), stop);
            }
            Beside::Nothing | Beside::Building { .. } | Beside::Failed { .. } => {}
        }
    }

    fn create(&self) -> Result<Folding<V>, Error> {
        Folding::create(self.name, &self.folder, &self.options, Arc::clone(&self.reader))
    }

    fn build(&mut self, rows: Result<Folding<V>, Error>, stop: &watch::Receiver<bool>) {
        let builder = rows.and_then(|rows| {
            let beside = Arc::clone(&self.beside);
            Builder::start(rows, &self.reader, beside, stop.clone())
        });
        match builder {
            Ok(builder) => self.builder = Some(builder),
            Err(error) => {
                tracing::error!(view = %self.name, %error, "the rebuild is given up");
                let (at, error) = (Position(0), error.to_string().into());
                self.beside.send_replace(Beside::Failed { at, error });
            }
        }
    }

    /// Brings newer rows to where those that serve are, and puts them in their place. Until then
    /// those serve, and from then on these, so that every query finds what it waited for.
    fn let_take_over(&mut self, mut newer: Folding<V>, stop: &watch::Receiver<bool>) {
        let upto = self.serving.position();
        let there = catch_unwind(AssertUnwindSafe(|| {
            while newer.position() < upto && newer.advance(upto)? {}
            newer.flush()
        }));
        match there {
            Ok(Ok(())) => {}
            Ok(Err(Error::Journal(error))) if may_pass(&error) => {
                return self.build(Ok(newer), stop);
            }
            Ok(Err(error)) => return beside::give_up(newer, &self.beside, &error.to_string()),
            Err(_) => return beside::give_up_panicked(newer, &self.beside),
        }
        if newer.position() < upto {
            let error = "the journal ends before the rows that serve";
            return beside::give_up(newer, &self.beside, error);
        }
        let retired = self.serving.take_over(newer);
        if self.state == State::Panicked {
            std::mem::forget(retired); // To close such a store may never end.
        } else {
            self.clear(retired);
        }
        (self.state, self.rebuilt_at) = (State::Following, Position(0));
        self.publish(None);
        self.beside.send_replace(Beside::Nothing);
        let (version, position) = (V::VERSION, self.serving.position());
        tracing::info!(view = %self.name, version, %position, "the view's new rows have taken over");
    }

    /// Deletes rows on a thread of its own: a large folder takes a while.
    fn clear(&mut self, retired: Retired) {
        if let Some(before) = self.clearing.take() {
            let _ = before.join(); // It has said what there was to say.
        }
        let view = self.name;
        let clear = move || {
            if let Err(error) = retired.remove() {
                tracing::warn!(%view, %error, "the old rows stay until the next start");
            }
        };
        match thread::Builder::new().name(format!("view {view} clearing")).spawn(clear) {
            Ok(thread) => self.clearing = Some(thread),
            Err(error) => tracing::warn!(%view, %error, "the old rows stay until the next start"),
        }
    }

    /// Closes everything, so that the next start goes on there.
    fn end(mut self) -> Result<(), projections::Error> {
        let built = self.builder.take().and_then(Builder::join);
        for rows in built.into_iter().chain(self.left.take()) {
            beside::close(rows);
        }
        if let Some(clearing) = self.clearing.take() {
            let _ = clearing.join(); // Likewise.
        }
        match self.state {
            State::Panicked => Ok(()), // Not a word to its store.
            _ => self.serving.projection.close(),
        }
    }

    fn publish(&self, error: Option<Arc<str>>) {
        self.publish_at(self.serving.position(), error);
    }

    fn publish_at(&self, position: Position, error: Option<Arc<str>>) {
        // Told before whoever waits goes on, so that nobody finds the metrics behind an answer.
        self.position_gauge.set(position.0 as f64);
        self.writes_counter.absolute(self.serving.projection.rows().writes());
        self.progress.send_replace(Progress {
            version: self.serving.projection.version(),
            position,
            recorded_at: self.serving.recorded_at,
            rebuilding: (position < self.rebuilt_at).then_some(self.pace),
            error,
        });
    }

    fn report(&self, error: &dyn std::fmt::Display) {
        let position = self.progress.borrow().position;
        tracing::error!(view = %self.name, %position, %error, "the view does not go on");
        self.reader.learn_newest();
        // What was taken in and could not be written nobody was told of.
        self.publish_at(position, Some(error.to_string().into()));
    }
}

/// Whether trying again may help: the journal's file, not what is in it.
pub fn may_pass(error: &JournalError) -> bool {
    matches!(error, JournalError::Io { .. } | JournalError::Sqlite { .. })
}

/// Whether it is time to stop: told to, or nobody is there to tell.
pub fn is_over(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}

/// What a thread that feeds a view waits in.
pub fn runtime() -> Runtime {
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without I/O takes nothing from the system")
}
