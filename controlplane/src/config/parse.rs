//! From a JSON document to a legal configuration.

mod environment;
mod flow;
mod input;
mod kept;
mod leg;
mod manager;
mod nmos;
mod output;
mod server;
mod srt;
mod srt_filter;
mod stream;
mod tunnel;
mod url;
mod webrtc;

use std::collections::HashMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::error::{ConfigError, FieldError, Place, Problem};
use super::model::{
    AppConfig, FLOWS_MAX, FlowConfig, OutputConfig, TunnelConfig, VERSION, flow_owner,
};
use super::raw::{Object, UnknownFields};

pub use environment::Environment;

/// A legal value, and what in its document nobody knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<T> {
    /// The value.
    pub value: T,
    /// Fields that were ignored (configuration.md 9.3).
    pub unknown: UnknownFields,
}

/// The whole configuration, in the environment of this process.
///
/// What may be left out because it never leaves the node, so that an answer of the API can be sent back, is taken from
/// `current`: `node_id`, `server.auth`, `server.tls`, and the secrets of the manager link and of each tunnel with the
/// same id. An explicit `null` removes it (configuration.md 9.1); `node_id` cannot be removed.
///
/// # Errors
///
/// [`ConfigError::Field`] for the first field that is wrong.
pub fn parse_app(document: Value, current: &AppConfig) -> Result<Parsed<AppConfig>, ConfigError> {
    parse_app_in(document, current, Environment::of_this_process())
}

/// As [`parse_app`], in an `environment` of the caller's choice.
///
/// # Errors
///
/// As [`parse_app`].
pub fn parse_app_in(
    document: Value,
    current: &AppConfig,
    environment: Environment,
) -> Result<Parsed<AppConfig>, ConfigError> {
    let mut unknown = UnknownFields::default();
    let mut object = Object::new(document, Place::default())?;
    let version = object.integer("version", VERSION..=VERSION)?;
    let value = AppConfig {
        version: object.required("version", version)?,
        node_id: object
            .parsed("node_id", "a UUID")?
            .unwrap_or(current.node_id),
        device_name: object.text("device_name", 0..=NAME_CHARS_MAX)?,
        setup_enabled: object.flag("setup_enabled")?,
        server: server::server(&mut object, &current.server, &mut unknown)?,
        monitor: server::monitor(&mut object, &mut unknown)?,
        manager: manager::manager(
            &mut object,
            current.manager.as_ref(),
            environment,
            &mut unknown,
        )?,
        nmos: nmos::nmos(&mut object, &mut unknown)?,
        flows: flows(&mut object, &mut unknown)?,
        tunnels: tunnel::tunnels(&mut object, &current.tunnels, &mut unknown)?,
    };
    object.finish(&mut unknown);
    Ok(Parsed { value, unknown })
}

/// A flow, the body of POST and PUT; `path_id`, from the path of a PUT, wins over the `id` of the body.
///
/// # Errors
///
/// [`ConfigError::Field`] for the first field that is wrong.
pub fn parse_flow(
    document: Value,
    path_id: Option<&str>,
) -> Result<Parsed<FlowConfig>, ConfigError> {
    let mut unknown = UnknownFields::default();
    let mut object = Object::new(document, Place::default())?;
    if let Some(id) = path_id {
        object.replace("id", Value::from(id));
    }
    let value = flow::flow(object, &mut unknown)?;
    Ok(Parsed { value, unknown })
}

/// An output, the body of a POST to the outputs of the flow with this id, which messages name.
///
/// Whether the flow has room for it and no output with the same id is for the caller to see.
///
/// # Errors
///
/// [`ConfigError::Field`] for the first field that is wrong.
pub fn parse_output(document: Value, flow_id: &str) -> Result<Parsed<OutputConfig>, ConfigError> {
    let mut unknown = UnknownFields::default();
    let place = Place {
        owner: flow_owner(flow_id),
        path: String::new(),
    };
    let value = output::output(Object::new(document, place)?, &mut unknown)?;
    Ok(Parsed { value, unknown })
}

/// A tunnel, the body of a POST to the tunnels.
///
/// Whether the node has room for it and no tunnel with the same id is for the caller to see.
///
/// # Errors
///
/// [`ConfigError::Field`] for the first field that is wrong; [`FieldError::bare`] is the text of the API.
pub fn parse_tunnel(document: Value) -> Result<Parsed<TunnelConfig>, ConfigError> {
    let mut unknown = UnknownFields::default();
    let value = tunnel::tunnel(Object::new(document, Place::default())?, &mut unknown)?;
    Ok(Parsed { value, unknown })
}

/// Longest name, in characters (configuration.md 17).
const NAME_CHARS_MAX: usize = 256;

/// Longest URL, in characters (configuration.md 17).
const URL_CHARS_MAX: usize = 2_048;

/// Longest token, in characters (configuration.md 17).
const TOKEN_CHARS_MAX: usize = 4_096;

/// Lengths of a credential of a flow that has no rule of its own, in characters.
const CREDENTIAL_CHARS: RangeInclusive<usize> = 1..=TOKEN_CHARS_MAX;

/// Timeouts and delays in seconds: none that ends at once, and none beyond a day.
const SECONDS: RangeInclusive<u64> = 1..=86_400;

fn flows(object: &mut Object, unknown: &mut UnknownFields) -> Result<Vec<FlowConfig>, ConfigError> {
    let values = object.list("flows")?.unwrap_or_default();
    at_most(object, "flows", values.len(), FLOWS_MAX, "a node")?;
    let mut ids = Ids::default();
    let mut flows = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let element = Object::new(value, object.place_of_element("flows", index, ""))?;
        let flow = flow::flow(element, unknown)?;
        ids.insert(object, "flows", index, &flow.id, &flow.owner())?;
        flows.push(flow);
    }
    Ok(flows)
}

/// Refuses a `list` that is longer than `owner` may have.
fn at_most(
    object: &Object,
    list: &str,
    length: usize,
    length_max: usize,
    owner: &str,
) -> Result<(), ConfigError> {
    if length <= length_max {
        return Ok(());
    }
    let found = format!("a list of {length}");
    let rule = format!("{owner} has at most {length_max} {list}");
    Err(object.error(list, Problem::rule(found, rule)))
}

/// The ids of a list, to find the one that comes twice.
#[derive(Default)]
struct Ids(HashMap<String, usize>);

impl Ids {
    fn insert(
        &mut self,
        object: &Object,
        list: &str,
        index: usize,
        id: &str,
        owner: &str,
    ) -> Result<(), ConfigError> {
        match self.0.insert(id.to_owned(), index) {
            None => Ok(()),
            Some(first) => Err(FieldError {
                place: object.place_of_element(list, index, owner),
                field: "id".to_owned(),
                problem: Problem::rule(Value::from(id), format!("{list}[{first}] has the same id")),
            }
            .into()),
        }
    }
}
