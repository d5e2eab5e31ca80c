//! Analysis of a transport stream: TR 101 290, what programmes there are, and what is in them.
//!
//! An [`Analyser`] sees every packet of one stream, on the packet path. After construction nothing allocates, and memory is
//! fixed whatever the stream claims: see [`Overflows`] for what did not fit.
//!
//! Time is an argument. A live stream is analysed at the times at which it arrived, a file at those that its own clock
//! tells. All times of one analyser are nanoseconds on one clock that does not go back.

mod continuity;
mod counters;
mod crc;
mod deadline;
mod engine;
mod line;
mod list;
mod media;
mod pcr;
mod pids;
mod section;
mod stream;
mod tables;

use crate::align::{Aligned, Discarded, TsAligner};
use crate::packet::TS_PACKET_SIZE;

pub use self::counters::{Counters, Overflows};
pub use self::media::{AudioInfo, FrameRate, MediaInfo, VideoInfo};
pub use self::pids::Role;
pub use self::stream::{Codec, Language, Stream, StreamKind};
pub use self::tables::Programme;

use self::engine::Engine;
use self::pcr::Clock;
use self::pids::Slot;

/// What an [`Analyser`] is to look at.
#[derive(Clone, Copy, Debug)]
pub struct AnalyserConfig {
    /// How long a video or audio PID that a PMT names may be absent (TR 101 290 1.6), in nanoseconds; 0 for ever.
    pub pid_timeout_ns: u64,
    /// Elementary streams are looked into, so that size, rates and channels are known.
    pub media: bool,
}

impl Default for AnalyserConfig {
    fn default() -> Self {
        Self {
            pid_timeout_ns: 5_000_000_000,
            media: true,
        }
    }
}

/// The analyser of one transport stream.
///
/// Input: [`on_packets`](Self::on_packets) for whole packets, or [`on_payload`](Self::on_payload) for payloads of any shape.
/// Both count timers up to the arrival. [`tick`](Self::tick) goes on counting while nothing arrives, and is to be called
/// every 100 ms or so. [`finish`](Self::finish) ends a stream that is known to be over.
///
/// Getters tell what is so now; they allocate nothing. How packets are grouped into calls changes no counter.
#[derive(Debug)]
pub struct Analyser {
    aligner: Box<TsAligner>,
    engine: Engine,
}

/// One PID as it stands now.
#[derive(Clone, Copy, Debug)]
pub struct PidReport {
    /// The PID.
    pub pid: u16,
    /// What it is for.
    pub role: Role,
    /// Packets so far; 0 for a PID that a table names and that has not come.
    pub packets: u64,
    /// Packets with a scrambled payload.
    pub scrambled_packets: u32,
    /// Bitrate over the last whole second in bits per second, from arrival times.
    pub bitrate_bps: u64,
    /// TR 101 290 1.4.
    pub cc_errors: u32,
    /// TR 101 290 2.1.
    pub tei_errors: u32,
    /// Its clock, when it has one.
    pub clock: Option<ClockReport>,
}

/// The PCRs of one PID.
#[derive(Clone, Copy, Debug)]
pub struct ClockReport {
    /// PCRs so far.
    pub pcrs: u64,
    /// TR 101 290 2.4.
    pub accuracy_errors: u32,
    /// The bitrate is constant by this clock, so that its accuracy is judged.
    pub is_constant_bitrate: bool,
    /// Bitrate of the whole transport stream by this clock in bits per second, over the last second or so.
    pub bitrate_bps: Option<u64>,
}

impl Analyser {
    /// An analyser that has seen nothing. Allocates all its memory, less than 128 KiB.
    #[must_use]
    pub fn new(config: AnalyserConfig) -> Self {
        Self {
            aligner: Box::new(TsAligner::new()),
            engine: Engine::new(config),
        }
    }

    /// Takes whole packets that arrived together at `arrival_ns`.
    ///
    /// Sync bytes may be wrong: after two wrong ones in a row packets are not read until a right one comes.
    pub fn on_packets(&mut self, packets: &[[u8; TS_PACKET_SIZE]], arrival_ns: u64) {
        self.engine.arrive(packets.len(), arrival_ns);
        for packet in packets {
            self.engine.packet(packet);
        }
    }

    /// Takes a payload of any shape, such as that of a datagram, that arrived at `arrival_ns`. Packets that are cut, or that
    /// do not begin where the last one ended, are put together and found again.
    pub fn on_payload(&mut self, payload: &[u8], arrival_ns: u64) {
        if self.aligner.take_aligned(payload) {
            let (packets, _) = payload.as_chunks();
            self.on_packets(packets, arrival_ns);
            return;
        }
        self.engine
            .arrive(payload.len() / TS_PACKET_SIZE, arrival_ns);
        let engine = &mut self.engine;
        let discarded = self.aligner.push_each(payload, |found| match found {
            Aligned::Packet(packet) => engine.packet(packet),
            Aligned::SyncLoss => engine.sync_loss(),
        });
        engine.position += (discarded.bytes / TS_PACKET_SIZE) as u64;
    }

