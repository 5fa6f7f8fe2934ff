//! HTTP: limits, health, and the dialects. A dialect translates; it decides nothing about orders,
//! stock or money.
//!
//! **Invariant:** every answer is either refused here for its shape, or comes from the engine or
//! from a view that has seen every acknowledged write.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{blobs::Blobs, desk::Desk, engine, feed::Feed, keys::KeyRing, projector::Views};

pub mod access;
pub mod api;
mod checked;
pub mod dialects;
pub mod fields;
mod fresh;
mod health;
pub mod incoming;
pub mod lockout;
mod measure;
pub mod passwords;
pub mod server;
pub mod tokens;
pub mod trouble;

use access::{Row, Who};
use dialects::bookstore;
use lockout::Lockout;
use measure::Meters;
pub use measure::describe_metrics;
use passwords::Passwords;
use tokens::Tokens;

/// What the handlers work with.
pub struct App {
    /// Decides commands.
    pub engine: Desk,
    /// Answer queries.
    pub views: Views,
    /// Reads what was recorded.
    pub feed: Feed,
    /// Seals and opens personal data.
    pub keys: KeyRing,
    /// Keeps pictures.
    pub blobs: Blobs,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Slows down guessing.
    pub lockout: Lockout,
    /// Issues and checks sessions' tokens.
    pub tokens: Tokens,
    /// Turns to search; each search reads a whole catalogue.
    pub searches: Arc<Semaphore>,
    /// Places for requests whose bodies may be larger than others.
    pub large_bodies: Semaphore,
    /// What a site may set.
    pub settings: Settings,
    /// Renders the metrics as Prometheus reads them; empty where none are kept.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// The node, where it is one of several; nothing on a docket that is one process.
    pub member: Option<Arc<dyn Member>>,
}

/// A node of several.
pub trait Member: Send + Sync {
    /// How it is, as `/readyz` shows it.
    fn status(&self) -> serde_json::Value;

    /// Tells `/metrics`.
    fn measure(&self);
}

/// What a site may set about HTTP. Not journaled: no decision depends on it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a query waits for its view to see every acknowledged write. Default 2 s.
    pub read_within: Duration,
    /// How long a command waits for a node that takes commands. Default 10 s.
    pub answer_within: Duration,
    /// How long a request may take to arrive. Default 30 s.
    pub receive_within: Duration,
    /// The header in which a proxy gives the client's address; empty where docket is not behind
    /// one. Default empty.
    pub client_address_header: String,
    /// What a body may weigh, in bytes, where a route does not say otherwise. Default 1 MiB.
    pub body_bytes_max: usize,
    /// The native API's own.
    pub api: api::Settings,
    /// The bookstore dialect's own.
    pub bookstore: bookstore::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read_within: Duration::from_secs(2),
            answer_within: Duration::from_secs(10),
            receive_within: Duration::from_secs(30),
            client_address_header: String::new(),
            body_bytes_max: 1024 * 1024,
            api: api::Settings::default(),
            bookstore: bookstore::Settings::default(),
        }
    }
}

/// All routes of one docket.
pub fn router(app: Arc<App>) -> Router {
    let site = site_routes().into_iter();
    site.fold(Router::new(), |router, (row, handler)| router.route(row.path, handler))
        .merge(api::router())
        .merge(bookstore::router())
        .fallback(no_such_path)
        .with_state(app)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(Arc::new(Meters::new()), measure::measure))
}

/// What belongs to no API.
fn site_routes() -> Vec<(Row, MethodRouter<Arc<App>>)> {
    let row = |path| Row { face: "site", method: "GET", path, who: &[Who::Public] };
    vec![
        (row("/healthz"), get(health::alive)),
        (row("/readyz"), get(health::ready)),
        (row("/metrics"), get(measure::scrape)),
        (row("/docs"), get(api::docs::page)),
    ]
}

async fn no_such_path() -> Response {
    json(StatusCode::NOT_FOUND, &serde_json::json!({ "message": "no such path" }))
}

/// What a bug shows to the caller: that it is one, and nothing of its inside.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler panicked; the request is answered 500");
    let body = serde_json::json!({ "message": "internal error; see the log" });
    json(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    let head = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (status, head, body.to_string()).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Whether the engine still answers, as `/readyz` says it.
pub(crate) fn trouble(state: &engine::State) -> Option<&str> {
    match state {
        engine::State::Running => None,
        engine::State::ShuttingDown => Some("docket is shutting down"),
        engine::State::Stopped(reason) => Some(reason),
    }
}
