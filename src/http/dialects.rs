//! The order APIs that shops already have, one module each. None knows of another.

pub mod bookstore;
