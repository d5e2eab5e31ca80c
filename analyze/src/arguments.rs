//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::timeline::Clock;

/// Analyses a recorded transport stream: TR 101 290, programmes, video, audio and data.
///
/// FILE is a transport stream (.ts) or a capture of UDP or RTP (classic pcap). Times are those of the stream's own program
/// clock, so a file is judged as if it were sent at its own pace.
#[derive(Debug, Parser)]
#[command(name = "bilbycast-analyze", version)]
pub struct Arguments {
    /// Recording to analyse.
    pub file: PathBuf,
    /// JSON instead of text.
    #[arg(long)]
    pub json: bool,
    /// UDP destination port within a capture; without it, that of the first datagram with transport stream.
    #[arg(long)]
    pub port: Option<u16>,
    /// Bitrate in bits per second for a stream without a program clock; without it such a stream has no time.
    #[arg(long)]
    pub bitrate_bps: Option<u64>,
    /// How time goes on from one program clock reference to the next; other analysers count in steps.
    #[arg(long, value_enum, default_value_t)]
    pub clock: Clock,
    /// How long a video or audio PID may be absent, in milliseconds.
    #[arg(long, default_value_t = 5000)]
    pub pid_timeout_ms: u64,
}
