//! Control packets of a connection (draft 3.2).

use std::collections::VecDeque;

use crate::crypto::{KEY_MATERIAL_BYTES_MAX, KmAnswer, KmState};
use crate::time::Micros;
use crate::wire::{Control, ControlPacket, ExtensionKind, LossRange, Timestamp, write_nak};

use super::{CloseReason, Connection, KEEP_ALIVE, SHUTDOWN_INTERVAL_MIN, SHUTDOWNS};

/// What is to be answered.
#[derive(Debug)]
pub(super) struct ControlQueue {
    /// Numbers of full acknowledgements, to be answered by an ACKACK each.
    ack_acks: VecDeque<u32>,
    /// The answer to the latest KMREQ.
    km_response: Vec<u8>,
}

impl Default for ControlQueue {
    fn default() -> Self {
        Self {
            ack_acks: VecDeque::with_capacity(ACK_ACKS_MAX),
            km_response: Vec::with_capacity(KEY_MATERIAL_BYTES_MAX),
        }
    }
}

impl Connection {
    pub(super) fn handle_control(&mut self, now: Micros, packet: &ControlPacket<'_>) {
        match &packet.control {
            Control::Ack(ack) => {
                if !self.sender.acknowledged(now, ack, &mut self.rtt) {
                    self.ignored += 1;
                    return;
                }
                //= draft-sharabayko-srt 4.8.1: a full ACK triggers an ACKACK, a light one does not
                if ack.number != 0 {
                    if self.control.ack_acks.len() == ACK_ACKS_MAX {
                        self.control.ack_acks.pop_front();
                    }
                    self.control.ack_acks.push_back(ack.number);
                }
            }
            Control::Nak(list) => self.sender.reported_lost(now, *list, &self.rtt),
            Control::AckAck { number } => {
                self.receiver
                    .ack_answered(now, *number, packet.timestamp, &mut self.rtt);
            }
            Control::DropRequest { first, last, .. } => {
                let range = LossRange {
                    first: *first,
                    last: *last,
                };
                self.receiver.drop_request(now, range);
            }
            Control::Shutdown => self.end(now, CloseReason::PeerShutdown),
            Control::UserDefined { subtype, content } => {
                self.handle_key_material(now, *subtype, content)
            }
            Control::KeepAlive => {}
            // A repeated handshake is answered by the role that made the connection, if it is owed an answer.
            Control::Handshake(_) | Control::CongestionWarning | Control::PeerError { .. } => {}
            Control::Unknown { .. } => self.ignored += 1,
        }
    }

    /// The next control packet.
    #[inline]
    pub(super) fn poll_control(
        &mut self,
        now: Micros,
        timestamp: Timestamp,
        out: &mut [u8],
    ) -> Option<usize> {
        if let Some(number) = self.control.ack_acks.pop_front() {
            return self.write(timestamp, Control::AckAck { number }, out);
        }
        if let Some(ack) = self.receiver.poll_ack(now, &self.rtt) {
            return self.write(timestamp, Control::Ack(ack), out);
        }
        let naks = self.receiver.pending_naks();
        if !naks.is_empty() {
            let ranges = naks.iter().copied();
            let (length, count) = write_nak(out, timestamp, self.peer, ranges);
            self.receiver.naks_sent(count);
            if length > 0 {
                return Some(length);
            }
        }
        if let Some((message, range)) = self.sender.poll_drop_request() {
            let control = Control::DropRequest {
                message,
                first: range.first,
                last: range.last,
            };
            return self.write(timestamp, control, out);
        }
        if !self.control.km_response.is_empty() {
            let control = Control::UserDefined {
                subtype: ExtensionKind::KmRsp.to_wire(),
                content: &self.control.km_response,
            };
            let length = self.write(timestamp, control, out);
            self.control.km_response.clear();
            return length;
        }
        self.poll_key_refresh(now, timestamp, out)
    }

    /// A keep-alive, when nothing else has left for a second.
    #[inline]
    pub(super) fn poll_keep_alive(
        &self,
        now: Micros,
        timestamp: Timestamp,
        out: &mut [u8],
    ) -> Option<usize> {
        if now < self.last_sent + KEEP_ALIVE {
            return None;
        }
        self.write(timestamp, Control::KeepAlive, out)
    }

    /// SHUTDOWN, again and again: there is no answer to it.
    //= draft-sharabayko-srt 3.2.7
    pub(super) fn poll_shutdown(
        &mut self,
        now: Micros,
        timestamp: Timestamp,
        out: &mut [u8],
    ) -> Option<usize> {
        if self.shutdowns >= SHUTDOWNS || now < self.shutdown_at {
            return None;
        }
        self.shutdowns += 1;
        self.shutdown_at = now + self.rtt.rtt().max(SHUTDOWN_INTERVAL_MIN);
        self.write(timestamp, Control::Shutdown, out)
    }

    /// The announcement of a new key (draft 6.1.6).
    fn poll_key_refresh(
        &mut self,
        now: Micros,
        timestamp: Timestamp,
        out: &mut [u8],
    ) -> Option<usize> {
        // Without random numbers there is no new key, and the present one stays; the next call tries again.
        let content = self
            .crypto
            .as_mut()?
            .send
            .poll_request(now, self.rtt.rtt())
            .ok()??;
        let control = Control::UserDefined {
            subtype: ExtensionKind::KmReq.to_wire(),
            content,
        };
        let packet = ControlPacket {
            timestamp,
            destination: self.peer,
            control,
        };
        packet.write(out).ok()
    }

    fn handle_key_material(&mut self, now: Micros, subtype: u16, content: &[u8]) {
        match ExtensionKind::from_wire(subtype) {
            ExtensionKind::KmReq => {
                let answer = self
                    .crypto
                    .as_mut()
                    .map_or(KmAnswer::Refuse(KmState::NoSecret), |crypto| {
                        crypto.receive.handle_request(now, content)
                    });
                let response = &mut self.control.km_response;
                match answer {
                    // What was taken for key material is no longer than key material is.
                    KmAnswer::Echo if content.len() <= KEY_MATERIAL_BYTES_MAX => {
                        response.clear();
                        response.extend_from_slice(content);
                    }
                    KmAnswer::Refuse(state) => {
                        response.clear();
                        response.extend_from_slice(&state.to_wire().to_be_bytes());
                    }
                    KmAnswer::Echo | KmAnswer::Ignore => self.ignored += 1,
                }
            }
            ExtensionKind::KmRsp => {
                if let Some(crypto) = &mut self.crypto {
                    crypto.send.handle_response(content);
                }
            }
            _ => self.ignored += 1,
        }
    }

    fn write(&self, timestamp: Timestamp, control: Control<'_>, out: &mut [u8]) -> Option<usize> {
        let packet = ControlPacket {
            timestamp,
            destination: self.peer,
            control,
        };
        packet.write(out).ok()
    }
}

/// More full acknowledgements than a far end sends in 600 ms; of more, the newest are answered.
const ACK_ACKS_MAX: usize = 64;
