//! The control side of the data plane: everything that is not a packet.
//!
//! * [`engine`]: what runs where, and how it becomes what was asked for.
//! * [`open`]: from a specification to sockets.
//! * [`server`]: the control socket and its clients.
//! * [`events`]: events on their way to clients and into the shared memory.
//! * [`start`]: brings the process up and takes it down.
//! * `supervisor`: what systemd hears of the process and its cores.
//!
//! Sockets are opened and closed here, and objects that are ready go to the cores. A client that hangs, floods or
//! disappears costs its own thread and nothing else.

pub mod engine;
pub mod events;
pub mod open;
pub mod server;
pub mod start;
mod supervisor;
