//! The built-in test source with faults put in: each raises its own counters by the exact number, and no other, and health
//! follows it and comes back. What is allowed raises none, and neither do clean streams of any rate.

use std::collections::BTreeSet;

use bilbycast_mpegts::{NULL_PACKET, Pcr27MHz, Pid, TestSource, TsPacket as View};
use bilbycast_tests::playback::{Seen, Stream, TsPacket};
use serde_json::Value;

use super::{Counts, Played, assert_arrived, errors, play, rates, told};

const BITRATE_BPS: u64 = 2_000_000;

const LENGTH_MS: u64 = 7_500;

/// Faults lie in this time. Before it every verdict has been reached, and behind it health has time to come back.
const FAULTS_MS: std::ops::Range<u64> = 3_000..4_500;

/// The same number of every fault that can be told one by one, spread over [`FAULTS_MS`].
const FAULTS: usize = 12;

/// Pairs of packets that change places.
const SWAPS: usize = 4;

/// From here on the audio is away.
const GONE_MS: u64 = 300;

/// What is done to a stream.
type Change = fn(&mut Line);

/// What changes nothing, by name: nothing at all, and what the standards allow.
const ALLOWED: [(&str, Change); 3] = [
    ("clean", |_| {}),
    // One identical repeat of a packet is legal (ISO/IEC 13818-1 2.4.3.3).
    ("packets-twice", |line| line.repeat(1)),
    ("clock-jitter", |line| {
        // Up to 296 ns to either side, without any order.
        let mut random = 1_u64;
        for at in 0..line.packets.len() {
            if View::new(&line.packets[at].0).pcr().is_some() {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                line.move_pcr(at, Pcr27MHz::MODULUS - 8 + (random >> 33) % 17);
            }
        }
    }),
];

/// A fault and what it does.
struct Fault {
    name: &'static str,
    put_in: Change,
    /// What is counted, and how often.
    counts: &'static [(&'static str, u64)],
    /// Health while it is there.
    health: &'static str,
    /// The events that tell of it name this indicator.
    indicator: &'static str,
}

