//! SMPTE ST 2022-7 seamless protection: the same RTP stream over two legs becomes one stream without a scratch.
//!
//! The [`Merger`] holds every packet for the path differential, so that the copy of the slower leg is there when the
//! faster one lost its own, and gives packets out in sequence with a constant delay. Behind an FEC decoder it holds
//! them for the span of the FEC matrix too, so that a repaired packet comes out where the lost one would have; with a
//! single leg it does nothing but that.
//!
//! Sans-IO: no socket, no clock, no randomness. All memory is reserved at the start; a packet allocates nothing.

#![forbid(unsafe_code)]

mod class;
mod leg;
mod marks;
mod merger;
mod pace;
mod ring;
mod skew;
mod slab;
mod timeline;

pub use class::{ParseSkewClassError, SkewClass};
pub use leg::{LEGS, LegIndex, LegStats};
pub use merger::{Merger, MergerConfig, MergerStats, Origin, Outcome, Released};
pub use slab::PACKET_BYTES_MAX;
