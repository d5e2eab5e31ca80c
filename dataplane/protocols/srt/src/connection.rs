//! A connected socket: what follows the handshake, until its end.

mod control;
mod receiver;
mod sender;

use crate::crypto::CryptoState;
use crate::delivery::RoundTrip;
use crate::handshake::{Negotiated, Settings};
use crate::stats::Stats;
use crate::time::Micros;
use crate::wire::{Packet, SeqNumber, SocketId, Timestamp};

use control::ControlQueue;
use receiver::Receiver;
use sender::Sender;

/// One connection, in both directions.
///
/// * Getters: [`state`](Self::state), [`next_timeout`](Self::next_timeout), [`next_delivery`](Self::next_delivery),
///   [`stats`](Self::stats), [`datagram_bytes_max`](Self::datagram_bytes_max),
///   [`payload_bytes_max`](Self::payload_bytes_max).
/// * Input: [`handle_packet`](Self::handle_packet), [`handle_timeout`](Self::handle_timeout).
/// * For the application: [`send`](Self::send), [`receive`](Self::receive), [`close`](Self::close),
///   [`set_at_once`](Self::set_at_once).
/// * Output: [`poll_transmit`](Self::poll_transmit).
///
/// After any input, and after `send` and `close`, call `poll_transmit` until it answers `None`; an ACKACK that waits
/// there lengthens the round-trip time that the far end measures. Then wait until `next_timeout`, and until
/// `next_delivery` for `receive`. Several packets may be handed in before the transmissions are polled.
///
/// All memory is reserved when the connection is made, by [`Settings`]; nothing is allocated per packet. A packet costs
/// at most a walk over the window of the buffer that it concerns, whatever it claims.
///
/// Deviation from libsrt, for `retransmit_algo: default`: it retransmits on every report, also on those that crossed the
/// retransmission on the way, which multiplies the load exactly when the link is bad. Here a report is not answered
/// within one round-trip time of the retransmission in either mode; `reduced` adds four variances to that.
#[derive(Debug)]
pub struct Connection {
    local: SocketId,
    peer: SocketId,
    /// When our timestamps were zero.
    start: Micros,
    since: Micros,
    state: State,
    ended: Option<Micros>,
    datagram_bytes_max: usize,
    rtt: RoundTrip,
    crypto: Option<CryptoState>,
    sender: Sender,
    receiver: Receiver,
    control: ControlQueue,

    // Silence.
    idle_timeout: Micros,
    last_received: Micros,
    last_sent: Micros,

    // Closing.
    shutdowns: u32,
    shutdown_at: Micros,

    malformed: u64,
    ignored: u64,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Both ends are there.
    Connected,
    /// We have closed, and tell the far end.
    Closing,
    /// It is over.
    Closed(CloseReason),
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// A payload could not be encrypted, and nothing is sent in clear that should not be.
    Encryption,
    /// We closed it.
    Local,
    /// Nothing came from the far end for the peer idle time-out.
    PeerIdle,
    /// The far end closed it.
    PeerShutdown,
}

/// A message that was handed out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    /// Bytes of the message, at the front of the caller's buffer.
    pub bytes: usize,
    /// When the far end sent it, as time of our clock: its timestamp, less the drift of its clock, plus the time that a
    /// packet took during the handshake. It moves on evenly, whatever the network did to the packet.
    pub timestamp: Micros,
    /// Number of its packet.
    pub sequence: SeqNumber,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closing or closed.
    #[error("the connection is not open")]
    Closed,
    /// The send buffer is full: the far end does not keep up, or the bandwidth limit is below the stream's rate.
    #[error("the send buffer is full at {packets} packets")]
    Full {
        /// Packets that it holds.
        packets: u32,
    },
    /// The message does not fit into a packet.
    #[error("message of {bytes} bytes, at most {max} fit into a packet")]
    TooLong {
        /// Bytes of the message.
        bytes: usize,
        /// Most bytes that it may have.
        max: usize,
    },
}

