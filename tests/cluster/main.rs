//! Several dockets on three brokers, under load, while nodes and brokers are killed, stopped and
//! started again.
#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod ann;
#[path = "../crash/books.rs"]
mod books;
mod brokers;
#[path = "../crash/call.rs"]
mod call;
#[allow(dead_code, reason = "two programs use it")]
#[path = "../kafka/client.rs"]
mod client;
#[allow(dead_code, reason = "two programs use it")]
#[path = "../crash/customer.rs"]
mod customer;
#[path = "../crash/face/mod.rs"]
mod face;
mod kept;
mod killed;
#[allow(dead_code, reason = "two programs use it")]
#[path = "../crash/load.rs"]
mod load;
mod moved;
#[path = "../crash/shop.rs"]
mod shop;
#[allow(dead_code, reason = "two programs use it")]
mod site;
#[path = "../support/mod.rs"]
mod support;
mod topics;
mod versions;
mod work;
mod zombie;
