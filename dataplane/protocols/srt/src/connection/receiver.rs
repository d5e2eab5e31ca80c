//! The receiving direction: what is acknowledged, reported and delivered when (draft 4.5 to 4.8).

use crate::crypto::{CryptoError, ReceiveKeys};
use crate::delivery::{
    Arrival, LinkCapacity, RateMeter, ReceiveBuffer, Reporting, RoundTrip, TsbpdClock,
};
use crate::filter::{ArqMode, FilterConfig, FilterDecoder, FilterText};
use crate::handshake::{Direction, Negotiated, Settings};
use crate::stats::ReceiveStats;
use crate::time::Micros;
use crate::wire::{
    Ack, AckDetail, AckRates, DataHeader, HEADER_BYTES, KeyFlag, LossRange, MsgNumber, SeqNumber,
    SocketId, Timestamp,
};

use super::Received;
use super::sender::{BUFFER_PACKETS_MAX, SYN, UNUSED_PACKETS, WINDOW_MIN};

mod acks;

use acks::Acknowledgements;

/// The receiving direction of a connection.
#[derive(Debug)]
pub(super) struct Receiver {
    local: SocketId,
    buffer: ReceiveBuffer,
    clock: TsbpdClock,
    /// Whether the far end's timestamps tell when to deliver.
    tsbpd: bool,
    at_once: bool,
    /// Nobody takes what arrives.
    discards: bool,
    tlpktdrop: bool,
    filter: Option<FilterDecoder>,
    /// One payload, on its way through the filter.
    scratch: Vec<u8>,
    /// What the filter gave up while it rebuilt a packet.
    lost: Vec<SeqNumber>,

    // Acknowledgements and loss reports.
    acks: Acknowledgements,
    naks: Vec<LossRange>,
    repeats_reports: bool,
    /// When [`tick`](Self::tick) has something to do; `None` while nothing is missing and all is acknowledged.
    tick_at: Option<Micros>,

    rate: RateMeter,
    capacity: LinkCapacity,
    counts: ReceiveStats,
}

impl Receiver {
    pub(super) fn new(negotiated: &Negotiated, settings: &Settings) -> Self {
        let payload_bytes_max = super::datagram_bytes(negotiated.mss).saturating_sub(HEADER_BYTES);
        let filter = filter_of(negotiated);
        let reporting = match filter.map(|filter| filter.arq) {
            None | Some(ArqMode::Always) => Reporting::Immediate {
                tolerance: settings.loss_max_ttl.min(BUFFER_PACKETS_MAX),
            },
            Some(ArqMode::OnRequest) => Reporting::OnRequest,
            Some(ArqMode::Never) => Reporting::Never,
        };
        let discards = settings.direction == Direction::Sends;
        let capacity = if discards {
            UNUSED_PACKETS
        } else {
            u32::try_from(settings.recv_buffer_packets)
                .unwrap_or(u32::MAX)
                .clamp(1, BUFFER_PACKETS_MAX)
        };
        let first = negotiated.recv_sequence;
        Self {
            local: negotiated.local_socket,
            buffer: ReceiveBuffer::new(capacity, payload_bytes_max, first, reporting),
            clock: TsbpdClock::new(
                negotiated.peer_timestamp_at,
                negotiated.peer_timestamp,
                negotiated.recv_latency,
            ),
            tsbpd: negotiated.recv_tsbpd,
            at_once: discards,
            discards,
            tlpktdrop: negotiated.tlpktdrop,
            filter: filter.map(|filter| FilterDecoder::new(filter, first, payload_bytes_max)),
            scratch: vec![0; payload_bytes_max],
            lost: Vec::with_capacity(NAK_RANGES_MAX),
            acks: Acknowledgements::new(first),
            naks: Vec::with_capacity(NAK_RANGES_MAX),
            repeats_reports: settings.nak_report,
            tick_at: None,
            rate: RateMeter::default(),
            capacity: LinkCapacity::default(),
            counts: ReceiveStats::default(),
        }
    }

