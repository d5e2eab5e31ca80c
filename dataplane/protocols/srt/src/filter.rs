//! Packet filter: forward error correction inside the connection (libsrt's "SRT Packet Filtering & FEC").
//!
//! Packets are arranged in rows of consecutive numbers and columns across the rows; each full row or column is followed
//! by a packet with the XOR of all of them, from which any single one that is missing can be rebuilt. What is protected
//! is the packet as it is sent, encrypted when the connection is encrypted.

mod config;
mod decoder;
mod encoder;
mod group;

pub use config::{ArqMode, FilterConfig, FilterError, FilterText, Layout};
pub use decoder::{FilterCounts, FilterDecoder};
pub use encoder::FilterEncoder;

/// Bytes in front of the XOR of the payloads: group index, flag recovery, length recovery.
pub const FILTER_HEADER_BYTES: usize = 4;
