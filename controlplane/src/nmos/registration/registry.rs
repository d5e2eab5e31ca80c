//! Registries: what an advertisement says, and whether this node may use what it offers (nmos.md 6).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::config::MediaUrl;

/// An advertisement of a Registration API, as it was found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Advert {
    /// Full name of the service instance.
    pub(super) name: String,
    /// Target of its SRV record.
    pub(super) host: String,
    /// Port of its SRV record.
    pub(super) port: u16,
    /// What the target resolves to.
    pub(super) addresses: Vec<IpAddr>,
    /// `api_ver` of its TXT record: versions with commas in between.
    pub(super) api_ver: Option<String>,
    /// `api_proto` of its TXT record.
    pub(super) api_proto: Option<String>,
    /// `api_auth` of its TXT record.
    pub(super) api_auth: Option<String>,
    /// `pri` of its TXT record.
    pub(super) pri: Option<String>,
    /// Why all this is not known.
    pub(super) trouble: Option<String>,
}

/// A registry that this node may use.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Registry {
    /// Full name of the service instance, or the URL of the configuration as it may be shown.
    name: String,
    /// `http(s)://host:port`.
    base: String,
    /// Where that host is; empty where the system has to be asked.
    addresses: Vec<SocketAddr>,
    /// The lowest is the best; 100 and more are for development.
    priority: u16,
    /// Versions of the API that it has besides ours, as far as they are known; the newest first.
    older: Vec<String>,
}

/// Why a registry is not used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it has no usable address: {0} resolves to nothing")]
    Address(String),
    #[error("api_auth is \"{0}\", and this node has no authorization")]
    Authorization(String),
    #[error("it cannot be looked up: {0}")]
    Lookup(String),
    #[error("its port is 0")]
    Port,
    #[error("pri is \"{0}\", expected a number from 0 to 65535")]
    Priority(String),
    #[error("api_proto is \"{found}\", and this node speaks {ours}")]
    Protocol { found: String, ours: &'static str },
    #[error("api_ver is \"{0}\", without {API_VERSION}")]
    Version(String),
}

/// The version of the Registration API that this node speaks.
pub(super) const API_VERSION: &str = "v1.3";

impl Advert {
    /// The registry, if a node that speaks `ours` (`http` or `https`) may use it.
    pub(super) fn judge(&self, ours: &'static str) -> Result<Registry, Refusal> {
        let given = |value: &Option<String>, otherwise: &str| {
            let value = value.as_deref().unwrap_or(otherwise);
            shortened(value)
        };
        if let Some(trouble) = &self.trouble {
            return Err(Refusal::Lookup(trouble.clone()));
        }
        // Before these two there were only plain HTTP, and nobody who asked for authorization.
        let versions = given(&self.api_ver, "");
        let mut older: Vec<_> = versions
            .split(',')
            .map(|one| one.trim().to_owned())
            .collect();
        if !older.iter().any(|version| version == API_VERSION) {
            return Err(Refusal::Version(versions));
        }
        older.retain(|version| is_older(version));
        older.sort_unstable_by(|one, other| other.cmp(one));
        older.truncate(OLDER_VERSIONS_MAX);
        let found = given(&self.api_proto, "http");
        if found != ours {
            return Err(Refusal::Protocol { found, ours });
        }
        let auth = given(&self.api_auth, "false");
        if auth != "false" {
            return Err(Refusal::Authorization(auth));
        }
        let priority = self.priority()?;
        if self.port == 0 {
            return Err(Refusal::Port);
        }
        let mut addresses = self.addresses.clone();
        addresses.retain(is_usable);
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        let Some(first) = addresses.first() else {
            return Err(Refusal::Address(shortened(&self.host)));
        };
        let host = match (ours, first) {
            // A certificate has a name in it.
            ("https", _) => self.host.trim_end_matches('.').to_owned(),
            (_, IpAddr::V4(address)) => address.to_string(),
            (_, IpAddr::V6(address)) => format!("[{address}]"),
        };
        let at = |address: IpAddr| SocketAddr::new(address, self.port);
        Ok(Registry {
            name: shortened(&self.name),
            base: format!("{ours}://{host}:{}", self.port),
            addresses: addresses.into_iter().map(at).collect(),
            priority,
            older,
        })
    }

