//! AAC in LOAS/LATM (ISO/IEC 14496-3 1.7).

use super::AudioInfo;
use super::audio::{AAC_RATES, aac_channels};
use super::bits::BitReader;

/// Reads AudioSyncStream up to the first configuration. Frames that repeat an earlier one have none.
pub(super) fn loas(bytes: &[u8]) -> Option<AudioInfo> {
    (0..bytes.len()).find_map(|at| {
        let rest = &bytes[at..];
        let size = frame_size(rest)?;
        // A frame counts when another one follows, or when the end of the bytes hides that.
        let next = rest.get(size..).unwrap_or_default();
        if next.len() >= HEADER_SIZE && frame_size(next).is_none() {
            return None;
        }
        audio_mux_element(rest.get(HEADER_SIZE..)?)
    })
}

/// syncword and audioMuxLengthBytes.
const HEADER_SIZE: usize = 3;

/// Object types of 1.5.1.1 that are named; SBR and PS are explicit signals of HE-AAC.
const AAC_LC: u32 = 2;
const SBR: u32 = 5;
const PS: u32 = 29;

fn frame_size(bytes: &[u8]) -> Option<usize> {
    let &[a, b, c] = bytes.first_chunk()?;
    let header = u32::from_be_bytes([0, a, b, c]);
    (header >> 13 == 0x2B7).then_some(HEADER_SIZE + (header & 0x1FFF) as usize)
}

fn audio_mux_element(bytes: &[u8]) -> Option<AudioInfo> {
    let mut r = BitReader::new(bytes);
    let as_before = r.flag()?;
    if as_before {
        return None;
    }
    stream_mux_config(&mut r)
}

fn stream_mux_config(r: &mut BitReader<'_>) -> Option<AudioInfo> {
    let version = r.flag()?;
    if version && r.flag()? {
        // audioMuxVersionA is for a syntax that does not exist yet.
        return None;
    }
    if version {
        latm_value(r)?; // taraBufferFullness
    }
    r.flag()?; // allStreamsSameTimeFraming
    r.skip(6 + 4 + 3)?; // numSubFrames, numProgram, numLayer
    if version {
        latm_value(r)?; // ascLen
    }
    audio_specific_config(r)
}

fn latm_value(r: &mut BitReader<'_>) -> Option<()> {
    let bytes = r.bits(2)? + 1;
    r.skip(8 * bytes)
}

fn audio_specific_config(r: &mut BitReader<'_>) -> Option<AudioInfo> {
    let object = object_type(r)?;
    let mut rate = sampling_frequency(r)?;
    let mut channels = aac_channels(r.bits(4)?);
    if matches!(object, SBR | PS) {
        rate = sampling_frequency(r)?;
    }
    if object == PS {
        channels = 2;
    }
    Some(AudioInfo {
        codec: match object {
            1 => "AAC Main",
            AAC_LC => "AAC-LC",
            SBR => "HE-AAC",
            PS => "HE-AACv2",
            42 => "xHE-AAC",
            _ => "AAC",
        },
        sample_rate_hz: rate,
        channels,
    })
}

fn object_type(r: &mut BitReader<'_>) -> Option<u32> {
    match r.bits(5)? {
        31 => Some(32 + r.bits(6)?),
        0 => None,
        object => Some(object),
    }
}

fn sampling_frequency(r: &mut BitReader<'_>) -> Option<u32> {
    match r.bits(4)? {
        15 => r.bits(24).filter(|&rate| rate > 0),
        index => AAC_RATES.get(index as usize).copied(),
    }
}
