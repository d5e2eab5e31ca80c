//! The flows of the node and the addresses they use.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde_json::{Value, json};

/// Flows that run: [`FLOWS_IDLE`] and the one with the stream.
pub(super) const FLOWS: usize = FLOWS_IDLE + 1;

/// Flows that nobody sends anything to.
pub(super) const FLOWS_IDLE: usize = 1_000;

/// Outputs of an idle flow.
pub(super) const OUTPUTS_PER_FLOW: usize = 2;

/// Loopback addresses that only this process uses: two runs at once do not meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    high: u8,
    low: u8,
}

impl Addresses {
    pub(super) fn of_this_process() -> Self {
        Self::of(std::process::id())
    }

    const fn of(pid: u32) -> Self {
        let [_, _, high, low] = pid.to_be_bytes();
        // 127.192.0.0/10: the tests and the throughput harness have what is below.
        Self {
            high: 192 | (high & 0x3f),
            low,
        }
    }

    /// Where the API listens.
    pub(super) const fn api(self) -> Ipv4Addr {
        self.host(API_HOST)
    }

    /// Where the sink counts.
    pub(super) const fn sink(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.host(SINK_HOST), PORT_FIRST)
    }

    /// Where the flow with the stream receives.
    pub(super) const fn stream(self) -> SocketAddrV4 {
        SocketAddrV4::new(self.host(STREAM_HOST), PORT_FIRST)
    }

    /// Where a flow receives; `number` counts from 0 to [`FLOWS_IDLE`], the last being the flow that comes and goes.
    fn input(self, number: usize) -> SocketAddrV4 {
        let host = (number % usize::from(FLOW_HOSTS)) as u8;
        let port = (number / usize::from(FLOW_HOSTS)) as u16;
        SocketAddrV4::new(self.host(1 + host), PORT_FIRST + PORT_STEP * port)
    }

    /// Where nothing listens.
    fn nowhere(self, number: usize) -> SocketAddrV4 {
        SocketAddrV4::new(
            self.host(NOWHERE_HOST),
            PORT_FIRST + (number % FLOWS_IDLE) as u16,
        )
    }

    const fn host(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.high, self.low, host)
    }
}

/// The configuration with all flows.
pub(super) fn configuration(addresses: &Addresses) -> Value {
    let idle = (0..FLOWS_IDLE).map(|number| udp_flow(addresses, &format!("idle-{number}"), number));
    let flows: Vec<Value> = std::iter::once(stream_flow(addresses))
        .chain(idle)
        .collect();
    with_flows(&flows)
}

/// The configuration without flows.
pub(super) fn empty_configuration() -> Value {
    with_flows(&[])
}

/// The flow that comes and goes under the name `id`.
pub(super) fn visitor(addresses: &Addresses, id: &str) -> Value {
    udp_flow(addresses, id, FLOWS_IDLE)
}

fn with_flows(flows: &[Value]) -> Value {
    json!({
        "version": 1,
        // The command line says where it really listens.
        "server": {"listen_addr": "127.0.0.1", "listen_port": 8080},
        "flows": flows,
    })
}

fn stream_flow(addresses: &Addresses) -> Value {
    json!({
        "id": "stream", "name": "Stream", "enabled": true,
        "input": {"type": "rtp", "bind_addr": addresses.stream()},
        "outputs": [
            {"type": "rtp", "id": "sink", "name": "Sink", "dest_addr": addresses.sink()},
        ],
    })
}

fn udp_flow(addresses: &Addresses, id: &str, number: usize) -> Value {
    let output = |output: usize| {
        json!({
            "type": "udp", "id": format!("out-{output}"), "name": format!("Output {output}"),
            "dest_addr": addresses.nowhere(number),
        })
    };
    let outputs: Vec<Value> = (0..OUTPUTS_PER_FLOW).map(output).collect();
    json!({
        "id": id, "name": format!("Flow {id}"), "enabled": true,
        "input": {"type": "udp", "bind_addr": addresses.input(number)},
        "outputs": outputs,
    })
}

/// Hosts 1 to 250 of the network are inputs.
const FLOW_HOSTS: u8 = 250;
const NOWHERE_HOST: u8 = 251;
const STREAM_HOST: u8 = 252;
const API_HOST: u8 = 253;
const SINK_HOST: u8 = 254;

/// Below the kernel's ephemeral ports.
const PORT_FIRST: u16 = 20_000;

/// Leaves room for what belongs to an RTP port.
const PORT_STEP: u16 = 10;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_flows_share_an_address_and_all_are_loopback() {
        let addresses = Addresses::of(0x003f_ffff);
        let mut all: HashSet<SocketAddrV4> = (0..=FLOWS_IDLE)
            .map(|number| addresses.input(number))
            .collect();
        all.insert(addresses.stream());
        all.insert(addresses.sink());
        assert_eq!(all.len(), FLOWS_IDLE + 3);
        assert!(all.iter().all(|address| address.ip().is_loopback()));
        assert!(!all.contains(&addresses.nowhere(0)));
    }

    #[test]
    fn the_configuration_holds_all_flows_with_their_outputs() {
        let configuration = configuration(&Addresses::of(1));
        let flows = configuration["flows"].as_array().unwrap();
        assert_eq!(flows.len(), FLOWS);
        let idle = flows.iter().filter(|flow| flow["input"]["type"] == "udp");
        assert!(
            idle.clone()
                .all(|flow| flow["outputs"].as_array().unwrap().len() == OUTPUTS_PER_FLOW)
        );
        assert_eq!(idle.count(), FLOWS_IDLE);
        let ids: HashSet<&str> = flows
            .iter()
            .map(|flow| flow["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), FLOWS);
    }
}
