//! The engine with a real packet core: commands become sockets, and a command that fails leaves what was there.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bilbycast_shm_proto::control::{
    BootId, Command, ControlError, ControlErrorKind, FlowChange, FlowList, ReplyBody,
};
use bilbycast_shm_proto::model::{
    FlowSpec, InputSpec, OutputKind, OutputSpec, ReceiveSpec, RtpInputRedundancySpec, RtpInputSpec,
    RtpOutputSpec, SendSpec,
};
use bilbycast_shm_proto::shm::{self, ShmReader};
use dataplane::control::engine::{CoreHandle, Engine};
use dataplane::control::events::Events;
use dataplane::core::{self, CoreConfig, CoreLoad};
use dataplane::net::cores::CoreList;
use dataplane::net::executor::{self, CoreThread};
use dataplane::net::mailbox::mailbox;

struct Node {
    engine: Engine,
    reader: ShmReader,
    core: Option<CoreThread>,
    _folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shm");
        let (control, mut cores) = shm::create(&path, 1, BootId(1), 0).unwrap();
        let cpu = *CoreList::available().unwrap().cpus().last().unwrap();
        let (sender, parts) = mailbox().unwrap();
        let load = Arc::new(CoreLoad::default());
        let config = CoreConfig {
            cpu,
            tick: Duration::from_micros(500),
            load: Arc::clone(&load),
        };
        let writer = cores.remove(0);
        let core = executor::start(cpu, move || core::run(config, parts.open(), writer)).unwrap();
        Self {
            engine: Engine::new(
                vec![CoreHandle::new(cpu, sender, load)],
                Arc::new(Events::new(control)),
            ),
            reader: ShmReader::open(&path).unwrap(),
            core: Some(core),
            _folder: folder,
        }
    }

    fn apply(&mut self, spec: &FlowSpec) -> Result<FlowChange, ControlError> {
        match self.engine.execute(Command::ApplyFlow(spec.clone()))? {
            ReplyBody::Applied(change) => Ok(change),
            other => panic!("{other:?}"),
        }
    }

    fn list(&mut self) -> FlowList {
        match self.engine.execute(Command::ListFlows).unwrap() {
            ReplyBody::Flows(list) => list,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the only output of the only flow has sent that many packets.
    fn wait_sent(&self, packets: u64) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let sent = || self.reader.flows()[0].outputs[0].record.packets_sent;
        while sent() != packets {
            assert!(Instant::now() < deadline, "sent {}, not {packets}", sent());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(&mut self, flow_id: &str, by_operator: bool) {
        let flow_id = flow_id.to_owned();
        let stop = Command::StopFlow {
            flow_id,
            by_operator,
        };
        assert_eq!(self.engine.execute(stop), Ok(ReplyBody::Done));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.engine.stop_cores();
        if let Some(core) = self.core.take() {
            core.join().unwrap();
        }
    }
}

fn sink() -> UdpSocket {
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    sink.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    sink
}

/// A port that was free a moment ago.
fn free_addr() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

fn flow(id: &str, bind_addr: SocketAddr, outputs: &[(&str, &UdpSocket)]) -> FlowSpec {
    FlowSpec {
        id: id.to_owned(),
        media_analysis: true,
        bandwidth_limit: None,
        input: InputSpec::Rtp(RtpInputSpec::plain(ReceiveSpec {
            bind_addr,
            interface_addr: None,
            source_addr: None,
        })),
        outputs: outputs
            .iter()
            .map(|(id, sink)| output(id, sink.local_addr().unwrap(), "0.0.0.0:0"))
            .collect(),
    }
}

fn output(id: &str, dest_addr: SocketAddr, bind_addr: &str) -> OutputSpec {
    OutputSpec {
        id: id.to_owned(),
        kind: OutputKind::Rtp(RtpOutputSpec::plain(SendSpec {
            dest_addr,
            bind_addr: bind_addr.parse().unwrap(),
            interface_addr: None,
            dscp: 0,
        })),
    }
}

fn send_rtp(to: SocketAddr, sequence: u16) {
    let mut packet = vec![0x80, 33];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0; 8 + 188]);
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .send_to(&packet, to)
        .unwrap();
}

