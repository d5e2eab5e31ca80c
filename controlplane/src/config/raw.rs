//! A JSON object on its way to a validated type.
//!
//! Each field is taken out by name, typed and in range, or the error names owner, field, value and what would be
//! legal. What is left when the known fields are gone are the unknown ones. A derived `Deserialize` would stop at the
//! first wrong type without the owner's name, and would lose the paths inside the tagged inputs and outputs.

use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::error::{ConfigError, FieldError, Place, Problem};
use super::model::{Credential, Secret};

/// Paths of fields that nobody knows (configuration.md 9.3).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UnknownFields {
    paths: Vec<String>,
    more: usize,
}

impl UnknownFields {
    /// The paths, 64 at most; more are only counted.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// One warning for each.
    pub fn log(&self) {
        for path in &self.paths {
            tracing::warn!("unknown configuration field {path} is ignored");
        }
        if self.more > 0 {
            tracing::warn!(
                "{} more unknown configuration fields are ignored",
                self.more
            );
        }
    }

    fn push(&mut self, path: &str) {
        if self.paths.len() < UNKNOWN_MAX {
            // Keys come from outside; a line break in one must not forge a log line.
            self.paths.push(path.escape_debug().to_string());
        } else {
            self.more += 1;
        }
    }
}

/// An object whose fields are taken out one by one.
#[derive(Debug)]
pub(super) struct Object {
    fields: Map<String, Value>,
    place: Place,
}

impl Object {
    pub(super) fn new(value: Value, place: Place) -> Result<Self, ConfigError> {
        match value {
            Value::Object(fields) => Ok(Self { fields, place }),
            other => {
                let (parent, field) = match place.path.rsplit_once('.') {
                    Some((parent, field)) => (parent.to_owned(), field.to_owned()),
                    None if place.path.is_empty() => (String::new(), "document".to_owned()),
                    None => (String::new(), place.path.clone()),
                };
                let owner = String::new();
                Err(FieldError {
                    place: Place {
                        owner,
                        path: parent,
                    },
                    field,
                    problem: Problem::unexpected(&other, "an object"),
                }
                .into())
            }
        }
    }

    /// Where an element of a list in this object stands.
    pub(super) fn place_of_element(&self, list: &str, index: usize, owner: &str) -> Place {
        self.place.inside(&format!("{list}[{index}]"), owner)
    }

    /// Gives the object its name for people, once that is known.
    pub(super) fn set_owner(&mut self, owner: &str) {
        if !self.place.owner.is_empty() {
            self.place.owner.push_str(", ");
        }
        self.place.owner.push_str(owner);
    }

    /// Puts `value` in the place of what the document says.
    pub(super) fn replace(&mut self, field: &str, value: Value) {
        self.fields.insert(field.to_owned(), value);
    }

    pub(super) fn error(&self, field: &str, problem: Problem) -> ConfigError {
        FieldError {
            place: self.place.clone(),
            field: field.to_owned(),
            problem,
        }
        .into()
    }

    /// `value`, or the complaint that `field` is missing.
    pub(super) fn required<T>(&self, field: &str, value: Option<T>) -> Result<T, ConfigError> {
        value.ok_or_else(|| self.error(field, Problem::Missing))
    }

