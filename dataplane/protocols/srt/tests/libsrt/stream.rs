//! A stream between one of our connections and `srt-live-transmit`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bilbycast_srt::crypto::{KeyLength, Passphrase, RefreshPolicy};
use bilbycast_srt::handshake::Settings;
use bilbycast_srt::{Connection, Micros, State, Stats};

use super::node::{Impairment, Node};

const PROGRAM: &str = "srt-live-transmit";
const SECRET: &str = "correct-horse-battery";
const PAYLOAD: usize = 1_316;

/// Messages behind those that are checked: a packet that is lost shows by its successor.
const TAIL: u32 = 40;

/// What we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Caller,
    Listener,
}

/// What we do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    Receive,
    Send,
}

/// A stream to be tried.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) role: Role,
    pub(crate) direction: Direction,
    pub(crate) key_bytes: Option<u8>,
    pub(crate) latency_ms: u16,
    pub(crate) packets: u32,
    pub(crate) interval: Duration,
    /// Packet filter of both ends.
    pub(crate) filter: Option<&'static str>,
    /// Packet filter of libsrt's end, when we have none of our own.
    pub(crate) peer_filter: Option<&'static str>,
    pub(crate) impairment: Impairment,
    /// When the link is dead, counted from the first message.
    pub(crate) outage: Option<(Duration, Duration)>,
    /// Packets after which the sender takes a new key; announced half of them before.
    pub(crate) refresh_packets: Option<u64>,
    /// How long the listening side has been there when the caller comes.
    pub(crate) age: Duration,
    pub(crate) peer_closes: bool,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            role: Role::Caller,
            direction: Direction::Send,
            key_bytes: None,
            latency_ms: 120,
            packets: 100,
            interval: Duration::from_micros(1_100),
            filter: None,
            peer_filter: None,
            impairment: Impairment::default(),
            outage: None,
            refresh_packets: None,
            age: Duration::ZERO,
            peer_closes: false,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) stats: Stats,
    pub(crate) state: State,
    /// Messages that went into the SRT sender and never came out of the receiver.
    pub(crate) missing: u64,
    /// Data packets on the link, and how many it lost, those included that a process came too late for.
    pub(crate) data_packets: u64,
    pub(crate) lost: u64,
    pub(crate) retransmitted_by_peer: u64,
    pub(crate) keys_seen: [bool; 4],
    /// Messages since the last one that is missing.
    pub(crate) run_at_end: u64,
    /// The longest time that the machine kept our end from looking.
    pub(crate) held_up: Duration,
    /// Whether the program had ended by itself in the end.
    pub(crate) peer_ended: bool,
}

impl Stream {
    pub(crate) fn run(&self) -> Outcome {
        let settings = self.settings();
        // Where the program gets or puts the stream; the sink is ours.
        let host = own_host();
        let plain = UdpSocket::bind((host, 0)).unwrap();
        plain.set_nonblocking(true).unwrap();
        let feed_at = free_address(host);
        let seed = u64::from(self.packets) << 8 | u64::from(self.latency_ms);
        let peer_at = free_address(host);
        let (mut node, srt) = match self.role {
            Role::Caller => (
                Node::open(host, Some(peer_at), self.impairment, seed),
                format!("srt://{peer_at}?mode=listener{}", self.query()),
            ),
            Role::Listener => {
                let node = Node::open(host, None, self.impairment, seed);
                let srt = format!("srt://{}?mode=caller{}", node.address(), self.query());
                (node, srt)
            }
        };
        let arguments = match self.direction {
            Direction::Send => [srt, format!("udp://{}", plain.local_addr().unwrap())],
            Direction::Receive => [format!("udp://{feed_at}"), srt],
        };
        let (negotiated, mut listener, mut peer) = match self.role {
            Role::Caller => {
                let peer = Peer::start(&arguments);
                // The age is part of what is tried.
                std::thread::sleep(self.age);
                (node.call(settings.clone()), None, peer)
            }
            Role::Listener => {
                std::thread::sleep(self.age);
                let peer = Peer::start(&arguments);
                let (negotiated, listener) = node.listen(&settings);
                (negotiated, Some(listener), peer)
            }
        };
        let now = node.now();
        let mut connection = Connection::new(negotiated, &settings, now);
        node.held_up = Duration::ZERO;

        let start = Instant::now() + Duration::from_millis(150);
        node.outage = self.outage.map(|(from, to)| (start + from, start + to));
        let mut written = 0;
        let mut checker = Checker {
            end: u64::from(self.packets),
            ..Checker::default()
        };
        let end = start
            + self.interval * (self.packets + TAIL)
            + Duration::from_millis(u64::from(self.latency_ms))
            + Duration::from_millis(400);
        let mut buffer = [0; 2_048];
        while Instant::now() < end && checker.next < u64::from(self.packets) {
            node.pump(&mut connection, listener.as_mut());
            while written < self.packets + TAIL && Instant::now() >= start + self.interval * written
            {
                let payload = payload(u64::from(written));
                match self.direction {
                    Direction::Send => {
                        let now = node.now();
                        connection.send(now, &[&payload]).unwrap();
                    }
                    Direction::Receive => {
                        plain.send_to(&payload, feed_at).unwrap();
                    }
                }
                written += 1;
            }
            match self.direction {
                Direction::Send => {
                    while let Ok(length) = plain.recv(&mut buffer) {
                        checker.check(&buffer[..length]);
                    }
                }
                Direction::Receive => {
                    while let Some(received) = connection.receive(node.now(), &mut buffer) {
                        checker.check(&buffer[..received.bytes]);
                    }
                }
            }
        }
        // What the machine was too busy for, on the sockets outside SRT and on those of SRT.
        let plain_port = match self.direction {
            Direction::Send => plain.local_addr().unwrap().port(),
            Direction::Receive => feed_at.port(),
        };
        let plain_drops = drops(plain_port);
        let link_drops = drops(node.address().port()) + node.peer_port().map_or(0, drops);
        let missing = (u64::from(self.packets) - checker.count).saturating_sub(plain_drops);
        let state = self.finish(&mut node, &mut connection, &mut peer);
        Outcome {
            stats: connection.stats(node.now()),
            state,
            missing,
            data_packets: node.data.0,
            lost: node.data.1 + link_drops,
            retransmitted_by_peer: node.retransmitted_by_peer,
            keys_seen: node.keys_seen,
            run_at_end: checker.run,
            held_up: node.held_up,
            peer_ended: peer.has_ended(),
        }
    }

