//! What a caller is to an order.

use events::{AccountId, By, Role, StoreId};

use super::{Caller, Deciding, InForce, Order, Place, Token, Word};

/// All that the caller is to this order.
pub(super) fn roles(it: &Deciding<'_>, order: &Order) -> Vec<By> {
    roles_towards(it, &order.store, Some(order.buyer))
}

/// What the caller is to an order that it places: its buyer where it names no other.
pub(super) fn placers(it: &Deciding<'_>, place: &Place) -> Vec<By> {
    let own = match &it.command.caller {
        Caller::Somebody { account, .. } => *account,
        Caller::System | Caller::Timer | Caller::Login(_) | Caller::Token { .. } => None,
    };
    roles_towards(it, &place.store, place.buyer.or(own))
}

/// Whether a command is for one of these roles in any phase at all. One that the channel does not
/// have is nobody's: no phase allows it.
pub(super) fn is_for(rules: &InForce, word: Word, roles: &[By]) -> bool {
    let mut may = rules.lifecycle.roles(word).peekable();
    may.peek().is_none() || may.any(|role| roles.contains(&role))
}

fn roles_towards(it: &Deciding<'_>, store: &StoreId, buyer: Option<AccountId>) -> Vec<By> {
    match &it.command.caller {
        Caller::Timer => vec![By::Timer],
        Caller::System => vec![By::Operator],
        Caller::Token { token, .. } => {
            let here = |token: &Token| token.store.as_ref().is_none_or(|it| it == store);
            let token = it.token(*token).ok().filter(|token| here(token));
            token.and_then(|token| by_role(token.role)).into_iter().collect()
        }
        Caller::Login(_) | Caller::Somebody { account: None, .. } => Vec::new(),
        Caller::Somebody { account: Some(account), .. } => {
            let sells = it.store(store).is_some_and(|store| store.owner == *account);
            let buyer = (buyer == Some(*account)).then_some(By::Buyer);
            buyer.into_iter().chain(sells.then_some(By::Seller)).collect()
        }
    }
}

/// What a token's role is to any order that it is good for.
fn by_role(role: Role) -> Option<By> {
    match role {
        Role::Operator => Some(By::Operator),
        Role::Staff => Some(By::Staff),
        Role::Gateway => Some(By::Gateway),
        Role::Auditor => None,
    }
}
