//! Sending in batches: datagrams of one size go out as one `UDP_SEGMENT` message, messages as one `sendmmsg`.
//!
//! Where the kernel or the network card cannot segment, the same datagrams go out one by one; nothing above notices.

use std::io;
use std::marker::PhantomData;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use super::memory::PACKETS_MAX;

/// Room for the datagrams of one output on their way to the kernel; one for each core, used by all outputs in turn.
/// It is empty except while an [`Outgoing`] borrows it.
pub struct SendBatch {
    /// Bytes of the datagrams, in order. Never grows beyond its first capacity.
    parts: Vec<libc::iovec>,
    messages: Vec<Message>,
    headers: Vec<libc::mmsghdr>,
    /// One for each header, pointed at by it.
    control: Vec<SegmentControl>,
    /// Where messages go on a socket that is not connected, pointed at by headers.
    names: Vec<socket2::SockAddr>,
}

/// Datagrams that are being collected for one output.
///
/// It points at the bytes without copying them; the lifetime `'a` keeps them in place until it is gone.
#[derive(Debug)]
pub struct Outgoing<'b, 'a> {
    batch: &'b mut SendBatch,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> Outgoing<'_, 'a> {
    /// What is added from now on goes to `dest`; for a socket that is not connected.
    pub fn set_destination(&mut self, dest: SocketAddr) {
        self.batch.names.push(dest.into());
    }

    /// Adds a datagram that consists of `head` (may be empty) and `body`. False, and nothing added, when a whole pass
    /// has been added already.
    #[inline]
    pub fn push(&mut self, segmentation: Segmentation, head: &'a [u8], body: &'a [u8]) -> bool {
        let has_room = self.batch.has_room();
        if has_room {
            self.batch.push(segmentation, head, body);
        }
        has_room
    }

    /// Hands all datagrams to the kernel. `segmentation` is narrowed when the kernel shows that it cannot do what was
    /// asked.
    pub fn flush(self, socket: &impl AsRawFd, segmentation: &mut Segmentation) -> Sent {
        self.batch.flush(socket, segmentation)
    }
}

impl Drop for Outgoing<'_, '_> {
    fn drop(&mut self) {
        // No pointer outlives the bytes that it points at.
        self.batch.clear();
    }
}

/// How an output's socket may be used; learned from what the kernel answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segmentation {
    /// Largest datagram that may be sent as a part of a train, in bytes; 0 when the kernel cannot segment at all.
    pub bytes_max: usize,
}

impl Segmentation {
    /// Segmentation as far as UDP allows it.
    pub const FULL: Self = Self {
        bytes_max: TRAIN_BYTES_MAX,
    };

    /// No segmentation.
    pub const NONE: Self = Self { bytes_max: 0 };
}

/// What became of the datagrams of one flush.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sent {
    /// Datagrams that the kernel took.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Datagrams that it did not take.
    pub dropped: u64,
    /// Calls to the kernel.
    pub calls: u64,
    /// Calls that failed for another reason than a full buffer or a far end that does not listen.
    pub errors: u64,
    /// The newest such reason.
    pub error: Option<i32>,
}

impl Sent {
    /// What became of the same datagrams on two legs: what one of them carried is not lost.
    #[must_use]
    pub fn of_legs(self, other: Self) -> Self {
        Self {
            packets: self.packets.max(other.packets),
            bytes: self.bytes.max(other.bytes),
            dropped: self.dropped.min(other.dropped),
            calls: self.calls + other.calls,
            errors: self.errors + other.errors,
            error: other.error.or(self.error),
        }
    }
}

/// One datagram, or a train of datagrams of one size.
#[derive(Clone, Copy, Debug)]
struct Message {
    /// Index of its first part.
    first_part: usize,
    parts: usize,
    /// Size of all its datagrams but the last, which may be smaller.
    segment_bytes: usize,
    segments: usize,
    bytes: usize,
    /// A smaller datagram was added: nothing can follow it.
    closed: bool,
    /// How many names there were when it was made: the last of them is its destination.
    names: usize,
}

/// A control message that tells the kernel the size of the datagrams.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct SegmentControl([u8; SEGMENT_CONTROL_BYTES]);

