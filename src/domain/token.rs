//! Named tokens: issued and revoked by operators of the whole site, never shown again. Whoever is
//! good for less could give itself more.

use events::{Event, Subject, TokenIssued, TokenName, TokenRevoked};

use super::{Caller, Decided, Deciding, Rejection, at_most};

/// How many live tokens operators may have issued: far more than anybody looks after by hand.
/// There is room for one beside them, so that docket can always issue its own when it starts.
const TOKENS_MAX: i64 = 4096;

pub(super) fn issue(it: &Deciding<'_>, token: &TokenIssued) -> Result<Decided, Rejection> {
    it.site_operator()?;
    let live = || it.world.tokens.values().filter(|known| known.lives(it.now));
    if live().any(|known| known.name == token.name) || it.world.tokens.contains_key(&token.token) {
        return Err(Rejection::TokenTaken { name: token.name.clone() });
    }
    let own = i64::from(it.command.caller == Caller::System);
    at_most(TOKENS_MAX + own, "live tokens", live().count() as u64)?;
    let event = Event::TokenIssued(token.clone());
    Ok(Decided::one(Subject::token(token.token), event))
}

/// Revokes every token of a name: the live one, and those that died by themselves and have not
/// left.
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
