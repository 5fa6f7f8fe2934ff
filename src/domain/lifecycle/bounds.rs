//! How much a channel may hold of what its clients add. Every channel has these settings, whether
//! its file names them or not, so that nothing grows without end where nobody thought of it.

use super::Settings;

/// A bound that clients reach, and the setting that says how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Accounts in the channel.
    Accounts,
    /// Stores in the channel. A store stays when its owner goes.
    Stores,
    /// Listings in each store.
    Listings,
    /// Orders of each account that are not at an end.
    OpenOrders,
}

impl Bound {
    /// Every bound.
    pub const ALL: [Self; 4] = [Self::Accounts, Self::Stores, Self::Listings, Self::OpenOrders];

    /// The setting's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accounts => "max_accounts",
            Self::Stores => "max_stores",
            Self::Listings => "max_listings",
            Self::OpenOrders => "max_open_orders",
        }
    }

    /// How many there may be where neither the file nor the site says. Each is about 1 KiB of
    /// memory at most.
    pub fn default_most(self) -> i64 {
        match self {
            Self::Accounts | Self::OpenOrders => 1_000_000,
            Self::Stores | Self::Listings => 100_000,
        }
    }

    /// What there are so many of, for a sentence.
    pub fn what(self) -> &'static str {
        match self {
            Self::Accounts => "accounts in a channel",
            Self::Stores => "stores in a channel",
            Self::Listings => "listings in a store",
            Self::OpenOrders => "open orders of one account",
        }
    }

    /// The bound whose setting has this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bound| bound.name() == name)
    }
}

impl Settings {
    /// How many there may be.
    pub fn most(&self, bound: Bound) -> i64 {
        self.integer(bound.name()).unwrap_or(bound.default_most())
    }
}