// CMSG_SPACE(2) is 24 on 64-bit Linux; `flush` checks it.
const SEGMENT_CONTROL_BYTES: usize = 24;

/// Datagrams in one train: what every kernel with UDP_SEGMENT takes (`UDP_MAX_SEGMENTS`, 128 in newer ones).
const TRAIN_SEGMENTS_MAX: usize = 64;

/// Bytes in one train: an IPv6 UDP packet, less a margin for extension headers.
const TRAIN_BYTES_MAX: usize = 65_000;

/// Parts in one message (`UIO_MAXIOV`).
const MESSAGE_PARTS_MAX: usize = 1_024;

/// Parts of one datagram: a header of ours, and the payload.
const DATAGRAM_PARTS_MAX: usize = 2;

/// Parts of a whole pass.
const PARTS_MAX: usize = DATAGRAM_PARTS_MAX * PACKETS_MAX;

/// Messages in one call. More would only delay the first.
const MESSAGES_PER_CALL: usize = 64;

/// How often a message is offered again after the far end's host said that nobody listens: that answer belongs to an
/// earlier datagram, and the kernel takes nothing in the call that reports it.
const REFUSED_TRIES: u32 = 3;

impl SendBatch {
    /// An empty batch with all the room that a pass can need.
    #[must_use]
    pub fn new() -> Self {
        Self {
            parts: Vec::with_capacity(PARTS_MAX),
            messages: Vec::with_capacity(PACKETS_MAX),
            headers: Vec::with_capacity(MESSAGES_PER_CALL),
            control: vec![SegmentControl([0; SEGMENT_CONTROL_BYTES]); MESSAGES_PER_CALL],
            names: Vec::new(),
        }
    }

