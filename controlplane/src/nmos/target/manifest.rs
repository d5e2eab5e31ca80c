//! Fetching the SDP that a sender names. Whoever serves it is a stranger: an answer is short, comes soon, and is no
//! detour to somewhere else, or it is none.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web;
use tokio::sync::Semaphore;
use ureq::Agent;
use ureq::http::Uri;

use crate::nmos::http::Fault;
use crate::nmos::registration;
use crate::nmos::sdp::SDP_BYTES_MAX;

/// The text at `href`.
///
/// # Errors
///
/// 400: it is no URL of HTTP. 502: there is no good answer. 503: too many are being fetched.
pub(super) async fn fetch(href: String) -> Result<String, Fault> {
    let uri: Uri = href
        .parse()
        .map_err(|error| refused(&href, &format!("it is no URL: {error}")))?;
    let is_tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(refused(&href, "a URL with http or https is expected")),
    };
    if uri.authority().is_none_or(|to| to.as_str().contains('@')) {
        return Err(refused(&href, "a URL with a host and no user is expected"));
    }
    let Ok(_permit) = FETCHES.try_acquire() else {
        let error = format!("{FETCHES_MAX} manifests are being fetched already");
        return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, error));
    };
    let fetched = web::block(move || get(&uri, is_tls)).await;
    let fetched = fetched.unwrap_or_else(|error| Err(error.to_string()));
    fetched.map_err(|reason| {
        let error = format!(
            "manifest_href: {} cannot be fetched: {reason}",
            shown(&href)
        );
        Fault::new(StatusCode::BAD_GATEWAY, error)
    })
}

/// How many are fetched at the same time, each with a thread of its own.
const FETCHES_MAX: usize = 4;

static FETCHES: Semaphore = Semaphore::const_new(FETCHES_MAX);

fn get(uri: &Uri, is_tls: bool) -> Result<String, String> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // A sender is on the network of this node, whatever the environment says.
        .proxy(None)
        .timeout_global(Some(PATIENCE))
        .max_idle_connections(0)
        .user_agent(concat!("bilbycast-edge/", env!("CARGO_PKG_VERSION")));
    if is_tls {
        config = config.tls_config(registration::tls_config()?);
    }
    let agent = config.build().new_agent();
    let answer = agent.get(uri).header("Accept", "application/sdp").call();
    let mut answer = answer.map_err(|error| error.to_string())?;
    let status = answer.status();
    if status != StatusCode::OK.as_u16() {
        return Err(format!("the answer is {status}, 200 is expected"));
    }
    let body = answer.body_mut().with_config().limit(SDP_BYTES_MAX as u64);
    let bytes = body.read_to_vec().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not text in UTF-8".to_owned())
}

/// How long one may take. Answers of this node are there within a second where others do their part.
const PATIENCE: Duration = Duration::from_secs(2);

fn refused(href: &str, problem: &str) -> Fault {
    let error = format!("manifest_href: {} is not allowed: {problem}", shown(href));
    Fault::new(StatusCode::BAD_REQUEST, error)
}

/// Text from outside, in quotes.
fn shown(href: &str) -> String {
    let end = href.floor_char_boundary(SHOWN_BYTES_MAX);
    let more = if end < href.len() { "..." } else { "" };
    format!("'{}{more}'", href[..end].escape_debug())
}

const SHOWN_BYTES_MAX: usize = 200;
