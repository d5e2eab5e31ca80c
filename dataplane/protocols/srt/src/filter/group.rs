//! The XOR of a group of packets.

use crate::wire::{DataHeader, KeyFlag, Timestamp};

use super::FILTER_HEADER_BYTES;

/// Running XOR of the packets of a row or column: over all of them it is what the FEC packet carries, over all but one
/// and the FEC packet it is the one that is missing.
#[derive(Clone, Debug)]
pub(super) struct Group {
    timestamp: u32,
    flags: u8,
    length: u16,
    payload: Vec<u8>,
    /// Bytes of `payload` that may be other than zero.
    used: usize,
}

impl Group {
    /// Nothing; for payloads of up to `payload_bytes` bytes.
    pub(super) fn new(payload_bytes: usize) -> Self {
        Self {
            timestamp: 0,
            flags: 0,
            length: 0,
            payload: vec![0; payload_bytes],
            used: 0,
        }
    }

    /// Back to nothing. The memory stays.
    pub(super) fn clear(&mut self) {
        self.timestamp = 0;
        self.flags = 0;
        self.length = 0;
        self.payload[..self.used].fill(0);
        self.used = 0;
    }

    /// Adds a packet of the stream.
    #[inline]
    pub(super) fn add_packet(&mut self, header: &DataHeader, payload: &[u8]) {
        let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        self.add(header.timestamp.0, header.key as u8, length, payload);
    }

    /// Adds a FEC packet, whose payload starts with the filter's header; whether it has one.
    pub(super) fn add_fec(&mut self, timestamp: Timestamp, payload: &[u8]) -> bool {
        let Some((header, rest)) = payload.split_first_chunk::<FILTER_HEADER_BYTES>() else {
            return false;
        };
        let length = u16::from_be_bytes([header[2], header[3]]);
        self.add(timestamp.0, header[1], length, rest);
        true
    }

    /// Writes the payload of the group's FEC packet to the front of `out`: header, and payload in full length. Returns
    /// its length, or `None` when `out` is too short.
    pub(super) fn write_fec(&self, index: u8, out: &mut [u8]) -> Option<usize> {
        let out = out.get_mut(..FILTER_HEADER_BYTES + self.payload.len())?;
        let (header, rest) = out.split_at_mut(FILTER_HEADER_BYTES);
        let [high, low] = self.length.to_be_bytes();
        header.copy_from_slice(&[index, self.flags, high, low]);
        rest.copy_from_slice(&self.payload);
        Some(out.len())
    }

    /// What the group XORs to as a packet: timestamp, key and payload. `None` when that is no packet, so that something
    /// in the group was none either.
    pub(super) fn as_packet(&self) -> Option<(Timestamp, KeyFlag, &[u8])> {
        let key = match self.flags {
            0 => KeyFlag::None,
            1 => KeyFlag::Even,
            2 => KeyFlag::Odd,
            _ => return None,
        };
        let payload = self.payload.get(..usize::from(self.length))?;
        Some((Timestamp(self.timestamp), key, payload))
    }

    /// XOR of the timestamps.
    pub(super) const fn timestamp(&self) -> Timestamp {
        Timestamp(self.timestamp)
    }

    #[inline]
    fn add(&mut self, timestamp: u32, flags: u8, length: u16, payload: &[u8]) {
        self.timestamp ^= timestamp;
        self.flags ^= flags;
        self.length ^= length;
        let payload = &payload[..payload.len().min(self.payload.len())];
        xor(&mut self.payload[..payload.len()], payload);
        self.used = self.used.max(payload.len());
    }
}

/// XORs `source` into `target`, both of one length.
#[inline]
fn xor(target: &mut [u8], source: &[u8]) {
    for (target, source) in target.iter_mut().zip(source) {
        *target ^= source;
    }
}
