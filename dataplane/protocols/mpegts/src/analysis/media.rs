//! What is in the elementary streams: pictures and sound, read from their own headers.
//!
//! Headers are looked for at the beginning of PES packets: in each of them until something is known, then at random access
//! points and twice a second. What is looked at lies in buffers that all streams share, so headers that span packets are
//! read as well.

mod audio;
mod bits;
mod cadence;
mod h264;
mod h265;
mod latm;
mod mpeg2;
mod pes;

use self::bits::nal_units;
use self::cadence::Cadence;
use self::pes::PesStart;
use super::pids::NONE;
use super::stream::{Codec, Stream, StreamKind};

/// What a stream says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaInfo {
    /// Sound.
    Audio(AudioInfo),
    /// Nothing, or nothing yet.
    #[default]
    Unknown,
    /// Pictures.
    Video(VideoInfo),
}

/// What sound says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioInfo {
    /// Codec with its profile or layer as the API shows it, such as `AAC-LC`.
    pub codec: &'static str,
    /// Sampling rate in hertz. Of HE-AAC that of the core, unless the stream is explicit about the other.
    pub sample_rate_hz: u32,
    /// Channels, low frequency effects included; 0 when the header leaves it open.
    pub channels: u8,
}

/// What pictures say about themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoInfo {
    /// Width and height of the part that is shown, in pixels.
    pub size: Option<(u16, u16)>,
    /// Frames (not fields) in a second: by the stream's headers, or else by its decoding times.
    pub frame_rate: Option<FrameRate>,
    /// Profile as its standard names it; empty when not known.
    pub profile: &'static str,
    /// Level as its standard names it; empty when not known.
    pub level: &'static str,
    /// Chroma format, such as `4:2:0`; empty when not known.
    pub chroma: &'static str,
    /// Bits of a luma sample; 0 when not known.
    pub bit_depth: u8,
    /// The stream may have fields instead of whole frames.
    pub interlaced: Option<bool>,
}

/// A frame rate as a fraction, `numerator / denominator` frames in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    /// Above 0.
    pub numerator: u32,
    /// Above 0.
    pub denominator: u32,
}

impl FrameRate {
    /// `None` when either is 0, and for less than a frame in 100 s or more than 1000 in a second: those are no rates but
    /// damage.
    pub(super) fn new(numerator: u32, denominator: u32) -> Option<Self> {
        let plausible = numerator > 0
            && denominator > 0
            && u64::from(numerator) <= 1000 * u64::from(denominator)
            && 100 * u64::from(numerator) >= u64::from(denominator);
        plausible.then_some(Self {
            numerator,
            denominator,
        })
    }

    /// Frames in a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

impl MediaInfo {
    /// What follows from the PMT alone. `jpeg_xs` is the body of its descriptor, `opus_channels` the channel_config_code.
    pub(super) fn from_pmt(codec: Codec, jpeg_xs: Option<VideoInfo>, opus_channels: u8) -> Self {
        match codec {
            Codec::JpegXs => jpeg_xs.map_or(Self::Unknown, Self::Video),
            Codec::Opus => Self::Audio(audio::opus(opus_channels)),
            _ => Self::Unknown,
        }
    }
}

/// Looks into the streams. Memory is fixed.
#[derive(Debug)]
pub(super) struct Media {
    probes: [Probe; Self::PROBES],
    captures: [Capture; CAPTURES],
}

/// One stream that is looked into.
#[derive(Clone, Copy, Debug)]
struct Probe {
    taken: bool,
    /// Headers are read, and not only times.
    looks: bool,
    /// Arrival of the last PTS.
    pts_ns: Option<u64>,
    next_look_ns: u64,
    capture: u8,
    cadence: Cadence,
}

/// The beginning of a PES packet's payload.
#[derive(Clone, Copy, Debug)]
struct Capture {
    taken: bool,
    len: usize,
    bytes: [u8; CAPTURE_SIZE],
}

/// Parameter sets with scaling lists and an access unit delimiter before them; two frames of most audio.
const CAPTURE_SIZE: usize = 1024;

/// Streams that are looked into at the same time.
const CAPTURES: usize = 6;

/// A stream about which nothing is known yet is looked into at every PES packet, others this often, ...
const LOOK_NS: u64 = 500_000_000;

/// ... and where a decoder may begin, but not more often than this.
const LOOK_NS_MIN: u64 = 100_000_000;

const UNUSED: Probe = Probe {
    taken: false,
    looks: false,
    pts_ns: None,
    next_look_ns: 0,
    capture: NONE,
    cadence: Cadence::NEW,
};

impl Media {
    /// As many as there are streams.
    const PROBES: usize = super::tables::Tables::STREAMS;

    pub(super) const fn new() -> Self {
        Self {
            probes: [UNUSED; Self::PROBES],
            captures: [Capture {
                taken: false,
                len: 0,
                bytes: [0; CAPTURE_SIZE],
            }; CAPTURES],
        }
    }

    /// A probe for one more stream. With `looks` false only its times are followed.
    pub(super) fn open(&mut self, looks: bool) -> Option<u8> {
        let index = self.probes.iter().position(|probe| !probe.taken)?;
        self.probes[index] = Probe {
            taken: true,
            looks,
            ..UNUSED
        };
        u8::try_from(index).ok()
    }

    /// Gives a probe back.
    pub(super) fn close(&mut self, index: u8) {
        self.abandon(index);
        if let Some(probe) = self.probes.get_mut(usize::from(index)) {
            *probe = UNUSED;
        }
    }

