//! The video elementary stream, prepared, and cut into transport packets of an even rate.

use super::TestSource;
use super::h264::{self, NAL_FILLER_DATA};
use super::pes;
use super::picture::{GOP_FRAMES, PictureFormat};
use super::plan::{FRAMES_PER_SECOND, PCR_INTERVAL_MS, Plan};
use crate::packet::{
    AdaptationFieldControl, PCR_FIELD_SIZE, PacketHeader, Pcr27MHz, Pts90kHz, TS_PACKET_SIZE,
    write_pcr,
};

/// All access units of the loop, one behind the other.
#[derive(Debug)]
struct AccessUnits {
    bytes: Box<[u8]>,
    /// End of each access unit in `bytes`.
    ends: Box<[usize]>,
}

impl AccessUnits {
    fn new(format: &PictureFormat) -> Self {
        let mut bytes = Vec::new();
        let ends = (0..format.loop_frames())
            .map(|frame| {
                h264::push_access_unit(&mut bytes, format, frame);
                bytes.len()
            })
            .collect();
        Self {
            bytes: bytes.into_boxed_slice(),
            ends,
        }
    }

    /// The access unit of a frame counted from the start of the stream.
    fn get(&self, frame: u64) -> &[u8] {
        let index = (frame % self.ends.len() as u64) as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}

/// Writes the packets of the video PID one after the other.
///
/// Packet `v` of the PID carries a PCR when `v` is a multiple of `pcr_period`, and so does the first
/// packet of an IDR picture; which packets have how much room is thereby known before they are
/// written, and each frame is padded with a filler data NAL unit to the exact end of its last packet.
#[derive(Debug)]
pub(super) struct VideoPackets {
    access_units: AccessUnits,
    packets_per_second: u64,
    pcr_period: u64,
    /// PTS of frame 0.
    first_pts: Pts90kHz,
    /// Packets written so far.
    packets: u64,
    continuity_counter: u8,

    // The frame that is being sent.
    /// Its number, counted from the start of the stream.
    frame: u64,
    /// Number of its first packet, and of the one behind its last.
    first_packet: u64,
    end_packet: u64,
    header: [u8; pes::HEADER_SIZE],
    /// Bytes sent of header, access unit and padding.
    sent: usize,
    /// Bytes of padding behind the access unit.
    padding: usize,
}

impl VideoPackets {
    pub(super) fn new(plan: &Plan, first_pts: Pts90kHz) -> Self {
        let mut video = Self {
            access_units: AccessUnits::new(plan.picture),
            packets_per_second: plan.video_packets_per_second,
            pcr_period: (plan.video_packets_per_second * PCR_INTERVAL_MS / 1000).max(1),
            first_pts,
            packets: 0,
            continuity_counter: 0,
            frame: 0,
            first_packet: 0,
            end_packet: 0,
            header: [0; pes::HEADER_SIZE],
            sent: 0,
            padding: 0,
        };
        video.begin_frame(0);
        video
    }

    /// Writes the next packet; `pcr` is the clock at its place in the multiplex.
    pub(super) fn write(&mut self, packet: &mut [u8; TS_PACKET_SIZE], pcr: Pcr27MHz) {
        if self.packets == self.end_packet {
            self.begin_frame(self.frame + 1);
        }
        let starts = self.packets == self.first_packet;
        let has_pcr = self.carries_pcr(self.packets);
        let header = PacketHeader {
            pid: TestSource::VIDEO_PID,
            payload_unit_start: starts,
            adaptation_field_control: if has_pcr {
                AdaptationFieldControl::Both
            } else {
                AdaptationFieldControl::Payload
            },
            continuity_counter: self.continuity_counter,
        };
        packet[..4].copy_from_slice(&header.to_wire());
        if has_pcr {
            write_pcr(packet, pcr, starts && self.is_idr());
            self.copy_pes(&mut packet[4 + PCR_FIELD_SIZE..]);
        } else {
            self.copy_pes(&mut packet[4..]);
        }
        self.continuity_counter = (self.continuity_counter + 1) & 0x0F;
        self.packets += 1;
    }

