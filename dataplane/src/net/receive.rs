//! Receiving in batches: one `recvmmsg` for up to 64 datagrams, or 64 trains of coalesced ones.

use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use super::clock;
use super::memory::{DATAGRAM_BYTES_MAX, PACKETS_MAX, Packet, PacketMemory, RECEIVE_BATCH};

/// The headers of one receive call; one for each core, used by all its flows in turn.
pub struct ReceiveBatch {
    headers: Box<[libc::mmsghdr]>,
    /// Pointed at by `headers`; never moved or resized.
    buffers: Box<[libc::iovec]>,
    /// Pointed at by `headers`; never moved or resized.
    control: Box<[Control]>,
    /// Pointed at by `headers` when sources are asked for; never moved or resized.
    names: Box<[libc::sockaddr_storage]>,
}

/// Whether the kernel tells where datagrams come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sources {
    /// It does: [`ReceiveBatch::source`] has them until the next call.
    Told,
    /// It need not.
    Unasked,
}

/// What one receive call found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Received {
    /// Messages that the kernel handed over: datagrams, or trains of them.
    pub messages: usize,
    /// Bytes of payload.
    pub bytes: u64,
    /// Datagrams longer than the slot. The slot is as long as UDP allows, so this is a fault of the kernel.
    pub truncated: u64,
    /// The kernel's running count of datagrams that found the buffer full, when it told.
    pub dropped_total: Option<u32>,
    /// The socket failed for another reason than being empty.
    pub error: Option<i32>,
}

impl Received {
    /// True when more may be waiting.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.messages == RECEIVE_BATCH
    }
}

/// Room for a timestamp, a drop count and a segment size, aligned as control messages must be.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_BYTES]);

const CONTROL_BYTES: usize = 128;

impl ReceiveBatch {
    /// Headers that point nowhere yet.
    #[must_use]
    pub fn new() -> Self {
        // SAFETY: all zeroes is a valid mmsghdr (null pointers, zero lengths).
        let headers = (0..RECEIVE_BATCH).map(|_| unsafe { zeroed() }).collect();
        let empty = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        // SAFETY: all zeroes is a valid sockaddr_storage.
        let names = (0..RECEIVE_BATCH).map(|_| unsafe { zeroed() }).collect();
        Self {
            headers,
            buffers: vec![empty; RECEIVE_BATCH].into_boxed_slice(),
            control: vec![Control([0; CONTROL_BYTES]); RECEIVE_BATCH].into_boxed_slice(),
            names,
        }
    }

    /// Takes what is waiting on `socket`, up to one batch, and appends a [`Packet`] for each datagram. `packets` must
    /// have room for [`PACKETS_MAX`] more.
    pub fn receive(
        &mut self,
        socket: &impl AsRawFd,
        memory: &mut PacketMemory,
        packets: &mut Vec<Packet>,
        sources: Sources,
    ) -> Received {
        self.point_at(memory, sources);
        // SAFETY: each header points at one iovec, one control buffer and perhaps one name of this batch, and each iovec at
        // a slot of `memory` of its own; all of them outlive the call and nothing else touches them meanwhile.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                RECEIVE_BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let Ok(messages) = usize::try_from(count) else {
            let error = std::io::Error::last_os_error();
            let waiting = [
                std::io::ErrorKind::WouldBlock,
                std::io::ErrorKind::Interrupted,
            ];
            let error = (!waiting.contains(&error.kind()))
                .then(|| error.raw_os_error())
                .flatten();
            return Received {
                error,
                ..Received::default()
            };
        };
        let mut received = Received {
            messages,
            ..Received::default()
        };
        let mut now_ns = None;
        for (slot, header) in self.headers.iter().take(messages).enumerate() {
            received.bytes += u64::from(header.msg_len);
            received.truncated += u64::from(header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0);
            let told = told_by_kernel(&header.msg_hdr);
            received.dropped_total = told.dropped_total.or(received.dropped_total);
            let arrival_ns = match told.arrival_ns {
                Some(arrival_ns) => arrival_ns,
                None => *now_ns.get_or_insert_with(clock::realtime_ns),
            };
            let start = PacketMemory::slot_start(slot);
            push_datagrams(
                packets,
                start,
                header.msg_len as usize,
                told.segment_bytes,
                arrival_ns,
            );
        }
        received
    }

    /// Where a packet of the newest call came from; `None` when that was not asked for, or is no IP address.
    #[must_use]
    pub fn source(&self, packet: &Packet) -> Option<SocketAddr> {
        let slot = PacketMemory::slot_of(packet.start as usize);
        let header = self.headers.get(slot)?;
        if header.msg_hdr.msg_name.is_null() {
            return None;
        }
        let name = self.names.get(slot)?;
        let bytes = header.msg_hdr.msg_namelen as usize;
        match i32::from(name.ss_family) {
            libc::AF_INET if bytes >= size_of::<libc::sockaddr_in>() => {
                // SAFETY: the kernel wrote a sockaddr_in, as family and length say; a sockaddr_storage is large enough and
                // aligned for it.
                let name = unsafe { *std::ptr::from_ref(name).cast::<libc::sockaddr_in>() };
                let address = Ipv4Addr::from_bits(u32::from_be(name.sin_addr.s_addr));
                let port = u16::from_be(name.sin_port);
                Some(SocketAddr::V4(SocketAddrV4::new(address, port)))
            }
            libc::AF_INET6 if bytes >= size_of::<libc::sockaddr_in6>() => {
                // SAFETY: as above, a sockaddr_in6.
                let name = unsafe { *std::ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
                let address = Ipv6Addr::from(name.sin6_addr.s6_addr);
                let port = u16::from_be(name.sin6_port);
                let v6 = SocketAddrV6::new(address, port, 0, name.sin6_scope_id);
                Some(SocketAddr::V6(v6))
            }
            _ => None,
        }
    }

    fn point_at(&mut self, memory: &mut PacketMemory, sources: Sources) {
        let slots = memory.slots();
        for ((((header, buffer), control), name), slot) in self
            .headers
            .iter_mut()
            .zip(&mut self.buffers)
            .zip(&mut self.control)
            .zip(&mut self.names)
            .zip(slots)
        {
            (header.msg_hdr.msg_name, header.msg_hdr.msg_namelen) = match sources {
                Sources::Told => (
                    std::ptr::from_mut(name).cast(),
                    size_of::<libc::sockaddr_storage>() as libc::socklen_t,
                ),
                Sources::Unasked => (std::ptr::null_mut(), 0),
            };
            *buffer = libc::iovec {
                iov_base: slot.as_mut_ptr().cast(),
                iov_len: slot.len(),
            };
            header.msg_hdr.msg_iov = buffer;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_BYTES;
            header.msg_hdr.msg_flags = 0;
        }
    }
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ReceiveBatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ReceiveBatch")
            .finish_non_exhaustive()
    }
}

