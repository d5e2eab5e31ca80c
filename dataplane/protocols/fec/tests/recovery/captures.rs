//! Captures of real senders, with packets taken out.
//!
//! `captures/ffmpeg-5x5.pcap`: ffmpeg 5.1.9, `-f rtp_mpegts -fec prompeg=l=5:d=5`; row FEC one media packet late, FEC
//! sequence numbers from a random start.
//! `captures/gstreamer-4x4.pcap`: GStreamer 1.22, `rtpst2022-1-fecenc rows=4 columns=4`; row FEC before the last media
//! packet of its row, FEC sequence numbers from 0.
//! Both captured by ourselves on loopback, and cut to the first packets.

use bilbycast_fec::{Decoder, DecoderConfig, Matrix, Stream};

use crate::channel::{Channel, judge};
use crate::sender::{Datagram, Random, members, sequence};

struct Capture {
    media: Vec<Vec<u8>>,
    sent: Vec<Datagram>,
}

/// Reads a capture of IPv4 over Ethernet with little-endian headers, as tcpdump writes it.
fn read(pcap: &[u8], media_port: u16) -> Capture {
    assert_eq!(pcap[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    let mut media = Vec::new();
    let mut sent = Vec::new();
    let mut rest = &pcap[24..];
    let mut first = None;
    while let Some((record, behind)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes(*record[8..].first_chunk().unwrap());
        let (frame, behind) = behind.split_at(usize::try_from(length).unwrap());
        rest = behind;
        let udp = &frame[14 + 4 * usize::from(frame[14] & 0x0f)..];
        let port = u16::from_be_bytes([udp[2], udp[3]]);
        let bytes = udp[8..].to_vec();
        let first = *first.get_or_insert_with(|| sequence(&bytes));
        sent.push(match port - media_port {
            0 => {
                media.push(bytes.clone());
                Datagram::Media(media.len() - 1, bytes)
            }
            2 => Datagram::Fec(Stream::Column, members(&bytes, first), bytes),
            4 => Datagram::Fec(Stream::Row, members(&bytes, first), bytes),
            other => panic!("port {other} after the media port"),
        });
    }
    Capture { media, sent }
}

fn captures() -> [(Matrix, Capture); 2] {
    let ffmpeg = include_bytes!("../captures/ffmpeg-5x5.pcap");
    let gstreamer = include_bytes!("../captures/gstreamer-4x4.pcap");
    [
        (Matrix::new(5, 5).unwrap(), read(ffmpeg, 21_004)),
        (Matrix::new(4, 4).unwrap(), read(gstreamer, 22_204)),
    ]
}

#[test]
fn a_whole_stream_needs_nothing_and_tells_its_matrix() {
    for (matrix, Capture { media, sent }) in captures() {
        judge(Some(matrix), &media, &sent, true);
        let mut decoder = Decoder::new(DecoderConfig {
            expected: Matrix::new(8, 8).ok(),
        });
        for datagram in &sent {
            match datagram {
                Datagram::Media(_, bytes) => decoder.push_media(bytes, &mut |_| unreachable!()),
                Datagram::Fec(stream, _, bytes) => {
                    decoder.push_fec(*stream, bytes, &mut |_| unreachable!());
                }
            }
        }
        let learned = decoder.matrix().unwrap();
        assert_eq!(learned.columns, Some(matrix.columns()));
        assert_eq!(learned.rows, Some(matrix.rows()));
        assert!(learned.column_stream && learned.row_stream && learned.mismatch);
        let packets = u32::from(matrix.packets());
        assert_eq!(decoder.latency_packets(), 2 * packets + 16);
    }
}

#[test]
fn each_pair_of_losses_is_recovered_as_on_paper() {
    for (_, Capture { media, sent }) in captures() {
        let places = 16..media.len() - 1;
        for one in places.clone() {
            for other in one..places.end.min(one + 26) {
                let arriving: Vec<_> = sent
                    .iter()
                    .filter(|datagram| {
                        !matches!(datagram, Datagram::Media(n, _) if *n == one || *n == other)
                    })
                    .cloned()
                    .collect();
                judge(None, &media, &arriving, true);
            }
        }
    }
}

#[test]
fn random_losses_are_recovered_as_on_paper() {
    let mut random = Random::new(3);
    for (_, Capture { media, sent }) in captures() {
        let mut recovered = 0;
        for _ in 0..150 {
            let channel = Channel {
                media_loss: 20 + random.below(250),
                burst: 1 + random.below(6),
                fec_loss: random.below(300),
                media_delay: random.below(2) * 6,
                fec_delay: random.below(20),
                duplicates: random.below(100),
            };
            let arriving = channel.carry(&sent, &mut random);
            let in_order = channel.media_delay == 0;
            recovered += judge(None, &media, &arriving, in_order).recovered;
        }
        assert!(recovered > 500, "{recovered}");
    }
}
