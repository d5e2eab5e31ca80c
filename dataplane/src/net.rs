//! Sockets, clocks and cores: the layer that owns every system call.
//!
//! It alone knows glommio, socket2, nix and libc. Packets move in batches: [`receive`] fills a core's
//! [`memory::PacketMemory`] by `recvmmsg`, [`send`] empties it by `sendmmsg`; both let the kernel coalesce.

pub mod clock;
pub mod cores;
mod interface;
pub mod memory;
pub mod readiness;
pub mod receive;
pub mod scheduling;
pub mod send;
pub mod socket;
