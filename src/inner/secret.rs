//! The cluster's secret: whoever has it is a node of the cluster.

use std::{fmt, sync::Arc};

use events::Digest;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The fewest bytes that a secret has, as many as HMAC-SHA256 can make use of.
const BYTES_MIN: usize = 32;

/// What all nodes of a cluster share and nobody else has. Cheap to clone; wiped from memory with
/// its last clone.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

/// Too short a secret. It is not repeated here, as it may be in use somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cluster's secret must have at least 32 bytes; make one with: head -c 32 /dev/urandom | base64"
)]
pub struct TooShort;

impl Secret {
    /// Takes a configured text as it is, at least 32 bytes of it. White space around it does not
    /// matter.
    pub fn parse(text: &str) -> Result<Self, TooShort> {
        let text = text.trim();
        match text.len() {
            BYTES_MIN.. => Ok(Self(Arc::new(Zeroizing::new(text.as_bytes().to_vec())))),
            _ => Err(TooShort),
        }
    }

    /// HMAC-SHA256 over the parts, each behind its length: no two lists of parts read the same.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> Digest {
        Digest(self.mac(parts).finalize().into_bytes().into())
    }

    /// Whether this is the parts' signature. Takes as long whatever is wrong with it.
    pub(super) fn has_signed(&self, parts: &[&[u8]], signature: &Digest) -> bool {
        self.mac(parts).verify_slice(&signature.0).is_ok()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac: Hmac<Sha256> =
            Hmac::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a secret of more than thirty-two bytes";

    #[test]
    fn a_secret_has_32_bytes_and_is_never_printed() {
        let short = "x".repeat(31);
        assert_eq!(Secret::parse(&short).map(drop), Err(TooShort));
        assert_eq!(Secret::parse(&format!("{short}      \n")).map(drop), Err(TooShort));
        assert!(!TooShort.to_string().contains(&short));
        assert_eq!(format!("{:?}", Secret::parse(&"x".repeat(32))), "Ok(Secret(..))");
    }

    #[test]
    fn a_signature_is_of_one_list_of_parts_under_one_secret() {
        let secret = Secret::parse(TEXT).unwrap();
        let signature = secret.sign(&[b"ab", b"c"]);
        assert!(secret.has_signed(&[b"ab", b"c"], &signature));
        assert!(
            Secret::parse(&format!(" {TEXT}\n")).unwrap().has_signed(&[b"ab", b"c"], &signature)
        );
        let others: [&[&[u8]]; 4] = [&[b"a", b"bc"], &[b"abc"], &[b"ab", b"c", b""], &[]];
        for other in others {
            assert!(!secret.has_signed(other, &signature), "{other:?}");
        }
        let other = Secret::parse(&format!("{TEXT}.")).unwrap();
        assert!(!other.has_signed(&[b"ab", b"c"], &signature));
    }
}
