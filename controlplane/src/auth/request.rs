//! What a client sends to get a token, as JSON or as a form.

use std::fmt;

use actix_web::web;
use serde::Deserialize;
use serde_json::Value;

use super::GrantError;

/// A request for a token.
#[derive(Clone, Eq, PartialEq)]
pub struct TokenRequest {
    /// The grant; only `client_credentials` is there.
    pub grant_type: String,
    /// The client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

#[derive(Deserialize)]
struct JsonRequest {
    grant_type: Option<Value>,
    client_id: Option<Value>,
    client_secret: Option<Value>,
}

#[derive(Deserialize)]
struct FormRequest {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

impl TokenRequest {
    /// Reads `body`. It is JSON when it begins like an object or `is_json` says so, else a form: no form that could
    /// succeed begins with a brace, and clients that forget the `Content-Type` are many. Further members are ignored,
    /// a member that comes twice is an error (RFC 6749 3.2).
    ///
    /// # Errors
    ///
    /// [`GrantError::Malformed`].
    pub fn parse(body: &[u8], is_json: bool) -> Result<Self, GrantError> {
        let is_object = body.trim_ascii_start().starts_with(b"{");
        let [grant_type, client_id, client_secret] = if is_object {
            parse_json(body)?
        } else if is_json {
            return Err(malformed("the request body is not a JSON object"));
        } else {
            parse_form(body)?
        };
        Ok(Self {
            grant_type: present("grant_type", grant_type)?,
            client_id: present("client_id", client_id)?,
            client_secret: present("client_secret", client_secret)?,
        })
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TokenRequest").finish_non_exhaustive()
    }
}

fn parse_json(body: &[u8]) -> Result<[Option<String>; 3], GrantError> {
    let request: JsonRequest = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the request body is not valid JSON: {error}")))?;
    Ok([
        text("grant_type", request.grant_type)?,
        text("client_id", request.client_id)?,
        text("client_secret", request.client_secret)?,
    ])
}

fn parse_form(body: &[u8]) -> Result<[Option<String>; 3], GrantError> {
    let body = str::from_utf8(body)
        .map_err(|_| malformed("the request body is neither a JSON object nor a form"))?;
    let request = web::Query::<FormRequest>::from_query(body)
        .map_err(|error| malformed(format!("the request body is not a valid form: {error}")))?
        .into_inner();
    Ok([request.grant_type, request.client_id, request.client_secret])
}

/// A member's text. Its value is not repeated when it is something else: it may be a secret that lacks its quotes.
fn text(name: &str, value: Option<Value>) -> Result<Option<String>, GrantError> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(malformed(format!("{name} is not a string"))),
    }
}

fn present(name: &str, value: Option<String>) -> Result<String, GrantError> {
    value.ok_or_else(|| malformed(format!("{name} is missing")))
}

fn malformed(message: impl Into<String>) -> GrantError {
    GrantError::Malformed(message.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected() -> TokenRequest {
        TokenRequest {
            grant_type: "client_credentials".to_owned(),
            client_id: "a b".to_owned(),
            client_secret: "s&=+ü".to_owned(),
        }
    }

    #[test]
    fn json_and_forms_say_the_same() {
        let json = r#" {"grant_type": "client_credentials", "client_id": "a b", "client_secret": "s&=+ü", "scope": 1}"#;
        let form =
            "grant_type=client_credentials&client_id=a+b&client_secret=s%26%3D%2B%C3%BC&scope=x";
        for is_json in [true, false] {
            assert_eq!(
                TokenRequest::parse(json.as_bytes(), is_json),
                Ok(expected())
            );
        }
        assert_eq!(TokenRequest::parse(form.as_bytes(), false), Ok(expected()));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_value() {
        for (body, is_json, error) in [
            ("", true, "the request body is not a JSON object"),
            ("[]", true, "the request body is not a JSON object"),
            ("a=b", true, "the request body is not a JSON object"),
            ("", false, "grant_type is missing"),
            ("{}", false, "grant_type is missing"),
            (r#"{"grant_type": null}"#, true, "grant_type is missing"),
            (
                "grant_type=x&client_id=y",
                false,
                "client_secret is missing",
            ),
            (
                r#"{"grant_type": "x", "client_id": "y", "client_secret": 4711}"#,
                true,
                "client_secret is not a string",
            ),
            (
                r#"{"client_secret": "4711", "client_secret": "4712"}"#,
                true,
                "the request body is not valid JSON: duplicate field `client_secret` at line 1 column 41",
            ),
            (
                r#"{"client_secret": "4711"#,
                true,
                "the request body is not valid JSON: EOF while parsing a string at line 1 column 23",
            ),
        ] {
            let found = TokenRequest::parse(body.as_bytes(), is_json);
            assert_eq!(found, Err(malformed(error)), "{body}");
        }
        let twice = TokenRequest::parse(b"client_secret=4711&client_secret=4711", false);
        let error = twice.unwrap_err().to_string();
        assert!(error.contains("duplicate field"), "{error}");
        assert!(TokenRequest::parse(b"\xff", false).is_err());
        assert!(!format!("{:?}", expected()).contains("s&"));
    }

    proptest! {
        #[test]
        fn no_body_is_too_odd(body: Vec<u8>, is_json: bool) {
            let _ = TokenRequest::parse(&body, is_json);
        }

        #[test]
        fn no_object_is_too_odd(body in "[{]\"(grant_type|client_id)\":.*", is_json: bool) {
            let _ = TokenRequest::parse(body.as_bytes(), is_json);
        }
    }
}
