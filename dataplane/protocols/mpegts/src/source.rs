//! The built-in test source: an endless transport stream with colour bars, a moving box and a tone.
//!
//! The stream is constant bitrate to the packet: packet `i` stands at byte `188 * i` of a line whose
//! slope is the configured bitrate, and every PCR is the time of its own byte on that line. Stuffing
//! is null packets. One program carries H.264 at 25 frames/s (PID 256) and MPEG-1 Layer II audio
//! (PID 257); PAT, PMT (PID 4096) and the SDT of the actual transport stream describe it.
//!
//! What can be drawn, coded and packed beforehand is prepared by [`TestSource::new`], less than
//! 256 KiB of it. [`TestSource::write`] then copies, stamps continuity counters and clocks, and
//! allocates nothing.

mod bits;
mod cadence;
mod h264;
mod mp2;
mod mux;
mod pes;
mod picture;
mod plan;
mod psi;
mod video;

use std::fmt;
use std::time::Duration;

use crate::packet::{Pcr27MHz, Pid, TS_PACKET_SIZE};

use self::mux::Mux;
use self::plan::Plan;

/// What a [`TestSource`] is to send.
#[derive(Clone, Debug)]
pub struct TestSourceConfig {
    /// Bitrate of the whole transport stream in bits per second,
    /// [`TestSourceConfig::BITRATE_BPS_MIN`] to [`TestSourceConfig::BITRATE_BPS_MAX`].
    pub bitrate_bps: u64,
    /// Service name in the SDT, 1 to [`TestSourceConfig::SERVICE_NAME_LEN_MAX`] bytes of UTF-8
    /// without control characters.
    pub service_name: String,
    /// Program clock at the first byte of the stream.
    pub start_pcr: Pcr27MHz,
}

impl TestSourceConfig {
    /// Lowest bitrate in bits per second: below it, tables, tone and picture do not fit together.
    pub const BITRATE_BPS_MIN: u64 = 300_000;
    /// Highest bitrate in bits per second.
    pub const BITRATE_BPS_MAX: u64 = 10_000_000_000;
    /// Longest service name in bytes: with it the SDT still fits in one packet.
    pub const SERVICE_NAME_LEN_MAX: usize = 100;

    /// A stream of `bitrate_bps` bits per second named "bilbycast test" whose clock starts at 0.
    pub fn new(bitrate_bps: u64) -> Self {
        Self {
            bitrate_bps,
            service_name: "bilbycast test".to_owned(),
            start_pcr: Pcr27MHz::default(),
        }
    }
}

/// Why a [`TestSourceConfig`] was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TestSourceError {
    /// The bitrate lies outside [`TestSourceConfig::BITRATE_BPS_MIN`] to
    /// [`TestSourceConfig::BITRATE_BPS_MAX`].
    #[error(
        "bitrate_bps {bitrate_bps} is outside {} to {}",
        TestSourceConfig::BITRATE_BPS_MIN,
        TestSourceConfig::BITRATE_BPS_MAX
    )]
    BitrateOutOfRange {
        /// The value that was asked for.
        bitrate_bps: u64,
    },
    /// The service name has a control character.
    #[error("service_name contains a control character")]
    ServiceNameControlCharacter,
    /// The service name is empty or longer than [`TestSourceConfig::SERVICE_NAME_LEN_MAX`] bytes.
    #[error(
        "service_name has {len} bytes, not 1 to {}",
        TestSourceConfig::SERVICE_NAME_LEN_MAX
    )]
    ServiceNameLength {
        /// Its length in bytes.
        len: usize,
    },
}

/// An endless constant-bitrate transport stream.
///
/// Getters: [`packets_due`](Self::packets_due), [`packets_written`](Self::packets_written),
/// [`bitrate_bps`](Self::bitrate_bps). Output: [`write`](Self::write), which does not care about
/// time; the owner asks `packets_due` how far the stream should be by now and writes the
/// difference. However the stream is split into calls, its bytes are the same.
pub struct TestSource {
    bitrate_bps: u64,
    mux: Mux,
}

impl TestSource {
    /// PID of the program map table.
    pub const PMT_PID: Pid = Pid::from_wire(4096);
    /// PID of the video, which also carries the PCR.
    pub const VIDEO_PID: Pid = Pid::from_wire(256);
    /// PID of the audio.
    pub const AUDIO_PID: Pid = Pid::from_wire(257);

    /// Draws, codes and packs everything that repeats; takes some milliseconds.
    ///
    /// # Errors
    ///
    /// A [`TestSourceError`] that names the field when the configuration is out of range.
    pub fn new(config: &TestSourceConfig) -> Result<Self, TestSourceError> {
        let bitrate_bps = config.bitrate_bps;
        if !(TestSourceConfig::BITRATE_BPS_MIN..=TestSourceConfig::BITRATE_BPS_MAX)
            .contains(&bitrate_bps)
        {
            return Err(TestSourceError::BitrateOutOfRange { bitrate_bps });
        }
        let len = config.service_name.len();
        if !(1..=TestSourceConfig::SERVICE_NAME_LEN_MAX).contains(&len) {
            return Err(TestSourceError::ServiceNameLength { len });
        }
        if config.service_name.chars().any(char::is_control) {
            return Err(TestSourceError::ServiceNameControlCharacter);
        }
        let plan = Plan::for_bitrate(bitrate_bps);
        Ok(Self {
            bitrate_bps,
            mux: Mux::new(&plan, &config.service_name, config.start_pcr),
        })
    }

    /// Number of packets whose last bit is due `elapsed` after the start of the stream, counted from
    /// the start: the floor of the exact quotient, so nothing drifts however long the stream runs.
    pub fn packets_due(&self, elapsed: Duration) -> u64 {
        // The longest Duration has less than 2^94 ns, the highest bitrate less than 2^34 bit/s.
        let bits_by_1e9 = elapsed.as_nanos() * u128::from(self.bitrate_bps);
        u64::try_from(bits_by_1e9 / (u128::from(BITS_PER_PACKET) * 1_000_000_000))
            .unwrap_or(u64::MAX)
    }

    /// Number of packets written so far.
    pub fn packets_written(&self) -> u64 {
        self.mux.packets_written()
    }

    /// Bitrate of the transport stream in bits per second.
    pub fn bitrate_bps(&self) -> u64 {
        self.bitrate_bps
    }

    /// Fills all of `out` with the next packets of the stream.
    ///
    /// # Panics
    ///
    /// If the length of `out` is no multiple of 188.
    pub fn write(&mut self, out: &mut [u8]) {
        let (packets, rest) = out.as_chunks_mut::<TS_PACKET_SIZE>();
        assert!(
            rest.is_empty(),
            "the buffer of a test source holds whole packets of 188 bytes"
        );
        self.mux.write(packets);
    }
}

impl fmt::Debug for TestSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSource")
            .field("bitrate_bps", &self.bitrate_bps)
            .field("packets_written", &self.packets_written())
            .finish_non_exhaustive()
    }
}

/// Bits of a transport packet.
const BITS_PER_PACKET: u64 = TS_PACKET_SIZE as u64 * 8;

#[cfg(test)]
mod checker;
#[cfg(test)]
mod tests;
