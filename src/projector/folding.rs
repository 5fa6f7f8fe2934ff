//! A view's rows on their way through the journal.

use std::{path::Path, sync::Arc, time::Instant};

use events::{CommitNumber, Hash, Head, Millis, Position};
use projections::{Mark, Projection, Retired, View};

use super::{Error, Options, Reader, ViewName, newest_recorded_at};

/// Folds the journal into the rows of one folder.
pub struct Folding<V> {
    pub name: ViewName,
    pub projection: Projection<V>,
    pub reader: Arc<Reader>,
    /// Where the rows stand.
    head: Head,
    /// The hash of the journal's first commit, once the rows stand behind it.
    journal: Option<Hash>,
    /// When the newest event that the rows hold was recorded.
    pub recorded_at: Option<Millis>,
    options: Options,
    /// Since when something is taken in and not written.
    unwritten_since: Option<Instant>,
}

impl<V: View> Folding<V> {
    /// Goes on where the rows stand, if that is a place in this journal; else begins anew.
    ///
    /// # Errors
    /// When the journal cannot be read, or the rows' folder cannot be emptied.
    pub fn resume(
        name: ViewName,
        projection: Projection<V>,
        options: &Options,
        reader: Arc<Reader>,
    ) -> Result<Self, Error> {
        if let Some(reason) = projection.discarded() {
            tracing::warn!(view = %name, reason, "the view's rows are given up; it is rebuilt");
        }
        let mut this = Self::begin(name, projection, options, reader);
        let Some(mark) = this.projection.mark() else { return Ok(this) };
        let journal = this.reader.journal.as_ref();
        let first = journal.head_at(CommitNumber(1))?;
        let there = journal.head_at(mark.commit)?;
        let reason = match (first, there) {
            (Some(first), Some(there))
                if first.hash == mark.journal
                    && there.hash == mark.hash
                    && there.position == mark.position =>
            {
                this.recorded_at = newest_recorded_at(journal, there.number);
                this.head = there;
                this.journal = Some(mark.journal);
                return Ok(this);
            }
            (Some(first), _) if first.hash == mark.journal => {
                "the journal does not have its commit"
            }
            _ => "it belongs to another journal",
        };
        tracing::warn!(view = %name, commit = %mark.commit, reason, "the view is rebuilt");
        this.begin_anew()?;
        Ok(this)
    }

    /// Empties the newest folder of the view's version, or makes one.
    ///
    /// # Errors
    /// When the folder is in use, or the file system refuses.
    pub fn anew(
        name: ViewName,
        folder: &Path,
        options: &Options,
        reader: Arc<Reader>,
    ) -> Result<Self, Error> {
        let projection = Projection::open(folder, &options.keeping)
            .map_err(|source| Error::View { view: name, source })?;
        let mut this = Self::begin(name, projection, options, reader);
        this.begin_anew()?;
        Ok(this)
    }

