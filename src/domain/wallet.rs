//! Money into and out of wallets.

use events::{Event, Money, MoneyMove, Pot, Subject, WalletCharged, WalletWithdrawn};

use super::{Decided, Deciding, Rejection};

/// Charges the caller's wallet, or pays out of it where the amount is negative; nothing is
/// nothing. What is in the wallet and what may come back to it from orders always fits together.
pub(super) fn fund(it: &Deciding<'_>, amount: Money) -> Result<Decided, Rejection> {
    let (account, state) = it.proven()?;
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
