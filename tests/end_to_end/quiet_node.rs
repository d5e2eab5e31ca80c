//! A node on which nothing flows hardly uses the CPU.

use std::time::Duration;

use bilbycast_tests::node::Node;
use bilbycast_tests::{address, cpu, flows, wait};
use serde_json::Value;

const FLOWS: u32 = 10;

const WATCHED: Duration = Duration::from_secs(10);

#[test]
fn ten_flows_without_traffic_use_under_one_percent_of_a_core() {
    let configured: Vec<Value> = (0..FLOWS)
        .map(|index| {
            let input = match index % 2 {
                0 => flows::rtp_input(address::next_addr()),
                _ => flows::udp_input(address::next_addr()),
            };
            let outputs = [
                flows::rtp_output("rtp", address::next_addr()),
                flows::udp_output("udp", address::next_addr()),
            ];
            flows::flow(&format!("quiet-{index}"), input, &outputs)
        })
        .collect();
    let mut node = Node::start(&configured);
    let stats = node.api().stats("quiet-0");
    assert_eq!(stats["input"]["state"], "waiting", "{stats:#}");
    // The start is over when the figures of a second are there; what it cost does not count.
    wait::pass(Duration::from_secs(2));
    let pids = [node.dataplane().pid(), node.controlplane().pid()];
    let before = pids.map(cpu::time_of);
    wait::pass(WATCHED);
    let after = pids.map(cpu::time_of);
    let used = [0, 1].map(|process| after[process] - before[process]);
    println!(
        "data plane {:?}, control plane {:?} in {WATCHED:?}",
        used[0], used[1]
    );
    node.assert_alive();
    assert!(
        used[0] + used[1] < WATCHED / 100,
        "data plane {:?}, control plane {:?} in {WATCHED:?}",
        used[0],
        used[1]
    );
}
