//! Looking at a transport stream: sync bytes and continuity (ISO/IEC 13818-1 2.4.3).

use std::collections::{BTreeMap, BTreeSet};

/// What a stream shows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TsReport {
    /// TS packets.
    pub packets: u64,
    /// Packets that do not begin with 0x47, and a rest that is no packet.
    pub misaligned: u64,
    /// Continuity counters that are not the next one.
    pub continuity_errors: u64,
    /// Packets of each PID.
    pub pids: BTreeMap<u16, u64>,
}

/// Reads a stream from its first packet on.
#[must_use]
pub fn inspect(stream: &[u8]) -> TsReport {
    let mut report = TsReport::default();
    let mut newest: BTreeMap<u16, u8> = BTreeMap::new();
    let mut repeated: BTreeSet<u16> = BTreeSet::new();
    let mut packets = stream.chunks_exact(188);
    for packet in packets.by_ref() {
        report.packets += 1;
        if packet[0] != 0x47 {
            report.misaligned += 1;
            continue;
        }
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        *report.pids.entry(pid).or_default() += 1;
        let has_payload = packet[3] & 0x10 != 0;
        let discontinuity = packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x80 != 0;
        if pid == NULL_PID {
            continue;
        }
        let counter = packet[3] & 0x0f;
        if let Some(last) = newest.insert(pid, counter)
            && !discontinuity
        {
            let expected = if has_payload { (last + 1) & 0x0f } else { last };
            // One duplicate of a packet with payload is legal.
            let duplicate = has_payload && counter == last && repeated.insert(pid);
            if counter != expected && !duplicate {
                report.continuity_errors += 1;
            }
            if counter != last {
                repeated.remove(&pid);
            }
        }
    }
    if !packets.remainder().is_empty() {
        report.misaligned += 1;
    }
    report
}

const NULL_PID: u16 = 0x1fff;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pid: u16, counter: u8) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![0x47, high, low, 0x10 | counter];
        packet.resize(188, 0);
        packet
    }

    #[test]
    fn a_missing_packet_is_a_continuity_error() {
        let stream = [packet(5, 14), packet(5, 15), packet(5, 0), packet(5, 2)].concat();
        let report = inspect(&stream);
        assert_eq!((report.packets, report.continuity_errors), (4, 1));
    }

    #[test]
    fn one_duplicate_is_legal_and_a_second_is_not() {
        let stream = [packet(5, 1), packet(5, 1), packet(5, 2)].concat();
        assert_eq!(inspect(&stream).continuity_errors, 0);
        let stream = [packet(5, 1), packet(5, 1), packet(5, 1)].concat();
        assert_eq!(inspect(&stream).continuity_errors, 1);
    }

    #[test]
    fn a_shifted_stream_is_misaligned() {
        let stream = [packet(5, 1), packet(5, 2)].concat();
        assert!(inspect(&stream[1..]).misaligned > 0);
    }
}
