use super::*;
use crate::config::{AuthClient, Secret};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

pub(crate) fn client(client_id: &str, client_secret: &str, role: Role) -> AuthClient {
    AuthClient {
        client_id: client_id.to_owned(),
        client_secret: Secret::new(client_secret.to_owned()),
        role,
    }
}

fn config() -> AuthConfig {
    AuthConfig {
        enabled: true,
        jwt_secret: Secret::new("a key of the tokens that is long enough".to_owned()),
        token_lifetime_secs: 3_600,
        public_metrics: false,
        token_rate_limit_per_minute: 2,
        clients: vec![client("a", "secret", Role::Monitor)],
    }
}

fn request(client_secret: &str) -> Result<TokenRequest, GrantError> {
    Ok(TokenRequest {
        grant_type: "client_credentials".to_owned(),
        client_id: "a".to_owned(),
        client_secret: client_secret.to_owned(),
    })
}

#[test]
fn off_means_open() {
    let disabled = AuthConfig {
        enabled: false,
        ..config()
    };
    for config in [None, Some(&disabled)] {
        let auth = Auth::new(config);
        assert!(!auth.is_enabled() && auth.has_public_metrics());
        assert_eq!(auth.authenticate("anything"), Ok(Caller::anyone()));
        assert_eq!(auth.admit(PEER), Err(GrantError::Disabled));
        let grant = auth.grant(PEER, request("secret"));
        assert_eq!(grant.unwrap_err(), GrantError::Disabled);
    }
}

#[test]
fn a_granted_token_authenticates_its_client() {
    let auth = Auth::new(Some(&config()));
    assert!(auth.is_enabled() && !auth.has_public_metrics());
    let grant = auth.grant(PEER, request("secret")).unwrap();
    assert_eq!(grant.expires_in_secs, 3_600);
    assert_eq!(grant.caller.role, Role::Monitor);
    assert_eq!(auth.authenticate(&grant.access_token), Ok(grant.caller));
}

#[test]
fn failures_of_every_kind_count_and_successes_do_not() {
    let auth = Auth::new(Some(&config()));
    for _ in 0..10 {
        assert!(auth.grant(PEER, request("secret")).is_ok());
    }
    let wrong = auth.grant(PEER, request("wrong")).unwrap_err();
    assert_eq!(wrong, GrantError::InvalidCredentials);
    assert_eq!(auth.admit(PEER), Ok(()));
    let malformed = auth.grant(PEER, Err(GrantError::Malformed("x".to_owned())));
    assert_eq!(
        malformed.unwrap_err(),
        GrantError::Malformed("x".to_owned())
    );
    assert_eq!(auth.admit(PEER), Err(GrantError::Throttled));
    let right = auth.grant(PEER, request("secret")).unwrap_err();
    assert_eq!(right, GrantError::Throttled);
    let other = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
    assert!(auth.grant(other, request("secret")).is_ok());

    let auth = Auth::new(Some(&config()));
    auth.count_failure(PEER);
    auth.count_failure(PEER);
    assert_eq!(auth.admit(PEER), Err(GrantError::Throttled));
}

#[test]
fn nothing_secret_is_printed() {
    let auth = Auth::new(Some(&config()));
    let grant = auth.grant(PEER, request("secret")).unwrap();
    let printed = format!("{auth:?} {grant:?}");
    assert!(
        !printed.contains("secret") && !printed.contains("eyJ"),
        "{printed}"
    );
}
