//! Many SRT callers at one listener output on one core, without and with a flood of forged handshakes on its port.
//!
//! # What is measured
//!
//! A flow with one input and one SRT output that 200 callers have called, 120 ms of latency, 5 Mb/s to each: 95,000
//! datagrams a second, each to a socket of its own. The first window is undisturbed; in the second one 50,000
//! handshakes a second come to the listener's port from 251 addresses that never call, every other one asking for a
//! cookie, the rest with one that is made up. A caller that cannot be told from an attacker is answered, so that the flood
//! costs the data plane as many answers as questions; that is part of its CPU time.
//!
//! Nothing may change for the callers: each gets every datagram, in order and unchanged, on the connection that it made. What
//! was sent again is told: it was lost on the way, at a full buffer, and came in time.
//!
//! Callers, sender and flood share a thread on the load's CPU. A caller looks at its socket every 4 ms.
//!
//! # `target/bench/crowd.json`
//!
//! ```json
//! {
//!   "schema": 1, "quick": false, "started_unix_us": 0, "machine": { "cpu_model": "...", "cpus": 2, "kernel": "..." },
//!   "gateway_cpu": 1, "load_cpu": 0, "callers": 200, "megabits_each": 5.0, "latency_ms": 120,
//!   "windows": [ { "forged_per_second": 50000, "forged": 250000, "forged_not_offered": 0, "answered": 125000,
//!                  "window_s": 5.0, "sent": 475000, "received": 475000, "lost": 0, "out_of_order": 0, "damaged": 0,
//!                  "sent_again": 0, "disturbed": 0, "dropped_at_listener": 0, "dropped_at_callers": 0,
//!                  "cpu_percent": 50.0, "cpu_wait_percent": 0.1, "load_wait_percent": 0.1 } ],
//!   "goals": [ { "name": "...", "unit": "...", "comparison": "at_most", "goal": 0.0, "measured": 0.0, "met": true } ]
//! }
//! ```
//!
//! `met` of a loss is null when the callers' own sockets were full or other work kept the gateway from its CPU for more than a
//! tenth of the window, and `met` of anything under the flood when less than 95 % of it was sent.

mod callers;
mod flood;

use std::fmt;
use std::net::SocketAddrV4;
use std::thread;

use bilbycast_shm_proto::counters::SrtRecord;
use bilbycast_shm_proto::model::{
    FlowSpec, InputSpec, OutputKind, OutputSpec, SrtLegSpec, SrtMode, SrtOutputSpec, UdpInputSpec,
};
use dataplane::net::clock::{monotonic_ns, realtime_ns};
use dataplane::net::scheduling;
use dataplane::net::send::{Segmentation, SendBatch};
use dataplane::net::socket::SendSocket;
use serde::Serialize;

use super::gateway::{Gateway, receive_spec};
use super::load::{Offered, new_stream, open_socket, pin, sleep_until};
use super::plan::Settings;
use super::proc::{self, Scheduled};
use super::report::table::write_goals;
use super::report::{Document, Facts, Goal};
use super::session::free_address;
use super::srt::{LATENCY_MS, leg};
use super::stream::{DATAGRAM_BYTES, PAYLOAD_BYTES, Stream};
use crate::BenchError;
use callers::{Callers, Tally};
use flood::Flood;

/// Everything that one call of [`run`] measured.
#[derive(Clone, Debug, Serialize)]
pub struct CrowdReport {
    /// Where and when.
    #[serde(flatten)]
    pub facts: Facts,
    /// Connections.
    pub callers: usize,
    /// Payload to each, in Mb/s.
    pub megabits_each: f64,
    /// Latency of the connections, in milliseconds.
    pub latency_ms: u16,
    /// Without and with the flood.
    pub windows: Vec<CrowdWindow>,
    /// What was to be reached.
    pub goals: Vec<Goal>,
}

