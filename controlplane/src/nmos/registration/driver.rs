//! The machine's clock, sockets and voice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::client::Client;
use super::discovery::{Discovery, Finding};
use super::machine::{Answer, Machine, Output};
use super::settings::{Settings, Way, nics, peer};
use super::voice::Voice;
use super::{Posted, State};
use crate::nmos::Nmos;
use crate::nmos::resources::Model;

/// Keeps the node registered as its configuration of the moment says, until `end` says otherwise.
pub(super) async fn run(nmos: Arc<Nmos>, mut end: watch::Receiver<bool>) {
    let mut voice = Voice::new(Instant::now());
    loop {
        let settings = current_settings(&nmos);
        let has_ended = match settings.way {
            Way::Off => rest(&nmos, &settings, &mut end).await,
            _ => {
                Session::start(&nmos, settings, &mut voice)
                    .run(&mut end)
                    .await
            }
        };
        if has_ended {
            return;
        }
    }
}

/// Nothing to do, until that changes; true at the end.
async fn rest(nmos: &Nmos, settings: &Settings, end: &mut watch::Receiver<bool>) -> bool {
    nmos.registration.post(Posted {
        mode: settings.way.mode(),
        state: State::Off,
        registry: None,
        last_heartbeat: None,
        reason: None,
        registries: Vec::new(),
        refused: Vec::new(),
        refused_total: 0,
    });
    let mut look = ticks();
    loop {
        tokio::select! {
            () = ended(end) => return true,
            _ = look.tick() => {}
        }
        if current_settings(nmos) != *settings {
            return false;
        }
    }
}

/// One way of being registered, from its beginning to the deletion from the registry.
struct Session<'a> {
    nmos: &'a Nmos,
    voice: &'a mut Voice,
    settings: Settings,
    machine: Machine,
    client: Option<Client>,
    is_calling: bool,
    discovery: Discovery,
    models: watch::Receiver<Arc<Model>>,
}

impl<'a> Session<'a> {
    fn start(nmos: &'a Nmos, settings: Settings, voice: &'a mut Voice) -> Self {
        let models = nmos.subscribe();
        let model = nmos.model();
        let discovery = Discovery::start(&settings, &nics(model.config(), &model));
        Self {
            nmos,
            voice,
            machine: Machine::new(settings.identity(), model, Instant::now()),
            settings,
            client: None,
            is_calling: false,
            discovery,
            models,
        }
    }

    /// True when the end came, false when the configuration asks for something else.
    async fn run(mut self, end: &mut watch::Receiver<bool>) -> bool {
        let mut look = ticks();
        let mut has_ended = false;
        let mut give_up_at: Option<Instant> = None;
        loop {
            let Some(wait) = self.pump().await else {
                break;
            };
            self.post();
            let is_leaving = give_up_at.is_some();
            tokio::select! {
                () = ended(end), if !has_ended => {
                    has_ended = true;
                    self.machine.handle_end(Instant::now());
                    give_up_at.get_or_insert_with(|| Instant::now() + LEAVE_PATIENCE);
                }
                () = until(give_up_at), if is_leaving => {
                    tracing::warn!("NMOS: the registry has not been told everything in time; leaving it");
                    break;
                }
                answer = answer(&mut self.client), if self.is_calling => {
                    self.is_calling = false;
                    self.machine.handle_answer(answer, Instant::now());
                }
                finding = self.discovery.next(), if !is_leaving => self.take(finding),
                Ok(()) = self.models.changed(), if !is_leaving => {
                    let model = Arc::clone(&self.models.borrow_and_update());
                    self.machine.handle_model(model, Instant::now());
                }
                () = until(wait) => self.machine.handle_timeout(Instant::now()),
                _ = look.tick(), if !is_leaving => {
                    if current_settings(self.nmos) != self.settings {
                        self.machine.handle_end(Instant::now());
                        give_up_at = Some(Instant::now() + LEAVE_PATIENCE);
                    } else {
                        let model = self.models.borrow().clone();
                        self.discovery.use_nics(&nics(model.config(), &model));
                    }
                }
            }
        }
        self.discovery.end().await;
        has_ended
    }

    /// Does all that the machine wants; until when there is nothing more to do, or `None` when it has ended.
    async fn pump(&mut self) -> Option<Option<Instant>> {
        loop {
            match self.machine.poll_output() {
                Output::Advertise(counters) => {
                    let model = self.nmos.model();
                    self.discovery
                        .advertise(&peer(model.config(), &model, counters));
                }
                Output::Ended => return None,
                Output::Send(call) => {
                    let client = match self.client.take() {
                        Some(client) => Ok(client),
                        None => Client::start(),
                    };
                    match client {
                        Ok(client) if client.call(call) => {
                            self.client = Some(client);
                            self.is_calling = true;
                        }
                        // The next call gets a thread of its own.
                        Ok(_) => self.fail("the HTTP client has ended"),
                        Err(error) => self.fail(&format!("no thread for HTTP: {error}")),
                    }
                }
                Output::Tell(report) => self.voice.tell(self.nmos, &report, Instant::now()),
                Output::Wait(until) => return Some(until),
                Output::Withdraw => self.discovery.withdraw().await,
            }
        }
    }

    fn fail(&mut self, reason: &str) {
        let answer = Answer::Failed(reason.to_owned());
        self.machine.handle_answer(answer, Instant::now());
    }

    fn take(&mut self, finding: Finding) {
        let now = Instant::now();
        match finding {
            Finding::Adverts(adverts) => self.machine.handle_adverts(&adverts, now),
            Finding::Registry(registry) => self.machine.handle_registries(vec![registry], now),
            Finding::Trouble(trouble) => self.machine.handle_trouble(trouble, now),
        }
    }

    fn post(&self) {
        let (refused, refused_total) = self.machine.refused();
        self.nmos.registration.post(Posted {
            mode: self.settings.way.mode(),
            state: self.machine.state(),
            registry: self.machine.registry().map(ToString::to_string),
            last_heartbeat: self.machine.last_heartbeat(),
            reason: self.machine.reason(),
            registries: self.machine.seen(),
            refused,
            refused_total,
        });
    }
}

fn current_settings(nmos: &Nmos) -> Settings {
    Settings::of(&nmos.node().config(), &nmos.model())
}

async fn answer(client: &mut Option<Client>) -> Answer {
    match client {
        Some(client) => client.answer().await,
        None => std::future::pending().await,
    }
}

/// Whoever lets go of the other side wants the end too.
async fn ended(end: &mut watch::Receiver<bool>) {
    let _ = end.wait_for(|end| *end).await;
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(LOOK_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// How late a change of the configuration, or of the interfaces, may be seen.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// How long the registry has at the end, a call that is under way included.
const LEAVE_PATIENCE: Duration = Duration::from_millis(1_800);
