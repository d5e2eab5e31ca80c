//! The recordings beside the repository, with time in steps, have the counts that TSDuck 3.44 found in them by their clocks.
//!
//! A few of TSDuck's counts are of its own clock and of rules that TR 101 290 does not have. Those are made here from the
//! packets, so that it is known what they are, and the report has others.

#![allow(clippy::unwrap_used, reason = "a test whose ground is missing fails")]

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use bilbycast_analyze::timeline::Clock;
use bilbycast_analyze::{Options, analyse};
use bilbycast_mpegts::{Pcr27MHz, Pid, TS_PACKET_SIZE, TsPacket};
use serde_json::Value;

/// One PCR a second, and a continuity counter of the PMT that never moves.
const SLOW_CLOCK: &str = "eyevinn-80s_with_ad.ts";

/// No PCR at all, and EIT on two PIDs.
const NO_CLOCK: &str = "tsduck-test-030.ts";

/// The names of the counters, TSDuck's and those of the report.
const NAMES: [(&str, &str); 16] = [
    ("TS_sync_loss", "sync_loss_count"),
    ("Sync_byte_error", "sync_byte_errors"),
    ("PAT_error_2", "pat_errors"),
    ("Continuity_count_error", "cc_errors"),
    ("pmt_error_2", "pmt_errors"),
    ("PID_error", "pid_errors"),
    ("Transport_error", "tei_errors"),
    ("CRC_error", "crc_errors"),
    ("PCR_repetition_error", "pcr_repetition_errors"),
    (
        "PCR_discontinuity_indicator_error",
        "pcr_discontinuity_errors",
    ),
    ("PTS_error", "pts_errors"),
    ("CAT_error", "cat_errors"),
    ("NIT_actual_error", "nit_errors"),
    ("Unreferenced_PID", "unreferenced_pids"),
    ("SDT_actual_error", "sdt_errors"),
    ("EIT_actual_error", "eit_errors"),
];

/// Counts of TSDuck that the report has differently, with what it has.
const OTHERS: [(&str, &str, Option<u64>); 3] = [
    // TSDuck takes every packet with the same counter for a repeat and reads one PMT of 333. The report has read all of them,
    // and they are as far apart as the PATs.
    (SLOW_CLOCK, "pmt_error_2", Some(78)),
    (SLOW_CLOCK, "SDT_actual_error", Some(0)),
    (NO_CLOCK, "EIT_actual_error", None),
];

/// The recordings and the facts; `None`, with the reason printed, when they are not there.
fn media() -> Option<(PathBuf, BTreeMap<String, Value>)> {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    let Ok(facts) = std::fs::read_to_string(media.join("FACTS.json")) else {
        eprintln!("skipped: no recordings at {}", media.display());
        return None;
    };
    Some((media.join("ts"), serde_json::from_str(&facts).unwrap()))
}

#[test]
fn in_steps_the_counts_are_those_of_tsduck() {
    let Some((folder, facts)) = media() else {
        return;
    };
    let options = Options {
        clock: Clock::Steps,
        ..Options::default()
    };
    let mut others = 0;
    for (file, facts) in facts {
        let report = analyse(&folder.join(&file), &options).unwrap();
        let base = if file == NO_CLOCK {
            "none"
        } else {
            "pcr_steps"
        };
        assert_eq!(report.time.base, base, "{file}");
        let found = serde_json::to_value(&report.tr101290).unwrap();
        let known = &facts["tsduck_tr101290_pcrclock"];
        for (theirs, ours) in NAMES {
            let other = OTHERS
                .iter()
                .find(|(of, name, _)| *of == file && *name == theirs);
            let expected = match other {
                Some((_, _, count)) => {
                    assert_ne!(known[theirs].as_u64(), *count, "{file} {theirs}");
                    others += 1;
                    *count
                }
                // Without a clock what depends on time is not judged.
                None if found[ours].is_null() => {
                    assert_eq!((file.as_str(), known.get(theirs)), (NO_CLOCK, None));
                    None
                }
                None => Some(known[theirs].as_u64().unwrap_or(0)),
            };
            assert_eq!(found[ours].as_u64(), expected, "{file} {theirs}");
        }
    }
    assert_eq!(others, OTHERS.len());
}

