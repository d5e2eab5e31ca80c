//! What moves a live stream over a lossy network: buffers, clocks, rates and the decisions on retransmission.
//!
//! Everything here has a fixed size from its construction on and allocates nothing per packet.

mod bits;
mod pacing;
mod rates;
mod receive_buffer;
mod rtt;
mod send_buffer;
mod slab;
mod tsbpd;

pub(crate) use bits::BitRing;
pub use pacing::{BandwidthLimit, Pacer, TokenBucket};
pub use rates::{LinkCapacity, RateMeter};
pub use receive_buffer::{Arrival, Delivery, ReceiveBuffer, ReceiveCounts, Reporting};
pub use rtt::RoundTrip;
pub use send_buffer::{NakOutcome, SendBuffer, SendBufferFull, Sendable};
pub use tsbpd::{SourceTime, TsbpdClock};
