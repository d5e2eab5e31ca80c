//! The sending direction: what is sent when (draft 4.6, 4.8, 5.1).

use crate::crypto::{CryptoError, SendKeys};
use crate::delivery::{BandwidthLimit, Pacer, RateMeter, RoundTrip, SendBuffer, TokenBucket};
use crate::filter::{ArqMode, FilterEncoder};
use crate::handshake::{Direction, Negotiated, RetransmitAlgorithm, Settings};
use crate::stats::SendStats;
use crate::time::Micros;
use crate::wire::{
    Ack, DataHeader, DataPacket, HEADER_BYTES, KeyFlag, LossList, LossRange, MessagePosition,
    MsgNumber, SocketId, Timestamp,
};

use super::SendError;
use super::receiver::filter_of;

/// The sending direction of a connection.
#[derive(Debug)]
pub(super) struct Sender {
    buffer: SendBuffer,
    payload_bytes_max: usize,
    message: MsgNumber,
    filter: Option<FilterEncoder>,

    // Flow and rate.
    flow_window: u32,
    peer_available: u32,
    pacer: Pacer,
    retransmission: TokenBucket,
    blocked_until: Option<Micros>,
    rate: RateMeter,

    // Retransmission and dropping.
    hold_variances: u32,
    drop_after: Option<Micros>,
    drop_requests: Vec<LossRange>,
    retransmits: bool,
    peer_reports: bool,
    /// When something was last acknowledged, or sent for the first time.
    progress: Micros,
    /// Retransmission time-outs since.
    timeouts: u32,
    /// When the far end last acknowledged something new, or the connection was made.
    acknowledged_at: Micros,

    latency: Micros,
    counts: SendStats,
}

impl Sender {
    pub(super) fn new(
        negotiated: &Negotiated,
        settings: &Settings,
        tag_bytes: usize,
        now: Micros,
    ) -> Self {
        let filter = filter_of(negotiated);
        let room = super::datagram_bytes(negotiated.mss)
            .saturating_sub(HEADER_BYTES)
            .saturating_sub(tag_bytes)
            .saturating_sub(filter.map_or(0, |_| crate::filter::FILTER_HEADER_BYTES));
        let payload_bytes_max = settings.payload_size.min(room);
        let sent_bytes_max = payload_bytes_max + tag_bytes;
        let first = negotiated.send_sequence;
        let capacity = match settings.direction {
            Direction::Receives => UNUSED_PACKETS,
            Direction::Both | Direction::Sends => u32::try_from(settings.send_buffer_packets)
                .unwrap_or(u32::MAX)
                .clamp(1, BUFFER_PACKETS_MAX),
        };
        let limit = match settings.max_bw {
            None => BandwidthLimit::Unlimited,
            Some(0) => BandwidthLimit::Input {
                input: (settings.input_bw > 0).then_some(settings.input_bw),
                overhead_percent: settings.overhead_bw,
            },
            Some(rate) => BandwidthLimit::Max(rate),
        };
        Self {
            buffer: SendBuffer::new(capacity, sent_bytes_max, first),
            payload_bytes_max,
            message: MsgNumber::FIRST,
            filter: filter.map(|filter| FilterEncoder::new(filter, first, sent_bytes_max)),
            flow_window: negotiated.flow_window,
            peer_available: negotiated.flow_window,
            pacer: Pacer::new(limit, now),
            retransmission: TokenBucket::new(settings.max_rexmit_bw, RETRANSMISSION_DEPTH, now),
            blocked_until: None,
            rate: RateMeter::default(),
            hold_variances: match settings.retransmit_algo {
                RetransmitAlgorithm::Default => 1,
                RetransmitAlgorithm::Reduced => 4,
            },
            drop_after: settings
                .send_drop_delay_ms
                .filter(|_| negotiated.tlpktdrop)
                .map(|extra_ms| {
                    //= draft-sharabayko-srt 4.6: 1.25 times the latency, and at least one second
                    let latency = negotiated.send_latency;
                    let threshold = latency + Micros(latency.0 / 4);
                    (threshold + Micros::from_millis(u64::from(extra_ms))).max(Micros::from_secs(1))
                }),
            drop_requests: Vec::with_capacity(DROP_REQUESTS_MAX),
            retransmits: filter.is_none_or(|filter| filter.arq != ArqMode::Never),
            peer_reports: negotiated.peer_nak_report,
            progress: now,
            timeouts: 0,
            acknowledged_at: now,
            latency: negotiated.send_latency,
            counts: SendStats::default(),
        }
    }

