//! What a PMT says about an elementary stream: its type, its descriptors, and the codec that follows from both.

use super::media::{FrameRate, MediaInfo, VideoInfo};

/// What a stream carries, as far as the PMT tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// AAC in ADTS frames (stream_type 0x0F).
    AacAdts,
    /// AAC in LATM/LOAS (stream_type 0x11).
    AacLatm,
    /// AC-3.
    Ac3,
    /// AC-4.
    Ac4,
    /// Anything else, known or not: private sections, DSM-CC, metadata.
    Data,
    /// DTS in its several kinds.
    Dts,
    /// DTS-HD Master Audio.
    DtsHd,
    /// DTS-UHD.
    DtsUhd,
    /// E-AC-3.
    EAc3,
    /// MPEG-5 Essential Video Coding.
    Evc,
    /// H.264/AVC.
    H264,
    /// H.265/HEVC.
    H265,
    /// H.266/VVC.
    H266,
    /// JPEG 2000 video.
    Jpeg2000,
    /// JPEG XS video (VSF TR-07).
    JpegXs,
    /// MPEG-5 Low Complexity Enhancement Video Coding.
    Lcevc,
    /// MPEG-1 video.
    Mpeg1Video,
    /// MPEG-2 video.
    Mpeg2Video,
    /// MPEG-4 part 2 video.
    Mpeg4Video,
    /// MPEG-1 or MPEG-2 audio, layer I to III.
    MpegAudio,
    /// MPEG-H 3D audio.
    MpegHAudio,
    /// Opus.
    Opus,
    /// SCTE-35 splice information.
    Scte35,
    /// SMPTE 302M: linear PCM, AES3.
    Smpte302M,
    /// DVB subtitles.
    Subtitle,
    /// DVB or EBU teletext.
    Teletext,
    /// VBI data (EN 301 775).
    Vbi,
}

/// Kinds of streams that the API lists apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Sound.
    Audio,
    /// All else.
    Data,
    /// Moving pictures.
    Video,
}

impl Codec {
    /// What the stream is listed under.
    #[must_use]
    pub const fn kind(self) -> StreamKind {
        match self {
            Self::Evc
            | Self::H264
            | Self::H265
            | Self::H266
            | Self::Jpeg2000
            | Self::JpegXs
            | Self::Lcevc
            | Self::Mpeg1Video
            | Self::Mpeg2Video
            | Self::Mpeg4Video => StreamKind::Video,
            Self::AacAdts
            | Self::AacLatm
            | Self::Ac3
            | Self::Ac4
            | Self::Dts
            | Self::DtsHd
            | Self::DtsUhd
            | Self::EAc3
            | Self::MpegAudio
            | Self::MpegHAudio
            | Self::Opus
            | Self::Smpte302M => StreamKind::Audio,
            Self::Data | Self::Scte35 | Self::Subtitle | Self::Teletext | Self::Vbi => {
                StreamKind::Data
            }
        }
    }

    /// Name as the API shows it, unless the stream itself tells more (AAC, MPEG audio).
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AacAdts | Self::AacLatm => "AAC",
            Self::Ac3 => "AC-3",
            Self::Ac4 => "AC-4",
            Self::Data => "Data",
            Self::Dts => "DTS",
            Self::DtsHd => "DTS-HD MA",
            Self::DtsUhd => "DTS-UHD",
            Self::EAc3 => "E-AC-3",
            Self::Evc => "EVC",
            Self::H264 => "H.264/AVC",
            Self::H265 => "H.265/HEVC",
            Self::H266 => "H.266/VVC",
            Self::Jpeg2000 => "JPEG 2000",
            Self::JpegXs => "JPEG XS",
            Self::Lcevc => "LCEVC",
            Self::Mpeg1Video => "MPEG-1 Video",
            Self::Mpeg2Video => "MPEG-2 Video",
            Self::Mpeg4Video => "MPEG-4 Visual",
            Self::MpegAudio => "MPEG Audio",
            Self::MpegHAudio => "MPEG-H Audio",
            Self::Opus => "Opus",
            Self::Scte35 => "SCTE-35",
            Self::Smpte302M => "SMPTE 302M",
            Self::Subtitle => "DVB Subtitle",
            Self::Teletext => "Teletext",
            Self::Vbi => "VBI",
        }
    }
}

/// ISO 639-2 code of three letters as the stream has it; upper case and private codes occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language([u8; 3]);

impl Language {
    /// `None` unless all three bytes are printable ASCII, so that it can be shown wherever text is.
    #[must_use]
    pub fn new(code: [u8; 3]) -> Option<Self> {
        code.iter().all(u8::is_ascii_graphic).then_some(Self(code))
    }

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Printable ASCII by construction.
        std::str::from_utf8(&self.0).unwrap_or("und")
    }
}

