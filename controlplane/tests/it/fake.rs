//! A data plane without packets.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use bilbycast_shm_proto::control::{
    BootId, ClientMessage, Command, ControlError, ControlErrorKind, FlowChange, FlowList,
    PROTOCOL_VERSION, Reply, ReplyBody, ServerMessage, Welcome, read_message, write_message,
};
use bilbycast_shm_proto::counters::{CoreRecord, FlowRecord, HistoryRecord, OutputRecord};
use bilbycast_shm_proto::detail::StreamDetail;
use bilbycast_shm_proto::event::Event;
use bilbycast_shm_proto::model::{FlowSpec, InputSpec};
use bilbycast_shm_proto::shm::{ControlWriter, CoreWriter, FlowSlot, OutputSlot, create};

pub(crate) struct FakeDataPlane {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    ended: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

struct State {
    welcome: Welcome,
    flows: HashMap<String, Running>,
    stopped_by_operator: Vec<String>,
    commands: Vec<Command>,
    pings: usize,
    refusals: HashMap<String, ControlError>,
    ports_in_use: HashSet<u16>,
    hangs: bool,
    on_apply: Option<Box<dyn FnOnce() + Send>>,
    streams: Vec<UnixStream>,
    core: CoreWriter,
    control: ControlWriter,
}

struct Running {
    spec: FlowSpec,
    slot: FlowSlot,
    outputs: HashMap<String, OutputSlot>,
}

impl FakeDataPlane {
    /// Listens in `folder`, as a run of the data plane with this boot id.
    pub(crate) fn start(folder: &Path, boot_id: u64) -> Self {
        Self::with_welcome(folder, boot_id, PROTOCOL_VERSION, Vec::new())
    }

    pub(crate) fn with_welcome(
        folder: &Path,
        boot_id: u64,
        protocol: u32,
        cores: Vec<u32>,
    ) -> Self {
        let (control, mut writers) =
            create(&folder.join("counters.shm"), 1, BootId(boot_id), 1).unwrap();
        let socket = folder.join("dataplane.sock");
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(Mutex::new(State {
            welcome: Welcome {
                protocol,
                software_version: "fake".to_owned(),
                boot_id: BootId(boot_id),
                pid: std::process::id(),
                cores,
            },
            flows: HashMap::new(),
            stopped_by_operator: Vec::new(),
            commands: Vec::new(),
            pings: 0,
            refusals: HashMap::new(),
            ports_in_use: HashSet::new(),
            hangs: false,
            on_apply: None,
            streams: Vec::new(),
            core: writers.remove(0),
            control,
        }));
        let ended = Arc::new(AtomicBool::new(false));
        listener.set_nonblocking(true).unwrap();
        let accept = {
            let state = Arc::clone(&state);
            let ended = Arc::clone(&ended);
            move || {
                while !ended.load(Ordering::SeqCst) {
                    let Ok((stream, _)) = listener.accept() else {
                        std::thread::sleep(Duration::from_millis(1));
                        continue;
                    };
                    stream.set_nonblocking(false).unwrap();
                    let state = Arc::clone(&state);
                    let kept = stream.try_clone().unwrap();
                    state.lock().unwrap().streams.push(kept);
                    std::thread::spawn(move || serve(stream, &state));
                }
            }
        };
        Self {
            socket,
            state,
            ended,
            listener: Some(std::thread::spawn(accept)),
        }
    }