const ALL: [Fault; 14] = [
    Fault {
        name: "dropped-packets",
        put_in: |line| {
            let dropped: BTreeSet<usize> = line.some_video().into_iter().collect();
            let mut position = 0..;
            line.packets
                .retain(|_| !dropped.contains(&position.next().unwrap()));
        },
        counts: &[("cc_errors", FAULTS as u64)],
        health: "Error",
        indicator: "1.4",
    },
    Fault {
        name: "packets-three-times",
        put_in: |line| line.repeat(2),
        counts: &[("cc_errors", FAULTS as u64)],
        health: "Error",
        indicator: "1.4",
    },
    Fault {
        name: "swapped-packets",
        put_in: |line| {
            let audio = line.in_time(|packet| packet.pid() == TestSource::AUDIO_PID);
            let begins =
                |at: &usize| View::new(&line.packets[*at].0).payload_unit_start_indicator();
            let (pairs, _) = audio.as_chunks::<2>();
            let pairs: Vec<[usize; 2]> = pairs
                .iter()
                .filter(|pair| !pair.iter().any(begins))
                .copied()
                .collect();
            let step = pairs.len() / SWAPS;
            assert!(step > 0, "{} are too few", pairs.len());
            for [first, second] in pairs.into_iter().step_by(step).take(SWAPS) {
                let packet = line.packets[first].0;
                line.packets[first].0 = line.packets[second].0;
                line.packets[second].0 = packet;
            }
        },
        // 0 2 1 3: each of the three steps is out of order.
        counts: &[("cc_errors", 3 * SWAPS as u64)],
        health: "Error",
        indicator: "1.4",
    },
    Fault {
        name: "bad-sync-bytes",
        put_in: |line| {
            for at in line.some_video() {
                line.packets[at].0[0] = 0x46;
            }
        },
        counts: &[("sync_byte_errors", FAULTS as u64)],
        health: "Error",
        indicator: "1.2",
    },
    Fault {
        name: "sync-loss",
        put_in: |line| {
            let at = line.some_video()[0];
            line.packets[at].0[0] = 0x46;
            line.packets[at + 1].0[0] = 0x46;
        },
        counts: &[("sync_byte_errors", 2), ("sync_loss_count", 1)],
        health: "Error",
        indicator: "1.1",
    },
    Fault {
        name: "pat-gap",
        put_in: |line| {
            // They come every 80 ms: without eight there are 720 ms between two.
            let pats = line.in_time(|packet| packet.pid() == Pid::PAT);
            line.take_out(Pid::PAT, &pats[..8]);
        },
        counts: &[("pat_errors", 1)],
        health: "Error",
        indicator: "1.3",
    },
    Fault {
        name: "scrambled-pat",
        put_in: |line| {
            // Every other one, so that those in between come in time.
            let pats = line.in_time(|packet| packet.pid() == Pid::PAT);
            for at in pats.into_iter().step_by(2).take(FAULTS / 2) {
                line.packets[at].0[3] |= 0x80;
            }
        },
        counts: &[("pat_errors", FAULTS as u64 / 2)],
        health: "Error",
        indicator: "1.3",
    },
    Fault {
        name: "pmt-gap",
        put_in: |line| {
            let pmts = line.in_time(|packet| packet.pid() == TestSource::PMT_PID);
            line.take_out(TestSource::PMT_PID, &pmts[..8]);
        },
        counts: &[("pmt_errors", 1)],
        health: "Error",
        indicator: "1.5",
    },
    Fault {
        name: "missing-pid",
        put_in: |line| {
            // Missed when it has been away for five seconds, so it goes long before the other faults.
            for (packet, at_ns) in &mut line.packets {
                let is_audio = View::new(packet).pid() == TestSource::AUDIO_PID;
                if is_audio && *at_ns > GONE_MS * 1_000_000 {
                    *packet = NULL_PACKET;
                }
            }
        },
        counts: &[("pid_errors", 1)],
        health: "Error",
        indicator: "1.6",
    },
    Fault {
        name: "transport-errors",
        put_in: |line| {
            for at in line.some_video() {
                line.packets[at].0[1] |= 0x80;
            }
        },
        counts: &[("tei_errors", FAULTS as u64)],
        health: "Warning",
        indicator: "2.1",
    },
    Fault {
        name: "bad-crc",
        put_in: |line| {
            // Every other PAT and PMT, so that none of them is missing for long.
            let tables = [Pid::PAT, TestSource::PMT_PID].map(|pid| {
                let tables = line.in_time(|packet| packet.pid() == pid);
                tables.into_iter().step_by(2).take(FAULTS / 2)
            });
            for at in tables.into_iter().flatten() {
                // Behind four bytes of header and pointer_field there are table_id and section_length; the section ends with
                // its CRC.
                let packet = &mut line.packets[at].0;
                let length = usize::from(u16::from_be_bytes([packet[6] & 0x0f, packet[7]]));
                packet[8 + length - 1] ^= 1;
            }
        },
        counts: &[("crc_errors", FAULTS as u64)],
        health: "Warning",
        indicator: "2.2",
    },
    Fault {
        name: "clock-jumps",
        put_in: |line| {
            // Five seconds on, and back again 0.6 s later, before health is good.
            let pcrs = line.in_time(|packet| packet.pcr().is_some());
            for &at in &pcrs[..30] {
                line.move_pcr(at, 5 * 27_000_000);
            }
        },
        counts: &[("pcr_discontinuity_errors", 2)],
        health: "Warning",
        indicator: "2.3b",
    },
    Fault {
        name: "inaccurate-clock",
        put_in: |line| {
            let pcrs = line.in_time(|packet| packet.pcr().is_some());
            for at in spread(&pcrs) {
                // 2 us.
                line.move_pcr(at, 54);
            }
        },
        counts: &[("pcr_accuracy_errors", FAULTS as u64)],
        health: "Warning",
        indicator: "2.4",
    },
    Fault {
        name: "pts-gap",
        put_in: |line| {
            // Pictures come every 40 ms: without 20 there are 840 ms between two PTS.
            let starts = line.in_time(|packet| {
                packet.pid() == TestSource::VIDEO_PID && packet.payload_unit_start_indicator()
            });
            for &at in &starts[..20] {
                // PTS_DTS_flags of the PES header, behind whatever adaptation field there is.
                let packet = &mut line.packets[at].0;
                let header = packet.len() - View::new(packet).payload().unwrap().len();
                packet[header + 7] &= 0x3f;
            }
        },
        counts: &[("pts_errors", 1)],
        health: "Warning",
        indicator: "2.5",
    },
];

