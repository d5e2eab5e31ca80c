use jsonwebtoken::crypto;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "a key of the tokens that is long enough";
const NOW: u64 = 1_709_820_000;

/// base64url without padding (RFC 4648 5), so that tokens can be forged that no library would write.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for digit in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(char::from(DIGITS[index as usize]));
        }
    }
    text
}

fn forge(header: &str, claims: &str, secret: &str, algorithm: Algorithm) -> String {
    let message = format!(
        "{}.{}",
        base64(header.as_bytes()),
        base64(claims.as_bytes())
    );
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

const GOOD_HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn claims() -> Value {
    json!({"sub": "a", "role": "admin", "iat": NOW, "exp": NOW + 60, "iss": "bilbycast-edge"})
}

fn verify(token: &str) -> Result<Caller, Rejection> {
    Keys::new(SECRET).verify(token, NOW)
}

fn sign(role: Role) -> String {
    let claims = Claims::new("a".to_owned(), role, NOW, 60);
    Keys::new(SECRET).sign(&claims).unwrap()
}

#[test]
fn a_token_is_written_as_the_reference_has_it() {
    let token = sign(Role::Admin);
    let claims =
        r#"{"sub":"a","role":"admin","iat":1709820000,"exp":1709820060,"iss":"bilbycast-edge"}"#;
    assert_eq!(token, forge(GOOD_HEADER, claims, SECRET, Algorithm::HS256));
    assert!(token.starts_with(HEADER));
    assert_eq!(base64(GOOD_HEADER.as_bytes()), HEADER);
}

#[test]
fn a_token_identifies_its_holder_until_it_expires() {
    for role in [Role::Admin, Role::Monitor] {
        let token = sign(role);
        let client_id = Some("a".to_owned());
        assert_eq!(verify(&token), Ok(Caller { client_id, role }));
        let keys = Keys::new(SECRET);
        assert!(keys.verify(&token, NOW + 59).is_ok());
        assert_eq!(keys.verify(&token, NOW + 60), Err(Rejection::Expired));
        let keys = Keys::new("another key that is as long as the first");
        assert_eq!(keys.verify(&token, NOW), Err(Rejection::Signature));
    }
}

#[test]
fn headers_that_differ_are_refused_however_they_are_signed() {
    let claims = claims().to_string();
    for header in [
        r#"{"alg":"none","typ":"JWT"}"#,
        r#"{"alg":"None","typ":"JWT"}"#,
        r#"{"alg":"hs256","typ":"JWT"}"#,
        r#"{"alg":"HS512","typ":"JWT"}"#,
        r#"{"alg":"RS256","typ":"JWT"}"#,
        r#"{"alg":"HS256","typ":"jwt"}"#,
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"typ":"JWT","alg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"JWT","kid":"1"}"#,
        r#"{"alg":"HS256","typ":"JWT","crit":["exp"]}"#,
        r#"{"alg":"HS256","typ":"JWT","jwk":{}}"#,
        r#"{"alg":"HS256","alg":"none","typ":"JWT"}"#,
        r#"{"alg": "HS256", "typ": "JWT"}"#,
        "{}",
        "",
        "null",
    ] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let token = forge(header, &claims, SECRET, algorithm);
            assert_eq!(verify(&token), Err(Rejection::Header), "{header}");
        }
        let unsigned = format!(
            "{}.{}.",
            base64(header.as_bytes()),
            base64(claims.as_bytes())
        );
        assert_eq!(verify(&unsigned), Err(Rejection::Header), "{header}");
    }
}

#[test]
fn whatever_is_changed_in_a_token_breaks_its_signature() {
    let token = sign(Role::Monitor);
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("{token}");
    };
    let admin = sign(Role::Admin);
    let admin_claims = admin.split('.').nth(1).unwrap();
    let longer = forge(GOOD_HEADER, "{}", SECRET, Algorithm::HS512);
    let longer = longer.split('.').nth(2).unwrap();
    let last = signature.chars().next_back().unwrap();
    // The last digit of a signature has two bits to spare; a decoder that ignores them would let these pass.
    let same_bytes = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', '_', '-']
        .into_iter()
        .filter(|digit| *digit != last)
        .map(|digit| format!("{}{digit}", &signature[..signature.len() - 1]));
    let signatures = [
        String::new(),
        "=".to_owned(),
        format!("{signature}="),
        format!("{signature} "),
        format!("{signature}A"),
        signature[1..].to_owned(),
        signature.to_lowercase(),
        longer.to_owned(),
        base64(&[0; 32]),
    ];
    for forged in signatures.into_iter().chain(same_bytes) {
        let token = format!("{header}.{claims}.{forged}");
        assert_eq!(verify(&token), Err(Rejection::Signature), "{forged}");
    }
    for claims in [admin_claims, "", "e30", &format!("{claims}="), "\u{fc}"] {
        let token = format!("{header}.{claims}.{signature}");
        assert_eq!(verify(&token), Err(Rejection::Signature), "{claims}");
    }
}

