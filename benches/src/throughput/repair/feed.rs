//! The sender of two legs with FEC.

use std::net::SocketAddrV4;

use bilbycast_fec::{
    Dimensions, Encoder, EncoderConfig, Layout, Matrix, MatrixError, Stream as FecStream,
};
use dataplane::net::clock::realtime_ns;
use dataplane::net::send::{Segmentation, SendBatch};
use dataplane::net::socket::SendSocket;

use super::ports;
use crate::BenchError;
use crate::throughput::load::{Feed, Offered, new_stream, open_socket};
use crate::throughput::stream::{DATAGRAM_BYTES, Stream};

/// Sends one stream with its FEC to two legs, one right after the other.
#[derive(Debug)]
pub(super) struct LegsFeed {
    legs: [Leg; 2],
    batch: SendBatch,
    stream: Stream,
    encoder: Encoder,
    /// What is due of columns and rows.
    fec: [Datagrams; 2],
    offered: Offered,
}

#[derive(Debug)]
struct Leg {
    inputs: [SocketAddrV4; 3],
    media: SendSocket,
    /// Of columns and rows.
    fec: [SendSocket; 2],
}

impl Leg {
    fn open(leg: SocketAddrV4, rate: u64) -> Result<Self, BenchError> {
        let inputs = ports(leg);
        Ok(Self {
            inputs,
            media: open_socket(inputs[0], rate)?,
            fec: [open_socket(inputs[1], rate)?, open_socket(inputs[2], rate)?],
        })
    }
}

/// Datagrams one behind the other.
#[derive(Debug, Default)]
struct Datagrams {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Datagrams {
    fn push(&mut self, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push(self.bytes.len());
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.bytes[start..end])
    }
}

impl LegsFeed {
    /// `rate` datagrams of the stream a second, with FEC of `side` columns and as many rows.
    pub(super) fn open(legs: [SocketAddrV4; 2], side: u8, rate: u64) -> Result<Self, BenchError> {
        let matrix = Matrix::new(side, side).map_err(|error: MatrixError| BenchError::Process {
            who: "load",
            problem: error.to_string(),
        })?;
        Ok(Self {
            legs: [Leg::open(legs[0], rate)?, Leg::open(legs[1], rate)?],
            batch: SendBatch::new(),
            stream: new_stream(rate)?,
            encoder: Encoder::new(EncoderConfig {
                matrix,
                dimensions: Dimensions::ColumnAndRow,
                layout: Layout::BlockAligned,
                sequence_start: [0; 2],
            }),
            fec: [Datagrams::default(), Datagrams::default()],
            offered: Offered::default(),
        })
    }
}

impl Feed for LegsFeed {
    fn stream_id(&self) -> u64 {
        self.stream.id()
    }

    fn inputs(&self) -> Vec<SocketAddrV4> {
        self.legs.iter().flat_map(|leg| leg.inputs).collect()
    }

    fn send(&mut self, due: u64, catch_up_max: u64) -> bool {
        let made = self.stream.made();
        let count = self.offered.next_count(due, made, 1, catch_up_max);
        if count == 0 {
            return false;
        }
        let Self {
            legs,
            batch,
            stream,
            encoder,
            fec,
            offered,
        } = self;
        let bytes = stream.next_batch(count, realtime_ns);
        fec.iter_mut().for_each(Datagrams::clear);
        for datagram in bytes.chunks_exact(DATAGRAM_BYTES) {
            encoder.push(&[], datagram, &mut |stream: FecStream, packet| {
                fec[stream.index()].push(packet);
            });
        }
        offered.sent += count as u64;
        for leg in legs {
            send(
                batch,
                &leg.media,
                bytes.chunks_exact(DATAGRAM_BYTES),
                offered,
            );
            for (socket, datagrams) in leg.fec.iter().zip(&*fec) {
                send(batch, socket, datagrams.iter(), offered);
            }
        }
        true
    }

    fn offered(&self) -> Offered {
        self.offered
    }
}

fn send<'a>(
    batch: &mut SendBatch,
    socket: &SendSocket,
    datagrams: impl Iterator<Item = &'a [u8]>,
    offered: &mut Offered,
) {
    let mut segmentation = Segmentation::NONE;
    let mut outgoing = batch.start();
    let mut is_empty = true;
    for datagram in datagrams {
        outgoing.push(segmentation, &[], datagram);
        is_empty = false;
    }
    if is_empty {
        return;
    }
    let sent = outgoing.flush(socket, &mut segmentation);
    offered.in_all += sent.packets;
    offered.refused += sent.dropped;
}
