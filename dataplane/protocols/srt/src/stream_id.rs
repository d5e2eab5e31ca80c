//! Stream ids with the recommended syntax, `#!::key=value,...` (draft appendix B), and which of them fit.

use crate::handshake::{Direction, RejectReason};

/// A stream id taken apart. Ids without the prefix are free text and have nothing to take apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StreamId {
    /// User name (`u`).
    pub user: Option<String>,
    /// Resource name (`r`).
    pub resource: Option<String>,
    /// Host name (`h`).
    pub host: Option<String>,
    /// Session id (`s`).
    pub session: Option<String>,
    /// Purpose (`t`); `stream` when it is not said.
    pub kind: Option<String>,
    /// What the caller wants (`m`); [`StreamMode::Request`] is meant when it is not said.
    pub mode: Option<StreamMode>,
    /// Every other key with its value, in order.
    pub other: Vec<(String, String)>,
}

/// What a caller wants (`m`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StreamMode {
    /// To receive the stream.
    #[default]
    Request,
    /// To send the stream.
    Publish,
    /// Both.
    Bidirectional,
}

impl StreamId {
    /// The parts of `text`; `None` when it is free text.
    ///
    /// # Errors
    /// [`StreamIdError`] when it has the prefix, and is malformed behind it.
    pub fn parse(text: &str) -> Result<Option<Self>, StreamIdError> {
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        //= draft-sharabayko-srt appendix B.1: ":" for comma-separated pairs, "{" for a nested block
        let Some(pairs) = rest.strip_prefix(':') else {
            return Err(StreamIdError::Syntax);
        };
        let mut id = Self::default();
        if pairs.is_empty() {
            return Ok(Some(id));
        }
        for pair in pairs.split(',') {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(StreamIdError::Pair(pair.to_owned()));
            };
            id.set(key, value)?;
        }
        Ok(Some(id))
    }

    /// The first key of `self` that `other` does not have with the same value.
    fn missing_in(&self, other: &Self) -> Option<StreamIdMismatch> {
        let kind = |id: &Self| id.kind.clone().unwrap_or_else(|| KIND_DEFAULT.to_owned());
        let named = [
            ("u", self.user.clone(), other.user.clone()),
            ("r", self.resource.clone(), other.resource.clone()),
            ("h", self.host.clone(), other.host.clone()),
            ("s", self.session.clone(), other.session.clone()),
            ("t", Some(kind(self)), Some(kind(other))),
        ];
        let named = named.map(|(key, expected, found)| (key.to_owned(), expected, found));
        let others = self.other.iter().map(|(key, expected)| {
            let found = other.other.iter().rfind(|(of_other, _)| of_other == key);
            let found = found.map(|(_, value)| value.clone());
            (key.clone(), Some(expected.clone()), found)
        });
        named
            .into_iter()
            .chain(others)
            .find_map(|(key, expected, found)| {
                let expected = expected.filter(|expected| found.as_ref() != Some(expected))?;
                Some(StreamIdMismatch::Key {
                    key,
                    found,
                    expected,
                })
            })
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), StreamIdError> {
        let place = match key {
            "u" => &mut self.user,
            "r" => &mut self.resource,
            "h" => &mut self.host,
            "s" => &mut self.session,
            "t" => &mut self.kind,
            "m" => {
                self.mode = Some(match value {
                    "request" => StreamMode::Request,
                    "publish" => StreamMode::Publish,
                    "bidirectional" => StreamMode::Bidirectional,
                    other => return Err(StreamIdError::Mode(other.to_owned())),
                });
                return Ok(());
            }
            "" => return Err(StreamIdError::Pair(format!("={value}"))),
            _ => {
                self.other.push((key.to_owned(), value.to_owned()));
                return Ok(());
            }
        };
        *place = Some(value.to_owned());
        Ok(())
    }
}

impl StreamMode {
    const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Publish => "publish",
            Self::Bidirectional => "bidirectional",
        }
    }

    const fn fits(self, direction: Direction) -> bool {
        !matches!(
            (self, direction),
            (Self::Request, Direction::Receives) | (Self::Publish, Direction::Sends)
        )
    }
}

