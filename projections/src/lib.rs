//! docket's read models: what each view keeps of every event, and what can be asked of it.
//!
//! A view is a folder of its own: rows under typed keys, and the [`Mark`] that says how much of
//! which journal they hold, written together or not at all. Nothing here is the truth: a view that
//! is damaged, foreign or of an older version is thrown away and folded again from the journal.
//!
//! **Invariant:** rows are a function of the events alone, byte for byte. Nothing here reads a
//! clock, the journal or another view.

mod batch;
pub mod catalogue;
mod folder;
mod key;
pub mod order_detail;
pub mod order_list;
mod projection;
pub mod store;
pub mod wallets;

#[cfg(test)]
mod fixtures;

pub use batch::Batch;
pub use catalogue::{Catalogue, Listed, ListingRow, StoreRow};
pub use order_detail::{DeadlineRow, OrderDetail, OrderRow, PayableRow};
pub use order_list::{Counts, ListRow, OrderList, Owner};
pub use projection::{Mark, Opener, Options, Projection, View};
pub use store::{Change, Error, Pair, Rows, SledStore, Store};
pub use wallets::{WalletRow, Wallets};
