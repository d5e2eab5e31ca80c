//! A socket that an input receives from, and what is counted at its mouth.

use bilbycast_shm_proto::model::ReceiveSpec;

use super::PassBuffers;
use crate::net::memory::RECEIVE_BATCH;
use crate::net::receive::{Received, Sources};
use crate::net::socket::ReceiveSocket;

/// A bound socket and what it was opened for.
#[derive(Debug)]
pub struct Receiver {
    socket: ReceiveSocket,
    spec: ReceiveSpec,
    /// The kernel's running count of drops when this flow last heard of it.
    drops_seen: u32,
    /// Messages to ask for at a time.
    messages_max: usize,
}

/// About as many bytes are taken at a time as stay in a core's second-level cache while they are received, sent and looked
/// at. With trains of 64 KiB a full batch would be 4 MiB.
const BYTES_AT_A_TIME: u64 = 128 * 1_024;

/// Asked for even if each of them is as long as can be.
const MESSAGES_MIN: usize = 2;

/// What the kernel says about a socket, since the flow's start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KernelCounts {
    /// Datagrams that found the socket's buffer full.
    pub dropped: u64,
    /// Receive calls that returned data.
    pub batches: u64,
    /// Receive calls that failed, as after an ICMP error.
    pub errors: u64,
}

/// What [`Receiver::receive`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Taken {
    /// Datagrams that came in.
    pub(super) received: u64,
    /// More is waiting.
    pub(super) more: bool,
}

impl Receiver {
    /// A socket that was opened for `spec`.
    #[must_use]
    pub const fn new(socket: ReceiveSocket, spec: ReceiveSpec) -> Self {
        Self {
            socket,
            spec,
            drops_seen: 0,
            messages_max: RECEIVE_BATCH,
        }
    }

    /// What it receives.
    #[must_use]
    pub const fn spec(&self) -> &ReceiveSpec {
        &self.spec
    }

    /// Its socket.
    #[must_use]
    pub const fn socket(&self) -> &ReceiveSocket {
        &self.socket
    }

    /// Leaves the group and closes the socket. On the control thread: it may take milliseconds.
    pub fn close(self) {
        self.socket.leave(&self.spec);
    }

    /// Makes room in the socket for that rate.
    pub(super) fn fit_buffer(&mut self, bytes: usize) {
        self.socket.grow_buffer(bytes);
    }

    /// Takes one batch into the buffers, in place of what they held.
    pub(super) fn receive(
        &mut self,
        buffers: &mut PassBuffers,
        counts: &mut KernelCounts,
        sources: Sources,
    ) -> Taken {
        buffers.packets.clear();
        let received = buffers.receive.receive_at_most(
            self.messages_max,
            &self.socket,
            &mut buffers.memory,
            &mut buffers.packets,
            sources,
        );
        if let Some(each) = received.bytes.checked_div(received.messages as u64) {
            let fitting = BYTES_AT_A_TIME / each.max(1);
            // At most RECEIVE_BATCH.
            self.messages_max = fitting.clamp(MESSAGES_MIN as u64, RECEIVE_BATCH as u64) as usize;
        }
        counts.batches += u64::from(received.messages > 0);
        counts.errors += u64::from(received.error.is_some());
        if let Some(total) = received.dropped_total {
            counts.dropped += u64::from(total.wrapping_sub(self.drops_seen));
            self.drops_seen = total;
        }
        Taken {
            received: buffers.packets.len() as u64,
            more: Received::is_full(&received),
        }
    }
}
