//! Decides which packet stands in which slot of the multiplex.

use super::cadence::Cadence;
use super::mp2::{self, AudioMode};
use super::pes;
use super::plan::{PAT_PMT_INTERVAL_MS, Plan, SDT_INTERVAL_MS};
use super::psi::{self, ServiceType};
use super::video::VideoPackets;
use super::{BITS_PER_PACKET, TestSource};
use crate::packet::{
    AdaptationFieldControl, NULL_PACKET, PacketHeader, Pcr27MHz, Pts90kHz, TS_PACKET_SIZE,
    advance_continuity_counter,
};

/// The multiplexer.
///
/// Each kind of packet has its [`Cadence`]. A slot goes to the first kind that is due in the order
/// video, PAT, PMT, SDT, audio, and to a null packet when none is. Video first means that PCRs are
/// never late. It leaves at least every fourth slot, and behind the start of the stream no two tables
/// are due together, so audio waits for one of them at most.
#[derive(Debug)]
pub(super) struct Mux {
    slot: u64,
    clock: SlotClock,

    video_cadence: Cadence,
    video: VideoPackets,
    tables: [Table; 3],
    audio_cadence: Cadence,
    audio: AudioPackets,
}

/// Video and audio begin behind the first PAT, PMT and SDT, so that a receiver knows what it gets.
const MEDIA_FIRST_SLOT: u64 = 3;

/// The first PMT and SDT stand right behind the first PAT. From then on the PMT stands half way between
/// two PATs and the SDT between PMT and PAT: tables in a row would keep audio waiting at low bitrates.
const PMT_EARLY_MS: u64 = PAT_PMT_INTERVAL_MS / 2;
const SDT_EARLY_MS: u64 = PAT_PMT_INTERVAL_MS / 4;

/// Time in 90 kHz ticks from the slot where a frame begins to be sent to its decoding: 400 ms, of
/// which sending takes 40. At 20 Mb/s that is 1 MB, where level 4 has 3.75 MB.
const VIDEO_LEAD_90KHZ: u64 = 36_000;

/// The same for audio: 160 ms, 2560 bytes at 128 kb/s, where the T-STD has 3584.
const AUDIO_LEAD_90KHZ: u64 = 14_400;

impl Mux {
    pub(super) fn new(plan: &Plan, service_name: &str, start_pcr: Pcr27MHz) -> Self {
        let service_type = if plan.picture.height >= 720 {
            ServiceType::AvcHd
        } else {
            ServiceType::AvcSd
        };
        let table = |packet, first, interval_ms, early_ms| {
            let (num, den) = plan.slots_in_ms(interval_ms);
            let (early_num, early_den) = plan.slots_in_ms(early_ms);
            let early = (early_num / early_den) as u64;
            Table {
                cadence: Cadence::new(num, den, first).early_by(early),
                packet,
                continuity_counter: 0,
            }
        };
        let clock = SlotClock {
            start: start_pcr,
            bitrate_bps: plan.bitrate_bps,
        };
        let media_start = Pts90kHz::from_ticks(clock.at(MEDIA_FIRST_SLOT).base());
        let sdt = psi::sdt(service_name, service_type);
        let audio_packets = u128::from(plan.audio.packets_per_pes());
        let (pes_num, pes_den) = plan.slots_in_ms(mp2::PES_MS);
        Self {
            slot: 0,
            clock,
            video_cadence: Cadence::new(
                u128::from(plan.bitrate_bps),
                u128::from(BITS_PER_PACKET * plan.video_packets_per_second),
                MEDIA_FIRST_SLOT,
            ),
            video: VideoPackets::new(plan, media_start.wrapping_add(VIDEO_LEAD_90KHZ)),
            tables: [
                table(psi::pat(), 0, PAT_PMT_INTERVAL_MS, 0),
                table(psi::pmt(), 1, PAT_PMT_INTERVAL_MS, PMT_EARLY_MS),
                table(sdt, 2, SDT_INTERVAL_MS, SDT_EARLY_MS),
            ],
            audio_cadence: Cadence::new(pes_num, pes_den * audio_packets, MEDIA_FIRST_SLOT),
            audio: AudioPackets::new(plan.audio, media_start.wrapping_add(AUDIO_LEAD_90KHZ)),
        }
    }

    pub(super) fn packets_written(&self) -> u64 {
        self.slot
    }

    pub(super) fn write(&mut self, mut out: &mut [[u8; TS_PACKET_SIZE]]) {
        loop {
            // Nothing is due before `next`: those slots are null packets, at any bitrate most of
            // what is to do.
            let nulls = usize::try_from(self.next_due_slot().saturating_sub(self.slot))
                .unwrap_or(usize::MAX)
                .min(out.len());
            let (stuffing, rest) = out.split_at_mut(nulls);
            stuffing.fill(NULL_PACKET);
            self.slot += nulls as u64;
            let Some((packet, rest)) = rest.split_first_mut() else {
                return;
            };
            self.write_due(packet);
            self.slot += 1;
            out = rest;
        }
    }

