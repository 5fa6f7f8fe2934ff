//! Sessions' tokens: JWTs signed with HMAC-SHA256 under the site's session key. Clients take them
//! for opaque.
//!
//! **Invariant:** a token says who its bearer was when it was issued, no more. Whether the session
//! still lives is for the table of credentials to say.

use std::fmt;

use events::{AccountId, Digest, Millis};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::keys::{self, KeyRing};

/// Issues and checks tokens.
pub struct Tokens {
    sign: EncodingKey,
    verify: DecodingKey,
    validation: Validation,
}

/// A token just issued.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What the client sends. A secret: it is never recorded or logged.
    pub text: String,
    /// What is recorded of it.
    pub digest: Digest,
    /// When it dies by itself: the end of a whole second.
    pub expires_at: Millis,
}

/// Why a token is not, or no longer, good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Dead {
    /// Not issued here: garbage, altered, or signed with another key or algorithm.
    #[error("the token was not issued here")]
    Forged,
    /// Its time is up.
    #[error("the token has expired")]
    Expired,
}

/// What a token says. Times are seconds since 1970, as JWT has them.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: AccountId,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

impl Tokens {
    /// Signs with the ring's session key.
    pub fn new(ring: &KeyRing) -> Self {
        Self::with_key(ring.session_key())
    }

    /// A token for an account that lives for `lives_ms` milliseconds from now, rounded up to
    /// a whole second. No two are alike.
    pub fn issue(&self, account: AccountId, now: Millis, lives_ms: i64) -> Token {
        let ends_ms = now.0.saturating_add(lives_ms);
        let exp = ends_ms.div_euclid(1000) + i64::from(ends_ms.rem_euclid(1000) > 0);
        let iat = now.0.div_euclid(1000);
        let claims = Claims { sub: account, iat, exp, jti: Uuid::new_v4() };
        let text = encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .expect("numbers and UUIDs are JSON, and HMAC signs anything");
        let digest = keys::token_digest(&text);
        Token { text, digest, expires_at: Millis(exp.saturating_mul(1000)) }
    }

    /// Whose token this is, if it was issued here and has not expired by `now`.
    pub fn check(&self, text: &str, now: Millis) -> Result<AccountId, Dead> {
        let token = decode::<Claims>(text, &self.verify, &self.validation);
        let claims = token.map_err(|_| Dead::Forged)?.claims;
        match now.0 < claims.exp.saturating_mul(1000) {
            true => Ok(claims.sub),
            false => Err(Dead::Expired),
        }
    }

    fn with_key(key: &[u8; 32]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // The caller says what time it is.
        validation.validate_exp = false;
        let verify = DecodingKey::from_secret(key);
        Self { sign: EncodingKey::from_secret(key), verify, validation }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, expires_at, .. } = self;
        write!(f, "Token({digest}, until {expires_at})")
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    const NOW: Millis = Millis(1_700_000_000_250);
    const HOUR_MS: i64 = 3_600_000;

    fn tokens() -> Tokens {
        Tokens::with_key(&[7; 32])
    }

    fn account() -> AccountId {
        AccountId(Uuid::from_u128(1))
    }

    #[test]
    fn a_token_names_its_account_until_it_expires() {
        let tokens = tokens();
        let token = tokens.issue(account(), NOW, HOUR_MS);
        assert_eq!(token.expires_at, Millis(1_700_003_601_000));
        assert_eq!(token.digest, keys::token_digest(&token.text));
        let check = |now| tokens.check(&token.text, Millis(now));
        assert_eq!(check(NOW.0), Ok(account()));
        assert_eq!(check(token.expires_at.0 - 1), Ok(account()));
        assert_eq!(check(token.expires_at.0), Err(Dead::Expired));
        assert_ne!(tokens.issue(account(), NOW, HOUR_MS).text, token.text);
        assert_eq!(tokens.issue(account(), Millis(1000), 500).expires_at, Millis(2000));
        assert!(!format!("{token:?} {tokens:?}").contains(&token.text));
    }

    #[test]
    fn a_token_signed_with_another_key_is_forged() {
        let token = Tokens::with_key(&[8; 32]).issue(account(), NOW, HOUR_MS);
        assert_eq!(tokens().check(&token.text, NOW), Err(Dead::Forged));
    }

    #[test]
    fn a_token_of_another_algorithm_or_none_is_forged() {
        let tokens = tokens();
        let text = tokens.issue(account(), NOW, HOUR_MS).text;
        let [_, claims, signature] = text.split('.').collect::<Vec<_>>()[..] else { panic!() };
        for alg in ["none", "None", "HS512", "RS256", "ES256"] {
            let header = format!(r#"{{"typ":"JWT","alg":"{alg}"}}"#);
            let header = URL_SAFE_NO_PAD.encode(header);
            for signature in ["", signature] {
                let forged = format!("{header}.{claims}.{signature}");
                assert_eq!(tokens.check(&forged, NOW), Err(Dead::Forged), "{alg}");
            }
        }
        // Even one signed with the right key.
        let claims = Claims { sub: account(), iat: 0, exp: i64::MAX, jti: Uuid::nil() };
        let forged = encode(&Header::new(Algorithm::HS512), &claims, &tokens.sign).unwrap();
        assert_eq!(tokens.check(&forged, NOW), Err(Dead::Forged));
    }

    #[test]
    fn an_altered_token_or_none_at_all_is_forged() {
        let tokens = tokens();
        let text = tokens.issue(account(), NOW, HOUR_MS).text;
        let [header, _, signature] = text.split('.').collect::<Vec<_>>()[..] else { panic!() };
        let sub = Uuid::from_u128(2);
        let claims = format!(r#"{{"sub":"{sub}","iat":0,"exp":9999999999,"jti":"{sub}"}}"#);
        let altered = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(tokens.check(&altered, NOW), Err(Dead::Forged));
        for text in ["", ".", "..", "a.b.c", "null", &text[1..], &text[..text.len() - 1]] {
            assert_eq!(tokens.check(text, NOW), Err(Dead::Forged), "{text:?}");
        }
    }

    #[test]
    fn a_token_without_all_its_claims_is_forged() {
        let tokens = tokens();
        for claims in [serde_json::json!({}), serde_json::json!({ "sub": account(), "iat": 0 })] {
            let text = encode(&Header::new(Algorithm::HS256), &claims, &tokens.sign).unwrap();
            assert_eq!(tokens.check(&text, NOW), Err(Dead::Forged));
        }
    }
}