    /// Commands since the last call, signs of life left out.
    pub(crate) fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut self.state().commands)
    }

    /// Signs of life that were asked for so far.
    pub(crate) fn pings(&self) -> usize {
        self.state().pings
    }

    /// Ids of running flows, sorted.
    pub(crate) fn running(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.state().flows.keys().cloned().collect();
        ids.sort();
        ids
    }

    /// What a running flow is.
    pub(crate) fn spec(&self, flow_id: &str) -> FlowSpec {
        self.state().flows[flow_id].spec.clone()
    }

    pub(crate) fn stopped_by_operator(&self) -> Vec<String> {
        self.state().stopped_by_operator.clone()
    }

    /// As if the flow had been started before anybody connected.
    pub(crate) fn run(&self, spec: FlowSpec) {
        self.state().start(spec);
    }

    pub(crate) fn remember_stopped(&self, flow_id: &str) {
        self.state().stopped_by_operator.push(flow_id.to_owned());
    }

    /// Refuses every definition of the flow from now on.
    pub(crate) fn refuse(&self, flow_id: &str, kind: ControlErrorKind, message: &str) {
        let error = ControlError::new(kind, message);
        self.state().refusals.insert(flow_id.to_owned(), error);
    }

    pub(crate) fn accept(&self, flow_id: &str) {
        self.state().refusals.remove(flow_id);
    }

    /// Reads everything and answers nothing from now on.
    pub(crate) fn hang(&self, hangs: bool) {
        self.state().hangs = hangs;
    }

    /// Answers nothing until `action` has returned, then everything that was asked meanwhile.
    pub(crate) fn while_busy(&self, action: impl FnOnce()) {
        let _state = self.state();
        action();
    }

    /// Does something in the middle of the next change.
    pub(crate) fn on_apply(&self, action: impl FnOnce() + Send + 'static) {
        self.state().on_apply = Some(Box::new(action));
    }

    /// Closes all connections; flows run on.
    pub(crate) fn disconnect(&self) {
        for stream in self.state().streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Sends an unsolicited message to everybody who is connected.
    pub(crate) fn tell(&self, message: &ServerMessage) {
        for stream in &mut self.state().streams {
            write_message(stream, message).unwrap();
        }
    }

    pub(crate) fn publish_flow(&self, flow_id: &str, record: &FlowRecord) {
        let State { flows, core, .. } = &mut *self.state();
        core.publish_flow(&flows[flow_id].slot, record);
    }

    pub(crate) fn publish_detail(&self, flow_id: &str, detail: &StreamDetail) {
        let State { flows, core, .. } = &mut *self.state();
        core.publish_detail(&flows[flow_id].slot, &mut detail.clone(), &mut Vec::new());
    }

    pub(crate) fn publish_output(&self, flow_id: &str, output_id: &str, record: &OutputRecord) {
        let State { flows, core, .. } = &mut *self.state();
        core.publish_output(&flows[flow_id].outputs[output_id], record);
    }

    /// One more second of a running flow.
    pub(crate) fn push_history(&self, flow_id: &str, second: &HistoryRecord) {
        let State { flows, core, .. } = &mut *self.state();
        core.push_history(&flows[flow_id].slot, second);
    }

    pub(crate) fn publish_core(&self, record: &CoreRecord) {
        self.state().core.publish_core(record);
    }

    /// Records an event of the control thread.
    pub(crate) fn push_event(&self, event: &Event) {
        self.state().control.push_event(event);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for FakeDataPlane {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = fs::remove_file(&self.socket);
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
        self.disconnect();
    }
}

fn serve(mut stream: UnixStream, state: &Mutex<State>) {
    let Ok(ClientMessage::Hello(_)) = read_message(&mut stream) else {
        return;
    };
    let welcome = {
        let state = state.lock().unwrap();
        (!state.hangs).then(|| state.welcome.clone())
    };
    if let Some(welcome) = welcome {
        let _ = write_message(&mut stream, &ServerMessage::Welcome(welcome));
    }
    while let Ok(ClientMessage::Request(request)) = read_message(&mut stream) {
        let reply = {
            let mut state = state.lock().unwrap();
            if state.hangs {
                continue;
            }
            let result = state.obey(request.command);
            Reply {
                id: request.id,
                result,
            }
        };
        if write_message(&mut stream, &ServerMessage::Reply(reply)).is_err() {
            return;
        }
    }
}

impl State {
    fn obey(&mut self, command: Command) -> Result<ReplyBody, ControlError> {
        if command == Command::Ping {
            self.pings += 1;
        } else {
            self.commands.push(command.clone());
        }
        match command {
            Command::ApplyFlow(spec) => self.apply(spec).map(ReplyBody::Applied),
            Command::ListFlows => Ok(ReplyBody::Flows(FlowList {
                running: self.flows.values().map(|flow| flow.spec.clone()).collect(),
                stopped_by_operator: self.stopped_by_operator.clone(),
            })),
            Command::Ping => Ok(ReplyBody::Done),
            Command::StopFlow {
                flow_id,
                by_operator,
            } => {
                self.stop(&flow_id);
                if by_operator {
                    self.stopped_by_operator.push(flow_id);
                }
                Ok(ReplyBody::Done)
            }
        }
    }

    fn apply(&mut self, spec: FlowSpec) -> Result<FlowChange, ControlError> {
        if let Some(action) = self.on_apply.take() {
            action();
        }
        if let Some(error) = self.refusals.get(&spec.id) {
            return Err(error.clone());
        }
        if let Some(port) = port(&spec)
            && (self.ports_in_use.contains(&port)
                || self
                    .flows
                    .values()
                    .any(|flow| flow.spec.id != spec.id && self::port(&flow.spec) == Some(port)))
        {
            let message = format!("bind_addr 127.0.0.1:{port}: Address already in use");
            return Err(ControlError::new(ControlErrorKind::Bind, message));
        }
        let change = match self.flows.get(&spec.id) {
            None => FlowChange::Started,
            Some(runs) if runs.spec == spec => return Ok(FlowChange::Unchanged),
            Some(runs) if runs.spec.input == spec.input => FlowChange::Outputs {
                added: Vec::new(),
                removed: Vec::new(),
            },
            Some(_) => FlowChange::Restarted,
        };
        self.start(spec);
        Ok(change)
    }

    fn start(&mut self, spec: FlowSpec) {
        self.stop(&spec.id);
        self.stopped_by_operator.retain(|id| *id != spec.id);
        let slot = self.core.add_flow(&spec.id).unwrap();
        let outputs = spec.outputs.iter().map(|output| {
            let slot = self.core.add_output(&slot, &output.id).unwrap();
            (output.id.clone(), slot)
        });
        let outputs = outputs.collect();
        self.flows.insert(
            spec.id.clone(),
            Running {
                spec,
                slot,
                outputs,
            },
        );
    }

    fn stop(&mut self, flow_id: &str) {
        if let Some(flow) = self.flows.remove(flow_id) {
            for (_, output) in flow.outputs {
                self.core.remove_output(output);
            }
            self.core.remove_flow(flow.slot);
        }
    }
}

fn port(spec: &FlowSpec) -> Option<u16> {
    match &spec.input {
        InputSpec::Rtp(rtp) => rtp.receive.as_ref().map(|leg| leg.bind_addr.port()),
        InputSpec::Srt(srt) => Some(srt.leg.local_addr.port()),
        InputSpec::Test(_) => None,
        InputSpec::Udp(udp) => Some(udp.receive.bind_addr.port()),
    }
}
