//! What a core does beside its packets, ten times a second: it publishes what it counts.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bilbycast_shm_proto::counters::CoreRecord;

use super::notice::event;
use super::{Core, PublishedDetail, RunningFlow};
use crate::flow::observe::Observed;
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
                    core.look_by_the_clock(&running);
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
            Observed::InputSrt(legs) => writer.publish_input_srt(&slots.flow, legs),
            Observed::OutputSrt(index, legs) => {
                if let Some(slot) = slots.outputs.get(index) {
                    writer.publish_output_srt(slot, legs);
                }
            }
            Observed::Legs(legs) => writer.publish_legs(&slots.flow, legs),
            Observed::Notice(notice) => writer.push_event(&event(&flow_id, notice, unix_us)),
        });
        writer.publish_flow(&slots.flow, &record);
        if let Some(history) = history {
            writer.push_history(&slots.flow, &history);
            let listeners = flow.srt_listeners(now_ns);
            let packets = flow.analysis().stream().counters().packets;
            if running.detail_is_due(packets, !listeners.is_empty()) {
                let mut detail = flow.analysis().detail();
                detail.srt_listeners = listeners;
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
    fn detail_is_due(&self, packets: u64, listens: bool) -> bool {
        let detail = self.detail.get().after_a_second(packets, listens);
        self.detail.set(detail);
        detail.quiet_seconds <= QUIET_SECONDS_MAX
    }
}

impl PublishedDetail {
    /// `packets` have been analysed by now. A flow that `listens` is never quiet: callers come and go without any packet.
    const fn after_a_second(self, packets: u64, listens: bool) -> Self {
        let quiet_seconds = if packets == self.packets && !listens {
            self.quiet_seconds.saturating_add(1)
        } else {
            0
        };
        Self {
            packets,
            quiet_seconds,
        }
    }
}

/// Published still after the last packet.
const QUIET_SECONDS_MAX: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_flow_without_packets_and_listeners_is_quiet() {
        let after = |seconds: u32, listens| {
            let mut detail = PublishedDetail::default();
            for _ in 0..seconds {
                detail = detail.after_a_second(0, listens);
            }
            detail
        };
        assert_eq!(after(3, false).quiet_seconds, QUIET_SECONDS_MAX);
        assert_eq!(after(1_000, false).quiet_seconds, u8::MAX);
        assert_eq!(after(1_000, true).quiet_seconds, 0);
        let woken = after(1_000, false).after_a_second(1, false);
        assert_eq!(woken.quiet_seconds, 0);
        // The last callers of a listener that was removed go from the list.
        let removed = after(1_000, true).after_a_second(0, false);
        assert_eq!(removed.quiet_seconds, 1);
    }
}
