//! Whatever arrives, the decoder neither panics nor hands out what is not RTP, was received, or was handed out before. Run
//! by `cargo test`, and at length by `cargo bolero test fuzz_decoder`.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::collections::BTreeSet;

use bilbycast_fec::{
    Decoder, DecoderConfig, Dimensions, Encoder, EncoderConfig, Layout, Matrix, Stream,
};
use bilbycast_rtp::RtpView;

#[derive(Clone)]
struct Datagram {
    fec: Option<Stream>,
    bytes: Vec<u8>,
}

/// A stream of 4 x 4 in both dimensions, its packets of different lengths.
fn clean() -> Vec<Datagram> {
    let mut encoder = Encoder::new(EncoderConfig {
        matrix: Matrix::new(4, 4).unwrap(),
        dimensions: Dimensions::ColumnAndRow,
        layout: Layout::Staircase,
        sequence_start: [0; 2],
    });
    let mut sent = Vec::new();
    for n in 0..64_u16 {
        let mut bytes = vec![0x80, 33];
        bytes.extend((65_520_u16).wrapping_add(n).to_be_bytes());
        bytes.extend((u32::from(n) * 1_000).to_be_bytes());
        bytes.extend([1, 2, 3, 4]);
        bytes.extend((0..20 + n % 5).map(|at| (at * n) as u8));
        let mut fec = Vec::new();
        encoder.push(&[], &bytes, &mut |stream, packet| {
            fec.push(Datagram {
                fec: Some(stream),
                bytes: packet.to_vec(),
            });
        });
        sent.push(Datagram { fec: None, bytes });
        sent.append(&mut fec);
    }
    sent
}

/// Reads the input as orders of four bytes: which packet of a good stream to spoil, where, and how.
#[test]
fn fuzz_decoder_spoiled() {
    let clean = clean();
    bolero::check!()
        .with_max_len(256)
        .for_each(|orders: &[u8]| {
            let mut arriving = clean.clone();
            for order in orders.as_chunks::<4>().0 {
                let [which, how, at, with] = order.map(usize::from);
                let which = which % arriving.len();
                let bytes = &mut arriving[which].bytes;
                match how % 8 {
                    0..=2 if !bytes.is_empty() => {
                        // Headers are where decisions are made.
                        let at = at % bytes.len().min(28);
                        bytes[at] = with as u8;
                    }
                    3 => bytes.truncate(at),
                    4 => bytes.resize(bytes.len() + at * with / 16, with as u8),
                    5 => drop(arriving.remove(which)),
                    6 => {
                        let other = at % arriving.len();
                        arriving.swap(which, other);
                    }
                    _ => {
                        let again = arriving[which].clone();
                        arriving.insert(at % arriving.len(), again);
                    }
                }
            }
            decode(&arriving);
        });
}

/// Takes the input as the packets: each begins with a byte that says where it goes, and one that says how long it is.
#[test]
fn fuzz_decoder_raw() {
    bolero::check!().for_each(|mut bytes: &[u8]| {
        let mut arriving = Vec::new();
        while let Some(([port, length], rest)) = bytes.split_first_chunk() {
            let (packet, rest) = rest.split_at(rest.len().min(usize::from(*length)));
            bytes = rest;
            // Without help the input would rarely be RTP at all.
            let mut packet = packet.to_vec();
            if port & 0x80 == 0
                && let Some(first) = packet.first_mut()
            {
                *first = *first & 0x3f | 0x80;
            }
            let fec = [None, Some(Stream::Column), Some(Stream::Row)][usize::from(*port) % 3];
            arriving.push(Datagram { fec, bytes: packet });
        }
        decode(&arriving);
    });
}

fn decode(arriving: &[Datagram]) {
    let mut decoder = Decoder::new(DecoderConfig::default());
    let mut known = BTreeSet::new();
    let mut given = 0;
    let mut resets = 0;
    let mut foreign = 0;
    for datagram in arriving {
        let mut fresh = Vec::new();
        let mut take = |packet: &[u8]| fresh.push(packet.to_vec());
        match datagram.fec {
            None => decoder.push_media(&datagram.bytes, &mut take),
            Some(stream) => decoder.push_fec(stream, &datagram.bytes, &mut take),
        }
        let stats = decoder.stats();
        if stats.resets != resets {
            resets = stats.resets;
            known.clear();
        }
        let is_foreign =
            std::mem::replace(&mut foreign, stats.media_foreign) != stats.media_foreign;
        if let (None, Some(view), false) =
            (datagram.fec, RtpView::parse(&datagram.bytes), is_foreign)
        {
            known.insert(view.sequence().0);
        }
        given += fresh.len() as u64;
        assert_eq!(stats.recovered, given);
        for packet in &fresh {
            let view = RtpView::parse(packet).unwrap();
            assert!(known.insert(view.sequence().0), "{:?}", view.sequence());
        }
    }
    decoder.flush(&mut |packet| {
        let view = RtpView::parse(packet).unwrap();
        assert!(known.insert(view.sequence().0), "{:?}", view.sequence());
    });
    assert!(decoder.latency_packets() <= 816);
    let learned = decoder.matrix();
    assert!(learned.is_none_or(|learned| learned.columns.is_none_or(|l| (1..=20).contains(&l))));
}
