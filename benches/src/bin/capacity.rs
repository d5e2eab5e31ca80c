//! Prints what was measured as the tables of `docs/capacity.md`.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use bilbycast_benches::{BenchError, capacity, host};
use clap::Parser;

/// Absolute figures out of the documents of the other harnesses, in Markdown; measures nothing.
#[derive(Debug, Parser)]
#[command(name = "bilbycast-bench-capacity", version)]
struct Arguments {
    /// Folder of the documents; by default target/bench.
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(tables) => {
            print!("{tables}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bilbycast-bench-capacity: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<String, BenchError> {
    let folder = match arguments.folder {
        Some(folder) => folder,
        None => host::target_folder()?.join("bench"),
    };
    capacity::tables(&folder)
}
