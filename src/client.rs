//! A small HTTP client for docket's own programs: JSON out, JSON in, connections kept alive.

use anyhow::Context as _;
use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Request, StatusCode},
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
}

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
        Self { base: base.into(), client }
    }

    /// Sends a body, with these headers, and reads the answer whole.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into()))?;
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
