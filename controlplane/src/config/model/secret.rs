//! Texts that must not be seen.

use std::fmt;

use serde::Serialize;

/// An infrastructure secret (configuration.md 1.2): it lives in `secrets.json` and never leaves the node.
///
/// It has no `Serialize` on purpose: whatever is made of a configuration with serde can then hold none, be it an
/// answer of the API or `config.json`.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Takes over `text`.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

/// What a flow needs to be let in somewhere, or demands: a passphrase, stream key, password or token. It stands in
/// `config.json` and in answers of the API, and neither in logs nor in messages.
#[derive(Clone, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Credential(String);

impl Credential {
    /// Takes over `text`.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Credential(..)")
    }
}

/// A URL of one of the schemes that its field allows, with a host. It may carry a password or a token, which
/// [`Debug`](fmt::Debug) and [`Display`](fmt::Display) leave out.
#[derive(Clone, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct MediaUrl(String);

impl MediaUrl {
    /// Takes over `text`, which the parser has checked.
    pub(in super::super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// The whole URL, with whatever it carries.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MediaUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&shown_url(&self.0), out)
    }
}

impl fmt::Display for MediaUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&shown_url(&self.0))
    }
}

/// `text` with `..` in place of user, password, query and fragment, whether or not it is a URL at all.
pub(in super::super) fn shown_url(text: &str) -> String {
    let (text, has_query) = match text.find(['?', '#']) {
        Some(end) => (&text[..end], true),
        None => (text, false),
    };
    let (scheme, rest) = match text.find("://") {
        Some(end) => text.split_at(end + "://".len()),
        None => ("", text),
    };
    // The last one: a password may have one itself, written without its escape.
    let rest = match rest.rfind('@') {
        Some(end) => format!("..{}", &rest[end..]),
        None => rest.to_owned(),
    };
    let query = if has_query { "?.." } else { "" };
    format!("{scheme}{rest}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_be_seen_is_not() {
        for (text, shown) in [
            ("rtsp://u:p@h:554/a", "rtsp://..@h:554/a"),
            ("rtsp://u:p@ss/word@h/a?t=1", "rtsp://..@h/a?.."),
            ("https://h/a#x", "https://h/a?.."),
            ("u:p@h", "..@h"),
            ("https://h/a", "https://h/a"),
            ("", ""),
        ] {
            assert_eq!(shown_url(text), shown);
        }
        let url = MediaUrl::new("rtsp://u:p@h/".to_owned());
        assert_eq!(format!("{url} {url:?}"), "rtsp://..@h/ \"rtsp://..@h/\"");
        let all = (Secret::new("x".into()), Credential::new("x".into()));
        assert_eq!(format!("{all:?}"), "(Secret(..), Credential(..))");
    }
}