    /// Packets are missing: what is being looked at is not whole.
    pub(super) fn abandon(&mut self, index: u8) {
        if let Some(probe) = self.probes.get_mut(usize::from(index)) {
            if let Some(capture) = self.captures.get_mut(usize::from(probe.capture)) {
                capture.taken = false;
            }
            probe.capture = NONE;
            probe.cadence.forget();
        }
    }

    /// True when the payload of the next packet is wanted.
    #[inline]
    pub(super) fn is_taking(&self, index: u8) -> bool {
        self.probes
            .get(usize::from(index))
            .is_some_and(|probe| probe.capture != NONE)
    }

    /// A PES packet begins with `payload`. Returns when the last PTS came, if this one has a PTS and is not the first.
    pub(super) fn unit_start(
        &mut self,
        index: u8,
        payload: &[u8],
        random_access: bool,
        at_ns: u64,
        stream: &mut Stream,
    ) -> Option<u64> {
        if self.is_taking(index) {
            self.read(index, stream);
        }
        let pes = PesStart::new(payload)?;
        let probe = self.probes.get_mut(usize::from(index))?;
        let before_ns = pes.pts.and_then(|_| probe.pts_ns.replace(at_ns));
        if stream.codec.kind() == StreamKind::Video
            && let Some(time) = pes.dts.or(pes.pts)
            && probe.cadence.push(time)
        {
            add_frame_rate(stream, &probe.cadence);
        }
        let known = stream.media != MediaInfo::Unknown;
        let early_ns = LOOK_NS - LOOK_NS_MIN;
        let wait_ns = if random_access { early_ns } else { 0 };
        if probe.looks && (!known || at_ns.saturating_add(wait_ns) >= probe.next_look_ns) {
            let free = self.captures.iter().position(|capture| !capture.taken);
            if let Some(free) = free {
                probe.next_look_ns = at_ns.saturating_add(LOOK_NS);
                // Below CAPTURES.
                probe.capture = free as u8;
                self.captures[free].taken = true;
                self.captures[free].len = 0;
                self.go_on(index, pes.payload, stream);
            }
        }
        before_ns
    }

    /// The next payload of a PES packet that is being looked at.
    pub(super) fn go_on(&mut self, index: u8, payload: &[u8], stream: &mut Stream) {
        let capture = self
            .probes
            .get(usize::from(index))
            .and_then(|probe| self.captures.get_mut(usize::from(probe.capture)));
        let Some(capture) = capture else {
            return;
        };
        let room = &mut capture.bytes[capture.len..];
        let len = payload.len().min(room.len());
        room[..len].copy_from_slice(&payload[..len]);
        capture.len += len;
        if capture.len == CAPTURE_SIZE {
            self.read(index, stream);
        }
    }

    /// Reads what was captured, and gives the buffer back.
    fn read(&mut self, index: u8, stream: &mut Stream) {
        let Some(probe) = self.probes.get_mut(usize::from(index)) else {
            return;
        };
        let capture = self
            .captures
            .get_mut(usize::from(std::mem::replace(&mut probe.capture, NONE)));
        let Some(capture) = capture else {
            return;
        };
        capture.taken = false;
        let bytes = capture.bytes.get(..capture.len).unwrap_or_default();
        if let Some(media) = read(stream.codec, bytes) {
            stream.media = media;
            add_frame_rate(stream, &probe.cadence);
        }
    }
}

/// Takes the frame rate from decoding times where the headers have none.
fn add_frame_rate(stream: &mut Stream, cadence: &Cadence) {
    let Some(frame_rate) = cadence.frame_rate() else {
        return;
    };
    match &mut stream.media {
        MediaInfo::Video(video) => {
            let derived = video.frame_rate.is_none() || stream.codec == Codec::H266;
            if derived {
                video.frame_rate = Some(frame_rate);
            }
        }
        // Headers of these are not read; all that is known is how often pictures come.
        MediaInfo::Unknown if is_unread(stream.codec) => {
            stream.media = MediaInfo::Video(VideoInfo {
                frame_rate: Some(frame_rate),
                ..VideoInfo::default()
            });
        }
        MediaInfo::Audio(_) | MediaInfo::Unknown => {}
    }
}

/// Video that is told by the PMT alone.
const fn is_unread(codec: Codec) -> bool {
    matches!(
        codec,
        Codec::Evc | Codec::H266 | Codec::Jpeg2000 | Codec::JpegXs | Codec::Mpeg4Video
    )
}

/// Reads the beginning of a PES packet's payload.
fn read(codec: Codec, bytes: &[u8]) -> Option<MediaInfo> {
    match codec {
        Codec::AacAdts => audio::adts(bytes).map(MediaInfo::Audio),
        Codec::AacLatm => latm::loas(bytes).map(MediaInfo::Audio),
        Codec::Ac3 | Codec::EAc3 => audio::ac3(bytes).map(MediaInfo::Audio),
        Codec::Dts | Codec::DtsHd => audio::dts(bytes, codec).map(MediaInfo::Audio),
        Codec::H264 => nal_units(bytes).find_map(h264::sps).map(MediaInfo::Video),
        Codec::H265 => nal_units(bytes).find_map(h265::sps).map(MediaInfo::Video),
        Codec::Mpeg1Video | Codec::Mpeg2Video => mpeg2::sequence(bytes).map(MediaInfo::Video),
        Codec::MpegAudio => audio::mpeg_audio(bytes).map(MediaInfo::Audio),
        Codec::Smpte302M => audio::smpte_302m(bytes).map(MediaInfo::Audio),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
