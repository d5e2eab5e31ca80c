//! Encoder and decoder against a solver of their own, and the decoder against captures of real senders: what is
//! recoverable on paper comes back bit for bit, and nothing else does.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

mod captures;
mod channel;
mod head_bits;
mod matrices;
mod sender;
mod solver;
