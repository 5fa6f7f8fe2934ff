//! A request as every dialect wants it: read whole, bounded in size and time.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Request},
    http::{HeaderMap, Method},
};
use events::{IdempotencyKey, Position};
use http_body_util::BodyExt as _;

use super::Settings;

/// How much of a body that is too large is read and thrown away, so that the client hears why
/// instead of a broken connection.
const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A request, read whole.
#[derive(Debug)]
pub struct Incoming {
    /// `POST`, `GET` …
    pub method: Method,
    /// Without the query string.
    pub path: String,
    /// As sent.
    pub headers: HeaderMap,
    /// As sent.
    pub body: Bytes,
    /// Where it came from; unspecified in tests without a connection.
    pub address: IpAddr,
}

/// Why a request was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body is too large.
    #[error("the body is larger than {0} bytes, which is the most here")]
    TooLarge(usize),
    /// The body did not arrive in time.
    #[error("the body did not arrive within {} s", .0.as_secs())]
    Slow(Duration),
    /// The connection broke.
    #[error("the body did not arrive whole")]
    Broken,
}

/// A header that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the header {name} {reason}")]
pub struct BadHeader {
    /// Its name.
    pub name: &'static str,
    /// What is wanted of it.
    pub reason: &'static str,
}

impl Incoming {
    /// Reads a request whose body may weigh `bytes_max` and take as long as the settings say.
    pub async fn read(
        request: Request,
        bytes_max: usize,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let within = settings.receive_within;
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(address)| address.ip());
        let address = forwarded(&parts.headers, &settings.client_address_header).unwrap_or(peer);
        let body = tokio::time::timeout(within, collect(body, bytes_max))
            .await
            .map_err(|_| Error::Slow(within))??;
        let path = parts.uri.path().to_owned();
        Ok(Self { method: parts.method, path, headers: parts.headers, body, address })
    }

    /// A header's text, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The idempotency key, after the IETF draft: a quoted string, taken without quotes as well.
    pub fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, BadHeader> {
        const NAME: &str = "Idempotency-Key";
        let Some(value) = self.headers.get(NAME) else { return Ok(None) };
        if self.headers.get_all(NAME).iter().count() > 1 {
            return Err(BadHeader { name: NAME, reason: "must be given once" });
        }
        let bad = BadHeader { name: NAME, reason: "must be 1 to 255 bytes of text" };
        let text = value.to_str().map_err(|_| bad.clone())?;
        let text = text.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(text);
        IdempotencyKey::new(text).map(Some).map_err(|_| bad)
    }

    /// The position that an answer must have seen, where the client names one.
    pub fn min_position(&self) -> Result<Option<Position>, BadHeader> {
        const NAME: &str = "Docket-Min-Position";
        let Some(value) = self.headers.get(NAME) else { return Ok(None) };
        let number = value.to_str().ok().and_then(|text| text.parse().ok());
        number
            .map(|number| Some(Position(number)))
            .ok_or(BadHeader { name: NAME, reason: "must be a whole number, not negative" })
    }

    /// What the client says the request belongs together with (`X-Request-Id`), where that is
    /// 1 to 64 of `A-Z a-z 0-9 - _ .`; anything else could be personal, and is left out.
    pub fn correlation(&self) -> Option<String> {
        let text = self.header("X-Request-Id")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        ((1..=64).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
    }
}

/// The client's address as a proxy gives it: the last of the header's, which the proxy itself has
/// put there. Nothing where the site has no proxy, or the header is not there.
fn forwarded(headers: &HeaderMap, name: &str) -> Option<IpAddr> {
    if name.is_empty() {
        return None;
    }
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next()?.trim().parse().ok()
}

async fn collect(mut body: Body, bytes_max: usize) -> Result<Bytes, Error> {
    let (mut first, mut whole) = (Bytes::new(), Vec::new());
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Error::Broken)?.into_data() else { continue };
        length += data.len();
        if length <= bytes_max && length == data.len() {
            first = data; // Most have no more.
        } else if length <= bytes_max {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        } else if length > DISCARDED_BYTES_MAX {
            break;
        } else {
            whole = Vec::new();
        }
    }
    match length {
        _ if length > bytes_max => Err(Error::TooLarge(bytes_max)),
        _ if length == first.len() => Ok(first),
        _ => Ok(whole.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_tells_the_clients_address_where_the_site_says_so() {
        let mut headers = HeaderMap::new();
        let address = |headers: &HeaderMap, name| forwarded(headers, name).map(|it| it.to_string());
        assert_eq!(address(&headers, "x-forwarded-for"), None);
        headers.append("x-forwarded-for", "10.0.0.9".parse().unwrap());
        headers.append("x-forwarded-for", "6.6.6.6, 192.0.2.7".parse().unwrap());
        assert_eq!(address(&headers, ""), None, "without a proxy anybody could claim anything");
        // What the client itself has sent stands before what the proxy has added.
        assert_eq!(address(&headers, "X-Forwarded-For").as_deref(), Some("192.0.2.7"));
        headers.insert("x-forwarded-for", "nowhere".parse().unwrap());
        assert_eq!(address(&headers, "x-forwarded-for"), None);
    }
}
