//! A node whose engine is a script, and another that calls it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use docket::{
    domain::{Action, Caller, Command},
    engine::{self, Accepted, Clock, Error},
    http::server,
    inner::{
        NotWriter, PeerOptions, Peers, Secret, Service, Signer, Verifier, VerifierOptions, router,
    },
};
use events::{
    Channel, CommandId, CommitNumber, Digest, Epoch, Head, Millis, NodeName, Position, Receipt,
    StoreId,
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    time::{sleep, timeout},
};
use tower::ServiceExt as _;
use uuid::Uuid;

pub const SECRET: &str = "the secret of a cluster in a test, long enough";
pub const NOON: i64 = 1_760_000_000_000;

/// What a node does with a command.
#[derive(Clone, Copy, PartialEq)]
pub enum Does {
    Accepts,
    Refuses,
    SaysItDoesNotWrite,
    NeverAnswers,
}

/// Decides nothing itself, and counts what reaches it.
pub struct Script {
    pub does: Does,
    pub reached: AtomicUsize,
}

impl Script {
    pub fn new(does: Does) -> Arc<Self> {
        Arc::new(Self { does, reached: AtomicUsize::new(0) })
    }

    /// How many requests got as far as here.
    pub fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    async fn writes(&self) -> Result<(), NotWriter> {
        self.reached.fetch_add(1, Ordering::SeqCst);
        match self.does {
            Does::Accepts | Does::Refuses => Ok(()),
            Does::SaysItDoesNotWrite => Err(not_writer()),
            Does::NeverAnswers => std::future::pending().await,
        }
    }
}

impl Service for Script {
    async fn submit(
        &self,
        request: engine::Request,
        _: Duration,
    ) -> Result<Result<Accepted, Error>, NotWriter> {
        self.writes().await?;
        Ok(match self.does {
            Does::Refuses => Err(Error::Full),
            _ => Ok(accepted(request.command.id)),
        })
    }

    async fn position(&self) -> Result<Head, NotWriter> {
        self.writes().await?;
        Ok(head())
    }

    async fn status(&self) -> Value {
        self.reached.fetch_add(1, Ordering::SeqCst);
        json!({ "role": "writer" })
    }
}

pub fn not_writer() -> NotWriter {
    NotWriter { reason: "node-3 writes".into(), writer: Some("10.0.0.3:9300".into()) }
}

pub fn head() -> Head {
    let hash = Digest([7; 32]);
    Head { number: CommitNumber(4), epoch: Epoch(2), position: Position(9), hash }
}

pub fn accepted(command: CommandId) -> Accepted {
    let receipt = Receipt { position: Position(9), recorded_at: Millis(NOON), orders: Vec::new() };
    Accepted { command, receipt, replay: false }
}

/// A command with this text in it.
pub fn request(text: &str) -> engine::Request {
    let mut request = engine::Request::new(Command {
        id: CommandId(Uuid::now_v7()),
        channel: Channel::new("bookstore").unwrap(),
        caller: Caller::System,
        action: Action::OpenStore { store: StoreId::new("corner").unwrap() },
    });
    request.correlation = Some(text.to_owned());
    request
}

pub fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

pub fn secret(text: &str) -> Secret {
    Secret::parse(text).unwrap()
}

/// A clock that a test sets.
#[derive(Clone)]
pub struct Hands(pub Arc<AtomicI64>);

impl Hands {
    pub fn at(ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(ms)))
    }

    pub fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    pub fn clock(&self) -> Clock {
        let hands = Arc::clone(&self.0);
        Arc::new(move || Millis(hands.load(Ordering::SeqCst)))
    }
}

/// A node that is spoken to without a socket, at noon.
pub struct Node {
    pub router: Router,
    pub script: Arc<Script>,
    pub clock: Hands,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The reason that a refusal gives.
    pub fn reason(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body["reason"].as_str().unwrap().to_owned()
    }
}

pub const ADDRESS: &str = "10.0.0.1:9300";

impl Node {
    pub fn new(seen_max: usize) -> Self {
        let (clock, script) = (Hands::at(NOON), Script::new(Does::Accepts));
        let options = VerifierOptions { seen_max, ..VerifierOptions::default() };
        let verifier = Verifier::new(secret(SECRET), name(ADDRESS), clock.clock(), &options);
        let router = router(verifier, name("node-1"), Arc::clone(&script));
        Self { router, script, clock }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        // A body that takes its time is the only thing that a test waits for.
        let response = timeout(Duration::from_secs(60), self.router.clone().oneshot(request));
        let response = response.await.unwrap().unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }
}

/// Signs for node 2, at this time.
pub fn signer(text: &str, ms: i64) -> Signer {
    Signer::new(secret(text), name("node-2"), Hands::at(ms).clock())
}

/// A request as it is sent.
pub fn http(
    method: Method,
    path: &str,
    headers: &HeaderMap,
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
    request.headers_mut().extend(headers.clone());
    request
}

/// A node that listens, until it is dropped.
pub struct Listening {
    pub script: Arc<Script>,
    pub address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Listening {
    pub async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::on(listener, &address.to_string(), does)
    }

    /// Known to the others by another address than the one it listens on.
    pub fn on(listener: TcpListener, known_as: &str, does: Does) -> Self {
        let (address, script) = (listener.local_addr().unwrap(), Script::new(does));
        let clock = engine::Options::default().clock;
        let options = VerifierOptions::default();
        let verifier = Verifier::new(secret(SECRET), name(known_as), clock, &options);
        let router = router(verifier, name("node-1"), Arc::clone(&script));
        let stop = serve(listener, router);
        Self { script, address, _stop: stop }
    }
}

/// Serves until what is returned is dropped.
pub fn serve(listener: TcpListener, router: Router) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let options =
            server::Options { drain_within: Duration::ZERO, ..server::Options::default() };
        server::serve(listener, router, Router::new(), async { drop(stopped.await) }, &options)
            .await;
    });
    stop
}

/// A caller with this secret.
pub fn peers(text: &str) -> Peers {
    let clock = engine::Options::default().clock;
    Peers::new(Signer::new(secret(text), name("node-2"), clock), PeerOptions::default())
}

/// Waits until something is so; a test that waits too long fails.
pub async fn until(mut so: impl FnMut() -> bool) {
    let waiting = async {
        while !so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(20), waiting).await.expect("it never came to be so");
}
