//! What one node of several makes of what is recorded: who has an account, who writes, whose keys are
//! to be destroyed.

use std::sync::Arc;

use anyhow::Context as _;
use events::{AccountId, Event, Millis, Position, Recorded, WriterOpened};
use tokio::{sync::watch, time::Instant};

use super::{Error, blocking};
use crate::{
    desk::Writer,
    engine::Standby,
    inner::Peers,
    journal::{Journal as _, KafkaJournal},
    keys::KeyRing,
};

/// Takes in what the journal holds, and tells the other parts of the node.
pub(super) struct Follow {
    pub(super) journal: Arc<KafkaJournal>,
    pub(super) ring: KeyRing,
    pub(super) peers: Peers,
    pub(super) me: WriterOpened,
    /// Who decides, as the desk reaches it.
    pub(super) writer: watch::Sender<Writer>,
    /// Who decides, by name; nobody before the first.
    pub(super) opened: watch::Sender<Option<WriterOpened>>,
    /// How far the table of credentials has come.
    pub(super) followed: watch::Sender<Position>,
    /// When this node last took in what another one had recorded just before, and what time it was
    /// recorded at.
    pub(super) heard: Option<(Instant, Millis)>,
    /// Whether what is taken in from now on was recorded just before.
    pub(super) looks_on: bool,
    /// Whose keys are to be destroyed, if they are still there.
    pub(super) forgotten: Vec<AccountId>,
}

/// What was recorded that somebody beside the world wants to know.
struct News {
    /// What was known before.
    after: Position,
    newest: Option<Millis>,
    opened: Option<WriterOpened>,
    forgotten: Vec<AccountId>,
}

impl News {
    fn see(&mut self, recorded: &Recorded) {
        if recorded.position <= self.after {
            return;
        }
        self.newest = Some(recorded.recorded_at);
        match &recorded.event {
            Event::WriterOpened(it) => self.opened = Some(it.clone()),
            Event::AccountForgotten(it) => self.forgotten.push(it.account),
            _ => {}
        }
    }
}

impl Follow {
    /// Takes in all that the journal holds by now.
    ///
    /// # Errors
    /// When it cannot be read. Nothing helps then.
    pub(super) async fn catch_up(&mut self, mut standby: Standby) -> Result<Standby, Error> {
        let journal = Arc::clone(&self.journal);
        let after = standby.credentials().position();
        let fold = move || {
            let mut news = News { after, newest: None, opened: None, forgotten: Vec::new() };
            standby.catch_up(journal.as_ref(), |it| news.see(it)).context("the journal")?;
            anyhow::Ok((standby, news))
        };
        let (standby, news) = blocking(fold).await?;
        self.forget(news.forgotten, after);
        if let Some(opened) = news.opened {
            self.writer.send_replace(self.reach(&opened));
            self.opened.send_replace(Some(opened));
        }
        let another_writes = self.opened.borrow().as_ref().is_some_and(|it| *it != self.me);
        if let Some(newest) = news.newest
            && self.looks_on
            && another_writes
        {
            // What comes late was recorded before what was heard already.
            let at_least = self.heard.map_or(0, |(since, said)| {
                let passed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
                said.0.saturating_add(passed)
            });
            self.heard = Some((Instant::now(), Millis(newest.0.max(at_least))));
        }
        // Last: who sees this knows who wrote what is read.
        self.followed.send_replace(standby.credentials().position());
        Ok(standby)
    }

    /// Whether there is more to take in than a standby has.
    pub(super) fn is_behind(&self, standby: &Standby) -> bool {
        self.journal.head().borrow().number > standby.head().number
    }

    /// The way to the node that opened an epoch. To itself it has none: either it is about to write,
    /// or it has ceased to.
    fn reach(&self, opened: &WriterOpened) -> Writer {
        if *opened == self.me {
            return Writer::Nobody;
        }
        match self.peers.at(opened.address.as_str()) {
            Ok(peer) => Writer::There(Arc::new(peer)),
            Err(error) => {
                tracing::error!(node = %opened.node, %error, "the node that writes has no address");
                Writer::Nobody
            }
        }
    }

    /// Reads nothing more of those who were forgotten. Their keys are destroyed by whoever took the
    /// command; should that node have died before it could, any other does.
    fn forget(&mut self, forgotten: Vec<AccountId>, after: Position) {
        // At the start these are all that ever were: mostly somebody has seen to it since. Here too,
        // but where this node was away for so long that nothing tells it any more.
        let at_start = after.0 == 0;
        let there = |account: &AccountId| !at_start || self.ring.has(*account).unwrap_or(true);
        let forgotten: Vec<_> = forgotten.into_iter().filter(there).collect();
        if !forgotten.is_empty() {
            destroy(&self.ring, forgotten.clone());
        }
        self.forgotten.extend(forgotten);
    }
}

/// Opens nothing more with the keys of these accounts from here on, and destroys them soon.
pub(super) fn destroy(ring: &KeyRing, accounts: Vec<AccountId>) {
    for account in &accounts {
        ring.close(*account);
    }
    let ring = ring.clone();
    tokio::task::spawn_blocking(move || {
        for account in accounts {
            if let Err(error) = ring.destroy(account) {
                let when = "the next node that writes does it";
                tracing::warn!(%account, %error, "a key is not destroyed yet; {when}");
            }
        }
    });
}
