//! Starting, restarting and changing a flow, each so that a failure leaves what was there before.
//!
//! New sockets are opened before old ones are given up wherever the kernel allows it. Where old and new want the same
//! address, the old one has to go first; should the new one then fail, the old one is opened again.

use std::thread;
use std::time::{Duration, Instant};

use bilbycast_shm_proto::control::{ControlError, FlowChange};
use bilbycast_shm_proto::event::Severity;
use bilbycast_shm_proto::model::{FlowSpec, InputSpec, OutputSpec};

use super::{Engine, Placed};
use crate::control::open::{self, OpenError};
use crate::flow::Flow;
use crate::flow::analysis::Analysis;
use crate::flow::input::Input;
use crate::flow::observe::WatchedOutputs;
use crate::flow::output::Output;
use crate::flow::socket::InputSocket;
use crate::net::clock;

/// How long an address may take to become free after its socket was closed: a request that the ring still holds keeps
/// the socket for a moment.
const RELEASE_TIME: Duration = Duration::from_millis(500);

const RELEASE_STEP: Duration = Duration::from_millis(5);

impl Engine {
    /// Starts a flow on the least loaded core.
    pub(super) fn start(&mut self, spec: &FlowSpec) -> Result<FlowChange, ControlError> {
        let flow = match self.newest_close {
            // The address may be the one that was just given up.
            Some(closed) if closed.elapsed() < RELEASE_TIME => when_released(|| open_flow(spec))?,
            _ => open_flow(spec)?,
        };
        let core = self.least_loaded();
        self.cores[core]
            .add_flow(Box::new(flow))
            .map_err(|failed| {
                if let Some(flow) = failed.brought {
                    close(*flow);
                }
                failed.error
            })?;
        let spec = spec.clone();
        self.flows.insert(spec.id.clone(), Placed { spec, core });
        Ok(FlowChange::Started)
    }

    /// Stops a running flow and starts it as `spec` says, on the same core. True when the outputs that stay the same went
    /// on.
    pub(super) fn restart(&mut self, spec: &FlowSpec) -> Result<bool, ControlError> {
        let Some(placed) = self.flows.get(&spec.id) else {
            self.start(spec)?;
            return Ok(false);
        };
        let core = placed.core;
        let keeps_outputs = match open_beside(spec, &placed.spec) {
            Ok(opened) => {
                let keeps_outputs = keeps_outputs(spec, &placed.spec);
                self.replace(spec, opened)?;
                keeps_outputs
            }
            Err(error) if error.is_address_in_use() && share_a_port(spec, &placed.spec) => {
                self.replace_after_closing(spec)?;
                false
            }
            Err(error) => return Err(error.into()),
        };
        let placed = Placed {
            spec: spec.clone(),
            core,
        };
        self.flows.insert(spec.id.clone(), placed);
        Ok(keeps_outputs)
    }

    /// Puts what was opened in the place of the running flow, which has done without it so far. Sockets of the input and
    /// outputs that stay the same go on: nothing that waits in them is lost, nobody who receives notices, and the outputs
    /// go on counting.
    fn replace(&mut self, spec: &FlowSpec, opened: Opened) -> Result<(), ControlError> {
        let placed = &self.flows[&spec.id];
        let (handle, old_spec) = (&self.cores[placed.core], placed.spec.clone());
        let Opened {
            sockets: mut spare,
            mut outputs,
        } = opened;
        let mut set_aside = Vec::new();
        let mut watched = WatchedOutputs::default();
        if let Some(old) = handle.remove_flow(&spec.id)? {
            let parts = old.into_parts();
            spare.extend(parts.input.into_sockets());
            watched = parts.watched;
            if keeps_outputs(spec, &old_spec) {
                outputs.extend(parts.outputs);
            } else {
                set_aside = parts.outputs;
            }
        }
        let stay = watched
            .clone()
            .retain(|id| keeps_outputs(spec, &old_spec) && spec.output(id) == old_spec.output(id));
        let error = match assemble(spec, &mut spare, &mut outputs) {
            Err(error) => error.into(),
            Ok(flow) => match handle.add_flow(Box::new(flow.resuming(stay))) {
                Ok(()) => {
                    close_all(spare);
                    return Ok(());
                }
                Err(failed) => {
                    if let Some(flow) = failed.brought {
                        let brought = flow.into_parts();
                        spare.extend(brought.input.into_sockets());
                        outputs.extend(brought.outputs);
                    }
                    failed.error
                }
            },
        };
        if !keeps_outputs(spec, &old_spec) {
            outputs = set_aside;
        }
        let again = old_spec.clone();
        self.put_back(old_spec, || {
            let flow = assemble(&again, &mut spare, &mut outputs)?;
            Ok(flow.resuming(watched))
        });
        close_all(spare);
        Err(error)
    }

