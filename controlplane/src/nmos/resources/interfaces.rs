//! Network interfaces: those of the node resource, and which one a leg uses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use serde_json::{Value, json};

/// A network interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its hardware address; all zero for what has none.
    pub mac: [u8; 6],
    /// Its addresses, in the order of the system.
    pub addresses: Vec<IpAddr>,
    /// Number that the system gave it.
    pub index: usize,
    /// Whether it is switched on.
    pub is_up: bool,
    /// Whether it leads to this host alone.
    pub is_loopback: bool,
}

/// The interfaces of this host, and which of them are the node's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Interfaces {
    all: Vec<Interface>,
    /// Indices into `all`.
    selected: Vec<usize>,
}

impl Interface {
    /// As IS-04 writes it: `aa-bb-cc-dd-ee-ff`.
    #[must_use]
    pub fn port_id(&self) -> String {
        self.mac.map(|byte| format!("{byte:02x}")).join("-")
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name,
            // This node sends no LLDP, and the standard wants null then.
            "chassis_id": null,
            "port_id": self.port_id(),
        })
    }
}

impl Interfaces {
    /// Those that the system has now; `configured` is `nmos.interfaces` (configuration.md 3.8).
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn of_system(configured: Option<&[String]>) -> io::Result<Self> {
        let mut all: Vec<Interface> = Vec::new();
        for entry in getifaddrs()? {
            // Further IPv4 addresses may have a label of their own behind a colon.
            let name = entry.interface_name.split(':').next().unwrap_or_default();
            let place = all.iter().position(|known| known.name == name);
            let place = place.unwrap_or_else(|| {
                all.push(Interface {
                    name: name.to_owned(),
                    mac: [0; 6],
                    addresses: Vec::new(),
                    index: usize::MAX,
                    is_up: entry.flags.contains(InterfaceFlags::IFF_UP),
                    is_loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
                });
                all.len() - 1
            });
            let interface = &mut all[place];
            let Some(address) = entry.address else {
                continue;
            };
            if let Some(link) = address.as_link_addr() {
                interface.mac = link.addr().unwrap_or_default();
                interface.index = link.ifindex();
            } else if let Some(address) = address.as_sockaddr_in() {
                interface.addresses.push(address.ip().into());
            } else if let Some(address) = address.as_sockaddr_in6() {
                interface.addresses.push(address.ip().into());
            }
        }
        Ok(Self::new(all, configured))
    }

    /// These interfaces; the node's are those that are configured and there, else all that are up and have an address
    /// but loopback, else loopback.
    #[must_use]
    pub fn new(mut all: Vec<Interface>, configured: Option<&[String]>) -> Self {
        all.sort_by_key(|interface| interface.index);
        let place = |name: &String| all.iter().position(|interface| interface.name == *name);
        let mut selected: Vec<usize> = match configured {
            Some(names) => names.iter().filter_map(place).collect(),
            None => (0..all.len())
                .filter(|place| {
                    let interface = &all[*place];
                    interface.is_up && !interface.is_loopback && !interface.addresses.is_empty()
                })
                .collect(),
        };
        if selected.is_empty() {
            selected.extend(all.iter().position(|interface| interface.is_loopback));
        }
        Self { all, selected }
    }

    /// All of the host, in the order of their numbers.
    #[must_use]
    pub fn all(&self) -> &[Interface] {
        &self.all
    }

    /// The node's, the first one first.
    pub fn selected(&self) -> impl Iterator<Item = &Interface> {
        self.selected.iter().map(|place| &self.all[*place])
    }

    /// The interface of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Interface> {
        self.all.iter().find(|interface| interface.name == name)
    }

    /// The interface that has this address; every address of 127.0.0.0/8 is one of loopback.
    #[must_use]
    pub fn owner(&self, address: IpAddr) -> Option<&Interface> {
        let address = address.to_canonical();
        let mut all = self.all.iter();
        all.find(|interface| match address.is_loopback() {
            true => interface.is_loopback,
            false => interface.addresses.contains(&address),
        })
    }

    /// The interface of a leg with this local address and this far end: that of the local address, else the one on the
    /// way to the far end, else the node's first.
    pub(super) fn of_leg(&self, local: Option<IpAddr>, remote: Option<IpAddr>) -> Option<&str> {
        let local = local.filter(|address| !address.is_unspecified() && !address.is_multicast());
        let by_route = || self.owner(local_address_towards(remote?)?);
        let found = local
            .and_then(|local| self.owner(local))
            .or_else(by_route)
            .or_else(|| self.selected().next());
        found.map(|interface| interface.name.as_str())
    }

    /// What the node resource lists: the node's own, and those that `used` names besides.
    pub(super) fn listed(&self, used: &[&str]) -> Vec<&Interface> {
        let others = self.all.iter().enumerate().filter(|(place, interface)| {
            !self.selected.contains(place) && used.contains(&interface.name.as_str())
        });
        self.selected()
            .chain(others.map(|(_, interface)| interface))
            .collect()
    }
}

