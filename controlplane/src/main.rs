//! `bilbycast-controlplane`: command line, logging, and an orderly end.

#![forbid(unsafe_code)]

use std::any::Any;
use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bilbycast_shm_proto::paths;
use clap::Parser;
use controlplane::api;
use controlplane::arguments::{Arguments, LogLevel};
use controlplane::config::{AppConfig, Loaded, Store, StoreError};
use controlplane::nmos::Nmos;
use controlplane::nmos::registration::Registration;
use controlplane::node::{DataPlanePaths, Node, place};
use controlplane::service::{self, Inherited, Purpose};
use controlplane::tls::{Identity, TlsError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Why the process ends before it served anything, or while it did.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the API cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("the monitor page cannot listen on {address}: {source}")]
    ListenMonitor {
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
    let mut inherited = Inherited::from_environment();
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
    let asked = SocketAddr::new(
        arguments.bind.unwrap_or(config.server.listen_addr),
        arguments.port.unwrap_or(config.server.listen_port),
    );
    let listen = |source| Failure::Listen {
        address: asked,
        source,
    };
    let activated = inherited.take(Purpose::Api);
    let is_activated = activated.is_some();
    let listener = match activated {
        Some(listener) => listener,
        None => TcpListener::bind(asked).map_err(listen)?,
    };
    let address = listener.local_addr().map_err(listen)?;
    if is_activated && address != asked {
        tracing::warn!(
            "the API is on {address}, where systemd listens for it, and not on {asked}: the unit \
             bilbycast-controlplane.socket decides"
        );
    }

    let monitor = monitor_listener(&config, arguments.monitor_port, &mut inherited)?;
    if must_save && let Err(error) = store.prepare(&config).and_then(|file| file.commit()) {
        tracing::warn!("the configuration was not saved: {error}");
    }
    warn_of_what_is_missing(&config, address);
    if config.monitor.is_none() && arguments.monitor_port.is_some() {
        tracing::warn!("--monitor-port has no effect: the configuration has no section monitor");
    }

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
        monitor,
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
    /// Where the page that only shows is served; absent when nobody asked for it.
    monitor: Option<TcpListener>,
}

fn monitor_listener(
    config: &AppConfig,
    port: Option<u16>,
    inherited: &mut Inherited,
) -> Result<Option<TcpListener>, Failure> {
    let Some(monitor) = &config.monitor else {
        return Ok(None);
    };
    let address = SocketAddr::new(monitor.listen_addr, port.unwrap_or(monitor.listen_port));
    let listener = match inherited.take(Purpose::Monitor) {
        Some(listener) => listener,
        None => TcpListener::bind(address)
            .map_err(|source| Failure::ListenMonitor { address, source })?,
    };
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && config.server.auth.as_ref().is_some_and(|auth| auth.enabled) {
        tracing::warn!(
            "SECURITY: the monitor page on {address} shows statistics and events to everyone who can reach it"
        );
    }
    tracing::info!("monitor page on http://{address}");
    Ok(Some(listener))
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
        monitor,
    } = listening;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let node = Node::start(config, store, data_plane);
    let nmos = Nmos::start(&node, address, identity.is_some());
    let (server, scheme) = match identity {
        None => (api::serve_nmos(&nmos, listener)?, "http"),
        Some(identity) => (api::serve_nmos_tls(&nmos, listener, &identity)?, "https"),
    };
    let monitor = match monitor {
        None => None,
        Some(listener) => Some(api::serve_monitor(node.clone(), listener)?),
    };
    let monitor = monitor.map(|server| {
        let handle = server.handle();
        tokio::spawn(server);
        handle
    });
    let handle = server.handle();
    let mut server = tokio::spawn(server);
    tracing::info!("listening on {scheme}://{address}");
    service::ready(&format!("listening on {scheme}://{address}"));
    tokio::spawn(service::keep_telling());
    let registration = Registration::start(&nmos);

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
    service::ending();
    let deregistered = tokio::spawn(registration.end());
    // Who has been accepted is served; who comes now waits in the listen queue, for the next process where systemd holds it.
    handle.pause().await;
    tokio::time::sleep(SETTLING).await;
    node.end_streams();
    if let Some(monitor) = monitor {
        monitor.stop(false).await;
    }
    // Idle connections would keep a graceful stop waiting for its whole timeout.
    if tokio::time::timeout(GRACE, handle.stop(true))
        .await
        .is_err()
    {
        handle.stop(false).await;
    }
    node.quiesce(GRACE).await;
    // It takes only what its own bound allows, and a failure of it has no other consequence.
    let _ = deregistered.await;
    Ok(())
}

fn warn_of_what_is_missing(config: &AppConfig, address: SocketAddr) {
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
}

/// Longest message of a panic that is logged, in bytes.
const PANIC_BYTES_MAX: usize = 1_024;

/// One carries the link and the changes, the other goes on when the first is busy with a large document.
const NODE_THREADS: usize = 2;

/// How long connections that were just accepted have to say what they want.
const SETTLING: Duration = Duration::from_millis(50);

/// How long requests, and then a change that is under way, may take to end.
const GRACE: Duration = Duration::from_millis(400);
