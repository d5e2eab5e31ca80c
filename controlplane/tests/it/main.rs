//! The control plane over HTTP, against a data plane that is made here: it speaks the real protocol over a Unix socket
//! and publishes a real shared memory.

#![allow(
    clippy::unwrap_used,
    reason = "the lint knows test functions, not their helpers; a failure here is the test's failure"
)]

mod actions;
mod config;
mod fake;
mod flows;
mod harness;
mod http;
mod link;
mod outputs;
mod process;
mod reconcile;
mod stats;
