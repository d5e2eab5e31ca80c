//! Opening UDP sockets: binding, groups, DSCP, buffers.
//!
//! Opening may take milliseconds (a join waits for the kernel's network lock), so it happens on the control thread;
//! a packet core gets sockets that are ready.

use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use bilbycast_shm_proto::model::{ReceiveSpec, SendSpec};
use socket2::{Domain, Protocol, Socket, Type};

use super::interface;

mod duplex;

pub use duplex::DuplexSocket;

/// Why a socket could not be opened. Names the field of the configuration and its value.
#[derive(Debug, thiserror::Error)]
#[error("{field} {value}: {problem}")]
pub struct SocketError {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What is wrong.
    pub problem: SocketProblem,
}

/// What is wrong with a field.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketProblem {
    /// The kernel refused.
    #[error("cannot {action}: {source}")]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// No interface has this address.
    #[error("no network interface of this host has this address")]
    NoSuchInterface,
}

impl SocketError {
    /// True when another socket has the address.
    #[must_use]
    pub fn is_address_in_use(&self) -> bool {
        match &self.problem {
            SocketProblem::Kernel { source, .. } => source.kind() == io::ErrorKind::AddrInUse,
            SocketProblem::NoSuchInterface => false,
        }
    }
}

/// A bound socket to receive from.
#[derive(Debug)]
pub struct ReceiveSocket {
    socket: Socket,
    buffer_bytes: usize,
    /// Index of the interface on which the group was joined; 0 when the kernel chose.
    group_interface: u32,
}

/// A socket to send from, connected to where it sends as soon as there is a way.
#[derive(Debug)]
pub struct SendSocket {
    socket: Socket,
    buffer_bytes: usize,
    unreached: Option<Unreached>,
}

/// A destination that there is no way to.
#[derive(Clone, Copy, Debug)]
struct Unreached {
    dest_addr: SocketAddr,
    /// The kernel's number of the reason.
    error: i32,
}

/// Timestamps, drop counts and coalescing: each makes things better, none is needed to run.
fn learn_about_arrivals(socket: &Socket) {
    for (level, option) in [
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
        (libc::SOL_SOCKET, libc::SO_RXQ_OVFL),
        (libc::SOL_UDP, libc::UDP_GRO),
    ] {
        let _ = set_option(socket, level, option, &1_i32);
    }
}

impl ReceiveSocket {
    /// Opens a socket that receives what `spec` says.
    ///
    /// # Errors
    ///
    /// [`SocketError`] with the field `bind_addr`, `interface_addr` or `source_addr`.
    pub fn open(spec: &ReceiveSpec) -> Result<Self, SocketError> {
        let fail = |action| field_error("bind_addr", spec.bind_addr, action);
        let socket = udp_socket(spec.bind_addr).map_err(fail("open a socket"))?;
        let index = interface_index(spec.interface_addr)?;
        if spec.bind_addr.ip().is_multicast() {
            // Two flows may join one group; a unicast address has one owner, and a second bind must fail.
            socket
                .set_reuse_address(true)
                .map_err(fail("share the group"))?;
            only_own_groups(&socket, spec.bind_addr).map_err(fail("separate groups"))?;
        }
        // Bound to the group itself, the socket gets nothing that was sent to another address on that port.
        let bind_addr = interface::scoped(spec.bind_addr, index.unwrap_or(0));
        socket.bind(&bind_addr.into()).map_err(fail("bind"))?;
        if spec.bind_addr.ip().is_multicast() {
            change_membership(&socket, spec, index.unwrap_or(0), Membership::Join)?;
        }
        learn_about_arrivals(&socket);
        let mut receive = Self {
            socket,
            buffer_bytes: 0,
            group_interface: index.unwrap_or(0),
        };
        receive.grow_buffer(RECEIVE_BUFFER_BYTES_MIN);
        Ok(receive)
    }

