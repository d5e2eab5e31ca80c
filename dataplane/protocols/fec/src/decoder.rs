//! The receiver's side.

mod head_bits;
mod held;
mod learning;
mod slab;
mod store;

use bilbycast_rtp::{HEADER_BYTES_MIN, RtpView, SeqNo, Ssrc};

use crate::header::{FecView, Fields, PACKET_BYTES_MAX, PROTECTED_BYTES_MAX};
use crate::matrix::{Matrix, Stream};
use crate::xor::xor_into;
use head_bits::{HeadBits, Neighbours};
use held::{Group, HeldFec};
pub use learning::Learned;
use learning::Learning;
use store::{AHEAD_MAX, Inserted, Origin, Store};

/// What a [`Decoder`] is to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecoderConfig {
    /// The matrix that the sender is said to use. Decoding goes by what the FEC packets say; the decoder tells when that
    /// differs, and reports the latency of this matrix until it knows better.
    pub expected: Option<Matrix>,
}

/// What a [`Decoder`] has seen and done. Counters never go back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DecoderStats {
    /// Media packets that were handed out because they had been missing.
    pub recovered: u64,
    /// Recovered packets that came after all: they had been late, not lost.
    pub recovered_unneeded: u64,
    /// Recovered packets that came after all and were different: a sender whose FEC is wrong, or a forgery.
    pub recovered_wrong: u64,
    /// Times that a group with one packet missing gave no packet that could be: a length that is impossible, bytes behind
    /// the end, a header that claims more than there is.
    pub recovery_failed: u64,
    /// FEC packets that came, at [`Stream::index`].
    pub fec_received: [u64; 2],
    /// FEC packets that are none, or claim what no matrix has.
    pub fec_invalid: u64,
    /// FEC packets whose media packets are out of reach: long gone, or far ahead.
    pub fec_late: u64,
    /// FEC packets given up with more than one of their media packets missing, or with one that was too long to keep.
    pub fec_unused: u64,
    /// FEC packets whose direction bit contradicts the port that they came to. They are used all the same.
    pub fec_wrong_port: u64,
    /// Media packets that came.
    pub media_received: u64,
    /// Media packets that came a second time.
    pub media_duplicate: u64,
    /// Media packets that came too late to help others.
    pub media_late: u64,
    /// Media packets longer than [`PACKET_BYTES_MAX`]: they cannot be kept, so their groups recover nothing.
    pub media_too_long: u64,
    /// Datagrams on the media port that are not RTP.
    pub media_invalid: u64,
    /// Media packets of another SSRC that were not followed by enough of the same.
    pub media_foreign: u64,
    /// Times that the source started anew: two packets in a row of another SSRC, a jump of more than 1,000 packets, or
    /// numbers used again for other packets.
    pub resets: u64,
}

/// Recovers media packets of one stream, as received on one path.
///
/// Mutators: [`push_media`](Self::push_media) and [`push_fec`](Self::push_fec) take every packet in the order of arrival;
/// [`flush`](Self::flush) is for when the media packets stop; [`reset`](Self::reset) forgets everything. Each hands out
/// what it recovers. Getters: the rest.
///
/// The decoder delays nothing: it keeps copies of media packets while FEC packets for them may still come, 2 * L * D
/// packets and a reserve, and FEC packets while more than one of their media packets is missing. Every packet that
/// becomes known, received or recovered, may complete others, until nothing new appears. No sequence number is handed
/// out twice, and none that was received before.
///
/// A media packet counts as missing when a later one has come: some senders (GStreamer) send a row's FEC packet before
/// the last media packet of the row, which is no loss.
#[derive(Debug)]
pub struct Decoder {
    store: Store,
    held: HeldFec,
    learning: Learning,
    head_bits: HeadBits,
    source: Source,
    /// A packet while it is recovered.
    scratch: Box<[u8]>,
    stats: DecoderStats,
}

/// Sequence numbers are extended to 64 bits, one turn for each wrap.
#[derive(Debug, Default)]
struct Source {
    ssrc: Option<Ssrc>,
    /// Where the numbers of the first packet are, be it media or FEC.
    anchor: Option<u64>,
    /// The newest media packet.
    newest: Option<u64>,
    /// Late media packets without a current one between them.
    late_run: u32,
    /// Another SSRC, and how many packets of it came without one of the source in use between them.
    foreign: Option<(Ssrc, u32)>,
}

