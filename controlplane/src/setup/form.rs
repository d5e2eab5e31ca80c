//! The form as a browser without scripts sends it (`application/x-www-form-urlencoded`, WHATWG URL 5.1).

use serde_json::{Map, Value};

/// The JSON document that says what the form says. Of a field that comes twice, the last one counts; what is not valid
/// percent encoding stands for itself, and what is not UTF-8 for U+FFFD.
#[must_use]
pub fn document(body: &[u8]) -> Value {
    let mut fields = Map::new();
    for pair in body
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
    {
        let at = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = match at {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        let (name, value) = (decoded(name), decoded(value));
        let value = match name.as_str() {
            "accept_self_signed_cert" => Value::Bool(matches!(value.as_str(), "true" | "on")),
            "listen_addr" | "listen_port" if value.is_empty() => continue,
            "listen_port" => match value.trim().parse::<u64>() {
                Ok(port) => Value::from(port),
                Err(_) => Value::from(value),
            },
            _ => Value::from(value),
        };
        fields.insert(name, value);
    }
    Value::Object(fields)
}

fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (other, _) => *other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    let digit = char::from(digit).to_digit(16)?;
    u8::try_from(digit).ok()
}