/// The test source's stream, and when each packet is sent.
struct Line {
    packets: Vec<(TsPacket, u64)>,
}

#[test]
fn faults_are_counted_one_by_one() {
    let changes = ALLOWED
        .iter()
        .copied()
        .chain(ALL.iter().map(|fault| (fault.name, fault.put_in)));
    let changed = changes.zip(1..).map(|((name, change), ssrc)| {
        let mut line = Line::clean();
        change(&mut line);
        Played {
            flow_id: name.to_owned(),
            stream: Stream::new(ssrc, &line.packets),
        }
    });
    let mut streams: Vec<Played> = changed.collect();
    let other_rates = streams.len();
    streams.extend(rates::clean_streams(LENGTH_MS, 100));
    let seen = play(&streams.iter().collect::<Vec<_>>());

    let (streams, clean) = streams.split_at(other_rates);
    let (seen, seen_clean) = seen.split_at(other_rates);
    for (played, seen) in clean.iter().zip(seen_clean) {
        println!("{}", played.flow_id);
        assert_arrived(played, seen);
        check_nothing_counted(seen);
    }
    let (allowed, spoiled) = streams.split_at(ALLOWED.len());
    let (seen_allowed, seen) = seen.split_at(ALLOWED.len());
    for (played, seen) in allowed.iter().zip(seen_allowed) {
        println!("{}", played.flow_id);
        assert_arrived(played, seen);
        check_clean(seen);
    }
    for ((fault, played), seen) in ALL.iter().zip(spoiled).zip(seen) {
        println!("{}", fault.name);
        let stats = &seen.stats;
        assert_arrived(played, seen);
        let counts = fault.counts.iter();
        let counts: Counts = counts
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect();
        assert_eq!(errors(&stats["tr101290"]), counts, "{stats:#}");
        assert_eq!(seen.health, ["Healthy", fault.health, "Healthy"]);
        let told = told(seen);
        let of_indicator = |event: &&&Value| {
            let indicator = event["details"]["indicator"].as_str().unwrap_or("");
            indicator.split(' ').next() == Some(fault.indicator)
        };
        assert_eq!(told.iter().filter(of_indicator).count(), 1, "{told:#?}");
        // One for each indicator and one for health; that it is good again is told when it lasts.
        assert_eq!(told.len(), fault.counts.len() + 1, "{told:#?}");
    }
}

