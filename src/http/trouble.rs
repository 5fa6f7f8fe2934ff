//! What a docket answers that cannot open its journal: that it lives, why it takes no orders, and
//! every call of a dialect in the dialect's own shape. It does so for a few seconds, so that
//! whoever watches `/readyz` learns the reason, and ends.

use std::sync::Arc;

use axum::{Router, http::StatusCode, routing::get};
use serde_json::json;

use super::{api, dialects::bookstore};

/// The routes of a docket in trouble.
pub fn router(reason: Arc<str>) -> Router {
    let ready = move || {
        let body = json!({ "status": "not ready", "reason": *reason });
        async move { super::json(StatusCode::SERVICE_UNAVAILABLE, &body) }
    };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .merge(api::trouble_router())
        .merge(bookstore::trouble_router())
        .fallback(|| async {
            let body = json!({ "message": "storage trouble; see /readyz" });
            super::json(StatusCode::SERVICE_UNAVAILABLE, &body)
        })
}
