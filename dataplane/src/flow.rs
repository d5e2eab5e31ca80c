//! The flow graph on one core: one input, fanned out to any number of outputs.
//!
//! A flow moves in passes. A pass takes what is waiting at the input, at most one batch, and hands it to each output in
//! turn; all outputs send the same bytes from the core's packet memory. Nothing is allocated in a pass.
//!
//! * [`input`]: where packets come from, and what is counted about them: [`receiver`] (sockets), [`filter`] (what is let
//!   in), [`repair`] (legs, FEC and their merge), [`srt_input`], `test_pacer` (the built-in source).
//! * [`output`]: how packets leave.
//! * [`analysis`]: what is found out about the stream on its way through.
//! * [`arrival`]: how regularly packets arrive.
//! * [`datagrams`]: transport stream of any shape, cut into datagrams of 7 x 188 bytes.
//! * `limit`: what a flow may carry.
//! * [`rate`]: bits per second over the last second.
//! * [`observe`]: state, health and the records for the shared memory.
//!
//! A [`Flow`] is built on the control thread, sockets and all, and then moves to its core.

pub mod analysis;
pub mod arrival;
pub mod datagrams;
pub mod filter;
pub mod input;
mod limit;
pub mod observe;
pub mod output;
pub mod rate;
pub mod receiver;
pub mod repair;
pub mod socket;
pub mod srt_input;
mod test_pacer;

use std::net::SocketAddr;
use std::ops::Range;

use bilbycast_rtp::HEADER_BYTES_MIN;
use bilbycast_shm_proto::model::BandwidthLimitSpec;

use crate::net::memory::{PACKETS_MAX, Packet, PacketMemory};
use crate::net::receive::ReceiveBatch;
use crate::net::send::SendBatch;
use crate::srt::derivations::Derivations;

use analysis::Analysis;
use datagrams::TsDatagrams;
use input::Input;
use limit::BandwidthLimit;
use observe::{Observer, WatchedOutputs};
use output::Output;

/// What the flows of a core share: the memory of the current pass and the batches into and out of the kernel. Between
/// two passes it holds nothing.
#[derive(Debug)]
pub struct PassBuffers {
    pub(crate) memory: PacketMemory,
    pub(crate) receive: ReceiveBatch,
    /// What came in.
    pub(crate) packets: Vec<Packet>,
    /// The same as transport stream in datagrams of 7 x 188 bytes.
    pub(crate) ts_datagrams: Vec<Packet>,
    /// Headers that an output puts in front of its packets.
    pub(crate) heads: Vec<[u8; HEADER_BYTES_MIN]>,
    pub(crate) send: SendBatch,
    /// Where datagrams lie that one socket sends to many places.
    pub(crate) datagrams: Vec<(Range<usize>, SocketAddr)>,
    /// Keys that far ends may have derived.
    pub(crate) derivations: Derivations,
}

/// Datagrams that one socket sends to many places in one go.
const DATAGRAMS_MAX: usize = 4_096;

impl PassBuffers {
    /// Buffers with all the room that a pass can need.
    #[must_use]
    pub fn new() -> Self {
        Self {
            memory: PacketMemory::new(),
            receive: ReceiveBatch::new(),
            packets: Vec::with_capacity(PACKETS_MAX),
            ts_datagrams: Vec::with_capacity(PACKETS_MAX),
            heads: Vec::with_capacity(PACKETS_MAX),
            send: SendBatch::new(),
            datagrams: Vec::with_capacity(DATAGRAMS_MAX),
            derivations: Derivations::new(),
        }
    }
}

impl Default for PassBuffers {
    fn default() -> Self {
        Self::new()
    }
}

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pass {
    /// Packets that came in, those that were dropped at once included.
    pub received: u64,
    /// Packets that the kernel took from all outputs together.
    pub sent: u64,
    /// More is waiting.
    pub more: bool,
    /// Packets wait for their time, without anything to wake the flow.
    pub pending: bool,
}

/// A flow.
///
/// Mutators: [`pass`](Self::pass), as often as its input may have something;
/// [`flush_leftover`](Self::flush_leftover) and [`observe`](Self::observe), from the core's housekeeping;
/// [`exchange_outputs`](Self::exchange_outputs), between two passes.
#[derive(Debug)]
pub struct Flow {
    id: String,
    input: Input,
    outputs: Vec<Output>,
    datagrams: TsDatagrams,
    /// Some output sends transport stream in datagrams that are cut here.
    cuts_datagrams: bool,
    limit: Option<BandwidthLimit>,
    analysis: Analysis,
    observer: Observer,
}

/// What is left of a flow that has ended.
#[derive(Debug)]
pub struct Parts {
    /// Its input.
    pub input: Input,
    /// Its outputs, with what they have counted.
    pub outputs: Vec<Output>,
    /// What was remembered of the outputs.
    pub watched: WatchedOutputs,
}

