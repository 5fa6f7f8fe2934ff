//! What is signed of a request and of its answer, and in which headers that is written.
//!
//! Both are HMAC-SHA256 under the cluster's secret over a list of parts, each behind its length:
//!
//! - a request: a label, the method, the path with its query, the calling node's name, the
//!   called node's address, the time, a nonce, the body's SHA-256;
//! - an answer: another label, the request's nonce, the status, the body's SHA-256.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use events::{Digest, Millis, NodeName};
use sha2::{Digest as _, Sha256};

use super::Secret;
use crate::{engine::Clock, keys};

/// The headers of a signed request; its answer has [`SIGNATURE`](header::SIGNATURE) alone.
pub mod header {
    /// The calling node's name.
    pub const NODE: &str = "docket-node";
    /// The address of the node that is called.
    pub const TO: &str = "docket-to";
    /// When it was signed, in milliseconds since 1970, UTC.
    pub const TIME: &str = "docket-time";
    /// 128 random bits, as 32 hexadecimal digits.
    pub const NONCE: &str = "docket-nonce";
    /// SHA-256 of the body, as 64 lower-case hexadecimal digits.
    pub const DIGEST: &str = "docket-digest";
    /// The signature, as 64 lower-case hexadecimal digits.
    pub const SIGNATURE: &str = "docket-signature";
}

const REQUEST: &[u8] = b"docket, between nodes, version 1: a request";
const ANSWER: &[u8] = b"docket, between nodes, version 1: an answer";

/// Signs requests in one node's name. Cheap to clone.
#[derive(Clone)]
pub struct Signer {
    secret: Secret,
    node: NodeName,
    clock: Clock,
}

/// A request's signature, and what it takes to know its answer by.
pub struct Signed {
    /// To be sent with the request.
    pub headers: HeaderMap,
    secret: Secret,
    nonce: u128,
}

/// All that the headers of a request say, its signature aside.
pub(super) struct Stamp {
    pub(super) node: NodeName,
    pub(super) to: NodeName,
    pub(super) time: Millis,
    pub(super) nonce: u128,
    pub(super) digest: Digest,
}

impl Signer {
    /// Signs as `node`, with times by `clock`.
    pub fn new(secret: Secret, node: NodeName, clock: Clock) -> Self {
        Self { secret, node, clock }
    }

    /// Signs a request to the node at `to`, for one use.
    pub fn sign(&self, to: &NodeName, method: &Method, path: &str, body: &[u8]) -> Signed {
        let nonce = u128::from_be_bytes(keys::random());
        let (node, time) = (self.node.clone(), (self.clock)());
        let stamp = Stamp { node, to: to.clone(), time, nonce, digest: sha256(body) };
        let signature = stamp.sign(&self.secret, method, path);
        Signed { headers: stamp.headers(signature), secret: self.secret.clone(), nonce }
    }
}

impl Signed {
    /// Whether these are the status, headers and body of an answer that a node of the cluster gave
    /// to this request.
    pub fn is_answered_by(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
        let signature = read::<Digest>(headers, header::SIGNATURE);
        signature.is_ok_and(|signature| {
            with_answer(self.nonce, status, body, |parts| self.secret.has_signed(parts, &signature))
        })
    }
}

impl Stamp {
    /// Reads the headers; where one is missing or malformed, its name.
    pub(super) fn read(headers: &HeaderMap) -> Result<(Self, Digest), &'static str> {
        let nonce = text(headers, header::NONCE)?;
        let nonce = u128::from_str_radix(nonce, 16).ok().filter(|_| nonce.len() == 32);
        let name = |header| NodeName::new(text(headers, header)?).map_err(|_| header);
        let stamp = Self {
            node: name(header::NODE)?,
            to: name(header::TO)?,
            time: Millis(read(headers, header::TIME)?),
            nonce: nonce.ok_or(header::NONCE)?,
            digest: read(headers, header::DIGEST)?,
        };
        Ok((stamp, read(headers, header::SIGNATURE)?))
    }

    /// Whether this is the stamp's signature for a request.
    pub(super) fn is_signed(
        &self,
        secret: &Secret,
        method: &Method,
        path: &str,
        signature: &Digest,
    ) -> bool {
        self.with_parts(method, path, |parts| secret.has_signed(parts, signature))
    }

    fn sign(&self, secret: &Secret, method: &Method, path: &str) -> Digest {
        self.with_parts(method, path, |parts| secret.sign(parts))
    }

    fn with_parts<T>(&self, method: &Method, path: &str, f: impl FnOnce(&[&[u8]]) -> T) -> T {
        f(&[
            REQUEST,
            method.as_str().as_bytes(),
            path.as_bytes(),
            self.node.as_str().as_bytes(),
            self.to.as_str().as_bytes(),
            &self.time.0.to_be_bytes(),
            &self.nonce.to_be_bytes(),
            &self.digest.0,
        ])
    }

    fn headers(&self, signature: Digest) -> HeaderMap {
        let headers = [
            (header::NODE, self.node.to_string()),
            (header::TO, self.to.to_string()),
            (header::TIME, self.time.to_string()),
            (header::NONCE, format!("{:032x}", self.nonce)),
            (header::DIGEST, self.digest.to_string()),
            (header::SIGNATURE, signature.to_string()),
        ];
        let header = |(name, value)| {
            let value = HeaderValue::try_from(value).expect("names and numbers are visible ASCII");
            (HeaderName::from_static(name), value)
        };
        headers.into_iter().map(header).collect()
    }
}

/// Signs the answer to the request of this nonce.
pub(super) fn sign_answer(secret: &Secret, nonce: u128, status: StatusCode, body: &[u8]) -> Digest {
    with_answer(nonce, status, body, |parts| secret.sign(parts))
}

/// SHA-256, plain.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn with_answer<T>(
    nonce: u128,
    status: StatusCode,
    body: &[u8],
    f: impl FnOnce(&[&[u8]]) -> T,
) -> T {
    let code = status.as_u16().to_be_bytes();
    f(&[ANSWER, &nonce.to_be_bytes(), &code, &sha256(body).0])
}

fn read<T: std::str::FromStr>(headers: &HeaderMap, name: &'static str) -> Result<T, &'static str> {
    text(headers, name)?.parse().map_err(|_| name)
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, &'static str> {
    headers.get(name).and_then(|it| it.to_str().ok()).ok_or(name)
}