/// The local address that packets to `remote` leave from, as the system routes now; no packet is sent.
pub(crate) fn local_address_towards(remote: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match remote {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(remote, PORT_DISCARD)).ok()?;
    let local = socket.local_addr().ok()?.ip();
    (!local.is_unspecified()).then_some(local)
}

/// Any port would do to ask for a route.
const PORT_DISCARD: u16 = 9;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn loopback() -> Interface {
        Interface {
            name: "lo".to_owned(),
            mac: [0; 6],
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            index: 1,
            is_up: true,
            is_loopback: true,
        }
    }

    pub(in super::super) fn ethernet(name: &str, index: u8, addresses: &[&str]) -> Interface {
        Interface {
            name: name.to_owned(),
            mac: [2, 0, 0, 0, 0xab, index],
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            index: index.into(),
            is_up: true,
            is_loopback: false,
        }
    }

    fn names<'a>(interfaces: impl IntoIterator<Item = &'a Interface>) -> Vec<&'a str> {
        let interfaces = interfaces.into_iter();
        interfaces
            .map(|interface| interface.name.as_str())
            .collect()
    }

    #[test]
    fn this_host_has_a_loopback_interface() {
        let interfaces = Interfaces::of_system(None).unwrap();
        let loopback = interfaces.owner(Ipv4Addr::LOCALHOST.into()).unwrap();
        assert!(loopback.is_loopback);
        assert_eq!(loopback.port_id(), "00-00-00-00-00-00");
        assert!(interfaces.selected().next().is_some());
    }

    #[test]
    fn the_nodes_interfaces_are_the_configured_ones_or_all_that_are_of_use() {
        let mut down = ethernet("down", 4, &["203.0.113.1"]);
        down.is_up = false;
        let all = vec![
            ethernet("eth1", 3, &["198.51.100.1"]),
            loopback(),
            ethernet("eth0", 2, &["192.0.2.1"]),
            down,
            ethernet("bare", 5, &[]),
        ];
        let select = |configured: Option<&[&str]>| {
            let configured =
                configured.map(|names| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
            let interfaces = Interfaces::new(all.clone(), configured.as_deref());
            names(interfaces.selected()).join(" ")
        };
        assert_eq!(select(None), "eth0 eth1");
        assert_eq!(select(Some(&["eth1", "none", "down"])), "eth1 down");
        assert_eq!(select(Some(&["none"])), "lo");
        let alone = Interfaces::new(vec![loopback()], None);
        assert_eq!(names(alone.selected()), ["lo"]);
    }

    #[test]
    fn a_leg_is_bound_by_its_address_then_by_route_then_by_default() {
        let interfaces =
            Interfaces::new(vec![loopback(), ethernet("eth0", 2, &["192.0.2.1"])], None);
        let bound = |local: Option<&str>, remote: Option<&str>| {
            let parse = |text: &str| text.parse().unwrap();
            interfaces.of_leg(local.map(parse), remote.map(parse))
        };
        assert_eq!(bound(Some("192.0.2.1"), Some("127.0.0.1")), Some("eth0"));
        assert_eq!(bound(Some("127.0.0.9"), None), Some("lo"));
        assert_eq!(bound(None, Some("127.0.0.1")), Some("lo"));
        assert_eq!(bound(Some("0.0.0.0"), None), Some("eth0"));
        assert_eq!(bound(Some("239.1.1.1"), None), Some("eth0"));
        assert_eq!(bound(Some("192.0.2.99"), None), Some("eth0"));
        let none = Interfaces::new(Vec::new(), None);
        assert_eq!(none.of_leg(None, None), None);
    }

    #[test]
    fn the_node_lists_what_its_legs_use() {
        let all = vec![
            loopback(),
            ethernet("eth0", 2, &["192.0.2.1"]),
            ethernet("eth1", 3, &["198.51.100.1"]),
        ];
        let interfaces = Interfaces::new(all, Some(&["eth1".to_owned()]));
        assert_eq!(names(interfaces.listed(&[])), ["eth1"]);
        assert_eq!(names(interfaces.listed(&["eth1", "lo"])), ["eth1", "lo"]);
        let json = interfaces.named("eth0").unwrap().json();
        assert_eq!(json["port_id"], "02-00-00-00-ab-02");
    }
}