/// Checks what a caller asks for, `offered`, against what a listener expects, `wanted`, whose streams go in `direction`.
///
/// Ids of the syntax are compared key by key: the caller's has every key of the listener's with the same value, in any
/// order, and may have others. What the caller wants (`m`) is not compared but has to fit the direction. Free text is
/// compared as it is. A listener that expects nothing takes every id but one that says the wrong direction.
///
/// # Errors
/// [`StreamIdMismatch`].
pub fn check(
    wanted: Option<&str>,
    offered: Option<&str>,
    direction: Direction,
) -> Result<(), StreamIdMismatch> {
    if wanted.is_some() && wanted == offered {
        return Ok(());
    }
    let found = offered.map_or(Ok(None), StreamId::parse);
    let wrong = |mode: StreamMode| !mode.fits(direction);
    if let Ok(Some(id)) = &found
        && let Some(mode) = id.mode.filter(|mode| wrong(*mode))
    {
        return Err(StreamIdMismatch::Mode(mode));
    }
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let other_text = || StreamIdMismatch::Text {
        found: offered.map(str::to_owned),
        expected: wanted.to_owned(),
    };
    let Ok(Some(expected)) = StreamId::parse(wanted) else {
        return Err(other_text());
    };
    let found = found?.ok_or_else(other_text)?;
    if let Some(mismatch) = expected.missing_in(&found) {
        return Err(mismatch);
    }
    let mode = found.mode.unwrap_or_default();
    if expected.mode.is_some() && wrong(mode) {
        return Err(StreamIdMismatch::Mode(mode));
    }
    Ok(())
}

/// Why the stream id of a caller does not fit.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamIdMismatch {
    /// A key has another value, or is not there.
    #[error("{key} is {}, expected {expected:?}", shown(found.as_deref()))]
    Key {
        /// The key.
        key: String,
        /// What the caller says.
        found: Option<String>,
        /// What the listener expects.
        expected: String,
    },
    /// It has the prefix, and is malformed behind it.
    #[error(transparent)]
    Malformed(#[from] StreamIdError),
    /// The caller wants to receive where media is expected of it, or to send where it is served.
    #[error("m is {}", .0.name())]
    Mode(StreamMode),
    /// It is another text.
    #[error("it is {}, expected {expected:?}", shown(found.as_deref()))]
    Text {
        /// What the caller says.
        found: Option<String>,
        /// What the listener expects.
        expected: String,
    },
}

impl StreamIdMismatch {
    /// What the caller is told.
    #[must_use]
    pub const fn reason(&self) -> RejectReason {
        match self {
            Self::Key { .. } | Self::Text { .. } => RejectReason::FORBIDDEN,
            Self::Malformed(_) => RejectReason::BAD_REQUEST,
            Self::Mode(_) => RejectReason::BAD_MODE,
        }
    }
}

fn shown(found: Option<&str>) -> String {
    found.map_or_else(|| "missing".to_owned(), |found| format!("{found:?}"))
}

/// A stream id that has the prefix, and is malformed behind it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamIdError {
    /// The mode is none of the three.
    #[error("stream_id: m={0} is neither request, publish nor bidirectional")]
    Mode(String),
    /// A part is no pair.
    #[error("stream_id: {0:?} is no key=value")]
    Pair(String),
    /// What follows the prefix is no list of pairs. Nested blocks are not supported.
    #[error("stream_id: only the form #!::key=value,... is supported")]
    Syntax,
}

const PREFIX: &str = "#!:";