    /// Makes a folder for rows of the view's version, beside all that are there.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(
        name: ViewName,
        folder: &Path,
        options: &Options,
        reader: Arc<Reader>,
    ) -> Result<Self, Error> {
        let projection = Projection::create(folder, &options.keeping)
            .map_err(|source| Error::View { view: name, source })?;
        Self::resume(name, projection, options, reader)
    }

    fn begin(
        name: ViewName,
        projection: Projection<V>,
        options: &Options,
        reader: Arc<Reader>,
    ) -> Self {
        let (head, journal, recorded_at) = (Head::default(), None, None);
        let (options, unwritten_since) = (options.clone(), None);
        Self { name, projection, reader, head, journal, recorded_at, options, unwritten_since }
    }

    /// Gives up what the rows hold.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn begin_anew(&mut self) -> Result<(), Error> {
        if self.projection.mark().is_some() {
            self.projection.wipe().map_err(|source| self.failed(source))?;
        }
        (self.head, self.journal, self.recorded_at) = (Head::default(), None, None);
        self.unwritten_since = None;
        Ok(())
    }

    /// The newest event that the rows hold.
    pub fn position(&self) -> Position {
        self.projection.mark().map_or(Position(0), |mark| mark.position)
    }

    /// The newest commit that the rows hold.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes in the next commits, none of their events behind `upto`, and writes what has waited
    /// long enough; says whether there may be more.
    ///
    /// # Errors
    /// When the journal cannot be read, an event does not fit, or the rows cannot be written.
    pub fn advance(&mut self, upto: Position) -> Result<bool, Error> {
        let commits = self.reader.after(&self.head)?;
        let commits = match commits.iter().position(|commit| commit.before.position >= upto) {
            Some(behind) => &commits[..behind],
            None => &commits,
        };
        let Some(last) = commits.last() else {
            self.write_due()?;
            return Ok(false);
        };
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
        self.write_due()?;
        Ok(self.head.position < upto)
    }

    /// When what is taken in is to be written, if something is.
    pub fn due_at(&self) -> Option<Instant> {
        Some(self.unwritten_since? + self.options.write_after)
    }

    fn write_due(&mut self) -> Result<(), Error> {
        let bytes = self.projection.unwritten_bytes();
        if bytes > 0 {
            let since = *self.unwritten_since.get_or_insert_with(Instant::now);
            if bytes < self.options.write_bytes && since.elapsed() < self.options.write_after {
                return Ok(());
            }
        }
        self.unwritten_since = None;
        self.projection.write().map_err(|source| self.failed(source))
    }

    /// Writes everything, and hands it to the operating system.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.unwritten_since = None;
        self.projection.flush().map_err(|source| self.failed(source))
    }

    /// Has newer rows, which stand at least where these do, take the place of these.
    pub fn take_over(&mut self, newer: Self) -> Retired {
        debug_assert!(newer.position() >= self.position(), "what was seen stays seen");
        (self.head, self.journal) = (newer.head, newer.journal);
        (self.recorded_at, self.unwritten_since) = (newer.recorded_at, newer.unwritten_since);
        self.projection.take_over(newer.projection)
    }

    /// An error of the rows'.
    pub fn failed(&self, source: projections::Error) -> Error {
        Error::View { view: self.name, source }
    }
}

/// What a view's folders are good for.
pub struct Opened<V> {
    /// What stands furthest serves; of those equal, the newest.
    pub serving: Folding<V>,
    /// What is being built beside it, if anything is: empty, or left by the run before.
    pub beside: Option<Folding<V>>,
}

impl<V: View> Opened<V> {
    /// Opens a view's folders, and makes those that are missing. How far each stands says what it
    /// is for, and nothing else does: whenever a run before this one ended, what it served is there.
    /// What is neither newest nor furthest is deleted.
    ///
    /// # Errors
    /// When a folder is in use, the file system refuses or the journal cannot be read.
    pub fn open(
        name: ViewName,
        folder: &Path,
        options: &Options,
        reader: &Arc<Reader>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::View { view: name, source };
        let mut all = Vec::new();
        for projection in Projection::<V>::open_each(folder, &options.keeping).map_err(failed)? {
            let folding = Folding::resume(name, projection, options, Arc::clone(reader))?;
            if folding.projection.version() == V::VERSION || folding.position() > Position(0) {
                all.push(folding);
            } else {
                folding.projection.retire().remove().map_err(failed)?;
            }
        }
        let create = || Folding::create(name, folder, options, Arc::clone(reader));
        let furthest = (0..all.len()).max_by_key(|at| all[*at].position()); // The last of equals.
        let Some(furthest) = furthest else {
            return Ok(Self { serving: create()?, beside: None });
        };
        let newest = all.len() - 1;
        let (mut serving, mut newer) = (None, None);
        for (at, folding) in all.into_iter().enumerate() {
            if at == furthest {
                serving = Some(folding);
            } else if at == newest && folding.projection.version() == V::VERSION {
                newer = Some(folding);
            } else {
                folding.projection.retire().remove().map_err(failed)?;
            }
        }
        let serving = serving.expect("one stands furthest");
        let beside = match newer {
            None if serving.projection.version() < V::VERSION => Some(create()?),
            newer => newer,
        };
        Ok(Self { serving, beside })
    }
}
