//! Versions of resources (nmos.md 3.1), and the counters that tell peers which kind of resource has changed (6).

use std::time::Duration;

use super::resources::ResourceType;
use super::tai::Tai;

/// Where versions come from: the clock, but never the same twice and never back.
#[derive(Debug, Default)]
pub(super) struct Versions {
    last: Tai,
}

impl Versions {
    /// A version that is later than all before it.
    pub(super) fn next(&mut self) -> Tai {
        self.next_at(Tai::now())
    }

    fn next_at(&mut self, now: Tai) -> Tai {
        self.last = now.max(self.last.plus(Duration::from_nanos(1)));
        self.last
    }
}

/// `ver_slf`, `ver_dvc` and so on of the peer-to-peer advertisement, in the order of [`ResourceType::ALL`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counters([u8; ResourceType::ALL.len()]);

impl Counters {
    /// Resources of this kind have changed, come or gone; after 255 comes 0.
    pub(super) const fn count(&mut self, kind: ResourceType) {
        let counter = &mut self.0[kind.index()];
        *counter = counter.wrapping_add(1);
    }

    /// Their values.
    pub(super) const fn values(self) -> [u8; ResourceType::ALL.len()] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_rise_though_the_clock_stands_or_goes_back() {
        let mut versions = Versions::default();
        let at = |text: &str| text.parse::<Tai>().unwrap();
        let given: Vec<_> = ["100:5", "100:5", "99:0", "100:999999999", "101:0"]
            .into_iter()
            .map(|now| versions.next_at(at(now)).to_string())
            .collect();
        assert_eq!(given, ["100:5", "100:6", "100:7", "100:999999999", "101:0"]);
    }

    #[test]
    fn counters_wrap() {
        let mut counters = Counters::default();
        for _ in 0..256 {
            counters.count(ResourceType::Flow);
        }
        counters.count(ResourceType::Node);
        assert_eq!(counters.values(), [1, 0, 0, 0, 0, 0]);
        counters.count(ResourceType::Receiver);
        assert_eq!(counters.values(), [1, 0, 0, 0, 0, 1]);
    }
}
