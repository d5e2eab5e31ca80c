//! Measures the gateway between a paced sender and a counting sink, beside a bare kernel loop.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bilbycast_benches::throughput::{self, Document, Settings, Wake, crowd, repair, srt};
use bilbycast_benches::{BenchError, host, micro};
use clap::{Parser, Subcommand, ValueEnum};

/// CPU per datagram, highest lossless rate and added latency of the data plane, beside a bare kernel loop; what repair
/// costs beside it, SRT beside srt-live-transmit, and many SRT callers at once.
#[derive(Debug, Parser)]
#[command(name = "bilbycast-bench-throughput", version)]
struct Arguments {
    /// A run of about a minute: fewer rates and rounds.
    #[arg(long)]
    quick: bool,
    /// Ends with failure when a goal is missed.
    #[arg(long)]
    check: bool,
    /// Measures this part alone.
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// The data plane to measure; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    dataplane: Option<PathBuf>,
    /// CPU of the data plane and of the bare loop; by default the last one.
    #[arg(long, value_name = "CPU")]
    gateway_cpu: Option<u32>,
    /// CPU of sender and sink; by default the first one.
    #[arg(long, value_name = "CPU")]
    load_cpu: Option<u32>,
    /// Only collects what `cargo bench` measured into target/bench/micro.json.
    #[arg(long)]
    collect_criterion: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// A document of its own in target/bench.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// Forwarding: cost, lossless rate, latency, idle flows.
    Throughput,
    /// Two legs with FEC.
    Repair,
    /// SRT beside srt-live-transmit.
    Srt,
    /// Many SRT callers and a flood of forged handshakes.
    Crowd,
}

/// What this program is when it starts itself.
#[derive(Debug, Subcommand)]
enum Role {
    /// The bare kernel loop.
    #[command(hide = true)]
    Floor {
        /// CPU to run on.
        #[arg(long)]
        cpu: u32,
        /// Where to receive.
        #[arg(long)]
        listen: SocketAddr,
        /// Where to send.
        #[arg(long)]
        dest: SocketAddr,
        /// When to look for datagrams.
        #[arg(long)]
        wake: Wake,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bilbycast-bench-throughput: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, BenchError> {
    if let Some(Role::Floor {
        cpu,
        listen,
        dest,
        wake,
    }) = arguments.role
    {
        throughput::forward_bare(cpu, listen, dest, wake)?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = host::target_folder()?;
    if arguments.collect_criterion {
        let (path, results) = micro::collect(&target)?;
        for result in &results {
            println!(
                "{:<44} {:>12.1} ns   {:>10.3e} {}/s",
                result.name, result.ns, result.per_second, result.unit
            );
        }
        println!("{} results in {}", results.len(), path.display());
        return Ok(ExitCode::SUCCESS);
    }
    let settings = Settings::new(
        arguments.quick,
        arguments.dataplane,
        arguments.gateway_cpu,
        arguments.load_cpu,
    )?;
    let folder = target.join("bench");
    let parts = match arguments.only {
        Some(part) => vec![part],
        None => Part::value_variants().to_vec(),
    };
    let mut all_met = true;
    for part in parts {
        all_met &= match part {
            Part::Throughput => keep(&throughput::run(&settings)?, &folder, "throughput.json")?,
            Part::Repair => keep(&repair::run(&settings)?, &folder, "repair.json")?,
            Part::Srt => keep(&srt::run(&settings)?, &folder, "srt.json")?,
            Part::Crowd => keep(&crowd::run(&settings)?, &folder, "crowd.json")?,
        };
    }
    Ok(if arguments.check && !all_met {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Writes and prints it, and says whether all its goals are met.
fn keep(document: &impl Document, folder: &Path, name: &str) -> Result<bool, BenchError> {
    let path = folder.join(name);
    document.write(&path)?;
    println!("{document}written to {}\n", path.display());
    Ok(document.goals_are_met())
}