    /// Takes note of what an aligner in front of [`on_packets`](Self::on_packets) has thrown away. To be called before the
    /// packets that it found behind.
    pub fn on_discarded(&mut self, discarded: Discarded) {
        for _ in 0..discarded.sync_losses {
            self.engine.sync_loss();
        }
        self.engine.position += (discarded.bytes / TS_PACKET_SIZE) as u64;
    }

    /// Like [`on_discarded`](Self::on_discarded), for a loss of lock whose place between the packets is known.
    pub fn on_sync_loss(&mut self) {
        self.engine.sync_loss();
    }

    /// Looks at all timers; `now_ns` is on the clock of the arrivals.
    pub fn tick(&mut self, now_ns: u64) {
        self.engine.tick(now_ns);
    }

    /// The stream is over at `end_ns`: counts what is overdue by then, and judges what waited for more to come.
    pub fn finish(&mut self, end_ns: u64) {
        self.engine.finish(end_ns);
    }

    /// Counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.engine.counters
    }

    /// What did not fit into memory.
    #[must_use]
    pub fn overflows(&self) -> Overflows {
        self.engine.overflows()
    }

    /// True for each priority of TR 101 290 of which no counter rose in the second before `now_ns`.
    #[must_use]
    pub fn priorities_ok(&self, now_ns: u64) -> [bool; 3] {
        self.engine.priorities_ok(now_ns)
    }

    /// Largest deviation of a PCR from the line of its clock (TR 101 290 2.4), in nanoseconds, of all that were judged since
    /// the last call; `None` when none was: there is no PCR, or the bitrate varies.
    pub fn take_pcr_deviation_ns(&mut self) -> Option<u64> {
        self.engine.take_pcr_deviation_ns()
    }

    /// transport_stream_id of the PAT.
    #[must_use]
    pub fn transport_stream_id(&self) -> Option<u16> {
        self.engine.tables.transport_stream_id
    }

    /// Programmes of the PAT, in its order.
    pub fn programmes(&self) -> impl ExactSizeIterator<Item = &Programme> {
        self.engine.tables.programmes()
    }

    /// Elementary streams of all PMTs. A PID that two programmes share is here for each of them.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = &Stream> {
        self.engine.tables.streams()
    }

    /// All PIDs that were seen or that a table names, in the order in which they were, without null packets.
    pub fn pids(&self) -> impl ExactSizeIterator<Item = PidReport> {
        self.engine.pids.iter().map(|slot| self.report(slot))
    }

    /// One PID; `None` when it was neither seen nor named.
    #[must_use]
    pub fn pid(&self, pid: u16) -> Option<PidReport> {
        self.engine.pids.get(pid).map(|slot| self.report(slot))
    }

    /// Bitrate of the whole stream in bits per second: by its own clock while there is one, else by arrival over the last
    /// whole second.
    #[must_use]
    pub fn total_bitrate_bps(&self) -> u64 {
        self.engine.total_bitrate_bps()
    }

    /// Bitrate of the null packets over the last whole second in bits per second, from arrival times.
    #[must_use]
    pub fn null_bitrate_bps(&self) -> u64 {
        self.engine.null_rate.bps
    }

    /// PID of the first JPEG XS stream that a PMT names (VSF TR-07).
    #[must_use]
    pub fn jpeg_xs_pid(&self) -> Option<u16> {
        self.streams()
            .find(|stream| stream.codec == Codec::JpegXs)
            .map(|stream| stream.pid)
    }

    fn report(&self, slot: &Slot) -> PidReport {
        let clock = self.engine.clocks.get(usize::from(slot.clock));
        PidReport {
            pid: slot.pid,
            role: slot.role,
            packets: slot.packets,
            scrambled_packets: slot.scrambled,
            bitrate_bps: slot.bitrate_bps,
            cc_errors: slot.cc_errors,
            tei_errors: slot.tei_errors,
            clock: clock.map(ClockReport::new),
        }
    }
}

impl ClockReport {
    fn new(clock: &Clock) -> Self {
        Self {
            pcrs: clock.pcrs,
            accuracy_errors: clock.accuracy_errors,
            is_constant_bitrate: clock.is_constant_bitrate(),
            bitrate_bps: clock.bitrate_bps(),
        }
    }
}

#[cfg(test)]
mod tests;
