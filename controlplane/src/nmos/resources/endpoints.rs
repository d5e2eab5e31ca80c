//! Where the APIs of this node are found (nmos.md 2).

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use super::Interfaces;

/// Where the server listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listening {
    /// Its address, with the port that the system chose.
    pub address: SocketAddr,
    /// Whether it speaks HTTPS.
    pub is_tls: bool,
}

/// A way to the APIs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// DNS name or IP address, an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether it is HTTPS.
    pub is_tls: bool,
}

impl Endpoint {
    /// `http` or `https`.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// `http://host:port`.
    #[must_use]
    pub fn base_url(&self) -> String {
        let Self { host, port, .. } = self;
        let protocol = self.protocol();
        match host.contains(':') {
            true => format!("{protocol}://[{host}]:{port}"),
            false => format!("{protocol}://{host}:{port}"),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "host": self.host,
            "port": self.port,
            "protocol": self.protocol(),
            "authorization": false,
        })
    }
}

/// All ways: the configured name alone; else the address that is listened on; else, when that is any address, those
/// of the node's interfaces.
pub(super) fn endpoints(
    listening: Listening,
    configured: Option<&str>,
    interfaces: &Interfaces,
) -> Vec<Endpoint> {
    let Listening { address, is_tls } = listening;
    let at = |host: String| Endpoint {
        host,
        port: address.port(),
        is_tls,
    };
    if let Some(host) = configured {
        return vec![at(host.to_owned())];
    }
    let address = address.ip().to_canonical();
    if !address.is_unspecified() {
        return vec![at(address.to_string())];
    }
    let mut endpoints: Vec<_> = interfaces
        .selected()
        .flat_map(|interface| &interface.addresses)
        .filter(|own| own.is_ipv4() || (address.is_ipv6() && !is_link_local(own)))
        .map(|own| at(own.to_string()))
        .collect();
    if endpoints.is_empty() {
        endpoints.push(at(match address {
            IpAddr::V4(_) => "127.0.0.1".to_owned(),
            IpAddr::V6(_) => "::1".to_owned(),
        }));
    }
    endpoints
}

/// Such an address means nothing without the name of an interface, which URLs do not have.
const fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::interfaces::tests::{ethernet, loopback};
    use super::*;

    fn urls(listening: &str, configured: Option<&str>, interfaces: &Interfaces) -> Vec<String> {
        let listening = Listening {
            address: listening.parse().unwrap(),
            is_tls: configured.is_some_and(|host| host.contains("tls")),
        };
        let endpoints = endpoints(listening, configured, interfaces);
        endpoints.iter().map(Endpoint::base_url).collect()
    }

    #[test]
    fn endpoints_are_where_the_server_can_be_asked() {
        let two = || {
            vec![
                loopback(),
                ethernet("eth0", 2, &["192.0.2.1", "fe80::1", "2001:db8::1"]),
                ethernet("eth1", 3, &["198.51.100.1"]),
            ]
        };
        let all = Interfaces::new(two(), None);
        assert_eq!(
            urls("0.0.0.0:80", None, &all),
            ["http://192.0.2.1:80", "http://198.51.100.1:80"]
        );
        assert_eq!(
            urls("[::]:80", None, &all),
            [
                "http://192.0.2.1:80",
                "http://[2001:db8::1]:80",
                "http://198.51.100.1:80"
            ]
        );
        assert_eq!(urls("127.0.0.1:81", None, &all), ["http://127.0.0.1:81"]);
        assert_eq!(
            urls("[::ffff:192.0.2.1]:81", None, &all),
            ["http://192.0.2.1:81"]
        );
        assert_eq!(
            urls("0.0.0.0:82", Some("tls.example.com"), &all),
            ["https://tls.example.com:82"]
        );
        let second = Interfaces::new(two(), Some(&["eth1".to_owned(), "lo".to_owned()]));
        assert_eq!(
            urls("0.0.0.0:80", None, &second),
            ["http://198.51.100.1:80", "http://127.0.0.1:80"]
        );
        let alone = Interfaces::new(vec![loopback()], None);
        assert_eq!(urls("0.0.0.0:80", None, &alone), ["http://127.0.0.1:80"]);
        let none = Interfaces::new(Vec::new(), None);
        assert_eq!(urls("[::]:80", None, &none), ["http://[::1]:80"]);
    }
}