/// What happened in one stretch of time. Datagrams are those of the stream, counted for each caller.
#[derive(Clone, Debug, Serialize)]
pub struct CrowdWindow {
    /// Forged handshakes a second that were asked for.
    pub forged_per_second: u64,
    /// Forged handshakes that were sent.
    pub forged: u64,
    /// Forged handshakes that could not be sent in time.
    pub forged_not_offered: u64,
    /// Answers to forged handshakes that were seen.
    pub answered: u64,
    /// Length, in seconds.
    pub window_s: f64,
    /// Datagrams that were to come.
    pub sent: u64,
    /// Datagrams that came.
    pub received: u64,
    /// Datagrams that did not.
    pub lost: u64,
    /// Came after a later one, or twice.
    pub out_of_order: u64,
    /// Came changed.
    pub damaged: u64,
    /// Datagrams that the data plane sent again.
    pub sent_again: u64,
    /// Connections that ended, and connections that were made, by the account of either end.
    pub disturbed: u64,
    /// Datagrams that found the receive buffer of the listener full.
    pub dropped_at_listener: u64,
    /// Datagrams that found the receive buffers of the callers full.
    pub dropped_at_callers: u64,
    /// CPU time of the data plane, in per cent of one CPU.
    pub cpu_percent: f64,
    /// Time that it was ready to run while something else had its CPU, in per cent.
    pub cpu_wait_percent: f64,
    /// The same for callers, sender and flood.
    pub load_wait_percent: f64,
}

/// Measures the crowd, in at most 20 s, with [`Settings::quick`] 10 s.
///
/// # Errors
///
/// [`BenchError`] when something cannot be started or opened, or callers cannot connect.
pub fn run(settings: &Settings) -> Result<CrowdReport, BenchError> {
    let facts = Facts::now(settings)?;
    let listener = free_address(1)?;
    let feed = free_address(2)?;
    let gateway = Gateway::start(&settings.dataplane, settings.gateway_cpu)?;
    gateway.apply_flow(flow(feed, listener))?;
    let window_ms = if settings.quick { 2_000 } else { 5_000 };
    let drive = || {
        pin(settings.load_cpu)?;
        // Without the privilege the run goes on at equal terms with whatever else runs on this core.
        let _ = scheduling::favour_this_thread();
        scheduling::exact_timers();
        let mut crowd = Crowd::open(&gateway, feed, listener)?;
        crowd.connect()?;
        // Both ends know the round-trip time and the rate after that.
        crowd.window(WARM_MS, 0)?;
        let mut windows = Vec::new();
        for forged_per_second in [0, FORGED_PER_SECOND] {
            eprintln!("crowd: {CALLERS} callers, {forged_per_second} forged handshakes/s");
            windows.push(crowd.window(window_ms, forged_per_second)?);
        }
        Ok(windows)
    };
    let windows = thread::scope(|scope| {
        scope.spawn(drive).join().unwrap_or_else(|_| {
            Err(BenchError::Process {
                who: "load thread",
                problem: "it panicked".to_owned(),
            })
        })
    })?;
    Ok(CrowdReport {
        facts,
        callers: CALLERS,
        megabits_each: (RATE * PAYLOAD_BYTES as u64 * 8) as f64 / 1e6,
        latency_ms: LATENCY_MS,
        goals: windows.iter().flat_map(goals).collect(),
        windows,
    })
}

/// Connections at the same time.
const CALLERS: usize = 200;

/// Datagrams a second to each of them: 5 Mb/s.
const RATE: u64 = 475;

/// Forged handshakes a second.
const FORGED_PER_SECOND: u64 = 50_000;

/// Before the first window.
const WARM_MS: u64 = 1_000;

/// How often the thread wakes.
const PACE_NS: u64 = 500_000;

/// How often a caller looks at its socket.
const LOOK_NS: u64 = 4_000_000;

/// What the flood is behind by more than this is left out.
const CATCH_UP_NS: u64 = 2_000_000;

/// How long callers may take to connect, and the last datagrams to come.
const CONNECT_NS_MAX: u64 = 10_000_000_000;
const TAIL_NS_MAX: u64 = 1_000_000_000;

/// The data plane publishes what it counts every 100 ms.
const PUBLISHED_NS: u64 = 250_000_000;

/// A loss while other work kept the gateway from its CPU for more than this shows nothing.
const HELD_UP_PERCENT: f64 = 10.0;

