//! `bilbycast-analyze FILE.ts|FILE.pcap [--json]`

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bilbycast_analyze::{Options, Report, analyse};
use clap::Parser;

/// Analyses a recorded transport stream: TR 101 290, programmes, video, audio and data.
///
/// FILE is a transport stream (.ts) or a capture of UDP or RTP (classic pcap). Times are those of the stream's own program
/// clock, so a file is judged as if it were sent at its own pace.
#[derive(Debug, Parser)]
#[command(name = "bilbycast-analyze", version)]
struct Arguments {
    /// Recording to analyse.
    file: PathBuf,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
    /// UDP destination port within a capture; without it, that of the first datagram with transport stream.
    #[arg(long)]
    port: Option<u16>,
    /// Bitrate in bits per second for a stream without a program clock; without it such a stream has no time.
    #[arg(long)]
    bitrate_bps: Option<u64>,
    /// How long a video or audio PID may be absent, in milliseconds.
    #[arg(long, default_value_t = 5000)]
    pid_timeout_ms: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        port: arguments.port,
        bitrate_bps: arguments.bitrate_bps,
        pid_timeout_ns: arguments.pid_timeout_ms.saturating_mul(1_000_000),
    };
    match analyse(&arguments.file, &options) {
        Ok(report) => match print(&report, arguments.json) {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
        Err(error) => fail(&error),
    }
}

fn print(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)
    } else {
        write!(out, "{report}")
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("bilbycast-analyze: {error}");
    ExitCode::FAILURE
}
