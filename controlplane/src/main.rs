//! `bilbycast-controlplane`: command line, logging, and an orderly end.

#![forbid(unsafe_code)]

use std::any::Any;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bilbycast_shm_proto::paths;
use clap::{Parser, ValueEnum};
use controlplane::api;
use controlplane::config::{AppConfig, Loaded, Store, StoreError};
use controlplane::node::{DataPlanePaths, Node, place};
use controlplane::tls::{Identity, TlsError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The control process of bilbycast-edge: REST API and configuration. Flows run on without it.
#[derive(Debug, Parser)]
#[command(name = "bilbycast-controlplane", version)]
struct Arguments {
    /// Configuration file
    #[arg(short, long, value_name = "PATH", default_value = "./config.json")]
    config: PathBuf,

    /// Overrides server.listen_port; 0 lets the system choose
    #[arg(short, long, value_name = "N")]
    port: Option<u16>,

    /// Overrides server.listen_addr
    #[arg(short, long, value_name = "ADDR")]
    bind: Option<IpAddr>,

    /// Overrides monitor.listen_port
    #[arg(long, value_name = "N")]
    monitor_port: Option<u16>,

    /// Least severe messages that are logged; RUST_LOG outranks it
    #[arg(short, long, value_name = "L", value_enum, default_value_t = LogLevel::Info)]
    log_level: LogLevel,

    /// Control socket of the data plane [default: dataplane.sock in /run/bilbycast, or in a folder of this user]
    #[arg(long, value_name = "PATH")]
    control_socket: Option<PathBuf>,

    /// Shared memory of the data plane [default: counters.shm in the same folder]
    #[arg(long, value_name = "PATH")]
    shm: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    /// The filter when nobody wrote one: the HTTP server's own start messages are noise at `info`.
    const fn filter(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info,actix_server=warn",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Why the process ends before it served anything, or while it did.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the API cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error(transparent)]
    Load(#[from] StoreError),
    #[error("the server cannot run: {0}")]
    Run(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.log_level);
    std::panic::set_hook(Box::new(log_panic));
    // Before any thread is there: threads inherit it.
    place::lower_priority();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(level: LogLevel) {
    let from_environment = EnvFilter::try_from_default_env();
    let unusable = match &from_environment {
        Err(error) if std::env::var_os(EnvFilter::DEFAULT_ENV).is_some() => Some(error.to_string()),
        _ => None,
    };
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(from_environment.unwrap_or_else(|_| EnvFilter::new(level.filter())))
        .init();
    if let Some(error) = unusable {
        tracing::warn!("{} is not usable: {error}", EnvFilter::DEFAULT_ENV);
    }
}

/// A panic is a defect that the log must have, in one line: its message may hold what somebody sent.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload: &dyn Any = panic.payload();
    let message = match payload.downcast_ref::<&str>() {
        Some(text) => text,
        None => payload.downcast_ref::<String>().map_or("", String::as_str),
    };
    let message = &message[..message.floor_char_boundary(PANIC_BYTES_MAX)];
    match panic.location() {
        Some(place) => tracing::error!("panic at {place}: {}", message.escape_debug()),
        None => tracing::error!("panic: {}", message.escape_debug()),
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let store = Store::new(arguments.config);
    let Loaded {
        config,
        unknown,
        must_save,
    } = store.load()?;
    unknown.log();

    let identity = match &config.server.tls {
        None => None,
        Some(tls) => Some(Identity::load(tls)?),
    };
    let address = SocketAddr::new(
        arguments.bind.unwrap_or(config.server.listen_addr),
        arguments.port.unwrap_or(config.server.listen_port),
    );
    let listen = |source| Failure::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;

    if must_save && let Err(error) = store.prepare(&config).and_then(|file| file.commit()) {
        tracing::warn!("the configuration was not saved: {error}");
    }
    warn_of_what_is_missing(&config, address, arguments.monitor_port);

    let folder = paths::default_folder();
    let data_plane = DataPlanePaths {
        control_socket: arguments
            .control_socket
            .unwrap_or_else(|| folder.join(paths::CONTROL_SOCKET)),
        shm: arguments.shm.unwrap_or_else(|| folder.join(paths::SHM)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(NODE_THREADS)
        .enable_all()
        .build()?;
    let listening = Listening {
        listener,
        address,
        identity,
    };
    let result = runtime.block_on(serve(config, store, data_plane, listening));
    // A thread that waits for a disk must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// Where the API is served, and as whom; without an identity it is plain HTTP.
struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    identity: Option<Arc<Identity>>,
}

async fn serve(
    config: AppConfig,
    store: Store,
    data_plane: DataPlanePaths,
    listening: Listening,
) -> Result<(), Failure> {
    let Listening {
        listener,
        address,
        identity,
    } = listening;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let node = Node::start(config, store, data_plane);
    let (server, scheme) = match identity {
        None => (api::serve(node.clone(), listener)?, "http"),
        Some(identity) => (api::serve_tls(node.clone(), listener, &identity)?, "https"),
    };
    let handle = server.handle();
    let mut server = tokio::spawn(server);
    tracing::info!("listening on {scheme}://{address}");

    let name = tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        ended = &mut server => {
            let error = match ended {
                Ok(Ok(())) => io::Error::other("it ended by itself"),
                Ok(Err(error)) => error,
                Err(error) => io::Error::other(error),
            };
            return Err(error.into());
        }
    };
    tracing::info!("{name}: ending; flows run on");
    node.end_streams();
    // Idle connections would keep a graceful stop waiting for its whole timeout.
    if tokio::time::timeout(GRACE, handle.stop(true))
        .await
        .is_err()
    {
        handle.stop(false).await;
    }
    node.quiesce(GRACE).await;
    Ok(())
}

fn warn_of_what_is_missing(config: &AppConfig, address: SocketAddr, monitor_port: Option<u16>) {
    let has_auth = config.server.auth.as_ref().is_some_and(|auth| auth.enabled);
    if !address.ip().is_loopback() {
        if !has_auth {
            tracing::warn!(
                "SECURITY: the API on {address} is open to everyone who can reach it, as administrator; \
                 set server.auth"
            );
        } else if config.server.tls.is_none() {
            tracing::warn!(
                "SECURITY: secrets and tokens reach the API on {address} unencrypted; set server.tls"
            );
        }
    }
    for section in config.not_acted_on() {
        tracing::warn!("{section} is kept, but this version does not act on it");
    }
    if monitor_port.is_some() {
        tracing::warn!("--monitor-port has no effect: this version has no status page");
    }
}

/// Longest message of a panic that is logged, in bytes.
const PANIC_BYTES_MAX: usize = 1_024;

/// One carries the link and the changes, the other goes on when the first is busy with a large document.
const NODE_THREADS: usize = 2;

/// How long requests, and then a change that is under way, may take to end.
const GRACE: Duration = Duration::from_millis(400);