impl Decoder {
    /// A decoder that has seen nothing. Takes all memory that it will ever need, about 2.7 MB, most of which the system
    /// provides when a matrix is large enough to use it.
    #[must_use]
    pub fn new(config: DecoderConfig) -> Self {
        Self {
            store: Store::new(),
            held: HeldFec::new(),
            learning: Learning::new(config.expected),
            head_bits: HeadBits::default(),
            source: Source::default(),
            scratch: vec![0; PACKET_BYTES_MAX].into_boxed_slice(),
            stats: DecoderStats::default(),
        }
    }

    /// Takes a datagram of the media port. Packets that are now known go to `recovered` as complete RTP packets.
    pub fn push_media(&mut self, packet: &[u8], recovered: &mut impl FnMut(&[u8])) {
        let Some(header) = packet
            .first_chunk::<HEADER_BYTES_MIN>()
            .filter(|header| header[0] >> 6 == 2)
        else {
            self.stats.media_invalid += 1;
            return;
        };
        self.stats.media_received += 1;
        let sequence = SeqNo(u16::from_be_bytes([header[2], header[3]]));
        let ssrc = Ssrc(u32::from_be_bytes([
            header[8], header[9], header[10], header[11],
        ]));
        if self.source.is_foreign(ssrc) {
            self.stats.media_foreign += 1;
            return;
        }
        self.head_bits.on_media(header);
        if self.source.is_restart(ssrc, sequence) {
            self.restart();
        }
        self.source.ssrc = Some(ssrc);
        let mut ext = self.source.extend(sequence);
        if ext < self.store.start() {
            self.stats.media_late += 1;
            self.source.late_run += 1;
            if self.source.late_run < LATE_RUN_MAX {
                return;
            }
            self.restart();
            self.source.ssrc = Some(ssrc);
            ext = self.source.extend(sequence);
        }
        if self.store.get(ext).is_some() && !self.on_known_media(ext, packet) {
            self.restart();
            self.source.ssrc = Some(ssrc);
            ext = self.source.extend(sequence);
        }
        if self.source.newest.is_none_or(|newest| ext > newest) {
            self.source.newest = Some(ext);
            self.source.late_run = 0;
            self.store.advance(ext, self.learning.window_packets());
        }
        if self.store.get(ext).is_none() {
            match self.store.insert(ext, packet, Origin::Received) {
                Inserted::Kept => self.held.on_known(ext),
                Inserted::TooLong => {
                    self.stats.media_too_long += 1;
                    self.stats.fec_unused += self.held.drop_containing(ext);
                }
            }
        }
        self.settle(0, recovered);
    }

    /// Takes a datagram of the port of `stream`. Packets that are now known go to `recovered` as complete RTP packets.
    pub fn push_fec(&mut self, stream: Stream, packet: &[u8], recovered: &mut impl FnMut(&[u8])) {
        self.stats.fec_received[stream.index()] += 1;
        let Some(view) = FecView::parse(packet) else {
            self.stats.fec_invalid += 1;
            return;
        };
        if view.stream == stream {
            self.learning.on_fec(stream, view.shape);
        } else {
            self.stats.fec_wrong_port += 1;
        }
        let group = Group {
            base: self.source.extend(SeqNo(view.base)),
            shape: view.shape,
            fields: view.fields,
        };
        let newest = self.source.newest.unwrap_or(group.base);
        if group.base < self.store.start() || group.last() > newest + u64::from(GAP_MAX) {
            self.stats.fec_late += 1;
            return;
        }
        match self.missing(&group) {
            Missing::Unusable => self.stats.fec_unused += 1,
            Missing::None => {
                if self.head_bits.is_open() {
                    let members = group.members().filter_map(|ext| self.store.packet(ext));
                    self.head_bits
                        .on_complete_group(members, view.fields.head_bits);
                }
            }
            Missing::One(ext) if ext < newest => {
                self.scratch[HEADER_BYTES_MIN..][..view.payload.len()]
                    .copy_from_slice(view.payload);
                self.recover(&group, view.payload.len(), ext, recovered);
                self.settle(0, recovered);
            }
            Missing::One(_) => self.hold(group, 1, view.payload),
            Missing::Many(count) => self.hold(group, count, view.payload),
        }
    }