#[test]
fn other_numbers_of_parts_are_malformed() {
    let token = sign(Role::Admin);
    for text in [
        "",
        "a",
        "a.b",
        &format!("{token}."),
        &format!(".{token}"),
        "....",
        "JWT",
    ] {
        assert_eq!(verify(text), Err(Rejection::Parts), "{text}");
    }
    let huge = format!("{token}{}", "A".repeat(TOKEN_BYTES_MAX));
    assert_eq!(verify(&huge), Err(Rejection::TooLong));
}

#[test]
fn claims_that_this_node_does_not_issue_are_refused_though_signed() {
    let changed = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims.to_string()
    };
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        claims.to_string()
    };
    let refused = [
        changed("iss", json!("somebody-else")),
        changed("iss", json!(["bilbycast-edge"])),
        changed("role", json!("root")),
        changed("role", json!("Admin")),
        changed("sub", json!(1)),
        changed("iat", json!("x")),
        changed("exp", json!(NOW as f64 + 60.5)),
        changed("exp", json!(1e300)),
        changed("exp", json!(-1)),
        changed("exp", json!((NOW + 60).to_string())),
        changed("exp", Value::Null),
        changed("nbf", json!(NOW + 30)),
        changed("nbf", json!(0)),
        changed("aud", json!("bilbycast-edge")),
        without("sub"),
        without("role"),
        without("iat"),
        without("exp"),
        without("iss"),
        claims()
            .to_string()
            .replacen('{', r#"{"exp":9999999999,"#, 1),
        format!("{} x", claims()),
        "[]".to_owned(),
        "null".to_owned(),
        String::new(),
        "[".repeat(2_000),
    ];
    for claims in refused {
        let token = forge(GOOD_HEADER, &claims, SECRET, Algorithm::HS256);
        assert_eq!(verify(&token), Err(Rejection::Claims), "{claims}");
    }
    for exp in [0, NOW - 1, NOW] {
        let token = forge(
            GOOD_HEADER,
            &changed("exp", json!(exp)),
            SECRET,
            Algorithm::HS256,
        );
        assert_eq!(verify(&token), Err(Rejection::Expired), "{exp}");
    }
    let expired = json!({"sub": "a", "role": "admin", "iat": 0, "exp": 1, "iss": "x"}).to_string();
    let token = forge(GOOD_HEADER, &expired, SECRET, Algorithm::HS256);
    assert_eq!(verify(&token), Err(Rejection::Expired));
}

#[test]
fn a_lifetime_beyond_all_time_does_not_wrap() {
    let claims = Claims::new("a".to_owned(), Role::Admin, NOW, u64::MAX);
    let token = Keys::new(SECRET).sign(&claims).unwrap();
    assert!(verify(&token).is_ok());
}

proptest! {
    #[test]
    fn no_text_authenticates(text: String) {
        prop_assert!(verify(&text).is_err());
    }

    #[test]
    fn no_text_of_three_parts_authenticates(
        header in "(eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9|[A-Za-z0-9_=-]{0,60})",
        claims in "[A-Za-z0-9_=-]{0,200}",
        signature in "[A-Za-z0-9_=-]{0,90}",
    ) {
        let token = format!("{header}.{claims}.{signature}");
        prop_assert!(verify(&token).is_err());
    }

    #[test]
    fn no_change_of_one_byte_is_overlooked(index: prop::sample::Index, byte in 0_u8..128) {
        let token = sign(Role::Admin);
        let mut changed = token.clone().into_bytes();
        let index = index.index(changed.len());
        prop_assume!(changed[index] != byte);
        changed[index] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(verify(&changed).is_err());
    }

    #[test]
    fn no_signed_claims_are_too_odd(claims: String) {
        let token = forge(GOOD_HEADER, &claims, SECRET, Algorithm::HS256);
        prop_assert!(verify(&token).is_err());
    }

    #[test]
    fn every_client_id_comes_back(client_id in "\\PC{1,256}") {
        let keys = Keys::new(SECRET);
        let claims = Claims::new(client_id.clone(), Role::Monitor, NOW, 1);
        let token = keys.sign(&claims).unwrap();
        prop_assert!(token.len() <= TOKEN_BYTES_MAX);
        let caller = keys.verify(&token, NOW).unwrap();
        prop_assert_eq!(caller.client_id, Some(client_id));
    }
}