    /// The lowest is the best.
    pub(super) fn priority(&self) -> Result<u16, Refusal> {
        match &self.pri {
            None => Ok(u16::MAX),
            Some(text) => {
                let number = text.parse();
                number.map_err(|_| Refusal::Priority(shortened(text)))
            }
        }
    }
}

impl Refusal {
    /// Whether something is wrong with the advertisement; else it is meant for other nodes.
    pub(super) const fn is_fault(&self) -> bool {
        match self {
            Self::Address(_) | Self::Lookup(_) | Self::Port | Self::Priority(_) => true,
            Self::Authorization(_) | Self::Protocol { .. } | Self::Version(_) => false,
        }
    }
}

impl Registry {
    /// The one of the configuration. Some write the whole path of the API there, and mean the same.
    pub(super) fn configured(url: &MediaUrl) -> Self {
        let text = url.expose();
        let text = &text[..text.find(['?', '#']).unwrap_or(text.len())];
        let base = match text.find("/x-nmos") {
            Some(start) => &text[..start],
            None => text,
        };
        Self {
            name: url.to_string(),
            base: base.trim_end_matches('/').to_owned(),
            addresses: Vec::new(),
            priority: 0,
            older: Vec::new(),
        }
    }

    /// Whether it is the same one, though its priority or its versions may have changed.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.base == other.base && self.addresses == other.addresses
    }

    /// Full name of the service instance, or the URL of the configuration as it may be shown.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is HTTPS.
    pub(super) fn is_tls(&self) -> bool {
        self.base.starts_with("https:")
    }

    /// Where its host is; empty where the system has to be asked.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The lowest is the best.
    pub(super) const fn priority(&self) -> u16 {
        self.priority
    }

    /// Versions of the API under which this node may be registered from earlier; the newest first.
    pub(super) fn older_versions(&self) -> Vec<String> {
        match self.older.is_empty() {
            true => ["v1.2", "v1.1", "v1.0"].map(str::to_owned).to_vec(),
            false => self.older.clone(),
        }
    }

    /// The URL of `path` in this version of its API.
    pub(super) fn url(&self, version: &str, path: &str) -> String {
        format!("{}/x-nmos/registration/{version}/{path}", self.base)
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addresses.is_empty() {
            // The base may hold a password.
            true => out.write_str(&self.name),
            false => write!(out, "{} ({})", self.name, self.base),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A version of the API by its form, and not ours: it becomes part of a path.
pub(super) fn is_older(version: &str) -> bool {
    let number = version
        .strip_prefix('v')
        .and_then(|rest| rest.split_once('.'));
    let is_number =
        |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    version != API_VERSION
        && number.is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

/// What somebody on the network sent, fit for a log: no control characters, and not too long.
pub(super) fn shortened(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    text.replace(|c: char| c.is_control(), " ")
}

/// A link-local address of IPv6 means nothing without the interface, which URLs do not have.
const fn is_usable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_unspecified() && !address.is_multicast(),
        IpAddr::V6(address) => {
            !address.is_unspecified() && !address.is_multicast() && !address.is_unicast_link_local()
        }
    }
}

/// As many as the HTTP client takes.
const ADDRESSES_MAX: usize = 16;

/// There have been v1.0, v1.1 and v1.2.
const OLDER_VERSIONS_MAX: usize = 8;

/// Longest text of somebody else that gets into a message.
const TEXT_BYTES_MAX: usize = 200;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A good one at 127.0.0.1.
    pub(in super::super) fn advert(name: &str, port: u16, pri: &str) -> Advert {
        let text = |text: &str| Some(text.to_owned());
        Advert {
            name: name.to_owned(),
            host: "registry.local.".to_owned(),
            port,
            addresses: vec!["127.0.0.1".parse().unwrap()],
            api_ver: text("v1.2,v1.3"),
            api_proto: text("http"),
            api_auth: text("false"),
            pri: text(pri),
            trouble: None,
        }
    }

    #[test]
    fn a_registry_is_reached_at_its_address_and_with_tls_by_its_name() {
        let mut found = advert("r", 80, "7");
        found.addresses = [
            "2001:db8::1",
            "fe80::1",
            "192.0.2.1",
            "0.0.0.0",
            "192.0.2.1",
        ]
        .map(|text| text.parse().unwrap())
        .to_vec();
        let registry = found.judge("http").unwrap();
        assert_eq!(
            registry.url(API_VERSION, "resource"),
            "http://192.0.2.1:80/x-nmos/registration/v1.3/resource"
        );
        assert_eq!(registry.priority(), 7);
        assert_eq!(registry.older_versions(), ["v1.2"]);
        let addresses: Vec<_> = registry
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(addresses, ["192.0.2.1:80", "[2001:db8::1]:80"]);
        assert_eq!(registry.to_string(), "r (http://192.0.2.1:80)");

        found.api_proto = Some("https".to_owned());
        let registry = found.judge("https").unwrap();
        assert!(
            registry
                .url("v1.2", "x")
                .starts_with("https://registry.local:80/x-nmos/")
        );

        found.addresses = vec!["2001:db8::1".parse().unwrap()];
        found.api_proto = None;
        found.api_auth = None;
        found.pri = None;
        let registry = found.judge("http").unwrap();
        assert!(
            registry
                .url("v1.2", "x")
                .starts_with("http://[2001:db8::1]:80/")
        );
        assert_eq!(registry.priority(), u16::MAX);
    }

    #[test]
    fn a_registry_that_is_not_for_us_is_refused_with_the_reason() {
        let refused = |change: fn(&mut Advert)| {
            let mut found = advert("r", 80, "0");
            change(&mut found);
            found.judge("http").unwrap_err().to_string()
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            refused(|advert| advert.api_ver = Some("v1.0,v1.30".to_owned())),
            "api_ver is \"v1.0,v1.30\", without v1.3"
        );
        assert_eq!(
            refused(|advert| advert.api_ver = None),
            "api_ver is \"\", without v1.3"
        );
        assert_eq!(
            refused(|advert| advert.api_proto = Some("https".to_owned())),
            "api_proto is \"https\", and this node speaks http"
        );
        assert_eq!(
            refused(|advert| advert.api_auth = Some("true".to_owned())),
            "api_auth is \"true\", and this node has no authorization"
        );
        for pri in ["", "-1", "x", "65536"] {
            let mut found = advert("r", 80, pri);
            found.pri = text(pri);
            let expected = format!("pri is \"{pri}\", expected a number from 0 to 65535");
            assert_eq!(found.judge("http").unwrap_err().to_string(), expected);
        }
        assert_eq!(refused(|advert| advert.port = 0), "its port is 0");
        assert_eq!(
            refused(|advert| advert.addresses = vec!["fe80::1".parse().unwrap()]),
            "it has no usable address: registry.local. resolves to nothing"
        );
        let long = refused(|advert| advert.api_proto = Some("\u{e9}\n".repeat(100_000)));
        assert!(long.len() < 300 && !long.contains('\n'), "{long}");
    }

    #[test]
    fn versions_go_into_paths_and_are_nothing_else() {
        for good in ["v1.0", "v1.2", "v9.0", "v10.100"] {
            assert!(is_older(good), "{good}");
        }
        for bad in [
            "v1.3", "1.2", "v1", "v1.", "v.1", "v1.2/..", "v1.2?", "v1.0000", "",
        ] {
            assert!(!is_older(bad), "{bad}");
        }
    }
}
