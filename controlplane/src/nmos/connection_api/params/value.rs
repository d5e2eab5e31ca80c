//! Types of parameters.

use std::net::IpAddr;

use serde_json::Value;

/// A value, or the node's own choice.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Auto<T> {
    /// The node chooses.
    #[default]
    Auto,
    /// This one.
    Is(T),
}

impl<T> Auto<T> {
    /// The value, or `choice`.
    pub fn or(self, choice: T) -> T {
        match self {
            Self::Auto => choice,
            Self::Is(value) => value,
        }
    }

    /// The value, unless the node chooses.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Auto => None,
            Self::Is(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Auto<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Auto, Self::Is)
    }
}

/// Dimensions of ST 2022-1.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FecDimensions {
    /// Columns.
    One,
    /// Columns and rows.
    #[default]
    Two,
}

/// The only kind of FEC of ST 2022-1.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FecKind {
    /// Exclusive or.
    #[default]
    Xor,
}

/// A type of parameters.
pub(super) trait Parameterlike: Sized {
    /// For messages.
    const EXPECTED: &'static str;

    fn to_json(&self) -> Value;

    fn from_json(value: &Value) -> Option<Self>;
}

/// Puts `value` into `slot`; false when it has the wrong type.
pub(super) fn set<T: Parameterlike>(slot: &mut T, value: &Value) -> bool {
    match T::from_json(value) {
        Some(value) => {
            *slot = value;
            true
        }
        None => false,
    }
}

/// What messages say of the type of a field.
pub(super) const fn expected<L, T: Parameterlike>(_: fn(&L) -> &T) -> &'static str {
    T::EXPECTED
}

const AUTO: &str = "auto";

impl Parameterlike for bool {
    const EXPECTED: &'static str = "true or false";

    fn to_json(&self) -> Value {
        Value::from(*self)
    }

    fn from_json(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Parameterlike for u8 {
    const EXPECTED: &'static str = "a number";

    fn to_json(&self) -> Value {
        Value::from(*self)
    }

    fn from_json(value: &Value) -> Option<Self> {
        value.as_u64()?.try_into().ok()
    }
}

impl Parameterlike for Auto<u16> {
    const EXPECTED: &'static str = "a port or \"auto\"";

    fn to_json(&self) -> Value {
        self.value().map_or_else(|| Value::from(AUTO), Value::from)
    }

    fn from_json(value: &Value) -> Option<Self> {
        match value.as_str() {
            Some(AUTO) => Some(Self::Auto),
            Some(_) => None,
            None => Some(Self::Is(value.as_u64()?.try_into().ok()?)),
        }
    }
}

impl Parameterlike for Auto<IpAddr> {
    const EXPECTED: &'static str = "an IP address or \"auto\"";

    fn to_json(&self) -> Value {
        match self {
            Self::Auto => Value::from(AUTO),
            Self::Is(address) => Value::from(address.to_string()),
        }
    }

    fn from_json(value: &Value) -> Option<Self> {
        match value.as_str()? {
            AUTO => Some(Self::Auto),
            text => text.parse().ok().map(Self::Is),
        }
    }
}

impl Parameterlike for Option<IpAddr> {
    const EXPECTED: &'static str = "an IP address or null";

    fn to_json(&self) -> Value {
        self.map_or(Value::Null, |address| Value::from(address.to_string()))
    }

    fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => value.as_str()?.parse().ok().map(Some),
        }
    }
}

impl Parameterlike for FecDimensions {
    const EXPECTED: &'static str = "\"1D\" or \"2D\"";

    fn to_json(&self) -> Value {
        Value::from(match self {
            Self::One => "1D",
            Self::Two => "2D",
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "1D" => Some(Self::One),
            "2D" => Some(Self::Two),
            _ => None,
        }
    }
}

impl Parameterlike for Auto<FecDimensions> {
    const EXPECTED: &'static str = "\"auto\", \"1D\" or \"2D\"";

    fn to_json(&self) -> Value {
        match self {
            Self::Auto => Value::from(AUTO),
            Self::Is(dimensions) => dimensions.to_json(),
        }
    }

    fn from_json(value: &Value) -> Option<Self> {
        match value.as_str()? {
            AUTO => Some(Self::Auto),
            _ => FecDimensions::from_json(value).map(Self::Is),
        }
    }
}

impl Parameterlike for FecKind {
    const EXPECTED: &'static str = "\"XOR\"";

    fn to_json(&self) -> Value {
        Value::from("XOR")
    }

    fn from_json(value: &Value) -> Option<Self> {
        (value == "XOR").then_some(Self::Xor)
    }
}
