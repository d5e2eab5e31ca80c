//! UDP sockets of senders and receivers, with what the kernel says about each datagram.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::cmsg_space;
use nix::sys::socket::sockopt::{
    IpRecvTos, Ipv6RecvTClass, RcvBufForce, ReceiveTimestampns, RxqOvfl,
};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

/// Largest datagram that a receiver takes whole.
pub const DATAGRAM_BYTES_MAX: usize = 9_216;

/// A datagram and what the kernel says about it.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Its length.
    pub bytes: usize,
    /// When it reached the socket: Unix time in nanoseconds.
    pub arrived_ns: u64,
    /// The octet of the IP header whose upper six bits are the DSCP.
    pub traffic_class: u8,
    /// Datagrams that this socket has dropped so far because nobody read them.
    pub dropped: u32,
}

/// A bound receiver with kernel timestamps, whose reads give up after [`READ_LIMIT`].
#[derive(Debug)]
pub struct Receiver {
    socket: UdpSocket,
    control: Vec<u8>,
    dropped: u32,
}

impl Receiver {
    /// Binds `address`; a group is joined on the loopback interface.
    #[must_use]
    pub fn bind(address: SocketAddr) -> Self {
        Self::try_bind(address)
            .unwrap_or_else(|error| panic!("cannot receive on {address}: {error}"))
    }

    /// As [`Self::bind`].
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn try_bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        match address.ip() {
            IpAddr::V4(group) if group.is_multicast() => {
                socket.set_reuse_address(true)?;
                socket.set_multicast_all_v4(false)?;
                socket.bind(&address.into())?;
                socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
            }
            IpAddr::V6(group) if group.is_multicast() => {
                socket.set_reuse_address(true)?;
                let mut scoped = std::net::SocketAddrV6::new(group, address.port(), 0, 0);
                scoped.set_scope_id(loopback_index());
                socket.bind(&SocketAddr::V6(scoped).into())?;
                socket.join_multicast_v6(&group, loopback_index())?;
            }
            _ => socket.bind(&address.into())?,
        }
        let socket = UdpSocket::from(socket);
        // Beyond net.core.rmem_max only with privilege; what is lost without it is seen in `dropped`.
        if setsockopt(&socket, RcvBufForce, &BUFFER_BYTES).is_err() {
            Socket::from(socket.try_clone()?).set_recv_buffer_size(BUFFER_BYTES)?;
        }
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        setsockopt(&socket, RxqOvfl, &1)?;
        if address.is_ipv4() {
            setsockopt(&socket, IpRecvTos, &true)?;
        } else {
            setsockopt(&socket, Ipv6RecvTClass, &true)?;
        }
        socket.set_read_timeout(Some(READ_LIMIT))?;
        Ok(Self {
            socket,
            control: cmsg_space!(TimeSpec, u32, u8, i32),
            dropped: 0,
        })
    }

    /// Receives one datagram; `None` when none came for [`READ_LIMIT`].
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<Received> {
        self.receive_with(buffer, MsgFlags::empty())
    }

    /// Receives a datagram that is there already; `None` when there is none.
    pub fn try_receive(&mut self, buffer: &mut [u8]) -> Option<Received> {
        self.receive_with(buffer, MsgFlags::MSG_DONTWAIT)
    }

    fn receive_with(&mut self, buffer: &mut [u8], flags: MsgFlags) -> Option<Received> {
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut self.control),
            flags,
        );
        let message = match message {
            Ok(message) => message,
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => return None,
            Err(error) => panic!("receive: {error}"),
        };
        let mut received = Received {
            bytes: message.bytes,
            arrived_ns: 0,
            traffic_class: 0,
            dropped: self.dropped,
        };
        for item in message.cmsgs().expect("the control buffer is large enough") {
            match item {
                ControlMessageOwned::ScmTimestampns(time) => received.arrived_ns = unix_ns(time),
                ControlMessageOwned::Ipv4Tos(octet) => received.traffic_class = octet,
                ControlMessageOwned::Ipv6TClass(octet) => {
                    received.traffic_class = u8::try_from(octet).unwrap_or(u8::MAX);
                }
                ControlMessageOwned::RxqOvfl(count) => received.dropped = count,
                _ => {}
            }
        }
        self.dropped = received.dropped;
        Some(received)
    }
}

/// A sending socket bound to `source` and connected to `dest`; groups leave through the loopback interface.
///
/// # Errors
///
/// What the kernel says.
pub fn sending(source: IpAddr, dest: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(dest), Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    let mut dest = dest;
    if dest.ip().is_multicast() {
        match &mut dest {
            SocketAddr::V4(_) => socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?,
            SocketAddr::V6(group) => {
                socket.set_multicast_if_v6(loopback_index())?;
                group.set_scope_id(loopback_index());
            }
        }
    }
    socket.connect(&dest.into())?;
    Ok(socket.into())
}

/// Unix time, in nanoseconds.
#[must_use]
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.expect("the clock is past 1970");
    u64::try_from(since.as_nanos()).expect("2^64 ns reach into the year 2554")
}

/// How long a receive waits.
pub const READ_LIMIT: Duration = Duration::from_millis(50);

/// 100 ms of 100 Mb/s are 940 datagrams of 2,304 bytes as the kernel counts; this holds three seconds.
const BUFFER_BYTES: usize = 32 << 20;

fn unix_ns(time: TimeSpec) -> u64 {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
}

/// Index of the loopback interface.
fn loopback_index() -> u32 {
    nix::net::if_::if_nametoindex("lo").expect("every Linux host has lo")
}
