//! `bilbycast-dataplane`: carries packets until it is told to end.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::process::{self, ExitCode};
use std::time::Duration;

use bilbycast_shm_proto::paths;
use clap::Parser;
use dataplane::arguments::Arguments;
use dataplane::check::{self, Host, ThisHost};
use dataplane::control::start::{self, Config};
use dataplane::net::cores::{CoreList, CoreListError};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.check {
        return check_host(arguments);
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    end_on_panic();
    let started = config(arguments)
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

/// Prints what was found; the worst of it is the exit code.
fn check_host(arguments: Arguments) -> ExitCode {
    let available = match CoreList::usable() {
        Ok(available) => available,
        Err(error) => {
            eprintln!("bilbycast-dataplane: {error}");
            return ExitCode::FAILURE;
        }
    };
    let host = Host::this(available, arguments.cores);
    let probe = ThisHost {
        ring_on: host.spare_cpu(),
    };
    let report = check::check(&host, &probe);
    let mut out = io::stdout().lock();
    let written = if arguments.json {
        writeln!(out, "{:#}", report.to_json())
    } else {
        write!(out, "{report}")
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("bilbycast-dataplane: {error}");
            ExitCode::FAILURE
        }
        // Whoever closes a pipe has seen enough.
        _ => ExitCode::from(report.state().exit_code()),
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