    /// A data packet arrived.
    #[inline]
    pub(super) fn data(
        &mut self,
        now: Micros,
        header: &DataHeader,
        payload: &mut [u8],
        keys: Option<&ReceiveKeys>,
    ) {
        self.rate.add(now, payload.len());
        if header.message == MsgNumber::FILTER {
            if let Some(filter) = &mut self.filter {
                filter.fec_packet(header, payload);
                self.take_rebuilt(now, keys);
            }
            return;
        }
        self.counts.packets += 1;
        self.counts.bytes += payload.len() as u64;
        if header.retransmitted {
            self.counts.retransmitted += 1;
        } else {
            self.capacity.arrival(now, header.sequence.value());
        }
        self.arm(now);
        if self.filter.is_none() {
            self.insert(now, header, payload, keys);
            return;
        }
        // The filter works on what was sent, and says what is lost only after the gap in front of it is known.
        let length = payload.len().min(self.scratch.len());
        self.scratch[..length].copy_from_slice(&payload[..length]);
        if matches!(
            self.insert(now, header, payload, keys),
            Arrival::NoRoom | Arrival::TooLong
        ) {
            return;
        }
        if let Some(filter) = &mut self.filter {
            let (buffer, naks) = (&mut self.buffer, &mut self.naks);
            filter.packet(header, &self.scratch[..length], &mut |sequence| {
                report_lost(now, buffer, naks, sequence);
            });
            self.take_rebuilt(now, keys);
        }
    }

    /// Throws away what nobody takes.
    #[inline]
    pub(super) fn discard(&mut self, now: Micros) {
        if self.discards {
            while self.receive(now, &mut []).is_some() {}
        }
    }

    /// Nothing comes any more: what is missing is skipped when its time has come, agreed upon or not.
    pub(super) const fn end(&mut self) {
        self.tlpktdrop = true;
    }

    /// The far end gives packets up.
    pub(super) fn drop_request(&mut self, now: Micros, range: LossRange) {
        self.buffer.drop_request(now, range);
        self.arm(now);
    }

    /// The far end answers acknowledgement `number`; `timestamp` is when it did, on its clock.
    pub(super) fn ack_answered(
        &mut self,
        now: Micros,
        number: u32,
        timestamp: Timestamp,
        rtt: &mut RoundTrip,
    ) {
        let Some(elapsed) = self.acks.answered(now, number) else {
            return;
        };
        rtt.measured(elapsed);
        // Half of what the way takes longer than at the start is on the way here.
        let first = rtt.first().unwrap_or(elapsed);
        let excess_us = i64::try_from(elapsed.0).unwrap_or(i64::MAX / 2)
            - i64::try_from(first.0).unwrap_or(i64::MAX / 2);
        self.clock.sample(now, timestamp, excess_us / 2);
    }

    /// Acknowledges and reports what is due.
    pub(super) fn tick(&mut self, now: Micros, rtt: &RoundTrip) {
        if self.tick_at.is_none_or(|at| now < at) {
            return;
        }
        let acknowledged = self.buffer.acknowledge();
        self.acks.tick(now, acknowledged, rtt);
        if let Some(delivery) = self.buffer.first()
            && delivery.after_gap
        {
            // A filter's group may never end, for example because the stream pauses.
            let naks = &mut self.naks;
            let reply_time = rtt.reply_time(4) + SYN;
            if self.clock.delivery_time(delivery.source) < now + reply_time + reply_time {
                self.buffer
                    .release_overdue(now, &mut |range| push_range(naks, range));
            }
        }
        if self.repeats_reports && self.buffer.missing() > 0 {
            let naks = &mut self.naks;
            let interval = (rtt.reply_time(4) + REPEAT_MARGIN).max(NAK_INTERVAL_MIN);
            self.buffer
                .repeated_reports(now, interval, &mut |range| push_range(naks, range));
        }
        let idle = self.buffer.missing() == 0 && self.acks.is_confirmed(acknowledged);
        self.tick_at = (!idle).then_some(now + SYN);
    }

