//! Starting, restarting and changing a flow, each so that a failure leaves what was there before.
//!
//! New sockets are opened before old ones are given up wherever the kernel allows it. Where old and new want the same
//! address, the old one has to go first; should the new one then fail, the old one is opened again.

use std::thread;
use std::time::{Duration, Instant};

use bilbycast_shm_proto::control::{ControlError, FlowChange};
use bilbycast_shm_proto::event::Severity;
use bilbycast_shm_proto::model::{FlowSpec, InputSpec, OutputKind, OutputSpec, ReceiveSpec};

use super::{Engine, Placed};
use crate::control::open::{self, OpenError};
use crate::flow::Flow;
use crate::flow::analysis::Analysis;
use crate::flow::input::{Input, Leg};
use crate::flow::output::Output;
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
            Some(closed) if closed.elapsed() < RELEASE_TIME => {
                when_released(|| open_flow(spec, &mut None))?
            }
            _ => open_flow(spec, &mut None)?,
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

    /// Stops a running flow and starts it as `spec` says, on the same core.
    pub(super) fn restart(&mut self, spec: &FlowSpec) -> Result<FlowChange, ControlError> {
        let Some(placed) = self.flows.get(&spec.id) else {
            return self.start(spec);
        };
        let core = placed.core;
        match open_beside(spec, &placed.spec) {
            Ok(opened) => self.replace(spec, opened)?,
            Err(error) if error.is_address_in_use() && share_a_port(spec, &placed.spec) => {
                self.replace_after_closing(spec)?;
            }
            Err(error) => return Err(error.into()),
        }
        let placed = Placed {
            spec: spec.clone(),
            core,
        };
        self.flows.insert(spec.id.clone(), placed);
        Ok(FlowChange::Restarted)
    }

    /// Puts what was opened in the place of the running flow, which has done without it so far.
    fn replace(&mut self, spec: &FlowSpec, opened: Opened) -> Result<(), ControlError> {
        let handle = &self.cores[self.flows[&spec.id].core];
        let old = handle.remove_flow(&spec.id)?;
        let (flow, old) = match (opened, old) {
            (Opened::Whole(flow), old) => (flow, old),
            (Opened::Outputs(outputs), old) => {
                // The input goes on with the same socket, so that nothing that waits in it is lost.
                let mut spare = old.and_then(|old| old.into_input().into_leg());
                let input = open::input(&spec.id, &spec.input, &mut spare)?;
                (Box::new(flow_of(spec, input, outputs)), None)
            }
        };
        match handle.add_flow(flow) {
            Ok(()) => {
                if let Some(old) = old {
                    close(*old);
                }
                Ok(())
            }
            Err(failed) => {
                let old_spec = self.flows[&spec.id].spec.clone();
                match (old, failed.brought) {
                    (Some(old), _) => self.put_back(old_spec, || Ok(*old)),
                    (None, brought) => {
                        let mut spare = brought.and_then(|flow| flow.into_input().into_leg());
                        let again = old_spec.clone();
                        self.put_back(old_spec, || open_flow(&again, &mut spare));
                    }
                }
                Err(failed.error)
            }
        }
    }

    /// Closes the running flow, whose ports its successor wants, and starts that.
    fn replace_after_closing(&mut self, spec: &FlowSpec) -> Result<(), ControlError> {
        let placed = &self.flows[&spec.id];
        let (handle, old_spec) = (&self.cores[placed.core], placed.spec.clone());
        if let Some(old) = handle.remove_flow(&spec.id)? {
            close(*old);
        }
        let started = when_released(|| open_flow(spec, &mut None))
            .map_err(ControlError::from)
            .and_then(|flow| {
                handle
                    .add_flow(Box::new(flow))
                    .map_err(|failed| failed.error)
            });
        if started.is_err() {
            let again = old_spec.clone();
            self.put_back(old_spec, || when_released(|| open_flow(&again, &mut None)));
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
    if let Some(leg) = flow.into_input().into_leg() {
        leg.close();
    }
}

fn removed_ids_of(change: &FlowChange) -> Vec<String> {
    match change {
        FlowChange::Outputs { removed, .. } => removed.clone(),
        _ => Vec::new(),
    }
}

/// What a restart can open before the running flow is touched.
enum Opened {
    /// All of the outputs; the input goes on with the socket that the running flow has.
    Outputs(Vec<Output>),
    Whole(Box<Flow>),
}

/// Opens what `spec` needs and the running flow does not hold already.
fn open_beside(spec: &FlowSpec, running: &FlowSpec) -> Result<Opened, OpenError> {
    if receive_of(&spec.input).is_some() && receive_of(&spec.input) == receive_of(&running.input) {
        let all: Vec<&OutputSpec> = spec.outputs.iter().collect();
        open_outputs(spec, &all).map(Opened::Outputs)
    } else {
        open_flow(spec, &mut None).map(Box::new).map(Opened::Whole)
    }
}

fn open_flow(spec: &FlowSpec, spare: &mut Option<Leg>) -> Result<Flow, OpenError> {
    // Outputs first: when one fails, the spare leg of the input is still there.
    let all: Vec<&OutputSpec> = spec.outputs.iter().collect();
    let outputs = open_outputs(spec, &all)?;
    let input = open::input(&spec.id, &spec.input, spare)?;
    Ok(flow_of(spec, input, outputs))
}

fn flow_of(spec: &FlowSpec, input: Input, outputs: Vec<Output>) -> Flow {
    Flow::new(
        spec.id.clone(),
        input,
        outputs,
        Analysis::new(spec.media_analysis, tr07_mode(&spec.input)),
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

/// What the input receives from the network, when it is switched on.
fn receive_of(input: &InputSpec) -> Option<&ReceiveSpec> {
    match input {
        InputSpec::Rtp(rtp) => rtp.enabled.then_some(&rtp.receive),
        InputSpec::Udp(udp) => Some(&udp.receive),
        InputSpec::Test(_) => None,
    }
}

/// Whether two forms of a flow bind a port of the same number, so that one may stand in the other's way.
fn share_a_port(spec: &FlowSpec, other: &FlowSpec) -> bool {
    let ports = |spec: &FlowSpec| -> Vec<u16> {
        let receives = receive_of(&spec.input).map(|receive| receive.bind_addr.port());
        let sends = spec.outputs.iter().map(|output| match &output.kind {
            OutputKind::Rtp(rtp) => rtp.send.bind_addr.port(),
            OutputKind::Udp(udp) => udp.send.bind_addr.port(),
        });
        receives.into_iter().chain(sends).collect()
    };
    let others = ports(other);
    ports(spec)
        .iter()
        .any(|port| *port != 0 && others.contains(port))
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
