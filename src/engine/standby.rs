//! Ready to decide: what the writer would know, kept up with a journal that another may be writing.

use std::sync::Arc;

use events::{Channel, CommandId, Commit, Epoch, Head, Millis, Position, Recorded, WriterOpened};
use uuid::Uuid;

use super::{Clock, Credentials, ReplayError, Request, Time, batch, replay};
use crate::{
    domain::{self, Action, Caller, Command, World},
    journal::{Journal, JournalError},
};

/// The channel of what belongs to none.
const SITE: &str = "site";

/// A fold of a journal up to some commit, from which an engine can go on at once.
pub struct Standby {
    pub(super) world: World,
    pub(super) head: Head,
    pub(super) credentials: Arc<Credentials>,
    pub(super) time: Arc<Time>,
}

impl Standby {
    /// Of nothing yet. The machine's time comes from `clock`.
    pub fn new(clock: Clock) -> Self {
        let time = Arc::new(Time::new(clock, Millis::default()));
        Self::beside(Arc::default(), time)
    }

    /// Of nothing yet, beside a table and a time that are of the same journal and further on: those
    /// stay as they are until this has come to where they are, and go on with it from there.
    pub fn beside(credentials: Arc<Credentials>, time: Arc<Time>) -> Self {
        Self { world: World::default(), head: Head::default(), credentials, time }
    }

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
        let Self { world, head, credentials, time } = self;
        let mut newest = None;
        let followed = replay::follow(journal, world, head, |recorded| {
            newest = Some(recorded.recorded_at);
            credentials.apply(recorded);
            see(recorded);
        });
        if let Some(newest) = newest {
            time.reached(newest);
        }
        followed
    }

    /// Everything that it has taken in.
    pub fn into_world(self) -> World {
        self.world
    }

    /// The newest commit that it has taken in.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Whether what it has taken in ends in this epoch: nobody has opened another since. An engine may
    /// go on from here in the epoch that this node opened, and in no other's.
    pub fn ends_in(&self, epoch: Epoch) -> bool {
        self.head.epoch == epoch
    }

    /// Who has an account and what proves it, as far as it has come; the engine that goes on from
    /// here keeps the same table.
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// The time of what it has taken in; the engine that goes on from here keeps the same.
    pub fn time(&self) -> &Arc<Time> {
        &self.time
    }

    /// Opens an epoch: appends the commit that says who decides from here on. Blocks until it is
    /// durable, and then nobody of an epoch before can append any more; [catch up](Self::catch_up)
    /// with it before an engine goes on.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] when another node has appended meanwhile: catch up and try again.
    pub fn open_epoch(
        &self,
        journal: &dyn Journal,
        epoch: Epoch,
        opened: WriterOpened,
    ) -> Result<(), JournalError> {
        let (now, first) = (self.time.now(), Position(self.head.position.0 + 1));
        let channel = Channel::new(SITE).expect("it is short");
        let request = Request::new(Command {
            id: CommandId(Uuid::now_v7()),
            channel: channel.clone(),
            caller: Caller::System,
            action: Action::OpenWriter(opened),
        });
        let at = (first, self.world.level);
        let decided = domain::decide(&self.world, &request.command, now);
        let encoded = decided.and_then(|it| batch::encode(&request, &channel, it, at, now, 0));
        let decision = encoded.expect("docket may open, and it is small").into_decision();
        let commit = Commit::seal(&self.head, epoch, vec![decision]);
        let appending = journal.append(Arc::new(commit), Vec::new());
        let ended = |_| JournalError::Closed("its thread has ended".into());
        appending.blocking_recv().map_err(ended)?
    }
}
