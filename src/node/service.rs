//! What a node does for the others of its cluster, and tells of itself.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use events::{CommitNumber, Epoch, Head, LEVEL, NodeName, Position, WriterOpened};
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};

use super::follow::destroy;
use crate::{
    cluster::Lease,
    desk::Writer,
    domain::Action,
    engine::{Accepted, Credentials, Error, Request},
    http,
    inner::{self, NotWriter},
    journal::{Journal as _, KafkaJournal},
    keys::KeyRing,
    projector::Views,
};

/// How a node is, as it tells itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// What it is called.
    pub node: NodeName,
    /// Where the other nodes reach it.
    pub address: NodeName,
    /// Which docket it runs.
    pub version: String,
    /// Whether it decides.
    pub writes: bool,
    /// Which node decides, as far as it knows.
    pub writer: Option<NodeName>,
    /// The newest commit that it has.
    pub commit: CommitNumber,
    /// The newest event that it has.
    pub position: Position,
    /// The epoch of that commit.
    pub epoch: Epoch,
    /// How many commits it has read that came too late, since it was started.
    pub fenced_commits: u64,
    /// The newest commit whose public events it knows to be in the topics; 0 where it published none.
    pub published: CommitNumber,
    /// The newest level of events that it reads.
    pub reads_level: u32,
    /// The level of the events that may be written.
    pub level: u32,
    /// How each of its views is doing.
    pub views: Vec<ViewLag>,
}

/// How far a view is behind its node's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewLag {
    /// Its name.
    pub name: String,
    /// In events.
    pub lag_events: u64,
    /// What is wrong with it, if something is.
    pub error: Option<String>,
}

/// Answers the other nodes.
pub(super) struct Service {
    pub(super) me: WriterOpened,
    pub(super) writer: watch::Receiver<Writer>,
    pub(super) opened: watch::Receiver<Option<WriterOpened>>,
    pub(super) lease: Lease,
    pub(super) journal: Arc<KafkaJournal>,
    pub(super) ring: KeyRing,
    pub(super) credentials: Arc<Credentials>,
    pub(super) published: watch::Receiver<CommitNumber>,
    pub(super) answer_within: Duration,
    /// Once they are there.
    pub(super) views: OnceLock<Views>,
}

impl Service {
    /// How this node is.
    pub(super) fn status(&self) -> NodeStatus {
        let head = *self.journal.head().borrow();
        let writes = matches!(&*self.writer.borrow(), Writer::Here(_));
        let known = matches!(&*self.writer.borrow(), Writer::There(_)) || writes;
        let opened = self.opened.borrow();
        let lag = |view: crate::projector::ViewStatus| ViewLag {
            name: view.name.as_str().to_owned(),
            lag_events: view.lag_events,
            error: view.error,
        };
        let views = self.views.get().map(Views::status).unwrap_or_default();
        NodeStatus {
            node: self.me.node.clone(),
            address: self.me.address.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            writes,
            writer: opened.as_ref().filter(|_| known).map(|it| it.node.clone()),
            commit: head.number,
            position: head.position,
            epoch: head.epoch,
            fenced_commits: self.journal.progress().borrow().fenced,
            published: *self.published.borrow(),
            reads_level: LEVEL,
            level: self.credentials.level(),
            views: views.into_iter().map(lag).collect(),
        }
    }

    fn not_writer(&self, reason: &str) -> NotWriter {
        let writer = match &*self.writer.borrow() {
            Writer::There(peer) => Some(peer.address().as_str().to_owned()),
            Writer::Here(_) | Writer::Nobody => None,
        };
        NotWriter { reason: reason.to_owned(), writer }
    }
}

impl http::Member for Service {
    fn status(&self) -> Value {
        serde_json::to_value(self.status()).expect("a status has texts for keys")
    }

    fn measure(&self) {
        let status = self.status();
        counter!(FENCED_COMMITS).absolute(status.fenced_commits);
        gauge!(WRITES).set(if status.writes { 1.0 } else { 0.0 });
        gauge!(EPOCH).set(status.epoch.0 as f64);
        gauge!(COMMIT).set(status.commit.0 as f64);
        gauge!(PUBLISHED_COMMIT).set(status.published.0 as f64);
    }
}

/// Tells Prometheus what each metric of a node is; `docket_fenced_commits_total` among them.
pub(super) fn describe_metrics() {
    describe_counter!(
        FENCED_COMMITS,
        Unit::Count,
        "Commits that came too late, by a node whose turn to write was over [commits]"
    );
    describe_gauge!(WRITES, "Whether this node takes commands for all: 1 or 0 []");
    describe_gauge!(EPOCH, "The epoch of the newest commit that this node has []");
    describe_gauge!(COMMIT, "The number of the newest commit that this node has []");
    describe_gauge!(
        PUBLISHED_COMMIT,
        "The newest commit whose public events this node has put into the topics; 0 for none []"
    );
}

const FENCED_COMMITS: &str = "docket_fenced_commits_total";
const WRITES: &str = "docket_node_writes";
const EPOCH: &str = "docket_epoch";
const COMMIT: &str = "docket_commit_number";
const PUBLISHED_COMMIT: &str = "docket_published_commit_number";

impl inner::Service for Service {
    async fn submit(
        &self,
        mut request: Request,
        within: Duration,
    ) -> Result<Result<Accepted, Error>, NotWriter> {
        // The same one may have come before, or may still come, on another connection.
        request.again = true;
        let writer = self.writer.borrow().clone();
        let Writer::Here(engine) = writer else {
            return Err(self.not_writer("this node does not write"));
        };
        let deadline = Instant::now() + within.min(self.answer_within);
        let forgets = match &request.command.action {
            Action::Forget { account } => Some(*account),
            _ => None,
        };
        let answer = engine.submit_by(request, deadline).await;
        if let (Some(account), Ok(_)) = (forgets, &answer) {
            // The other node does so too; this one does not wait for that.
            destroy(&self.ring, vec![account]);
        }
        match answer {
            Err(Error::NoWriter) => Err(self.not_writer("this node's turn to write may be over")),
            answer => Ok(answer),
        }
    }

    async fn position(&self) -> Result<Head, NotWriter> {
        let writes = matches!(&*self.writer.borrow(), Writer::Here(_));
        // The head before the lease: nobody else had written by then.
        let head = *self.journal.head().borrow();
        match writes && self.lease.holds() {
            true => Ok(head),
            false => Err(self.not_writer("this node cannot tell which commit is the newest")),
        }
    }

    async fn status(&self) -> Value {
        serde_json::to_value(self.status()).expect("a status has texts for keys")
    }
}
