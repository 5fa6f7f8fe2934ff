//! What docket's nodes say to each other: a command for whoever writes, the writer's committed
//! position, a node's status. HTTP with JSON, on a listener of its own, under the cluster's secret.
//!
//! **Invariant:** nothing of a request is looked at but its signed head until that is known to
//! come from a node of the cluster, to be meant for this node, and to be new; and of each such head
//! one request is let in, once, with exactly the body that was signed.
//! **Invariant:** only an answer to a request that was let in is signed, and only a signed answer
//! is believed. So whoever stands between two nodes can keep an answer away and cannot make one.
//! **Invariant:** neither the secret nor a body is ever printed or logged.
//!
//! What is not done: nothing is encrypted. Personal data in commands is sealed and tokens are
//! digests, all else can be read by whoever stands between the nodes.

use std::time::Duration;

use events::{CommitNumber, Epoch, Head, NodeName, Position};
use serde::{Deserialize, Serialize};

use crate::engine::{Accepted, Error, Request};

mod coalescer;
mod peer;
mod secret;
mod seen;
mod server;
mod signing;
mod verifier;

pub use peer::{Failure, InvalidAddress, Peer, PeerOptions, Peers};
pub use secret::{Secret, TooShort};
pub use server::router;
pub use signing::{Signed, Signer, header};
pub use verifier::{Admitted, Refused, Verifier, VerifierOptions};

/// What a body between two nodes weighs at most, in bytes. A decision is at most 256 KiB.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Where a node takes commands for the writer.
const COMMANDS: &str = "/inner/v1/commands";
/// Where the writer tells its committed position.
const POSITION: &str = "/inner/v1/position";
/// Where a node tells how it is.
const STATUS: &str = "/inner/v1/status";

/// What a node does for the others.
pub trait Service: Send + Sync + 'static {
    /// Decides a command, as [`Handle::submit`](crate::engine::Handle::submit). `within` is how
    /// long the other node still waits; that says nothing of how long a node is willing to try.
    fn submit(
        &self,
        request: Request,
        within: Duration,
    ) -> impl Future<Output = Result<Result<Accepted, Error>, NotWriter>> + Send;

    /// The newest commit there is, as long as this node can vouch for there being no newer one.
    fn position(&self) -> impl Future<Output = Result<Head, NotWriter>> + Send;

    /// How this node is.
    fn status(&self) -> impl Future<Output = serde_json::Value> + Send;
}

/// The node does not write, or cannot be sure that it still does. It has decided nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct NotWriter {
    /// Why not.
    pub reason: String,
    /// The address of the node that it believes writes, `host:port`, if it knows of one.
    pub writer: Option<String>,
}

/// The newest commit, as the writer vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The newest event; 0 where there is none.
    pub position: Position,
    /// The newest commit; 0 where there is none.
    pub number: CommitNumber,
    /// The epoch of who made it.
    pub epoch: Epoch,
    /// The node that says so.
    pub node: NodeName,
}

/// A command on its way to the writer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Submission<R> {
    /// How long the caller still waits.
    within_ms: u64,
    request: R,
}

/// Why a request that was let in came to nothing.
#[derive(Serialize, Deserialize)]
struct Reason {
    reason: String,
}

/// What is wrong with a JSON text, without any of it: it may be somebody's.
fn unreadable(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!("it does not read as what this version expects, at line {line}, column {column}")
}
