//! docket's read models: what each view keeps of every event, and what can be asked of it.
//!
//! A view is a folder of its own: rows under typed keys, and the [`Mark`] that says how much of
//! which journal they hold, written together or not at all. Nothing here is the truth: rows that
//! are damaged or foreign are thrown away and folded again from the journal. New rows, of a newer
//! version too, are built in a folder beside the one that serves, and then [take
//! over](Projection::take_over) from it.
//!
//! **Invariant:** rows are a function of the events alone, byte for byte. Nothing here reads a
//! clock, the journal or another view.

mod batch;
mod blocks;
mod builds;
pub mod catalogue;
mod folder;
mod key;
mod layers;
pub mod order_detail;
pub mod order_list;
mod pack;
mod projection;
pub mod store;
pub mod wallets;

#[cfg(test)]
mod beside;
#[cfg(test)]
mod fixtures;

pub use batch::Batch;
pub use catalogue::{Catalogue, Listed, ListingRow, StoreRow};
pub use order_detail::{DeadlineRow, OrderDetail, OrderRow, PayableRow};
pub use order_list::{Counts, ListRow, OrderList, Owner};
pub use projection::{Mark, Opener, Options, Projection, Retired, View};
pub use store::{Change, Error, Pair, Rows, SledStore, Source, Store};
pub use wallets::{WalletRow, Wallets};
