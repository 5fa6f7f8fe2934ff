//! Several nodes as one: who of them may write, and what the cluster tells everybody else.

pub mod election;
pub mod publisher;

pub use election::{Election, Lease, seats};
pub use publisher::Publisher;
