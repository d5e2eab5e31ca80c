//! Roles without sockets, in virtual time.

use std::net::SocketAddr;

use bilbycast_shm_proto::counters::EndpointState;
use bilbycast_srt::crypto::Passphrase;
use bilbycast_srt::handshake::{Direction, Settings};
use bilbycast_srt::{Micros, State};

use super::answerer::Answerer;
use super::callers;
use super::derivations::Derivations;
use super::dialler::Dialler;
use super::ended::Ended;
use super::leg::Lent;
use super::notice::{Notices, SrtNotice};
use super::random::Random;
use super::totals::Totals;

const START: Micros = Micros::from_secs(1_000);

fn address(number: u8) -> SocketAddr {
    SocketAddr::new([192, 0, 2, number].into(), 9_000)
}

/// What a leg has besides its role.
struct Side {
    leg: u64,
    random: Random,
    totals: Totals,
    ended: Ended,
    notices: Notices,
    told: Vec<SrtNotice>,
}

impl Side {
    fn new(delivers: bool, seed: u64) -> Self {
        Self {
            leg: seed,
            random: Random::new(seed),
            totals: Totals::default(),
            ended: Ended::new(delivers),
            notices: Notices::new(START),
            told: Vec::new(),
        }
    }

    fn lend<'a>(&'a mut self, derivations: &'a mut Derivations) -> Lent<'a> {
        Lent {
            leg: self.leg,
            random: &mut self.random,
            totals: &mut self.totals,
            ended: &mut self.ended,
            notices: &mut self.notices,
            derivations,
        }
    }

    fn told(&mut self, wanted: fn(&SrtNotice) -> bool) -> usize {
        self.told.extend(self.notices.take());
        self.told.iter().filter(|notice| wanted(notice)).count()
    }
}

/// A listener of an input at address 0, and callers at 1 and up.
struct Net {
    now: Micros,
    derivations: Derivations,
    answerer: Answerer,
    listening: Side,
    callers: Vec<(Dialler, Side)>,
}

impl Net {
    fn new(settings: &Settings) -> Self {
        let mut listening = Side::new(true, 1);
        let settings = Settings {
            direction: Direction::Receives,
            ..settings.clone()
        };
        let answerer =
            Answerer::new(settings, false, &mut listening.random, &[7; 32], START).unwrap();
        Self {
            now: START,
            derivations: Derivations::new(),
            answerer,
            listening,
            callers: Vec::new(),
        }
    }

    fn call(&mut self, settings: &Settings) {
        let settings = Settings {
            direction: Direction::Sends,
            ..settings.clone()
        };
        let seed = 100 + self.callers.len() as u64;
        let dialler = Dialler::new(false, address(0), settings);
        self.callers.push((dialler, Side::new(false, seed)));
    }

    /// One millisecond in which everything is carried to where it belongs.
    fn step(&mut self) {
        self.now += Micros::from_millis(1);
        let now = self.now;
        let mut out = [0; 1_500];
        for (number, (dialler, side)) in (1..).zip(&mut self.callers) {
            dialler.tick(now, &mut side.lend(&mut Derivations::new()));
            while let Some(bytes) = dialler.transmit(now, &mut out) {
                let mut lent = self.listening.lend(&mut self.derivations);
                self.answerer
                    .handle(now, address(number), &mut out[..bytes], &mut lent);
            }
        }
        self.answerer
            .tick(now, &mut self.listening.lend(&mut self.derivations));
        self.listening.ended.tick(now, &mut self.listening.totals);
        while let Some((bytes, to)) = self.answerer.transmit(now, &mut out) {
            let of = |number: u8| address(number) == to;
            let index = (1..).position(of).expect("an address of a caller");
            let (dialler, _) = &mut self.callers[index];
            dialler.handle(now, address(0), &mut out[..bytes]);
        }
    }

    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.step();
        }
    }

    fn is_connected(&self, caller: usize) -> bool {
        let peer = self.callers[caller].0.peer();
        peer.is_some_and(|peer| peer.connection.state() == State::Connected)
    }

    fn delivered(&mut self) -> usize {
        let mut room = [0; 1_500];
        let (now, answerer) = (self.now, &mut self.answerer);
        let ended = &mut self.listening.ended;
        std::iter::from_fn(|| {
            let message = ended.deliver(now, &mut room);
            message.or_else(|| {
                answerer
                    .peers_mut()
                    .find_map(|peer| peer.deliver(now, &mut room))
            })
        })
        .count()
    }

    fn write(&mut self, caller: usize, messages: usize) {
        let now = self.now;
        let peer = self.callers[caller].0.peer_mut().unwrap();
        for _ in 0..messages {
            assert!(peer.send(now, &[&[0x47; 188]]));
        }
    }

    fn close(&mut self, caller: usize) {
        let now = self.now;
        let peer = self.callers[caller].0.peer_mut().unwrap();
        peer.close(now);
    }
}

