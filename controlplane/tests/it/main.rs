//! The control plane over HTTP, against a data plane that is made here: it speaks the real protocol over a Unix socket
//! and publishes a real shared memory.

#![allow(
    clippy::unwrap_used,
    reason = "the lint knows test functions, not their helpers; a failure here is the test's failure"
)]

mod access_log;
mod actions;
mod auth;
mod auth_token;
mod config;
mod contract;
mod dashboard;
mod events;
mod fake;
mod flows;
mod harness;
mod http;
mod link;
mod metrics;
mod nmos_connection;
mod nmos_node;
mod nmos_registration;
mod openapi;
mod outputs;
mod process;
mod reconcile;
mod schemas;
mod secrets;
mod setup;
mod stats;
mod tls;
mod unbuilt;
mod wire;
mod ws;
