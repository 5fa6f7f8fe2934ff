//! Wallets: what each account has, and when that last changed.

use std::slice;

use events::{AccountId, Currency, Event, Millis, Money, MoneyMove, Pot, Recorded};
use serde::{Deserialize, Serialize};

use crate::{
    batch::Batch,
    key::Key,
    projection::{View, unfit},
    store::{Error, Rows},
};

const WALLETS: u8 = 1;

/// One account's wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletRow {
    /// What lies in it, one sum for each currency it ever held, by currency.
    pub balances: Vec<Money>,
    /// When money last came or went.
    pub changed_at: Millis,
}

impl WalletRow {
    /// What lies in it of one currency.
    pub fn balance(&self, currency: Currency) -> Money {
        let known = self.balances.iter().find(|balance| balance.currency == currency);
        known.copied().unwrap_or(Money::zero(currency))
    }

    fn balance_mut(&mut self, currency: Currency) -> &mut Money {
        let at = match self.balances.binary_search_by_key(&currency, |balance| balance.currency) {
            Ok(at) => at,
            Err(at) => {
                self.balances.insert(at, Money::zero(currency));
                at
            }
        };
        &mut self.balances[at]
    }
}

/// Answers what accounts have.
#[derive(Clone)]
pub struct Wallets {
    rows: Rows,
}

impl Wallets {
    /// An account's wallet; `None` where money never touched it.
    pub fn get(&self, account: AccountId) -> Result<Option<WalletRow>, Error> {
        self.rows.get_json(&key(account))
    }

    /// What an account has of one currency; nothing where money never touched its wallet.
    pub fn balance(&self, account: AccountId, currency: Currency) -> Result<Money, Error> {
        let row = self.get(account)?;
        Ok(row.map_or(Money::zero(currency), |row| row.balance(currency)))
    }
}

impl View for Wallets {
    const NAME: &'static str = "wallets";
    const VERSION: u32 = 1;

    fn apply(recorded: &Recorded, rows: &mut Batch<'_>) -> Result<(), Error> {
        for money in moves(&recorded.event) {
            for (pot, sum) in
                [(money.from, Money::checked_sub as fn(_, _) -> _), (money.to, Money::checked_add)]
            {
                let Pot::Wallet(account) = pot else { continue };
                let key = key(account);
                let row: Option<WalletRow> = rows.get_json(&key)?;
                let mut row =
                    row.unwrap_or(WalletRow { balances: Vec::new(), changed_at: Millis(0) });
                let balance = row.balance_mut(money.amount.currency);
                *balance = sum(*balance, money.amount)
                    .ok_or_else(|| unfit(recorded, "a balance does not fit"))?;
                row.changed_at = recorded.recorded_at;
                rows.put_json(key, &row);
            }
        }
        Ok(())
    }

    fn over(rows: Rows) -> Self {
        Self { rows }
    }
}

fn moves(event: &Event) -> &[MoneyMove] {
    match event {
        Event::WalletCharged(it) => slice::from_ref(&it.money),
        Event::WalletWithdrawn(it) => slice::from_ref(&it.money),
        Event::AccountUnregistered(it) => &it.money,
        Event::AccountForgotten(it) => &it.money,
        event => event.effect().map_or(&[], |effect| &effect.money),
    }
}

fn key(account: AccountId) -> Vec<u8> {
    Key::table(WALLETS).id(account.0.as_bytes()).bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;

    #[test]
    fn money_goes_from_wallet_to_wallet() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<Wallets>::open(&folder);
        let all = life_of_an_order();
        view.apply(&all);
        let balance = |n| view.query().balance(account(n), Currency::CNY).unwrap();
        assert_eq!((balance(1), balance(2), balance(3)), (cny(3800), cny(1200), cny(0)));
        let seller = view.query().get(account(2)).unwrap().unwrap();
        assert_eq!(seller.changed_at, all.last().unwrap().recorded_at);
        assert_eq!(seller.balance(Currency::USD), Money::zero(Currency::USD));
        assert_eq!(view.query().get(account(3)).unwrap(), None);
    }

    #[test]
    fn a_cancelled_order_and_a_closed_account_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut view = Kept::<Wallets>::open(&folder);
        let mut log = Log { events: paid_and_cancelled(), ..Log::default() };
        log.unregister(1, 5000);
        view.apply(&log.events);
        assert_eq!(view.query().balance(account(1), Currency::CNY).unwrap(), cny(0));
    }

    #[test]
    fn currencies_do_not_mix() {
        let mut row = WalletRow { balances: Vec::new(), changed_at: Millis(0) };
        row.balance_mut(Currency::COIN).minor = 7;
        row.balance_mut(Currency::CNY).minor = 5;
        row.balance_mut(Currency::COIN).minor += 1;
        assert_eq!(row.balance(Currency::COIN).minor, 8);
        assert_eq!(row.balances.len(), 2);
        assert!(row.balances.is_sorted_by_key(|balance| balance.currency));
    }
}
