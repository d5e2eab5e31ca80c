//! What parameters may be (IS-05 v1.1, `/constraints`).

use serde::Serialize;
use serde_json::Value;

use super::params::{Leg, Reach};

/// What a parameter may be. `auto` and null, where a parameter takes them, are never listed and always legal.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Constraint {
    /// Least value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<u64>,
    /// Largest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<u64>,
    /// All values.
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Value>>,
}

impl Constraint {
    /// From `minimum` to `maximum`.
    #[must_use]
    pub const fn range(minimum: u64, maximum: u64) -> Self {
        Self {
            minimum: Some(minimum),
            maximum: Some(maximum),
            values: None,
        }
    }

    /// One of `values`; anything when there are none, for an empty list is none that a schema allows.
    #[must_use]
    pub fn one_of(values: Vec<Value>) -> Self {
        Self {
            minimum: None,
            maximum: None,
            values: (!values.is_empty()).then_some(values),
        }
    }

    /// A port of media: those that need no privileges and leave room for FEC, and the `configured` one.
    #[must_use]
    pub fn port(configured: Option<u16>) -> Self {
        let configured = configured.filter(|port| *port != 0);
        let minimum = configured.map_or(PORT_MIN, |port| port.min(PORT_MIN));
        let maximum = configured.map_or(PORT_MAX, |port| port.max(PORT_MAX));
        Self::range(minimum.into(), maximum.into())
    }

    /// Why `value`, which has the type of the parameter, is not legal.
    #[must_use]
    pub fn objection(&self, value: &Value) -> Option<String> {
        if value.is_null() || value == "auto" {
            return None;
        }
        if let Some(number) = value.as_u64() {
            let (minimum, maximum) = (self.minimum.unwrap_or(0), self.maximum.unwrap_or(u64::MAX));
            if !(minimum..=maximum).contains(&number) {
                return Some(format!("it has to be from {minimum} to {maximum}"));
            }
        }
        match &self.values {
            Some(values) if !values.contains(value) => {
                let shown: Vec<_> = values.iter().map(Value::to_string).collect();
                Some(format!("it has to be one of {}", shown.join(", ")))
            }
            _ => None,
        }
    }
}

/// The constraints of every parameter of every leg, as JSON.
#[must_use]
pub fn constraints<L: Leg>(legs: &[L], reach: &Reach) -> Value {
    let legs = legs.iter().map(|leg| {
        let parameters = L::parameters().iter().map(|parameter| {
            let constraint = leg.constraint(parameter.name, reach);
            let constraint = serde_json::to_value(constraint).unwrap_or_default();
            (parameter.name.to_owned(), constraint)
        });
        Value::Object(parameters.collect())
    });
    Value::Array(legs.collect())
}

const PORT_MIN: u16 = 1_024;

const PORT_MAX: u16 = u16::MAX - super::params::ROW_FEC_OFFSET;