/// Cuts a train of coalesced datagrams into its parts. All are `segment_bytes` long but the last, which may be shorter.
fn push_datagrams(
    packets: &mut Vec<Packet>,
    start: usize,
    bytes: usize,
    segment_bytes: Option<usize>,
    arrival_ns: u64,
) {
    debug_assert!(
        bytes <= DATAGRAM_BYTES_MAX,
        "a slot is as long as UDP allows"
    );
    let segment_bytes = segment_bytes
        .filter(|size| *size > 0)
        .unwrap_or(bytes)
        .max(1);
    let mut offset = 0;
    // An empty datagram is one, too.
    while (offset < bytes || offset == 0) && packets.len() < packets.capacity().min(PACKETS_MAX) {
        let length = segment_bytes.min(bytes - offset);
        packets.push(Packet {
            // The whole memory is far below 4 GiB (tested in `memory`).
            start: (start + offset) as u32,
            bytes: length as u32,
            header_bytes: 0,
            payload_bytes: length as u32,
            arrival_ns,
        });
        offset += length.max(1);
    }
}

/// What the kernel says about a message beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    arrival_ns: Option<u64>,
    dropped_total: Option<u32>,
    segment_bytes: Option<usize>,
}

fn told_by_kernel(header: &libc::msghdr) -> Told {
    let mut told = Told::default();
    // SAFETY: `header` was filled by recvmmsg: its control buffer holds `msg_controllen` bytes of well-formed control
    // messages, which CMSG_FIRSTHDR and CMSG_NXTHDR walk without leaving it.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: `message` is not null, so it points at a complete header inside the control buffer.
        let (level, kind, bytes) = unsafe {
            (
                (*message).cmsg_level,
                (*message).cmsg_type,
                (*message).cmsg_len as usize,
            )
        };
        // SAFETY: as above; the data follows the header.
        let data = unsafe { libc::CMSG_DATA(message) };
        // SAFETY: CMSG_LEN only computes.
        let holds = |size: usize| bytes >= unsafe { libc::CMSG_LEN(size as u32) } as usize;
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) if holds(size_of::<libc::timespec>()) => {
                // SAFETY: the message holds a timespec, as was just checked; it may be unaligned.
                let time = unsafe { data.cast::<libc::timespec>().read_unaligned() };
                told.arrival_ns = nanoseconds(&time);
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) if holds(size_of::<u32>()) => {
                // SAFETY: the message holds a u32, as was just checked; it may be unaligned.
                told.dropped_total = Some(unsafe { data.cast::<u32>().read_unaligned() });
            }
            (libc::SOL_UDP, libc::UDP_GRO) if holds(size_of::<libc::c_int>()) => {
                // SAFETY: the message holds an int, as was just checked; it may be unaligned.
                let size = unsafe { data.cast::<libc::c_int>().read_unaligned() };
                told.segment_bytes = usize::try_from(size).ok();
            }
            _ => {}
        }
        // SAFETY: `message` is a header inside the control buffer of `header`.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    told
}

fn nanoseconds(time: &libc::timespec) -> Option<u64> {
    let seconds = u64::try_from(time.tv_sec).ok()?;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(u64::try_from(time.tv_nsec).ok()?)
}
