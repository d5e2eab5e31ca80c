//! What is done once in a while: timers, bitrates, priorities.

use super::Engine;
use crate::analysis::counters::Overflows;
use crate::analysis::deadline::Deadline;
use crate::analysis::pcr::Clock;
use crate::analysis::pids::Role;
use crate::packet::TS_PACKET_SIZE;

/// Timers are looked at this often.
pub(super) const CHECK_NS: u64 = 100_000_000;

/// Bitrates are averages over this time, and the priorities of TR 101 290 are in order after this time without an error.
pub(in crate::analysis) const WINDOW_NS: u64 = 1_000_000_000;

//= TR 101 290 3.4.a: PID not referred to within 0.5 s.
const UNREFERENCED_NS: u64 = 500_000_000;

/// A CAT holds for this long. There is no interval in the standards.
const CAT_VALID_NS: u64 = 10_000_000_000;

/// A bitrate over the last whole window.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::analysis) struct Rate {
    marked: u64,
    pub(in crate::analysis) bps: u64,
}

/// [`Engine::tick`] judges what was due this long before: packets that have arrived may not have been handed over yet.
const SETTLE_NS: u64 = 20_000_000;

impl Engine {
    pub(in crate::analysis) fn tick(&mut self, now_ns: u64) {
        if self.started {
            let settled_ns = now_ns.saturating_sub(SETTLE_NS);
            self.check(settled_ns.max(self.newest_ns), now_ns);
        }
    }

    pub(in crate::analysis) fn finish(&mut self, end_ns: u64) {
        if self.started {
            self.newest_ns = self.newest_ns.max(end_ns);
            self.check(self.newest_ns, self.newest_ns);
        }
        for clock in self.clocks.iter_mut() {
            clock.finish(&mut self.counters);
        }
    }

    pub(in crate::analysis) fn take_pcr_deviation_ns(&mut self) -> Option<u64> {
        let clocks = self.clocks.iter_mut();
        clocks.filter_map(Clock::take_deviation_ns).max()
    }

    pub(in crate::analysis) fn priorities_ok(&self, now_ns: u64) -> [bool; 3] {
        self.rose_ns.map(|rose_ns| {
            rose_ns.is_none_or(|rose_ns| now_ns.saturating_sub(rose_ns) >= WINDOW_NS)
        })
    }

    pub(in crate::analysis) fn overflows(&self) -> Overflows {
        Overflows {
            untracked_packets: self.untracked,
            sections: self.sections.unread + self.without_reader,
            pcrs: self.without_clock,
            ..self.tables.overflows
        }
    }

    /// Looks at all timers: `due_ns` is until when things must have come, `now_ns` the time.
    #[cold]
    pub(super) fn check(&mut self, due_ns: u64, now_ns: u64) {
        self.next_check_ns = now_ns.saturating_add(CHECK_NS);
        self.tables
            .overdue(due_ns, self.newest_ns, &mut self.counters);
        for clock in self.clocks.iter_mut() {
            clock.overdue(self.newest_ns, &mut self.counters);
        }
        self.check_pids(due_ns);
        self.check_cat();
        if now_ns.saturating_sub(self.window_ns) >= WINDOW_NS {
            self.measure(now_ns);
        }
        let errors = [
            self.counters.priority1(),
            self.counters.priority2(),
            self.counters.priority3(),
        ];
        for (n, rose_ns) in self.rose_ns.iter_mut().enumerate() {
            if errors[n] != self.errors_before[n] {
                *rose_ns = Some(now_ns);
            }
        }
        self.errors_before = errors;
    }

    fn check_pids(&mut self, due_ns: u64) {
        let timeout_ns = self.config.pid_timeout_ns;
        for slot in self.pids.iter_mut() {
            match slot.role {
                Role::Unreferenced if !slot.told => {
                    slot.told = slot.newest_ns.saturating_sub(slot.since_ns) > UNREFERENCED_NS;
                    self.counters.unreferenced_pids += u64::from(slot.told);
                }
                Role::Stream if timeout_ns > 0 => {
                    let stream = self.tables.stream_mut(slot.stream);
                    if !stream.is_some_and(|stream| stream.is_continuous()) {
                        continue;
                    }
                    let since_ns = slot.newest_ns.max(slot.since_ns);
                    let absent_ns = due_ns.saturating_sub(since_ns);
                    let intervals = absent_ns.saturating_sub(1) / timeout_ns;
                    if intervals > 0 {
                        self.counters.pid_errors += intervals;
                        slot.since_ns = since_ns + intervals * timeout_ns;
                    }
                }
                _ => {}
            }
        }
    }

    //= TR 101 290 2.6: packets with transport_scrambling_control not 00 present, but no CAT.
    fn check_cat(&mut self) {
        if self.cat_due.is_never() {
            return;
        }
        let newest_ns = self.newest_ns;
        let has_cat = self
            .tables
            .cat_ns
            .is_some_and(|cat_ns| newest_ns.saturating_sub(cat_ns) < CAT_VALID_NS);
        if newest_ns.saturating_sub(self.scrambled_ns) >= WINDOW_NS {
            self.cat_due = Deadline::NEVER;
        } else if has_cat {
            self.cat_due = Deadline::starting(newest_ns, WINDOW_NS);
        } else {
            self.counters.cat_errors += self.cat_due.overdue(newest_ns, WINDOW_NS);
        }
    }

    fn measure(&mut self, now_ns: u64) {
        let elapsed_ns = now_ns - self.window_ns;
        self.window_ns = now_ns;
        self.all_rate.measure(self.counters.packets, elapsed_ns);
        self.null_rate
            .measure(self.counters.null_packets, elapsed_ns);
        for slot in self.pids.iter_mut() {
            // Less than 2^32 packets come in a window.
            let packets = (slot.packets as u32).wrapping_sub(slot.marked);
            slot.marked = slot.packets as u32;
            slot.bitrate_bps = bitrate_bps(u64::from(packets), elapsed_ns);
        }
    }

    pub(in crate::analysis) fn total_bitrate_bps(&self) -> u64 {
        self.clocks
            .iter()
            .filter(|clock| {
                let silent_ns = |at_ns| self.window_ns.saturating_sub(at_ns);
                clock
                    .newest_ns()
                    .map(silent_ns)
                    .is_some_and(|ns| ns < 2 * WINDOW_NS)
            })
            .find_map(Clock::bitrate_bps)
            .unwrap_or(self.all_rate.bps)
    }
}

impl Rate {
    fn measure(&mut self, packets: u64, elapsed_ns: u64) {
        self.bps = bitrate_bps(packets - self.marked, elapsed_ns);
        self.marked = packets;
    }
}

fn bitrate_bps(packets: u64, elapsed_ns: u64) -> u64 {
    let bits = u128::from(packets) * 8 * TS_PACKET_SIZE as u128;
    u64::try_from(bits * 1_000_000_000 / u128::from(elapsed_ns.max(1))).unwrap_or(u64::MAX)
}
