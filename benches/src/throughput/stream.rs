//! The stream that is measured: RTP datagrams of seven TS packets, each of which knows its number and its birth.
//!
//! Six TS packets come from the built-in test source; the seventh is a null packet, whose content no receiver looks
//! at (ISO/IEC 13818-1 2.4.1). It carries, little-endian, the id of the stream, the datagram's number and
//! CLOCK_REALTIME in nanoseconds, taken right before the system call that sends the batch.

use bilbycast_mpegts::{TestSource, TestSourceConfig};
use bilbycast_rtp::{HEADER_BYTES_MIN, RtpView, RtpWrapper, SeqNo, Ssrc, rtp_timestamp};
use bilbycast_shm_proto::model::PAYLOAD_TYPE_MP2T;

use crate::BenchError;

/// Bytes of a datagram: RTP header and seven TS packets.
pub(crate) const DATAGRAM_BYTES: usize = HEADER_BYTES_MIN + PAYLOAD_BYTES;

/// Bytes of a datagram that carries the seven TS packets alone.
pub(super) const PAYLOAD_BYTES: usize = 7 * TS_PACKET_BYTES;

const TS_PACKET_BYTES: usize = 188;
const SOURCE_BYTES: usize = 6 * TS_PACKET_BYTES;
const MARK_START: usize = HEADER_BYTES_MIN + SOURCE_BYTES + NULL_HEADER.len();

/// Sync byte, PID 8191, payload only.
const NULL_HEADER: [u8; 4] = [0x47, 0x1f, 0xff, 0x10];

/// What the null packet carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    /// Which run the datagram belongs to.
    pub(super) stream: u64,
    /// Number of the datagram in its stream, from 0.
    pub(super) number: u64,
    /// When it was sent, CLOCK_REALTIME in nanoseconds.
    pub(super) sent_ns: u64,
}

impl Mark {
    /// The mark of a datagram of ours, with its RTP header or without; `None` when the datagram is something else or was changed on its way.
    pub(super) fn read(datagram: &[u8]) -> Option<Self> {
        let start = match datagram.len() {
            DATAGRAM_BYTES => MARK_START,
            PAYLOAD_BYTES => MARK_START - HEADER_BYTES_MIN,
            _ => return None,
        };
        if datagram[start - NULL_HEADER.len()..start] != NULL_HEADER {
            return None;
        }
        let (words, _) = datagram[start..].as_chunks::<8>();
        let [stream, number, sent_ns] = *words.first_chunk::<3>()?;
        let mark = Self {
            stream: u64::from_le_bytes(stream),
            number: u64::from_le_bytes(number),
            sent_ns: u64::from_le_bytes(sent_ns),
        };
        if datagram.len() == PAYLOAD_BYTES {
            return Some(mark);
        }
        // The RTP header counts too, modulo 2^16.
        let sequence = RtpView::parse(datagram)?.sequence().0;
        (u64::from(sequence) == mark.number % (1 << 16)).then_some(mark)
    }

    fn write(self, datagram: &mut [u8]) {
        let words = [self.stream, self.number, self.sent_ns];
        for (bytes, word) in datagram[MARK_START..].chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }
}

/// Makes the datagrams of one stream in a buffer of its own.
#[derive(Debug)]
pub(crate) struct Stream {
    id: u64,
    source: TestSource,
    wrapper: RtpWrapper,
    next: u64,
    buffer: Box<[u8]>,
}

impl Stream {
    /// A stream of `rate` datagrams a second that makes at most `batch` of them at once.
    ///
    /// # Errors
    ///
    /// [`BenchError::Source`] when the rate is outside what the test source can do.
    pub(crate) fn new(id: u64, rate: u64, batch: usize) -> Result<Self, BenchError> {
        let bitrate_bps = (rate * SOURCE_BYTES as u64 * 8).clamp(
            TestSourceConfig::BITRATE_BPS_MIN,
            TestSourceConfig::BITRATE_BPS_MAX,
        );
        let mut buffer = vec![0xff; batch * DATAGRAM_BYTES].into_boxed_slice();
        for datagram in buffer.chunks_exact_mut(DATAGRAM_BYTES) {
            datagram[MARK_START - NULL_HEADER.len()..MARK_START].copy_from_slice(&NULL_HEADER);
        }
        // The low half tells the runs apart, and the RTP stream changes with them.
        let ssrc = Ssrc((id & 0xffff_ffff) as u32);
        Ok(Self {
            id,
            source: TestSource::new(&TestSourceConfig::new(bitrate_bps))?,
            wrapper: RtpWrapper::new(PAYLOAD_TYPE_MP2T, ssrc, SeqNo(0)),
            next: 0,
            buffer,
        })
    }

    /// The id that every datagram carries.
    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Datagrams made so far.
    pub(super) const fn made(&self) -> u64 {
        self.next
    }

    /// Makes the next `count` datagrams, at most a batch, one behind the other. `now_ns` is asked last.
    pub(crate) fn next_batch(&mut self, count: usize, now_ns: impl Fn() -> u64) -> &[u8] {
        let bytes = (count * DATAGRAM_BYTES).min(self.buffer.len());
        let buffer = &mut self.buffer[..bytes];
        let timestamp = rtp_timestamp(now_ns());
        for datagram in buffer.chunks_exact_mut(DATAGRAM_BYTES) {
            let (header, rest) = datagram.split_at_mut(HEADER_BYTES_MIN);
            header.copy_from_slice(&self.wrapper.next_header(timestamp));
            self.source.write(&mut rest[..SOURCE_BYTES]);
        }
        let sent_ns = now_ns();
        for datagram in buffer.chunks_exact_mut(DATAGRAM_BYTES) {
            let mark = Mark {
                stream: self.id,
                number: self.next,
                sent_ns,
            };
            mark.write(datagram);
            self.next += 1;
        }
        buffer
    }
}

#[cfg(test)]
mod tests {
    use bilbycast_mpegts::is_ts_payload;

    use super::*;

    #[test]
    fn datagrams_are_rtp_with_valid_ts_and_count_up() {
        let mut stream = Stream::new(7, 1_000, 3).unwrap();
        for first in [0, 3] {
            let batch = stream.next_batch(3, || 42).to_vec();
            for (index, datagram) in batch.chunks(DATAGRAM_BYTES).enumerate() {
                let mark = Mark {
                    stream: 7,
                    number: first + index as u64,
                    sent_ns: 42,
                };
                assert_eq!(Mark::read(datagram), Some(mark));
                assert_eq!(Mark::read(&datagram[HEADER_BYTES_MIN..]), Some(mark));
                assert!(is_ts_payload(RtpView::parse(datagram).unwrap().payload()));
            }
        }
        assert_eq!(stream.made(), 6);
    }

    #[test]
    fn a_changed_datagram_is_noticed() {
        let mut stream = Stream::new(7, 1_000, 1).unwrap();
        let datagram = stream.next_batch(1, || 42).to_vec();
        let mut other_sequence = datagram.clone();
        other_sequence[3] ^= 1;
        assert_eq!(Mark::read(&other_sequence), None);
        assert_eq!(Mark::read(&datagram[..DATAGRAM_BYTES - 1]), None);
    }
}
