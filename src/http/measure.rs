//! Counts and times every request, of every face alike: by the route's pattern, the method and the
//! status, and by nothing else that a caller has written.
//!
//! **Invariant:** how many series there are depends on the table of routes, never on what callers
//! send: paths that are in no row share one name, and so do methods that a path does not take.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::{App, access};

const REQUESTS: &str = "docket_http_requests_total";
const SECONDS: &str = "docket_http_request_seconds";
const PASSWORD_HASHES: &str = "docket_password_hashes_total";

/// What a path is called that is in no row of the table of routes.
const UNMATCHED: &str = "unmatched";
/// What a method is called that no route takes, or that this one does not.
const OTHER: &str = "other";
static METHODS: [Method; 5] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
/// The place of [`OTHER`], behind [`METHODS`].
const OTHER_AT: usize = 5;

/// Says what each metric of HTTP counts, and in what.
pub fn describe_metrics() {
    describe_counter!(
        REQUESTS,
        Unit::Count,
        "What was answered, by route, method and status. Paths that do not exist are one route, \
         unmatched; methods that a path does not take are one method, other [requests]"
    );
    describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "From a request's head to its answer, its body included [seconds]"
    );
    describe_counter!(
        PASSWORD_HASHES,
        Unit::Count,
        "How often argon2id was run: for a new password, or one not seen moments ago [hashes]"
    );
}

/// How many password hashes were made.
pub(super) fn password_hashes() -> Counter {
    counter!(PASSWORD_HASHES)
}

/// `/metrics`: everything that is counted, as Prometheus reads it.
pub(super) async fn scrape(State(app): State<Arc<App>>) -> Response {
    app.engine.measure();
    app.views.measure();
    if let Some(member) = &app.member {
        member.measure();
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], (app.metrics)()).into_response()
}

/// Stands before all routes.
pub(super) async fn measure(
    State(meters): State<Arc<Meters>>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let route = meters.route(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let method = METHODS.iter().position(|it| it == request.method()).unwrap_or(OTHER_AT);
    let response = next.run(request).await;
    route.answered(method, response.status(), began.elapsed());
    response
}

/// What is counted of each route.
pub(super) struct Meters {
    routes: HashMap<&'static str, Route>,
    unmatched: Route,
}

struct Route {
    path: &'static str,
    /// In the order of [`METHODS`], and the others last.
    methods: [Answers; OTHER_AT + 1],
}

/// The answers of one route to one method. Handles are looked up when they are first used, and
/// then kept.
#[derive(Default)]
struct Answers {
    seconds: OnceLock<Histogram>,
    /// Few: a route knows a handful of statuses.
    by_status: RwLock<Vec<(StatusCode, Counter)>>,
}

impl Meters {
    /// For every path in the table of routes.
    pub(super) fn new() -> Self {
        let routes = access::table().into_iter().map(|row| (row.path, Route::new(row.path)));
        Self { routes: routes.collect(), unmatched: Route::new(UNMATCHED) }
    }

    /// A face's own answer to a path that does not exist is matched, too, but in no row.
    fn route(&self, matched: Option<&str>) -> &Route {
        matched.and_then(|path| self.routes.get(path)).unwrap_or(&self.unmatched)
    }
}

impl Route {
    fn new(path: &'static str) -> Self {
        Self { path, methods: Default::default() }
    }

    fn answered(&self, method: usize, status: StatusCode, took: Duration) {
        let method = if status == StatusCode::METHOD_NOT_ALLOWED { OTHER_AT } else { method };
        let answers = &self.methods[method];
        let (route, method) = (self.path, METHODS.get(method).map_or(OTHER, Method::as_str));
        let seconds = || histogram!(SECONDS, "route" => route, "method" => method);
        answers.seconds.get_or_init(seconds).record(took);
        answers.count(status, || {
            let status = status.as_str().to_owned();
            counter!(REQUESTS, "route" => route, "method" => method, "status" => status)
        });
        let (status, ms) = (status.as_u16(), took.as_secs_f64() * 1000.0);
        tracing::debug!(method, route, status, ms, "answered");
    }
}

impl Answers {
    fn count(&self, status: StatusCode, counter: impl FnOnce() -> Counter) {
        let known = self.by_status.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = known.iter().find(|(known, _)| *known == status) {
            return counter.increment(1);
        }
        drop(known);
        let counter = counter(); // Of two who are first, both are given the same.
        counter.increment(1);
        self.by_status.write().unwrap_or_else(PoisonError::into_inner).push((status, counter));
    }
}
