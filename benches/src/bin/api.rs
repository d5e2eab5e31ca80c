//! Times the REST API of a node with a thousand flows while a stream runs through it.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use bilbycast_benches::api::{self, Settings};
use bilbycast_benches::{BenchError, host};
use clap::Parser;

/// Answer times of the REST API with 1,001 flows, what they do to a stream of 100 Mb/s, time to start, and memory.
#[derive(Debug, Parser)]
#[command(name = "bilbycast-bench-api", version)]
struct Arguments {
    /// A run of about 20 s, with shorter phases.
    #[arg(long)]
    quick: bool,
    /// Ends with failure when a goal is missed.
    #[arg(long)]
    check: bool,
    /// The data plane to measure; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    dataplane: Option<PathBuf>,
    /// The control plane to measure; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    controlplane: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bilbycast-bench-api: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, BenchError> {
    let mut settings = Settings::new(arguments.quick)?;
    if let Some(dataplane) = arguments.dataplane {
        settings.dataplane = dataplane;
    }
    if let Some(controlplane) = arguments.controlplane {
        settings.controlplane = controlplane;
    }
    let report = api::run(&settings)?;
    let path = host::target_folder()?.join("bench").join("api.json");
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
