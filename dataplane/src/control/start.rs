//! Brings the process up and takes it down.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bilbycast_shm_proto::control::{BootId, PROTOCOL_VERSION, Welcome};
use bilbycast_shm_proto::shm::{self, CreateError, ShmError};

use super::engine::{CoreHandle, Engine};
use super::events::Events;
use super::open::random;
use super::server::Server;
use super::supervisor::{self, Supervisor};
use crate::check::{self, Host, ThisHost};
use crate::core::{self, CoreConfig, CoreLoad};
use crate::net::cores::CoreList;
use crate::net::executor::{self, CoreThread};
use crate::net::mailbox::{Waker, mailbox};
use crate::net::signals::Termination;
use crate::net::{clock, cores, peer, scheduling};

/// What the process is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The control socket.
    pub control_socket: PathBuf,
    /// The shared memory.
    pub shm: PathBuf,
    /// CPUs that carry packets.
    pub cores: CoreList,
    /// The longest that a datagram of a busy flow waits before it is picked up.
    pub tick: Duration,
}

/// Why the process cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another data plane has the control socket.
    #[error("--control-socket {path}: another data plane is running there")]
    AlreadyRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The control socket cannot be made.
    #[error("--control-socket {path}: {source}")]
    ControlSocket {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A packet core cannot be started.
    #[error(
        "--cores: packet core on CPU {cpu}: {source} (io_uring must be allowed, kernel.io_uring_disabled=0, and \
         512 KiB of locked memory for each core)"
    )]
    Core {
        /// The CPU.
        cpu: u32,
        /// What the system says.
        source: io::Error,
    },
    /// The shared memory cannot be made.
    #[error("--shm: {0}")]
    Shm(#[from] CreateError),
    /// The shared memory cannot be read back.
    #[error("--shm: {0}")]
    ShmRead(#[from] ShmError),
    /// A thread cannot be started.
    #[error("no thread: {0}")]
    Thread(#[source] io::Error),
}

/// Runs the data plane until it is told to end by SIGTERM or SIGINT.
///
/// # Errors
///
/// [`StartError`] when it cannot start.
pub fn run(config: &Config) -> Result<(), StartError> {
    // Here, for on a packet core it would hold up every flow. Without randomness encrypted SRT is refused, flow by flow.
    if let Err(error) = bilbycast_srt::crypto::prepare() {
        tracing::warn!("no encrypted SRT: {error}");
    }
    // Before any thread is started, so that all of them leave the signals to this one.
    let termination = Termination::block();
    if !scheduling::raise_descriptor_limit() {
        tracing::info!("the limit on file descriptors stays where it was");
    }
    let socket_error = |source| StartError::ControlSocket {
        path: config.control_socket.clone(),
        source,
    };
    let lock = peer::lock_name(&config.control_socket)
        .map_err(socket_error)?
        .ok_or_else(|| StartError::AlreadyRunning {
            path: config.control_socket.clone(),
        })?;
    // Before this thread is kept off the packet cores.
    let available = CoreList::usable();
    let boot_id = BootId(random());
    let cpus = config.cores.cpus();
    let (control_writer, core_writers) =
        shm::create(&config.shm, cpus.len(), boot_id, clock::unix_us())?;
    if !cores::keep_off(&config.cores) {
        tracing::warn!(
            cores = %config.cores,
            "every CPU carries packets: control work competes with them; leave one out of --cores"
        );
    }

    let mut handles = Vec::new();
    let mut threads = Vec::new();
    let mut wakers = Vec::new();
    for (cpu, writer) in cpus.iter().copied().zip(core_writers) {
        let core_error = |source| StartError::Core { cpu, source };
        let (sender, parts) = mailbox().map_err(core_error)?;
        let load = Arc::new(CoreLoad::default());
        let core = CoreConfig {
            cpu,
            tick: config.tick,
            load: Arc::clone(&load),
        };
        let thread = executor::start(cpu, move || core::run(core, parts.open(), writer))
            .map_err(core_error)?;
        threads.push(thread);
        wakers.push(sender.waker().map_err(core_error)?);
        handles.push(CoreHandle::new(cpu, sender, load));
    }

    let mut supervisor = Supervisor::new(&config.shm, cpus.len())?;
    let events = Arc::new(Events::new(control_writer));
    events.heartbeat();
    let engine = Arc::new(Mutex::new(Engine::new(handles, Arc::clone(&events))));
    let welcome = Welcome {
        protocol: PROTOCOL_VERSION,
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id,
        pid: std::process::id(),
        cores: cpus.to_vec(),
    };
    let server = Arc::new(Server::new(
        Arc::clone(&engine),
        Arc::clone(&events),
        welcome,
        peer::own_uid(),
    ));
    let listener = peer::listen(&config.control_socket, &lock).map_err(socket_error)?;
    thread::Builder::new()
        .name("control-socket".to_owned())
        .spawn(move || server.serve(&listener))
        .map_err(StartError::Thread)?;
    if let Ok(available) = available {
        let events = Arc::clone(&events);
        let host = Host::this(available, Some(config.cores.clone()));
        thread::Builder::new()
            .name("host-check".to_owned())
            .spawn(move || {
                let report = check::check(&host, &ThisHost { ring_on: None });
                report.wrong().for_each(|finding| events.host(finding));
            })
            .map_err(StartError::Thread)?;
    }
    thread::Builder::new()
        .name("heartbeat".to_owned())
        .spawn(move || {
            for round in 1_u32.. {
                events.heartbeat();
                supervisor.round(clock::monotonic_ns());
                if round.is_multiple_of(ROUNDS_BETWEEN_WAKES) {
                    wakers.iter().for_each(Waker::wake);
                }
                thread::sleep(HEARTBEAT);
            }
        })
        .map_err(StartError::Thread)?;
    if !scheduling::lock_memory() {
        tracing::info!(
            "memory is not locked: the limit on locked memory is too low (LimitMEMLOCK)"
        );
    }
    tracing::info!(
        cores = %config.cores,
        socket = %config.control_socket.display(),
        shm = %config.shm.display(),
        "data plane {} is ready",
        env!("CARGO_PKG_VERSION")
    );

    let signal = termination.wait();
    tracing::info!("{signal}: flows stop");
    supervisor::ending();
    end(&engine, threads);
    // A name that is gone already is what is wanted.
    let _ = fs::remove_file(&config.control_socket);
    let _ = fs::remove_file(&config.shm);
    Ok(())
}

const HEARTBEAT: Duration = Duration::from_millis(100);

/// Every second each executor is made to look at its rings: a wake-up that was missed, by whose fault ever, then costs a
/// second and not the programme.
const ROUNDS_BETWEEN_WAKES: u32 = 10;

fn end(engine: &Mutex<Engine>, threads: Vec<CoreThread>) {
    // No command after this: the lock is kept until the process ends.
    let engine = engine
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    engine.stop_cores();
    for thread in threads {
        if let Err(error) = thread.join() {
            tracing::warn!("a packet core ended badly: {error}");
        }
    }
}
