//! The transport packet of ISO/IEC 13818-1 2.4.3, read in place.
//!
//! A [`TsPacket`] is a borrowed view of 188 bytes. Every accessor is total: whatever the bytes are, it answers without a
//! panic, and a field that the bytes cannot hold (an adaptation field longer than the packet, say) is absent.

mod time;
mod write;

pub use time::{Pcr27MHz, Pts90kHz};
pub use write::PacketHeader;
pub(crate) use write::{PCR_FIELD_SIZE, advance_continuity_counter, write_pcr};

/// Size of a transport packet in bytes.
pub const TS_PACKET_SIZE: usize = 188;

/// First byte of every transport packet.
pub const SYNC_BYTE: u8 = 0x47;

/// Transport packets in a usual datagram: the most that fit in an Ethernet MTU of 1500 bytes beside IP, UDP and RTP headers.
pub const PACKETS_PER_DATAGRAM: usize = 7;

/// Payload size in bytes of a usual datagram of [`PACKETS_PER_DATAGRAM`] packets.
pub const DATAGRAM_SIZE: usize = PACKETS_PER_DATAGRAM * TS_PACKET_SIZE;

/// A stuffing packet: PID 0x1FFF, payload only, every payload byte 0xFF.
pub const NULL_PACKET: [u8; TS_PACKET_SIZE] = {
    let mut packet = [0xFF; TS_PACKET_SIZE];
    packet[0] = SYNC_BYTE;
    packet[1] = 0x1F;
    packet[2] = 0xFF;
    packet[3] = 0x10;
    packet
};

/// Packet identifier, 13 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(u16);

impl Pid {
    /// Program association table.
    pub const PAT: Self = Self(0x0000);
    /// Conditional access table.
    pub const CAT: Self = Self(0x0001);
    /// DVB network information table (ETSI EN 300 468 5.1.3).
    pub const NIT: Self = Self(0x0010);
    /// DVB service description table and bouquet association table.
    pub const SDT: Self = Self(0x0011);
    /// DVB event information table.
    pub const EIT: Self = Self(0x0012);
    /// DVB time and date table and time offset table.
    pub const TDT: Self = Self(0x0014);
    /// Null packets, which carry nothing.
    pub const NULL: Self = Self(0x1FFF);
    /// Number of distinct PIDs, for tables indexed by PID.
    pub const COUNT: usize = 0x2000;

    /// `None` when `value` needs more than 13 bits.
    pub const fn new(value: u16) -> Option<Self> {
        if value < 0x2000 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The PID in the low 13 bits of a wire field; the upper three bits belong to other fields and are ignored.
    pub const fn from_wire(value: u16) -> Self {
        Self(value & 0x1FFF)
    }

    /// The value, 0 to 0x1FFF.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The value as an index below [`Pid::COUNT`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What follows the four header bytes (ISO/IEC 13818-1 table 2-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdaptationFieldControl {
    /// '00', reserved: decoders discard such packets.
    Reserved,
    /// '01': payload only.
    Payload,
    /// '10': adaptation field only, the continuity counter does not advance.
    AdaptationField,
    /// '11': adaptation field, then payload.
    Both,
}

impl AdaptationFieldControl {
    /// True when payload bytes follow, and so the continuity counter advances.
    pub const fn has_payload(self) -> bool {
        matches!(self, Self::Payload | Self::Both)
    }

    /// True when an adaptation field follows the header.
    pub const fn has_adaptation_field(self) -> bool {
        matches!(self, Self::AdaptationField | Self::Both)
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Reserved => 0,
            Self::Payload => 1,
            Self::AdaptationField => 2,
            Self::Both => 3,
        }
    }
}

/// Scrambling mode of the payload; the meaning of the last two is DVB's (ETSI EN 300 468, ETR 289).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramblingControl {
    /// '00': in the clear.
    Clear,
    /// '01': user defined.
    UserDefined,
    /// '10': scrambled with the even key.
    EvenKey,
    /// '11': scrambled with the odd key.
    OddKey,
}

/// A borrowed view of one transport packet.
#[derive(Clone, Copy, Debug)]
pub struct TsPacket<'a> {
    bytes: &'a [u8; TS_PACKET_SIZE],
}

impl<'a> TsPacket<'a> {
    /// Views any 188 bytes; whether they begin with a sync byte is told by [`TsPacket::has_sync_byte`].
    pub const fn new(bytes: &'a [u8; TS_PACKET_SIZE]) -> Self {
        Self { bytes }
    }

    /// Views a slice of exactly 188 bytes; `None` for any other length.
    pub fn from_slice(bytes: &'a [u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::new)
    }