impl Connection {
    /// The connection that a handshake agreed on.
    #[must_use]
    pub fn new(negotiated: Negotiated, settings: &Settings, now: Micros) -> Self {
        let datagram_bytes_max = datagram_bytes(negotiated.mss);
        let tag_bytes = negotiated
            .crypto
            .as_ref()
            .map_or(0, |crypto| crypto.send.tag_bytes());
        let rtt = RoundTrip::assumed(negotiated.rtt);
        Self {
            local: negotiated.local_socket,
            peer: negotiated.peer_socket,
            start: negotiated.start,
            since: now,
            state: State::Connected,
            ended: None,
            datagram_bytes_max,
            rtt,
            sender: Sender::new(&negotiated, settings, tag_bytes, now),
            receiver: Receiver::new(&negotiated, settings),
            crypto: negotiated.crypto,
            control: ControlQueue::default(),
            idle_timeout: settings.peer_idle_timeout,
            last_received: now,
            last_sent: now,
            shutdowns: 0,
            shutdown_at: now,
            malformed: 0,
            ignored: 0,
        }
    }

    /// Takes a datagram of the far end, at the time it was read from the socket. Payloads are decrypted in place.
    #[inline]
    pub fn handle_packet(&mut self, now: Micros, datagram: &mut [u8]) {
        if matches!(self.state, State::Closed(_)) {
            return;
        }
        let packet = match Packet::parse(datagram) {
            Ok(packet) if packet.destination() == self.local => packet,
            _ => {
                self.malformed += 1;
                return;
            }
        };
        self.last_received = now;
        match packet {
            Packet::Data(packet) => {
                let header = packet.header;
                if let Some(payload) = datagram.get_mut(crate::wire::HEADER_BYTES..) {
                    let crypto = self.crypto.as_ref().map(|crypto| &crypto.receive);
                    self.receiver.data(now, &header, payload, crypto);
                    self.receiver.discard(now);
                }
            }
            Packet::Control(packet) => self.handle_control(now, &packet),
        }
    }

    /// Does what is due at `now`: acknowledgements, loss reports, dropping, retransmission without a report, time-out.
    /// Early calls do nothing.
    pub fn handle_timeout(&mut self, now: Micros) {
        match self.state {
            State::Closed(_) => return,
            State::Closing => {
                if self.shutdowns >= SHUTDOWNS && now >= self.shutdown_at {
                    self.end(now, CloseReason::Local);
                    return;
                }
            }
            State::Connected => {}
        }
        if now >= self.last_received + self.idle_timeout {
            self.end(now, CloseReason::PeerIdle);
            return;
        }
        self.receiver.discard(now);
        self.receiver.tick(now, &self.rtt);
        self.sender.tick(now, &self.rtt);
    }

    /// Writes the next datagram to send to the front of `out` and returns its length: control packets first, then
    /// retransmissions, then new packets as pacing and flow window allow. `out` has room for
    /// [`datagram_bytes_max`](Self::datagram_bytes_max) bytes.
    ///
    /// Data packets of one length follow one another, so that runs of them can leave as one `UDP_SEGMENT` send.
    #[inline]
    pub fn poll_transmit(&mut self, now: Micros, out: &mut [u8]) -> Option<usize> {
        if out.len() < self.datagram_bytes_max {
            return None;
        }
        let timestamp = Timestamp::at(now, self.start);
        let length = match self.state {
            State::Closed(_) => None,
            State::Closing => self.poll_shutdown(now, timestamp, out),
            State::Connected => self
                .poll_control(now, timestamp, out)
                .or_else(|| self.poll_data(now, out))
                .or_else(|| self.poll_keep_alive(now, timestamp, out)),
        };
        if length.is_some() {
            self.last_sent = now;
        }
        length
    }

    /// Queues one message, the `payload` parts one after the other, stamped with `now`.
    ///
    /// # Errors
    /// [`SendError`]; nothing is queued then.
    #[inline]
    pub fn send(&mut self, now: Micros, payload: &[&[u8]]) -> Result<(), SendError> {
        if self.state != State::Connected {
            return Err(SendError::Closed);
        }
        self.sender
            .write(now, Timestamp::at(now, self.start), payload)
    }

    /// Copies the next message whose time has come to the front of `out`, in the order of sending. What is still
    /// missing in front of it is skipped when its time has come, if too-late drop was agreed on.
    ///
    /// Goes on after the end of the connection until everything that had arrived is handed out.
    #[inline]
    pub fn receive(&mut self, now: Micros, out: &mut [u8]) -> Option<Received> {
        self.receiver.receive(now, out)
    }

    /// When [`receive`](Self::receive) will have a message, as far as can be told; `None` when nothing has arrived.
    #[inline]
    #[must_use]
    pub fn next_delivery(&self) -> Option<Micros> {
        self.receiver.next_delivery()
    }

