//! The native API, as its clients see it.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod support;

mod api {
    mod authorisation;
    mod bad;
    mod bodies;
    mod bounds;
    mod channels;
    mod document;
    mod forgetting;
    mod keys;
    mod life;
    mod pages;
    mod reach;
    mod talk;
    mod tokens;
}