    /// Recovers what waits only for a later media packet to tell that it is missing. For when none has come for so long
    /// that none is under way, for example at the end of a stream; without this call the last packet before a pause, if
    /// lost, is recovered after the pause.
    pub fn flush(&mut self, recovered: &mut impl FnMut(&[u8])) {
        self.settle(AHEAD_MAX, recovered);
    }

    /// Forgets packets, source and matrix. The counters stay.
    pub fn reset(&mut self) {
        self.forget_packets();
        self.learning.reset();
        self.head_bits = HeadBits::default();
    }

    /// What has been seen and done.
    #[must_use]
    pub const fn stats(&self) -> &DecoderStats {
        &self.stats
    }

    /// What the FEC packets say of the matrix; `None` before the first one.
    #[must_use]
    pub fn matrix(&self) -> Option<Learned> {
        self.learning.learned()
    }

    /// The longest time that a missing packet may take to be recovered, in media packets from where it should have been:
    /// two matrices, or two rows when there are only rows, and 16 for FEC packets that come late. At most 816. A stage
    /// that keeps the order has to wait this long.
    #[must_use]
    pub fn latency_packets(&self) -> u32 {
        self.learning.span_packets() + REORDER_PACKETS
    }

    /// Takes note of a media packet whose number is known already. False when the number has been used anew.
    fn on_known_media(&mut self, ext: u64, packet: &[u8]) -> bool {
        let Some(kept) = self.store.packet(ext) else {
            self.stats.media_duplicate += 1;
            return true;
        };
        match self.store.get(ext) {
            Some(Origin::Recovered) if kept == packet => {
                self.stats.recovered_unneeded += 1;
                self.store.set_origin(ext, Origin::Received);
            }
            Some(Origin::Recovered) => {
                self.stats.recovered_wrong += 1;
                // What was received counts, for others are to be recovered with it.
                self.store.remove(ext);
                if self.store.insert(ext, packet, Origin::Received) == Inserted::TooLong {
                    self.stats.media_too_long += 1;
                    self.stats.fec_unused += self.held.drop_containing(ext);
                }
            }
            _ if kept.first_chunk::<HEADER_BYTES_MIN>() == packet.first_chunk() => {
                self.stats.media_duplicate += 1;
            }
            _ => return false,
        }
        true
    }

    fn restart(&mut self) {
        self.stats.resets += 1;
        self.forget_packets();
    }

    fn forget_packets(&mut self) {
        self.store.clear();
        self.held.clear();
        self.source = Source::default();
    }

    /// What of a group is missing.
    fn missing(&self, group: &Group) -> Missing {
        let mut missing = Missing::None;
        for ext in group.members() {
            missing = match (self.store.get(ext), missing) {
                (Some(Origin::TooLong), _) => return Missing::Unusable,
                (Some(_), _) => missing,
                (None, Missing::None) => Missing::One(ext),
                (None, Missing::Many(count)) => Missing::Many(count + 1),
                (None, _) => Missing::Many(2),
            };
        }
        missing
    }

    fn hold(&mut self, group: Group, missing: u8, payload: &[u8]) {
        self.stats.fec_unused += self.held.insert(group, missing, payload);
    }

    /// Recovers with the FEC packets that are held until nothing new appears. Packets after the newest one are left
    /// alone, but for the first `ahead`.
    fn settle(&mut self, ahead: u64, recovered: &mut impl FnMut(&[u8])) {
        if self.held.is_empty() {
            return;
        }
        self.stats.fec_unused += self.held.drop_before(self.store.start());
        let Some(newest) = self.source.newest else {
            return;
        };
        while let Some((group, missing, length)) = self.held.take_ripe(
            |group| {
                let missing = group.members().find(|&ext| self.store.get(ext).is_none());
                missing.filter(|&ext| ext <= newest + ahead)
            },
            &mut self.scratch[HEADER_BYTES_MIN..],
        ) {
            self.recover(&group, length, missing, recovered);
        }
    }

    /// Recovers packet `missing` from the rest of its group and the FEC payload, which `scratch` holds in the place where
    /// the packet's bytes after the header will be.
    fn recover(
        &mut self,
        group: &Group,
        length: usize,
        missing: u64,
        recovered: &mut impl FnMut(&[u8]),
    ) {
        let Some(end) = self.rebuild(group, length, missing) else {
            self.stats.recovery_failed += 1;
            return;
        };
        let packet = &self.scratch[..end];
        self.stats.recovered += 1;
        self.store.insert(missing, packet, Origin::Recovered);
        self.held.on_known(missing);
        recovered(packet);
    }

