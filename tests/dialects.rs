//! Every dialect, call by call.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod support;

mod dialects {
    mod bookstore;
}
