//! The task that carries one flow: when it looks at its input.
//!
//! A quiet flow waits on the ring until a datagram is there, which costs nothing while none is. A busy flow is looked at
//! on a tick that all flows of the core share: at a thousand datagrams a second and more that costs less than waiting
//! for each of them, and their batches grow with the rate.

use std::rc::Rc;

use super::{Core, RunningFlow};
use crate::flow::Pass;
use crate::net::clock;
use crate::net::readiness::{Readiness, Ticker, let_others_run};

/// Each tick that finds packets makes the flow this much busier, each that finds none makes it one step quieter. Two
/// against one: a flow with packets in every third tick stays on the tick.
const HEAT_OF_PACKETS: u32 = 2;

/// A busy flow that falls silent is looked at for so many ticks more.
const HEAT_MAX: u32 = 8;

/// Carries `running` for ever. Without `readiness` the input has nothing to wait for and makes its packets itself, or
/// is switched off.
pub(super) async fn run(core: Rc<Core>, running: Rc<RunningFlow>, readiness: Option<Readiness>) {
    if !running.flow.borrow().input().is_on() {
        return;
    }
    let mut ticker = Ticker::new(core.config.tick);
    let mut heat = 0;
    loop {
        let pass = core.pass(&running);
        if pass.more {
            let_others_run().await;
            continue;
        }
        heat = if pass.received > 0 {
            (heat + HEAT_OF_PACKETS).min(HEAT_MAX)
        } else {
            heat.saturating_sub(1)
        };
        let found = match &readiness {
            Some(readiness) if heat == 0 => readiness.wait().await,
            _ => false,
        };
        if !found {
            ticker.tick().await;
        }
    }
}

impl Core {
    fn pass(&self, running: &RunningFlow) -> Pass {
        let start_ns = clock::monotonic_ns();
        let pass = running
            .flow
            .borrow_mut()
            .pass(&mut self.buffers.borrow_mut(), start_ns);
        if pass.received > 0 {
            self.packets_received
                .set(self.packets_received.get() + pass.received);
            self.packets_sent.set(self.packets_sent.get() + pass.sent);
            let took_ns = clock::monotonic_ns().saturating_sub(start_ns);
            self.longest_pass_ns
                .set(self.longest_pass_ns.get().max(took_ns));
        }
        pass
    }
}
