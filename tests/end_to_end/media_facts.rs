//! What the API says of a stream is what is in it: recordings whose facts others have established, played once at their own
//! pace, and the built-in test source with faults put in.
//!
//! Intervals are judged by arrival, so the player has to keep to time. When it could not, because the machine was busy, the
//! figures are about the machine, and everything is played again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bilbycast_tests::node::Node;
use bilbycast_tests::playback::{Playback, Seen, Stream, Watched, watch};
use bilbycast_tests::{address, cpu, flows, udp};
use serde_json::Value;

mod faults;
mod rates;
mod recordings;

/// A flow and the stream that it gets.
struct Played {
    flow_id: String,
    stream: Stream,
}

/// Counters of TR 101 290 by their names in the API; those that are not named are 0.
type Counts = BTreeMap<String, u64>;

/// A datagram may leave this much later than it should: wherever in a stream the player stalls for as long, no counter changes
/// by it.
const LATE_MAX: Duration = Duration::from_millis(25);

/// The counters must be read this soon after the end of a stream: half a second after the last PAT it is missing.
const AGE_MAX: Duration = Duration::from_millis(300);

const ATTEMPTS: u32 = 3;

/// Plays all streams at once into flows of one node and returns what was seen of them.
///
/// # Panics
///
/// When this machine cannot play in time.
fn play(streams: &[&Played]) -> Vec<Seen> {
    cpu::leave_packet_cpu();
    for attempt in 1..=ATTEMPTS {
        let inputs: Vec<SocketAddr> = streams.iter().map(|_| address::next_addr()).collect();
        let configured = streams.iter().zip(&inputs);
        let configured: Vec<Value> = configured
            .map(|(played, input)| flows::flow(&played.flow_id, flows::rtp_input(*input), &[]))
            .collect();
        let node = Node::start(&configured);
        let to_play = streams.iter().zip(&inputs).map(|(played, input)| {
            let socket = udp::sending(address::own_ip().into(), *input).unwrap();
            (socket, played.stream.clone())
        });
        let playback = Playback::start(to_play.collect());
        let watched: Vec<_> = streams
            .iter()
            .map(|played| Watched {
                flow_id: &played.flow_id,
                stream: &played.stream,
            })
            .collect();
        let seen = watch(&node, &playback, &watched);
        let late = playback.finish();
        let age = seen.iter().map(|seen| seen.age).max().unwrap_or_default();
        println!(
            "attempt {attempt}: datagrams up to {late:?} late, counters read up to {age:?} after the end"
        );
        if late <= LATE_MAX && age <= AGE_MAX {
            return seen;
        }
    }
    panic!(
        "in {ATTEMPTS} attempts this machine could not play {} streams in time",
        streams.len()
    );
}

/// Every counter of errors that is not 0.
fn errors(tr101290: &Value) -> Counts {
    const NO_ERRORS: [&str; 6] = [
        "null_packets",
        "pat_count",
        "pcr_deviation_ns",
        "pmt_count",
        "scrambled_packets",
        "ts_packets_analyzed",
    ];
    let fields = tr101290.as_object().expect("tr101290 is an object");
    let counters = fields.iter().filter_map(|(name, value)| {
        let is_error = !NO_ERRORS.contains(&name.as_str()) && name != "jpeg_xs_pid";
        value
            .as_u64()
            .filter(|count| is_error && *count > 0)
            .map(|count| (name.clone(), count))
    });
    counters.collect()
}

/// What must hold of every stream that was played: all of it arrived.
#[track_caller]
fn assert_arrived(played: &Played, seen: &Seen) {
    let input = &seen.stats["input"];
    assert_eq!(
        input["packets_received"],
        played.stream.datagrams(),
        "{input:#}"
    );
    for counter in [
        "packets_lost",
        "packets_invalid",
        "packets_duplicate",
        "packets_reordered",
        "source_restarts",
        "packets_dropped_kernel",
        "bytes_unaligned",
    ] {
        assert_eq!(input[counter], 0, "{}: {input:#}", played.flow_id);
    }
}

/// The events that tell of the stream.
fn told(seen: &Seen) -> Vec<&Value> {
    let of_stream = |event: &&Value| {
        let details = &event["details"];
        !details["indicator"].is_null() || !details["health"].is_null()
    };
    seen.events.iter().filter(of_stream).collect()
}
