//! What of the configuration decides how this node is registered (configuration.md 3.8).

use std::net::{IpAddr, SocketAddr};

use uuid::Uuid;

use super::discovery::{Nic, Peer};
use super::machine::Identity;
use crate::config::{AppConfig, MediaUrl, NmosMode};
use crate::nmos::is_enabled;
use crate::nmos::resources::{Endpoint, Interface, Model};

/// How this node is registered. With any change of it, it is registered anew.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    node_id: Uuid,
    /// `http` or `https`.
    protocol: &'static str,
    pub(super) way: Way,
}

/// How a registry is found.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    Mdns,
    Off,
    Static(MediaUrl),
    Unicast {
        domain: Option<String>,
        server: Option<SocketAddr>,
    },
}

impl Settings {
    pub(super) fn of(config: &AppConfig, model: &Model) -> Self {
        let registration = config
            .nmos
            .as_ref()
            .and_then(|nmos| nmos.registration.as_ref());
        let mode = registration.and_then(|registration| registration.mode);
        let way = match (mode.unwrap_or(NmosMode::Mdns), registration) {
            _ if !is_enabled(config) => Way::Off,
            (NmosMode::Mdns, _) => Way::Mdns,
            (NmosMode::Off, _) => Way::Off,
            (NmosMode::Static, registration) => {
                // The parser has seen to it that there is one.
                let url = registration.and_then(|registration| registration.url.clone());
                url.map_or(Way::Off, Way::Static)
            }
            (NmosMode::Unicast, registration) => Way::Unicast {
                domain: registration.and_then(|registration| registration.domain.clone()),
                server: registration.and_then(|registration| registration.dns_server),
            },
        };
        Self {
            node_id: config.node_id,
            protocol: model.endpoints().first().map_or("http", Endpoint::protocol),
            way,
        }
    }

    /// Who registers.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            node_id: self.node_id,
            protocol: self.protocol,
            is_peer: self.way == Way::Mdns,
            way: self.way.words(),
        }
    }
}

impl Way {
    /// As the configuration names it.
    pub(super) const fn mode(&self) -> NmosMode {
        match self {
            Self::Mdns => NmosMode::Mdns,
            Self::Off => NmosMode::Off,
            Self::Static(_) => NmosMode::Static,
            Self::Unicast { .. } => NmosMode::Unicast,
        }
    }

    const fn words(&self) -> &'static str {
        match self {
            Self::Mdns => "by mDNS",
            Self::Off => "as none is looked for",
            Self::Static(_) => "in the configuration",
            Self::Unicast { .. } => "in the DNS",
        }
    }
}

/// The interfaces for mDNS: those of the node. A node whose APIs are on this host alone has no business on the network:
/// without a word of the configuration, it stays on loopback.
pub(super) fn nics(config: &AppConfig, model: &Model) -> Vec<Nic> {
    let interfaces = model.interfaces();
    let is_configured = config
        .nmos
        .as_ref()
        .is_some_and(|nmos| nmos.interfaces.is_some());
    let is_here_alone = model.endpoints().iter().all(is_loopback);
    let nic = |interface: &Interface| Nic {
        name: interface.name.clone(),
        is_loopback: interface.is_loopback,
    };
    match is_here_alone && !is_configured {
        true => {
            let all = interfaces.all().iter();
            all.filter(|interface| interface.is_loopback)
                .map(nic)
                .collect()
        }
        false => interfaces.selected().map(nic).collect(),
    }
}

fn is_loopback(endpoint: &Endpoint) -> bool {
    let address = endpoint.host.parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
}

/// This node for its peers, with these counters.
pub(super) fn peer(config: &AppConfig, model: &Model, counters: [u8; 6]) -> Peer {
    let endpoints = model.endpoints();
    let mut addresses: Vec<IpAddr> = endpoints
        .iter()
        .filter_map(|endpoint| endpoint.host.parse().ok())
        .collect();
    if addresses.is_empty() {
        // A configured name: its addresses are those of the node's interfaces.
        let selected = model.interfaces().selected();
        addresses = selected
            .flat_map(|interface| interface.addresses.clone())
            .collect();
    }
    let first = endpoints.first();
    let mut txt = vec![
        (
            "api_proto",
            first.map_or("http", Endpoint::protocol).to_owned(),
        ),
        ("api_ver", "v1.3".to_owned()),
        ("api_auth", "false".to_owned()),
    ];
    let counters = COUNTERS.iter().zip(counters);
    txt.extend(counters.map(|(name, counter)| (*name, counter.to_string())));
    Peer {
        name: format!("bilbycast-edge-{}", config.node_id),
        addresses,
        port: first.map_or(0, |endpoint| endpoint.port),
        txt,
    }
}

/// In the order of the model's counters.
const COUNTERS: [&str; 6] = [
    "ver_slf", "ver_dvc", "ver_src", "ver_flw", "ver_snd", "ver_rcv",
];