/// An elementary stream of a PMT.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// program_number.
    pub program_number: u16,
    /// PID.
    pub pid: u16,
    /// stream_type of the PMT.
    pub stream_type: u8,
    /// What it carries.
    pub codec: Codec,
    /// Language of the ISO 639 descriptor, or else of the teletext or subtitling descriptor.
    pub language: Option<Language>,
    /// audio_type of the ISO 639 descriptor: 0 main, 1 clean effects, 2 hearing impaired, 3 visual impaired commentary.
    pub audio_type: u8,
    /// What the stream itself says; see [`MediaInfo`].
    pub media: MediaInfo,
}

impl Stream {
    /// True when its absence for seconds is an error.
    ///
    //= TR 101 290 1.6: the period is for video and audio; data and audio of an audio_type above 0 are excepted.
    pub(super) fn is_continuous(&self) -> bool {
        match self.codec.kind() {
            StreamKind::Audio => self.audio_type == 0,
            StreamKind::Data => false,
            StreamKind::Video => true,
        }
    }
}

/// The descriptors of a loop, tag and body; ends where the bytes do not hold what a length says.
pub(super) fn descriptors(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[tag, len], rest) = bytes.split_first_chunk()?;
        let (body, behind) = rest.split_at_checked(usize::from(len))?;
        bytes = behind;
        Some((tag, body))
    })
}

/// What the descriptors of one stream add to its stream_type.
#[derive(Clone, Copy, Debug, Default)]
struct Described {
    registration: Option<[u8; 4]>,
    codec: Option<Codec>,
    jpeg_xs: Option<VideoInfo>,
    opus_channels: u8,
    iso_639: Option<Language>,
    audio_type: u8,
    other_language: Option<Language>,
}

/// A stream from its entry in the PMT. `program_registration` is the format_identifier of the whole programme.
pub(super) fn stream(
    program_number: u16,
    pid: u16,
    stream_type: u8,
    info: &[u8],
    program_registration: Option<[u8; 4]>,
) -> Stream {
    let mut described = Described::default();
    for (tag, body) in descriptors(info) {
        described.add(tag, body);
    }
    let codec = described.codec(stream_type, program_registration);
    Stream {
        program_number,
        pid,
        stream_type,
        codec,
        language: described.iso_639.or(described.other_language),
        audio_type: described.audio_type,
        media: MediaInfo::from_pmt(codec, described.jpeg_xs, described.opus_channels),
    }
}

/// format_identifier of the first registration descriptor of a loop.
pub(super) fn registration(info: &[u8]) -> Option<[u8; 4]> {
    descriptors(info)
        .find(|&(tag, _)| tag == REGISTRATION)
        .and_then(|(_, body)| body.first_chunk().copied())
}

/// registration_descriptor (ISO/IEC 13818-1 2.6.8).
const REGISTRATION: u8 = 0x05;

impl Described {
    fn add(&mut self, tag: u8, body: &[u8]) {
        match (tag, body) {
            (REGISTRATION, body) => {
                self.registration = self.registration.or_else(|| body.first_chunk().copied());
            }
            (0x0A, &[a, b, c, audio_type, ..]) if self.iso_639.is_none() => {
                self.iso_639 = Language::new([a, b, c]);
                self.audio_type = audio_type;
            }
            (0x3F, &[0x14, ref body @ ..]) => self.jpeg_xs = jpeg_xs(body),
            (0x45, _) => self.codec = self.codec.or(Some(Codec::Vbi)),
            (0x56, body) => self.text(Codec::Teletext, body),
            (0x59, body) => self.text(Codec::Subtitle, body),
            (0x6A, _) => self.codec = Some(Codec::Ac3),
            (0x7A, _) => self.codec = Some(Codec::EAc3),
            (0x7B, _) => self.codec = Some(Codec::Dts),
            (0x7F, &[0x15, ..]) => self.codec = Some(Codec::Ac4),
            (0x7F, &[0x21, ..]) => self.codec = Some(Codec::DtsUhd),
            (0x7F, &[0x80, channels, ..]) => self.opus_channels = channels,
            _ => {}
        }
    }

    fn text(&mut self, codec: Codec, body: &[u8]) {
        self.codec = self.codec.or(Some(codec));
        if let (None, Some(&code)) = (self.other_language, body.first_chunk()) {
            self.other_language = Language::new(code);
        }
    }

    /// Registration first, stream_type second: under HDMV the private types are Blu-ray's.
    fn codec(&self, stream_type: u8, program_registration: Option<[u8; 4]>) -> Codec {
        let registration = self.registration.or(program_registration);
        match stream_type {
            0x06 => self.private_codec(),
            0x80..=0xFF => match registration.as_ref() {
                Some(b"HDMV") => hdmv_codec(stream_type),
                _ => match stream_type {
                    0x81 => Codec::Ac3,
                    0x86 => Codec::Scte35,
                    0x87 => Codec::EAc3,
                    _ => self.private_codec(),
                },
            },
            _ => standard_codec(stream_type),
        }
    }

