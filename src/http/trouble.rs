//! What a docket answers that cannot answer as it should, every call of a dialect in the dialect's own
//! shape.
//!
//! One that cannot open its journal says that it lives, and why it takes no orders. It does so for a
//! few seconds, so that whoever watches `/readyz` learns the reason, and ends. One that ends says so
//! to whoever is still waiting.

use std::sync::Arc;

use axum::{Router, http::StatusCode, routing::get};
use serde_json::json;

use super::{api, dialects::bookstore};

/// What keeps every call from being answered.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// The journal cannot be opened.
    Storage,
    /// docket was told to end, and the time that calls in progress have for that is over.
    Ending,
}

/// What is said of a command that was not answered before the end.
pub(super) const ENDING: &str = "docket ends before this is answered, and it may have had its effect: with the \
                                 same idempotency key it may be sent again; without one, look first";

/// What is said of a query that was not.
pub(super) const ENDING_QUERY: &str = "docket ends before this is answered; ask again";

/// The routes of a docket that cannot open its journal.
pub fn router(reason: Arc<str>) -> Router {
    let ready = move || {
        let body = json!({ "status": "not ready", "reason": *reason });
        async move { super::json(StatusCode::SERVICE_UNAVAILABLE, &body) }
    };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .merge(api::trouble_router(Trouble::Storage))
        .merge(bookstore::trouble_router(Trouble::Storage))
        .fallback(|| async {
            let body = json!({ "message": "storage trouble; see /readyz" });
            super::json(StatusCode::SERVICE_UNAVAILABLE, &body)
        })
}

/// The routes of a docket whose time to answer is over.
pub fn ending() -> Router {
    Router::new()
        .merge(api::trouble_router(Trouble::Ending))
        .merge(bookstore::trouble_router(Trouble::Ending))
        .fallback(|| async {
            super::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "message": ENDING }))
        })
}