    /// The value as it stands, for the fields where JSON `null` means removal and absence does not.
    pub(super) fn value_or_null(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field)
    }

    /// Whether the document says anything of `field`, be it `null`.
    pub(super) fn mentions(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// The value as it stands; JSON `null` is the same as absence.
    pub(super) fn value(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    /// A string of so many characters.
    pub(super) fn text(
        &mut self,
        field: &str,
        chars: RangeInclusive<usize>,
    ) -> Result<Option<String>, ConfigError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) if chars.contains(&text.chars().count()) => Ok(Some(text)),
            Some(other) => Err(self.error(field, Problem::unexpected(&other, text_of(&chars)))),
        }
    }

    /// An infrastructure secret, which no message may show.
    pub(super) fn secret(
        &mut self,
        field: &str,
        expected: &str,
        is_legal: impl Fn(&str) -> bool,
    ) -> Result<Option<Secret>, ConfigError> {
        Ok(self
            .hidden_text(field, expected, is_legal)?
            .map(Secret::new))
    }

    /// A credential of a flow of so many characters, which no message may show.
    pub(super) fn credential(
        &mut self,
        field: &str,
        chars: RangeInclusive<usize>,
    ) -> Result<Option<Credential>, ConfigError> {
        let expected = text_of(&chars);
        let text = self.hidden_text(field, &expected, |text| {
            chars.contains(&text.chars().count())
        });
        Ok(text?.map(Credential::new))
    }

    fn hidden_text(
        &mut self,
        field: &str,
        expected: &str,
        is_legal: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, ConfigError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) if is_legal(&text) => Ok(Some(text)),
            Some(_) => {
                let expected = expected.to_owned();
                Err(self.error(field, Problem::Secret { expected }))
            }
        }
    }

    /// One of these words, and what it stands for.
    pub(super) fn word<T: Copy>(
        &mut self,
        field: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        match choices.iter().find(|(word, _)| value == *word) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                Err(self.error(field, Problem::unexpected(&value, one_of(&words))))
            }
        }
    }

    /// A string that [`FromStr`] understands; `expected` says what that is.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        field: &str,
        expected: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        match value.as_str().map(T::from_str) {
            Some(Ok(parsed)) => Ok(Some(parsed)),
            _ => Err(self.error(field, Problem::unexpected(&value, expected))),
        }
    }

    /// A boolean.
    pub(super) fn flag(&mut self, field: &str) -> Result<Option<bool>, ConfigError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.error(field, Problem::unexpected(&other, "true or false"))),
        }
    }

    /// An integer in `range`.
    pub(super) fn integer<T>(
        &mut self,
        field: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, ConfigError>
    where
        T: Copy + std::fmt::Display + PartialOrd + TryFrom<i128>,
    {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        integer_in(&value, &range)
            .map(Some)
            .map_err(|problem| self.error(field, problem))
    }

    /// A number in `range`.
    pub(super) fn number(
        &mut self,
        field: &str,
        range: RangeInclusive<f64>,
        expected: &str,
    ) -> Result<Option<f64>, ConfigError> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        match value.as_f64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.error(field, Problem::unexpected(&value, expected))),
        }
    }

    /// A list.
    pub(super) fn list(&mut self, field: &str) -> Result<Option<Vec<Value>>, ConfigError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(other) => Err(self.error(field, Problem::unexpected(&other, "a list"))),
        }
    }

    /// An object, called `owner` in messages.
    pub(super) fn object(&mut self, field: &str, owner: &str) -> Result<Option<Self>, ConfigError> {
        match self.value(field) {
            None => Ok(None),
            Some(value) => self.object_of(field, owner, value).map(Some),
        }
    }

    /// The `value` of `field` as an object, called `owner` in messages.
    pub(super) fn object_of(
        &self,
        field: &str,
        owner: &str,
        value: Value,
    ) -> Result<Self, ConfigError> {
        match value {
            Value::Object(fields) => Ok(Self {
                fields,
                place: self.place.inside(field, owner),
            }),
            other => Err(self.error(field, Problem::unexpected(&other, "an object"))),
        }
    }

    /// As [`object_of`](Self::object_of), for a section that holds secrets: what stands in its place is not shown.
    pub(super) fn secret_object_of(
        &self,
        field: &str,
        owner: &str,
        value: Value,
    ) -> Result<Self, ConfigError> {
        match value {
            Value::Object(fields) => Ok(Self {
                fields,
                place: self.place.inside(field, owner),
            }),
            _ => {
                let expected = "an object".to_owned();
                Err(self.error(field, Problem::Secret { expected }))
            }
        }
    }

    /// Notes what nobody asked for.
    pub(super) fn finish(self, unknown: &mut UnknownFields) {
        for field in self.fields.keys() {
            unknown.push(&self.place.path_of(field));
        }
    }
}

fn text_of(chars: &RangeInclusive<usize>) -> String {
    format!(
        "a string of {} to {} characters",
        chars.start(),
        chars.end()
    )
}

/// `"a", "b" or "c"`.
fn one_of(choices: &[&str]) -> String {
    let quoted: Vec<String> = choices.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// `value` as an integer in `range`.
pub(super) fn integer_in<T>(value: &Value, range: &RangeInclusive<T>) -> Result<T, Problem>
where
    T: Copy + std::fmt::Display + PartialOrd + TryFrom<i128>,
{
    let integer = value.as_u64().map(i128::from);
    integer
        .or_else(|| value.as_i64().map(i128::from))
        .and_then(|integer| T::try_from(integer).ok())
        .filter(|integer| range.contains(integer))
        .ok_or_else(|| {
            let expected = format!("an integer from {} to {}", range.start(), range.end());
            Problem::unexpected(value, expected)
        })
}

/// Most unknown fields that are named; a hostile document has hundreds of thousands.
const UNKNOWN_MAX: usize = 64;
