//! Who is let in: a request that a node of the cluster signed, for this node, just now, and that
//! was not let in before.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, Method, StatusCode};
use events::{Digest, Millis, NodeName};

use super::{
    Secret,
    seen::{Again, Seen},
    signing::{Stamp, header, sha256, sign_answer},
};
use crate::engine::Clock;

/// What a site may set about who is let in.
#[derive(Debug, Clone)]
pub struct VerifierOptions {
    /// How far the time in a request may be off this node's. Default 30 s.
    pub off_max: Duration,
    /// How many requests are remembered, each until its time is further off than that, which is
    /// up to twice as long; 40 bytes each. More are refused with 503. Default 2^20: some 30,000 a
    /// second go on for ever.
    pub seen_max: usize,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        Self { off_max: Duration::from_secs(30), seen_max: 1 << 20 }
    }
}

/// Lets requests in, each once.
pub struct Verifier {
    secret: Secret,
    address: NodeName,
    clock: Clock,
    off_ms_max: u64,
    seen: Mutex<Seen>,
}

/// A request that is let in, as far as its head goes.
pub struct Admitted {
    /// The node that sent it.
    pub node: NodeName,
    digest: Digest,
    nonce: u128,
}

/// Why a request is not let in. Says nothing of what its signature should have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not signed at all, or not as this version does it.
    #[error("the header {0} is missing or malformed")]
    Malformed(&'static str),
    /// It was signed with another secret, or changed on the way.
    #[error("the signature is wrong: the nodes have different secrets, or the request was changed")]
    Forged,
    /// It is for another node, or this one is called by an address that it does not know as its
    /// own.
    #[error("the request is for {to}; this node is {address}")]
    Misdirected {
        /// The node that it is for.
        to: NodeName,
        /// This node.
        address: NodeName,
    },
    /// It is old, or one of the two clocks is wrong.
    #[error("the request's time is {off_ms} ms off this node's clock; {most_ms} ms may be")]
    Untimely {
        /// How far it is off, either way.
        off_ms: u64,
        /// How far it may be.
        most_ms: u64,
    },
    /// It was signed before this node was started.
    #[error("the request was signed before this node was started; sign it anew")]
    Early,
    /// It was let in before.
    #[error("the request was let in before")]
    Replayed,
    /// This node cannot remember one more.
    #[error("too many requests within a short time; try again soon")]
    Full,
}

impl Refused {
    /// The status that goes with it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Forged | Self::Untimely { .. } | Self::Early => StatusCode::UNAUTHORIZED,
            Self::Misdirected { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::Replayed => StatusCode::CONFLICT,
            Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Verifier {
    /// Lets in what is for `address`, by which this node is known to the others. What was signed
    /// before now is refused: this node may have let it in before it was started.
    pub fn new(secret: Secret, address: NodeName, clock: Clock, options: &VerifierOptions) -> Self {
        let seen = Mutex::new(Seen::new(options.seen_max, clock()));
        let off_ms_max = u64::try_from(options.off_max.as_millis()).unwrap_or(u64::MAX);
        Self { secret, address, clock, off_ms_max, seen }
    }

    /// Lets a request's head in; see [`Admitted::covers`] for the body. `path` is with its query.
    pub fn admit(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Admitted, Refused> {
        let (stamp, signature) = Stamp::read(headers).map_err(Refused::Malformed)?;
        if !stamp.is_signed(&self.secret, method, path, &signature) {
            return Err(Refused::Forged);
        }
        if stamp.to != self.address {
            return Err(Refused::Misdirected { to: stamp.to, address: self.address.clone() });
        }
        let (now, most_ms) = ((self.clock)(), self.off_ms_max);
        let off_ms = now.0.abs_diff(stamp.time.0);
        if off_ms > most_ms {
            return Err(Refused::Untimely { off_ms, most_ms });
        }
        let old = Millis(now.0.saturating_sub_unsigned(most_ms));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.take_in(stamp.nonce, stamp.time, old).map_err(|again| match again {
            Again::Replayed => Refused::Replayed,
            Again::Forgotten => Refused::Early,
            Again::Full => Refused::Full,
        })?;
        Ok(Admitted { node: stamp.node, digest: stamp.digest, nonce: stamp.nonce })
    }

    /// Signs the answer to a request that was let in.
    pub fn sign(&self, admitted: &Admitted, status: StatusCode, body: &[u8]) -> HeaderMap {
        let signature = sign_answer(&self.secret, admitted.nonce, status, body);
        let value = signature.to_string().parse().expect("digits are a header's value");
        HeaderMap::from_iter([(header::SIGNATURE.parse().expect("it is a header's name"), value)])
    }
}

impl Admitted {
    /// Whether this is the body that was signed.
    pub fn covers(&self, body: &[u8]) -> bool {
        self.digest == sha256(body)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("address", &self.address).finish_non_exhaustive()
    }
}
