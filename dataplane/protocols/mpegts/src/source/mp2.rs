//! MPEG-1 audio Layer II (ISO/IEC 11172-3) with a steady tone of 1 kHz.
//!
//! At 48 kHz each of the 32 subbands is 750 Hz wide and sampled at 1500 Hz. A tone of 1 kHz lies in
//! subband 1 and is 500 Hz there (odd subbands are mirrored): three samples a period, 36 samples a
//! frame. So every frame holds twelve whole periods, all frames are the same bytes, and the tone goes
//! on without a seam. A faint mirror image at 500 Hz, which the synthesis filter leaves of a lone
//! subband, is cancelled by a small counterpart in subband 0.

use super::bits::BitWriter;

/// Bitrate and channels; both are 64 kb/s for each channel and share one allocation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AudioMode {
    /// 64 kb/s, one channel.
    Mono,
    /// 128 kb/s, two channels.
    Stereo,
}

/// Frames in a PES packet: few packets are left half empty, and 120 ms are soon buffered.
pub(super) const FRAMES_PER_PES: u64 = 5;

/// Duration of a frame in ticks of 90 kHz: 1152 samples at 48 kHz, 24 ms.
pub(super) const FRAME_TICKS_90KHZ: u64 = 2160;

/// Duration of a PES packet in milliseconds.
pub(super) const PES_MS: u64 = FRAMES_PER_PES * 24;

impl AudioMode {
    /// Size of a frame in bytes: 144 * bitrate / 48000, never padded at this sample rate.
    pub(super) const fn frame_size(self) -> usize {
        match self {
            Self::Mono => 192,
            Self::Stereo => 384,
        }
    }

    /// Transport packets for a PES packet of [`FRAMES_PER_PES`] frames.
    pub(super) const fn packets_per_pes(self) -> u64 {
        let pes_size = super::pes::HEADER_SIZE + FRAMES_PER_PES as usize * self.frame_size();
        pes_size.div_ceil(crate::packet::TS_PACKET_SIZE - 4) as u64
    }

    /// Transport packets in 1000 seconds.
    pub(super) const fn packets_per_second_milli(self) -> u64 {
        self.packets_per_pes() * 1_000_000 / PES_MS
    }

    const fn channels(self) -> usize {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }

    /// The second half of the header: bitrate_index and sampling_frequency, then mode.
    const fn header_tail(self) -> [u8; 2] {
        match self {
            Self::Mono => [0x44, 0xC4],
            Self::Stereo => [0x84, 0x04],
        }
    }

    /// One frame of tone.
    pub(super) fn frame(self) -> Vec<u8> {
        let mut w = BitWriter::default();
        w.bits(0xFFFD, 16); // syncword, ID, layer II, no CRC
        for byte in self.header_tail() {
            w.bits(u32::from(byte), 8);
        }
        // Bit allocation, by subband, then channel.
        for (subband, bits) in ALLOCATION_BITS.into_iter().enumerate() {
            let allocation = if subband < TONE.len() {
                SIXTEEN_BITS
            } else {
                0
            };
            for _ in 0..self.channels() {
                w.bits(allocation, bits);
            }
        }
        // Scale factor selection: one factor for all three parts of the frame.
        for _ in 0..TONE.len() * self.channels() {
            w.bits(2, 2);
        }
        for _ in 0..TONE.len() * self.channels() {
            w.bits(SCALE_FACTOR_INDEX, 6);
        }
        // Twelve granules of three samples: for each subband and channel one period of the tone.
        for _ in 0..12 {
            for period in TONE {
                for _ in 0..self.channels() {
                    for sample in period {
                        w.bits((ZERO_CODE + sample) as u32, 16);
                    }
                }
            }
        }
        let mut frame = w.into_bytes();
        frame.resize(self.frame_size(), 0); // ancillary data, unused
        frame
    }
}

/// ISO/IEC 11172-3 table 3-B.2a (48 kHz, 56 kb/s and more for each channel): width of the allocation
/// field of each of the 27 subbands.
const ALLOCATION_BITS: [u32; 27] = {
    let mut bits = [4; 27];
    let mut subband = 11;
    while subband < 27 {
        bits[subband] = if subband < 23 { 3 } else { 2 };
        subband += 1;
    }
    bits
};

/// The same table: in subbands 0 to 2 this value allocates 65535 steps, 16 bits a sample.
const SIXTEEN_BITS: u32 = 15;

/// Code of a sample of 0 among 65535 steps.
const ZERO_CODE: i32 = 32_767;

/// Table 3-B.1: 2^(1 - 9/3), a factor of 1/4.
const SCALE_FACTOR_INDEX: u32 = 9;

/// One period of each used subband in steps of the quantiser, `amplitude * sin(k * 120 degrees)`. The
/// tone has a peak of -18 dBFS, the alignment level of EBU R68. The counterpart in subband 0 is 2 % of
/// it and a quarter of a period behind; with it, a decoder's output has nothing above -110 dBFS beside
/// the tone, without it -52 dBFS at 500 Hz.
const TONE: [[i32; 3]; 2] = [[-336, 168, 168], [0, 14_290, -14_290]];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_has_the_right_size_and_header() {
        for (mode, header) in [
            (AudioMode::Mono, [0xFF, 0xFD, 0x44, 0xC4]),
            (AudioMode::Stereo, [0xFF, 0xFD, 0x84, 0x04]),
        ] {
            let frame = mode.frame();
            assert_eq!(frame.len(), mode.frame_size());
            assert_eq!(frame[..4], header);
        }
    }

    #[test]
    fn allocation_table_has_88_bits() {
        assert_eq!(ALLOCATION_BITS.iter().sum::<u32>(), 88);
    }

    #[test]
    fn allocation_and_samples_fit_in_a_frame() {
        // Header, allocation, selection, scale factors, 36 samples of 16 bits: per channel.
        let bits = 88 + TONE.len() * (2 + 6 + 36 * 16);
        assert!(32 + bits <= AudioMode::Mono.frame_size() * 8);
        assert!(32 + 2 * bits <= AudioMode::Stereo.frame_size() * 8);
    }
}