/// A stream without a fault raises nothing, and the arrival figures are those of the player.
fn check_clean(seen: &Seen) {
    check_nothing_counted(seen);
    let stats = &seen.stats;
    let datagram_us = 7.0 * 1_504.0 * 1e6 / BITRATE_BPS as f64;
    let iat = |figure: &str| stats["iat"][figure].as_f64().unwrap();
    assert!(
        (iat("avg_us") / datagram_us - 1.0).abs() < 0.05,
        "{stats:#}"
    );
    assert!(iat("min_us") <= iat("avg_us") && iat("avg_us") <= iat("max_us"));
    // No two datagrams are further apart, compared to their time stamps, than the latest was late.
    let late_max_us = super::LATE_MAX.as_micros() as f64;
    let jitter_us = stats["pdv_jitter_us"].as_f64().unwrap();
    assert!((0.0..=late_max_us).contains(&jitter_us), "{stats:#}");
    let media = &seen.media;
    assert_eq!(media["program_count"], 1, "{media:#}");
    assert_eq!(media["video_streams"][0]["codec"], "H.264/AVC");
    assert_eq!(media["video_streams"][0]["frame_rate"], 25.0);
    assert_eq!(media["audio_streams"][0]["codec"], "MPEG-1 Layer II");
    assert_eq!(media["audio_streams"][0]["sample_rate_hz"], 48_000);
    let bitrate = media["total_bitrate_bps"].as_f64().unwrap();
    assert!(
        (bitrate / BITRATE_BPS as f64 - 1.0).abs() < 1e-4,
        "{media:#}"
    );
}

fn check_nothing_counted(seen: &Seen) {
    let stats = &seen.stats;
    assert_eq!(errors(&stats["tr101290"]), Counts::new(), "{stats:#}");
    assert_eq!(stats["tr101290"]["priority1_ok"], true);
    assert_eq!(stats["tr101290"]["priority2_ok"], true);
    assert_eq!(seen.health, ["Healthy"]);
    assert_eq!(told(seen), Vec::<&Value>::new());
}

impl Line {
    fn clean() -> Self {
        let packets = rates::test_source(BITRATE_BPS, LENGTH_MS);
        Self {
            packets: rates::timed(BITRATE_BPS, packets),
        }
    }

    /// Positions within [`FAULTS_MS`].
    fn in_time(&self, wanted: impl Fn(View<'_>) -> bool) -> Vec<usize> {
        let packets = self.packets.iter().enumerate();
        let packets = packets.filter(|(_, (packet, at_ns))| {
            FAULTS_MS.contains(&(at_ns / 1_000_000)) && wanted(View::new(packet))
        });
        packets.map(|(position, _)| position).collect()
    }

    /// [`FAULTS`] packets of the video with neither a clock nor a beginning, nor side by side.
    fn some_video(&self) -> Vec<usize> {
        spread(&self.in_time(|packet| {
            packet.pid() == TestSource::VIDEO_PID
                && packet.pcr().is_none()
                && packet.payload().is_some()
                && !packet.payload_unit_start_indicator()
        }))
    }

    /// Sends some packets of the video again, `times` times, right behind themselves.
    fn repeat(&mut self, times: usize) {
        // From behind, so that positions stay what they are.
        for at in self.some_video().into_iter().rev() {
            let packet = self.packets[at];
            self.packets
                .splice(at..at, std::iter::repeat_n(packet, times));
        }
    }

    /// Replaces packets by null packets and lets the counters of their PID go on without them.
    fn take_out(&mut self, pid: Pid, positions: &[usize]) {
        for &position in positions {
            self.packets[position].0 = NULL_PACKET;
            for (packet, _) in &mut self.packets[position..] {
                if View::new(packet).pid() == pid {
                    packet[3] = (packet[3] & 0xf0) | (packet[3].wrapping_sub(1) & 0x0f);
                }
            }
        }
    }

    /// Moves a clock on by `ticks` of 27 MHz; it wraps.
    fn move_pcr(&mut self, position: usize, ticks: u64) {
        let packet = &mut self.packets[position].0;
        let pcr: Pcr27MHz = View::new(packet).pcr().unwrap();
        packet[6..12].copy_from_slice(&pcr.wrapping_add(ticks).to_wire());
    }
}

/// [`FAULTS`] of the positions, at equal distances.
fn spread(positions: &[usize]) -> Vec<usize> {
    let step = positions.len() / FAULTS;
    assert!(step > 0, "{} are too few", positions.len());
    positions
        .iter()
        .copied()
        .step_by(step)
        .take(FAULTS)
        .collect()
}