/// Who drives callers, sender and flood.
struct Crowd<'a> {
    gateway: &'a Gateway,
    feed: SocketAddrV4,
    listener: SocketAddrV4,
    socket: SendSocket,
    batch: SendBatch,
    callers: Callers,
    flood: Flood,
}

/// What stood where at one moment.
struct Reading {
    at_ns: u64,
    gateway: Scheduled,
    load: Scheduled,
    answered: u64,
}

impl<'a> Crowd<'a> {
    fn open(
        gateway: &'a Gateway,
        feed: SocketAddrV4,
        listener: SocketAddrV4,
    ) -> Result<Self, BenchError> {
        Ok(Self {
            gateway,
            feed,
            listener,
            socket: open_socket(feed, RATE)?,
            batch: SendBatch::new(),
            callers: Callers::call(listener, CALLERS)?,
            flood: Flood::open(listener)?,
        })
    }

    fn connect(&mut self) -> Result<(), BenchError> {
        let start_ns = monotonic_ns();
        let problem = loop {
            self.callers.turn(CALLERS);
            let has_callers = |record: SrtRecord| record.callers == CALLERS as u64;
            if self.callers.connected() == CALLERS && self.record()?.is_some_and(has_callers) {
                return Ok(());
            }
            if monotonic_ns() > start_ns + CONNECT_NS_MAX {
                break format!("{} of {CALLERS} are connected", self.callers.connected());
            }
            sleep_until(monotonic_ns() + LOOK_NS);
        };
        Err(BenchError::Process {
            who: "callers",
            problem,
        })
    }

    /// Sends the stream for so long, with so many forged handshakes a second beside it.
    fn window(
        &mut self,
        window_ms: u64,
        forged_per_second: u64,
    ) -> Result<CrowdWindow, BenchError> {
        let mut stream = new_stream(RATE)?;
        self.callers.expect(stream.id());
        let record_before = self.record()?.unwrap_or_default();
        let ended_before = CALLERS - self.callers.connected();
        let drops_before = self.drops();
        let before = self.read()?;
        let (fed, forged) = self.drive(&mut stream, window_ms * 1_000_000, forged_per_second);
        let after = self.read()?;
        let tally = self.finish(fed.sent);
        let record = self.record()?.unwrap_or_default();
        let drops = self.drops();
        let window_ns = (after.at_ns - before.at_ns).max(1);
        let percent = |time_ns: u64| 100.0 * time_ns as f64 / window_ns as f64;
        let gateway = after.gateway.since(before.gateway);
        let sent = fed.sent * CALLERS as u64;
        let ended = (CALLERS - self.callers.connected() - ended_before) as u64;
        let made = record.connects_total - record_before.connects_total;
        Ok(CrowdWindow {
            forged_per_second,
            forged: forged.sent,
            forged_not_offered: forged.not_offered + forged.refused,
            answered: after.answered - before.answered,
            window_s: window_ns as f64 / 1e9,
            sent,
            received: tally.received,
            lost: sent.saturating_sub(tally.received),
            out_of_order: tally.out_of_order,
            damaged: tally.damaged,
            sent_again: record.pkt_retransmit_total - record_before.pkt_retransmit_total,
            disturbed: ended.max(record_before.callers.abs_diff(record.callers)) + made,
            dropped_at_listener: drops.0.saturating_sub(drops_before.0),
            dropped_at_callers: drops.1.saturating_sub(drops_before.1),
            cpu_percent: percent(gateway.run_ns),
            cpu_wait_percent: percent(gateway.wait_ns),
            load_wait_percent: percent(after.load.since(before.load).wait_ns),
        })
    }

