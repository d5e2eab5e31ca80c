//! Where the host of a URL is.

use std::net::SocketAddr;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// What discovery has resolved already, for the system's resolver need not know `.local`; without that, what the
/// system says.
#[derive(Debug)]
pub(super) struct Route {
    addresses: Vec<SocketAddr>,
    system: DefaultResolver,
}

impl Route {
    pub(super) fn new(addresses: &[SocketAddr]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            system: DefaultResolver::default(),
        }
    }
}

impl Resolver for Route {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        if self.addresses.is_empty() {
            return self.system.resolve(uri, config, timeout);
        }
        let mut resolved = self.empty();
        // No more than the array holds: a registry has at most that many (ADDRESSES_MAX).
        for address in &self.addresses {
            resolved.push(*address);
        }
        Ok(resolved)
    }
}
