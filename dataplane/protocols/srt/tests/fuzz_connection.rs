//! Fuzz target: a script of datagrams, writes and passing time for a connected socket. Run by `cargo test`, and at
//! length by `cargo bolero test fuzz_connection`.

use bilbycast_srt::handshake::{Negotiated, Settings};
use bilbycast_srt::wire::{SeqNumber, SocketId, SrtVersion, Timestamp};
use bilbycast_srt::{Connection, Micros};

#[test]
fn fuzz_connection() {
    bolero::check!().for_each(|script| {
        for filter in [None, Some("fec,cols:4,rows:3,layout:staircase,arq:onreq")] {
            run(filter, script);
        }
    });
}

/// Each step is a byte that says what, a byte of length, and so many bytes of content.
fn run(filter: Option<&str>, script: &[u8]) {
    let settings = Settings {
        send_buffer_packets: 64,
        recv_buffer_packets: 64,
        ..Settings::default()
    };
    let mut connection = Connection::new(negotiated(filter), &settings, Micros::from_secs(10));
    let mut now = Micros::from_secs(10);
    let mut out = [0; 1_472];
    let mut rest = script;
    while let [what, length, after @ ..] = rest {
        let (content, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        match what % 4 {
            0 | 1 => {
                let mut datagram = content.to_vec();
                // Most scripts should get past the check of the address.
                if let Some(destination) = datagram.get_mut(12..16).filter(|_| what & 4 == 0) {
                    destination.copy_from_slice(&LOCAL.0.to_be_bytes());
                }
                connection.handle_packet(now, &mut datagram);
            }
            2 => {
                let _ = connection.send(now, &[content]);
            }
            _ => {
                now += Micros(u64::from(*length) * 1_000 * u64::from(*what));
                connection.handle_timeout(now);
            }
        }
        let mut sent = 0;
        while let Some(length) = connection.poll_transmit(now, &mut out) {
            assert!(length >= 16 && length <= connection.datagram_bytes_max());
            sent += 1;
            assert!(sent < 300, "more answers than the buffers have packets");
        }
        while connection.receive(now, &mut out).is_some() {}
        let stats = connection.stats(now);
        assert!(stats.receive.buffer_packets <= 64 && stats.send.buffer_packets <= 64);
    }
}

const LOCAL: SocketId = SocketId(0x1234_5678);

fn negotiated(filter: Option<&str>) -> Negotiated {
    Negotiated {
        local_socket: LOCAL,
        peer_socket: SocketId(2),
        send_sequence: SeqNumber::new(0),
        recv_sequence: SeqNumber::new(0),
        mss: 1_500,
        flow_window: 8_192,
        recv_latency: Micros::from_millis(120),
        send_latency: Micros::from_millis(120),
        recv_tsbpd: true,
        send_tsbpd: true,
        tlpktdrop: true,
        peer_nak_report: true,
        peer_retransmit_flag: true,
        packet_filter: filter.map(str::to_owned),
        stream_id: None,
        peer_version: SrtVersion::OURS,
        rtt: None,
        start: Micros::ZERO,
        peer_timestamp: Timestamp(0),
        peer_timestamp_at: Micros::from_secs(10),
        crypto: None,
    }
}
