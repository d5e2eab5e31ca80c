//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::net::cores::CoreList;

/// The packet process of bilbycast-edge.
///
/// It runs flows that a control plane describes over the control socket, and goes on with them whatever the control
/// plane does. RUST_LOG sets what is logged (default: info).
#[derive(Debug, Parser)]
#[command(name = "bilbycast-dataplane", version)]
pub struct Arguments {
    /// Control socket [default: dataplane.sock in /run/bilbycast when writable, else in a folder of the user's own]
    #[arg(long, value_name = "PATH")]
    pub control_socket: Option<PathBuf>,

    /// Shared memory with counters, history and events [default: counters.shm beside the default control socket]
    #[arg(long, value_name = "PATH")]
    pub shm: Option<PathBuf>,

    /// CPUs that carry packets, such as 1-3,6 [default: all but the first]
    #[arg(long, value_name = "LIST")]
    pub cores: Option<CoreList>,

    /// Longest time in microseconds that a datagram of a busy flow waits before it is picked up, 50 to 10000
    #[arg(long, value_name = "US", default_value_t = 500, value_parser = clap::value_parser!(u32).range(50..=10_000))]
    pub tick_us: u32,

    /// Only tells what of this host would hurt packets, and what mends it; ends with 0 when nothing does, 1 after
    /// warnings, 2 when the data plane could not run
    #[arg(long)]
    pub check: bool,

    /// With --check: tells it as JSON
    #[arg(long, requires = "check")]
    pub json: bool,
}
