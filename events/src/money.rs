//! Money: whole minor units of one currency, and arithmetic that refuses to be wrong.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What money is counted in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Currency {
    /// Chinese yuan, counted in fen (ISO 4217, two decimals).
    CNY,
    /// United States dollars, counted in cents (ISO 4217, two decimals).
    USD,
    /// Coins of a game, counted whole.
    COIN,
}

/// Money in minor units (fen, cents, coins). Never a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Money {
    /// Minor units; negative only where a text says so.
    pub minor: i64,
    /// What is counted.
    pub currency: Currency,
}

impl Money {
    /// Nothing, in a currency.
    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// The sum, or `None` where it does not fit or the currencies differ.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let minor = self.minor.checked_add(other.minor)?;
        (self.currency == other.currency).then_some(Self { minor, ..self })
    }

    /// The difference, or `None` where it does not fit or the currencies differ.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        let minor = self.minor.checked_sub(other.minor)?;
        (self.currency == other.currency).then_some(Self { minor, ..self })
    }

    /// This price for so many, or `None` where it does not fit.
    pub fn checked_mul(self, quantity: i64) -> Option<Self> {
        Some(Self { minor: self.minor.checked_mul(quantity)?, ..self })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.currency {
            Currency::COIN => write!(f, "{} COIN", self.minor),
            Currency::CNY | Currency::USD => {
                let (sign, minor) =
                    (if self.minor < 0 { "-" } else { "" }, self.minor.unsigned_abs());
                write!(f, "{sign}{}.{:02} {:?}", minor / 100, minor % 100, self.currency)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_refuses_overflow_and_mixed_currencies() {
        let money = |minor| Money { minor, currency: Currency::CNY };
        assert_eq!(money(2).checked_mul(3), Some(money(6)));
        assert_eq!(money(i64::MAX).checked_add(money(1)), None);
        assert_eq!(money(i64::MAX / 2 + 1).checked_mul(2), None);
        assert_eq!(money(1).checked_sub(Money::zero(Currency::USD)), None);
    }

    #[test]
    fn money_reads_as_people_write_it() {
        assert_eq!(Money { minor: -1205, currency: Currency::CNY }.to_string(), "-12.05 CNY");
        assert_eq!(Money { minor: 7, currency: Currency::COIN }.to_string(), "7 COIN");
    }
}
