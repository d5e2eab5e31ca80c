//! Flows that share a core do not wait for each other.

use std::net::SocketAddr;
use std::time::Duration;

use bilbycast_tests::delay::Delays;
use bilbycast_tests::node::Node;
use bilbycast_tests::noise::{self, NoiseMeter};
use bilbycast_tests::sender::PacedSender;
use bilbycast_tests::sink::{Framing, Sink};
use bilbycast_tests::{address, flows, udp, wait};
use serde_json::Value;

/// The flow that is watched.
const SLOW: u32 = 1;

/// The flow beside it.
const FAST: u32 = 2;

/// Far below the first tick that anything may wait for, and far above one tick of 0.5 ms.
const DELAY_NS_MAX: u64 = 5_000_000;

/// A flow of `slow_bps`, beside one of the input `fast_input` that gets `fast_bps` on its address.
fn not_delayed(slow_bps: u64, fast_bps: u64, fast_input: fn(SocketAddr) -> Value) {
    let slow_addr = address::next_addr();
    let fast_addr = address::next_addr();
    let sink = Sink::start("slow flow", address::next_addr(), SLOW, Framing::Rtp);
    let output = flows::rtp_output("out", sink.address());
    let _node = Node::start(&[
        flows::flow("slow", flows::rtp_input(slow_addr), &[output]),
        flows::flow("fast", fast_input(fast_addr), &[]),
    ]);
    let meter = NoiseMeter::start();
    let socket = |dest| udp::sending(address::own_ip().into(), dest).unwrap();
    let fast = (fast_bps > 0).then(|| PacedSender::start(FAST, fast_bps, vec![socket(fast_addr)]));
    let slow = PacedSender::start(SLOW, slow_bps, vec![socket(slow_addr)]);
    wait::pass(Duration::from_secs(3));
    let sent = slow.stop();
    if let Some(fast) = fast {
        let _sent = fast.stop();
    }
    let thread = Delays::of(noise::virtual_delays(meter.stop().into_iter()));
    let harvest = sink.finish(sent);
    harvest.assert_complete("slow flow", 0, sent);
    let arrivals = harvest.arrivals.iter();
    let delays = Delays::of(arrivals.map(|arrival| arrival.delay_ns()).collect());
    println!("{slow_bps} b/s beside {fast_bps}: {delays}; sleeping thread {thread}");
    assert!(
        delays.max_ns <= DELAY_NS_MAX + thread.max_ns,
        "the slow flow waits: {delays}; sleeping thread {thread}"
    );
}

#[test]
fn a_quiet_flow_alone() {
    not_delayed(1_000_000, 0, flows::rtp_input);
}

#[test]
fn a_quiet_flow_beside_a_busy_one() {
    not_delayed(1_000_000, 100_000_000, flows::rtp_input);
}

#[test]
fn a_quiet_flow_beside_a_test_source() {
    not_delayed(1_000_000, 0, |_| flows::test_input(20.0));
}

/// About five hundred datagrams a second: it changes between the ring and the tick all the time.
#[test]
fn a_flow_on_the_edge_beside_a_test_source() {
    not_delayed(5_300_000, 0, |_| flows::test_input(5.0));
}
