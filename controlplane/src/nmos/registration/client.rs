//! HTTP to registries, on a thread of its own: nothing that a registry does holds up anybody else.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use ureq::Agent;
use ureq::http::header::{CONTENT_TYPE, LOCATION};
use ureq::unversioned::transport::DefaultConnector;

mod roots;
mod route;

pub(in crate::nmos) use roots::tls_config;
use route::Route;

use super::machine::{Answer, Call, Verb};
use super::registry::{Registry, shortened};

/// Calls registries, one call after the other.
#[derive(Debug)]
pub(super) struct Client {
    calls: SyncSender<Call>,
    answers: mpsc::Receiver<Answer>,
}

impl Client {
    /// Starts its thread, which ends with the client, after the call that is under way.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub(super) fn start() -> io::Result<Self> {
        let (calls, thread_calls) = sync_channel(CALLS_MAX);
        let (thread_answers, answers) = mpsc::channel(CALLS_MAX);
        std::thread::Builder::new()
            .name("nmos-registry".to_owned())
            .spawn(move || work(&thread_calls, &thread_answers))?;
        Ok(Self { calls, answers })
    }

    /// Makes a call; [`answer`](Self::answer) has the answer within [`PATIENCE`]. False when there is no thread to
    /// make it.
    pub(super) fn call(&self, call: Call) -> bool {
        self.calls.try_send(call).is_ok()
    }

    /// The answer to the call that is under way. It may be asked for again when it was not waited for.
    pub(super) async fn answer(&mut self) -> Answer {
        let answer = self.answers.recv().await;
        answer.unwrap_or_else(|| Answer::Failed("the HTTP client has ended".to_owned()))
    }
}

fn work(calls: &Receiver<Call>, answers: &mpsc::Sender<Answer>) {
    let mut connection: Option<(Arc<Registry>, Agent)> = None;
    while let Ok(call) = calls.recv() {
        let known = connection.take();
        let known = known.filter(|(registry, _)| registry.is_same(&call.registry));
        let answer = match known.map_or_else(|| agent(&call.registry), |(_, agent)| Ok(agent)) {
            Ok(agent) => {
                let answer = perform(&agent, &call);
                // After a failure the certificates that are trusted are read again: it may be due to them.
                if matches!(answer, Answer::Status { .. }) {
                    connection = Some((call.registry, agent));
                }
                answer
            }
            Err(reason) => Answer::Failed(reason),
        };
        if answers.blocking_send(answer).is_err() {
            return;
        }
    }
}

fn agent(registry: &Registry) -> Result<Agent, String> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // A registry is on the network of this node, whatever the environment says.
        .proxy(None)
        .timeout_global(Some(PATIENCE))
        // A registry that was restarted leaves dead connections behind, and one of those must not look like a failure.
        .max_idle_connections(0)
        .user_agent(concat!("bilbycast-edge/", env!("CARGO_PKG_VERSION")));
    if registry.is_tls() {
        config = config.tls_config(tls_config()?);
    }
    let route = Route::new(registry.addresses());
    Ok(Agent::with_parts(
        config.build(),
        DefaultConnector::default(),
        route,
    ))
}

/// A resource as the Registration API takes it.
#[derive(Serialize)]
struct Registered<'a> {
    r#type: &'static str,
    data: &'a Value,
}

fn perform(agent: &Agent, call: &Call) -> Answer {
    let result = match (call.verb, &call.body) {
        (Verb::Delete, _) => agent.delete(&call.url).call(),
        (Verb::Post, None) => agent.post(&call.url).send_empty(),
        (Verb::Post, Some(resource)) => {
            let body = Registered {
                r#type: resource.kind().singular(),
                data: resource.json(),
            };
            match serde_json::to_vec(&body) {
                Ok(body) => {
                    let request = agent.post(&call.url);
                    request.header(CONTENT_TYPE, "application/json").send(body)
                }
                Err(error) => return Answer::Failed(error.to_string()),
            }
        }
    };
    let mut response = match result {
        Ok(response) => response,
        Err(error) => return Answer::Failed(shortened(&error.to_string())),
    };
    let code = response.status().as_u16();
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|value| value.to_str().ok());
    let location = location.map(shortened);
    // A good answer says it all with its status.
    let detail = match code {
        400.. => detail(response.body_mut()),
        _ => String::new(),
    };
    Answer::Status {
        code,
        location,
        detail,
    }
}

/// What the body of an error says; nothing when it says nothing that can be read, or too much.
fn detail(body: &mut ureq::Body) -> String {
    let bytes = body.with_config().limit(BODY_BYTES_MAX).read_to_vec();
    let body: Value = serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default();
    let told = |field: &str| body[field].as_str().filter(|text| !text.is_empty());
    let text = match (told("error"), told("debug")) {
        (Some(error), Some(debug)) => format!("{error}: {debug}"),
        (Some(text), None) | (None, Some(text)) => text.to_owned(),
        (None, None) => String::new(),
    };
    shortened(&text)
}

/// One is under way at a time.
const CALLS_MAX: usize = 1;

/// How long a registry may take over an answer. Two in a row that never answer still leave the third one time for a
/// heartbeat before the registration expires (12 s, of which 5 s lie between heartbeats).
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Longest body of an answer that is read.
const BODY_BYTES_MAX: u64 = 64 << 10;