    /// The bytes themselves.
    pub const fn as_bytes(self) -> &'a [u8; TS_PACKET_SIZE] {
        self.bytes
    }

    /// True when the first byte is 0x47.
    pub const fn has_sync_byte(self) -> bool {
        self.bytes[0] == SYNC_BYTE
    }

    /// transport_error_indicator: a demodulator or gateway before us knows that the packet has an uncorrectable error.
    pub const fn transport_error_indicator(self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    /// payload_unit_start_indicator: a PES packet begins here, or a section does.
    pub const fn payload_unit_start_indicator(self) -> bool {
        self.bytes[1] & 0x40 != 0
    }

    /// transport_priority.
    pub const fn transport_priority(self) -> bool {
        self.bytes[1] & 0x20 != 0
    }

    /// Packet identifier.
    pub const fn pid(self) -> Pid {
        Pid::from_wire(u16::from_be_bytes([self.bytes[1], self.bytes[2]]))
    }

    /// transport_scrambling_control.
    pub const fn scrambling_control(self) -> ScramblingControl {
        match self.bytes[3] >> 6 {
            0 => ScramblingControl::Clear,
            1 => ScramblingControl::UserDefined,
            2 => ScramblingControl::EvenKey,
            _ => ScramblingControl::OddKey,
        }
    }

    /// adaptation_field_control.
    pub const fn adaptation_field_control(self) -> AdaptationFieldControl {
        match (self.bytes[3] >> 4) & 3 {
            0 => AdaptationFieldControl::Reserved,
            1 => AdaptationFieldControl::Payload,
            2 => AdaptationFieldControl::AdaptationField,
            _ => AdaptationFieldControl::Both,
        }
    }

    /// continuity_counter, 0 to 15.
    pub const fn continuity_counter(self) -> u8 {
        self.bytes[3] & 0x0F
    }

    /// The adaptation field; `None` when there is none, or when its length runs past the end of the packet.
    pub fn adaptation_field(self) -> Option<AdaptationField<'a>> {
        if !self.adaptation_field_control().has_adaptation_field() {
            return None;
        }
        let length = usize::from(self.bytes[4]);
        self.bytes
            .get(5..5 + length)
            .map(|bytes| AdaptationField { bytes })
    }

    /// discontinuity_indicator; false without an adaptation field.
    pub fn discontinuity_indicator(self) -> bool {
        self.adaptation_field()
            .is_some_and(AdaptationField::discontinuity_indicator)
    }

    /// random_access_indicator; false without an adaptation field.
    pub fn random_access_indicator(self) -> bool {
        self.adaptation_field()
            .is_some_and(AdaptationField::random_access_indicator)
    }

    /// Program clock reference, if this packet carries one.
    pub fn pcr(self) -> Option<Pcr27MHz> {
        self.adaptation_field()?.pcr()
    }

    /// The payload bytes; `None` when adaptation_field_control announces none or the adaptation field leaves no room.
    pub fn payload(self) -> Option<&'a [u8]> {
        let start = match self.adaptation_field_control() {
            AdaptationFieldControl::Payload => 4,
            AdaptationFieldControl::Both => 5 + usize::from(self.bytes[4]),
            AdaptationFieldControl::AdaptationField | AdaptationFieldControl::Reserved => {
                return None;
            }
        };
        self.bytes
            .get(start..)
            .filter(|payload| !payload.is_empty())
    }
}

/// A borrowed view of an adaptation field (ISO/IEC 13818-1 2.4.3.4), without its length byte.
#[derive(Clone, Copy, Debug)]
pub struct AdaptationField<'a> {
    bytes: &'a [u8],
}

impl<'a> AdaptationField<'a> {
    /// The bytes after adaptation_field_length; empty for the field of length 0, which is one byte of stuffing.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The clock or the continuity counter is about to jump, and this is no error.
    pub fn discontinuity_indicator(self) -> bool {
        self.flag(0x80)
    }

    /// A decoder may start at this packet.
    pub fn random_access_indicator(self) -> bool {
        self.flag(0x40)
    }

    /// elementary_stream_priority_indicator.
    pub fn elementary_stream_priority_indicator(self) -> bool {
        self.flag(0x20)
    }

    /// Program clock reference; `None` without PCR_flag or when the field is too short to hold it.
    pub fn pcr(self) -> Option<Pcr27MHz> {
        if !self.flag(0x10) {
            return None;
        }
        self.bytes.get(1..)?.first_chunk().map(Pcr27MHz::from_wire)
    }

    fn flag(self, mask: u8) -> bool {
        self.bytes.first().is_some_and(|flags| flags & mask != 0)
    }
}

/// The whole packets of a datagram that begins with a packet; trailing bytes that make no packet are left out.
pub fn packets(datagram: &[u8]) -> impl ExactSizeIterator<Item = TsPacket<'_>> + Clone {
    datagram
        .as_chunks::<TS_PACKET_SIZE>()
        .0
        .iter()
        .map(TsPacket::new)
}

#[cfg(test)]
mod tests;
