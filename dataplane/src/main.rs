//! `bilbycast-dataplane`: carries packets until it is told to end.

use std::io::IsTerminal;
use std::panic;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::time::Duration;

use bilbycast_shm_proto::paths;
use clap::Parser;
use dataplane::control::start::{self, Config};
use dataplane::net::cores::{CoreList, CoreListError};
use tracing_subscriber::EnvFilter;

/// The packet process of bilbycast-edge.
///
/// It runs flows that a control plane describes over the control socket, and goes on with them whatever the control
/// plane does. RUST_LOG sets what is logged (default: info).
#[derive(Debug, Parser)]
#[command(name = "bilbycast-dataplane", version)]
struct Arguments {
    /// Control socket [default: dataplane.sock in /run/bilbycast when writable, else in a folder of the user's own]
    #[arg(long, value_name = "PATH")]
    control_socket: Option<PathBuf>,

    /// Shared memory with counters, history and events [default: counters.shm beside the default control socket]
    #[arg(long, value_name = "PATH")]
    shm: Option<PathBuf>,

    /// CPUs that carry packets, such as 1-3,6 [default: all but the first]
    #[arg(long, value_name = "LIST")]
    cores: Option<CoreList>,

    /// Longest time in microseconds that a datagram of a busy flow waits before it is picked up, 50 to 10000
    #[arg(long, value_name = "US", default_value_t = 500, value_parser = clap::value_parser!(u32).range(50..=10_000))]
    tick_us: u32,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    end_on_panic();
    let started = config(Arguments::parse())
        .map_err(|error| error.to_string())
        .and_then(|config| start::run(&config).map_err(|error| error.to_string()));
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            tracing::error!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn config(arguments: Arguments) -> Result<Config, CoreListError> {
    let folder = paths::default_folder();
    let cores = match arguments.cores {
        Some(cores) => cores.checked()?,
        None => CoreList::default_of_host()?,
    };
    Ok(Config {
        control_socket: arguments
            .control_socket
            .unwrap_or_else(|| folder.join(paths::CONTROL_SOCKET)),
        shm: arguments.shm.unwrap_or_else(|| folder.join(paths::SHM)),
        cores,
        tick: Duration::from_micros(u64::from(arguments.tick_us)),
    })
}

/// A panic on one thread would leave flows that nobody carries or commands that nobody answers. The process ends
/// instead: its supervisor starts it again, and the control plane applies every flow within a second.
fn end_on_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        process::abort();
    }));
}
