//! The writing side of the packet header, as the test source uses it.

use super::{AdaptationFieldControl, Pcr27MHz, Pid, SYNC_BYTE, TS_PACKET_SIZE};

/// The fields of the four header bytes that a sender chooses; error indicator, priority and scrambling are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketHeader {
    /// Packet identifier.
    pub pid: Pid,
    /// A PES packet or a section begins in this packet.
    pub payload_unit_start: bool,
    /// What follows the header.
    pub adaptation_field_control: AdaptationFieldControl,
    /// Continuity counter; only the low four bits are sent.
    pub continuity_counter: u8,
}

impl PacketHeader {
    /// The four bytes on the wire.
    pub const fn to_wire(self) -> [u8; 4] {
        let [pid_high, pid_low] = self.pid.value().to_be_bytes();
        [
            SYNC_BYTE,
            ((self.payload_unit_start as u8) << 6) | pid_high,
            pid_low,
            (self.adaptation_field_control.bits() << 4) | (self.continuity_counter & 0x0F),
        ]
    }
}

/// Size of an adaptation field that holds its length, the flags and a PCR.
pub(crate) const PCR_FIELD_SIZE: usize = 8;

/// Writes an adaptation field of exactly [`PCR_FIELD_SIZE`] bytes behind the header.
pub(crate) fn write_pcr(packet: &mut [u8; TS_PACKET_SIZE], pcr: Pcr27MHz, random_access: bool) {
    packet[4] = (PCR_FIELD_SIZE - 1) as u8;
    packet[5] = 0x10 | (u8::from(random_access) << 6);
    packet[6..12].copy_from_slice(&pcr.to_wire());
}

/// Stamps a prepared packet with `counter` and moves the counter on by one.
pub(crate) fn advance_continuity_counter(packet: &mut [u8; TS_PACKET_SIZE], counter: &mut u8) {
    packet[3] = (packet[3] & 0xF0) | (*counter & 0x0F);
    *counter = counter.wrapping_add(1) & 0x0F;
}