    /// Starts a collection of datagrams whose bytes live at least as long as it does.
    pub fn start<'a>(&mut self) -> Outgoing<'_, 'a> {
        self.clear();
        Outgoing {
            batch: self,
            bytes: PhantomData,
        }
    }

    const fn has_room(&self) -> bool {
        self.parts.len() + DATAGRAM_PARTS_MAX <= PARTS_MAX && self.messages.len() < PACKETS_MAX
    }

    fn clear(&mut self) {
        self.parts.clear();
        self.messages.clear();
        self.names.clear();
    }

    #[inline]
    fn push(&mut self, segmentation: Segmentation, head: &[u8], body: &[u8]) {
        let bytes = head.len() + body.len();
        let joins = bytes <= segmentation.bytes_max
            && self
                .messages
                .last()
                .is_some_and(|message| message.names == self.names.len() && message.takes(bytes));
        if !joins {
            self.messages.push(Message {
                first_part: self.parts.len(),
                parts: 0,
                segment_bytes: bytes,
                segments: 0,
                bytes: 0,
                closed: false,
                names: self.names.len(),
            });
        }
        for part in [head, body] {
            self.push_part(part);
        }
        if let Some(message) = self.messages.last_mut() {
            message.segments += 1;
            message.bytes += bytes;
            message.closed = bytes < message.segment_bytes;
        }
    }

    /// Adds bytes to the newest message; bytes that follow the last ones in memory only make those longer.
    #[inline]
    fn push_part(&mut self, part: &[u8]) {
        let Some(message) = self.messages.last_mut().filter(|_| !part.is_empty()) else {
            return;
        };
        if message.parts > 0
            && let Some(last) = self.parts.last_mut()
            && last
                .iov_base
                .cast::<u8>()
                .wrapping_add(last.iov_len)
                .cast_const()
                == part.as_ptr()
        {
            last.iov_len += part.len();
            return;
        }
        message.parts += 1;
        let iov_base = part.as_ptr().cast_mut().cast();
        self.parts.push(libc::iovec {
            iov_base,
            iov_len: part.len(),
        });
    }

    fn flush(&mut self, socket: &impl AsRawFd, segmentation: &mut Segmentation) -> Sent {
        let mut sent = Sent::default();
        let mut next = 0;
        let mut refused = 0;
        while next < self.messages.len() {
            match self.send_from(socket, next) {
                Ok(count) => {
                    sent.calls += 1;
                    refused = 0;
                    for message in &self.messages[next..next + count] {
                        sent.packets += message.segments as u64;
                        sent.bytes += message.bytes as u64;
                    }
                    next += count;
                }
                Err(error) => {
                    sent.calls += 1;
                    match self.after_error(socket, segmentation, next, &error, &mut refused) {
                        AfterError::Again => {}
                        AfterError::Next(outcome) => {
                            sent.add(outcome);
                            next += 1;
                        }
                        AfterError::DropAll => {
                            // The kernel would refuse the others too, and asking costs time that siblings need.
                            sent.dropped += segments(&self.messages[next..]);
                            next = self.messages.len();
                        }
                    }
                }
            }
        }
        sent
    }

    /// One call for the messages from `first` on. Returns how many the kernel took, at least one.
    fn send_from(&mut self, socket: &impl AsRawFd, first: usize) -> io::Result<usize> {
        self.headers.clear();
        let messages = &self.messages[first..];
        for (message, control) in messages.iter().zip(&mut self.control) {
            // SAFETY: all zeroes is a valid mmsghdr.
            let mut header: libc::mmsghdr = unsafe { zeroed() };
            header.msg_hdr.msg_iov = self.parts[message.first_part..].as_mut_ptr();
            header.msg_hdr.msg_iovlen = message.parts;
            if let Some(name) = message.name(&self.names) {
                header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
                header.msg_hdr.msg_namelen = name.len();
            }
            if message.segments > 1 {
                control.set(message.segment_bytes);
                header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = SEGMENT_CONTROL_BYTES;
            }
            self.headers.push(header);
        }
        // SAFETY: each header points at parts, control and perhaps a name of this batch, which live until the call returns
        // and of which the kernel writes none; the parts point at bytes that `Outgoing` borrows.
        let count = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        match usize::try_from(count) {
            Ok(0) => Err(io::Error::from(io::ErrorKind::WouldBlock)),
            Ok(count) => Ok(count),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    /// What to do about message `index`, which the kernel refused with `error`.
    fn after_error(
        &mut self,
        socket: &impl AsRawFd,
        segmentation: &mut Segmentation,
        index: usize,
        error: &io::Error,
        refused: &mut u32,
    ) -> AfterError {
        let message = self.messages[index];
        match error.raw_os_error() {
            Some(libc::EINTR) => AfterError::Again,
            Some(libc::ECONNREFUSED) if *refused < REFUSED_TRIES => {
                *refused += 1;
                AfterError::Again
            }
            None | Some(libc::EAGAIN | libc::ENOBUFS) => AfterError::DropAll,
            // Cards without checksum offload say EIO, kernels without UDP_SEGMENT take the control message for a bad
            // one; trains whose datagrams do not fit into the path's packets are refused one by one.
            Some(code @ (libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP))
                if message.segments > 1 =>
            {
                *segmentation = match code {
                    libc::EMSGSIZE | libc::EINVAL if message.segment_bytes > SEGMENT_BYTES_SAFE => {
                        Segmentation {
                            bytes_max: message.segment_bytes - 1,
                        }
                    }
                    _ => Segmentation::NONE,
                };
                AfterError::Next(self.send_singly(socket, index))
            }
            code => AfterError::Next(Sent {
                dropped: message.segments as u64,
                errors: 1,
                error: code,
                ..Sent::default()
            }),
        }
    }

    /// Sends the datagrams of one train one by one.
    fn send_singly(&self, socket: &impl AsRawFd, index: usize) -> Sent {
        let message = self.messages[index];
        let parts = &self.parts[message.first_part..message.first_part + message.parts];
        let mut sent = Sent::default();
        let mut position = PartPosition { part: 0, offset: 0 };
        let mut left = message.bytes;
        while left > 0 {
            let bytes = left.min(message.segment_bytes);
            let (mut slices, count) = position.take(parts, bytes);
            left -= bytes;
            sent.calls += 1;
            match send_one(socket, &mut slices[..count], message.name(&self.names)) {
                Ok(()) => {
                    sent.packets += 1;
                    sent.bytes += bytes as u64;
                }
                Err(error) => {
                    sent.dropped += 1;
                    let full = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS));
                    if !full {
                        sent.errors += 1;
                        sent.error = error.raw_os_error();
                    }
                }
            }
        }
        sent
    }
}

