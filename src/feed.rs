//! What was recorded, for those who want to read it: the history of one thing, the outcome of one
//! command.
//!
//! **Invariant:** what is read here is durable, and is given as it was recorded; no sealed field is
//! opened.

use std::{fmt, sync::Arc};

use events::{Channel, CommandId, DecisionHeader, Envelope, Position, Subject};

use crate::journal::{Journal, JournalError};

/// Reads recorded events. Cheap to clone. Every method blocks on storage: call them off the async
/// threads.
#[derive(Clone)]
pub struct Feed(Arc<dyn Journal>);

/// The journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] JournalError);

impl Feed {
    /// Reads this journal.
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        Self(journal)
    }

    /// The events of one subject after a position, oldest first, at most `limit`.
    pub fn history(
        &self,
        channel: &Channel,
        subject: &Subject,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Envelope>, Error> {
        Ok(self.0.read_subject(channel, subject, after, limit)?)
    }

    /// What a recorded command was told, by its id.
    pub fn decision(&self, command: CommandId) -> Result<Option<DecisionHeader>, Error> {
        Ok(self.0.decision(command)?)
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feed(..)")
    }
}
