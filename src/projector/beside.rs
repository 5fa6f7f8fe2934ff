//! Builds a view's rows anew beside those that serve, on a thread of its own, until they are as
//! good as there.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Instant,
};

use events::Position;
use projections::View;
use tokio::sync::watch;

use super::{
    Error, Reader,
    folding::Folding,
    follower::{PROGRESS_EVERY, RETRY_AFTER, is_over, may_pass, runtime},
    status::{Beside, Pace},
};

/// Rows being built. The thread ends when they are built, when they cannot be, or when told to
/// stop; in the last case they are closed, and the next start goes on with them.
pub struct Builder<V>(JoinHandle<Option<Folding<V>>>);

impl<V: View> Builder<V> {
    /// Builds these rows, and says in `beside` how far they are.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        mut rows: Folding<V>,
        reader: &Reader,
        beside: Arc<watch::Sender<Beside>>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, Error> {
        // Of its own: what the views that follow share is not to be pushed out by what is far back.
        let reader = Arc::new(reader.another());
        rows.reader = Arc::clone(&reader);
        let view = rows.name;
        let pace = Pace::begin(rows.position());
        beside.send_replace(Beside::Building { pace, at: rows.position() });
        let building = Building { rows, reader, beside, pace };
        let thread = thread::Builder::new().name(format!("view {view} beside"));
        let thread = thread.spawn(move || building.run(stop));
        Ok(Self(thread.map_err(|source| Error::Thread { view, source })?))
    }

    /// Waits for the thread. Gives what was built, if anything was.
    pub fn join(self) -> Option<Folding<V>> {
        self.0.join().ok().flatten()
    }
}

struct Building<V> {
    rows: Folding<V>,
    reader: Arc<Reader>,
    beside: Arc<watch::Sender<Beside>>,
    pace: Pace,
}

impl<V: View> Building<V> {
    fn run(mut self, mut stop: watch::Receiver<bool>) -> Option<Folding<V>> {
        loop {
            let error = match catch_unwind(AssertUnwindSafe(|| self.catch_up(&stop))) {
                Ok(Ok(())) if is_over(&stop) => {
                    close(self.rows);
                    return None;
                }
                Ok(Ok(())) => {
                    let (pace, at) = (self.pace, self.rows.position());
                    self.beside.send_replace(Beside::Built { pace, at });
                    return Some(self.rows);
                }
                Ok(Err(Error::Journal(error))) if may_pass(&error) => {
                    let view = self.rows.name;
                    tracing::warn!(%view, %error, "the rebuild waits for the journal");
                    let stopped = stop.wait_for(|stop| *stop);
                    // Told or not, the next round looks.
                    let _ = runtime().block_on(async {
                        tokio::time::timeout(RETRY_AFTER, stopped).await.is_ok()
                    });
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => {
                    give_up_panicked(self.rows, &self.beside);
                    return None;
                }
            };
            give_up(self.rows, &self.beside, &error);
            return None;
        }
    }

    /// Goes on to where only what the rows that serve take in at once is missing.
    fn catch_up(&mut self, stop: &watch::Receiver<bool>) -> Result<(), Error> {
        let mut told = Instant::now();
        loop {
            let more = !is_over(stop) && self.rows.advance(Position(u64::MAX))?;
            let (at, of) = (self.rows.position(), self.reader.head().borrow().position);
            if !more || at.0 + self.reader.slice_events() >= of.0 {
                break;
            }
            let building = Beside::Building { pace: self.pace, at };
            self.beside.send_replace(building);
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                let rebuild = self.pace.rebuild(V::VERSION, at, of);
                rebuild.log(self.rows.name, "the view is built beside the rows that serve");
            }
        }
        self.rows.flush()
    }
}

/// Gives rows up: what serves serves on. Nobody needs their folder.
pub fn give_up<V: View>(rows: Folding<V>, beside: &watch::Sender<Beside>, error: &str) {
    let (view, at) = (rows.name, rows.position());
    tracing::error!(%view, position = %at, %error, "the rebuild is given up; what serves serves on");
    if let Err(error) = rows.projection.retire().remove() {
        tracing::warn!(%view, %error, "what was built stays in its folder until the next start");
    }
    beside.send_replace(Beside::Failed { at, error: error.into() });
}

/// Gives up rows whose store panicked: closing it may panic again, or never end.
pub fn give_up_panicked<V: View>(rows: Folding<V>, beside: &watch::Sender<Beside>) {
    let (view, at, error) = (rows.name, rows.position(), "the view panicked");
    tracing::error!(%view, position = %at, %error, "the rebuild is given up; what serves serves on");
    rows.projection.distrust(error);
    std::mem::forget(rows);
    beside.send_replace(Beside::Failed { at, error: error.into() });
}

/// Closes rows that the next start goes on with.
pub fn close<V: View>(rows: Folding<V>) {
    let view = rows.name;
    if let Err(error) = rows.projection.close() {
        tracing::warn!(%view, %error, "the rows built so far were not closed in good order");
    }
}
