//! TAI as NMOS writes it: `"<seconds>:<nanoseconds>"` since 1970, ahead of UTC by the leap seconds.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment of TAI.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tai(Duration);

/// Why a text is no TAI timestamp.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("'{0}' is not a TAI timestamp of the form <seconds>:<nanoseconds>")]
pub struct TaiError(String);

impl Tai {
    /// This moment, by the system clock.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Seconds and nanoseconds as one duration since the epoch of TAI.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// Whole seconds since the epoch of TAI.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0.as_secs()
    }

    /// Nanoseconds within the second, below 1,000,000,000.
    #[must_use]
    pub const fn nanos(self) -> u32 {
        self.0.subsec_nanos()
    }

    /// The moment that lies `duration` later; the last one that there is when that lies beyond it.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long it is from now until this moment by the system clock; zero when it has passed.
    #[must_use]
    pub fn from_now(self) -> Duration {
        self.0.saturating_sub(Self::now().0)
    }

    /// Reads an offset: what IS-05 sends as `requested_time` of a relative activation has the form of a timestamp.
    ///
    /// # Errors
    ///
    /// [`TaiError`].
    pub fn parse_offset(text: &str) -> Result<Duration, TaiError> {
        text.parse::<Self>().map(Self::since_epoch)
    }
}

impl From<SystemTime> for Tai {
    fn from(time: SystemTime) -> Self {
        // A clock before 1970 is one that nobody has set yet.
        let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since_1970.saturating_add(LEAP_SECONDS))
    }
}

impl fmt::Display for Tai {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.secs(), self.nanos())
    }
}

impl FromStr for Tai {
    type Err = TaiError;

    fn from_str(text: &str) -> Result<Self, TaiError> {
        let parsed = text.split_once(':').and_then(|(secs, nanos)| {
            let nanos = digits(nanos)?;
            let nanos = u32::try_from(nanos)
                .ok()
                .filter(|nanos| *nanos < NANOS_PER_SEC)?;
            Some(Self(Duration::new(digits(secs)?, nanos)))
        });
        parsed.ok_or_else(|| TaiError(shown(text)))
    }
}

/// A number of digits alone, for `parse` takes a plus sign too.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// What was sent, in one line of bearable length.
fn shown(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)];
    text.escape_debug().to_string()
}

/// TAI - UTC since 2017 (IERS Bulletin C 52); no further leap second has been announced.
const LEAP_SECONDS: Duration = Duration::from_secs(37);

const NANOS_PER_SEC: u32 = 1_000_000_000;

const SHOWN_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tai_is_ahead_of_utc_by_37_seconds() {
        let utc = UNIX_EPOCH + Duration::new(1_700_000_000, 5);
        assert_eq!(Tai::from(utc).to_string(), "1700000037:5");
        let before_1970 = UNIX_EPOCH - Duration::from_secs(9);
        assert_eq!(Tai::from(before_1970).to_string(), "37:0");
    }

    #[test]
    fn only_two_numbers_with_a_colon_are_a_timestamp() {
        for (text, secs, nanos) in [
            ("0:0", 0, 0),
            ("1439299836:010", 1_439_299_836, 10),
            ("18446744073709551615:999999999", u64::MAX, 999_999_999),
        ] {
            let tai: Tai = text.parse().unwrap();
            assert_eq!((tai.secs(), tai.nanos()), (secs, nanos), "{text}");
        }
        for text in [
            "",
            ":",
            "1",
            "1:",
            ":1",
            "1:1000000000",
            "+1:0",
            "1:+0",
            "-1:0",
            "1.5:0",
            "1:0:0",
            " 1:0",
            "18446744073709551616:0",
            "ü:0",
        ] {
            assert!(text.parse::<Tai>().is_err(), "{text}");
        }
        let error = "x\ny".repeat(100).parse::<Tai>().unwrap_err().to_string();
        assert!(error.len() < 200 && !error.contains('\n'), "{error}");
    }

    #[test]
    fn the_far_future_does_not_overflow() {
        let last: Tai = "18446744073709551615:999999999".parse().unwrap();
        assert_eq!(last.plus(Duration::from_secs(1)), last);
        assert!(Tai::now().from_now() < Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(secs: u64, nanos in 0..NANOS_PER_SEC) {
            let tai = Tai(Duration::new(secs, nanos));
            prop_assert_eq!(tai.to_string().parse(), Ok(tai));
            prop_assert_eq!(Tai::parse_offset(&tai.to_string()), Ok(tai.since_epoch()));
        }

        #[test]
        fn no_text_is_too_odd(text: String) {
            let _ = text.parse::<Tai>();
        }
    }
}
