//! Whether docket lives, and whether it can take orders.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;

use super::App;

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// 200 when this process serves and every view follows, whichever node takes commands at the moment;
/// 503 with the reason otherwise.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let state = app.engine.state().borrow().clone();
    let views = app.views.status();
    let broken = views
        .iter()
        .find_map(|view| view.error.as_ref().map(|error| format!("view {}: {error}", view.name)));
    let unsettled =
        (!app.engine.has_begun()).then(|| "no node has taken commands on this site yet".to_owned());
    let reason = super::trouble(&state).map(str::to_owned).or(broken).or(unsettled);
    let views: Vec<_> = views
        .into_iter()
        .map(|view| {
            json!({
                "name": view.name.as_str(),
                "version": view.version,
                "position": view.position,
                "lag_events": view.lag_events,
                "lag_seconds": view.lag_ms.map(|ms| ms as f64 / 1000.0),
                "rebuilding": view.rebuilding,
                "rebuild": view.rebuild.map(|it| json!({
                    "version": it.version,
                    "events_done": it.events_done,
                    "events_total": it.events_total,
                    "events_per_second": it.events_per_second,
                    "seconds_left": it.left.map(|left| left.as_secs()),
                    "error": it.error,
                })),
            })
        })
        .collect();
    let mut body = json!({
        "status": if reason.is_none() { "ready" } else { "not ready" },
        "reason": reason,
        "position": app.engine.head().position,
        "clock_behind_seconds": app.engine.clock_behind_ms() / 1000,
        "views": views,
    });
    if let Some(member) = &app.member {
        body["node"] = member.status();
    }
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    super::json(status, &body)
}
