//! The brake on guessing: how many token requests of each client address failed (configuration.md 11.3).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long an address is refused after its last failure, in seconds; what `Retry-After` says.
pub const BLOCK_SECS: u64 = 60;

/// Failures by address. A window of a minute begins with an address's first failure; the failure that fills it blocks
/// the address for [`BLOCK_SECS`].
#[derive(Debug)]
pub(super) struct Throttle {
    failures_max: u32,
    windows: HashMap<Origin, Window>,
    /// The keys of `windows`, in the order in which they came.
    by_age: VecDeque<Origin>,
}

/// What counts as one client: an IPv4 address, or the /64 that one IPv6 subscriber has at least.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Origin {
    V4([u8; 4]),
    V6([u16; 4]),
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    failures: u32,
}

impl Throttle {
    /// With 0 nothing is counted.
    pub(super) fn new(failures_per_minute_max: u32) -> Self {
        Self {
            failures_max: failures_per_minute_max,
            windows: HashMap::new(),
            by_age: VecDeque::new(),
        }
    }

    pub(super) fn is_blocked(&self, peer: IpAddr, now: Instant) -> bool {
        let window = self.windows.get(&Origin::from(peer));
        window.is_some_and(|window| window.failures >= self.failures_max && !window.is_over(now))
    }

    /// Counts a failure; true when the address is blocked by it.
    pub(super) fn fail(&mut self, peer: IpAddr, now: Instant) -> bool {
        if self.failures_max == 0 {
            return false;
        }
        let origin = Origin::from(peer);
        if !self.windows.contains_key(&origin) {
            self.make_room(now);
            self.by_age.push_back(origin);
        }
        let fresh = Window {
            since: now,
            failures: 0,
        };
        let window = self.windows.entry(origin).or_insert(fresh);
        if window.is_over(now) {
            *window = fresh;
        }
        window.failures = window.failures.saturating_add(1);
        if window.failures < self.failures_max {
            return false;
        }
        let is_new = window.failures == self.failures_max;
        window.since = now;
        is_new
    }

    /// Forgets the oldest windows that are over, and the very oldest when there is no room otherwise: whoever has so
    /// many addresses has as many tries anyway, and nobody else may be kept out for that.
    fn make_room(&mut self, now: Instant) {
        while let Some(oldest) = self.by_age.front() {
            let is_over = self.windows.get(oldest).is_none_or(|old| old.is_over(now));
            if !is_over && self.by_age.len() < ORIGINS_MAX {
                return;
            }
            self.windows.remove(oldest);
            self.by_age.pop_front();
        }
    }
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= Duration::from_secs(BLOCK_SECS)
    }
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// Addresses that are counted at a time: about 1 MB.
const ORIGINS_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn after(start: Instant, secs: u64) -> Instant {
        start + Duration::from_secs(secs)
    }

    #[test]
    fn the_failure_that_fills_the_window_blocks_for_a_minute() {
        let start = Instant::now();
        let mut throttle = Throttle::new(3);
        assert!(!throttle.fail(PEER, start));
        assert!(!throttle.fail(PEER, after(start, 10)));
        assert!(!throttle.is_blocked(PEER, after(start, 50)));
        assert!(throttle.fail(PEER, after(start, 50)));
        assert!(throttle.is_blocked(PEER, after(start, 109)));
        assert!(!throttle.is_blocked(PEER, after(start, 110)));
        assert!(!throttle.fail(PEER, after(start, 110)), "a new window");
    }

    #[test]
    fn failures_that_are_far_apart_do_not_add_up() {
        let start = Instant::now();
        let mut throttle = Throttle::new(2);
        for minute in 0..10 {
            let now = after(start, minute * 60);
            assert!(!throttle.fail(PEER, now));
            assert!(!throttle.is_blocked(PEER, now));
        }
    }

    #[test]
    fn zero_switches_it_off() {
        let now = Instant::now();
        let mut throttle = Throttle::new(0);
        for _ in 0..1_000 {
            assert!(!throttle.fail(PEER, now));
        }
        assert!(!throttle.is_blocked(PEER, now));
        assert!(throttle.windows.is_empty());
    }

    #[test]
    fn an_ipv6_subscriber_is_one_client_and_a_mapped_address_is_its_ipv4_address() {
        let now = Instant::now();
        let mut throttle = Throttle::new(1);
        let v6 = |d, h| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, d, 0, 0, 0, h));
        throttle.fail(v6(1, 1), now);
        assert!(throttle.is_blocked(v6(1, 2), now));
        assert!(!throttle.is_blocked(v6(2, 1), now));
        throttle.fail(
            IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped()),
            now,
        );
        assert!(throttle.is_blocked(PEER, now));
    }

    #[test]
    fn memory_is_bounded_and_old_windows_go_first() {
        let start = Instant::now();
        let mut throttle = Throttle::new(1);
        let peer = |number: u32| IpAddr::V4(Ipv4Addr::from_bits(number));
        let many = u32::try_from(ORIGINS_MAX).unwrap() + 1_000;
        for number in 0..many {
            throttle.fail(peer(number), start);
        }
        assert_eq!(throttle.windows.len(), ORIGINS_MAX);
        assert_eq!(throttle.by_age.len(), ORIGINS_MAX);
        assert!(throttle.is_blocked(peer(many - 1), start));
        assert!(!throttle.is_blocked(peer(0), start));
        throttle.fail(PEER, after(start, 60));
        assert_eq!(throttle.windows.len(), 1);
        assert_eq!(throttle.by_age.len(), 1);
    }
}