fn sequence_of(sink: &UdpSocket) -> u16 {
    let mut packet = [0; 2_000];
    sink.recv(&mut packet).expect("a packet within 5 s");
    u16::from_be_bytes([packet[2], packet[3]])
}

#[test]
fn a_flow_starts_changes_and_stops() {
    let mut node = Node::new();
    let (a, b) = (sink(), sink());
    let addr = free_addr();
    let one = flow("f", addr, &[("a", &a)]);
    assert_eq!(node.apply(&one), Ok(FlowChange::Started));
    assert_eq!(node.apply(&one), Ok(FlowChange::Unchanged));
    send_rtp(addr, 1);
    assert_eq!(sequence_of(&a), 1);

    let two = flow("f", addr, &[("a", &a), ("b", &b)]);
    let added = FlowChange::Outputs {
        added: vec!["b".to_owned()],
        removed: vec![],
    };
    assert_eq!(node.apply(&two), Ok(added));
    send_rtp(addr, 2);
    assert_eq!((sequence_of(&a), sequence_of(&b)), (2, 2));
    assert_eq!(node.list().running, [two]);

    node.stop("f", true);
    assert!(node.list().running.is_empty());
    assert_eq!(node.list().stopped_by_operator, ["f"]);
    assert!(node.reader.flows().is_empty());
    // Its address is free again, and applying it forgets that it was stopped.
    assert_eq!(node.apply(&one), Ok(FlowChange::Started));
    assert!(node.list().stopped_by_operator.is_empty());
}

#[test]
fn a_restart_with_the_same_input_loses_nothing_that_waits_in_the_socket() {
    let mut node = Node::new();
    let a = sink();
    let addr = free_addr();
    let mut spec = flow("f", addr, &[("a", &a)]);
    node.apply(&spec).unwrap();
    // The same receive specification, another flow input: `udp` instead of `rtp`, and back.
    let InputSpec::Rtp(rtp) = spec.input.clone() else {
        panic!("the flow has an RTP input");
    };
    let udp = InputSpec::Udp(bilbycast_shm_proto::model::UdpInputSpec {
        receive: rtp.receive.clone().expect("the leg is on"),
    });
    for _ in 0..10 {
        let before = std::mem::replace(&mut spec.input, udp.clone());
        assert_eq!(node.apply(&spec), Ok(FlowChange::Restarted));
        spec.input = before;
        assert_eq!(node.apply(&spec), Ok(FlowChange::Restarted));
    }
    send_rtp(addr, 9);
    assert_eq!(sequence_of(&a), 9);
}

/// An input that is pointed elsewhere, or gets a second leg, restarts no output: the socket of the output is the same, which
/// its source port shows, and it goes on counting.
#[test]
fn outputs_go_on_when_the_input_changes() {
    let mut node = Node::new();
    let a = sink();
    let (first, second) = (free_addr(), free_addr());
    let source = |addr: SocketAddr, sequence: u16| {
        send_rtp(addr, sequence);
        let mut packet = [0; 2_000];
        let (_, from) = a.recv_from(&mut packet).expect("a packet within 5 s");
        assert_eq!(u16::from_be_bytes([packet[2], packet[3]]), sequence);
        from
    };
    let mut spec = flow("f", first, &[("a", &a)]);
    node.apply(&spec).unwrap();
    let before = source(first, 1);
    let moved = flow("f", second, &[("a", &a)]);
    assert_eq!(node.apply(&moved), Ok(FlowChange::Restarted));
    assert_eq!(source(second, 2), before);
    node.wait_sent(2);
    let InputSpec::Rtp(rtp) = &mut spec.input else {
        panic!("the flow has an RTP input");
    };
    rtp.redundancy = Some(RtpInputRedundancySpec {
        receive: Some(ReceiveSpec {
            bind_addr: second,
            interface_addr: None,
            source_addr: None,
        }),
        path_differential_ms: 5,
    });
    assert_eq!(node.apply(&spec), Ok(FlowChange::Restarted));
    assert_eq!(source(second, 3), before);
    assert_eq!(source(first, 4), before);
    node.wait_sent(4);
    // What a failed change has put back goes on too.
    let mut bad = spec.clone();
    bad.outputs = vec![output("a", a.local_addr().unwrap(), "192.0.2.77:0")];
    node.apply(&bad).unwrap_err();
    assert_eq!(source(first, 5), before);
    node.wait_sent(5);
}