    /// The address that it is bound to, with the port that the system chose when 0 was asked for.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(&self.socket)
    }

    /// Leaves the group, if one was joined. Waits for the kernel's network lock, so it is done before a packet core may
    /// become the last owner of the descriptor.
    pub fn leave(&self, spec: &ReceiveSpec) {
        if spec.bind_addr.ip().is_multicast() {
            // A failure would mean that there is nothing to leave.
            let _ = change_membership(&self.socket, spec, self.group_interface, Membership::Leave);
        }
    }

    /// Makes the receive buffer at least this large, when the system allows it; never smaller.
    pub fn grow_buffer(&mut self, bytes: usize) {
        let bytes = bytes.min(BUFFER_BYTES_MAX);
        if bytes > self.buffer_bytes {
            self.buffer_bytes = bytes;
            grow(&self.socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, bytes);
        }
    }
}

impl SendSocket {
    /// Opens a socket that sends where `spec` says. That there is no way to it, as before a network is up, is no error:
    /// [`reach`](Self::reach) tries again.
    ///
    /// # Errors
    ///
    /// [`SocketError`] with the field `bind_addr`, `interface_addr`, `dscp` or `dest_addr`.
    pub fn open(spec: &SendSpec) -> Result<Self, SocketError> {
        let fail = |action| field_error("bind_addr", spec.bind_addr, action);
        let socket = udp_socket(spec.dest_addr).map_err(fail("open a socket"))?;
        let index = interface_index(spec.interface_addr)?;
        socket.bind(&spec.bind_addr.into()).map_err(fail("bind"))?;
        set_dscp(&socket, spec)?;
        let mut dest_addr = spec.dest_addr;
        if dest_addr.ip().is_multicast() {
            set_egress(&socket, spec, index)?;
            dest_addr = interface::scoped(dest_addr, index.unwrap_or(0));
        }
        let mut send = Self {
            socket,
            buffer_bytes: 0,
            unreached: None,
        };
        send.connect(dest_addr)
            .map_err(field_error("dest_addr", spec.dest_addr, "send there"))?;
        send.grow_buffer(SEND_BUFFER_BYTES_MIN);
        Ok(send)
    }

    /// Looks for a way to the destination, when there has been none. A look at the routes, which waits for nothing.
    ///
    /// # Errors
    ///
    /// The kernel's number of the reason why there still is none.
    pub fn reach(&mut self) -> Result<(), i32> {
        if let Some(Unreached { dest_addr, error }) = self.unreached {
            self.connect(dest_addr)
                .map_err(|source| source.raw_os_error().unwrap_or(error))?;
        }
        self.unreached
            .map_or(Ok(()), |unreached| Err(unreached.error))
    }

    /// The kernel's number of the reason why nothing can be sent; `None` when there is a way.
    #[must_use]
    pub fn unreached(&self) -> Option<i32> {
        self.unreached.map(|unreached| unreached.error)
    }

    /// Connected, the kernel looks up the route once and not for every packet.
    fn connect(&mut self, dest_addr: SocketAddr) -> io::Result<()> {
        self.unreached = None;
        let Err(source) = self.socket.connect(&dest_addr.into()) else {
            return Ok(());
        };
        let no_way = source
            .raw_os_error()
            .filter(|error| NO_WAY.contains(error))
            .ok_or(source)?;
        self.unreached = Some(Unreached {
            dest_addr,
            error: no_way,
        });
        Ok(())
    }

    /// Makes the send buffer at least this large, when the system allows it; never smaller.
    ///
    /// The buffer is the output's queue: what the network takes more slowly than the flow delivers waits here, and
    /// only what finds it full is dropped.
    pub fn grow_buffer(&mut self, bytes: usize) {
        let bytes = bytes.min(BUFFER_BYTES_MAX);
        if bytes > self.buffer_bytes {
            self.buffer_bytes = bytes;
            grow(&self.socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, bytes);
        }
    }
}

/// What the kernel answers while there is no route, or while its interface is down.
const NO_WAY: [i32; 3] = [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::ENETDOWN];