    fn private_codec(&self) -> Codec {
        match self.registration.as_ref() {
            Some(b"AC-3") => Codec::Ac3,
            Some(b"EAC3") => Codec::EAc3,
            Some(b"AC-4") => Codec::Ac4,
            Some(b"BSSD") => Codec::Smpte302M,
            Some(b"Opus") => Codec::Opus,
            Some(b"HEVC") => Codec::H265,
            Some(b"VVC ") => Codec::H266,
            Some(b"CUEI") => Codec::Scte35,
            Some(b"DTS1" | b"DTS2" | b"DTS3") => Codec::Dts,
            _ => self.codec.unwrap_or(Codec::Data),
        }
    }
}

/// Body of the JPEG XS video descriptor behind its extension tag (ISO/IEC 13818-1 2.6.127).
fn jpeg_xs(body: &[u8]) -> Option<VideoInfo> {
    let &[
        _,
        w_high,
        w_low,
        h_high,
        h_low,
        _,
        _,
        _,
        _,
        rate,
        _,
        n_high,
        n_low,
    ] = body.first_chunk()?;
    let size = (
        u16::from_be_bytes([w_high, w_low]),
        u16::from_be_bytes([h_high, h_low]),
    );
    // frat: interlace mode, denominator code, reserved, numerator (ISO/IEC 21122-3 annex A).
    let numerator = u32::from(u16::from_be_bytes([n_high, n_low]));
    let frame_rate = match rate & 0x3F {
        1 => FrameRate::new(numerator, 1),
        2 => FrameRate::new(numerator * 1000, 1001),
        _ => None,
    };
    Some(VideoInfo {
        size: (size.0 > 0 && size.1 > 0).then_some(size),
        frame_rate,
        interlaced: Some(rate >> 6 != 0),
        ..VideoInfo::default()
    })
}

/// stream_type of ISO/IEC 13818-1 table 2-34.
const fn standard_codec(stream_type: u8) -> Codec {
    match stream_type {
        0x01 => Codec::Mpeg1Video,
        0x02 => Codec::Mpeg2Video,
        0x03 | 0x04 => Codec::MpegAudio,
        0x0F => Codec::AacAdts,
        0x10 => Codec::Mpeg4Video,
        0x11 => Codec::AacLatm,
        0x1B => Codec::H264,
        0x21 => Codec::Jpeg2000,
        0x24 => Codec::H265,
        0x2D | 0x2E => Codec::MpegHAudio,
        0x32 => Codec::JpegXs,
        0x33 => Codec::H266,
        0x35 => Codec::Evc,
        0x36 => Codec::Lcevc,
        _ => Codec::Data,
    }
}

const fn hdmv_codec(stream_type: u8) -> Codec {
    match stream_type {
        0x80 => Codec::Data,
        0x81 => Codec::Ac3,
        0x82 | 0x85 => Codec::Dts,
        0x84 => Codec::EAc3,
        0x86 => Codec::DtsHd,
        0x87 => Codec::EAc3,
        _ => Codec::Data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(stream_type: u8, info: &[u8], program: Option<[u8; 4]>) -> Codec {
        stream(1, 256, stream_type, info, program).codec
    }

    #[test]
    fn registration_comes_before_the_type() {
        assert_eq!(codec(0x86, &[], None), Codec::Scte35);
        assert_eq!(codec(0x86, &[], Some(*b"HDMV")), Codec::DtsHd);
        assert_eq!(codec(0x82, b"\x05\x04HDMV", None), Codec::Dts);
        assert_eq!(codec(0x06, b"\x05\x04BSSD", None), Codec::Smpte302M);
        assert_eq!(
            codec(0x06, b"\x05\x04Opus\x7F\x02\x80\x02", None),
            Codec::Opus
        );
        assert_eq!(codec(0x06, &[0x7A, 0], None), Codec::EAc3);
        assert_eq!(codec(0x06, &[], None), Codec::Data);
        assert_eq!(codec(0x32, &[0x3F, 1, 0x14], None), Codec::JpegXs);
    }

    #[test]
    fn languages_are_taken_as_they_are() {
        let language = |info: &[u8]| {
            stream(1, 2, 6, info, None)
                .language
                .map(|language| language.as_str().to_owned())
        };
        assert_eq!(language(b"\x0A\x04qaa\0").as_deref(), Some("qaa"));
        assert_eq!(language(b"\x0A\x04ENG\0").as_deref(), Some("ENG"));
        assert_eq!(
            language(b"\x59\x08fra\x10\0\x01\0\x01").as_deref(),
            Some("fra")
        );
        assert_eq!(language(b"\x0A\x04\0\0\0\0"), None);
        assert_eq!(language(b"\x0A\x20de"), None);
    }
}
