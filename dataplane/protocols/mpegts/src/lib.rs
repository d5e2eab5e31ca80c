//! MPEG-2 transport stream (ISO/IEC 13818-1): packet views, re-alignment, built-in test source, sans-IO.
//!
//! Nothing in here knows a socket or a clock: bytes and durations are arguments, packets are results, and nothing allocates
//! after construction.
//!
//! * [`packet`]: the 188-byte packet, its adaptation field and its time stamps, read without copying.
//! * [`align`]: raw transport stream that arrives in arbitrary datagrams, cut into packets again.
//! * [`analysis`]: TR 101 290, programmes and media of a stream, packet by packet.
//! * [`source`]: an endless constant-bitrate stream with a moving picture and a tone, for tests and line-up.

#![forbid(unsafe_code)]

pub mod align;
pub mod analysis;
pub mod packet;
pub mod source;

pub use align::{Aligned, Discarded, TsAligner, is_ts_payload};
pub use analysis::{Analyser, AnalyserConfig};
pub use packet::{
    AdaptationField, AdaptationFieldControl, DATAGRAM_SIZE, NULL_PACKET, PACKETS_PER_DATAGRAM,
    Pcr27MHz, Pid, Pts90kHz, SYNC_BYTE, ScramblingControl, TS_PACKET_SIZE, TsPacket, packets,
};
pub use source::{TestSource, TestSourceConfig, TestSourceError};
