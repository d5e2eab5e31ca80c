//! Why a measurement could not be made.

use std::io;
use std::path::PathBuf;

use bilbycast_mpegts::TestSourceError;
use bilbycast_shm_proto::control::{ControlError, FrameError};
use bilbycast_shm_proto::shm::ShmError;
use dataplane::net::cores::CoreListError;
use dataplane::net::socket::SocketError;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The CPUs that were asked for are not there.
    #[error(transparent)]
    Cores(#[from] CoreListError),
    /// The API answered with anything but what was asked for.
    #[error("{request}: {problem}")]
    Answer {
        /// Method and path.
        request: String,
        /// What came instead.
        problem: String,
    },
    /// The control socket failed or said something unexpected.
    #[error("control socket of the data plane: {0}")]
    Control(#[from] FrameError),
    /// A document of results is not what the harness writes.
    #[error("{path}: {source}")]
    Document {
        /// The document.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The program to measure has not been built.
    #[error("{path}: the program to measure is not there; build it with `cargo build --release`")]
    ProgramMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A process that is being measured ended, or never became ready.
    #[error("{who}: {problem}")]
    Process {
        /// Which one.
        who: &'static str,
        /// What happened.
        problem: String,
    },
    /// The data plane refused a flow.
    #[error("data plane: {0}")]
    Refused(#[from] ControlError),
    /// The shared memory could not be read.
    #[error(transparent)]
    Shm(#[from] ShmError),
    /// A socket could not be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The test source refused the rate.
    #[error("test source: {0}")]
    Source(#[from] TestSourceError),
    /// The system refused something.
    #[error("{action}: {source}")]
    System {
        /// What was tried.
        action: String,
        /// What the system says.
        source: io::Error,
    },
}

impl BenchError {
    /// Names what was tried when the system refused.
    pub(crate) fn system<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |source| Self::System {
            action,
            source: source.into(),
        }
    }
}