    /// Sends what becomes due, and lets the callers look. Returns what was sent of the stream and of the flood.
    fn drive(
        &mut self,
        stream: &mut Stream,
        window_ns: u64,
        forged_per_second: u64,
    ) -> (Offered, Offered) {
        let (mut fed, mut forged) = (Offered::default(), Offered::default());
        let mut looks = 0;
        let start_ns = monotonic_ns();
        loop {
            let elapsed_ns = monotonic_ns() - start_ns;
            if elapsed_ns >= window_ns {
                return (fed, forged);
            }
            self.feed(stream, due(elapsed_ns, RATE), &mut fed);
            let catch_up_max = due(CATCH_UP_NS, forged_per_second);
            self.flood.send(
                due(elapsed_ns, forged_per_second),
                catch_up_max,
                &mut forged,
            );
            let looks_due = elapsed_ns * CALLERS as u64 / LOOK_NS;
            let count = (looks_due - looks).min(CALLERS as u64);
            self.callers.turn(count as usize);
            looks = looks_due;
            sleep_until(start_ns + (elapsed_ns / PACE_NS + 1) * PACE_NS);
        }
    }

    fn feed(&mut self, stream: &mut Stream, due: u64, offered: &mut Offered) {
        // The callers count what is missing, so nothing is left out.
        let count = offered.next_count(due, stream.made(), 1, u64::MAX);
        if count == 0 {
            return;
        }
        let bytes = stream.next_batch(count, realtime_ns);
        let mut segmentation = Segmentation::NONE;
        let mut outgoing = self.batch.start();
        for datagram in bytes.chunks_exact(DATAGRAM_BYTES) {
            outgoing.push(
                segmentation,
                &[],
                &datagram[DATAGRAM_BYTES - PAYLOAD_BYTES..],
            );
        }
        let sent = outgoing.flush(&self.socket, &mut segmentation);
        offered.sent += sent.packets;
        offered.refused += sent.dropped;
    }

    /// Waits for the last datagrams, and for the data plane's account.
    fn finish(&mut self, sent: u64) -> Tally {
        let start_ns = monotonic_ns();
        loop {
            self.callers.turn(CALLERS);
            let tally = self.callers.tally();
            let waited_ns = monotonic_ns() - start_ns;
            let is_complete = tally.received >= sent * CALLERS as u64;
            if waited_ns > TAIL_NS_MAX || is_complete && waited_ns > PUBLISHED_NS {
                return tally;
            }
            sleep_until(monotonic_ns() + LOOK_NS);
        }
    }

    fn read(&self) -> Result<Reading, BenchError> {
        Ok(Reading {
            at_ns: monotonic_ns(),
            gateway: proc::scheduled(self.gateway.pid())?,
            load: proc::scheduled_here()?,
            answered: self.flood.answered(),
        })
    }

    /// What the listener's socket and what the callers' sockets could not keep so far.
    fn drops(&self) -> (u64, u64) {
        let of = |address| proc::udp_drops(address).unwrap_or(0);
        let at_listener = of(self.listener) + of(self.feed);
        (at_listener, self.callers.addresses().map(of).sum())
    }

    /// The data plane's account of the connections.
    fn record(&self) -> Result<Option<SrtRecord>, BenchError> {
        let flows = self.gateway.flows()?;
        let output = flows.first().and_then(|flow| flow.outputs.first());
        Ok(output.and_then(|output| output.srt[0]))
    }
}

fn due(elapsed_ns: u64, per_second: u64) -> u64 {
    let due = u128::from(elapsed_ns) * u128::from(per_second) / 1_000_000_000;
    u64::try_from(due).unwrap_or(u64::MAX)
}

fn flow(feed: SocketAddrV4, listener: SocketAddrV4) -> FlowSpec {
    FlowSpec {
        id: "crowd".to_owned(),
        media_analysis: true,
        bandwidth_limit: None,
        input: InputSpec::Udp(UdpInputSpec {
            receive: receive_spec(feed),
        }),
        outputs: vec![OutputSpec {
            id: "output".to_owned(),
            kind: OutputKind::Srt(Box::new(SrtOutputSpec {
                leg: SrtLegSpec {
                    max_bw: None,
                    send_buffer_size: BUFFER_PACKETS,
                    recv_buffer_size: BUFFER_PACKETS,
                    ..leg(SrtMode::Listener, listener)
                },
                redundancy: None,
                wrap_payload_type: bilbycast_shm_proto::model::PAYLOAD_TYPE_MP2T,
            })),
        }],
    }
}