    /// Closes the running flow, whose ports its successor wants, and starts that.
    fn replace_after_closing(&mut self, spec: &FlowSpec) -> Result<(), ControlError> {
        let placed = &self.flows[&spec.id];
        let (handle, old_spec) = (&self.cores[placed.core], placed.spec.clone());
        if let Some(old) = handle.remove_flow(&spec.id)? {
            close(*old);
        }
        let started = when_released(|| open_flow(spec))
            .map_err(ControlError::from)
            .and_then(|flow| {
                handle
                    .add_flow(Box::new(flow))
                    .map_err(|failed| failed.error)
            });
        if started.is_err() {
            let again = old_spec.clone();
            self.put_back(old_spec, || when_released(|| open_flow(&again)));
        }
        started
    }

    /// Starts a flow again as it was, after its successor failed.
    fn put_back(&mut self, spec: FlowSpec, open: impl FnOnce() -> Result<Flow, OpenError>) {
        let handle = &self.cores[self.flows[&spec.id].core];
        let started = open().map_err(ControlError::from).and_then(|flow| {
            handle
                .add_flow(Box::new(flow))
                .map_err(|failed| failed.error)
        });
        if let Err(error) = started {
            self.flows.remove(&spec.id);
            self.events.flow(
                Severity::Critical,
                &spec.id,
                format!("flow '{}' could not be started again: {error}", spec.id),
            );
        }
    }

