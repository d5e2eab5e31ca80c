use std::net::UdpSocket;
use std::time::Duration;

use bilbycast_shm_proto::model::{DSCP_DEFAULT, SendSpec};

use super::*;
use crate::net::socket::SendSocket;

fn pair() -> (UdpSocket, SendSocket) {
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    sink.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let spec = SendSpec {
        dest_addr: sink.local_addr().unwrap(),
        bind_addr: "127.0.0.1:0".parse().unwrap(),
        interface_addr: None,
        dscp: DSCP_DEFAULT,
    };
    let socket = SendSocket::open(&spec).unwrap();
    (sink, socket)
}

/// Datagrams of these sizes, each of a two-byte head and a body; byte values tell them apart.
fn sent(sizes: &[usize], mut segmentation: Segmentation) -> (Sent, Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (sink, socket) = pair();
    let heads: Vec<[u8; 2]> = (0..sizes.len()).map(|index| [index as u8, 0xff]).collect();
    let bodies: Vec<Vec<u8>> = sizes
        .iter()
        .enumerate()
        .map(|(index, size)| vec![index as u8; size - 2])
        .collect();
    let mut batch = SendBatch::new();
    let mut outgoing = batch.start();
    for (head, body) in heads.iter().zip(&bodies) {
        assert!(outgoing.push(segmentation, head, body));
    }
    let sent = outgoing.flush(&socket, &mut segmentation);
    let expected: Vec<Vec<u8>> = heads
        .iter()
        .zip(&bodies)
        .map(|(head, body)| [&head[..], body].concat())
        .collect();
    let mut buffer = vec![0; 65_536];
    let received = expected
        .iter()
        .map(|_| {
            let bytes = sink.recv(&mut buffer).unwrap();
            buffer[..bytes].to_vec()
        })
        .collect();
    (sent, expected, received)
}

#[test]
fn datagrams_of_mixed_sizes_arrive_whole_and_in_order() {
    let sizes = [
        1328, 1328, 1328, 200, 200, 1328, 20, 188, 1400, 1400, 3, 65_507, 1328,
    ];
    for segmentation in [Segmentation::FULL, Segmentation::NONE] {
        let (outcome, expected, received) = sent(&sizes, segmentation);
        assert!(expected == received, "{segmentation:?}");
        assert_eq!(outcome.packets, sizes.len() as u64);
        assert_eq!(outcome.bytes, sizes.iter().sum::<usize>() as u64);
        assert_eq!((outcome.dropped, outcome.errors), (0, 0));
    }
}

#[test]
fn equal_datagrams_leave_as_trains() {
    // As many as an ordinary socket's receive buffer holds.
    let (outcome, expected, received) = sent(&[1328; 60], Segmentation::FULL);
    assert!(expected == received);
    assert_eq!(outcome.calls, 1);
    // Two trains of at most 48 datagrams (65,000 / 1328) and one of four.
    let mut batch = SendBatch::new();
    let body = [0; 1328];
    for _ in 0..100 {
        batch.push(Segmentation::FULL, &[], &body);
    }
    assert_eq!(batch.messages.len(), 3);
}

#[test]
fn neighbours_in_memory_become_one_part() {
    let memory = vec![7; 1328 * 10];
    let mut batch = SendBatch::new();
    for datagram in memory.chunks(1328) {
        batch.push(Segmentation::FULL, &[], datagram);
    }
    assert_eq!((batch.messages.len(), batch.parts.len()), (1, 1));
}

#[test]
fn a_refused_train_is_sent_one_by_one() {
    let (sink, socket) = pair();
    let memory: Vec<u8> = (0..10_000).map(|index| (index / 1_000) as u8).collect();
    let mut batch = SendBatch::new();
    for (index, datagram) in memory.chunks(1_000).enumerate() {
        let (head, body) = datagram.split_at(if index % 2 == 0 { 12 } else { 0 });
        batch.push(Segmentation::FULL, head, body);
    }
    assert_eq!(batch.messages.len(), 1);
    let outcome = batch.send_singly(&socket, 0);
    assert_eq!(
        (outcome.packets, outcome.bytes, outcome.dropped),
        (10, 10_000, 0)
    );
    let mut buffer = [0; 2_000];
    for value in 0..10 {
        assert_eq!(sink.recv(&mut buffer).unwrap(), 1_000);
        assert_eq!(buffer[..1_000], [value; 1_000]);
    }
}

#[test]
fn a_far_end_that_does_not_listen_costs_nothing_that_follows() {
    let (sink, socket) = pair();
    let addr = sink.local_addr().unwrap();
    drop(sink);
    let body = [0; 100];
    let mut batch = SendBatch::new();
    let mut total = Sent::default();
    for _ in 0..20 {
        let mut outgoing = batch.start();
        outgoing.push(Segmentation::FULL, &[], &body);
        total.add(outgoing.flush(&socket, &mut Segmentation::FULL.clone()));
    }
    assert_eq!((total.packets, total.dropped), (20, 0));
    // The far end comes back: the first datagram after that arrives.
    let sink = UdpSocket::bind(addr).unwrap();
    sink.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut outgoing = batch.start();
    outgoing.push(Segmentation::FULL, &[], &body);
    outgoing.flush(&socket, &mut Segmentation::FULL.clone());
    assert_eq!(sink.recv(&mut [0; 200]).unwrap(), 100);
}

#[test]
fn a_full_pass_takes_no_memory_and_one_more_is_refused() {
    let body = [0; 10];
    let mut batch = SendBatch::new();
    let (parts, messages) = (batch.parts.capacity(), batch.messages.capacity());
    let mut outgoing = batch.start();
    for _ in 0..PACKETS_MAX {
        assert!(outgoing.push(Segmentation::NONE, &body, &body[1..]));
    }
    assert!(!outgoing.push(Segmentation::NONE, &body, &body[1..]));
    drop(outgoing);
    assert_eq!(
        (batch.parts.capacity(), batch.messages.capacity()),
        (parts, messages)
    );
}
