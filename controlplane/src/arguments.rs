//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// The control process of bilbycast-edge: REST API and configuration. Flows run on without it.
#[derive(Debug, Parser)]
#[command(name = "bilbycast-controlplane", version)]
pub struct Arguments {
    /// Configuration file
    #[arg(short, long, value_name = "PATH", default_value = "./config.json")]
    pub config: PathBuf,

    /// Overrides server.listen_port; 0 lets the system choose
    #[arg(short, long, value_name = "N")]
    pub port: Option<u16>,

    /// Overrides server.listen_addr
    #[arg(short, long, value_name = "ADDR")]
    pub bind: Option<IpAddr>,

    /// Overrides monitor.listen_port
    #[arg(long, value_name = "N")]
    pub monitor_port: Option<u16>,

    /// Least severe messages that are logged; RUST_LOG outranks it
    #[arg(short, long, value_name = "L", value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,

    /// Control socket of the data plane [default: dataplane.sock in /run/bilbycast, or in a folder of this user]
    #[arg(long, value_name = "PATH")]
    pub control_socket: Option<PathBuf>,

    /// Shared memory of the data plane [default: counters.shm in the same folder]
    #[arg(long, value_name = "PATH")]
    pub shm: Option<PathBuf>,
}

/// Least severe messages that are logged.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What an operator may want to know.
    Info,
    /// What needs a look.
    Warn,
    /// What does not work.
    Error,
}

impl LogLevel {
    /// The filter when nobody wrote one: the HTTP server's own start messages are noise at `info`.
    #[must_use]
    pub const fn filter(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info,actix_server=warn",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
