//! From an interface's address to its index, which is what the kernel wants for groups.

use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;

/// Index of the interface that carries `address`; `None` when none does.
pub(super) fn index_of(address: IpAddr) -> io::Result<Option<u32>> {
    for interface in getifaddrs()? {
        let Some(found) = interface.address.and_then(|storage| ip_of(&storage)) else {
            continue;
        };
        if found == address {
            return Ok(Some(if_nametoindex(interface.interface_name.as_str())?));
        }
    }
    Ok(None)
}

fn ip_of(storage: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage
        .as_sockaddr_in()
        .map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| {
        storage
            .as_sockaddr_in6()
            .map(|address| IpAddr::V6(address.ip()))
    })
}

/// `group` with the scope of the interface, which a link-local group needs to be bound or sent to.
pub(super) fn scoped(group: SocketAddr, index: u32) -> SocketAddr {
    match group {
        SocketAddr::V6(mut v6) if v6.scope_id() == 0 => {
            v6.set_scope_id(index);
            SocketAddr::V6(v6)
        }
        other => other,
    }
}
