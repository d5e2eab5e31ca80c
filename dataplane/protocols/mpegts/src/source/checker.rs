//! A small analyser of its own for the tests: it reads a whole stream with nothing but byte offsets
//! and the standards in mind, and shares only the clock types with the code under test.

use std::collections::BTreeMap;

use crate::packet::{Pcr27MHz, Pts90kHz};

/// What is kept of each PID.
#[derive(Default)]
struct PidState {
    continuity_counter: Option<u8>,
    packets: u64,
}

/// What is kept of each elementary stream.
#[derive(Default)]
struct PesState {
    last_pts: Option<Pts90kHz>,
    /// The PES packet that is being received.
    bytes: Vec<u8>,
    /// Each PES packet that is complete.
    complete: Vec<Vec<u8>>,
}

/// Walks a stream packet by packet and panics at the first thing that is wrong.
pub(super) struct Checker {
    bitrate_bps: u64,
    start: Pcr27MHz,
    index: u64,
    pids: BTreeMap<u16, PidState>,
    video: PesState,
    audio: PesState,
    last_section_slot: BTreeMap<u16, u64>,
    last_pcr_slot: Option<u64>,
    pub(super) sections: BTreeMap<u16, Vec<u8>>,
    pub(super) section_interval_ms_max: BTreeMap<u16, f64>,
    pub(super) pcr_interval_ms_max: f64,
    pub(super) video_lead_ms: (f64, f64),
    pub(super) audio_lead_ms: (f64, f64),
}

impl Checker {
    pub(super) fn new(bitrate_bps: u64, start: Pcr27MHz) -> Self {
        Self {
            bitrate_bps,
            start,
            index: 0,
            pids: BTreeMap::new(),
            video: PesState::default(),
            audio: PesState::default(),
            last_section_slot: BTreeMap::new(),
            last_pcr_slot: None,
            sections: BTreeMap::new(),
            section_interval_ms_max: BTreeMap::new(),
            pcr_interval_ms_max: 0.0,
            video_lead_ms: (f64::MAX, f64::MIN),
            audio_lead_ms: (f64::MAX, f64::MIN),
        }
    }

    /// Share of the packets of `pid`.
    pub(super) fn share(&self, pid: u16) -> f64 {
        self.pids
            .get(&pid)
            .map_or(0.0, |state| state.packets as f64)
            / self.index as f64
    }

    pub(super) fn pids(&self) -> Vec<u16> {
        self.pids.keys().copied().collect()
    }

    /// Complete PES packets of video and audio.
    pub(super) fn pes_packets(&self) -> (&[Vec<u8>], &[Vec<u8>]) {
        (&self.video.complete, &self.audio.complete)
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for packet in bytes.chunks(188) {
            self.packet(packet);
            self.index += 1;
        }
    }

    fn ms(&self, slots: u64) -> f64 {
        slots as f64 * 1504.0 * 1000.0 / self.bitrate_bps as f64
    }

    fn packet(&mut self, p: &[u8]) {
        let at = self.index;
        assert_eq!(p.len(), 188);
        assert_eq!(p[0], 0x47, "packet {at}: sync byte");
        assert_eq!(p[1] & 0xA0, 0, "packet {at}: error indicator or priority");
        let pusi = p[1] & 0x40 != 0;
        let pid = u16::from(p[1] & 0x1F) << 8 | u16::from(p[2]);
        assert_eq!(p[3] & 0xC0, 0, "packet {at}: scrambled");
        let (has_field, has_payload) = (p[3] & 0x20 != 0, p[3] & 0x10 != 0);
        let counter = p[3] & 0x0F;

        let state = self.pids.entry(pid).or_default();
        state.packets += 1;
        if pid == 0x1FFF {
            assert!(has_payload && !has_field && p[4..].iter().all(|&byte| byte == 0xFF));
            return;
        }
        assert!(
            has_payload || has_field,
            "packet {at}: reserved adaptation_field_control"
        );
        if let Some(last) = state.continuity_counter {
            let expected = if has_payload { (last + 1) % 16 } else { last };
            assert_eq!(counter, expected, "packet {at}: continuity of PID {pid}");
        }
        state.continuity_counter = Some(counter);

        let mut payload = 4;
        if has_field {
            let length = usize::from(p[4]);
            payload = 5 + length;
            assert!(
                if has_payload {
                    payload < 188
                } else {
                    payload == 188
                },
                "packet {at}"
            );
            let mut used = 0;
            if length > 0 {
                assert_eq!(
                    p[5] & 0xAF,
                    0,
                    "packet {at}: unexpected adaptation field flags"
                );
                used = if p[5] & 0x10 != 0 { 7 } else { 1 };
                if p[5] & 0x10 != 0 {
                    assert_eq!(
                        pid, 256,
                        "packet {at}: PCR on a PID that is not the PCR PID"
                    );
                    self.pcr(&p[6..12]);
                }
                if p[5] & 0x40 != 0 {
                    assert!(
                        pusi,
                        "packet {at}: random access in the middle of a PES packet"
                    );
                }
            }
            assert!(
                p[5 + used..payload].iter().all(|&byte| byte == 0xFF),
                "packet {at}"
            );
        }
        if !has_payload {
            return;
        }
        match pid {
            0 | 0x11 | 4096 => self.section(pid, pusi, &p[payload..]),
            256 | 257 => self.pes(pid, pusi, &p[payload..]),
            _ => panic!("packet {at}: PID {pid} is not announced"),
        }
    }

