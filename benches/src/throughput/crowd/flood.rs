//! Handshakes from addresses where nobody means to call.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use bilbycast_srt::Micros;
use bilbycast_srt::handshake::{Caller, HANDSHAKE_PACKET_BYTES_MAX, Settings};
use bilbycast_srt::wire::{
    Control, ControlPacket, ExtensionField, Extensions, HEADER_BYTES, Handshake, HandshakeKind,
    Packet, PeerIp, SeqNumber, SocketId, Timestamp,
};

use crate::BenchError;
use crate::throughput::load::Offered;

/// The sources, and where the flood stands.
#[derive(Debug)]
pub(super) struct Flood {
    sources: Vec<UdpSocket>,
    forger: Forger,
    /// Number of the next handshake.
    next: u32,
    answered: u64,
}

/// Addresses that the handshakes come from: an odd number, so that each asks in both ways.
const SOURCES: u8 = 251;

impl Flood {
    pub(super) fn open(listener: SocketAddrV4) -> Result<Self, BenchError> {
        let [_, second, third, _] = listener.ip().octets();
        let fail = || BenchError::system("open a socket of the flood");
        let open = |host| {
            // Apart from the addresses of the bench itself, which have the topmost bit of the second byte clear.
            let source = Ipv4Addr::new(127, second | 0x80, third, host);
            let socket = UdpSocket::bind((source, 0)).map_err(fail())?;
            socket.connect(listener).map_err(fail())?;
            socket.set_nonblocking(true).map_err(fail())?;
            Ok(socket)
        };
        Ok(Self {
            sources: (1..=SOURCES).map(open).collect::<Result<_, BenchError>>()?,
            forger: Forger::new(listener).ok_or_else(|| BenchError::Process {
                who: "flood",
                problem: "a caller does not conclude on a made-up cookie".to_owned(),
            })?,
            next: 0,
            answered: 0,
        })
    }

    /// Answers that were seen so far.
    pub(super) const fn answered(&self) -> u64 {
        self.answered
    }

    /// Sends what is due of `due` handshakes in all, and leaves out what is more than `catch_up_max` behind.
    pub(super) fn send(&mut self, due: u64, catch_up_max: u64, offered: &mut Offered) {
        let made = offered.sent + offered.refused;
        let mut answer = [0; 2_048];
        for _ in 0..offered.next_count(due, made, 1, catch_up_max) {
            let source = &self.sources[self.next as usize % self.sources.len()];
            match source.send(self.forger.forge(self.next)) {
                Ok(_) => offered.sent += 1,
                Err(_) => offered.refused += 1,
            }
            self.answered += u64::from(source.recv(&mut answer).is_ok());
            self.next = self.next.wrapping_add(1);
        }
    }
}

/// Packets of a caller whose numbers are made up anew for each use.
#[derive(Debug)]
struct Forger {
    induction: Vec<u8>,
    conclusion: Vec<u8>,
}

impl Forger {
    /// Lets a caller conclude on a cookie that no listener has given. `None` when it would not.
    fn new(listener: SocketAddrV4) -> Option<Self> {
        let now = Micros::ZERO;
        let socket = SocketId(1);
        let first = SeqNumber::new(1);
        let settings = Settings::default();
        let mut caller = Caller::new(settings, socket, first, (*listener.ip()).into(), now).ok()?;
        let mut buffer = [0; HANDSHAKE_PACKET_BYTES_MAX];
        let length = caller.poll_transmit(now, &mut buffer).ok()??;
        let induction = buffer[..length].to_vec();
        let answer = ControlPacket {
            timestamp: Timestamp::default(),
            destination: socket,
            control: Control::Handshake(Handshake {
                version: 5,
                encryption: 0,
                extension: ExtensionField::MAGIC,
                initial_sequence: first,
                mss: 1_500,
                flow_window: 8_192,
                kind: HandshakeKind::Induction,
                socket: SocketId(2),
                cookie: 1,
                peer_ip: PeerIp::default(),
                extensions: Extensions::NONE,
            }),
        };
        caller.handle(now, &Packet::Control(answer));
        let length = caller.poll_transmit(now, &mut buffer).ok()??;
        Some(Self {
            induction,
            conclusion: buffer[..length].to_vec(),
        })
    }

    /// Every other one asks for a cookie, the rest pretend to have one.
    fn forge(&mut self, number: u32) -> &[u8] {
        let (packet, cookie) = if number.is_multiple_of(2) {
            (&mut self.induction, 0)
        } else {
            (&mut self.conclusion, number.wrapping_mul(0x9e37_79b9))
        };
        packet[SOCKET_AT..SOCKET_AT + 4].copy_from_slice(&(number | 1).to_be_bytes());
        packet[COOKIE_AT..COOKIE_AT + 4].copy_from_slice(&cookie.to_be_bytes());
        packet
    }
}

/// Where a handshake has the socket id of its sender and the cookie (draft-sharabayko-srt 3.2.1).
const SOCKET_AT: usize = HEADER_BYTES + 24;
const COOKIE_AT: usize = HEADER_BYTES + 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_handshakes_with_numbers_of_their_own() {
        let mut forger = Forger::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9_000)).unwrap();
        for (number, kind, has_extensions) in [
            (6, HandshakeKind::Induction, false),
            (7, HandshakeKind::Conclusion, true),
        ] {
            let Ok(Packet::Control(packet)) = Packet::parse(forger.forge(number)) else {
                panic!("not a control packet");
            };
            let Control::Handshake(handshake) = packet.control else {
                panic!("{packet:?}");
            };
            assert_eq!((handshake.kind, handshake.socket), (kind, SocketId(7)));
            assert_eq!(handshake.extensions.as_bytes().is_empty(), !has_extensions);
            assert_eq!(handshake.cookie == 0, !has_extensions);
        }
    }
}
