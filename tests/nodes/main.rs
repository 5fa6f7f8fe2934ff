//! Several dockets on one broker are one: the real program in several processes, some of which are
//! stopped, or told something else than the others.
#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod guarded;
mod operate;
mod settings;
#[allow(dead_code, reason = "two programs use it")]
#[path = "../cluster/site.rs"]
mod site;
#[path = "../support/mod.rs"]
mod support;
mod together;
mod turns;