impl Flow {
    /// A flow that has carried nothing yet; it starts at `now_ns` (CLOCK_MONOTONIC) and `unix_us`.
    #[must_use]
    pub fn new(
        id: String,
        input: Input,
        outputs: Vec<Output>,
        analysis: Analysis,
        limit: Option<BandwidthLimitSpec>,
        now_ns: u64,
        unix_us: u64,
    ) -> Self {
        let cuts_datagrams = outputs.iter().any(Output::takes_ts_datagrams);
        Self {
            id,
            input,
            outputs,
            datagrams: TsDatagrams::new(),
            cuts_datagrams,
            limit: limit.map(BandwidthLimit::new),
            analysis,
            observer: Observer::new(now_ns, unix_us),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its input.
    #[must_use]
    pub const fn input(&self) -> &Input {
        &self.input
    }

    /// What is found out about its stream.
    #[must_use]
    pub const fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// Its outputs.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// What it was made of, when the flow ends.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        Parts {
            input: self.input,
            outputs: self.outputs,
            watched: self.observer.into_watched(),
        }
    }

    /// Outputs of it go on from another flow, which remembered this of them.
    #[must_use]
    pub fn resuming(mut self, watched: WatchedOutputs) -> Self {
        self.observer.resume(watched);
        self
    }

    /// Takes one batch from the input and hands it to every output. `now_ns` is CLOCK_MONOTONIC.
    pub fn pass(&mut self, buffers: &mut PassBuffers, now_ns: u64) -> Pass {
        buffers.packets.clear();
        buffers.ts_datagrams.clear();
        let taken = self.input.fill(buffers, now_ns);
        let mut pass = Pass {
            received: taken.received,
            sent: 0,
            more: taken.more,
            pending: self.input.is_pending(now_ns),
        };
        if let Some(limit) = self.limit.as_mut().filter(|limit| limit.blocks()) {
            limit.count_blocked(buffers.packets.len() as u64);
            self.service(buffers, now_ns, &mut pass);
            return pass;
        }
        if self.cuts_datagrams {
            let PassBuffers {
                memory,
                packets,
                ts_datagrams,
                ..
            } = buffers;
            self.datagrams.push(memory, packets, ts_datagrams, now_ns);
        }
        pass.sent = self.send(buffers, now_ns);
        // What is already on its way is not held up by being looked at.
        self.analysis
            .on_packets(buffers.memory.bytes(), &buffers.packets);
        self.service(buffers, now_ns, &mut pass);
        pass
    }

    /// Sends what is left of a datagram when the rest of it has not come for a while, so that the end of a stream does
    /// not wait for the start of the next.
    pub fn flush_leftover(&mut self, buffers: &mut PassBuffers, now_ns: u64) -> u64 {
        if !self.datagrams.has_stale_leftover(now_ns) {
            return 0;
        }
        buffers.packets.clear();
        buffers.ts_datagrams.clear();
        self.datagrams
            .flush(&mut buffers.memory, &mut buffers.ts_datagrams);
        self.send(buffers, now_ns)
    }

    /// Takes the outputs named in `removed` out and puts `added` in; what goes on is not touched. Returns what was
    /// taken out.
    pub fn exchange_outputs(&mut self, removed: &[String], added: Vec<Output>) -> Vec<Output> {
        let gone = self
            .outputs
            .extract_if(.., |output| removed.iter().any(|id| id == output.id()))
            .collect();
        for output in &gone {
            self.observer.remember(output);
        }
        self.outputs.extend(added);
        let cut_before = self.cuts_datagrams;
        self.cuts_datagrams = self.outputs.iter().any(Output::takes_ts_datagrams);
        if self.cuts_datagrams && !cut_before {
            // What is left from the time before belongs to a stream that has moved on.
            self.datagrams = TsDatagrams::new();
        }
        gone
    }

    /// Whether something in it has to be looked at by the clock, when nothing comes in.
    #[must_use]
    pub fn has_timers(&self) -> bool {
        self.input.has_timers() || self.outputs.iter().any(Output::has_timers)
    }

    /// Gives outputs that hold conversations their turn. The packets of the pass are gone then.
    fn service(&mut self, buffers: &mut PassBuffers, now_ns: u64, pass: &mut Pass) {
        for output in &mut self.outputs {
            if output.has_timers() {
                pass.more |= output.service(buffers, now_ns);
                pass.pending |= output.is_pending(now_ns);
            }
        }
    }

    fn send(&mut self, buffers: &mut PassBuffers, now_ns: u64) -> u64 {
        let mut sent = 0;
        for output in &mut self.outputs {
            sent += output.send(buffers, now_ns);
        }
        sent
    }
}

#[cfg(test)]
mod tests;
