//! One packet core: its flows, its mailbox, its publishing.
//!
//! Everything here runs on the core's own thread and takes turns at the awaits, so `RefCell` is enough: no borrow is
//! held across one.

mod bell;
mod carry;
mod housekeeping;
mod notice;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bilbycast_shm_proto::shm::{CoreWriter, FlowSlot, NoSlotLeft, OutputSlot};
use crossbeam::channel::Sender;

use bell::Bell;

use crate::flow::output::Output;
use crate::flow::socket::InputSocket;
use crate::flow::{Flow, PassBuffers};
use crate::net::executor::LocalTask;
use crate::net::mailbox::Mailbox;
use crate::net::readiness::{Readiness, let_others_run};
use crate::net::scheduling;

/// What the control side may ask of a core. Each is carried out between two passes and answered once.
#[derive(Debug)]
pub enum CoreCommand {
    /// Takes a flow in and starts to carry it.
    AddFlow {
        /// The flow, sockets and all.
        flow: Box<Flow>,
        /// What came of it.
        reply: Sender<Result<(), Refused<Box<Flow>>>>,
    },
    /// Exchanges outputs of a flow in one step; the others and the input do not notice.
    ExchangeOutputs {
        /// The flow.
        flow_id: String,
        /// Ids of outputs to take out.
        removed: Vec<String>,
        /// Outputs to put in.
        added: Vec<Output>,
        /// The outputs that were taken out, to be closed elsewhere.
        reply: Sender<Exchanged>,
    },
    /// Gives a flow back, to be closed elsewhere; nothing when there is no such flow.
    RemoveFlow {
        /// The flow.
        flow_id: String,
        /// The flow as it was.
        reply: Sender<Option<Box<Flow>>>,
    },
    /// Ends the core.
    Stop,
}

/// The outputs that an exchange took out.
pub type Exchanged = Result<Vec<Output>, Refused<Vec<Output>>>;

/// A command that could not be carried out, with what it brought.
#[derive(Debug)]
pub struct Refused<T> {
    /// Why.
    pub reason: RefusedReason,
    /// What the command brought, untouched.
    pub brought: T,
}

/// Why a core refuses a command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedReason {
    /// Counters cannot be published for any more.
    #[error(transparent)]
    NoSlotLeft(#[from] NoSlotLeft),
    /// There is no such flow on this core.
    #[error("the packet core does not carry this flow")]
    NoSuchFlow,
    /// The process has no file descriptor left.
    #[error("no readiness for the input socket: {0}")]
    Readiness(#[from] std::io::Error),
}

/// How busy a core is, for whoever places flows.
#[derive(Debug, Default)]
pub struct CoreLoad {
    bps: AtomicU64,
}

impl CoreLoad {
    /// Bits per second that its flows receive and send together.
    #[must_use]
    pub fn bps(&self) -> u64 {
        self.bps.load(Ordering::Relaxed)
    }
}

/// How a core works.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// CPU number.
    pub cpu: u32,
    /// The longest that a datagram of a busy flow waits before it is picked up: 0.5 ms unless configured otherwise.
    pub tick: Duration,
    /// Where its load is shown.
    pub load: Arc<CoreLoad>,
}

/// Carries flows until it is told to stop. The main future of a core's executor.
pub async fn run(config: CoreConfig, mut mailbox: Mailbox<CoreCommand>, writer: CoreWriter) {
    if !scheduling::favour_this_thread() {
        tracing::info!(
            cpu = config.cpu,
            "packet core runs at ordinary priority: no CAP_SYS_NICE"
        );
    }
    scheduling::exact_timers();
    let core = Rc::new(Core::new(config, writer));
    let housekeeping = LocalTask::spawn(housekeeping::run(Rc::clone(&core)));
    let busy = LocalTask::spawn(carry::run_busy(Rc::clone(&core)));
    while let Some(command) = mailbox.next().await {
        core.commands.set(core.commands.get() + 1);
        match command {
            // A control side that no longer waits for the answer has nothing to be told.
            CoreCommand::AddFlow { flow, reply } => {
                let _ = reply.send(core.add_flow(flow));
            }
            CoreCommand::ExchangeOutputs {
                flow_id,
                removed,
                added,
                reply,
            } => {
                let _ = reply.send(core.exchange_outputs(&flow_id, &removed, added));
            }
            CoreCommand::RemoveFlow { flow_id, reply } => {
                let _ = reply.send(core.remove_flow(&flow_id).await);
            }
            CoreCommand::Stop => break,
        }
    }
    housekeeping.cancel().await;
    busy.cancel().await;
    let ids: Vec<String> = core.flows.borrow().keys().cloned().collect();
    for id in ids {
        if let Some(flow) = core.remove_flow(&id).await {
            let sockets = flow.into_parts().input.into_sockets();
            sockets.into_iter().for_each(InputSocket::close);
        }
    }
}