    fn next_due_slot(&self) -> u64 {
        let [pat, pmt, sdt] = &self.tables;
        [pat, pmt, sdt]
            .map(|table| table.cadence.next_slot())
            .into_iter()
            .fold(
                self.video_cadence
                    .next_slot()
                    .min(self.audio_cadence.next_slot()),
                u64::min,
            )
    }

    /// Writes the most urgent packet of those that are due.
    fn write_due(&mut self, packet: &mut [u8; TS_PACKET_SIZE]) {
        if self.video_cadence.next_slot() <= self.slot {
            self.video_cadence.advance();
            self.video.write(packet, self.clock.at(self.slot));
        } else if let Some(table) = self
            .tables
            .iter_mut()
            .find(|table| table.cadence.next_slot() <= self.slot)
        {
            table.cadence.advance();
            *packet = table.packet;
            advance_continuity_counter(packet, &mut table.continuity_counter);
        } else {
            self.audio_cadence.advance();
            self.audio.write(packet);
        }
    }
}

/// Program clock along the constant-bitrate line.
#[derive(Debug)]
struct SlotClock {
    start: Pcr27MHz,
    bitrate_bps: u64,
}

impl SlotClock {
    /// PCR of a packet in `slot`: the time of the byte with the last bit of
    /// program_clock_reference_base (ISO/IEC 13818-1 2.4.2.2), which is byte 10 of the packet.
    fn at(&self, slot: u64) -> Pcr27MHz {
        let bits = u128::from(slot) * u128::from(BITS_PER_PACKET) + 10 * 8;
        let ticks = bits * u128::from(Pcr27MHz::HZ) / u128::from(self.bitrate_bps);
        self.start
            .wrapping_add((ticks % u128::from(Pcr27MHz::MODULUS)) as u64)
    }
}

/// A table of one packet that recurs.
#[derive(Debug)]
struct Table {
    cadence: Cadence,
    packet: [u8; TS_PACKET_SIZE],
    continuity_counter: u8,
}

/// The audio PES packet, which differs from one to the next only in PTS and continuity counters.
#[derive(Debug)]
struct AudioPackets {
    packets: Box<[[u8; TS_PACKET_SIZE]]>,
    next: usize,
    continuity_counter: u8,
    pts: Pts90kHz,
}

impl AudioPackets {
    fn new(mode: AudioMode, first_pts: Pts90kHz) -> Self {
        let frames = mode.frame().repeat(mp2::FRAMES_PER_PES as usize);
        let mut pes = pes::header(pes::STREAM_ID_AUDIO, frames.len() as u16, first_pts).to_vec();
        pes.extend_from_slice(&frames);
        let packets = pes
            .chunks(TS_PACKET_SIZE - 4)
            .enumerate()
            .map(|(index, payload)| audio_packet(index == 0, payload))
            .collect();
        Self {
            packets,
            next: 0,
            continuity_counter: 0,
            pts: first_pts,
        }
    }

    fn write(&mut self, packet: &mut [u8; TS_PACKET_SIZE]) {
        *packet = self.packets[self.next];
        advance_continuity_counter(packet, &mut self.continuity_counter);
        if self.next == 0 {
            let pts_start = 4 + pes::PTS_RANGE.start;
            packet[pts_start..4 + pes::PTS_RANGE.end].copy_from_slice(&self.pts.to_wire(2));
            self.pts = self
                .pts
                .wrapping_add(mp2::FRAMES_PER_PES * mp2::FRAME_TICKS_90KHZ);
        }
        self.next = (self.next + 1) % self.packets.len();
    }
}

/// A packet with `payload`, at most 184 bytes, behind as much adaptation field stuffing as it takes.
fn audio_packet(payload_unit_start: bool, payload: &[u8]) -> [u8; TS_PACKET_SIZE] {
    let mut packet = [0xFF; TS_PACKET_SIZE];
    let start = TS_PACKET_SIZE - payload.len();
    let adaptation_field_control = if start > 4 {
        // adaptation_field_length, then flags (none set) and stuffing bytes, if it is long enough.
        packet[4] = (start - 5) as u8;
        if start > 5 {
            packet[5] = 0;
        }
        AdaptationFieldControl::Both
    } else {
        AdaptationFieldControl::Payload
    };
    let header = PacketHeader {
        pid: TestSource::AUDIO_PID,
        payload_unit_start,
        adaptation_field_control,
        continuity_counter: 0,
    };
    packet[..4].copy_from_slice(&header.to_wire());
    packet[start..].copy_from_slice(payload);
    packet
}
