//! Why a configuration is refused, in words that name the culprit.

use std::fmt;

use serde_json::Value;

use super::ports::PortConflict;

/// Where in a document something stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// For people: `flow 'main', output 'out-1'`; empty at the top level of the configuration.
    pub owner: String,
    /// For programs and editors: `flows[2].outputs[0]`; empty at the root of the document.
    pub path: String,
}

impl Place {
    /// The path of `field` here.
    #[must_use]
    pub fn path_of(&self, field: &str) -> String {
        if self.path.is_empty() {
            field.to_owned()
        } else {
            format!("{}.{field}", self.path)
        }
    }

    /// An object inside this one, named `owner`.
    #[must_use]
    pub fn inside(&self, field: &str, owner: &str) -> Self {
        let owner = match (self.owner.is_empty(), owner.is_empty()) {
            (true, _) => owner.to_owned(),
            (false, true) => self.owner.clone(),
            (false, false) => format!("{}, {owner}", self.owner),
        };
        Self {
            owner,
            path: self.path_of(field),
        }
    }
}

/// Why a configuration is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// One field is wrong.
    #[error(transparent)]
    Field(Box<FieldError>),
    /// Two sockets would want the same port.
    #[error(transparent)]
    PortConflict(Box<PortConflict>),
}

impl ConfigError {
    /// What `details.error_code` of an event or a manager's answer says (configuration.md 13).
    #[must_use]
    pub const fn error_code(&self) -> &'static str {
        match self {
            Self::Field(_) => "validation_error",
            Self::PortConflict(_) => "port_conflict",
        }
    }
}

impl From<FieldError> for ConfigError {
    fn from(error: FieldError) -> Self {
        Self::Field(Box::new(error))
    }
}

impl From<PortConflict> for ConfigError {
    fn from(error: PortConflict) -> Self {
        Self::PortConflict(Box::new(error))
    }
}

/// One field that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldError {
    /// The object that holds it.
    pub place: Place,
    /// Its name.
    pub field: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// It must be there.
    Missing,
    /// It must be there because of what else is there.
    Required {
        /// What demands it: `relay mode`.
        by: String,
    },
    /// It has another type or lies outside its range.
    Unexpected {
        /// The value, shortened.
        found: String,
        /// What would be legal.
        expected: String,
    },
    /// It is a secret that is not what it should be; its value appears nowhere.
    Secret {
        /// What would be legal.
        expected: String,
    },
    /// The value is legal by itself and breaks a rule.
    Rule {
        /// The value, shortened.
        found: String,
        /// The rule.
        rule: String,
    },
    /// It names a type that is legal and that this version cannot run.
    UnsupportedType {
        /// `input` or `output`.
        of: &'static str,
        /// The type.
        type_name: &'static str,
    },
}

impl Problem {
    /// The value `found` where something else was expected.
    pub fn unexpected(found: &Value, expected: impl Into<String>) -> Self {
        Self::Unexpected {
            found: shortened(found),
            expected: expected.into(),
        }
    }

    /// The value `found` breaks `rule`.
    pub fn rule(found: impl fmt::Display, rule: impl Into<String>) -> Self {
        Self::Rule {
            found: found.to_string(),
            rule: rule.into(),
        }
    }
}

impl FieldError {
    /// Field and problem alone, for an answer to somebody who sent one object: `name is missing`.
    #[must_use]
    pub fn bare(&self) -> String {
        let field = &self.field;
        match &self.problem {
            Problem::Missing => format!("{field} is missing"),
            Problem::Required { by } => format!("{field} is required for {by}"),
            Problem::Rule { found, rule } => format!("{field} is {found}; {rule}"),
            Problem::Secret { expected } => {
                format!("{field} has a value that is not shown, expected {expected}")
            }
            Problem::Unexpected { found, expected } => {
                format!("{field} is {found}, expected {expected}")
            }
            Problem::UnsupportedType { of, type_name } => {
                format!("{of} type '{type_name}' cannot be run by this version")
            }
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { owner, .. } = &self.place;
        if !owner.is_empty() {
            write!(out, "{owner}: ")?;
        }
        out.write_str(&self.bare())?;
        let path = self.place.path_of(&self.field);
        if path == self.field {
            Ok(())
        } else {
            write!(out, " (at {path})")
        }
    }
}

impl std::error::Error for FieldError {}

/// The value as JSON, cut to what a person can read in one line.
fn shortened(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => {
            let mut text = scalar.to_string();
            if text.len() > VALUE_BYTES_MAX {
                text.truncate(text.floor_char_boundary(VALUE_BYTES_MAX));
                text.push_str("...");
            }
            text
        }
    }
}

/// Longest echo of a value in a message.
const VALUE_BYTES_MAX: usize = 80;