    pub(super) fn next_timeout(&self) -> Micros {
        self.tick_at.unwrap_or(Micros::MAX)
    }

    /// The acknowledgement to send now.
    #[inline]
    pub(super) fn poll_ack(&mut self, now: Micros, rtt: &RoundTrip) -> Option<Ack> {
        if !self.acks.is_due() {
            return None;
        }
        let acknowledged = self.buffer.acknowledge();
        let number = self.acks.take_due(now, acknowledged)?;
        self.counts.acks += 1;
        if number == 0 {
            return Some(Ack {
                number,
                acknowledged,
                detail: None,
            });
        }
        let (rtt_us, rtt_var_us) = rtt.to_wire();
        let (packets, bytes) = self.rate.rates(now);
        Some(Ack {
            number,
            acknowledged,
            detail: Some(AckDetail {
                rtt_us,
                rtt_var_us,
                // A far end that is told of no room at all sends nothing that could be acknowledged later.
                buffer_available: self.buffer.available().max(WINDOW_MIN),
                rates: Some(AckRates {
                    packets_per_second: u32::try_from(packets).unwrap_or(u32::MAX),
                    link_capacity: self.capacity.packets_per_second(),
                    bytes_per_second: u32::try_from(bytes).unwrap_or(u32::MAX),
                }),
            }),
        })
    }

    /// Ranges to be reported.
    #[inline]
    pub(super) fn pending_naks(&self) -> &[LossRange] {
        &self.naks
    }

    /// The first `count` of them were.
    pub(super) fn naks_sent(&mut self, count: usize) {
        self.naks.drain(..count.min(self.naks.len()));
        if count == 0 {
            self.naks.clear();
        } else {
            self.counts.naks += 1;
        }
    }

    /// Hands out the next message that is due.
    //= draft-sharabayko-srt 4.6, reading from the receiver buffer
    #[inline]
    pub(super) fn receive(&mut self, now: Micros, out: &mut [u8]) -> Option<Received> {
        let delivery = self.buffer.first()?;
        if self.due_at(delivery.source, delivery.after_gap)? > now {
            return None;
        }
        let bytes = self.buffer.take(out)?;
        self.counts.delivered += 1;
        self.counts.delivered_bytes += bytes as u64;
        if delivery.after_gap {
            // What was skipped is acknowledged, so that the far end gives it up too.
            self.arm(now);
        }
        Some(Received {
            bytes,
            timestamp: self.clock.local_time(delivery.source),
            sequence: delivery.sequence,
        })
    }

    #[inline]
    pub(super) fn next_delivery(&self) -> Option<Micros> {
        let delivery = self.buffer.first()?;
        self.due_at(delivery.source, delivery.after_gap)
    }

    pub(super) const fn set_at_once(&mut self, at_once: bool) {
        self.at_once = at_once;
    }

    pub(super) fn stats(&self, now: Micros) -> ReceiveStats {
        let (packets_per_second, bytes_per_second) = self.rate.rates(now);
        ReceiveStats {
            counts: *self.buffer.counts(),
            fec: self
                .filter
                .as_ref()
                .map(|filter| *filter.counts())
                .unwrap_or_default(),
            packets_per_second,
            bytes_per_second,
            buffer_packets: self.buffer.packets(),
            buffer_bytes: self.buffer.bytes(),
            buffer_span: self.buffer.source_span(),
            buffer_available: self.buffer.available(),
            missing: self.buffer.missing(),
            link_capacity: self.capacity.packets_per_second(),
            latency: self.clock.delay(),
            drift_us: self.clock.drift_us(),
            ..self.counts.clone()
        }
    }

    /// When a packet is to be handed out; `None` when it has to wait for those in front of it.
    #[inline]
    fn due_at(&self, source: crate::delivery::SourceTime, after_gap: bool) -> Option<Micros> {
        let in_time = self.tsbpd && !self.at_once;
        match (after_gap, in_time) {
            (false, false) => Some(Micros::ZERO),
            (true, _) if !self.tlpktdrop => None,
            _ => Some(self.clock.delivery_time(source)),
        }
    }

