//! The control process of bilbycast-edge: REST API, configuration, reconciliation with the data plane.
//!
//! * [`config`]: what a configuration is, what is legal, and its file.
//! * [`link`]: the data plane as seen from here: the control socket and the counters in shared memory.
//! * [`node`]: the one owner of the configuration; every change goes through it, and after each reconnect it brings
//!   the data plane to what is configured.
//! * [`stats`]: what runs, in the words of the API; [`metrics`]: the same for Prometheus.
//! * [`events`]: what happened; [`ws`]: statistics and events pushed to whoever listens.
//! * [`nmos`]: the node in the words of AMWA's controllers.
//! * [`openapi`]: the description of the API for programs and people.
//! * [`setup`]: the page that gives a new node its first configuration.
//! * [`dashboard`]: the page for the people on shift.
//! * [`service`]: what systemd gives and hears; [`arguments`]: the command line.
//! * [`auth`]: who may do what; [`tls`]: HTTPS.
//! * [`mod@api`] is the HTTP side of all that.
//!
//! Nothing here is on the way of a packet. A crash, a hang or a restart of this process costs no running flow
//! anything, and every command to the data plane is declarative, so that saying it again is harmless.

#![forbid(unsafe_code)]

pub mod api;
pub mod arguments;
pub mod auth;
pub mod config;
pub mod dashboard;
pub mod events;
pub mod link;
pub mod metrics;
pub mod nmos;
pub mod node;
pub mod openapi;
pub mod service;
pub mod setup;
pub mod stats;
pub mod tls;
pub mod ws;
