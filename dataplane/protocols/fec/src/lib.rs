//! Forward error correction of SMPTE ST 2022-1, sans-IO.
//!
//! The sender arranges media packets in a matrix of L columns and D rows, in the order they are sent, row after row.
//! The XOR of a column, or of a row, travels as one more packet; whoever misses one packet of a group gets it back from
//! the rest of the group. Rows mend single losses, columns mend bursts, and both in turn mend more than either.
//!
//! * [`Matrix`], [`Dimensions`], [`Layout`]: what is protected, and how.
//! * [`Encoder`]: sees every media packet that is sent and hands out the FEC packets that are due.
//! * [`Decoder`]: sees every packet that arrives, media and FEC, and hands out the media packets that it recovers. It
//!   keeps copies only; the media packets themselves go on to a stage that keeps the order and waits for what is missing.
//!
//! No socket and no clock: time is counted in media packets. All memory is taken at construction.
//!
//! # What of a media packet is protected
//!
//! Length, payload type, timestamp and everything after the 12-byte RTP header: CSRC list, extension, payload and
//! padding. Version and SSRC are the stream's, the sequence number follows from the place in the matrix. The bits P, X,
//! CC and M have no field in the FEC header; senders (ffmpeg, GStreamer, and the rules of RFC 2733 and RFC 6015 that
//! ST 2022-1 stands on) put their XOR where the FEC packet's own RTP header has these bits, while others write zeros.
//! [`Encoder`] does the former. [`Decoder`] tells from groups that are complete which kind of sender it hears, and with
//! one that writes zeros takes the bits from the other packets of the group. A receiver of FEC packets must therefore
//! never look for padding, CSRC list or extension in them.
//!
//! # Beyond the standard
//!
//! The standard bounds L * D to 100, D to 4 or more, and L to 4 or more when there are rows; this crate does 1 to 20 of
//! each, and [`Matrix::is_standard`] tells. It does not do matrices beyond 20 x 20, nor codes other than XOR.

#![forbid(unsafe_code)]

mod decoder;
mod encoder;
mod header;
mod matrix;
mod xor;

pub use decoder::{Decoder, DecoderConfig, DecoderStats, Learned};
pub use encoder::{Encoder, EncoderConfig};
pub use header::{FEC_OVERHEAD_BYTES, PACKET_BYTES_MAX, PAYLOAD_TYPE};
pub use matrix::{Dimensions, Layout, Matrix, MatrixError, Stream};