    /// Exchanges the outputs that differ; everything else of the flow is left alone.
    pub(super) fn exchange_outputs(&mut self, spec: &FlowSpec) -> Result<FlowChange, ControlError> {
        let Some(placed) = self.flows.get(&spec.id) else {
            return self.start(spec);
        };
        let (old_spec, handle) = (&placed.spec, &self.cores[placed.core]);
        let differs =
            |output: &&OutputSpec, other: &FlowSpec| other.output(&output.id) != Some(*output);
        let removed: Vec<&OutputSpec> = old_spec
            .outputs
            .iter()
            .filter(|output| differs(output, spec))
            .collect();
        let added: Vec<&OutputSpec> = spec
            .outputs
            .iter()
            .filter(|output| differs(output, old_spec))
            .collect();
        let removed_ids: Vec<String> = removed.iter().map(|output| output.id.clone()).collect();
        let change = FlowChange::Outputs {
            added: added.iter().map(|output| output.id.clone()).collect(),
            removed: removed_ids.clone(),
        };
        if removed.is_empty() && added.is_empty() {
            // Only their order differs.
            return Ok(FlowChange::Unchanged);
        }
        match open_outputs(spec, &added) {
            Ok(outputs) => {
                let gone = handle.exchange_outputs(&spec.id, removed_ids, outputs);
                gone.map(drop).map_err(|failed| failed.error)?;
                Ok(change)
            }
            Err(error) if error.is_address_in_use() && !removed.is_empty() => {
                let gone = handle.exchange_outputs(&spec.id, removed_ids, Vec::new());
                drop(gone.map_err(|failed| failed.error)?);
                let outcome = when_released(|| open_outputs(spec, &added))
                    .map_err(ControlError::from)
                    .and_then(|outputs| {
                        handle
                            .exchange_outputs(&spec.id, Vec::new(), outputs)
                            .map_err(|failed| failed.error)
                    });
                match outcome {
                    Ok(_) => Ok(change),
                    Err(error) => {
                        self.restore_outputs(&spec.id, &removed_ids_of(&change));
                        Err(error)
                    }
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Puts outputs back that were taken out for others that then failed.
    fn restore_outputs(&mut self, flow_id: &str, ids: &[String]) {
        let Some(placed) = self.flows.get_mut(flow_id) else {
            return;
        };
        let specs: Vec<&OutputSpec> = ids.iter().filter_map(|id| placed.spec.output(id)).collect();
        let restored = when_released(|| open_outputs(&placed.spec, &specs))
            .map_err(ControlError::from)
            .and_then(|outputs| {
                self.cores[placed.core]
                    .exchange_outputs(flow_id, Vec::new(), outputs)
                    .map_err(|failed| failed.error)
            });
        if let Err(error) = restored {
            // The list must say what runs, so that the next command finds the difference.
            placed
                .spec
                .outputs
                .retain(|output| !ids.contains(&output.id));
            self.events.flow(
                Severity::Warning,
                flow_id,
                format!("flow '{flow_id}': outputs could not be opened again: {error}"),
            );
        }
    }

    /// Index of the core with the least traffic; between equals the one with fewest flows, and of those the first, so
    /// that flows that start at once are dealt out evenly.
    fn least_loaded(&self) -> usize {
        let flows_on = |core| {
            self.flows
                .values()
                .filter(|placed| placed.core == core)
                .count()
        };
        (0..self.cores.len())
            .min_by_key(|core| {
                (
                    self.cores[*core].load_bps() / LOAD_STEP_BPS,
                    flows_on(*core),
                )
            })
            .unwrap_or(0)
    }
}

/// Differences in load below this are no reason to prefer a core.
const LOAD_STEP_BPS: u64 = 100_000_000;

/// Closes what a flow holds.
pub(super) fn close(flow: Flow) {
    close_all(flow.into_parts().input.into_sockets());
}

fn close_all(sockets: Vec<InputSocket>) {
    sockets.into_iter().for_each(InputSocket::close);
}

fn removed_ids_of(change: &FlowChange) -> Vec<String> {
    match change {
        FlowChange::Outputs { removed, .. } => removed.clone(),
        _ => Vec::new(),
    }
}

/// What a restart opens before the running flow is touched.
struct Opened {
    sockets: Vec<InputSocket>,
    outputs: Vec<Output>,
}

/// Opens what `spec` needs and the running flow does not hold already.
fn open_beside(spec: &FlowSpec, running: &FlowSpec) -> Result<Opened, OpenError> {
    let keeps_outputs = keeps_outputs(spec, running);
    let missing: Vec<&OutputSpec> = spec
        .outputs
        .iter()
        .filter(|output| !keeps_outputs || running.output(&output.id) != Some(output))
        .collect();
    let outputs = open_outputs(spec, &missing)?;
    let held = open::socket_specs(&running.input);
    let mut missing = open::socket_specs(&spec.input);
    missing.retain(|socket| !held.contains(socket));
    let sockets = open::sockets(&spec.id, &missing, &mut Vec::new())?;
    Ok(Opened { sockets, outputs })
}

/// Whether outputs that stay the same can go on: whether they wrap packets depends on the input.
fn keeps_outputs(spec: &FlowSpec, running: &FlowSpec) -> bool {
    open::framing(&spec.input) == open::framing(&running.input)
}

fn open_flow(spec: &FlowSpec) -> Result<Flow, OpenError> {
    assemble(spec, &mut Vec::new(), &mut Vec::new())
}

/// A flow from what is there, and for the rest newly opened. What fails leaves everything in `spare` and `ready`.
fn assemble(
    spec: &FlowSpec,
    spare: &mut Vec<InputSocket>,
    ready: &mut Vec<Output>,
) -> Result<Flow, OpenError> {
    let mut outputs = Vec::with_capacity(spec.outputs.len());
    for wanted in &spec.outputs {
        let output = match ready.iter().position(|output| output.spec() == wanted) {
            Some(index) => Ok(ready.swap_remove(index)),
            None => open::output(&spec.id, &spec.input, wanted),
        };
        match output {
            Ok(output) => outputs.push(output),
            Err(error) => {
                ready.append(&mut outputs);
                return Err(error);
            }
        }
    }
    match open::input(&spec.id, &spec.input, spare) {
        Ok(input) => Ok(flow_of(spec, input, outputs)),
        Err(error) => {
            ready.append(&mut outputs);
            Err(error)
        }
    }
}

fn flow_of(spec: &FlowSpec, input: Input, outputs: Vec<Output>) -> Flow {
    Flow::new(
        spec.id.clone(),
        input,
        outputs,
        Analysis::new(spec.media_analysis, tr07_mode(&spec.input)),
        spec.bandwidth_limit,
        clock::monotonic_ns(),
        clock::unix_us(),
    )
}

fn tr07_mode(input: &InputSpec) -> bool {
    matches!(input, InputSpec::Rtp(rtp) if rtp.tr07_mode)
}

fn open_outputs(spec: &FlowSpec, outputs: &[&OutputSpec]) -> Result<Vec<Output>, OpenError> {
    outputs
        .iter()
        .map(|output| open::output(&spec.id, &spec.input, output))
        .collect()
}

/// Whether two forms of a flow bind a port of the same number, so that one may stand in the other's way.
fn share_a_port(spec: &FlowSpec, other: &FlowSpec) -> bool {
    let others = other.ports();
    spec.ports().iter().any(|port| others.contains(port))
}

/// Tries again for a while when the address is in use.
fn when_released<T>(mut open: impl FnMut() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let deadline = Instant::now() + RELEASE_TIME;
    loop {
        match open() {
            Err(error) if error.is_address_in_use() && Instant::now() < deadline => {
                thread::sleep(RELEASE_STEP);
            }
            other => return other,
        }
    }
}
