//! Classes of receivers by the path differential that they take.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How far apart the legs may be, by the names of the standard.
//= SMPTE ST 2022-7 7: skew of the two streams that a receiver of a class takes
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SkewClass {
    /// Low skew: 10 ms.
    A,
    /// Moderate skew: 50 ms.
    B,
    /// High skew: 450 ms.
    C,
    /// Ultra-low skew: 150 us.
    D,
}

impl SkewClass {
    /// The largest path differential of the class.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        match self {
            Self::A => Duration::from_millis(10),
            Self::B => Duration::from_millis(50),
            Self::C => Duration::from_millis(450),
            Self::D => Duration::from_micros(150),
        }
    }
}

impl From<SkewClass> for Duration {
    fn from(class: SkewClass) -> Self {
        class.as_duration()
    }
}

impl fmt::Display for SkewClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
        })
    }
}

/// The name of a class that does not exist.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("skew class '{value}' is none of A, B, C and D")]
pub struct ParseSkewClassError {
    /// What was given.
    pub value: String,
}

impl FromStr for SkewClass {
    type Err = ParseSkewClassError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        match value {
            "A" | "a" => Ok(Self::A),
            "B" | "b" => Ok(Self::B),
            "C" | "c" => Ok(Self::C),
            "D" | "d" => Ok(Self::D),
            _ => Err(ParseSkewClassError {
                value: value.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_are_refused_by_name() {
        for (class, ns) in [
            (SkewClass::A, 10_000_000),
            (SkewClass::B, 50_000_000),
            (SkewClass::C, 450_000_000),
            (SkewClass::D, 150_000),
        ] {
            let name = class.to_string();
            assert_eq!(name.parse(), Ok(class));
            assert_eq!(name.to_lowercase().parse(), Ok(class));
            assert_eq!(Duration::from(class).as_nanos(), ns);
        }
        let error = "E".parse::<SkewClass>().unwrap_err();
        assert_eq!(error.to_string(), "skew class 'E' is none of A, B, C and D");
    }
}
