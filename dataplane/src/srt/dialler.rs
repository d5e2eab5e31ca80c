//! Callers and rendezvous: dialling, and dialling again.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bilbycast_srt::handshake::{Caller, Outcome, Rendezvous, Settings};
use bilbycast_srt::wire::{Control, ControlPacket, Packet, SeqNumber, SocketId};
use bilbycast_srt::{CloseReason, Micros, State};

use super::leg::Lent;
use super::notice::SrtNotice;
use super::peer::Peer;
use super::random::Random;

/// An end that dials one far end for ever.
#[derive(Debug)]
pub(super) struct Dialler {
    is_rendezvous: bool,
    remote: SocketAddr,
    settings: Settings,
    phase: Phase,
    /// Attempts in a row that failed.
    failures: u32,
    /// Attempts in a row that led to nothing that lasted.
    fruitless: u32,
    /// Handshake packets that wait until a key may be derived, and when they came.
    held: VecDeque<(Micros, Vec<u8>)>,
    /// Datagrams of the connection that came before its handshake was concluded: one of them may be what concludes it.
    early: Vec<Vec<u8>>,
}

/// Datagrams that are kept until a handshake is concluded; the far end sends again what is too much.
const EARLY_MAX: usize = 64;
const HELD_MAX: usize = 8;

/// A connection that ends earlier is no better than none: a far end that accepts and closes is dialled ever less often.
const LASTING: Micros = Micros::from_secs(10);

#[derive(Debug)]
enum Phase {
    /// Between two attempts.
    Waiting {
        until: Micros,
    },
    Calling(Box<Caller>),
    Meeting(Box<Rendezvous>),
    /// `meeting` answers what the far end repeats.
    Connected {
        peer: Box<Peer>,
        meeting: Option<Box<Rendezvous>>,
    },
}

/// The longest time between two attempts (configuration.md 7.1).
const PAUSE_MAX: Micros = Micros::from_secs(30);

/// The time after the first failure; it doubles with each.
const PAUSE_MIN: Micros = Micros::from_millis(500);

/// So many failures in a row are told as `connect_failed`.
pub(super) const FAILURES_TOLD: u32 = 5;

impl Dialler {
    pub(super) fn new(is_rendezvous: bool, remote: SocketAddr, settings: Settings) -> Self {
        Self {
            is_rendezvous,
            remote,
            settings,
            phase: Phase::Waiting {
                until: Micros::ZERO,
            },
            failures: 0,
            fruitless: 0,
            held: VecDeque::new(),
            early: Vec::new(),
        }
    }

    pub(super) const fn remote(&self) -> SocketAddr {
        self.remote
    }

    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn peer(&self) -> Option<&Peer> {
        match &self.phase {
            Phase::Connected { peer, .. } => Some(peer),
            _ => None,
        }
    }

    pub(super) fn peer_mut(&mut self) -> Option<&mut Peer> {
        match &mut self.phase {
            Phase::Connected { peer, .. } => Some(peer),
            _ => None,
        }
    }

    /// Whether it has to be looked at soon: a pause between two attempts has time.
    pub(super) fn is_pending(&self, now: Micros) -> bool {
        match &self.phase {
            Phase::Waiting { .. } => false,
            Phase::Calling(_) | Phase::Meeting(_) => true,
            Phase::Connected { peer, .. } => peer.is_pending(now),
        }
    }

    /// Takes a datagram. What does not come from the far end is not for us.
    pub(super) fn handle(&mut self, now: Micros, from: SocketAddr, datagram: &mut [u8]) {
        if from != self.remote {
            return;
        }
        match &mut self.phase {
            Phase::Waiting { .. } => {}
            Phase::Calling(_) | Phase::Meeting(_) => {
                let Ok(packet) = Packet::parse(datagram) else {
                    return;
                };
                if !is_handshake(&packet) {
                    self.shake(now, &packet);
                    if self.early.len() < EARLY_MAX {
                        self.early.push(datagram.to_vec());
                    }
                } else if self.settings.passphrase.is_none() {
                    self.shake(now, &packet);
                } else if self.held.len() < HELD_MAX {
                    self.held.push_back((now, datagram.to_vec()));
                }
            }
            Phase::Connected { peer, meeting } => {
                if let (Some(meeting), Ok(packet)) = (meeting, Packet::parse(datagram)) {
                    meeting.handle(now, &packet);
                }
                peer.handle(now, datagram);
            }
        }
    }

    /// Gives a packet to the handshake that is under way.
    fn shake(&mut self, now: Micros, packet: &Packet<'_>) {
        match &mut self.phase {
            Phase::Calling(caller) => caller.handle(now, packet),
            Phase::Meeting(meeting) => meeting.handle(now, packet),
            Phase::Waiting { .. } | Phase::Connected { .. } => {}
        }
    }

    /// Goes on with a handshake that waits for a key.
    fn shake_held(&mut self, now: Micros, lent: &mut Lent<'_>) {
        while !self.held.is_empty() && lent.may_derive(now) {
            if let Some((came, datagram)) = self.held.pop_front()
                && let Ok(packet) = Packet::parse(&datagram)
            {
                self.shake(came, &packet);
            }
        }
    }

