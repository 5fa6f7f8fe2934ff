//! A small HTTP client for docket's own programs: JSON out, JSON in, connections kept alive.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Speaks to one docket. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    base: String,
    client: legacy::Client<HttpConnector, Full<Bytes>>,
    patience: Duration,
}

/// How long a patient client waits before it asks again.
const PAUSE: Duration = Duration::from_millis(50);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null where that is no JSON.
    pub body: Value,
    /// Its body as it came.
    pub bytes: Bytes,
}

impl Client {
    /// Speaks to a docket at `base`, `http://127.0.0.1:8080` for example.
    pub fn new(base: impl Into<String>) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { base: base.into(), client, patience: Duration::ZERO }
    }

    /// Asks again, this long at most, while docket says that it cannot answer just now, or that
    /// nobody vouches for what it answers. For requests alone that may be sent twice: queries, and
    /// commands with an idempotency key.
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sends a body, with these headers, and reads the answer whole.
    ///
    /// # Errors
    /// When there is no connection, or it breaks off.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let (body, began) = (body.into(), Instant::now());
        loop {
            let answer = self.send_once(method.clone(), path, headers, body.clone()).await?;
            let later = answer.status == StatusCode::SERVICE_UNAVAILABLE
                && answer.headers.contains_key(header::RETRY_AFTER);
            let unsure = answer.headers.contains_key("docket-consistency");
            if !(later || unsure) || began.elapsed() >= self.patience {
                return Ok(answer);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn send_once(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        let answer = self.client.request(request).await.with_context(|| path.to_owned())?;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.with_context(|| path.to_owned())?.to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Answer { status: parts.status, headers: parts.headers, body, bytes })
    }

    /// Posts JSON.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, headers, body.to_string()).await
    }
}
