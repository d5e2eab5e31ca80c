//! When a flow looks at its input.
//!
//! A quiet flow waits on the ring until a datagram is there, which costs nothing while none is. A busy flow is looked at
//! on a tick that all busy flows of the core share: from about five hundred datagrams a second on that costs less than
//! waiting for each of them, and their batches grow with the rate.
//!
//! While all flows of a core are busy, its thread sleeps in the kernel by itself between most ticks instead of on the ring,
//! for a sleep on the ring costs glommio six system calls and a memory barrier: measured at 100,000 datagrams/s, a fifth of
//! all that the core does. At every eighth tick, and at every tick while a quiet flow shares the core, it sleeps on the
//! ring, so that a datagram for a quiet flow wakes it at once.

use std::rc::Rc;

use super::bell::Bell;
use super::{Core, RunningFlow};
use crate::flow::Pass;
use crate::net::clock;
use crate::net::readiness::{Readiness, Ticker, let_others_run};

/// Datagrams that are less than so many ticks apart make a flow busy.
const BUSY_GAP_TICKS: u64 = 4;

/// A busy flow becomes quiet when so many ticks in a row found nothing.
const QUIET_AFTER_TICKS: u32 = 8;

/// Ticks between two turns of the executor when all flows of the core are busy: 4 ms. Only commands, publishing and
/// the end wait for it.
const TICKS_BETWEEN_TURNS: u32 = 8;

/// Batches in a row that a core under full load carries before the executor gets a turn.
const BATCHES_BETWEEN_TURNS: u32 = 8;

/// Watches one socket of a flow and carries the flow while it is quiet; hands it to [`run_busy`] while it is busy. `index`:
/// which of its sockets.
pub(super) async fn run_quiet(
    core: Rc<Core>,
    running: Rc<RunningFlow>,
    index: usize,
    readiness: Readiness,
) {
    let mut ticker = Ticker::new(core.config.tick);
    let gap_ns = ticker.period_ns() * BUSY_GAP_TICKS;
    loop {
        if !readiness.wait().await {
            // The receive call below takes the error away; should it come back, it does not come in a circle.
            ticker.tick().await;
        }
        if !running.is_busy.get() {
            let now_ns = clock::monotonic_ns();
            let pass = core.pass(&running);
            let newest_ns = running.newest_ns.get();
            if pass.received > 0 {
                running.newest_ns.set(now_ns);
            }
            let is_dense = pass.received > 0 && now_ns - newest_ns < gap_ns;
            // What waits for its time has nothing but the ticks to be looked at.
            if pass.more || pass.pending || is_dense {
                core.make_busy(&running);
            }
        }
        if running.is_busy.get() {
            running.quiet_again[index].rung().await;
        }
    }
}

/// Carries all busy flows of the core, for ever.
pub(super) async fn run_busy(core: Rc<Core>) {
    let mut ticker = Ticker::new(core.config.tick);
    let mut ticks = 0;
    let mut batches = 0;
    loop {
        if core.busy.borrow().is_empty() {
            core.some_busy.rung().await;
            continue;
        }
        if core.pass_busy() {
            batches += 1;
            if batches >= BATCHES_BETWEEN_TURNS {
                batches = 0;
                let_others_run().await;
            }
            continue;
        }
        batches = 0;
        ticks += 1;
        if core.quiet.get() > 0 || ticks >= TICKS_BETWEEN_TURNS {
            ticks = 0;
            ticker.tick().await;
        } else {
            ticker.sleep_to_tick();
        }
    }
}

impl Core {
    /// From now on the flow is looked at on every tick.
    pub(super) fn make_busy(&self, running: &Rc<RunningFlow>) {
        running.empty_ticks.set(0);
        running.is_busy.set(true);
        self.busy.borrow_mut().push(Rc::clone(running));
        if running.waits {
            self.quiet.set(self.quiet.get() - 1);
        }
        self.some_busy.ring();
    }

    /// Gives a quiet flow with timers its turn: what comes late by a tenth of a second is on time there.
    pub(super) fn look_by_the_clock(&self, running: &Rc<RunningFlow>) {
        if running.is_busy.get() || !running.flow.borrow().has_timers() {
            return;
        }
        let pass = self.pass(running);
        // A flow without a socket of its own to wait on becomes busy as well, and quiet again.
        if pass.more || pass.pending {
            self.make_busy(running);
        }
    }

    /// One pass of every busy flow. True when some has more waiting.
    fn pass_busy(&self) -> bool {
        let mut more = false;
        self.busy.borrow_mut().retain(|running| {
            let pass = self.pass(running);
            more |= pass.more;
            running
                .empty_ticks
                .set(if pass.received > 0 || pass.pending {
                    0
                } else {
                    running.empty_ticks.get() + 1
                });
            let stays = running.is_always_busy || running.empty_ticks.get() < QUIET_AFTER_TICKS;
            if !stays {
                self.quiet
                    .set(self.quiet.get() + usize::from(running.waits));
                running.is_busy.set(false);
                running.quiet_again.iter().for_each(Bell::ring);
            }
            stays
        });
        more
    }

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
