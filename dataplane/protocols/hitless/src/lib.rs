//! SMPTE ST 2022-7 seamless protection.

#![forbid(unsafe_code)]
