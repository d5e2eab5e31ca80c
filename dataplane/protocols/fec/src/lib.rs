//! SMPTE ST 2022-1 forward error correction.

#![forbid(unsafe_code)]