    /// Does what is due; what began or ended is told.
    pub(super) fn tick(&mut self, now: Micros, lent: &mut Lent<'_>) {
        self.shake_held(now, lent);
        match &mut self.phase {
            Phase::Waiting { until } => {
                if now >= *until {
                    self.dial(now, lent.random);
                }
            }
            Phase::Calling(caller) => {
                if let Some(outcome) = caller.poll_outcome() {
                    self.conclude(now, outcome, None, lent);
                }
            }
            Phase::Meeting(meeting) => {
                if let Some(outcome) = meeting.poll_outcome() {
                    let meeting = std::mem::replace(&mut self.phase, Phase::Waiting { until: now });
                    let meeting = match meeting {
                        Phase::Meeting(meeting) => Some(meeting),
                        _ => None,
                    };
                    self.conclude(now, outcome, meeting, lent);
                }
            }
            Phase::Connected { peer, .. } => {
                peer.tick(now);
                if peer.is_over() {
                    self.end(now, lent);
                }
            }
        }
    }

    /// Parts with a connection that is over, and dials again soon.
    fn end(&mut self, now: Micros, lent: &mut Lent<'_>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Waiting { until: now });
        if let Phase::Connected { peer, .. } = phase {
            let has_lasted = now.since(peer.since) >= LASTING;
            self.fruitless = if has_lasted {
                0
            } else {
                self.fruitless.saturating_add(1)
            };
            let reason = reason(peer.connection.state());
            lent.end(now, *peer, reason);
        }
        self.pause(now);
    }

    /// The next datagram to send to the far end, in `out`.
    pub(super) fn transmit(&mut self, now: Micros, out: &mut [u8]) -> Option<usize> {
        match &mut self.phase {
            Phase::Waiting { .. } => None,
            Phase::Calling(caller) => caller.poll_transmit(now, out).ok().flatten(),
            Phase::Meeting(meeting) => meeting.poll_transmit(now, out).ok().flatten(),
            Phase::Connected { peer, meeting } => meeting
                .as_mut()
                .and_then(|meeting| meeting.poll_transmit(now, out).ok().flatten())
                .or_else(|| peer.transmit(now, out)),
        }
    }

    fn dial(&mut self, now: Micros, random: &mut Random) {
        self.early.clear();
        self.held.clear();
        let socket = SocketId(random.not_zero());
        let sequence = SeqNumber::new(random.next());
        let settings = self.settings.clone();
        // Settings were checked when the leg was made, so there is no error to tell.
        let phase = if self.is_rendezvous {
            let cookie = random.next();
            Rendezvous::new(settings, socket, sequence, cookie, self.remote.ip(), now)
                .map(|meeting| Phase::Meeting(Box::new(meeting)))
        } else {
            Caller::new(settings, socket, sequence, self.remote.ip(), now)
                .map(|caller| Phase::Calling(Box::new(caller)))
        };
        self.phase = phase.unwrap_or(Phase::Waiting {
            until: now + PAUSE_MAX,
        });
    }

    fn conclude(
        &mut self,
        now: Micros,
        outcome: Outcome,
        meeting: Option<Box<Rendezvous>>,
        lent: &mut Lent<'_>,
    ) {
        let why = match outcome {
            Outcome::Connected(negotiated) => {
                self.failures = 0;
                lent.totals.connects += 1;
                let (remote, stream_id) = (self.remote, negotiated.stream_id.clone());
                lent.notices
                    .tell(now, SrtNotice::Connected { remote, stream_id });
                let mut peer = Peer::new(*negotiated, &self.settings, self.remote, now);
                for mut datagram in self.early.drain(..) {
                    peer.handle(now, &mut datagram);
                }
                self.phase = Phase::Connected {
                    peer: Box::new(peer),
                    meeting,
                };
                return;
            }
            Outcome::Rejected(rejection) => {
                lent.totals.rejected += 1;
                rejection.to_string()
            }
            Outcome::TimedOut => "no answer".to_owned(),
        };
        self.failures = self.failures.saturating_add(1);
        self.fruitless = self.fruitless.saturating_add(1);
        // The first failure of a row, and when it is taken for lasting: the rest is the same again.
        if self.failures == 1 || self.failures == FAILURES_TOLD {
            let notice = SrtNotice::ConnectFailed {
                remote: self.remote,
                reason: why,
                failures: self.failures,
            };
            lent.notices.tell(now, notice);
        }
        self.pause(now);
    }

    fn pause(&mut self, now: Micros) {
        let doublings = self.fruitless.saturating_sub(1).min(6);
        let pause = Micros(PAUSE_MIN.0 << doublings).min(PAUSE_MAX);
        self.phase = Phase::Waiting { until: now + pause };
    }
}

const fn is_handshake(packet: &Packet<'_>) -> bool {
    matches!(
        packet,
        Packet::Control(ControlPacket {
            control: Control::Handshake(_),
            ..
        })
    )
}

/// Why a connection ended, for people.
pub(super) fn reason(state: State) -> &'static str {
    match state {
        State::Closed(CloseReason::Encryption) => "a payload could not be encrypted",
        State::Closed(CloseReason::Local) => "closed by this side",
        State::Closed(CloseReason::PeerIdle) => "the far end has been silent for too long",
        State::Closed(CloseReason::PeerShutdown) => "closed by the far end",
        _ => "ended",
    }
}
