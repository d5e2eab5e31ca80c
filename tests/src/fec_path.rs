//! A network between an ST 2022-1 sender and a receiver that loses what a test says, and the answer on paper: which media
//! packets the receiver can know.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::udp::{DATAGRAM_BYTES_MAX, Receiver, sending};
use crate::{address, wait};

/// The three streams of ST 2022-1, in the order of their ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FecStream {
    /// The media port P.
    Media,
    /// P + 2.
    Column,
    /// P + 4.
    Row,
}

/// All of them.
pub const STREAMS: [FecStream; 3] = [FecStream::Media, FecStream::Column, FecStream::Row];

/// Whether packet `number` (from 0, of its stream) is lost.
pub type Loses = fn(FecStream, u64) -> bool;

/// A running network path.
#[derive(Debug)]
pub struct FecPath {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    carried: Mutex<Carried>,
    stop: AtomicBool,
}

/// What a path has carried and lost.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// All media packets in the order in which they came to the path.
    pub media: Vec<Vec<u8>>,
    /// Of each, whether it was lost.
    pub lost: Vec<bool>,
    /// FEC packets that were not lost.
    pub fec: Vec<Vec<u8>>,
}

impl FecPath {
    /// A path that takes the three streams on `address` and sends them to `dest`, each from its port to the port of the
    /// same meaning.
    #[must_use]
    pub fn start(address: SocketAddr, dest: SocketAddr, loses: Loses) -> Self {
        let shared = Arc::new(Shared::default());
        let lanes = STREAMS
            .into_iter()
            .zip([0, 2, 4])
            .map(|(stream, offset)| {
                let at = |base: SocketAddr| SocketAddr::new(base.ip(), base.port() + offset);
                Lane {
                    stream,
                    from: Receiver::bind(at(address)),
                    onward: sending(address::own_ip().into(), at(dest))
                        .unwrap_or_else(|error| panic!("cannot send to {}: {error}", at(dest))),
                    number: 0,
                    next: None,
                }
            })
            .collect();
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || run(lanes, loses, &of_thread));
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// Where the sender sends its media to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Media packets that have come to the path.
    #[must_use]
    pub fn media_count(&self) -> usize {
        self.shared
            .carried
            .lock()
            .expect("no holder panics")
            .media
            .len()
    }

    /// Waits until nothing has come for a while, stops, and returns what was carried.
    #[must_use]
    pub fn finish(mut self) -> Carried {
        let mut count = 0;
        wait::until_true("the stream has ended", Duration::from_secs(20), || {
            let before = std::mem::replace(&mut count, self.media_count());
            wait::pass(Duration::from_millis(400));
            count > 0 && before == count && self.media_count() == count
        });
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a path does not fail");
        }
        std::mem::take(&mut *self.shared.carried.lock().expect("no holder panics"))
    }
}

impl Drop for FecPath {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

/// The way of one stream.
struct Lane {
    stream: FecStream,
    from: Receiver,
    onward: UdpSocket,
    /// Packets that have been carried or lost.
    number: u64,
    /// A packet that waits for its turn, and when it came.
    next: Option<(u64, Vec<u8>)>,
}

/// Carries the packets in the order in which they came, whichever stream they are of: a path does not overtake itself.
fn run(mut lanes: Vec<Lane>, loses: Loses, shared: &Shared) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while !shared.stop.load(Ordering::Acquire) {
        for lane in lanes.iter_mut().filter(|lane| lane.next.is_none()) {
            if let Some(received) = lane.from.try_receive(&mut buffer) {
                assert_eq!(received.dropped, 0, "the test itself was too slow");
                lane.next = Some((received.arrived_ns, buffer[..received.bytes].to_vec()));
            }
        }
        let waiting = lanes.iter_mut().filter(|lane| lane.next.is_some());
        let first =
            waiting.min_by_key(|lane| lane.next.as_ref().map(|(arrived_ns, _)| *arrived_ns));
        match first {
            Some(lane) => lane.carry(loses, shared),
            None => thread::sleep(LOOK),
        }
    }
}

impl Lane {
    fn carry(&mut self, loses: Loses, shared: &Shared) {
        let Some((_, packet)) = self.next.take() else {
            return;
        };
        let is_lost = loses(self.stream, self.number);
        self.number += 1;
        if !is_lost {
            // Nobody listens before the receiver is up, which is a loss like any other.
            let _sent = self.onward.send(&packet);
        }
        let mut carried = shared.carried.lock().expect("no holder panics");
        if self.stream == FecStream::Media {
            carried.media.push(packet);
            carried.lost.push(is_lost);
        } else if !is_lost {
            carried.fec.push(packet);
        }
    }
}

/// How often an idle path looks for packets.
const LOOK: Duration = Duration::from_micros(500);

impl Carried {
    /// The media packets that a receiver can know: those that were not lost, and those that follow from them. In the order
    /// in which they were sent.
    ///
    /// Worked out from the sequence numbers that each FEC packet says it covers (ST 2022-1 7.3: base, offset, NA) and
    /// nothing else: a group with one packet missing gives that one, again and again until nothing new appears.
    #[must_use]
    pub fn knowable(&self) -> Vec<&[u8]> {
        let numbers: BTreeMap<u16, usize> = self
            .media
            .iter()
            .enumerate()
            .map(|(index, packet)| (number_at(packet, 2), index))
            .collect();
        assert_eq!(
            numbers.len(),
            self.media.len(),
            "the numbers do not wrap around"
        );
        let groups: Vec<Vec<usize>> = self
            .fec
            .iter()
            .filter_map(|packet| {
                let members = covered(packet).into_iter();
                members
                    .map(|number| numbers.get(&number).copied())
                    .collect()
            })
            .collect();
        let known = self.lost.iter().enumerate();
        let mut known: BTreeSet<usize> = known
            .filter(|(_, lost)| !**lost)
            .map(|(index, _)| index)
            .collect();
        loop {
            let found: Vec<usize> = groups
                .iter()
                .filter_map(|group| {
                    let mut missing = group.iter().filter(|index| !known.contains(index));
                    let first = missing.next()?;
                    missing.next().is_none().then_some(*first)
                })
                .collect();
            if found.is_empty() {
                break;
            }
            known.extend(found);
        }
        known
            .into_iter()
            .map(|index| &self.media[index][..])
            .collect()
    }

    /// How many of the packets before the last one of `known` are not among them: what a receiver can tell to be missing. `known`
    /// are packets of this path in the order in which they were sent.
    #[must_use]
    pub fn missing_before_the_end(&self, known: &[&[u8]]) -> usize {
        let end = known.last().and_then(|last| {
            let same = |packet: &Vec<u8>| packet == last;
            self.media.iter().rposition(same)
        });
        end.map_or(0, |end| end + 1 - known.len())
    }

    /// How many media packets were lost.
    #[must_use]
    pub fn lost_count(&self) -> usize {
        self.lost.iter().filter(|lost| **lost).count()
    }
}

/// The media sequence numbers that an FEC packet covers.
fn covered(packet: &[u8]) -> Vec<u16> {
    // Behind the 12 bytes of RTP: SNBase in bytes 0 and 1, offset in byte 13, NA in byte 14.
    let base = number_at(packet, 12);
    let (offset, count) = (u16::from(packet[25]), u16::from(packet[26]));
    (0..count)
        .map(|index| base.wrapping_add(offset.wrapping_mul(index)))
        .collect()
}

fn number_at(packet: &[u8], place: usize) -> u16 {
    u16::from_be_bytes([packet[place], packet[place + 1]])
}