/// The state of one core.
struct Core {
    config: CoreConfig,
    buffers: RefCell<PassBuffers>,
    flows: RefCell<BTreeMap<String, Carried>>,
    writer: RefCell<CoreWriter>,
    /// Scratch of the housekeeping.
    json: RefCell<Vec<u8>>,

    /// Flows that are looked at on every tick.
    busy: RefCell<Vec<Rc<RunningFlow>>>,
    /// Rung when a flow has become busy.
    some_busy: Bell,
    /// How many flows wait on the ring.
    quiet: Cell<usize>,

    // Counted since the start, published by the housekeeping.
    packets_received: Cell<u64>,
    packets_sent: Cell<u64>,
    longest_pass_ns: Cell<u64>,
    commands: Cell<u64>,
}

/// A flow on its core, and the tasks that carry it while it is quiet, one for each of its sockets; none for a flow that makes
/// its packets itself.
struct Carried {
    running: Rc<RunningFlow>,
    tasks: Vec<LocalTask>,
}

/// What the tasks of a core share of a flow.
struct RunningFlow {
    flow: RefCell<Flow>,
    slots: RefCell<Slots>,
    /// It has nothing to wait for.
    is_always_busy: bool,
    /// It has sockets to wait on while it is quiet.
    waits: bool,
    /// It is looked at on every tick.
    is_busy: Cell<bool>,
    /// Ticks in a row that found nothing.
    empty_ticks: Cell<u32>,
    /// CLOCK_MONOTONIC of the newest pass of a quiet flow that found something.
    newest_ns: Cell<u64>,
    /// Rung when it is no longer looked at on every tick; one for each task.
    quiet_again: Vec<Bell>,
    /// What is known of the stream when it was published last.
    detail: Cell<PublishedDetail>,
}

/// Whether what is known of a stream has to be published again.
#[derive(Clone, Copy, Debug, Default)]
struct PublishedDetail {
    /// TS packets that had been analysed.
    packets: u64,
    /// Seconds without another one. Rates fall to zero a second after the last packet, so a few are published still.
    quiet_seconds: u8,
}

/// Where a flow is published. Output slots stand in the order of the flow's outputs.
struct Slots {
    flow: FlowSlot,
    outputs: Vec<OutputSlot>,
}

impl Core {
    fn new(config: CoreConfig, writer: CoreWriter) -> Self {
        Self {
            config,
            buffers: RefCell::new(PassBuffers::new()),
            flows: RefCell::new(BTreeMap::new()),
            writer: RefCell::new(writer),
            json: RefCell::new(Vec::new()),
            busy: RefCell::new(Vec::new()),
            some_busy: Bell::default(),
            quiet: Cell::new(0),
            packets_received: Cell::new(0),
            packets_sent: Cell::new(0),
            longest_pass_ns: Cell::new(0),
            commands: Cell::new(0),
        }
    }

