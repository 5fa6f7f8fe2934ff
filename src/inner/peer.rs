//! The side that calls: other nodes by their addresses, over connections that are kept.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    http::{Method, Request, StatusCode, header::CONTENT_TYPE},
};
use events::NodeName;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    BODY_BYTES_MAX, COMMANDS, Committed, NotWriter, POSITION, Reason, STATUS, Signer, Submission,
    coalescer::Coalescer, unreadable,
};
use crate::engine::{self, Accepted};

/// How long a connection without a request is kept: less than the other side keeps it.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The most that a peer is told to answer sooner than its caller gives up, for the way.
const WAY_MAX: Duration = Duration::from_millis(200);

/// What a site may set about calling other nodes.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// How long a connection may take to be made. Default 1 s.
    pub connect_within: Duration,
    /// How long a position or a status may take. Default 2 s.
    pub answer_within: Duration,
    /// Commands on their way to one node at once, and with them connections; more wait. Default 256.
    pub at_once_max: usize,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self {
            connect_within: Duration::from_secs(1),
            answer_within: Duration::from_secs(2),
            at_once_max: 256,
        }
    }
}

/// Makes [`Peer`]s. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Peers {
    client: legacy::Client<HttpConnector, Full<Bytes>>,
    signer: Signer,
    options: PeerOptions,
}

/// Another node. Keep one for each address: it is what bounds and shares requests.
pub struct Peer {
    peers: Peers,
    address: NodeName,
    places: Semaphore,
    positions: Coalescer<Result<Committed, Failure>>,
}

/// A text that is no address of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a node: it reads host:port")]
pub struct InvalidAddress(pub String);

/// Why a node gave no answer. Each says whether the request may have had an effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection could be made. Nothing was sent.
    #[error("{node} cannot be reached: {reason}")]
    Unreachable {
        /// The node.
        node: NodeName,
        /// What the system says.
        reason: Arc<str>,
    },
    /// As many commands as there may be were on their way all the time. Nothing was sent.
    #[error("too many commands are on their way to {0}")]
    Busy(NodeName),
    /// It is larger than nodes take from each other, and than any decision. Nothing was sent.
    #[error("the request is too large to be given to another node: {bytes} bytes")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The node does not write. It has decided nothing.
    #[error("{node} does not write: {error}")]
    NotWriter {
        /// The node.
        node: NodeName,
        /// What it says.
        error: NotWriter,
    },
    /// The node let the request in, and refused it for its shape. It has decided nothing.
    #[error("{node} refused the request with {status}: {reason}")]
    Refused {
        /// The node.
        node: NodeName,
        /// The answer's status.
        status: StatusCode,
        /// What it says.
        reason: Arc<str>,
    },
    /// The request was sent, or may have been, and no answer came that can be believed.
    #[error("no answer of {node} that counts: {reason}")]
    Unanswered {
        /// The node.
        node: NodeName,
        /// What came instead.
        reason: Arc<str>,
    },
}

impl Failure {
    /// Whether the request may have had its effect all the same.
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Unanswered { .. } => true,
            Self::Unreachable { .. }
            | Self::Busy(_)
            | Self::TooLarge { .. }
            | Self::NotWriter { .. }
            | Self::Refused { .. } => false,
        }
    }
}

impl Peers {
    /// Calls other nodes as the signer's node.
    pub fn new(signer: Signer, options: PeerOptions) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(options.connect_within));
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(options.at_once_max)
            .build(connector);
        Self { client, signer, options }
    }

    /// The node at `host:port`.
    pub fn at(&self, address: &str) -> Result<Peer, InvalidAddress> {
        let bad = || InvalidAddress(address.to_owned());
        let authority: axum::http::uri::Authority = address.parse().map_err(|_| bad())?;
        if authority.port_u16().is_none() || address.contains('@') {
            return Err(bad());
        }
        Ok(Peer {
            peers: self.clone(),
            address: NodeName::new(address).map_err(|_| bad())?,
            places: Semaphore::new(self.options.at_once_max),
            positions: Coalescer::default(),
        })
    }
}

