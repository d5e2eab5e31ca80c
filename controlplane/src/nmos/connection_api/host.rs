//! The network of this host.

use std::net::IpAddr;

use super::mapping::Host;
use super::params::Reach;
use crate::nmos::resources::{Model, local_address_towards};

/// The network as the system has it now, with the interfaces that the resources were made from.
#[derive(Debug)]
pub(super) struct SystemHost {
    addresses: Vec<IpAddr>,
}

impl SystemHost {
    pub(super) fn of(model: &Model) -> Self {
        let interfaces = model.interfaces();
        // Those of the node come first, so that what it chooses is one of them.
        let selected = interfaces.selected();
        let all = selected.chain(interfaces.all().iter());
        let mut addresses = Vec::new();
        for address in all
            .filter(|interface| interface.is_up)
            .flat_map(|one| &one.addresses)
        {
            if !addresses.contains(address) && is_usable(*address) {
                addresses.push(*address);
            }
        }
        Self { addresses }
    }

    pub(super) fn reach(self) -> Reach {
        Reach {
            local_addresses: self.addresses,
        }
    }
}

impl Host for SystemHost {
    fn route(&self, to: IpAddr) -> Option<IpAddr> {
        local_address_towards(to)
    }

    fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }
}

/// An IPv6 address of one link alone says nothing without the name of the link.
fn is_usable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    }
}
