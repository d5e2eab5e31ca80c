//! Addresses that no other test uses at the same time.
//!
//! The test's process id is spread over a loopback address and a multicast group, and ports are counted up from one
//! below the kernel's ephemeral range, so that fixed ports collide neither with other tests nor with sockets that the
//! kernel gave a port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

/// The loopback address of this test.
#[must_use]
pub fn own_ip() -> Ipv4Addr {
    let [high, middle, low] = pid_octets();
    Ipv4Addr::new(127, 64 + high, middle, low)
}

/// A second loopback address of this test, for a peer that must be told apart by its address.
#[must_use]
pub fn other_ip() -> Ipv4Addr {
    let [high, middle, low] = pid_octets();
    Ipv4Addr::new(127, 128 + high, middle, low)
}

/// A port that was not given before in this process. Every second port is left free, for an RTP sender's RTCP.
#[must_use]
pub fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    PORT_FIRST + 2 * (NEXT.fetch_add(1, Ordering::Relaxed) % PORTS)
}

/// [`own_ip`] with [`next_port`].
#[must_use]
pub fn next_addr() -> SocketAddr {
    SocketAddr::new(own_ip().into(), next_port())
}

/// [`own_ip`] with a port whose neighbours + 2 and + 4, those of ST 2022-1, are given to nobody else.
#[must_use]
pub fn next_fec_addr() -> SocketAddr {
    loop {
        let ports = [next_port(), next_port(), next_port()];
        // Another thread may have taken one in between.
        if ports[1] == ports[0] + 2 && ports[2] == ports[0] + 4 {
            return SocketAddr::new(own_ip().into(), ports[0]);
        }
    }
}

/// `::1` with a port of this test.
#[must_use]
pub fn next_addr_v6() -> SocketAddr {
    // There is one IPv6 loopback address for all tests, so the process id goes into the port.
    let pid = u16::try_from(std::process::id() % u32::from(PORTS)).expect("a remainder of a u16");
    let port = PORT_FIRST + (2 * pid + next_port()) % (2 * PORTS);
    SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)
}

/// An IPv4 group of this test's own, one for each `number` from 0 to 2.
#[must_use]
pub fn group(number: u8) -> IpAddr {
    assert!(number < 3, "three groups for each test");
    let [high, middle, low] = pid_octets();
    // 239/8 is administratively scoped (RFC 2365).
    Ipv4Addr::new(239, 64 + 64 * number + high, middle, low).into()
}

/// An IPv6 group of this test's own, of interface-local scope: it never leaves the host.
#[must_use]
pub fn group_v6() -> IpAddr {
    let [high, middle, low] = pid_octets();
    Ipv6Addr::new(
        0xff11,
        0,
        0,
        0,
        0,
        0,
        high.into(),
        u16::from_be_bytes([middle, low]),
    )
    .into()
}

/// First port that is given.
const PORT_FIRST: u16 = 20_000;

/// How many are given before the count starts over: up to 32,766, below Linux's first ephemeral port 32,768.
const PORTS: u16 = 6_384;

/// The 22 bits of a process id (`pid_max` is at most 2^22) as 6 + 8 + 8.
fn pid_octets() -> [u8; 3] {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    [high & 0x3f, middle, low]
}
