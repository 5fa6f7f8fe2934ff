//! Named tokens: issued and revoked by operators of the whole site, never shown again. Whoever is
//! good for less could give itself more.

use events::{Event, Subject, TokenIssued, TokenName, TokenRevoked};

use super::{Decided, Deciding, Rejection};

pub(super) fn issue(it: &Deciding<'_>, token: &TokenIssued) -> Result<Decided, Rejection> {
    it.site_operator()?;
    let lives = |known: &&super::Token| known.expires_at.is_none_or(|at| at > it.now);
    let mut named = it.world.tokens.values().filter(|known| known.name == token.name);
    if named.any(|known| lives(&known)) || it.world.tokens.contains_key(&token.token) {
        return Err(Rejection::TokenTaken { name: token.name.clone() });
    }
    let event = Event::TokenIssued(token.clone());
    Ok(Decided::one(Subject::token(token.token), event))
}

/// Revokes every token of a name: the live one, and those that died by themselves.
pub(super) fn revoke(it: &Deciding<'_>, name: &TokenName) -> Result<Decided, Rejection> {
    it.site_operator()?;
    let mut named: Vec<_> = it
        .world
        .tokens
        .iter()
        .filter(|(_, known)| known.name == *name)
        .map(|(it, _)| *it)
        .collect();
    named.sort_unstable();
    if named.is_empty() {
        return Err(Rejection::TokenUnknown { name: name.clone() });
    }
    let events = named.into_iter().map(|token| {
        let event = TokenRevoked { token, name: name.clone() };
        (Subject::token(token), Event::TokenRevoked(event))
    });
    Ok(Decided { events: events.collect(), ..Decided::nothing() })
}
