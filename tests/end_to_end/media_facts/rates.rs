//! Clean streams of other rates than the spoiled ones: whatever the rate, nothing is counted.

use bilbycast_mpegts::{
    NULL_PACKET, Pcr27MHz, Pid, Pts90kHz, TestSource, TestSourceConfig, TsPacket as View,
};
use bilbycast_tests::playback::{Stream, TsPacket};

use super::Played;

/// The slowest: a datagram of seven packets takes 165 ms, longer than a clock may be away.
const SLOWEST_BPS: u64 = 64_000;

/// Rates that the test source can do.
const OTHERS_BPS: [u64; 2] = [TestSourceConfig::BITRATE_BPS_MIN, 20_000_000];

/// Clean streams of about `length_ms`, each for a flow of its own.
pub(super) fn clean_streams(length_ms: u64, first_ssrc: u32) -> Vec<Played> {
    let slowest = (SLOWEST_BPS, slowest(length_ms));
    let others = OTHERS_BPS.map(|bitrate_bps| (bitrate_bps, test_source(bitrate_bps, length_ms)));
    std::iter::once(slowest)
        .chain(others)
        .zip(first_ssrc..)
        .map(|((bitrate_bps, packets), ssrc)| Played {
            flow_id: format!("clean-{bitrate_bps}"),
            stream: Stream::new(ssrc, &timed(bitrate_bps, packets)),
        })
        .collect()
}

/// The packets with the times at which they are sent.
pub(super) fn timed(bitrate_bps: u64, packets: Vec<TsPacket>) -> Vec<(TsPacket, u64)> {
    let times = (0..).map(|position| at_ns(bitrate_bps, position));
    packets.into_iter().zip(times).collect()
}

/// What the test source sends in that time.
pub(super) fn test_source(bitrate_bps: u64, length_ms: u64) -> Vec<TsPacket> {
    let mut source = TestSource::new(&TestSourceConfig::new(bitrate_bps)).unwrap();
    let count = usize::try_from(bitrate_bps * length_ms / 1_504_000).unwrap();
    let mut packets: Vec<TsPacket> = vec![[0; 188]; count];
    source.write(packets.as_flattened_mut());
    packets
}

/// Less than the test source can do: tables of the test source every 282 ms, a picture with a clock in every other packet, and
/// some sound. All datagrams are full.
fn slowest(length_ms: u64) -> Vec<TsPacket> {
    let donor = test_source(TestSourceConfig::BITRATE_BPS_MIN, 1_000);
    let table = |pid: Pid| {
        let mut tables = donor.iter().filter(|packet| View::new(packet).pid() == pid);
        *tables.next().unwrap()
    };
    let tables = [table(Pid::PAT), table(TestSource::PMT_PID)];
    let mut counters = [0_u8; 4];
    let datagrams = SLOWEST_BPS * length_ms / 1_504_000 / 7;
    let packets = (0..7 * datagrams).map(|position| {
        let pcr_ticks = u128::from(at_ns(SLOWEST_BPS, position)) * 27 / 1_000;
        let pcr = Pcr27MHz::from_ticks(u64::try_from(pcr_ticks).unwrap());
        let (kind, mut packet) = match position % 12 {
            0 => (0, tables[0]),
            6 => (1, tables[1]),
            10 => (2, pes(TestSource::AUDIO_PID, 0xC0, pcr)),
            other if other % 2 == 1 => (3, pes(TestSource::VIDEO_PID, 0xE0, pcr)),
            _ => return NULL_PACKET,
        };
        packet[3] = (packet[3] & 0xF0) | counters[kind];
        counters[kind] = (counters[kind] + 1) & 0x0F;
        packet
    });
    packets.collect()
}

/// The beginning of a PES packet with a PTS, in a packet with a PCR.
fn pes(pid: Pid, stream_id: u8, pcr: Pcr27MHz) -> TsPacket {
    let mut packet = [0x55; 188];
    let [high, low] = pid.value().to_be_bytes();
    packet[..6].copy_from_slice(&[0x47, 0x40 | high, low, 0x30, 7, 0x10]);
    packet[6..12].copy_from_slice(&pcr.to_wire());
    packet[12..21].copy_from_slice(&[0, 0, 1, stream_id, 0, 0, 0x84, 0x80, 5]);
    packet[21..26].copy_from_slice(&Pts90kHz::from_ticks(pcr.base()).to_wire(2));
    packet
}

fn at_ns(bitrate_bps: u64, position: u64) -> u64 {
    let ns = u128::from(position) * 1_504 * 1_000_000_000 / u128::from(bitrate_bps);
    u64::try_from(ns).unwrap()
}