    fn add_flow(self: &Rc<Self>, flow: Box<Flow>) -> Result<(), Refused<Box<Flow>>> {
        let readiness: std::io::Result<Vec<Readiness>> = flow
            .input()
            .waitables()
            .into_iter()
            .map(|waitable| Readiness::new(waitable.fd()))
            .collect();
        let readiness = match readiness {
            Ok(readiness) => readiness,
            Err(error) => return Err(refused(error, flow)),
        };
        let slots = match self.take_slots(&flow) {
            Ok(slots) => slots,
            Err(error) => return Err(refused(error, flow)),
        };
        let id = flow.id().to_owned();
        let makes_packets = flow.input().makes_packets();
        let running = Rc::new(RunningFlow {
            flow: RefCell::new(*flow),
            slots: RefCell::new(slots),
            is_always_busy: makes_packets,
            waits: !readiness.is_empty(),
            is_busy: Cell::new(false),
            empty_ticks: Cell::new(0),
            newest_ns: Cell::new(0),
            quiet_again: readiness.iter().map(|_| Bell::default()).collect(),
            detail: Cell::default(),
        });
        if makes_packets {
            self.make_busy(&running);
        }
        if running.waits {
            self.quiet.set(self.quiet.get() + 1);
        }
        let tasks = (0..)
            .zip(readiness)
            .map(|(index, readiness)| {
                let (core, running) = (Rc::clone(self), Rc::clone(&running));
                LocalTask::spawn(carry::run_quiet(core, running, index, readiness))
            })
            .collect();
        self.observe(&running);
        self.flows
            .borrow_mut()
            .insert(id, Carried { running, tasks });
        Ok(())
    }

    fn take_slots(&self, flow: &Flow) -> Result<Slots, NoSlotLeft> {
        let mut writer = self.writer.borrow_mut();
        let flow_slot = writer.add_flow(flow.id())?;
        let mut outputs = Vec::with_capacity(flow.outputs().len());
        for output in flow.outputs() {
            match writer.add_output(&flow_slot, output.id()) {
                Ok(slot) => outputs.push(slot),
                Err(error) => {
                    for slot in outputs {
                        writer.remove_output(slot);
                    }
                    writer.remove_flow(flow_slot);
                    return Err(error);
                }
            }
        }
        Ok(Slots {
            flow: flow_slot,
            outputs,
        })
    }

    fn exchange_outputs(&self, flow_id: &str, removed: &[String], added: Vec<Output>) -> Exchanged {
        let running = match self.flows.borrow().get(flow_id) {
            Some(carried) => Rc::clone(&carried.running),
            None => return Err(refused(RefusedReason::NoSuchFlow, added)),
        };
        let mut flow = running.flow.borrow_mut();
        let mut slots = running.slots.borrow_mut();
        let mut writer = self.writer.borrow_mut();
        let mut fresh = Vec::with_capacity(added.len());
        for output in &added {
            match writer.add_output(&slots.flow, output.id()) {
                Ok(slot) => fresh.push(slot),
                Err(error) => {
                    for slot in fresh {
                        writer.remove_output(slot);
                    }
                    return Err(refused(error, added));
                }
            }
        }
        let staying = flow
            .outputs()
            .iter()
            .map(|output| !removed.iter().any(|id| id == output.id()));
        let old = std::mem::take(&mut slots.outputs);
        for (slot, stays) in old.into_iter().zip(staying) {
            if stays {
                slots.outputs.push(slot);
            } else {
                writer.remove_output(slot);
            }
        }
        slots.outputs.extend(fresh);
        let gone = flow.exchange_outputs(removed, added);
        drop((flow, slots, writer));
        self.observe(&running);
        Ok(gone)
    }

    async fn remove_flow(&self, flow_id: &str) -> Option<Box<Flow>> {
        let Carried { running, tasks } = self.flows.borrow_mut().remove(flow_id)?;
        let mut was_busy = false;
        self.busy.borrow_mut().retain(|other| {
            was_busy |= Rc::ptr_eq(other, &running);
            !Rc::ptr_eq(other, &running)
        });
        if !tasks.is_empty() {
            self.quiet.set(self.quiet.get() - usize::from(!was_busy));
            for task in tasks {
                // Its share of `running` is dropped with it; the housekeeping holds one only between two awaits.
                task.cancel().await;
            }
            // The ring still holds readiness requests, and with them the sockets; this turn takes them back.
            let_others_run().await;
        }
        let RunningFlow { flow, slots, .. } = Rc::into_inner(running)?;
        let slots = slots.into_inner();
        let mut writer = self.writer.borrow_mut();
        for slot in slots.outputs {
            writer.remove_output(slot);
        }
        writer.remove_flow(slots.flow);
        Some(Box::new(flow.into_inner()))
    }
}

fn refused<T>(reason: impl Into<RefusedReason>, brought: T) -> Refused<T> {
    Refused {
        reason: reason.into(),
        brought,
    }
}
