//! What the two processes of bilbycast-edge agree on.
//!
//! * [`model`]: a flow as the control plane hands it to the data plane, already validated.
//! * [`control`]: the messages on the Unix socket and their framing.
//! * [`counters`]: the one table of everything that is counted; the shared-memory layout, the REST fields and the
//!   Prometheus families derive from it.
//! * [`detail`]: what is in a flow's stream.
//! * [`event`]: what happened, for people.
//! * [`shm`]: the shared memory: its layout, its single writer per core, and its readers.
//! * [`paths`]: where socket and shared memory are found when nobody says.
//!
//! The crate knows no runtime and no HTTP; either process may be replaced without the other noticing, as long as
//! [`control::PROTOCOL_VERSION`] and [`shm::LAYOUT_VERSION`] agree.

// Under loom only rings and sequence locks are built, without those who use them.
#![cfg_attr(loom, allow(dead_code, unused_imports))]

pub mod control;
pub mod counters;
pub mod detail;
pub mod event;
pub mod model;
pub mod paths;
pub mod shm;
mod sync;