/// The purpose of an id that says none.
const KIND_DEFAULT: &str = "stream";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_draft() {
        let id = StreamId::parse("#!::u=admin,r=bluesbrothers1_hi")
            .unwrap()
            .unwrap();
        assert_eq!(id.user.as_deref(), Some("admin"));
        assert_eq!(id.resource.as_deref(), Some("bluesbrothers1_hi"));
        assert_eq!(id.mode, None);
        let id = StreamId::parse("#!::u=johnny,t=file,m=publish,r=results.csv")
            .unwrap()
            .unwrap();
        assert_eq!(id.kind.as_deref(), Some("file"));
        assert_eq!(id.mode, Some(StreamMode::Publish));
    }

    #[test]
    fn ids_are_compared_key_by_key() {
        let fits = |wanted, offered| check(Some(wanted), Some(offered), Direction::Receives);
        for (wanted, offered) in [
            ("#!::r=live,m=publish", "#!::m=publish,r=live"),
            ("#!::r=live", "#!::r=live,u=admin,x=1"),
            ("#!::r=live", "#!::r=live"),
            ("#!::r=live,m=publish", "#!::r=live,m=bidirectional"),
            ("#!::r=live,t=stream", "#!::r=live"),
            ("#!::x=1", "#!::x=0,x=1"),
            ("camera 1", "camera 1"),
            ("#!:{r=live}", "#!:{r=live}"),
        ] {
            assert_eq!(fits(wanted, offered), Ok(()), "{wanted} {offered}");
        }
        for (wanted, offered, reason, text) in [
            (
                "#!::r=live",
                "#!::r=other",
                RejectReason::FORBIDDEN,
                "r is \"other\", expected \"live\"",
            ),
            (
                "#!::r=live,u=a",
                "#!::r=live",
                RejectReason::FORBIDDEN,
                "u is missing, expected \"a\"",
            ),
            (
                "#!::x=1",
                "#!::x=2",
                RejectReason::FORBIDDEN,
                "x is \"2\", expected \"1\"",
            ),
            (
                "#!::t=stream",
                "#!::t=file",
                RejectReason::FORBIDDEN,
                "t is \"file\", expected \"stream\"",
            ),
            (
                "#!::r=live",
                "live",
                RejectReason::FORBIDDEN,
                "it is \"live\", expected \"#!::r=live\"",
            ),
            (
                "live",
                "#!::r=live",
                RejectReason::FORBIDDEN,
                "it is \"#!::r=live\", expected \"live\"",
            ),
            (
                "#!::r=live",
                "#!::r",
                RejectReason::BAD_REQUEST,
                "\"r\" is no key=value",
            ),
            (
                "#!::r=live,m=publish",
                "#!::r=live",
                RejectReason::BAD_MODE,
                "m is request",
            ),
            (
                "#!::r=live",
                "#!::r=live,m=request",
                RejectReason::BAD_MODE,
                "m is request",
            ),
        ] {
            let mismatch = fits(wanted, offered).unwrap_err();
            assert!(mismatch.to_string().contains(text), "{mismatch}");
            assert_eq!(mismatch.reason(), reason, "{mismatch}");
        }
        assert!(check(Some("live"), None, Direction::Receives).is_err());
    }

    #[test]
    fn what_a_caller_wants_fits_the_direction() {
        let open = |offered: &str, direction| check(None, Some(offered), direction).is_ok();
        for (mode, receives, sends) in [
            ("request", false, true),
            ("publish", true, false),
            ("bidirectional", true, true),
        ] {
            let id = format!("#!::r=live,m={mode}");
            assert_eq!(open(&id, Direction::Receives), receives, "{id}");
            assert_eq!(open(&id, Direction::Sends), sends, "{id}");
            assert!(open(&id, Direction::Both), "{id}");
        }
        // Encoders that do not say what they want are common, and so are ids that are no such list.
        for id in ["#!::r=live", "#!::broken", "anything"] {
            assert!(open(id, Direction::Receives), "{id}");
        }
        assert_eq!(check(None, None, Direction::Receives), Ok(()));
    }

    #[test]
    fn free_text_is_no_error() {
        for text in ["", "camera 1", "#!", "#!/bin/sh", "u=admin"] {
            assert_eq!(StreamId::parse(text), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn values_keep_equal_signs_and_unknown_keys_are_kept() {
        let id = StreamId::parse("#!::r=videos/q.php?vid=366,acme_x=1,b=,u=")
            .unwrap()
            .unwrap();
        assert_eq!(id.resource.as_deref(), Some("videos/q.php?vid=366"));
        assert_eq!(id.user.as_deref(), Some(""));
        let other = [("acme_x", "1"), ("b", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(id.other, other);
        assert_eq!(StreamId::parse("#!::"), Ok(Some(StreamId::default())));
    }

    #[test]
    fn malformed_ids_name_the_part() {
        let error = |text| StreamId::parse(text).unwrap_err().to_string();
        assert!(error("#!::m=steal").contains("m=steal"));
        assert!(error("#!::u=a,,r=b").contains("\"\""));
        assert!(error("#!::=b").contains("=b"));
        assert!(error("#!:{u=a}").contains("supported"));
        assert!(error("#!:u=a").contains("supported"));
    }
}
