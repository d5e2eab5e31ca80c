//! How the bitrate is shared out: picture size, audio mode and the packet rates of each PID.

use super::BITS_PER_PACKET;
use super::mp2::AudioMode;
use super::picture::PictureFormat;

/// Frames per second of the video.
pub(super) const FRAMES_PER_SECOND: u64 = 25;

/// PAT and PMT each recur at this interval (TR 101 211 asks for 100 ms at most).
pub(super) const PAT_PMT_INTERVAL_MS: u64 = 80;

/// The SDT recurs at this interval (TR 101 211 asks for 2 s at most).
pub(super) const SDT_INTERVAL_MS: u64 = 800;

/// Longest PCR interval, to which rounding may add less than a slot (TR 101 290 2.3a asks for 40 ms at
/// most).
pub(super) const PCR_INTERVAL_MS: u64 = 20;

/// The multiplex that goes with a bitrate.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) bitrate_bps: u64,
    pub(super) picture: &'static PictureFormat,
    pub(super) audio: AudioMode,
    /// Video packets in a second.
    pub(super) video_packets_per_second: u64,
}

impl Plan {
    pub(super) fn for_bitrate(bitrate_bps: u64) -> Self {
        let (picture, audio) = (
            if bitrate_bps >= HD_BITRATE_BPS_MIN {
                &PictureFormat::HD
            } else {
                &PictureFormat::SD
            },
            if bitrate_bps >= STEREO_BITRATE_BPS_MIN {
                AudioMode::Stereo
            } else {
                AudioMode::Mono
            },
        );
        // Video may have three quarters of the multiplex, like the output of a real encoder, but no
        // more than the level allows, and at low rates no more than tables and audio leave. One slot
        // in twenty is kept free of all of them: what had to wait catches up there.
        let share = bitrate_bps * 3 / 4 / BITS_PER_PACKET;
        let level = VIDEO_BITRATE_BPS_MAX / BITS_PER_PACKET;
        let tables_milli = 2 * 1_000_000 / PAT_PMT_INTERVAL_MS + 1_000_000 / SDT_INTERVAL_MS;
        let others_milli = tables_milli + audio.packets_per_second_milli();
        let slots_milli = bitrate_bps * 1000 / BITS_PER_PACKET;
        let left = (slots_milli - slots_milli.div_ceil(20) - others_milli) / 1000;
        Self {
            bitrate_bps,
            picture,
            audio,
            video_packets_per_second: share.min(level).min(left),
        }
    }

    /// Packets of the whole multiplex in `ms` milliseconds, as numerator and denominator.
    pub(super) fn slots_in_ms(&self, ms: u64) -> (u128, u128) {
        (
            u128::from(self.bitrate_bps) * u128::from(ms),
            u128::from(BITS_PER_PACKET) * 1000,
        )
    }
}

/// From here on the picture is 1920x1080.
const HD_BITRATE_BPS_MIN: u64 = 4_000_000;

/// From here on the audio is stereo.
const STEREO_BITRATE_BPS_MIN: u64 = 2_000_000;

/// H.264 table A-1: level 4.0 allows 20 Mb/s (the 640x360 picture of level 3.0, at most 10 Mb/s, never
/// gets beyond three quarters of [`HD_BITRATE_BPS_MIN`]).
const VIDEO_BITRATE_BPS_MAX: u64 = 20_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bitrate_leaves_room_for_null_packets() {
        for bitrate_bps in [
            300_000, 300_001, 545_000, 1_999_999, 2_000_000, 4_000_000, 50_000_000,
        ] {
            let plan = Plan::for_bitrate(bitrate_bps);
            let video_bps = plan.video_packets_per_second * BITS_PER_PACKET;
            assert!(
                video_bps <= bitrate_bps * 3 / 4,
                "{bitrate_bps}: {video_bps}"
            );
            assert!(video_bps >= bitrate_bps / 3, "{bitrate_bps}: {video_bps}");
        }
        let plan = Plan::for_bitrate(10_000_000_000);
        assert!(plan.video_packets_per_second * BITS_PER_PACKET <= VIDEO_BITRATE_BPS_MAX);
    }
}
