//! What nodes say to each other: nothing is lost on the way, nothing forged, replayed or old is let
//! in, and whoever asks is told the truth about what became of it.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod calls;
mod clean;
mod forged;
mod node;
mod wire;
