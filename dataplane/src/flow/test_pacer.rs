//! The pace of the built-in test source.

use bilbycast_mpegts::{DATAGRAM_SIZE, TestSource};

use super::receiver::Taken;
use crate::net::clock;
use crate::net::memory::{PACKETS_MAX, Packet, PacketMemory};

/// Writes the built-in source at its pace.
#[derive(Debug)]
pub(super) struct TestPacer {
    source: Box<TestSource>,
    /// The instant of the stream's first bit, on both clocks, in nanoseconds.
    start: Option<Start>,
}

#[derive(Clone, Copy, Debug)]
struct Start {
    monotonic_ns: u64,
    realtime_ns: u64,
}

/// A source that was held up for longer than this goes on from where it is instead of making up for the time: a burst
/// helps no receiver.
const HELD_UP_NS_MAX: u64 = 200_000_000;

/// Datagrams of one pass: what the receive region holds.
const TEST_DATAGRAMS_MAX: u64 = {
    let fit = PacketMemory::STAGING_START / DATAGRAM_SIZE;
    if fit < PACKETS_MAX {
        fit as u64
    } else {
        PACKETS_MAX as u64
    }
};

impl TestPacer {
    /// A source that starts at the first pass.
    pub(super) fn new(source: TestSource) -> Self {
        Self {
            source: Box::new(source),
            start: None,
        }
    }

    /// Writes what is due by now.
    pub(super) fn fill(
        &mut self,
        memory: &mut PacketMemory,
        packets: &mut Vec<Packet>,
        now_ns: u64,
    ) -> Taken {
        let mut start = *self.start.get_or_insert_with(|| Start {
            monotonic_ns: now_ns,
            realtime_ns: clock::realtime_ns(),
        });
        let written = self.source.packets_written() / TS_PACKETS_PER_DATAGRAM;
        let behind_ns = now_ns
            .saturating_sub(start.monotonic_ns)
            .saturating_sub(self.time_of_ns(written));
        if behind_ns > HELD_UP_NS_MAX {
            start.monotonic_ns += behind_ns;
            start.realtime_ns += behind_ns;
            self.start = Some(start);
        }
        let elapsed_ns = now_ns.saturating_sub(start.monotonic_ns);
        let due = self
            .source
            .packets_due(std::time::Duration::from_nanos(elapsed_ns))
            / TS_PACKETS_PER_DATAGRAM;
        let count = due.saturating_sub(written).min(TEST_DATAGRAMS_MAX);
        let bytes = count as usize * DATAGRAM_SIZE;
        let Some(room) = memory.received_mut().get_mut(..bytes) else {
            return Taken::default();
        };
        self.source.write(room);
        for index in 0..count {
            packets.push(Packet {
                // The region is far below 4 GiB.
                start: index as u32 * DATAGRAM_SIZE as u32,
                bytes: DATAGRAM_SIZE as u32,
                header_bytes: 0,
                payload_bytes: DATAGRAM_SIZE as u32,
                arrival_ns: start.realtime_ns + self.time_of_ns(written + index + 1),
            });
        }
        Taken {
            received: count,
            more: due.saturating_sub(written) > count,
        }
    }

    /// When the last bit of so many datagrams is due, after the start.
    fn time_of_ns(&self, datagrams: u64) -> u64 {
        let bits = u128::from(datagrams) * DATAGRAM_SIZE as u128 * 8;
        let rate = u128::from(self.source.bitrate_bps().max(1));
        u64::try_from(bits * 1_000_000_000 / rate).unwrap_or(u64::MAX)
    }
}

const TS_PACKETS_PER_DATAGRAM: u64 = bilbycast_mpegts::PACKETS_PER_DATAGRAM as u64;
