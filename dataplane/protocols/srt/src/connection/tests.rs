//! Two connections in virtual time.

mod delivery;
mod direction;
mod filter;
mod fuzz;
mod keys;
mod link;
mod loss;
mod pair;
mod shutdown;
