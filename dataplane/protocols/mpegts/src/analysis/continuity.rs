//! Continuity of one PID (ISO/IEC 13818-1 2.4.3.3, TR 101 290 1.4).

use crate::packet::TS_PACKET_SIZE;

/// The counter of one PID, and what its last packet was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Continuity {
    /// Signature of the last packet with payload.
    signature: u64,
    /// Its counter, or [`UNKNOWN`].
    counter: u8,
    /// True when the last packet was a repeat, legal or not.
    repeated: bool,
}

/// What a packet with payload is to its predecessors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The counter is out of order: packets were lost, repeated too often or swapped.
    Broken,
    /// The legal repeat: its payload has been here.
    Duplicate,
    /// The next packet, or the first one.
    Next,
}

/// Above every counter, and one before 0 modulo 16 for none.
const UNKNOWN: u8 = 0xFF;

impl Continuity {
    pub(super) const UNKNOWN: Self = Self {
        signature: 0,
        counter: UNKNOWN,
        repeated: false,
    };

    /// Takes note of a packet with payload and judges it.
    ///
    //= TR 101 290 1.4: incorrect packet order, a packet occurs more than twice, lost packet.
    #[inline]
    pub(super) fn step(&mut self, packet: &[u8; TS_PACKET_SIZE]) -> Step {
        let counter = packet[3] & 0x0F;
        let signature = signature(packet);
        if counter == self.counter.wrapping_add(1) & 0x0F && self.counter != UNKNOWN {
            self.counter = counter;
            self.signature = signature;
            self.repeated = false;
            return Step::Next;
        }
        self.out_of_step(counter, signature)
    }

    /// The packet may follow anything: discontinuity_indicator is set, or continuity is not known any more.
    pub(super) fn forget(&mut self) {
        self.counter = UNKNOWN;
    }

    #[cold]
    fn out_of_step(&mut self, counter: u8, signature: u64) -> Step {
        let step = if self.counter == UNKNOWN {
            Step::Next
        } else if counter == self.counter && !self.repeated && signature == self.signature {
            Step::Duplicate
        } else {
            Step::Broken
        };
        // A counter that stands still is an error for each packet beyond the one legal repeat.
        self.repeated = self.counter == counter;
        self.counter = counter;
        self.signature = signature;
        step
    }
}

/// Tells packets of one PID and counter apart. Of a repeat all bytes are the same but those of the PCR.
///
//= ISO/IEC 13818-1 2.4.3.3: in duplicate packets each byte is duplicated, except the program clock reference.
#[inline]
fn signature(packet: &[u8; TS_PACKET_SIZE]) -> u64 {
    let (words, _) = packet[4..].as_chunks::<8>();
    // Four chains that do not wait for each other.
    let mut chains = [0_u64; 4];
    let (first, words) = words.split_first().unwrap_or((&[0; 8], &[]));
    // The first word is adaptation_field_length, flags and just the PCR.
    let has_pcr = packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0;
    if !has_pcr {
        chains[3] = u64::from_le_bytes(*first);
    }
    let (rows, rest) = words.as_chunks::<4>();
    for row in rows {
        for (chain, word) in chains.iter_mut().zip(row) {
            *chain = chain.rotate_left(7) ^ u64::from_le_bytes(*word);
        }
    }
    for (chain, word) in chains.iter_mut().zip(rest) {
        *chain = chain.rotate_left(7) ^ u64::from_le_bytes(*word);
    }
    let [a, b, c, d] = chains;
    a ^ b.rotate_left(17) ^ c.rotate_left(31) ^ d.rotate_left(47) ^ u64::from(packet[3] >> 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(counter: u8, payload: u8) -> [u8; TS_PACKET_SIZE] {
        let mut packet = [payload; TS_PACKET_SIZE];
        packet[..4].copy_from_slice(&[0x47, 0x01, 0x00, 0x10 | counter]);
        packet
    }

    fn steps(packets: &[[u8; TS_PACKET_SIZE]]) -> Vec<Step> {
        let mut continuity = Continuity::UNKNOWN;
        packets.iter().map(|p| continuity.step(p)).collect()
    }

    #[test]
    fn sixteen_counters_follow_each_other() {
        let packets: Vec<_> = (0..40_u8).map(|n| packet(n % 16, n)).collect();
        assert!(steps(&packets).iter().all(|&step| step == Step::Next));
    }

    #[test]
    fn tr101290_1_4_one_identical_repeat_is_legal() {
        use Step::{Broken, Duplicate, Next};
        let run = [packet(3, 1), packet(3, 1), packet(3, 1), packet(3, 1)];
        assert_eq!(steps(&run), [Next, Duplicate, Broken, Broken]);
        let other = [packet(3, 1), packet(3, 2), packet(4, 3)];
        assert_eq!(steps(&other), [Next, Broken, Next]);
        let twice = [packet(3, 1), packet(3, 1), packet(4, 2), packet(4, 2)];
        assert_eq!(steps(&twice), [Next, Duplicate, Next, Duplicate]);
    }

    #[test]
    fn the_pcr_of_a_repeat_may_differ_and_nothing_else() {
        let mut first = packet(3, 9);
        first[3] |= 0x20;
        first[4..12].copy_from_slice(&[7, 0x10, 0, 0, 0, 0, 0x7E, 0]);
        let mut again = first;
        again[10] = 0xFF;
        assert_eq!(steps(&[first, again]), [Step::Next, Step::Duplicate]);
        for at in 12..TS_PACKET_SIZE {
            let mut other = first;
            other[at] ^= 1;
            assert_eq!(steps(&[first, other]), [Step::Next, Step::Broken], "{at}");
        }
    }

    #[test]
    fn a_gap_is_one_error() {
        let run = [packet(0, 0), packet(5, 1), packet(6, 2)];
        assert_eq!(steps(&run), [Step::Next, Step::Broken, Step::Next]);
    }
}
