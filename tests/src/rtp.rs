//! Single RTP packets with any header.

/// The fields of an RTP header (RFC 3550 5.1) and its payload.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RtpPacket {
    /// Marker bit.
    pub marker: bool,
    /// Payload type, 0-127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Contributing sources, 15 at most.
    pub csrcs: Vec<u32>,
    /// Profile and words of a header extension.
    pub extension: Option<(u16, Vec<u32>)>,
    /// What it carries.
    pub payload: Vec<u8>,
    /// Octets of padding behind the payload, the count included; 0: none.
    pub padding: u8,
}

impl RtpPacket {
    /// A plain packet of MPEG-TS: 7 null packets.
    #[must_use]
    pub fn plain(ssrc: u32, sequence: u16) -> Self {
        Self {
            payload_type: 33,
            sequence,
            timestamp: u32::from(sequence) * 10,
            ssrc,
            payload: ts_payload(sequence.to_be_bytes()[1]),
            ..Self::default()
        }
    }

    /// The packet on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let csrc_count = u8::try_from(self.csrcs.len()).expect("15 contributing sources at most");
        let padding = if self.padding > 0 { 0x20 } else { 0 };
        let extension = if self.extension.is_some() { 0x10 } else { 0 };
        let marker = if self.marker { 0x80 } else { 0 };
        let mut bytes = vec![
            0x80 | padding | extension | csrc_count,
            marker | self.payload_type,
        ];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(self.csrcs.iter().flat_map(|csrc| csrc.to_be_bytes()));
        if let Some((profile, words)) = &self.extension {
            let length = u16::try_from(words.len()).expect("an extension of 65,535 words at most");
            bytes.extend(profile.to_be_bytes());
            bytes.extend(length.to_be_bytes());
            bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        }
        bytes.extend(&self.payload);
        if self.padding > 0 {
            bytes.extend(std::iter::repeat_n(0, usize::from(self.padding) - 1));
            bytes.push(self.padding);
        }
        bytes
    }
}

/// Seven TS null packets filled with one byte.
#[must_use]
pub fn ts_payload(filler: u8) -> Vec<u8> {
    let mut ts_packet = vec![0x47, 0x1f, 0xff, 0x10];
    // A filler of 0x47 would look like a sync byte at every place.
    ts_packet.resize(188, if filler == 0x47 { 0 } else { filler });
    ts_packet.repeat(7)
}
