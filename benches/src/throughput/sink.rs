//! The counting sink: checks numbers and headers of every datagram and how long it was under way.

use std::net::SocketAddrV4;

use bilbycast_shm_proto::model::ReceiveSpec;
use dataplane::net::memory::{PACKETS_MAX, Packet, PacketMemory};
use dataplane::net::receive::{ReceiveBatch, Sources};
use dataplane::net::socket::ReceiveSocket;

use super::histogram::Histogram;
use super::stream::Mark;
use crate::BenchError;

/// A socket that takes coalesced datagrams with the kernel's receive time.
///
/// The kernel stamps a datagram, or a train of them that was sent as one, at its arrival, so it does not matter how
/// late the sink looks. A train is in the socket when it is stamped: its datagrams did arrive together.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddrV4,
    socket: ReceiveSocket,
}

/// Takes the datagrams of one run out of the sink's socket. Stays on the thread that made it.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    socket: &'a ReceiveSocket,
    batch: ReceiveBatch,
    memory: PacketMemory,
    packets: Vec<Packet>,
    tally: Tally,
}

/// What one run delivered.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    stream: u64,
    next: u64,
    /// Datagrams of the stream.
    pub(super) received: u64,
    /// Those with a number at or below one seen before: reordered or doubled.
    pub(super) out_of_order: u64,
    /// Datagrams that are not what was sent.
    pub(super) damaged: u64,
    /// Kernel receive time less send time.
    pub(crate) latency: Histogram,
}

impl Tally {
    fn new(stream: u64) -> Self {
        Self {
            stream,
            next: 0,
            received: 0,
            out_of_order: 0,
            damaged: 0,
            latency: Histogram::new(),
        }
    }

    fn take(&mut self, datagram: &[u8], arrival_ns: u64) {
        let Some(mark) = Mark::read(datagram) else {
            self.damaged += 1;
            return;
        };
        if mark.stream != self.stream {
            // A latecomer of the run before, which has been counted as lost there.
            return;
        }
        self.received += 1;
        if mark.number < self.next {
            self.out_of_order += 1;
        } else {
            self.next = mark.number + 1;
        }
        self.latency.add(arrival_ns.saturating_sub(mark.sent_ns));
    }
}

impl Sink {
    /// Opens the socket.
    pub(crate) fn open(address: SocketAddrV4) -> Result<Self, BenchError> {
        let mut socket = ReceiveSocket::open(&ReceiveSpec {
            bind_addr: address.into(),
            interface_addr: None,
            source_addr: None,
        })?;
        socket.grow_buffer(BUFFER_BYTES);
        Ok(Self { address, socket })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Starts to count a stream, and throws away what is still waiting of others.
    pub(super) fn collect(&self, stream: u64) -> Collector<'_> {
        let mut collector = Collector {
            socket: &self.socket,
            batch: ReceiveBatch::new(),
            memory: PacketMemory::new(),
            packets: Vec::with_capacity(PACKETS_MAX),
            tally: Tally::new(stream),
        };
        while collector.drain() > 0 {}
        collector.tally = Tally::new(stream);
        collector
    }
}

impl Collector<'_> {
    /// Takes what is waiting, at most a few batches, and returns how many datagrams that were.
    pub(super) fn drain(&mut self) -> usize {
        let mut taken = 0;
        for _ in 0..BATCHES_PER_DRAIN {
            self.packets.clear();
            let received = self.batch.receive(
                self.socket,
                &mut self.memory,
                &mut self.packets,
                Sources::Unasked,
            );
            for packet in &self.packets {
                let datagram = &self.memory.bytes()[packet.range()];
                self.tally.take(datagram, packet.arrival_ns);
            }
            taken += self.packets.len();
            if !received.is_full() {
                break;
            }
        }
        taken
    }

    /// What has been seen so far.
    pub(super) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What has been seen.
    pub(super) fn into_tally(self) -> Tally {
        self.tally
    }
}

/// 54,000 datagrams as the kernel counts them: 135 ms at 400,000 a second, should the sink be held up.
const BUFFER_BYTES: usize = 54_000 * 2_304;

/// The sender must get its turn.
const BATCHES_PER_DRAIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::throughput::stream::{DATAGRAM_BYTES, Stream};

    #[test]
    fn gaps_repeats_and_strangers_are_told_apart() {
        let mut stream = Stream::new(9, 1_000, 4).unwrap();
        let batch = stream.next_batch(4, || 1_000).to_vec();
        let datagrams: Vec<&[u8]> = batch.chunks(DATAGRAM_BYTES).collect();
        let mut tally = Tally::new(9);
        for index in [0, 2, 1, 2] {
            tally.take(datagrams[index], 3_000);
        }
        tally.take(&[0; 100], 3_000);
        let mut other = Stream::new(8, 1_000, 1).unwrap();
        tally.take(other.next_batch(1, || 1), 3_000);
        assert_eq!(
            (tally.received, tally.out_of_order, tally.damaged),
            (4, 2, 1)
        );
        assert_eq!(tally.latency.quantile_us(0.5), 2.0);
    }
}
