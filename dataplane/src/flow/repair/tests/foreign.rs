//! Packets that are not of the stream: of another SSRC, or RTCP.

use bilbycast_fec::{Dimensions, Encoder, EncoderConfig, Layout, Stream};

use super::*;
use crate::flow::repair::matrix;

/// A leg with FEC of its own, alone and beside a second one, each with packets of another SSRC in between: one in ten.
#[test]
fn packets_of_somebody_else_do_not_break_the_repair() {
    let fec = FecSpec {
        columns: 5,
        rows: 5,
        row_fec: true,
        staircase: false,
    };
    for spec in [RtpInputSpec::plain(receive(free_port())), two_legs(1)] {
        let mut bench = Bench::new(
            RtpInputSpec {
                fec: Some(fec),
                ..spec
            },
            None,
        );
        let legs = bench.senders.len();
        let media: Vec<SocketAddr> = bench
            .senders
            .iter()
            .map(|sender| sender.peer_addr().unwrap())
            .collect();
        let mut encoder = Encoder::new(EncoderConfig {
            matrix: matrix(&fec).unwrap(),
            dimensions: Dimensions::ColumnAndRow,
            layout: Layout::BlockAligned,
            sequence_start: [0; 2],
        });
        let fec_sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let source: Vec<Vec<u8>> = (0..500).map(|sequence| rtp(sequence, 77)).collect();
        let mut lost = 0;
        for (number, packet) in (0_u16..).zip(&source) {
            // Both legs lose the same packets, so that FEC alone can bring them back.
            let is_lost = number % 9 == 4 && (50..450).contains(&number);
            lost += u64::from(is_lost);
            for leg in (0..legs).filter(|_| !is_lost) {
                bench.send(leg, packet);
            }
            if number % 10 == 7 {
                bench.send(legs - 1, &rtp(30_000 + number, 13));
            }
            encoder.push(&[], packet, &mut |stream, fec| {
                for to in &media {
                    let port = to.port() + if stream == Stream::Column { 2 } else { 4 };
                    fec_sender.send_to(fec, (to.ip(), port)).unwrap();
                }
            });
            bench.pass();
            // What waits for its repair are two matrices and a reserve; more would come out at once and fill the sink.
            while usize::from(number) > bench.received.len() + 100 {
                bench.pass();
            }
        }
        assert_eq!(bench.out(source.len()), source, "{legs} legs");
        let (record, records, notices) = bench.observe(bench.now_ns);
        assert_eq!(
            (record.input_packets_lost, record.input_source_restarts),
            (0, 0)
        );
        for leg in &records[..legs] {
            assert!(leg.packets_recovered_fec >= lost, "{leg:?}");
            assert_eq!(
                (leg.fec_restarts, leg.fec_recovered_wrong),
                (0, 0),
                "{leg:?}"
            );
        }
        assert_eq!(records[legs - 1].packets_foreign, 50);
        assert!(
            notices.contains(&format!("SsrcMismatch {{ leg: {legs} }}")),
            "{notices:?}"
        );
    }
}

#[test]
fn rtcp_is_not_media() {
    for spec in [RtpInputSpec::plain(receive(free_port())), two_legs(1)] {
        let mut bench = Bench::new(spec, None);
        let source: Vec<Vec<u8>> = (0..20).map(|sequence| rtp(sequence, 5)).collect();
        for packet in &source {
            // A sender report of RFC 3550 6.4.1 without report blocks: its length is 6 words and one.
            let mut report = vec![0x80, 200, 0, 6];
            report.resize(28, 7);
            bench.send(0, &report);
            bench.send(0, packet);
        }
        assert_eq!(bench.out(source.len()), source);
        let (record, _, _) = bench.observe(bench.now_ns);
        assert_eq!(
            (record.input_packets_received, record.input_packets_invalid),
            (20, 20)
        );
        assert_eq!(record.input_source_restarts, 0);
    }
}