impl AsFd for ReceiveSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for ReceiveSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsRawFd for SendSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Buffer bytes that hold `time_ms` of a stream of `bitrate_bps`.
///
/// The kernel counts a datagram of 1,316 bytes as 2,304 and doubles what it is asked for, so the payload bytes are a
/// close estimate.
#[must_use]
pub fn buffer_bytes(bitrate_bps: u64, time_ms: u64) -> usize {
    let bytes = u128::from(bitrate_bps) * u128::from(time_ms) / 8_000;
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Receive buffer before the bitrate is known: 80 ms at 1 Gb/s (100,000 x 0.08 x 2,304 / 2), so that the first second
/// of a fast stream is safe too. Memory is only used while datagrams wait.
const RECEIVE_BUFFER_BYTES_MIN: usize = 9_216_000;

/// Send buffer before the bitrate is known: 2,048 datagrams of 7 x 188 bytes as the kernel counts them
/// (2,048 x 2,304 / 2), the fan-out depth of configuration.md 8.
const SEND_BUFFER_BYTES_MIN: usize = 2_359_296;

/// Largest buffer: 100 ms at 10 Gb/s.
const BUFFER_BYTES_MAX: usize = 125_000_000;

/// Routers between two sites of a facility; the kernel's default of 1 would keep a group on its segment.
const MULTICAST_TTL: u32 = 64;

fn udp_socket(family_of: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(family_of),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    // Not O_NONBLOCK: io_uring answers a readiness request on such a socket with EAGAIN at once instead of waiting. The
    // receive and send calls say MSG_DONTWAIT themselves.
    if family_of.is_ipv6() {
        // An IPv6 wildcard must not take IPv4 packets that another flow is bound for.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn local_addr(socket: &Socket) -> io::Result<SocketAddr> {
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("not an IP socket"))
}

fn interface_index(interface_addr: Option<IpAddr>) -> Result<Option<u32>, SocketError> {
    let Some(address) = interface_addr else {
        return Ok(None);
    };
    let index = interface::index_of(address).map_err(field_error(
        "interface_addr",
        address,
        "list the interfaces",
    ))?;
    let missing = || SocketError {
        field: "interface_addr",
        value: address.to_string(),
        problem: SocketProblem::NoSuchInterface,
    };
    Ok(Some(index.ok_or_else(missing)?))
}

/// Without this, Linux delivers to a socket every group that any socket of the host has joined.
fn only_own_groups(socket: &Socket, group: SocketAddr) -> io::Result<()> {
    match group {
        SocketAddr::V4(_) => socket.set_multicast_all_v4(false),
        SocketAddr::V6(_) => socket.set_multicast_all_v6(false),
    }
}

/// `struct group_req` of <netinet/in.h> (RFC 3678 5.1.1).
#[repr(C)]
struct GroupRequest {
    interface: u32,
    group: libc::sockaddr_storage,
}

/// `struct group_source_req` of <netinet/in.h> (RFC 3678 5.1.2).
#[repr(C)]
struct GroupSourceRequest {
    interface: u32,
    group: libc::sockaddr_storage,
    source: libc::sockaddr_storage,
}

/// What to do about a group.
#[derive(Clone, Copy)]
enum Membership {
    Join,
    Leave,
}

fn change_membership(
    socket: &Socket,
    spec: &ReceiveSpec,
    interface: u32,
    membership: Membership,
) -> Result<(), SocketError> {
    let level = if spec.bind_addr.is_ipv4() {
        libc::SOL_IP
    } else {
        libc::SOL_IPV6
    };
    let group = storage(SocketAddr::new(spec.bind_addr.ip(), 0));
    match spec.source_addr {
        None => {
            let option = match membership {
                Membership::Join => MCAST_JOIN_GROUP,
                Membership::Leave => MCAST_LEAVE_GROUP,
            };
            let request = GroupRequest { interface, group };
            set_option(socket, level, option, &request).map_err(field_error(
                "bind_addr",
                spec.bind_addr,
                "join the group",
            ))
        }
        Some(source_addr) => {
            let option = match membership {
                Membership::Join => MCAST_JOIN_SOURCE_GROUP,
                Membership::Leave => MCAST_LEAVE_SOURCE_GROUP,
            };
            let source = storage(SocketAddr::new(source_addr, 0));
            let request = GroupSourceRequest {
                interface,
                group,
                source,
            };
            set_option(socket, level, option, &request).map_err(field_error(
                "source_addr",
                source_addr,
                "join the group for this source",
            ))
        }
    }
}

// <linux/in.h>
const MCAST_JOIN_GROUP: libc::c_int = 42;
const MCAST_LEAVE_GROUP: libc::c_int = 45;
const MCAST_JOIN_SOURCE_GROUP: libc::c_int = 46;
const MCAST_LEAVE_SOURCE_GROUP: libc::c_int = 47;

fn storage(address: SocketAddr) -> libc::sockaddr_storage {
    let address = socket2::SockAddr::from(address);
    // SAFETY: all zeroes is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let bytes = usize::try_from(address.len())
        .unwrap_or(0)
        .min(size_of::<libc::sockaddr_storage>());
    // SAFETY: `address` has `len` readable bytes, `storage` at least as many writable ones, and they are two objects.
    unsafe {
        std::ptr::copy_nonoverlapping(
            address.as_ptr().cast::<u8>(),
            std::ptr::from_mut(&mut storage).cast::<u8>(),
            bytes,
        );
    }
    storage
}

fn set_egress(socket: &Socket, spec: &SendSpec, index: Option<u32>) -> Result<(), SocketError> {
    let hops = field_error("dest_addr", spec.dest_addr, "set the number of hops");
    match spec.dest_addr {
        SocketAddr::V4(_) => socket.set_multicast_ttl_v4(MULTICAST_TTL).map_err(hops)?,
        SocketAddr::V6(_) => socket.set_multicast_hops_v6(MULTICAST_TTL).map_err(hops)?,
    }
    let (Some(interface_addr), Some(index)) = (spec.interface_addr, index) else {
        return Ok(());
    };
    let fail = field_error(
        "interface_addr",
        interface_addr,
        "send groups from this interface",
    );
    match interface_addr {
        IpAddr::V4(address) => {
            let request = libc::ip_mreqn {
                imr_multiaddr: libc::in_addr {
                    s_addr: Ipv4Addr::UNSPECIFIED.to_bits(),
                },
                imr_address: libc::in_addr {
                    s_addr: address.to_bits().to_be(),
                },
                imr_ifindex: index.cast_signed(),
            };
            set_option(socket, libc::SOL_IP, libc::IP_MULTICAST_IF, &request).map_err(fail)
        }
        IpAddr::V6(_) => socket.set_multicast_if_v6(index).map_err(fail),
    }
}

fn set_dscp(socket: &Socket, spec: &SendSpec) -> Result<(), SocketError> {
    //= RFC 2474 3: the DSCP is the upper six bits of the former TOS octet and traffic class
    let octet = u32::from(spec.dscp) << 2;
    let set = match spec.dest_addr {
        SocketAddr::V4(_) => socket.set_tos_v4(octet),
        SocketAddr::V6(_) => socket.set_tclass_v6(octet),
    };
    set.map_err(field_error("dscp", spec.dscp, "mark packets"))
}

/// Asks for a buffer beyond the system's limit, and within it when that is not allowed.
fn grow(socket: &Socket, force: libc::c_int, plain: libc::c_int, bytes: usize) {
    let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
    if set_option(socket, libc::SOL_SOCKET, force, &bytes).is_err() {
        // Refused or cut short by net.core.rmem_max or wmem_max: the socket then works with what it has.
        let _ = set_option(socket, libc::SOL_SOCKET, plain, &bytes);
    }
}

fn set_option<T>(
    socket: &Socket,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let bytes = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open; `value` is a live object of `bytes` bytes that the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            bytes,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn field_error(
    field: &'static str,
    value: impl ToString,
    action: &'static str,
) -> impl FnOnce(io::Error) -> SocketError {
    let value = value.to_string();
    move |source| SocketError {
        field,
        value,
        problem: SocketProblem::Kernel { action, source },
    }
}

#[cfg(test)]
mod tests;
