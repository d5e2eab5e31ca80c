//! When each packet of a recording was sent, by the stream's own clock.
//!
//! Between two PCRs of the PID whose clock came first, time goes on evenly from packet to packet, or not at all: see
//! [`Clock`]. A clock that jumps does not stop or turn time: there it goes on at the pace of the packets before.

use bilbycast_mpegts::{Pcr27MHz, Pid, TS_PACKET_SIZE, TsPacket};

/// A transport packet.
pub type Packet = [u8; TS_PACKET_SIZE];

/// How time goes on from one PCR to the next.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Clock {
    /// Evenly from packet to packet, as the stream is sent (ISO/IEC 13818-1 2.4.2.2).
    #[default]
    Even,
    /// Not at all between PCRs, as in analysers that only take the values of the clock; a first step of a second or more
    /// tells the pace and takes no time.
    Steps,
}

/// What comes out of a [`Timeline`].
#[derive(Clone, Copy, Debug)]
pub enum Sent<'a> {
    /// A packet, and when it was sent in nanoseconds since the first.
    Packet(&'a Packet, u64),
    /// Here [`Timeline::on_sync_loss`] was called.
    SyncLoss,
}

/// Gives packets their times. Packets wait inside until the next PCR tells the time of those before it.
#[derive(Debug)]
pub struct Timeline {
    clock: Clock,
    reference: Option<Pid>,
    anchor: Option<Anchor>,
    waiting: Vec<Packet>,
    /// Before which of them the lock was lost.
    losses: Vec<usize>,
    /// Ticks and packets of all steps of the clock that were believed: the pace.
    ticks: u64,
    packets: u64,
    /// Nanoseconds that a packet takes where no clock tells, if known.
    fallback_packet_ns: Option<f64>,
    /// Time of the next packet to be handed out.
    next_ns: f64,
}

/// The newest PCR.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    pcr: Pcr27MHz,
    /// Packets that wait and are not behind it: those before the very first clock.
    before: usize,
}

/// Packets that wait for a PCR at most: 100 MB, at 100 Mb/s 8 s.
const WAITING_MAX: usize = 524_288;

/// A step up to this is believed as it is: 100 ms, the longest that TR 101 290 allows.
const STEP_TICKS_SURE: u128 = Pcr27MHz::HZ as u128 / 10;

/// A longer one is when no more than this much slower than the packets before: there were PCRs missing, and no jump.
const SLOWDOWN_MAX: u128 = 8;

/// The very first step is believed up to this: 10 s.
const STEP_TICKS_MAX: u128 = 10 * Pcr27MHz::HZ as u128;

/// From a first step of this length on [`Clock::Steps`] takes none: 1 s.
const FIRST_STEP_TICKS_END: u64 = Pcr27MHz::HZ;

const NS_PER_TICK: f64 = 1e9 / Pcr27MHz::HZ as f64;

impl Timeline {
    /// A timeline that begins at 0. Without a clock packets are sent at `bitrate_bps`; without either, time stands still.
    #[must_use]
    pub fn new(bitrate_bps: Option<u64>) -> Self {
        let packet_bits = 8 * TS_PACKET_SIZE as u64;
        Self {
            clock: Clock::default(),
            reference: None,
            anchor: None,
            waiting: Vec::new(),
            losses: Vec::new(),
            ticks: 0,
            packets: 0,
            fallback_packet_ns: bitrate_bps
                .filter(|&bps| bps > 0)
                .map(|bps| packet_bits as f64 * 1e9 / bps as f64),
            next_ns: 0.0,
        }
    }

    /// The same with time that goes on like `clock`.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// How time goes on between PCRs.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// PID whose clock tells the time, once there is one.
    #[must_use]
    pub fn reference(&self) -> Option<Pid> {
        self.reference.filter(|_| self.ticks > 0)
    }

    /// True when packets have times of their own.
    #[must_use]
    pub fn has_time(&self) -> bool {
        self.packet_ns().is_some()
    }

    /// The lock on the packets was lost behind the last one.
    pub fn on_sync_loss(&mut self) {
        // Losses are rarer than packets: each follows five good ones.
        self.losses.push(self.waiting.len());
    }