fn late() -> Settings {
    Settings {
        recv_latency_ms: 2_000,
        ..Settings::default()
    }
}

#[test]
fn an_encoder_that_restarts_takes_its_place_at_once_and_nothing_of_it_is_lost() {
    let mut net = Net::new(&late());
    net.call(&late());
    net.run(50);
    net.write(0, 100);
    net.run(50);
    net.close(0);
    net.run(20);
    net.call(&late());
    net.run(50);
    assert!(
        net.is_connected(1),
        "2 s of the first one are still to come"
    );
    assert_eq!(net.listening.totals.rejected, 0);
    net.write(1, 50);
    assert_eq!(net.delivered(), 0);
    net.run(2_100);
    assert_eq!(net.delivered(), 150);
    assert_eq!(net.answerer.peers().count(), 1);
    net.run(1);
    assert_eq!(net.listening.ended.peers().count(), 0);
    assert!(net.listening.ended.last().is_some(), "its figures stay");
}

#[test]
fn a_caller_is_told_with_what_it_did_alone() {
    let mut net = Net::new(&late());
    let caller = Settings {
        stream_id: Some("#!::r=live".to_owned()),
        ..Settings::default()
    };
    let told = |net: &Net| callers::of(net.answerer.peers(), false, net.now);
    assert!(told(&net).is_empty());
    net.call(&caller);
    net.run(50);
    let [one] = <[_; 1]>::try_from(told(&net)).unwrap();
    assert_eq!(one.remote, address(1));
    assert_eq!(one.stream_id.as_deref(), Some("#!::r=live"));
    assert_eq!(one.state, EndpointState::Connected.code());
    assert_eq!(one.recv_latency_ms, 2_000);
    net.write(0, 100);
    net.run(2_100);
    assert_eq!(net.delivered(), 100);
    let [one] = <[_; 1]>::try_from(told(&net)).unwrap();
    assert_eq!(one.state, EndpointState::Receiving.code());
    assert_eq!((one.packets_received, one.bytes_received), (100, 18_800));
    assert!(one.uptime_ms > 2_000 && one.rtt_us.is_some(), "{one:?}");

    // The next one starts with nothing.
    net.close(0);
    net.run(20);
    net.call(&Settings::default());
    net.run(50);
    let [one] = <[_; 1]>::try_from(told(&net)).unwrap();
    assert_eq!((one.remote, one.stream_id), (address(2), None));
    assert_eq!((one.packets_received, one.lost), (0, 0));
}

#[test]
fn a_second_caller_is_told_that_there_is_one() {
    let mut net = Net::new(&Settings::default());
    net.call(&Settings::default());
    net.run(50);
    net.call(&Settings::default());
    net.run(50);
    assert!(net.is_connected(0) && !net.is_connected(1));
    let side = &mut net.listening;
    let of_listener = side.told(
        |notice| matches!(notice, SrtNotice::Refused { reason, .. } if reason == "another caller is connected (1409)"),
    );
    assert_eq!(of_listener, 1);
    let of_caller = net.callers[1].1.told(
        |notice| matches!(notice, SrtNotice::ConnectFailed { reason, .. } if reason == "another caller is connected (1409) by the peer"),
    );
    assert_eq!(of_caller, 1);
}

