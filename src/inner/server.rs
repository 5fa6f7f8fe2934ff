//! The side that is called. One gate before all paths, those that do not exist included: what is
//! not let in is answered without a signature and its body is never read.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use events::{Head, NodeName};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde::Serialize;

use super::{
    Admitted, BODY_BYTES_MAX, COMMANDS, Committed, NotWriter, POSITION, Reason, STATUS, Service,
    Submission, Verifier, unreadable,
};
use crate::engine;

/// How long the body of a request that was let in may take.
const RECEIVE_WITHIN: Duration = Duration::from_secs(10);

struct Gate<S> {
    verifier: Verifier,
    node: NodeName,
    service: Arc<S>,
}

/// A status and a JSON text.
type Answer = (StatusCode, Vec<u8>);

/// All that `node` does for the other nodes, behind one verifier. Serve it on a listener of its
/// own, with bounds on connections and on the time for a request's head.
pub fn router<S: Service>(verifier: Verifier, node: NodeName, service: Arc<S>) -> Router {
    let gate = Arc::new(Gate { verifier, node, service });
    Router::new().fallback(handle::<S>).with_state(gate)
}

async fn handle<S: Service>(State(gate): State<Arc<Gate<S>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("", |it| it.as_str());
    let admitted = match gate.verifier.admit(&head.method, path, &head.headers) {
        Ok(admitted) => admitted,
        Err(refused) => {
            tracing::debug!(%refused, "a request to this node's inner side is not let in");
            let (status, body) = reason(refused.status(), &refused.to_string());
            return (status, [(CONTENT_TYPE, "application/json")], body).into_response();
        }
    };
    let (status, body) = match receive(&admitted, body).await {
        Ok(body) => gate.answer(&head.method, path, &body).await,
        Err(refusal) => refusal,
    };
    if status.is_client_error() {
        tracing::debug!(node = %admitted.node, %status, "a request of another node is refused");
    }
    let signature = gate.verifier.sign(&admitted, status, &body);
    (status, [(CONTENT_TYPE, "application/json")], signature, body).into_response()
}

impl<S: Service> Gate<S> {
    async fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Answer {
        match (method, path) {
            (&Method::POST, COMMANDS) => self.submit(body).await,
            (&Method::GET, POSITION) => match self.service.position().await {
                Ok(Head { position, number, epoch, .. }) => {
                    let node = self.node.clone();
                    ok(&Committed { position, number, epoch, node })
                }
                Err(error) => not_writer(&error),
            },
            (&Method::GET, STATUS) => ok(&self.service.status().await),
            (_, COMMANDS | POSITION | STATUS) => {
                reason(StatusCode::METHOD_NOT_ALLOWED, "this path has another method")
            }
            _ => reason(StatusCode::NOT_FOUND, "no such path"),
        }
    }

    async fn submit(&self, body: &[u8]) -> Answer {
        let submission: Submission<engine::Request> = match serde_json::from_slice(body) {
            Ok(submission) => submission,
            Err(error) => return reason(StatusCode::BAD_REQUEST, &unreadable(&error)),
        };
        let within = Duration::from_millis(submission.within_ms);
        match self.service.submit(submission.request, within).await {
            Ok(answer) => ok(&answer),
            Err(error) => not_writer(&error),
        }
    }
}

/// The body of a request whose head was let in: bounded in size and time, and what was signed.
async fn receive(admitted: &Admitted, body: Body) -> Result<Bytes, Answer> {
    let large = || {
        let most = format!("the body is larger than {BODY_BYTES_MAX} bytes");
        reason(StatusCode::PAYLOAD_TOO_LARGE, &most)
    };
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(large());
    }
    let whole = Limited::new(body, BODY_BYTES_MAX).collect();
    let body = match tokio::time::timeout(RECEIVE_WITHIN, whole).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(large()),
        Ok(Err(_)) => return Err(reason(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => {
            return Err(reason(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive"));
        }
    };
    if !admitted.covers(&body) {
        return Err(reason(StatusCode::BAD_REQUEST, "the body is not the one that was signed"));
    }
    Ok(body)
}

fn ok(body: &impl Serialize) -> Answer {
    json(StatusCode::OK, body)
}

fn not_writer(error: &NotWriter) -> Answer {
    json(StatusCode::SERVICE_UNAVAILABLE, error)
}

fn reason(status: StatusCode, reason: &str) -> Answer {
    json(status, &Reason { reason: reason.to_owned() })
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    (status, serde_json::to_vec(body).expect("what nodes say has texts for keys"))
}