/// Datagrams up to this size fit into the packets of every media network; a train of them that the kernel refuses is
/// refused for another reason than its size.
const SEGMENT_BYTES_SAFE: usize = 1_452;

enum AfterError {
    Again,
    DropAll,
    Next(Sent),
}

impl Message {
    /// Its destination, on a socket that is not connected.
    fn name(self, names: &[socket2::SockAddr]) -> Option<&socket2::SockAddr> {
        names.get(self.names.checked_sub(1)?)
    }

    #[inline]
    const fn takes(&self, bytes: usize) -> bool {
        !self.closed
            && bytes <= self.segment_bytes
            && self.segments < TRAIN_SEGMENTS_MAX
            && self.bytes + bytes <= TRAIN_BYTES_MAX
            && self.parts + DATAGRAM_PARTS_MAX <= MESSAGE_PARTS_MAX
            && bytes > 0
    }
}

impl Sent {
    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.dropped += other.dropped;
        self.calls += other.calls;
        self.errors += other.errors;
        self.error = other.error.or(self.error);
    }
}

impl SegmentControl {
    fn set(&mut self, segment_bytes: usize) {
        // A train's datagrams are at most TRAIN_BYTES_MAX long, which fits.
        let size = segment_bytes as u16;
        // SAFETY: CMSG_LEN only computes.
        let length = unsafe { libc::CMSG_LEN(2) } as usize;
        let header = libc::cmsghdr {
            cmsg_len: length,
            cmsg_level: libc::SOL_UDP,
            cmsg_type: libc::UDP_SEGMENT,
        };
        let start = self.0.as_mut_ptr();
        // SAFETY: the buffer is aligned for a cmsghdr and holds it and two bytes more (16 + 2 <= 24).
        unsafe {
            start.cast::<libc::cmsghdr>().write(header);
            start
                .add(length - 2)
                .cast::<[u8; 2]>()
                .write(size.to_ne_bytes());
        }
    }
}

/// A place in a list of parts.
struct PartPosition {
    part: usize,
    offset: usize,
}

impl PartPosition {
    /// The next `bytes` as slices of the parts, and how many slices they are.
    fn take(&mut self, parts: &[libc::iovec], bytes: usize) -> ([libc::iovec; SLICES_MAX], usize) {
        let empty = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        let mut slices = [empty; SLICES_MAX];
        let mut count = 0;
        let mut left = bytes;
        while left > 0 && count < SLICES_MAX {
            let Some(part) = parts.get(self.part) else {
                break;
            };
            let length = left.min(part.iov_len - self.offset);
            let iov_base = part.iov_base.cast::<u8>().wrapping_add(self.offset).cast();
            slices[count] = libc::iovec {
                iov_base,
                iov_len: length,
            };
            count += 1;
            left -= length;
            self.offset += length;
            if self.offset == part.iov_len {
                self.part += 1;
                self.offset = 0;
            }
        }
        (slices, count)
    }
}

/// A datagram of two parts that do not start at a part's start touches at most this many.
const SLICES_MAX: usize = 4;

fn send_one(
    socket: &impl AsRawFd,
    slices: &mut [libc::iovec],
    name: Option<&socket2::SockAddr>,
) -> io::Result<()> {
    for try_number in 0.. {
        // SAFETY: all zeroes is a valid msghdr.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = slices.as_mut_ptr();
        header.msg_iovlen = slices.len();
        if let Some(name) = name {
            header.msg_name = name.as_ptr().cast_mut().cast();
            header.msg_namelen = name.len();
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the header points at a name and at `slices`, which point into bytes that `Outgoing` borrows; the kernel
        // writes none of them.
        if unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags) } >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        let again = matches!(error.raw_os_error(), Some(libc::EINTR | libc::ECONNREFUSED));
        if !again || try_number >= REFUSED_TRIES {
            return Err(error);
        }
    }
    Ok(())
}

fn segments(messages: &[Message]) -> u64 {
    messages.iter().map(|message| message.segments as u64).sum()
}

impl Default for SendBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for SendBatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SendBatch")
            .field("messages", &self.messages.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