#[test]
fn an_input_may_move_to_an_address_that_overlaps_its_own() {
    let mut node = Node::new();
    let a = sink();
    let addr = free_addr();
    node.apply(&flow("f", addr, &[("a", &a)])).unwrap();
    let wildcard = SocketAddr::from(([0, 0, 0, 0], addr.port()));
    let moved = flow("f", wildcard, &[("a", &a)]);
    assert_eq!(node.apply(&moved), Ok(FlowChange::Restarted));
    send_rtp(addr, 4);
    assert_eq!(sequence_of(&a), 4);
}

#[test]
fn what_fails_leaves_what_was_there() {
    let mut node = Node::new();
    let a = sink();
    let addr = free_addr();
    let good = flow("f", addr, &[("a", &a)]);
    node.apply(&good).unwrap();
    let first_started = node.reader.flows()[0].record.started_unix_us;
    let taken = sink();

    // Another input: the address is in use, is not ours.
    for bad_addr in [
        taken.local_addr().unwrap(),
        "192.0.2.77:5000".parse().unwrap(),
    ] {
        let error = node.apply(&flow("f", bad_addr, &[("a", &a)])).unwrap_err();
        assert_eq!(error.kind, ControlErrorKind::Bind);
        let start = format!("flow 'f': input bind_addr {bad_addr}: cannot bind");
        assert!(error.message.starts_with(&start), "{error}");
        assert_eq!(node.list().running, std::slice::from_ref(&good));
        let started = node.reader.flows()[0].record.started_unix_us;
        assert_eq!(started, first_started, "the flow was not touched");
        send_rtp(addr, 5);
        assert_eq!(sequence_of(&a), 5);
    }

    // Another output: its port is in use.
    let mut bad = good.clone();
    let in_use = taken.local_addr().unwrap().to_string();
    bad.outputs
        .push(output("b", a.local_addr().unwrap(), &in_use));
    let error = node.apply(&bad).unwrap_err();
    let start = format!("flow 'f', output 'b': bind_addr {in_use}: cannot bind");
    assert!(error.message.starts_with(&start), "{error}");

    // A replaced output whose successor wants a port in use: the old one goes on.
    let mut bad = good.clone();
    bad.outputs[0] = output("a", a.local_addr().unwrap(), &in_use);
    let error = node.apply(&bad).unwrap_err();
    assert!(
        error.message.starts_with("flow 'f', output 'a': bind_addr"),
        "{error}"
    );
    assert_eq!(node.list().running, [good]);
    send_rtp(addr, 6);
    assert_eq!(sequence_of(&a), 6);
}

#[test]
fn an_output_may_keep_its_port_and_change_its_destination() {
    let mut node = Node::new();
    let (a, b) = (sink(), sink());
    let addr = free_addr();
    let port = free_addr().to_string();
    let mut spec = flow("f", addr, &[]);
    spec.outputs = vec![output("o", a.local_addr().unwrap(), &port)];
    node.apply(&spec).unwrap();
    spec.outputs = vec![output("o", b.local_addr().unwrap(), &port)];
    let exchanged = FlowChange::Outputs {
        added: vec!["o".to_owned()],
        removed: vec!["o".to_owned()],
    };
    assert_eq!(node.apply(&spec), Ok(exchanged));
    send_rtp(addr, 3);
    assert_eq!(sequence_of(&b), 3);
}

#[test]
fn a_flow_may_be_stopped_and_started_at_once() {
    let mut node = Node::new();
    let a = sink();
    let addr = free_addr();
    let spec = flow("f", addr, &[("a", &a)]);
    for sequence in 0..50 {
        assert_eq!(node.apply(&spec), Ok(FlowChange::Started));
        send_rtp(addr, sequence);
        assert_eq!(sequence_of(&a), sequence);
        node.stop("f", sequence % 2 == 0);
    }
}

