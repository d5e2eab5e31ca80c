//! Whole streams in virtual time: random paths, and a capture of two legs.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

mod capture;
mod driver;
mod paths;
