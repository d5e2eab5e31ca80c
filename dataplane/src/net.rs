//! Sockets, clocks and cores: the layer that owns every system call.
//!
//! It alone knows glommio, socket2, nix and libc. Packets move in batches: [`receive`] fills a core's
//! [`memory::PacketMemory`] by `recvmmsg`, [`send`] empties it by `sendmmsg`; both let the kernel coalesce.

pub mod card;
pub mod clock;
pub mod cores;
pub mod executor;
mod interface;
pub mod mailbox;
pub mod memory;
pub mod peer;
pub mod readiness;
pub mod receive;
pub mod scheduling;
pub mod send;
pub mod signals;
pub mod socket;
