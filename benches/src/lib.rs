//! Micro-benchmarks and the end-to-end throughput harness.
//!
//! * `benches/*.rs`: one criterion benchmark for each hot loop, named like the function.
//! * [`throughput`]: the whole gateway between a paced sender and a counting sink, beside a bare kernel loop.
//! * [`api`]: the whole node with a thousand flows, its REST API timed while a stream runs through it.
//! * [`micro`]: collects what criterion measured into one file.
//! * [`capacity`]: what all of them found, as tables of absolute figures.
//! * [`host`]: what the figures were measured on.

#![forbid(unsafe_code)]

pub mod api;
pub mod capacity;
mod error;
pub mod host;
pub mod micro;
pub mod throughput;

pub use error::BenchError;