#[test]
fn tsduck_guesses_how_long_steps_of_a_second_are() {
    let Some((folder, facts)) = media() else {
        return;
    };
    let known = &facts[SLOW_CLOCK]["tsduck_tr101290_pcrclock"];
    let bytes = std::fs::read(folder.join(SLOW_CLOCK)).unwrap();
    let packets = bytes.as_chunks().0;
    let times = tsduck_times(packets);
    let of = |wanted: &dyn Fn(TsPacket<'_>) -> bool| -> Vec<u64> {
        let timed = packets.iter().zip(&times);
        let timed = timed.filter(|(packet, _)| wanted(TsPacket::new(packet)));
        timed.map(|(_, ticks)| *ticks).collect()
    };
    let gaps = |times: &[u64], is_wrong: &dyn Fn(u64) -> bool| {
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.filter(|ticks| is_wrong(*ticks)).count()
    };
    const MS: u64 = Pcr27MHz::HZ / 1_000;
    let pats = of(&|packet| packet.pid() == Pid::PAT);
    assert_eq!(known["PAT_error_2"], gaps(&pats, &|gap| gap > 500 * MS));
    let pcrs = of(&|packet| packet.pcr().is_some());
    assert_eq!(
        known["PCR_repetition_error"],
        gaps(&pcrs, &|gap| gap > 100 * MS)
    );
    let pts_errors = [256, 257].map(|pid| {
        let with_pts = of(&|packet| {
            let payload = packet.payload().unwrap_or(&[]);
            packet.pid().value() == pid
                && packet.payload_unit_start_indicator()
                && payload.get(7).is_some_and(|flags| flags & 0x80 != 0)
        });
        gaps(&with_pts, &|gap| gap > 700 * MS)
    });
    assert_eq!(known["PTS_error"], pts_errors.iter().sum::<usize>());
    // By the clock itself no two SDTs are more than 2 s apart, and no two lie in the same step.
    let sdts = of(&|packet| packet.pid() == Pid::SDT);
    let late = gaps(&sdts, &|gap| gap > 2_000 * MS);
    let early = gaps(&sdts, &|gap| gap < 25 * MS);
    assert_eq!(known["SDT_error"], late);
    assert_eq!(known["SDT_actual_error"], late + early);
}

/// Time of each packet by TSDuck's clock: it stands still between PCRs and goes on by steps that are shorter than a second. A
/// longer one takes as long as its packets at the rate of the second before, and no time while there is no rate.
fn tsduck_times(packets: &[[u8; TS_PACKET_SIZE]]) -> Vec<u64> {
    let mut now = 0;
    let mut last: Option<(Pcr27MHz, u64)> = None;
    let mut recent: VecDeque<(Pcr27MHz, u64)> = VecDeque::new();
    // Packets, and the ticks that they took.
    let mut rate: Option<(u64, u64)> = None;
    let mut times = Vec::new();
    for (position, packet) in (0..).zip(packets) {
        if let Some(pcr) = TsPacket::new(packet).pcr() {
            if let Some((before, since)) = last.replace((pcr, position)) {
                let step = pcr.ticks_since(before);
                now += match rate {
                    _ if step < Pcr27MHz::HZ => step,
                    Some((packets, ticks)) => (position - since) * ticks / packets,
                    None => 1,
                };
            }
            recent.retain(|(earlier, _)| pcr.ticks_since(*earlier) <= Pcr27MHz::HZ);
            if let Some((earlier, since)) = recent.front() {
                rate = Some((position - since, pcr.ticks_since(*earlier)));
            }
            recent.push_back((pcr, position));
        }
        times.push(now);
    }
    times
}

#[test]
fn tsduck_counts_eit_on_other_pids_and_what_comes_at_once_without_a_clock() {
    let Some((folder, facts)) = media() else {
        return;
    };
    let known = &facts[NO_CLOCK]["tsduck_tr101290_pcrclock"];
    let bytes = std::fs::read(folder.join(NO_CLOCK)).unwrap();
    let sections = tables(bytes.as_chunks().0);
    let count = |wanted: &dyn Fn(u16, u8) -> bool| {
        let wanted = sections.iter().filter(|(pid, table)| wanted(*pid, *table));
        wanted.count()
    };
    // TR 101 290 3.6 knows no error of an EIT on another PID; TSDuck has it.
    let elsewhere = count(&|pid, table| pid != 0x12 && (0x4E..=0x6F).contains(&table));
    assert_eq!(known["EIT_error"], elsewhere);
    // All sections come at the same time when there is none, so each but the first comes less than 25 ms behind another.
    let present_following = count(&|pid, table| (pid, table) == (0x12, 0x4E));
    assert_eq!(known["EIT_actual_error"], present_following - 1);
}

/// PID and table_id of every section with a good CRC.
fn tables(packets: &[[u8; TS_PACKET_SIZE]]) -> Vec<(u16, u8)> {
    let mut found = Vec::new();
    let mut parts: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    for packet in packets.iter().map(TsPacket::new) {
        let pid = packet.pid().value();
        let Some(mut payload) = packet.payload() else {
            continue;
        };
        if packet.payload_unit_start_indicator() {
            let (tail, fresh) = payload[1..].split_at(usize::from(payload[0]));
            if let Some(part) = parts.get_mut(&pid) {
                part.extend_from_slice(tail);
                take_tables(part, |table| found.push((pid, table)));
            }
            parts.insert(pid, Vec::new());
            payload = fresh;
        }
        if let Some(part) = parts.get_mut(&pid) {
            part.extend_from_slice(payload);
            take_tables(part, |table| found.push((pid, table)));
        }
    }
    found
}

/// Takes whole sections from the front of `bytes`.
fn take_tables(bytes: &mut Vec<u8>, mut take: impl FnMut(u8)) {
    while let [table, high, low, ..] = bytes[..]
        && table != 0xFF
    {
        let size = 3 + (usize::from(high & 0x0F) << 8 | usize::from(low));
        if bytes.len() < size {
            return;
        }
        let section: Vec<u8> = bytes.drain(..size).collect();
        if crc_32(&section) == 0 {
            take(table);
        }
    }
}

/// CRC_32 of ISO/IEC 13818-1 annex A; 0 over a section with its CRC.
fn crc_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 }
        })
    })
}
