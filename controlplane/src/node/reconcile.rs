//! Bringing a data plane that was away, or that ran while this process was away, to the configuration
//! (configuration.md 9.2).

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::Node;
use super::apply::Plan;
use super::runs::{Owed, Runs};
use super::tell::Failure;
use crate::config::{AppConfig, flow_spec};
use crate::link::{LinkError, LinkState, Session};

/// Reconciles at every new connection, and tries failed flows again, for as long as the node lives.
pub(super) async fn supervise(node: Weak<Node>, mut link: watch::Receiver<LinkState>) {
    let mut retry = interval(RETRY_PERIOD);
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_news = tokio::select! {
            changed = link.changed() => match changed {
                Ok(()) => true,
                Err(_) => return,
            },
            _ = retry.tick() => false,
        };
        let Some(node) = node.upgrade() else {
            return;
        };
        if !is_news {
            node.retry_failed().await;
            continue;
        }
        let state = link.borrow_and_update().clone();
        match state {
            LinkState::Connected(session) => {
                node.placement.keep_off(&session.welcome().cores);
                drop(node.turn().await);
            }
            LinkState::Lost { .. } => node.update_runs(Runs::lose),
        }
    }
}

impl Node {
    /// Brings the data plane of a new session to the configuration.
    pub(super) async fn reconcile(&self, session: &Session) -> Result<(), LinkError> {
        let list = session.list().await?;
        let config = self.config();
        let mut earlier = (*self.runs()).clone();
        earlier.begin(session.number(), list.clone());
        let running = list.running.len();
        let plan = plan(&config, &earlier);
        self.update_runs(|runs| runs.begin(session.number(), list));
        let (stops, applies) = (plan.stops.len(), plan.applies.len());
        let failed = self.settle(session, plan).await?;
        self.update_runs(Runs::settle_debts);
        tracing::info!(
            "reconciled: {running} flows ran, {stops} stopped, {applies} started or changed, {} failed",
            failed.0.len()
        );
        if stops + applies > 0 {
            self.tell_reconciled(applies - failed.0.len().min(applies), stops, failed.0.len());
        }
        Ok(())
    }

    /// Tries again what could not be brought to its configuration: an address in use may have become free.
    async fn retry_failed(&self) {
        if self.runs().failed().is_empty() {
            return;
        }
        let (_turn, session) = self.turn().await;
        let Some(session) = session else {
            return;
        };
        let config = self.config();
        let mut plan = Plan::default();
        let runs = self.runs();
        for flow_id in runs.failed().keys() {
            match config.flow(flow_id) {
                Some(flow) if !flow.enabled && runs.flows().contains_key(flow_id) => {
                    plan.stops.push(flow_id.clone());
                }
                Some(flow) => match flow_spec(flow, config.wrap_payload_type()) {
                    Ok(spec) => plan.applies.push(spec),
                    Err(error) => plan.impossible.push(Failure::impossible(flow_id, &error)),
                },
                None => plan.stops.push(flow_id.clone()),
            }
        }
        let tried = runs.failed().len();
        match self.settle(&session, plan).await {
            Ok(failed) if failed.0.len() < tried => {
                tracing::info!("{} of {tried} failed flows run now", tried - failed.0.len());
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("failed flows were not tried again: {error}"),
        }
    }
}

/// What to do, flow by flow, about a data plane that runs what `runs` says.
fn plan(config: &AppConfig, runs: &Runs) -> Plan {
    let mut plan = Plan {
        may_interrupt: true,
        ..Plan::default()
    };
    for flow_id in runs.flows().keys() {
        if config.flow(flow_id).is_none() {
            plan.stops.push(flow_id.clone());
        }
    }
    for flow in &config.flows {
        let is_running = runs.flows().contains_key(&flow.id);
        let owed = runs.owed().get(&flow.id).copied();
        let shall_run = match owed {
            Some(Owed::Start) => true,
            Some(Owed::Stop) => false,
            None => is_running || (flow.enabled && !runs.is_stopped_by_operator(&flow.id)),
        };
        if !shall_run {
            if is_running {
                plan.stops.push(flow.id.clone());
            }
            continue;
        }
        match flow_spec(flow, config.wrap_payload_type()) {
            Ok(spec) if runs.runs_as(&spec) => {}
            // It differs, so the rules for a change hold: a flow that is not enabled is stopped.
            Ok(_) if is_running && !flow.enabled && owed.is_none() => {
                plan.stops.push(flow.id.clone());
            }
            Ok(spec) => plan.applies.push(spec),
            Err(error) => plan.impossible.push(Failure::impossible(&flow.id, &error)),
        }
    }
    plan
}

/// Pause between two attempts at flows that failed.
const RETRY_PERIOD: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
