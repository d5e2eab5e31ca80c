//! What to measure, for how long, and where.

use std::path::PathBuf;

use dataplane::net::cores::CoreList;

use crate::BenchError;
use crate::host::target_folder;
use crate::throughput;

/// What the caller chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Shorter phases.
    pub quick: bool,
    /// The data plane to measure.
    pub dataplane: PathBuf,
    /// The control plane to measure.
    pub controlplane: PathBuf,
    /// CPU of the data plane.
    pub gateway_cpu: u32,
    /// CPU of sender and sink.
    pub load_cpu: u32,
    /// CPUs of the client: all but the data plane's, when there are others.
    pub(super) client_cpus: Vec<u32>,
}

impl Settings {
    /// The release binaries of this build, the last CPU for the data plane, the first for sender and sink.
    ///
    /// # Errors
    ///
    /// [`BenchError::Cores`] when the system does not say which CPUs there are.
    pub fn new(quick: bool) -> Result<Self, BenchError> {
        let shared = throughput::Settings::new(quick, None, None, None)?;
        let controlplane = target_folder()?
            .join(PROFILE)
            .join("bilbycast-controlplane");
        let available = CoreList::available()?;
        let client_cpus = match available.cpus() {
            [others @ .., _gateway] if !others.is_empty() => others.to_vec(),
            all => all.to_vec(),
        };
        Ok(Self {
            quick,
            dataplane: shared.dataplane,
            controlplane,
            gateway_cpu: shared.gateway_cpu,
            load_cpu: shared.load_cpu,
            client_cpus,
        })
    }

    /// How long the requests of a phase are repeated, in milliseconds.
    pub(super) const fn window_ms(&self) -> u64 {
        if self.quick { 2_000 } else { 10_000 }
    }
}

/// Cargo's folder for optimised programs: anything else is not worth measuring.
const PROFILE: &str = "release";

/// Rate of the stream in bits a second, RTP headers included.
pub(super) const STREAM_BPS: u64 = 100_000_000;

/// Stream before the first request of a phase, in milliseconds.
pub(super) const WARM_MS: u64 = 500;

/// Stream after the last request of a phase was sent, in milliseconds: what it did to the stream still shows.
pub(super) const TAIL_MS: u64 = 1_000;

/// How long each of the five steps of the start may take, in nanoseconds. With four phases of 11.6 s the whole run stays
/// below 90 s.
pub(super) const START_NS_MAX: u64 = 8_000_000_000;

/// How long a flow that came to life is left alone before its memory counts as idle, in nanoseconds: a few of the data
/// plane's publishing periods.
pub(super) const SETTLE_NS: u64 = 1_500_000_000;