    /// Lays out `frame` from the next packet on.
    fn begin_frame(&mut self, frame: u64) {
        self.frame = frame;
        self.first_packet = self.packets;
        // A frame ends where the even rate says; one that needs more takes it, and the frames behind
        // it, which need next to nothing, get the less.
        let even_end = u128::from(frame + 1) * u128::from(self.packets_per_second)
            / u128::from(FRAMES_PER_SECOND);
        self.end_packet = (even_end as u64).max(self.first_packet + 1);
        let needed = pes::HEADER_SIZE + self.access_units.get(frame).len();
        while self.room() < needed {
            self.end_packet += 1;
        }
        self.padding = self.room() - needed;
        let pts = self
            .first_pts
            .wrapping_add(frame % Pts90kHz::MODULUS * FRAME_TICKS_90KHZ);
        self.header = pes::header(pes::STREAM_ID_VIDEO, 0, pts);
        self.sent = 0;
    }

    /// Payload bytes in the packets of the frame.
    fn room(&self) -> usize {
        let multiples = |end: u64| end.div_ceil(self.pcr_period); // of the period, below `end`
        let mut with_pcr = multiples(self.end_packet) - multiples(self.first_packet);
        if self.is_idr() && !self.first_packet.is_multiple_of(self.pcr_period) {
            with_pcr += 1;
        }
        let packets = (self.end_packet - self.first_packet) as usize;
        packets * (TS_PACKET_SIZE - 4) - with_pcr as usize * PCR_FIELD_SIZE
    }

    fn carries_pcr(&self, packet: u64) -> bool {
        packet.is_multiple_of(self.pcr_period) || (packet == self.first_packet && self.is_idr())
    }

    fn is_idr(&self) -> bool {
        // The loop is a whole number of GOPs long.
        self.frame.is_multiple_of(u64::from(GOP_FRAMES))
    }

    /// Fills `out` with the next bytes of header, access unit and padding.
    fn copy_pes(&mut self, mut out: &mut [u8]) {
        let access_unit = self.access_units.get(self.frame);
        let padding_start = pes::HEADER_SIZE + access_unit.len();
        while !out.is_empty() {
            let copied = if let Some(rest) = self.header.get(self.sent..).filter(|r| !r.is_empty())
            {
                copy_front(out, rest)
            } else if self.sent < padding_start {
                copy_front(out, &access_unit[self.sent - pes::HEADER_SIZE..])
            } else {
                let position = self.sent - padding_start;
                write_padding(out, position, self.padding);
                out.len()
            };
            self.sent += copied;
            out = &mut out[copied..];
        }
    }
}

/// Ticks of 90 kHz in a frame.
const FRAME_TICKS_90KHZ: u64 = 90_000 / FRAMES_PER_SECOND;

/// Copies as much of `from` as fits to the front of `out` and returns how much.
fn copy_front(out: &mut [u8], from: &[u8]) -> usize {
    let count = out.len().min(from.len());
    out[..count].copy_from_slice(&from[..count]);
    count
}

/// Start code and header of a filler data NAL unit (H.264 7.3.2.7).
const FILLER_START: [u8; 4] = [0, 0, 1, NAL_FILLER_DATA];

/// Shortest filler data NAL unit: its start and the trailing bits.
const FILLER_LEN_MIN: usize = FILLER_START.len() + 1;

/// Writes bytes `position` and following of a padding of `length` bytes: a filler data NAL unit, or
/// trailing_zero_8bits (H.264 B.1) where that does not fit.
fn write_padding(out: &mut [u8], position: usize, length: usize) {
    if length < FILLER_LEN_MIN {
        out.fill(0);
        return;
    }
    out.fill(0xFF);
    if let Some(start) = FILLER_START.get(position..) {
        copy_front(out, start);
    }
    // The trailing bits are the last byte of the padding.
    if position + out.len() == length
        && let Some(last) = out.last_mut()
    {
        *last = 0x80;
    }
}
