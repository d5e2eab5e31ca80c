//! Stream ids with the recommended syntax, `#!::key=value,...` (draft appendix B).

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
    /// What the caller wants (`m`); [`StreamMode::Request`] when it is not said.
    pub mode: StreamMode,
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

    fn set(&mut self, key: &str, value: &str) -> Result<(), StreamIdError> {
        let place = match key {
            "u" => &mut self.user,
            "r" => &mut self.resource,
            "h" => &mut self.host,
            "s" => &mut self.session,
            "t" => &mut self.kind,
            "m" => {
                self.mode = match value {
                    "request" => StreamMode::Request,
                    "publish" => StreamMode::Publish,
                    "bidirectional" => StreamMode::Bidirectional,
                    other => return Err(StreamIdError::Mode(other.to_owned())),
                };
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
        assert_eq!(id.mode, StreamMode::Request);
        let id = StreamId::parse("#!::u=johnny,t=file,m=publish,r=results.csv")
            .unwrap()
            .unwrap();
        assert_eq!(id.kind.as_deref(), Some("file"));
        assert_eq!(id.mode, StreamMode::Publish);
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
