//! A media stream and its FEC packets, in the order of sending.

use bilbycast_fec::{Encoder, EncoderConfig, Stream};

/// Random numbers that can be repeated.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let high = usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap();
        high % bound
    }
}

/// One datagram of a sender.
#[derive(Clone, Debug)]
pub(crate) enum Datagram {
    /// The media packet of this place.
    Media(usize, Vec<u8>),
    /// An FEC packet and the places of the media packets that it adds up.
    Fec(Stream, Vec<usize>, Vec<u8>),
}

/// How long a stream's packets are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lengths {
    Equal(usize),
    UpTo(usize),
}

/// What the media packets look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Media {
    pub(crate) count: usize,
    pub(crate) first: u16,
    pub(crate) lengths: Lengths,
    /// First byte of each header: version, and P, X, CC.
    pub(crate) first_byte: u8,
}

impl Media {
    /// Packets with random contents, legal RTP for any `first_byte`.
    pub(crate) fn packets(&self, random: &mut Random) -> Vec<Vec<u8>> {
        let csrc_bytes = 4 * usize::from(self.first_byte & 0x0f);
        let extension = self.first_byte & 0x10 != 0;
        let padding = self.first_byte & 0x20 != 0;
        let mut timestamp = u32::try_from(random.below(1 << 30)).unwrap();
        (0..self.count)
            .map(|n| {
                let payload = match self.lengths {
                    Lengths::Equal(length) => length,
                    Lengths::UpTo(length) => random.below(length + 1),
                };
                let mut packet = vec![self.first_byte, 33];
                let number = self.first.wrapping_add(u16::try_from(n).unwrap());
                packet.extend(number.to_be_bytes());
                packet.extend(timestamp.to_be_bytes());
                packet.extend([0xde, 0xad, 0xbe, 0xef]);
                timestamp = timestamp.wrapping_add(u32::try_from(random.below(3_000)).unwrap());
                packet.extend((0..csrc_bytes).map(|_| random.below(256) as u8));
                if extension {
                    packet.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
                }
                packet.extend((0..payload).map(|_| random.below(256) as u8));
                if padding {
                    packet.extend([0, 0, 3]);
                }
                packet
            })
            .collect()
    }
}

/// Sends the packets, each in one piece or in two.
pub(crate) fn send(config: EncoderConfig, media: &[Vec<u8>], random: &mut Random) -> Vec<Datagram> {
    let mut encoder = Encoder::new(config);
    let first = sequence(&media[0]);
    let mut sent = Vec::new();
    for (n, packet) in media.iter().enumerate() {
        sent.push(Datagram::Media(n, packet.clone()));
        let cut = [0, 12, random.below(packet.len())][random.below(3)];
        let (head, body) = packet.split_at(cut);
        encoder.push(head, body, &mut |stream, fec| {
            sent.push(Datagram::Fec(stream, members(fec, first), fec.to_vec()));
        });
    }
    let fec = sent.iter().filter(|d| matches!(d, Datagram::Fec(..)));
    assert_eq!(encoder.sent(), fec.count() as u64);
    assert_eq!(encoder.unprotected(), 0);
    sent
}

pub(crate) fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

/// The places that an FEC packet adds up, in a stream whose first packet has number `first`.
pub(crate) fn members(fec: &[u8], first: u16) -> Vec<usize> {
    let base = u16::from_be_bytes([fec[12], fec[13]]);
    let (offset, count) = (usize::from(fec[25]), usize::from(fec[26]));
    let base = usize::from(base.wrapping_sub(first));
    (0..count).map(|n| base + n * offset).collect()
}
