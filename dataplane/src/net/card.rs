//! What a network card is set to, as ethtool(8) shows it.

use std::mem;
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Socket, Type};

/// Settings of a network card.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CardSettings {
    /// Whether received datagrams of a stream are handed over together (GRO).
    pub receive_offload: bool,
    /// Whether datagrams are cut up only on their way to the card (GSO).
    pub segmentation_offload: bool,
    /// Descriptors of the receive ring; `None` when the card does not say.
    pub receive_ring: Option<u32>,
    /// The most that it can have.
    pub receive_ring_max: Option<u32>,
}

/// The settings of an interface; `None` when there is no such interface or it does not say.
#[must_use]
pub fn settings(interface: &str) -> Option<CardSettings> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).ok()?;
    let socket = socket.as_raw_fd();
    let switch = |command| {
        let mut value = EthtoolValue { command, data: 0 };
        ask(socket, interface, &mut value).then_some(value.data != 0)
    };
    let mut ring = EthtoolRing {
        command: ETHTOOL_GRINGPARAM,
        ..EthtoolRing::default()
    };
    let has_ring = ask(socket, interface, &mut ring);
    Some(CardSettings {
        receive_offload: switch(ETHTOOL_GGRO)?,
        segmentation_offload: switch(ETHTOOL_GGSO)?,
        receive_ring: has_ring.then_some(ring.receive),
        receive_ring_max: has_ring.then_some(ring.receive_max),
    })
}

/// Structures of `linux/ethtool.h` that begin with their command and hold numbers only.
trait Question {}

/// `struct ethtool_value`.
#[derive(Default)]
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

impl Question for EthtoolValue {}

/// `struct ethtool_ringparam`.
#[derive(Default)]
#[repr(C)]
struct EthtoolRing {
    command: u32,
    receive_max: u32,
    receive_mini_max: u32,
    receive_jumbo_max: u32,
    send_max: u32,
    receive: u32,
    receive_mini: u32,
    receive_jumbo: u32,
    send: u32,
}

impl Question for EthtoolRing {}

/// Asks the driver; false when it does not answer.
fn ask<Q: Question>(socket: RawFd, interface: &str, question: &mut Q) -> bool {
    // SAFETY: all bytes zero is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // One byte stays zero: the name ends there.
    if interface.is_empty() || interface.len() >= request.ifr_name.len() {
        return false;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(question).cast();
    // SAFETY: the descriptor is open; the kernel reads `request` and writes at most the structure that belongs to the
    // command at its start, which is what `question` is, by the implementations of `Question` above.
    unsafe { libc::ioctl(socket, libc::SIOCETHTOOL, &raw mut request) == 0 }
}

// Of linux/ethtool.h.
const ETHTOOL_GRINGPARAM: u32 = 0x0000_0010;
const ETHTOOL_GGSO: u32 = 0x0000_0023;
const ETHTOOL_GGRO: u32 = 0x0000_002b;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_tells_its_offloads() {
        let settings = settings("lo").expect("every Linux host has lo");
        assert_eq!(settings.receive_ring, None, "it is no card");
    }

    #[test]
    fn what_is_no_interface_tells_nothing() {
        for name in ["", "no-such-card", "a name that is far too long for it"] {
            assert_eq!(settings(name), None, "{name}");
        }
    }
}