    /// Takes a message of the application.
    #[inline]
    pub(super) fn write(
        &mut self,
        now: Micros,
        timestamp: Timestamp,
        payload: &[&[u8]],
    ) -> Result<(), SendError> {
        let bytes = payload.iter().map(|part| part.len()).sum();
        if bytes > self.payload_bytes_max {
            self.counts.too_long += 1;
            self.counts.too_long_bytes = self.counts.too_long_bytes.max(bytes);
            return Err(SendError::TooLong {
                bytes,
                max: self.payload_bytes_max,
            });
        }
        match self.buffer.push(now, timestamp, self.message, payload) {
            Ok(_) => {
                self.message = self.message.next();
                self.pacer.written(now, HEADER_BYTES + bytes);
                Ok(())
            }
            Err(full) => {
                self.counts.refused += 1;
                Err(SendError::Full {
                    packets: full.capacity,
                })
            }
        }
    }

    /// The next data packet: FEC, then retransmissions, then new ones.
    #[inline]
    pub(super) fn poll(
        &mut self,
        now: Micros,
        peer: SocketId,
        keys: Option<&mut SendKeys>,
        out: &mut [u8],
    ) -> Result<Option<usize>, CryptoError> {
        self.blocked_until = None;
        if let Some(filter) = self.filter.as_mut().filter(|filter| filter.is_ready())
            && let Some(length) = filter.poll(peer, out)
        {
            self.pacer.sent(length);
            self.rate.add(now, length - HEADER_BYTES);
            return Ok(Some(length));
        }
        if self.buffer.has_retransmissions()
            && let Some(length) = self.poll_retransmission(now, peer, out)
        {
            return Ok(Some(length));
        }
        self.poll_new(now, peer, keys, out)
    }

    /// The far end acknowledges; whether that can be.
    pub(super) fn acknowledged(&mut self, now: Micros, ack: &Ack, rtt: &mut RoundTrip) -> bool {
        let Some(count) = self.buffer.acknowledge(ack.acknowledged) else {
            return false;
        };
        self.counts.acks += 1;
        if count > 0 {
            self.progress = now;
            self.acknowledged_at = now;
            self.timeouts = 0;
        }
        if let Some(detail) = ack.detail {
            rtt.reported(detail.rtt_us, detail.rtt_var_us);
            // A window of nothing could never be opened again, for nothing would be acknowledged.
            self.peer_available = detail.buffer_available.max(WINDOW_MIN);
            if let Some(rates) = detail.rates {
                self.counts.link_capacity = rates.link_capacity;
            }
        } else {
            // What a light one acknowledges may still lie in the far end's buffer.
            self.peer_available = self.peer_available.saturating_sub(count).max(WINDOW_MIN);
        }
        true
    }

    /// The far end reports losses (draft 4.8.2).
    pub(super) fn reported_lost(&mut self, now: Micros, list: LossList<'_>, rtt: &RoundTrip) {
        self.counts.naks += 1;
        for range in list.ranges() {
            self.buffer.request(range);
            if let Some(given_up) = self.buffer.given_up(range) {
                self.request_drop(given_up);
            }
        }
        let hold = rtt.reply_time(self.hold_variances) + HOLD_MARGIN;
        let outcome = self.buffer.decide_requests(now, hold);
        self.counts.lost += u64::from(outcome.lost);
        self.counts.suppressed += u64::from(outcome.suppressed);
    }