    /// Takes the next packet; packets whose times are known now are handed to `sink`.
    pub fn push(&mut self, packet: &Packet, sink: &mut impl FnMut(Sent<'_>)) {
        self.waiting.push(*packet);
        let view = TsPacket::new(packet);
        if view.has_sync_byte()
            && !view.transport_error_indicator()
            && let Some(pcr) = view.pcr()
        {
            let reference = *self.reference.get_or_insert_with(|| view.pid());
            if reference == view.pid() {
                self.on_pcr(pcr, view.discontinuity_indicator(), sink);
            }
        }
        if self.waiting.len() >= WAITING_MAX {
            // The clock has stopped: another one may take over.
            self.hand_out(self.tail_packet_ns(), 0.0, sink);
            self.reference = None;
            self.anchor = None;
        }
    }

    /// No more packets come: hands out those that wait.
    pub fn finish(&mut self, sink: &mut impl FnMut(Sent<'_>)) {
        self.hand_out(self.tail_packet_ns(), 0.0, sink);
    }

    /// Time at which the stream is over: the end of the last packet that was handed out, or with [`Clock::Steps`] the last
    /// PCR.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.next_ns as u64
    }

    fn on_pcr(&mut self, pcr: Pcr27MHz, flagged: bool, sink: &mut impl FnMut(Sent<'_>)) {
        let first = Anchor {
            pcr,
            before: self.waiting.len(),
        };
        let Some(anchor) = self.anchor.replace(first) else {
            return;
        };
        let packets = (self.waiting.len() - anchor.before) as u64;
        let step = pcr.ticks_since(anchor.pcr);
        let is_first = self.packets == 0;
        let packet_ns = if !flagged && self.believes(step, packets) {
            self.ticks += step;
            self.packets += packets;
            step as f64 * NS_PER_TICK / packets as f64
        } else if let Some(packet_ns) = self.packet_ns() {
            packet_ns
        } else {
            return;
        };
        match self.clock {
            Clock::Even => self.hand_out(packet_ns, 0.0, sink),
            Clock::Steps if is_first && step >= FIRST_STEP_TICKS_END => {
                self.hand_out(0.0, 0.0, sink);
            }
            Clock::Steps => self.hand_out(0.0, packet_ns * packets as f64, sink),
        }
        self.anchor = Some(Anchor { pcr, before: 0 });
    }

    fn believes(&self, step: u64, packets: u64) -> bool {
        let (step, packets) = (u128::from(step), u128::from(packets));
        let pace_allows = || {
            let (all_ticks, all_packets) = (u128::from(self.ticks), u128::from(self.packets));
            all_packets == 0 && step <= STEP_TICKS_MAX
                || step * all_packets <= SLOWDOWN_MAX * all_ticks * packets
        };
        step > 0 && packets > 0 && (step <= STEP_TICKS_SURE || pace_allows())
    }

    /// How long a packet takes on average.
    fn packet_ns(&self) -> Option<f64> {
        if self.packets > 0 {
            Some(self.ticks as f64 * NS_PER_TICK / self.packets as f64)
        } else {
            self.fallback_packet_ns
        }
    }

    /// How long a packet takes behind which there is no PCR.
    fn tail_packet_ns(&self) -> f64 {
        if self.clock == Clock::Steps && self.reference().is_some() {
            0.0
        } else {
            self.packet_ns().unwrap_or(0.0)
        }
    }

    /// Hands out what waits. Each packet takes `packet_ns`; `step_ns` pass right before the last of them.
    fn hand_out(&mut self, packet_ns: f64, step_ns: f64, sink: &mut impl FnMut(Sent<'_>)) {
        let mut losses = self.losses.iter().peekable();
        for (n, packet) in self.waiting.iter().enumerate() {
            while losses.next_if(|&&before| before <= n).is_some() {
                sink(Sent::SyncLoss);
            }
            if n + 1 == self.waiting.len() {
                self.next_ns += step_ns;
            }
            sink(Sent::Packet(packet, self.next_ns as u64));
            self.next_ns += packet_ns;
        }
        losses.for_each(|_| sink(Sent::SyncLoss));
        self.waiting.clear();
        self.losses.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ns(sent: Sent<'_>) -> Option<u64> {
        match sent {
            Sent::Packet(_, at_ns) => Some(at_ns),
            Sent::SyncLoss => None,
        }
    }

    /// Packets with a PCR every `interval`, 1 ms each; `change` may move clocks.
    fn times(count: usize, interval: usize, change: impl Fn(usize, u64) -> u64) -> Vec<u64> {
        let mut timeline = Timeline::new(None);
        let mut times = Vec::new();
        for n in 0..count {
            let mut packet = bilbycast_mpegts::NULL_PACKET;
            packet[1] = 0x01;
            if n % interval == 3 {
                packet[3] = 0x30;
                packet[4..6].copy_from_slice(&[7, 0x10]);
                let pcr = Pcr27MHz::from_ticks(change(n, 90_000_000 + n as u64 * 27_000));
                packet[6..12].copy_from_slice(&pcr.to_wire());
            }
            timeline.push(&packet, &mut |sent| times.extend(at_ns(sent)));
        }
        timeline.finish(&mut |sent| times.extend(at_ns(sent)));
        assert_eq!(timeline.end_ns() / 1_000_000, count as u64);
        times
    }

    fn is_even(times: &[u64]) -> bool {
        times
            .iter()
            .enumerate()
            .all(|(n, &ns)| ns.abs_diff(n as u64 * 1_000_000) < 10)
    }

    #[test]
    fn time_is_even_between_clocks_and_beyond_them() {
        assert!(is_even(&times(500, 20, |_, ticks| ticks)));
        assert!(
            is_even(&times(5000, 1000, |_, ticks| ticks)),
            "one clock a second"
        );
        let wraps = |_, ticks: u64| ticks + Pcr27MHz::MODULUS - 95_000_000;
        assert!(is_even(&times(500, 20, wraps)));
    }

    #[test]
    fn jumps_of_the_clock_do_not_move_time() {
        let jump = |n, ticks| {
            if (200..300).contains(&n) {
                ticks + 5 * 27_000_000
            } else {
                ticks
            }
        };
        assert!(is_even(&times(500, 20, jump)));
        assert!(is_even(&times(500, 20, |n, ticks| if n > 200 {
            ticks - 50_000_000
        } else {
            ticks
        })));
    }

    #[test]
    fn time_in_steps_is_that_of_the_last_pcr() {
        let steps = |interval_ms: u64, count: usize| {
            let mut timeline = Timeline::new(None).with_clock(Clock::Steps);
            let mut times = Vec::new();
            for n in 0..count as u64 {
                let mut packet = bilbycast_mpegts::NULL_PACKET;
                packet[1] = 0x01;
                if n % 4 == 1 {
                    packet[3] = 0x30;
                    packet[4..6].copy_from_slice(&[7, 0x10]);
                    let pcr = Pcr27MHz::from_ticks(n / 4 * interval_ms * 27_000);
                    packet[6..12].copy_from_slice(&pcr.to_wire());
                }
                timeline.push(&packet, &mut |sent| times.extend(at_ns(sent)));
            }
            timeline.finish(&mut |sent| times.extend(at_ns(sent)));
            assert_eq!(Some(&timeline.end_ns()), times.last());
            times
                .into_iter()
                .map(|ns| ns / 1_000_000)
                .collect::<Vec<_>>()
        };
        assert_eq!(steps(40, 12), [0, 0, 0, 0, 0, 40, 40, 40, 40, 80, 80, 80]);
        assert_eq!(
            steps(1_000, 12),
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 1_000, 1_000, 1_000]
        );
    }

    #[test]
    fn without_a_clock_there_is_the_given_bitrate_or_none() {
        for (bitrate_bps, expected) in [(None, [0, 0]), (Some(1_504_000), [0, 1_000_000])] {
            let mut timeline = Timeline::new(bitrate_bps);
            let mut times = Vec::new();
            for _ in 0..2 {
                timeline.push(&bilbycast_mpegts::NULL_PACKET, &mut |_| panic!("waits"));
            }
            timeline.finish(&mut |sent| times.extend(at_ns(sent)));
            assert_eq!(times, expected);
            assert_eq!(timeline.has_time(), bitrate_bps.is_some());
        }
    }
}
