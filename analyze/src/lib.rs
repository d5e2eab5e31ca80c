//! The analyser of the data plane over a recording: [`analyse`] reads it, [`Report`] is what it found.
//!
//! * [`timeline`]: when each packet of a recording was sent, by the stream's own clock.
//! * [`pcap`]: UDP payloads of a capture file.
//! * [`report`]: what is printed, as text or JSON.
//! * [`arguments`]: the command line.

#![forbid(unsafe_code)]

pub mod arguments;
pub mod input;
pub mod pcap;
pub mod report;
pub mod timeline;

pub use input::{AnalyseError, Options, analyse};
pub use report::Report;