    /// Hands out messages in order, but as soon as they are there: only behind a gap they wait for their time. For
    /// consumers with a buffer of their own.
    pub const fn set_at_once(&mut self, at_once: bool) {
        self.receiver.set_at_once(at_once);
    }

    /// Closes the connection. What is queued is not sent any more. The far end is told several times, about a
    /// round-trip time apart, for it answers nothing; then the state is [`State::Closed`].
    pub fn close(&mut self, now: Micros) {
        if self.state == State::Connected {
            self.state = State::Closing;
            self.shutdown_at = now;
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, and [`poll_transmit`](Self::poll_transmit) after
    /// it; [`Micros::MAX`] when never.
    #[must_use]
    pub fn next_timeout(&self) -> Micros {
        match self.state {
            State::Closed(_) => return Micros::MAX,
            State::Closing => return self.shutdown_at,
            State::Connected => {}
        }
        let key_refresh = self
            .crypto
            .as_ref()
            .and_then(|crypto| crypto.send.poll_timeout());
        (self.last_received + self.idle_timeout)
            .min(self.last_sent + KEEP_ALIVE)
            .min(self.receiver.next_timeout())
            .min(self.sender.next_timeout(&self.rtt))
            .min(key_refresh.unwrap_or(Micros::MAX))
    }

    /// Where the connection stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Our socket id, by which a port with several connections tells their packets apart.
    #[must_use]
    pub const fn local_socket(&self) -> SocketId {
        self.local
    }

    /// Bytes of the largest datagram that leaves.
    #[must_use]
    pub const fn datagram_bytes_max(&self) -> usize {
        self.datagram_bytes_max
    }

    /// Bytes of the largest message that [`send`](Self::send) takes.
    #[must_use]
    pub const fn payload_bytes_max(&self) -> usize {
        self.sender.payload_bytes_max()
    }

    /// How long the far end has acknowledged nothing although something waits for it; zero when nothing does.
    #[must_use]
    pub fn unacknowledged_for(&self, now: Micros) -> Micros {
        self.sender.unacknowledged_for(now)
    }

    /// Counters and levels at `now`.
    #[must_use]
    pub fn stats(&self, now: Micros) -> Stats {
        Stats {
            state: self.state,
            uptime: self.ended.unwrap_or(now).since(self.since),
            rtt: self.rtt.is_known().then(|| self.rtt.rtt()),
            rtt_variance: self.rtt.variance(),
            key_refused: self
                .crypto
                .as_ref()
                .and_then(|crypto| crypto.send.refused()),
            key_overdue: self
                .crypto
                .as_ref()
                .is_some_and(|crypto| crypto.send.is_overdue()),
            send: self.sender.stats(now),
            receive: self.receiver.stats(now),
            malformed: self.malformed,
            ignored: self.ignored,
        }
    }

    #[inline]
    fn poll_data(&mut self, now: Micros, out: &mut [u8]) -> Option<usize> {
        let keys = self.crypto.as_mut().map(|crypto| &mut crypto.send);
        match self.sender.poll(now, self.peer, keys, out) {
            Ok(length) => length,
            Err(error) => {
                debug_assert!(false, "cells have room for the tag: {error}");
                self.end(now, CloseReason::Encryption);
                None
            }
        }
    }

    const fn end(&mut self, now: Micros, reason: CloseReason) {
        self.receiver.end();
        self.state = State::Closed(reason);
        self.ended = Some(now);
    }
}

/// Bytes of the largest datagram within `mss` bytes of IPv4 packet.
const fn datagram_bytes(mss: u32) -> usize {
    (mss as usize).saturating_sub(IP_UDP_HEADER_BYTES)
}

/// IPv4 and UDP; SRT counts them for IPv6 too.
const IP_UDP_HEADER_BYTES: usize = 28;

//= draft-sharabayko-srt 3.2.3: a keep-alive is sent when nothing else was for a second
const KEEP_ALIVE: Micros = Micros::from_secs(1);

/// Copies of SHUTDOWN: at 20 % loss one of five arrives in all but 3 of 10,000 cases, and for those there is the idle
/// time-out.
const SHUTDOWNS: u32 = 5;

/// Least time between two of them: a burst of losses must not swallow them all.
const SHUTDOWN_INTERVAL_MIN: Micros = Micros::from_millis(50);

#[cfg(test)]
mod tests;