/// The default of the configuration.
const BUFFER_PACKETS: u32 = 8_192;

fn goals(window: &CrowdWindow) -> [Goal; 2] {
    let case = if window.forged_per_second == 0 {
        format!("{CALLERS} SRT callers")
    } else {
        format!(
            "{CALLERS} SRT callers, {}/s forged",
            window.forged_per_second
        )
    };
    let wrong = window.lost + window.out_of_order + window.damaged;
    let mut lost = Goal::at_most(
        format!("lost or wrong, {case}"),
        "datagrams",
        0.0,
        wrong as f64,
    );
    let mut disturbed = Goal::at_most(
        format!("ended or made anew, {case}"),
        "connections",
        0.0,
        window.disturbed as f64,
    );
    // Where the callers had no room or the gateway had no CPU, the gateway is not to blame.
    let is_excused = window.dropped_at_callers > 0 || window.cpu_wait_percent > HELD_UP_PERCENT;
    if wrong > 0 && is_excused {
        lost.met = None;
    }
    // A flood that was not sent shows nothing, whatever the figures.
    if window.forged_not_offered * 19 > window.forged {
        (lost.met, disturbed.met) = (None, None);
    }
    [lost, disturbed]
}

impl Document for CrowdReport {
    fn goals(&self) -> &[Goal] {
        &self.goals
    }
}

impl fmt::Display for CrowdReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.facts)?;
        writeln!(
            f,
            "\n{} SRT callers, {:.1} Mb/s each\n  forged/s   answered       sent     lost    wrong  again  disturbed   gateway CPU   held up",
            self.callers, self.megabits_each
        )?;
        for window in &self.windows {
            writeln!(
                f,
                "  {:>8} {:>10} {:>10} {:>8} {:>8} {:>6} {:>10} {:>11.1} %   {:.1} %, load {:.1} %",
                window.forged_per_second,
                window.answered,
                window.sent,
                window.lost,
                window.out_of_order + window.damaged,
                window.sent_again,
                window.disturbed,
                window.cpu_percent,
                window.cpu_wait_percent,
                window.load_wait_percent
            )?;
            let dropped = window.dropped_at_listener + window.dropped_at_callers;
            if dropped + window.forged_not_offered > 0 {
                writeln!(
                    f,
                    "    drops at full buffers: listener {}, callers {}; forged handshakes that were not sent {}",
                    window.dropped_at_listener,
                    window.dropped_at_callers,
                    window.forged_not_offered
                )?;
            }
        }
        write_goals(f, &self.goals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: CrowdWindow = CrowdWindow {
        forged_per_second: FORGED_PER_SECOND,
        forged: 250_000,
        forged_not_offered: 0,
        answered: 125_000,
        window_s: 5.0,
        sent: 475_000,
        received: 475_000,
        lost: 0,
        out_of_order: 0,
        damaged: 0,
        sent_again: 0,
        disturbed: 0,
        dropped_at_listener: 0,
        dropped_at_callers: 0,
        cpu_percent: 50.0,
        cpu_wait_percent: 0.0,
        load_wait_percent: 0.0,
    };

    #[test]
    fn what_is_lost_is_missed_unless_somebody_else_is_to_blame() {
        let met = |window: &CrowdWindow| goals(window).map(|goal| goal.met);
        let lossy = CrowdWindow { lost: 1, ..WINDOW };
        assert_eq!(met(&WINDOW), [Some(true), Some(true)]);
        assert_eq!(met(&lossy), [Some(false), Some(true)]);
        let disturbed = CrowdWindow {
            disturbed: 1,
            ..WINDOW
        };
        assert_eq!(met(&disturbed), [Some(true), Some(false)]);
        let full = CrowdWindow {
            dropped_at_callers: 1,
            ..lossy.clone()
        };
        assert_eq!(met(&full), [None, Some(true)]);
        let no_flood = CrowdWindow {
            forged: 200_000,
            forged_not_offered: 50_000,
            ..WINDOW
        };
        assert_eq!(met(&no_flood), [None, None]);
    }
}
