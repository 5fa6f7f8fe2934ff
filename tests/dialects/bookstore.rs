//! The bookstore API, as its clients see it.

mod accounts;
mod authorisation;
mod busy;
mod buyers;
mod deadlines;
mod input;
mod keys;
mod mistakes;
mod open;
mod queries;
mod search;
mod sellers;
mod shapes;
mod talk;
mod wire;
