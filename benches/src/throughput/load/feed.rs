//! What is sent, and how much of it.

use std::net::SocketAddrV4;

use bilbycast_rtp::HEADER_BYTES_MIN;
use bilbycast_shm_proto::model::{DSCP_DEFAULT, SendSpec};
use dataplane::net::clock::{monotonic_ns, realtime_ns};
use dataplane::net::send::{Segmentation, SendBatch};
use dataplane::net::socket::{SendSocket, buffer_bytes};

use super::{Arrivals, LoadSpec, Packing, TRAIN_DATAGRAMS, Target};
use crate::BenchError;
use crate::throughput::stream::{DATAGRAM_BYTES, Stream};

/// What makes and sends the datagrams of a run.
pub(in crate::throughput) trait Feed {
    /// The id that every datagram of the stream carries.
    fn stream_id(&self) -> u64;

    /// Where it sends.
    fn inputs(&self) -> Vec<SocketAddrV4>;

    /// Sends what is due of `due` datagrams of the stream in all, at most a batch, and leaves out what is more than
    /// `catch_up_max` behind. False when nothing was due.
    fn send(&mut self, due: u64, catch_up_max: u64) -> bool;

    /// What it has sent so far.
    fn offered(&self) -> Offered;
}

/// What a [`Feed`] has sent.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::throughput) struct Offered {
    /// Datagrams of the stream that were sent, however often.
    pub(in crate::throughput) sent: u64,
    /// Datagrams that the kernel took, those of all legs and of FEC together.
    pub(in crate::throughput) in_all: u64,
    /// Datagrams that a socket refused.
    pub(in crate::throughput) refused: u64,
    /// Datagrams of the stream that were left out.
    pub(in crate::throughput) not_offered: u64,
}

impl Offered {
    /// How many of the stream to send now, of `due` in all, `made` of which are made: a multiple of `step`, at most a
    /// batch. Leaves out what is more than `catch_up_max` behind.
    pub(in crate::throughput) fn next_count(
        &mut self,
        due: u64,
        made: u64,
        step: u64,
        catch_up_max: u64,
    ) -> usize {
        let behind = due.saturating_sub(made + self.not_offered);
        let missed = behind.saturating_sub(catch_up_max) / step * step;
        self.not_offered += missed;
        let count = (behind - missed).min(BATCH_DATAGRAMS as u64) / step * step;
        count as usize
    }
}

/// The sender of one stream to one socket.
pub(super) struct Sender {
    input: SocketAddrV4,
    socket: SendSocket,
    batch: SendBatch,
    stream: Stream,
    segmentation: Segmentation,
    /// Bytes at the start of each datagram that stay at home.
    left_out: usize,
    step: u64,
    offered: Offered,
}

impl Sender {
    pub(super) fn open(spec: &LoadSpec, target: &Target) -> Result<Self, BenchError> {
        let (segmentation, step) = match spec.arrivals {
            Arrivals::Coalesced => (Segmentation::FULL, TRAIN_DATAGRAMS as u64),
            Arrivals::Single => (Segmentation::NONE, 1),
        };
        Ok(Self {
            input: target.input,
            socket: open_socket(target.input, spec.rate)?,
            batch: SendBatch::new(),
            stream: new_stream(spec.rate)?,
            segmentation,
            left_out: match spec.packing {
                Packing::RawTs => HEADER_BYTES_MIN,
                Packing::Rtp => 0,
            },
            step,
            offered: Offered::default(),
        })
    }
}

impl Feed for Sender {
    fn stream_id(&self) -> u64 {
        self.stream.id()
    }

    fn inputs(&self) -> Vec<SocketAddrV4> {
        vec![self.input]
    }

    fn send(&mut self, due: u64, catch_up_max: u64) -> bool {
        let made = self.stream.made();
        let count = self.offered.next_count(due, made, self.step, catch_up_max);
        if count == 0 {
            return false;
        }
        let bytes = self.stream.next_batch(count, realtime_ns);
        let mut outgoing = self.batch.start();
        for datagram in bytes.chunks_exact(DATAGRAM_BYTES) {
            outgoing.push(self.segmentation, &[], &datagram[self.left_out..]);
        }
        let sent = outgoing.flush(&self.socket, &mut self.segmentation);
        self.offered.sent += sent.packets;
        self.offered.in_all += sent.packets;
        self.offered.refused += sent.dropped;
        true
    }

    fn offered(&self) -> Offered {
        self.offered
    }
}

/// A socket that sends `rate` datagrams a second to `input`.
pub(in crate::throughput) fn open_socket(
    input: SocketAddrV4,
    rate: u64,
) -> Result<SendSocket, BenchError> {
    let mut socket = SendSocket::open(&SendSpec {
        dest_addr: input.into(),
        bind_addr: SocketAddrV4::new(*input.ip(), 0).into(),
        interface_addr: None,
        dscp: DSCP_DEFAULT,
    })?;
    socket.grow_buffer(buffer_bytes(rate * DATAGRAM_BYTES as u64 * 8, 20));
    Ok(socket)
}

/// A stream of `rate` datagrams a second. The instant makes its id, so that no two runs share one.
pub(in crate::throughput) fn new_stream(rate: u64) -> Result<Stream, BenchError> {
    Stream::new(monotonic_ns(), rate, BATCH_DATAGRAMS)
}

/// Datagrams between two looks at the sink.
pub(in crate::throughput) const BATCH_DATAGRAMS: usize = 2 * TRAIN_DATAGRAMS;
