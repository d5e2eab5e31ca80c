//! A socket that both ends of many connections share.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use socket2::Socket;

use super::{
    BUFFER_BYTES_MAX, RECEIVE_BUFFER_BYTES_MIN, SocketError, field_error, grow,
    learn_about_arrivals, local_addr, udp_socket,
};

/// A bound socket that receives from anybody and sends to anybody.
#[derive(Debug)]
pub struct DuplexSocket {
    socket: Socket,
    buffer_bytes: usize,
}

impl DuplexSocket {
    /// Opens a socket on `local_addr` whose packets have this type of service (IPv6: traffic class) and time to live.
    ///
    /// # Errors
    ///
    /// [`SocketError`] with the field `local_addr`, `ip_tos` or `ip_ttl`.
    pub fn open(local_addr: SocketAddr, ip_tos: u8, ip_ttl: u8) -> Result<Self, SocketError> {
        let fail = |action| field_error("local_addr", local_addr, action);
        let socket = udp_socket(local_addr).map_err(fail("open a socket"))?;
        socket.bind(&local_addr.into()).map_err(fail("bind"))?;
        let (tos, ttl) = (u32::from(ip_tos), u32::from(ip_ttl));
        let marked = match local_addr {
            SocketAddr::V4(_) => (socket.set_tos_v4(tos), socket.set_ttl_v4(ttl)),
            SocketAddr::V6(_) => (socket.set_tclass_v6(tos), socket.set_unicast_hops_v6(ttl)),
        };
        marked
            .0
            .map_err(field_error("ip_tos", ip_tos, "mark packets"))?;
        marked
            .1
            .map_err(field_error("ip_ttl", ip_ttl, "set the time to live"))?;
        learn_about_arrivals(&socket);
        let mut duplex = Self {
            socket,
            buffer_bytes: 0,
        };
        duplex.grow_buffers(RECEIVE_BUFFER_BYTES_MIN);
        Ok(duplex)
    }

    /// The address that it is bound to, with the port that the system chose when 0 was asked for.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(&self.socket)
    }

    /// Sends one datagram now.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn send_to(&self, datagram: &[u8], dest: SocketAddr) -> io::Result<()> {
        self.socket.send_to(datagram, &dest.into()).map(drop)
    }

    /// Makes both buffers at least this large, when the system allows it; never smaller.
    pub fn grow_buffers(&mut self, bytes: usize) {
        let bytes = bytes.min(BUFFER_BYTES_MAX);
        if bytes > self.buffer_bytes {
            self.buffer_bytes = bytes;
            grow(&self.socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, bytes);
            grow(&self.socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, bytes);
        }
    }
}

impl AsRawFd for DuplexSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for DuplexSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