    #[inline]
    fn insert(
        &mut self,
        now: Micros,
        header: &DataHeader,
        payload: &mut [u8],
        keys: Option<&ReceiveKeys>,
    ) -> Arrival {
        let arrival = self.buffer.preview(header.sequence);
        if !matches!(arrival, Arrival::New { .. } | Arrival::FillsGap { .. }) {
            self.buffer.count(arrival);
            return arrival;
        }
        let length = match (keys, header.key) {
            (Some(keys), _) => keys.decrypt(header, payload),
            (None, KeyFlag::None) => Ok(payload.len()),
            (None, _) => Err(CryptoError::NoKey("configured")),
        };
        match length {
            Ok(length) => {
                let source = self.clock.source_time(now, header.timestamp);
                let payload = &payload[..length.min(payload.len())];
                let original = !header.retransmitted;
                self.buffer
                    .insert(now, header.sequence, source, payload, original);
            }
            // Somebody else's packet, or a damaged one: the right one is still to come.
            Err(CryptoError::Forged | CryptoError::Short(_)) => {
                self.counts.undecryptable += 1;
                return arrival;
            }
            Err(_) => {
                self.counts.undecryptable += 1;
                self.buffer.insert_unusable(now, header.sequence);
            }
        }
        let naks = &mut self.naks;
        self.buffer
            .first_reports(now, &mut |range| push_range(naks, range));
        self.acks.arrived();
        arrival
    }

    /// Takes what the packet filter rebuilds, and reports what it gives up.
    fn take_rebuilt(&mut self, now: Micros, keys: Option<&ReceiveKeys>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some((header, length)) = self.filter.as_mut().and_then(|filter| {
            let lost = &mut self.lost;
            filter.poll_rebuilt(self.local, &mut scratch, &mut |sequence| {
                // Of more, what is not rebuilt is released when its time runs out.
                if lost.len() < NAK_RANGES_MAX {
                    lost.push(sequence);
                }
            })
        }) {
            self.arm(now);
            self.insert(now, &header, &mut scratch[..length], keys);
            // Only now the buffer knows of gaps in front of the rebuilt packet.
            for sequence in self.lost.drain(..) {
                report_lost(now, &mut self.buffer, &mut self.naks, sequence);
            }
        }
        self.scratch = scratch;
    }

    #[inline]
    fn arm(&mut self, now: Micros) {
        if self.tick_at.is_none() {
            self.tick_at = Some(now + SYN);
        }
    }
}

/// The packet filter of a connection. The handshake has read the text already, so that it is one.
pub(super) fn filter_of(negotiated: &Negotiated) -> Option<FilterConfig> {
    let text = negotiated.packet_filter.as_deref()?;
    FilterText::parse(text).and_then(FilterText::resolve).ok()
}

fn report_lost(
    now: Micros,
    buffer: &mut ReceiveBuffer,
    naks: &mut Vec<LossRange>,
    sequence: SeqNumber,
) {
    if buffer.release_held(now, sequence) {
        push_range(
            naks,
            LossRange {
                first: sequence,
                last: sequence,
            },
        );
    }
}

/// Appends `range`, in one with the last if it follows it. What has no room is reported again after the interval.
#[inline]
fn push_range(naks: &mut Vec<LossRange>, range: LossRange) {
    if let Some(last) = naks.last_mut()
        && last.last.next() == range.first
    {
        last.last = range.last;
    } else if naks.len() < NAK_RANGES_MAX {
        naks.push(range);
    }
}

/// Ranges that wait to be reported: more than a loss report has room for.
const NAK_RANGES_MAX: usize = 256;

//= draft-sharabayko-srt 4.8.2: NAKInterval has a floor of 20 ms
const NAK_INTERVAL_MIN: Micros = Micros::from_millis(20);

/// Longer than the far end holds a report back that crossed its retransmission.
const REPEAT_MARGIN: Micros = Micros::from_millis(4);