    /// Closes one end and waits for the other to notice, five seconds at most.
    fn finish(&self, node: &mut Node, connection: &mut Connection, peer: &mut Peer) -> State {
        if self.peer_closes {
            peer.interrupt();
        } else {
            connection.close(node.now());
        }
        let give_up = Instant::now() + Duration::from_secs(5);
        let over = |connection: &Connection, peer: &mut Peer| {
            matches!(connection.state(), State::Closed(_)) && peer.has_ended()
        };
        while !over(connection, peer) && Instant::now() < give_up {
            node.pump(connection, None);
            if self.impairment.loss > 0.0 && matches!(connection.state(), State::Closed(_)) {
                break;
            }
        }
        connection.state()
    }

    fn settings(&self) -> Settings {
        let length = self.key_bytes.map(|bytes| match bytes {
            16 => KeyLength::Aes128,
            24 => KeyLength::Aes192,
            _ => KeyLength::Aes256,
        });
        Settings {
            passphrase: length.map(|_| Passphrase::new(SECRET).unwrap()),
            aes_key_len: length,
            // The machine may be busy; nothing here is about this time.
            connect_timeout: Micros::from_secs(15),
            recv_latency_ms: self.latency_ms,
            peer_latency_ms: self.latency_ms,
            packet_filter: self.filter.map(str::to_owned),
            send_drop_delay_ms: Some(0),
            key_refresh: self
                .refresh_packets
                .map_or_else(RefreshPolicy::default, |packets| RefreshPolicy {
                    refresh_packets: packets,
                    pre_announce_packets: packets / PRE_ANNOUNCED,
                }),
            ..Settings::default()
        }
    }

    fn query(&self) -> String {
        let mut query = format!("&latency={}", self.latency_ms);
        if let Some(bytes) = self.key_bytes {
            query += &format!("&passphrase={SECRET}&pbkeylen={bytes}");
        }
        if let Some(filter) = self.filter.or(self.peer_filter) {
            query += &format!("&packetfilter={filter}");
        }
        if let Some(packets) = self.refresh_packets {
            query += &format!(
                "&kmrefreshrate={packets}&kmpreannounce={}",
                packets / PRE_ANNOUNCED
            );
        }
        query
    }
}

/// The last part of a key's packets in which the next one is announced. It takes the place of the one before, whose packets must
/// have come by then, those too that were sent again after the machine has held everybody up.
const PRE_ANNOUNCED: u64 = 5;

/// Checks what comes out: every message whole, none twice, none before another.
#[derive(Debug, Default)]
struct Checker {
    /// Messages from this one on are not counted.
    end: u64,
    next: u64,
    count: u64,
    run: u64,
}

impl Checker {
    fn check(&mut self, message: &[u8]) {
        let number = u64::from_be_bytes(message[..8].try_into().unwrap());
        assert!(number >= self.next, "{number} after {}", self.next);
        assert!(
            message == payload(number),
            "message {number} is not what was sent"
        );
        if number >= self.end {
            self.next = number + 1;
            return;
        }
        self.run = if number == self.next { self.run + 1 } else { 1 };
        self.next = number + 1;
        self.count += 1;
    }
}

fn payload(number: u64) -> Vec<u8> {
    let mut payload: Vec<u8> = (0..PAYLOAD as u64)
        .map(|at| (at * 7 + number * 13) as u8)
        .collect();
    payload[..8].copy_from_slice(&number.to_be_bytes());
    payload
}

/// A process that is ended with the test.
#[derive(Debug)]
struct Peer(Child);

impl Peer {
    fn start(arguments: &[String]) -> Self {
        let child = Command::new(PROGRAM)
            .args(["-q", "-a:no", "-t:30", "-chunk:1316"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("installed, as was seen before");
        Self(child)
    }

    fn interrupt(&self) {
        let _ = Command::new("kill")
            .args(["-INT", &self.0.id().to_string()])
            .status();
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(Some(_)))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn is_installed() -> bool {
    let installed = Command::new(PROGRAM)
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !installed {
        bilbycast_test_peers::skip(format!("no {PROGRAM} (Debian package srt-tools)"));
    }
    installed
}

pub(crate) fn in_parallel<T: Send>(cases: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            let test = &test;
            scope.spawn(move || test(case));
        }
    });
}

/// Datagrams that the kernel dropped because a socket on `port` was full.
fn drops(port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            fields.nth(1)?.ends_with(&suffix).then_some(())?;
            fields.last()?.parse::<u64>().ok()
        })
        .sum()
}

/// An address that is free now, for a program that must be told one.
fn free_address(host: Ipv4Addr) -> SocketAddr {
    UdpSocket::bind((host, 0)).unwrap().local_addr().unwrap()
}

/// A loopback address for each stream of each process, so that nobody takes a port that was free a moment ago.
fn own_host() -> Ipv4Addr {
    static STREAMS: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 1, low, STREAMS.fetch_add(1, Ordering::Relaxed))
}
