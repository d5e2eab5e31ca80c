//! The packet process of bilbycast-edge.
//!
//! Thread per core: each CPU of `--cores` runs one glommio executor, pinned, and a flow lives on one of them from its
//! input socket to its last output. No lock, no allocation and no system call is spent on a single packet; the batch
//! is the unit. Everything that may take long (opening and closing sockets, parsing commands) happens on the control
//! thread, which hands finished objects to the cores.
//!
//! * [`net`]: sockets, clocks, cores. The only layer with system calls and `unsafe`.
//! * [`flow`]: the flow graph on one core: input, outputs, what they count.
//! * [`core`]: one executor: its flows, its mailbox, its publishing.
//! * [`control`]: the control socket, and who runs where.
//! * [`check`]: what of the host would hurt packets.
//!
//! What it needs of the host: io_uring allowed (`kernel.io_uring_disabled=0`), 512 KiB of locked memory for each core
//! (`LimitMEMLOCK`), and for the best latency CAP_SYS_NICE, and CAP_NET_ADMIN for socket buffers beyond
//! `net.core.rmem_max`.

#![deny(unsafe_code)]

pub mod arguments;
pub mod check;
pub mod control;
pub mod core;
pub mod flow;
#[allow(unsafe_code)]
pub mod net;
pub mod srt;