#[test]
fn nonsense_is_refused_and_touches_nothing() {
    let mut node = Node::new();
    let a = sink();
    let mut spec = flow("", free_addr(), &[("a", &a)]);
    let error = node.apply(&spec).unwrap_err();
    assert_eq!(error.kind, ControlErrorKind::Malformed);
    spec.id = "x".repeat(65);
    node.apply(&spec).unwrap_err();
    spec.id = "f".to_owned();
    spec.outputs.push(spec.outputs[0].clone());
    let error = node.apply(&spec).unwrap_err();
    assert_eq!(error.message, "flow 'f' has two outputs with the id 'a'");
    spec.outputs = (0..257)
        .map(|index| output(&index.to_string(), a.local_addr().unwrap(), "0.0.0.0:0"))
        .collect();
    node.apply(&spec).unwrap_err();
    assert!(node.list().running.is_empty());
}

#[test]
fn counters_are_published_while_a_flow_runs() {
    let mut node = Node::new();
    let a = sink();
    let addr = free_addr();
    node.apply(&flow("f", addr, &[("a", &a)])).unwrap();
    for sequence in [1, 2, 4] {
        send_rtp(addr, sequence);
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let flows = node.reader.flows();
        let record = flows[0].record;
        if record.input_packets_lost == 1 && flows[0].outputs[0].record.packets_sent == 3 {
            assert_eq!(record.input_packets_received, 3);
            break;
        }
        assert!(Instant::now() < deadline, "{record:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_thousand_flows_start_within_a_second_or_so_and_stop() {
    let mut node = Node::new();
    let a = sink();
    let wildcard = "127.0.0.1:0".parse().unwrap();
    for index in 0..1_000 {
        node.apply(&flow(&format!("f{index}"), wildcard, &[("a", &a)]))
            .unwrap();
    }
    assert_eq!(node.reader.flows().len(), 1_000);
    for index in 0..1_000 {
        node.stop(&format!("f{index}"), false);
    }
    assert!(node.reader.flows().is_empty());
}

/// Sends for so long at up to 4,000 packets a second: enough to be looked at on every tick, and in 50 ms less than a
/// receive buffer holds.
fn stream(to: SocketAddr, time: Duration) -> u16 {
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    let mut sequence = 0_u16;
    while start.elapsed() < time {
        let mut packet = vec![0x80, 33];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0; 8 + 188]);
        sender.send_to(&packet, to).unwrap();
        sequence += 1;
        std::thread::sleep(Duration::from_micros(250));
    }
    sequence
}

#[test]
fn busy_and_quiet_flows_share_a_core_and_either_may_go() {
    let mut node = Node::new();
    let (a, b) = (sink(), sink());
    let (busy_addr, quiet_addr) = (free_addr(), free_addr());
    let busy = flow("busy", busy_addr, &[("a", &a)]);
    let quiet = flow("quiet", quiet_addr, &[("b", &b)]);
    node.apply(&busy).unwrap();
    node.apply(&quiet).unwrap();
    for round in 0..3 {
        let sent = std::thread::scope(|scope| {
            let streaming = scope.spawn(|| stream(busy_addr, Duration::from_millis(50)));
            for sequence in 0..20 {
                send_rtp(quiet_addr, sequence);
                assert_eq!(sequence_of(&b), sequence);
            }
            streaming.join().unwrap()
        });
        for sequence in 0..sent {
            assert_eq!(sequence_of(&a), sequence, "round {round}");
        }
        // Quiet again, it still hears the first packet.
        send_rtp(busy_addr, 7);
        assert_eq!(sequence_of(&a), 7);
    }
    // Removed in the middle of a stream, and of silence, and put back.
    std::thread::scope(|scope| {
        let streaming = scope.spawn(|| stream(busy_addr, Duration::from_millis(300)));
        for _ in 0..20 {
            node.stop("busy", false);
            node.stop("quiet", false);
            node.apply(&quiet).unwrap();
            node.apply(&busy).unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        streaming.join().unwrap();
    });
    send_rtp(quiet_addr, 3);
    assert_eq!(sequence_of(&b), 3);
}