impl Peer {
    /// The node's address, `host:port`.
    pub fn address(&self) -> &NodeName {
        &self.address
    }

    /// Gives the node a command and waits for the answer, this long at most. The outcome may be
    /// unknown by the [`Failure`], or by the engine's own [`engine::Error::Unknown`]. Nothing here
    /// gives a command twice; whoever does, with the same id, sets [`engine::Request::again`], so
    /// that it has effect once.
    pub async fn submit(
        &self,
        request: &engine::Request,
        within: Duration,
    ) -> Result<Result<Accepted, engine::Error>, Failure> {
        let deadline = Instant::now() + within;
        let within = within - (within / 10).min(WAY_MAX);
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let body = serde_json::to_vec(&Submission { within_ms, request });
        let body = body.expect("what nodes say has texts for keys");
        if body.len() > BODY_BYTES_MAX {
            return Err(Failure::TooLarge { bytes: body.len() });
        }
        let place = timeout_at(deadline, self.places.acquire()).await;
        let place = place.map_err(|_| Failure::Busy(self.address.clone()))?;
        let _place = place.expect("places are never closed");
        self.call(Method::POST, COMMANDS, body, deadline).await
    }

    /// The newest commit, as the node vouches for it after this was asked. One request is in
    /// flight at a time, shared by all who asked before it was sent; so it may take twice
    /// [`PeerOptions::answer_within`].
    pub async fn position(&self) -> Result<Committed, Failure> {
        self.positions.ask(|| self.get(POSITION)).await
    }

    /// How the node is, as it says.
    pub async fn status(&self) -> Result<Value, Failure> {
        self.get(STATUS).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let deadline = Instant::now() + self.peers.options.answer_within;
        self.call(Method::GET, path, Vec::new(), deadline).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Result<T, Failure> {
        let mut signed = self.peers.signer.sign(&self.address, &method, path, &body);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("an address and a path are a URI");
        request.headers_mut().extend(std::mem::take(&mut signed.headers));
        let answered = timeout_at(deadline, self.exchange(request)).await;
        let (status, headers, body) =
            answered.unwrap_or_else(|_| Err(self.unanswered("none came in time")))?;
        if !signed.is_answered_by(status, &headers, &body) {
            return Err(self.unanswered(format!(
                "what came, with {status}, is not signed with this cluster's secret{}",
                said(&body)
            )));
        }
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(|it| self.unanswered(unreadable(&it)));
        }
        let node = self.address.clone();
        if status == StatusCode::SERVICE_UNAVAILABLE
            && let Ok(error) = serde_json::from_slice(&body)
        {
            return Err(Failure::NotWriter { node, error });
        }
        let reason = reason(&body).unwrap_or_default().into();
        Err(Failure::Refused { node, status, reason })
    }

    /// Sends a request and reads the answer whole.
    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, axum::http::HeaderMap, Bytes), Failure> {
        let response = self.peers.client.request(request).await.map_err(|error| {
            let reason = causes(&error);
            match error.is_connect() {
                true => Failure::Unreachable { node: self.address.clone(), reason },
                false => self.unanswered(reason),
            }
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.unanswered(causes(&*error)))?.to_bytes();
        Ok((head.status, head.headers, body))
    }

    fn unanswered(&self, reason: impl Into<Arc<str>>) -> Failure {
        Failure::Unanswered { node: self.address.clone(), reason: reason.into() }
    }
}

/// What an answer that proves nothing says of itself: most often that the secrets differ.
fn said(body: &[u8]) -> String {
    let shown = |it: String| it.chars().take(200).filter(|it| !it.is_control()).collect();
    let said = reason(body).map(shown).filter(|it: &String| !it.is_empty());
    said.map_or_else(String::new, |it| format!("; it says: {it}"))
}

fn reason(body: &[u8]) -> Option<String> {
    serde_json::from_slice(body).ok().map(|Reason { reason }| reason)
}

/// An error with all that caused it.
fn causes(error: &(dyn std::error::Error + 'static)) -> Arc<str> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").into()
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({})", self.address)
    }
}
