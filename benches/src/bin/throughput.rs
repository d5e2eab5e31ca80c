//! Measures the gateway between a paced sender and a counting sink, beside a bare kernel loop.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use bilbycast_benches::throughput::{self, Settings, Wake};
use bilbycast_benches::{BenchError, host, micro};
use clap::{Parser, Subcommand};

/// CPU per datagram, highest lossless rate and added latency of the data plane, beside a bare kernel loop.
#[derive(Debug, Parser)]
#[command(name = "bilbycast-bench-throughput", version)]
struct Arguments {
    /// A run of at most 20 s: fewer rates and rounds.
    #[arg(long)]
    quick: bool,
    /// Ends with failure when a goal is missed.
    #[arg(long)]
    check: bool,
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
    let report = throughput::run(&settings)?;
    let path = target.join("bench").join("throughput.json");
    report.write(&path)?;
    print!("{report}");
    println!("written to {}", path.display());
    let missed = arguments.check && !report.goals_are_met();
    Ok(if missed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
