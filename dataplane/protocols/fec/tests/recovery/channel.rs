//! The network between sender and decoder, and the verdict on what comes out.

use std::collections::BTreeSet;

use bilbycast_fec::{Decoder, DecoderConfig, DecoderStats, Matrix};

use crate::sender::{Datagram, Random, sequence};
use crate::solver::recoverable;

/// What the network does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Channel {
    /// Chance of a media packet to be the first of a burst that is lost, in thousandths.
    pub(crate) media_loss: usize,
    /// Longest burst, in packets.
    pub(crate) burst: usize,
    /// Chance of an FEC packet to be lost, in thousandths.
    pub(crate) fec_loss: usize,
    /// Most datagrams that overtake a media packet.
    pub(crate) media_delay: usize,
    /// Most datagrams that overtake an FEC packet.
    pub(crate) fec_delay: usize,
    /// Chance of any packet to come twice, in thousandths.
    pub(crate) duplicates: usize,
}

impl Channel {
    /// What arrives, in order. The last media packet always does, undelayed: it tells that those before it are missing.
    pub(crate) fn carry(&self, sent: &[Datagram], random: &mut Random) -> Vec<Datagram> {
        let last = sent.iter().rposition(|d| matches!(d, Datagram::Media(..)));
        let mut burst_left = 0;
        let mut arriving = Vec::new();
        for (at, datagram) in sent.iter().enumerate() {
            let delay = match datagram {
                _ if Some(at) == last => sent.len(),
                Datagram::Media(..) => {
                    if burst_left == 0 && random.below(1_000) < self.media_loss {
                        burst_left = 1 + random.below(self.burst.max(1));
                    }
                    if burst_left > 0 {
                        burst_left -= 1;
                        continue;
                    }
                    random.below(self.media_delay + 1)
                }
                Datagram::Fec(..) if random.below(1_000) < self.fec_loss => continue,
                Datagram::Fec(..) => random.below(self.fec_delay + 1),
            };
            arriving.push((at + delay, at));
            if random.below(1_000) < self.duplicates {
                arriving.push((at + delay + random.below(5), at));
            }
        }
        arriving.sort_by_key(|&(when, _)| when);
        arriving.iter().map(|&(_, at)| sent[at].clone()).collect()
    }
}

/// Feeds a decoder with what arrives and compares with the solver. With `in_order`, exactly what the solver says must come
/// back; otherwise a packet that is still under way may as well.
pub(crate) fn judge(
    expected: Option<Matrix>,
    media: &[Vec<u8>],
    arriving: &[Datagram],
    in_order: bool,
) -> DecoderStats {
    let mut decoder = Decoder::new(DecoderConfig { expected });
    let first = sequence(&media[0]);
    let mut known = BTreeSet::new();
    let mut recovered = BTreeSet::new();
    let mut groups = Vec::new();
    for datagram in arriving {
        let mut take = |packet: &[u8]| {
            let place = usize::from(sequence(packet).wrapping_sub(first));
            assert!(known.insert(place), "packet {place} is known already");
            assert_eq!(packet, media[place], "packet {place}");
            recovered.insert(place);
        };
        match datagram {
            Datagram::Media(place, bytes) => {
                decoder.push_media(bytes, &mut take);
                known.insert(*place);
            }
            Datagram::Fec(stream, members, bytes) => {
                decoder.push_fec(*stream, bytes, &mut take);
                // A capture may end in the middle of a group.
                if members.iter().all(|&place| place < media.len()) {
                    groups.push(members.clone());
                }
            }
        }
    }
    let received: BTreeSet<_> = arriving
        .iter()
        .filter_map(|datagram| match datagram {
            Datagram::Media(place, _) => Some(*place),
            Datagram::Fec(..) => None,
        })
        .collect();
    let lost: BTreeSet<_> = (0..media.len()).filter(|n| !received.contains(n)).collect();
    let answer = recoverable(&lost, &groups);
    let of_lost: BTreeSet<_> = recovered.intersection(&lost).copied().collect();
    assert_eq!(of_lost, answer, "of {lost:?}");
    let stats = *decoder.stats();
    assert_eq!(stats.recovered, recovered.len() as u64);
    if in_order {
        assert_eq!(recovered, answer);
        assert_eq!(stats.recovered_unneeded, 0);
    }
    assert_eq!(
        stats.recovered - stats.recovered_unneeded,
        answer.len() as u64
    );
    assert_eq!((stats.recovered_wrong, stats.recovery_failed), (0, 0));
    assert_eq!(
        (stats.resets, stats.fec_invalid, stats.fec_wrong_port),
        (0, 0, 0)
    );
    stats
}