    /// A range that is given up, to be told to the far end. Its message number is zero, for the far end is to keep what
    /// it has of the range.
    pub(super) fn poll_drop_request(&mut self) -> Option<(MsgNumber, LossRange)> {
        self.drop_requests
            .pop()
            .map(|range| (MsgNumber::FILTER, range))
    }

    /// Drops what is too late, and retransmits without a report when nothing was acknowledged for long.
    pub(super) fn tick(&mut self, now: Micros, rtt: &RoundTrip) {
        if let Some(limit) = self.drop_after.and_then(|after| now.0.checked_sub(after.0))
            && let Some(dropped) = self.buffer.drop_too_late(Micros(limit))
        {
            self.counts.dropped += u64::from(dropped.count());
            self.request_drop(dropped);
        }
        if self.timeout_at(rtt).is_some_and(|at| now >= at) {
            self.timeouts = (self.timeouts + 1).min(TIMEOUTS_MAX);
            self.progress = now;
            // A far end that repeats its reports asks for the rest, once it knows how far the stream has got.
            self.buffer
                .request_newest(if self.peer_reports { 1 } else { u32::MAX });
        }
    }

    pub(super) fn next_timeout(&self, rtt: &RoundTrip) -> Micros {
        let drop_at = self
            .drop_after
            .zip(self.buffer.oldest_written())
            .map(|(after, written)| written + after);
        [self.blocked_until, drop_at, self.timeout_at(rtt)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(Micros::MAX)
    }

    /// How long the far end has left the oldest message unacknowledged, and every other.
    pub(super) fn unacknowledged_for(&self, now: Micros) -> Micros {
        self.buffer
            .oldest_written()
            .filter(|_| self.buffer.in_flight() > 0)
            .map_or(Micros::ZERO, |written| {
                now.since(written.max(self.acknowledged_at))
            })
    }

    pub(super) const fn payload_bytes_max(&self) -> usize {
        self.payload_bytes_max
    }

    pub(super) fn stats(&self, now: Micros) -> SendStats {
        let (packets_per_second, bytes_per_second) = self.rate.rates(now);
        SendStats {
            fec_packets: self.filter.as_ref().map_or(0, FilterEncoder::packets),
            packets_per_second,
            bytes_per_second,
            in_flight: self.buffer.in_flight(),
            flow_window: self.window(),
            buffer_packets: self.buffer.packets(),
            buffer_bytes: self.buffer.bytes(),
            buffer_span: self
                .buffer
                .oldest_written()
                .map_or(Micros::ZERO, |written| now.since(written)),
            peer_buffer_available: self.peer_available,
            latency: self.latency,
            ..self.counts.clone()
        }
    }

    fn poll_retransmission(
        &mut self,
        now: Micros,
        peer: SocketId,
        out: &mut [u8],
    ) -> Option<usize> {
        for bucket in [&mut self.retransmission, self.pacer.bucket()] {
            if !bucket.may_take(now) {
                let ready_at = bucket.ready_at();
                self.blocked_until =
                    Some(self.blocked_until.map_or(ready_at, |at| at.min(ready_at)));
                return None;
            }
        }
        let packet = self.buffer.next_retransmission()?;
        let sequence = packet.sequence;
        let header = DataHeader {
            sequence,
            position: MessagePosition::Single,
            in_order: IN_ORDER,
            key: *packet.key,
            retransmitted: true,
            message: packet.message,
            timestamp: packet.timestamp,
            destination: peer,
        };
        let payload = &packet.cell[..*packet.length as usize];
        let length = DataPacket { header, payload }.write(out).ok()?;
        self.buffer.mark_retransmitted(now, sequence);
        self.counts.retransmitted += 1;
        self.counts.retransmitted_bytes += (length - HEADER_BYTES) as u64;
        self.retransmission.take(length);
        self.pacer.sent(length);
        self.rate.add(now, length - HEADER_BYTES);
        Some(length)
    }

    #[inline]
    fn poll_new(
        &mut self,
        now: Micros,
        peer: SocketId,
        keys: Option<&mut SendKeys>,
        out: &mut [u8],
    ) -> Result<Option<usize>, CryptoError> {
        if self.buffer.waiting() == 0 || self.buffer.in_flight() >= self.window() {
            return Ok(None);
        }
        if !self.pacer.may_send(now) {
            let ready_at = self.pacer.ready_at();
            self.blocked_until = Some(self.blocked_until.map_or(ready_at, |at| at.min(ready_at)));
            return Ok(None);
        }
        let Some(packet) = self.buffer.next_unsent() else {
            return Ok(None);
        };
        let written = *packet.length as usize;
        let mut header = DataHeader {
            sequence: packet.sequence,
            position: MessagePosition::Single,
            in_order: IN_ORDER,
            key: *packet.key,
            retransmitted: false,
            message: packet.message,
            timestamp: packet.timestamp,
            destination: peer,
        };
        if let Some(keys) = keys
            && header.key == KeyFlag::None
        {
            // In place and once: what is retransmitted is the same ciphertext.
            let length = keys.encrypt(&mut header, packet.cell, written)?;
            *packet.length = u32::try_from(length).unwrap_or(u32::MAX);
            *packet.key = header.key;
        }
        let payload = &packet.cell[..*packet.length as usize];
        let Ok(length) = (DataPacket { header, payload }).write(out) else {
            return Ok(None);
        };
        if let Some(filter) = &mut self.filter {
            filter.feed(&header, payload);
        }
        self.buffer.mark_sent(now);
        self.progress = now;
        self.counts.packets += 1;
        self.counts.bytes += written as u64;
        self.pacer.sent(length);
        self.rate.add(now, length - HEADER_BYTES);
        Ok(Some(length))
    }

    fn request_drop(&mut self, range: LossRange) {
        // The far end asks again for what is forgotten here.
        if self.drop_requests.len() < DROP_REQUESTS_MAX && !self.drop_requests.contains(&range) {
            self.drop_requests.push(range);
        }
    }

    /// When a retransmission time-out is due.
    //= draft-sharabayko-srt 5.1.2: RTO = RexmitCount * (RTT + 4 * RTTVar + 2 * SYN) + SYN
    #[inline]
    fn timeout_at(&self, rtt: &RoundTrip) -> Option<Micros> {
        if self.buffer.in_flight() == 0 || !self.retransmits {
            return None;
        }
        let one = rtt.reply_time(4) + SYN + SYN;
        Some(self.progress + Micros(one.0 * u64::from(self.timeouts + 1)) + SYN)
    }

    /// Packets that may be in flight: what both ends agreed on, and what the far end has room for.
    #[inline]
    fn window(&self) -> u32 {
        self.flow_window.min(self.peer_available)
    }
}

/// Live messages are one packet each, and the far end orders them by their times in any case.
const IN_ORDER: bool = false;

/// Less than a quarter of all numbers, so that everything in the buffer has an order.
pub(super) const BUFFER_PACKETS_MAX: u32 = 1 << 20;

/// Room of a buffer in the direction that no messages go: the least that a far end may be told of.
pub(super) const UNUSED_PACKETS: u32 = 32;

/// Smallest window that an acknowledgement can leave.
pub(super) const WINDOW_MIN: u32 = 2;

/// Ranges that wait to be told.
const DROP_REQUESTS_MAX: usize = 16;

/// What `max_rexmit_bw` lets through at once after a pause.
const RETRANSMISSION_DEPTH: Micros = Micros::from_millis(100);

//= draft-sharabayko-srt 4.8.1: the synchronization interval, 10 ms
pub(super) const SYN: Micros = Micros::from_millis(10);

/// The time-out grows to a few seconds for a link with 40 ms of round-trip time.
const TIMEOUTS_MAX: u32 = 32;

/// What a timer of the far end may be early, and its reading of a packet late.
const HOLD_MARGIN: Micros = Micros::from_millis(2);