    /// Makes the missing packet in `scratch` and returns where it ends; `None` when it is no packet.
    fn rebuild(&mut self, group: &Group, length: usize, missing: u64) -> Option<usize> {
        let ssrc = self.source.ssrc?;
        let (header, payload) = self.scratch.split_first_chunk_mut::<HEADER_BYTES_MIN>()?;
        let payload = payload.get_mut(..length)?;
        let mut sum = group.fields;
        let mut neighbours = Neighbours::default();
        for ext in group.members().filter(|&ext| ext != missing) {
            let (header, rest) = self.store.packet(ext)?.split_first_chunk()?;
            // An FEC packet is as long as the longest packet of its group.
            let target = payload.get_mut(..rest.len())?;
            let fields = Fields::of(header, u16::try_from(rest.len()).ok()?);
            sum.add(&fields);
            neighbours.add(fields.head_bits, ext < missing);
            xor_into(target, rest);
        }
        let (_, behind) = payload.split_at_checked(usize::from(sum.length))?;
        if behind.iter().any(|&byte| byte != 0) {
            return None;
        }
        let head_bits =
            self.head_bits
                .of_missing(sum.head_bits, group.fields.head_bits, &neighbours);
        header[0] = 0x80 | head_bits[0];
        header[1] = head_bits[1] | sum.payload_type;
        header[2..4].copy_from_slice(&sequence(missing).0.to_be_bytes());
        header[4..8].copy_from_slice(&sum.timestamp.to_be_bytes());
        header[8..].copy_from_slice(&ssrc.0.to_be_bytes());
        let end = HEADER_BYTES_MIN + usize::from(sum.length);
        RtpView::parse(&self.scratch[..end]).map(|_| end)
    }
}

impl Source {
    /// Whether a media packet is of another SSRC, and too few of the same have come to be a source that started anew.
    fn is_foreign(&mut self, ssrc: Ssrc) -> bool {
        if self.ssrc.is_none_or(|known| known == ssrc) {
            self.foreign = None;
            return false;
        }
        let before = self.foreign.filter(|(foreign, _)| *foreign == ssrc);
        let run = before.map_or(1, |(_, run)| run + 1);
        self.foreign = Some((ssrc, run));
        run < FOREIGN_RUN_MIN
    }

    /// Whether a media packet belongs to another stream than those before it.
    fn is_restart(&self, ssrc: Ssrc, number: SeqNo) -> bool {
        let Some(reference) = self.newest.or(self.anchor) else {
            return false;
        };
        self.ssrc.is_some_and(|known| known != ssrc)
            || number.distance_from(sequence(reference)).unsigned_abs() > GAP_MAX
    }

    /// The extended number that is nearest to the newest packet.
    fn extend(&mut self, number: SeqNo) -> u64 {
        let reference = *self
            .newest
            .or(self.anchor)
            .get_or_insert_with(|| FIRST_TURN + u64::from(number.0));
        self.anchor = Some(self.anchor.unwrap_or(reference));
        reference.saturating_add_signed(i64::from(number.distance_from(sequence(reference))))
    }
}

/// What of a group is missing.
#[derive(Clone, Copy, Debug)]
enum Missing {
    None,
    One(u64),
    Many(u8),
    /// It holds a packet of which there is no copy.
    Unusable,
}

/// The number on the wire.
const fn sequence(ext: u64) -> SeqNo {
    SeqNo((ext & 0xffff) as u16)
}

/// Extended numbers start high, so that a packet before the first one has a number too.
const FIRST_TURN: u64 = 1 << 32;

/// A jump of more than this is a restart of the source, not loss (configuration.md 8).
const GAP_MAX: u16 = 1_000;

/// This many late packets in a row are a source that started anew a little before its old numbers.
const LATE_RUN_MAX: u32 = 64;

/// This many packets of another SSRC in a row are a source that started anew; fewer are somebody else's.
const FOREIGN_RUN_MIN: u32 = 2;

/// What [`Decoder::latency_packets`] adds for packets that were reordered on the way.
const REORDER_PACKETS: u32 = 16;

const _: () = assert!(PROTECTED_BYTES_MAX + HEADER_BYTES_MIN == PACKET_BYTES_MAX);

#[cfg(test)]
mod tests;
