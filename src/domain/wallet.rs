//! Money into and out of wallets.

use events::{AccountId, Event, Money, MoneyMove, Pot, Subject, WalletCharged, WalletWithdrawn};

use super::{Account, Decided, Deciding, Rejection};

/// Charges the caller's wallet, or pays out of it where the amount is negative.
pub(super) fn fund(it: &Deciding<'_>, amount: Money) -> Result<Decided, Rejection> {
    let (account, state) = it.proven()?;
    change(account, state, amount)
}

/// The same for somebody else's, by an operator.
pub(super) fn charge(
    it: &Deciding<'_>,
    account: AccountId,
    amount: Money,
) -> Result<Decided, Rejection> {
    it.operator()?;
    let state = it.world.accounts.get(&account).ok_or(Rejection::AccountUnknown)?;
    if state.channel != it.command.channel {
        return Err(Rejection::AccountUnknown);
    }
    change(account, state, amount)
}

/// Nothing is nothing. What is in the wallet and what may come back to it from orders always fits
/// together.
fn change(account: AccountId, state: &Account, amount: Money) -> Result<Decided, Rejection> {
    let of =
        |pot: &std::collections::BTreeMap<_, i64>| pot.get(&amount.currency).copied().unwrap_or(0);
    let (balance, held) = (of(&state.wallet), of(&state.held));
    let event = match amount.minor {
        0 => return Ok(Decided::nothing()),
        1.. => {
            let most = balance.checked_add(held).and_then(|sum| sum.checked_add(amount.minor));
            most.ok_or(Rejection::Overflow)?;
            let money = MoneyMove { from: Pot::Outside, to: Pot::Wallet(account), amount };
            Event::WalletCharged(WalletCharged { account, money })
        }
        _ => {
            let minor = amount.minor.checked_neg().ok_or(Rejection::Funds)?;
            if minor > balance {
                return Err(Rejection::Funds);
            }
            let amount = Money { minor, ..amount };
            let money = MoneyMove { from: Pot::Wallet(account), to: Pot::Outside, amount };
            Event::WalletWithdrawn(WalletWithdrawn { account, money })
        }
    };
    Ok(Decided::one(Subject::account(account), event))
}
