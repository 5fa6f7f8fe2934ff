//! What orders may do in each of the shops, written down from what the shops' own documents say and
//! not from the life-cycle files. Every command by every caller in every phase is compared; what a
//! table does not list must be refused.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

#[path = "lifecycles/bookstore.rs"]
mod bookstore;
#[path = "lifecycles/gift_card.rs"]
mod gift_card;
#[path = "lifecycles/meiduo.rs"]
mod meiduo;
#[path = "lifecycles/native.rs"]
mod native;
#[path = "lifecycles/printing.rs"]
mod printing;
#[path = "lifecycles/table.rs"]
mod table;
#[path = "lifecycles/words.rs"]
mod words;
#[path = "lifecycles/yf_mall.rs"]
mod yf_mall;
