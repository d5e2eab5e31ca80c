//! What a core does beside its packets, ten times a second: it publishes what it counts.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bilbycast_shm_proto::counters::{CoreRecord, Health};
use bilbycast_shm_proto::event::{Category, Event, Severity};

use super::{Core, PublishedDetail, RunningFlow};
use crate::flow::observe::{Notice, Observed};
use crate::net::clock;
use crate::net::executor::wait;
use crate::net::readiness::let_others_run;

/// How often counters are published.
const PERIOD: Duration = Duration::from_millis(100);

/// Flows that are published before packets get a turn: about 50 us of work.
const FLOWS_AT_ONCE: usize = 16;

/// Publishes for ever.
pub(super) async fn run(core: Rc<Core>) {
    let mut rounds: u32 = 0;
    loop {
        // By id and not by reference: a flow may be removed while packets have their turn.
        let ids: Vec<String> = core.flows.borrow().keys().cloned().collect();
        let mut load_bps = 0;
        for some in ids.chunks(FLOWS_AT_ONCE) {
            for id in some {
                let running = core
                    .flows
                    .borrow()
                    .get(id)
                    .map(|carried| Rc::clone(&carried.running));
                if let Some(running) = running {
                    core.observe(&running);
                    load_bps += running.flow.borrow().load_bps();
                }
            }
            let_others_run().await;
        }
        core.config.load.bps.store(load_bps, Ordering::Relaxed);
        core.publish(ids.len());
        rounds = (rounds + 1) % ROUNDS_PER_SECOND;
        if rounds == 0 {
            core.longest_pass_ns.set(0);
        }
        wait(PERIOD).await;
    }
}

const ROUNDS_PER_SECOND: u32 = 10;

impl Core {
    /// Publishes one flow.
    pub(super) fn observe(&self, running: &RunningFlow) {
        let now_ns = clock::monotonic_ns();
        let unix_us = clock::unix_us();
        let mut flow = running.flow.borrow_mut();
        let slots = running.slots.borrow();
        let mut writer = self.writer.borrow_mut();
        let flow_id = flow.id().to_owned();
        let sent = flow.flush_leftover(&mut self.buffers.borrow_mut(), now_ns);
        self.packets_sent.set(self.packets_sent.get() + sent);
        let (record, history) = flow.observe(now_ns, unix_us, |observed| match observed {
            Observed::Output(index, record) => {
                if let Some(slot) = slots.outputs.get(index) {
                    writer.publish_output(slot, &record);
                }
            }
            Observed::Notice(notice) => writer.push_event(&event(&flow_id, notice, unix_us)),
        });
        writer.publish_flow(&slots.flow, &record);
        if let Some(history) = history {
            writer.push_history(&slots.flow, &history);
            if running.detail_is_due(flow.analysis().stream().counters().packets) {
                let mut detail = flow.analysis().detail();
                writer.publish_detail(&slots.flow, &mut detail, &mut self.json.borrow_mut());
            }
        }
    }

    fn publish(&self, flows: usize) {
        self.writer.borrow_mut().publish_core(&CoreRecord {
            cpu: u64::from(self.config.cpu),
            heartbeat_ns: clock::monotonic_ns(),
            flows: flows as u64,
            packets_received: self.packets_received.get(),
            packets_sent: self.packets_sent.get(),
            longest_pass_ns: self.longest_pass_ns.get(),
            commands: self.commands.get(),
        });
    }
}

impl RunningFlow {
    /// Takes note that so many packets have been analysed. False when nothing can have changed for a while.
    fn detail_is_due(&self, packets: u64) -> bool {
        let before = self.detail.get();
        let quiet_seconds = if packets == before.packets {
            before.quiet_seconds.saturating_add(1)
        } else {
            0
        };
        self.detail.set(PublishedDetail {
            packets,
            quiet_seconds,
        });
        quiet_seconds <= QUIET_SECONDS_MAX
    }
}

/// Published still after the last packet.
const QUIET_SECONDS_MAX: u8 = 3;

fn event(flow_id: &str, notice: Notice<'_>, unix_us: u64) -> Event {
    let (severity, message, details) = match notice {
        Notice::Health { before, now } => (
            match now {
                Health::Healthy => Severity::Info,
                Health::Warning | Health::Error => Severity::Warning,
                Health::Critical => Severity::Critical,
            },
            format!(
                "flow '{flow_id}': health is {}, it was {}",
                now.as_str(),
                before.as_str()
            ),
            serde_json::json!({ "health": now.as_str(), "before": before.as_str() }),
        ),
        Notice::Indicator { indicator, errors } => (
            Severity::Warning,
            format!("flow '{flow_id}': TR 101 290 {indicator}"),
            serde_json::json!({ "indicator": indicator, "errors": errors }),
        ),
        Notice::IndicatorGood { indicator, errors } => (
            Severity::Info,
            format!("flow '{flow_id}': TR 101 290 {indicator} is over"),
            serde_json::json!({ "indicator": indicator, "errors": errors }),
        ),
        Notice::InputOverflow { datagrams } => (
            Severity::Warning,
            format!("flow '{flow_id}': the input's socket buffer was full, datagrams were lost"),
            serde_json::json!({ "packets_dropped_kernel": datagrams }),
        ),
        Notice::InputOverflowOver => (
            Severity::Info,
            format!("flow '{flow_id}': the input's socket buffer is large enough again"),
            serde_json::Value::Null,
        ),
        Notice::OutputFails { output_id, error } => (
            Severity::Warning,
            format!(
                "flow '{flow_id}', output '{output_id}' cannot send: {}",
                std::io::Error::from_raw_os_error(error)
            ),
            serde_json::json!({ "output_id": output_id, "errno": error }),
        ),
        Notice::OutputFailsNoLonger { output_id } => (
            Severity::Info,
            format!("flow '{flow_id}', output '{output_id}' sends again"),
            serde_json::json!({ "output_id": output_id }),
        ),
        Notice::OutputDoesNotCoalesce { output_id } => (
            Severity::Info,
            format!(
                "flow '{flow_id}', output '{output_id}': the kernel or the network card cannot segment (UDP_SEGMENT); \
                 datagrams are sent one by one"
            ),
            serde_json::json!({ "output_id": output_id }),
        ),
    };
    Event {
        timestamp_us: unix_us,
        severity,
        category: Category::Flow,
        message,
        flow_id: Some(flow_id.to_owned()),
        details: (!details.is_null()).then_some(details),
    }
}
