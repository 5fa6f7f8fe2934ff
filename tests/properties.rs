//! What holds whatever happens, in every channel and through every face: random commands over the
//! pure domain, the engine on a journal that is slow, fails or tears, the views, and requests.
//!
//! A failing case prints its seed and its commands, and the next run begins with it;
//! `PROPTEST_CASES` asks for more cases than a quick run has.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

#[path = "properties/books.rs"]
mod books;
#[path = "properties/bounds.rs"]
mod bounds;
#[path = "schemas/check.rs"]
mod check;
#[path = "properties/deadlines.rs"]
mod deadlines;
#[path = "properties/durability.rs"]
mod durability;
#[path = "properties/faces.rs"]
mod faces;
#[path = "properties/finished.rs"]
mod finished;
#[path = "properties/given.rs"]
mod given;
#[path = "properties/histories.rs"]
mod histories;
#[path = "properties/judge.rs"]
mod judge;
#[path = "properties/keys.rs"]
mod keys;
#[path = "properties/law.rs"]
mod law;
#[path = "properties/levels.rs"]
mod levels;
#[path = "properties/play.rs"]
mod play;
#[path = "properties/published.rs"]
mod published;
#[path = "properties/queue.rs"]
mod queue;
#[path = "properties/rules.rs"]
mod rules;
#[path = "properties/site.rs"]
mod site;
#[path = "properties/steps.rs"]
mod steps;
mod support;
#[path = "api/talk.rs"]
#[allow(dead_code, reason = "the API's own tests say more")]
mod talk;
#[path = "properties/views.rs"]
mod views;
#[path = "properties/world.rs"]
mod world;
