//! `bilbycast-analyze FILE.ts|FILE.pcap [--json]`

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use bilbycast_analyze::arguments::Arguments;
use bilbycast_analyze::{Options, Report, analyse};
use clap::Parser;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        port: arguments.port,
        bitrate_bps: arguments.bitrate_bps,
        clock: arguments.clock,
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
