//! Ready to decide: what the writer would know, kept up with a journal that another may be writing.

use std::sync::Arc;

use events::{Head, Millis, Recorded};

use super::{Credentials, ReplayError, replay};
use crate::{domain::World, journal::Journal};

/// A fold of a journal up to some commit, from which an engine can go on at once.
#[derive(Default)]
pub struct Standby {
    pub(super) world: World,
    pub(super) head: Head,
    pub(super) recorded_at: Millis,
    pub(super) credentials: Arc<Credentials>,
}

impl Standby {
    /// Takes in all that the journal holds by now, and shows each event to somebody else on the way.
    /// Blocks while it reads.
    ///
    /// # Errors
    /// When the journal cannot be read, or is damaged. It is of no use any more then.
    pub fn catch_up(
        &mut self,
        journal: &dyn Journal,
        mut see: impl FnMut(&Recorded),
    ) -> Result<(), ReplayError> {
        let Self { world, head, recorded_at, credentials } = self;
        replay::follow(journal, world, head, |recorded| {
            *recorded_at = recorded.recorded_at;
            credentials.apply(recorded);
            see(recorded);
        })
    }

    /// The newest commit that it has taken in.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Who has an account and what proves it, as far as it has come; the engine that goes on from
    /// here keeps the same table.
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }
}
