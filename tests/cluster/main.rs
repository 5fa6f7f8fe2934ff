//! Several dockets on one Kafka cluster are one: real brokers, and the real program in several
//! processes, some of which are killed, stopped, or cut off.
#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

#[path = "../crash/books.rs"]
mod books;
mod brokers;
#[path = "../crash/call.rs"]
mod call;
#[allow(dead_code, reason = "two programs use it")]
#[path = "../crash/customer.rs"]
mod customer;
#[path = "../crash/face/mod.rs"]
mod face;
mod killed;
#[allow(dead_code, reason = "two programs use it")]
#[path = "../crash/load.rs"]
mod load;
mod settings;
#[path = "../crash/shop.rs"]
mod shop;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod together;
mod topics;
mod work;
mod zombie;