#[test]
fn a_far_end_that_accepts_and_closes_is_dialled_less_and_less() {
    let mut net = Net::new(&Settings::default());
    net.call(&Settings::default());
    let mut connects = 0;
    let mut since = None;
    for _ in 0..12_000 {
        net.step();
        let now = net.now;
        for peer in net.answerer.peers_mut() {
            if peer.connection.state() != State::Connected {
                continue;
            }
            let since = *since.get_or_insert_with(|| {
                connects += 1;
                now
            });
            if now.since(since) >= Micros::from_millis(600) {
                peer.close(now);
            }
        }
        if net
            .answerer
            .peers()
            .all(|peer| peer.connection.state() != State::Connected)
        {
            since = None;
        }
    }
    assert!((4..=6).contains(&connects), "{connects} in 12 s");
    // One that lasts makes up for all that.
    while !net.is_connected(0) {
        net.step();
    }
    net.run(11_000);
    assert!(net.is_connected(0));
    for peer in net.answerer.peers_mut() {
        peer.close(net.now);
    }
    net.run(700);
    assert!(net.is_connected(0), "half a second later");
}

#[test]
fn keys_are_derived_for_far_ends_one_after_the_other_however_many_ask() {
    let secret = |text| Settings {
        passphrase: Some(Passphrase::new(text).unwrap()),
        ..Settings::default()
    };
    let mut nets = [
        Net::new(&secret("a secret of ours")),
        Net::new(&secret("a secret of ours")),
    ];
    nets[1].listening.leg = 2;
    for net in &mut nets {
        for _ in 0..40 {
            net.call(&secret("another secret"));
        }
    }
    let mut derivations = Derivations::new();
    let refused = |nets: &[Net; 2]| {
        nets.iter()
            .map(|net| net.listening.totals.rejected)
            .sum::<u64>()
    };
    let (mut before, mut most) = (0, 0);
    for _ in 0..200 {
        for net in &mut nets {
            // Both are on one core.
            std::mem::swap(&mut net.derivations, &mut derivations);
            net.step();
            std::mem::swap(&mut net.derivations, &mut derivations);
        }
        let now = refused(&nets);
        most = most.max(now - before);
        before = now;
    }
    assert!(most <= 2, "{most} in one pass");
    assert!((30..=42).contains(&before), "{before} in 200 ms");
    for net in &mut nets {
        net.call(&secret("a secret of ours"));
        net.run(1_000);
        assert!(
            net.is_connected(40),
            "who has the secret waits for its turn"
        );
    }
}

#[test]
fn only_a_caller_that_fits_takes_the_place_of_a_silent_one() {
    let secret = |text| Settings {
        passphrase: Some(Passphrase::new(text).unwrap()),
        ..Settings::default()
    };
    let mut net = Net::new(&secret("a secret of ours"));
    net.call(&secret("a secret of ours"));
    net.run(100);
    assert!(net.is_connected(0));
    // Its network is gone for a while.
    let silent = net.callers.remove(0);
    net.callers.push((
        Dialler::new(false, address(99), Settings::default()),
        Side::new(false, 50),
    ));
    net.call(&secret("another secret"));
    net.run(3_500);
    net.call(&secret("another secret"));
    net.run(500);
    assert!(net.listening.totals.rejected >= 2);
    net.callers[0] = silent;
    assert!(net.is_connected(0));
    net.run(100);
    assert!(net.is_connected(0), "nobody has pushed it out");
    let lost = |notice: &SrtNotice| matches!(notice, SrtNotice::Lost { .. });
    assert_eq!(net.listening.told(lost), 0);

    let silent = net.callers.remove(0);
    net.callers.insert(
        0,
        (
            Dialler::new(false, address(99), Settings::default()),
            Side::new(false, 51),
        ),
    );
    net.run(3_500);
    net.call(&secret("a secret of ours"));
    net.run(100);
    let last = net.callers.len() - 1;
    assert!(net.is_connected(last), "who has the secret does");
    assert_eq!(net.listening.told(lost), 1);
    drop(silent);
}