    fn pcr(&mut self, field: &[u8]) {
        let base = field[..4]
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte))
            << 1
            | u64::from(field[4] >> 7);
        assert_eq!(field[4] & 0x7E, 0x7E);
        let extension = u64::from(field[4] & 1) << 8 | u64::from(field[5]);
        assert!(extension < 300);
        let pcr = Pcr27MHz::from_ticks(base * 300 + extension);

        // 27 MHz times the position of the byte, over the rate: compared without division, so that
        // the deviation from the line is exact.
        let elapsed = u128::from(pcr.ticks_since(self.start));
        let bits = u128::from(self.index) * 1504 + 80;
        let (have, line) = (elapsed * u128::from(self.bitrate_bps), bits * 27_000_000);
        assert!(
            have <= line && line - have < u128::from(self.bitrate_bps),
            "packet {}: PCR is off the line by a tick or more",
            self.index
        );
        if let Some(last) = self.last_pcr_slot {
            let interval = self.ms(self.index - last);
            self.pcr_interval_ms_max = self.pcr_interval_ms_max.max(interval);
        }
        self.last_pcr_slot = Some(self.index);
    }

    fn section(&mut self, pid: u16, pusi: bool, payload: &[u8]) {
        assert!(pusi);
        assert_eq!(payload[0], 0, "pointer_field");
        let length = usize::from(payload[2] & 0x0F) << 8 | usize::from(payload[3]);
        let section = &payload[1..1 + 3 + length];
        let mut crc = u32::MAX;
        for byte in section {
            for bit in (0..8).rev() {
                let carry = crc >> 31 ^ u32::from(byte >> bit & 1);
                crc = crc << 1 ^ (carry * 0x04C1_1DB7);
            }
        }
        assert_eq!(crc, 0, "CRC of PID {pid}");
        assert!(
            payload[1 + section.len()..]
                .iter()
                .all(|&byte| byte == 0xFF)
        );
        let first = self.sections.entry(pid).or_insert_with(|| section.to_vec());
        assert_eq!(first, section, "PID {pid} changed without a new version");
        if let Some(last) = self.last_section_slot.insert(pid, self.index) {
            let interval = self.ms(self.index - last);
            let max = self.section_interval_ms_max.entry(pid).or_default();
            *max = max.max(interval);
            assert!(interval >= 25.0, "PID {pid}: sections closer than 25 ms");
        }
    }

    fn pes(&mut self, pid: u16, pusi: bool, payload: &[u8]) {
        // When the last bit of the packet is here.
        let now = self.start.wrapping_add(
            (u128::from(self.index + 1) * 1504 * 27_000_000 / u128::from(self.bitrate_bps)
                % u128::from(Pcr27MHz::MODULUS)) as u64,
        );
        let (state, stream_id, lead, ticks) = if pid == 256 {
            (&mut self.video, 0xE0, &mut self.video_lead_ms, 3600)
        } else {
            (&mut self.audio, 0xC0, &mut self.audio_lead_ms, 5 * 2160)
        };
        if pusi {
            assert_eq!(payload[..4], [0, 0, 1, stream_id]);
            assert_eq!(payload[6] & 0xC0, 0x80);
            assert_eq!(payload[7], 0x80, "PTS and nothing else");
            assert_eq!(payload[8], 5);
            assert_eq!(payload[9] & 0xF1, 0x21);
            let pts = u64::from(payload[9] >> 1 & 7) << 30
                | u64::from(payload[10]) << 22
                | u64::from(payload[11] >> 1) << 15
                | u64::from(payload[12]) << 7
                | u64::from(payload[13] >> 1);
            let pts = Pts90kHz::from_ticks(pts);
            if let Some(last) = state.last_pts {
                assert_eq!(
                    pts.signed_difference(last),
                    ticks,
                    "PID {pid}: step of the PTS"
                );
            }
            state.last_pts = Some(pts);
            if !state.bytes.is_empty() {
                state.complete.push(std::mem::take(&mut state.bytes));
            }
        }
        // Every byte must be there before its access unit is decoded, and not a second before.
        let pts = state.last_pts.expect("a PES packet has begun");
        let ahead = pts.signed_difference(Pts90kHz::from_ticks(now.base())) as f64 / 90.0;
        *lead = (lead.0.min(ahead), lead.1.max(ahead));
        state.bytes.extend_from_slice(payload);
    }
}
