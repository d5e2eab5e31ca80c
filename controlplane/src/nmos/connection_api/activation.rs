//! When what is staged becomes active (IS-05 v1.1, "Activation").

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::error::ConnectionError;
use crate::nmos::tai::Tai;

/// What a request says of activation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wish {
    /// Now.
    Immediate,
    /// At this moment.
    Absolute(Tai),
    /// So much later than now.
    Relative(Duration),
    /// Not at all: one that is scheduled is cancelled.
    Cancel,
}

/// How an activation was, or is to be, brought about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// At once.
    Immediate,
    /// At a moment.
    Absolute,
    /// After an offset.
    Relative,
}

/// An activation that waits for its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scheduled {
    /// Absolute or relative.
    pub mode: Mode,
    /// As it was asked for: a moment, or an offset in the form of one.
    pub requested: Tai,
    /// When it happens.
    pub due: Tai,
}

/// An activation that has happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Happened {
    /// How it was brought about.
    pub mode: Mode,
    /// What was asked for, unless it was immediate.
    pub requested: Option<Tai>,
    /// When it happened.
    pub at: Tai,
}

impl Mode {
    /// As IS-05 names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "activate_immediate",
            Self::Absolute => "activate_scheduled_absolute",
            Self::Relative => "activate_scheduled_relative",
        }
    }

    /// The mode with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Immediate, Self::Absolute, Self::Relative]
            .into_iter()
            .find(|mode| mode.as_str() == name)
    }
}

impl Scheduled {
    /// The `activation` of a staged endpoint.
    #[must_use]
    pub fn to_json(self) -> Value {
        shown(Some(self.mode), Some(self.requested), Some(self.due))
    }

    /// The one that `saved`, once [`Self::to_json`], was.
    #[must_use]
    pub fn restore(saved: &Value) -> Option<Self> {
        Some(Self {
            mode: Mode::named(saved["mode"].as_str()?)?,
            requested: saved["requested_time"].as_str()?.parse().ok()?,
            due: saved["activation_time"].as_str()?.parse().ok()?,
        })
    }
}

impl Happened {
    /// The `activation` of an active endpoint.
    #[must_use]
    pub fn to_json(self) -> Value {
        shown(Some(self.mode), self.requested, Some(self.at))
    }

    /// The one that `saved`, once [`Self::to_json`], was.
    #[must_use]
    pub fn restore(saved: &Value) -> Option<Self> {
        Some(Self {
            mode: Mode::named(saved["mode"].as_str()?)?,
            requested: saved["requested_time"]
                .as_str()
                .and_then(|time| time.parse().ok()),
            at: saved["activation_time"].as_str()?.parse().ok()?,
        })
    }
}

/// The `activation` of an endpoint where nothing was activated, or nothing waits.
#[must_use]
pub fn none() -> Value {
    shown(None, None, None)
}

/// What `activation` of a request wants; absent when it says nothing.
///
/// # Errors
///
/// [`ConnectionError::Invalid`].
pub fn wish(activation: Option<&Value>) -> Result<Option<Wish>, ConnectionError> {
    let Some(activation) = activation else {
        return Ok(None);
    };
    let Some(activation) = activation.as_object() else {
        return Err(unexpected("activation", activation, "an object"));
    };
    for key in activation.keys() {
        // Clients send back what they were shown.
        if !["mode", "requested_time", "activation_time"].contains(&key.as_str())
            || (key == "activation_time" && !activation[key].is_null())
        {
            let field = format!("activation.{}", key.escape_debug());
            return Err(ConnectionError::invalid(field, "there is no such field"));
        }
    }
    let mode = match activation.get("mode") {
        None => return Err(ConnectionError::invalid("activation.mode", "it is missing")),
        Some(Value::Null) => return Ok(Some(Wish::Cancel)),
        Some(mode) => mode.as_str().and_then(Mode::named).ok_or_else(|| {
            let expected = "\"activate_immediate\", \"activate_scheduled_absolute\", \
                            \"activate_scheduled_relative\" or null";
            unexpected("activation.mode", mode, expected)
        })?,
    };
    Ok(Some(match mode {
        Mode::Immediate => Wish::Immediate,
        Mode::Absolute => {
            let time = requested_time(activation)?.parse();
            Wish::Absolute(time.map_err(|error| ConnectionError::time(&error))?)
        }
        Mode::Relative => {
            let offset = Tai::parse_offset(requested_time(activation)?);
            Wish::Relative(offset.map_err(|error| ConnectionError::time(&error))?)
        }
    }))
}

fn requested_time(activation: &Map<String, Value>) -> Result<&str, ConnectionError> {
    let field = "activation.requested_time";
    match activation.get("requested_time") {
        Some(Value::String(time)) => Ok(time),
        None => Err(ConnectionError::invalid(
            field,
            "it is missing, a scheduled activation needs it",
        )),
        Some(other) => Err(unexpected(field, other, "\"<seconds>:<nanoseconds>\"")),
    }
}

/// A value of the wrong type.
pub(super) fn unexpected(field: &str, found: &Value, expected: &str) -> ConnectionError {
    ConnectionError::invalid(field, format!("{} is not {expected}", excerpt(found)))
}

/// What was sent, short enough for a message.
pub(super) fn excerpt(value: &Value) -> String {
    let text = match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    };
    let end = text.floor_char_boundary(EXCERPT_BYTES_MAX);
    let more = if end < text.len() { "..." } else { "" };
    format!("{}{more}", &text[..end])
}

const EXCERPT_BYTES_MAX: usize = 80;

fn shown(mode: Option<Mode>, requested: Option<Tai>, time: Option<Tai>) -> Value {
    json!({
        "mode": mode.map(Mode::as_str),
        "requested_time": requested.map(|time| time.to_string()),
        "activation_time": time.map(|time| time.to_string()),
    })
}
