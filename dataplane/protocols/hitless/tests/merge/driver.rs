//! Virtual time: hands packets in as they arrive, and polls when the merge asks to be polled.

use bilbycast_hitless::{LegIndex, Merger, Origin, Outcome, PACKET_BYTES_MAX, Released};

/// A packet that comes to a leg.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at_ns: u64,
    pub(crate) leg: LegIndex,
    pub(crate) origin: Origin,
    pub(crate) packet: Vec<u8>,
}

/// A packet that was given out, and when.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) at_ns: u64,
    pub(crate) released: Released,
    pub(crate) packet: Vec<u8>,
}

/// Everything that comes out. Arrivals at the same time come in one pass.
pub(crate) fn run(merger: &mut Merger, arrivals: &[Arrival]) -> Vec<Delivery> {
    let mut out = Vec::new();
    for pass in arrivals.chunk_by(|one, other| one.at_ns == other.at_ns) {
        let now_ns = pass[0].at_ns;
        poll_until(merger, now_ns, &mut out);
        for arrival in pass {
            let outcome = merger.push(arrival.leg, arrival.origin, now_ns, &arrival.packet);
            assert_ne!(outcome, Outcome::Full, "there is room for all");
        }
        drain(merger, now_ns, &mut out);
    }
    poll_until(merger, u64::MAX, &mut out);
    assert!(merger.is_empty());
    // What the legs lost is counted once a tenth of a second has passed twice.
    let end_ns = arrivals.last().map_or(0, |arrival| arrival.at_ns);
    for turn in 1..=3 {
        drain(merger, end_ns + turn * 1_000_000_000, &mut out);
    }
    out
}

fn poll_until(merger: &mut Merger, end_ns: u64, out: &mut Vec<Delivery>) {
    while let Some(due_ns) = merger.next_due_ns().filter(|due_ns| *due_ns < end_ns) {
        let before = out.len();
        drain(merger, due_ns, out);
        assert!(out.len() > before, "it asked to be polled at {due_ns}");
    }
}

fn drain(merger: &mut Merger, now_ns: u64, out: &mut Vec<Delivery>) {
    let mut buffer = [0; PACKET_BYTES_MAX];
    while let Some(released) = merger.pop(now_ns, &mut buffer) {
        assert!(released.arrival_ns <= now_ns, "it was due by then");
        out.push(Delivery {
            at_ns: now_ns,
            released,
            packet: buffer[..released.bytes].to_vec(),
        });
    }
}
