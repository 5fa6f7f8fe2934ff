//! docket: an event-sourced order engine that speaks the order APIs shops already have.
//!
//! The modules in the way of the data: [`http`] turns requests into commands, [`engine`] decides
//! them with [`domain`] and appends what follows to [`journal`], [`projector`] feeds the views,
//! and [`http`] answers queries from those, and from [`feed`], which reads what was recorded.
//! [`keys`] seals personal data, [`blobs`] keeps pictures, [`backup`] keeps it all in one file, and
//! [`copy`] moves it to another place.

pub mod backup;
pub mod bench;
pub mod blobs;
pub mod builtin;
pub mod client;
pub mod cluster;
pub mod config;
pub mod copy;
pub mod demo;
pub mod desk;
pub mod domain;
pub mod engine;
pub mod feed;
pub mod http;
pub mod inner;
pub mod journal;
pub mod keys;
pub mod node;
pub mod operate;
pub mod projector;

#[cfg(test)]
#[path = "../tests/support/decision.rs"]
mod test_decision;
