//! The calls to a registry, one at a time.

use std::sync::Arc;
use std::time::Instant;

use super::super::registry::API_VERSION;
use super::{Call, HEARTBEAT_PERIOD, Job, Machine, Output, Step, UnderWay, Verb};
use crate::nmos::resources::Resource;

impl Machine {
    pub(super) fn send_heartbeat(&mut self, now: Instant) {
        self.heartbeat_at = Some(now + HEARTBEAT_PERIOD);
        let path = format!("health/nodes/{}", self.identity.node_id);
        self.send(Verb::Post, API_VERSION, &path, None, Step::Heartbeat, now);
    }

    pub(super) fn send_node(&mut self, is_clean: bool, now: Instant) {
        self.withdraw();
        // The registry counts from here on, as it does from a heartbeat.
        self.heartbeat_at = Some(now + HEARTBEAT_PERIOD);
        let node = Arc::clone(self.model.node());
        let step = Step::Join {
            is_clean,
            node: Arc::clone(&node),
        };
        self.send(Verb::Post, API_VERSION, "resource", Some(node), step, now);
    }

    pub(super) fn send_delete_node(&mut self, version: &str, step: Step, now: Instant) {
        let path = format!("resource/nodes/{}", self.identity.node_id);
        self.send(Verb::Delete, version, &path, None, step, now);
    }

    pub(super) fn send_job(&mut self, job: Job, now: Instant) {
        let (verb, path, body) = match &job {
            Job::Delete(kind, id) => {
                let path = format!("resource/{}/{id}", kind.plural());
                (Verb::Delete, path, None)
            }
            Job::Post(resource) => {
                let path = "resource".to_owned();
                (Verb::Post, path, Some(Arc::clone(resource)))
            }
        };
        self.send(verb, API_VERSION, &path, body, Step::Job(job), now);
    }

    fn send(
        &mut self,
        verb: Verb,
        version: &str,
        path: &str,
        body: Option<Arc<Resource>>,
        step: Step,
        now: Instant,
    ) {
        let Some(registry) = self.current.clone() else {
            return;
        };
        self.under_way = Some(UnderWay { step, sent_at: now });
        self.outputs.push_back(Output::Send(Call {
            verb,
            url: registry.url(version, path),
            body,
            registry,
        }));
    }
}
