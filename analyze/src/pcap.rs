//! UDP payloads of a capture file: classic pcap in either byte order, microseconds or nanoseconds, of Ethernet (VLANs too),
//! Linux cooked (SLL and SLL2), loopback or raw IP.
//!
//! Whatever the file says, memory is bounded: a captured frame has at most [`FRAME_BYTES_MAX`] bytes. Frames that are no whole
//! UDP datagram are passed over, as are IP fragments.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Largest frame that is read: more than any snapshot length of tcpdump.
pub const FRAME_BYTES_MAX: u32 = 262_144;

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PcapError {
    /// A frame is longer than [`FRAME_BYTES_MAX`].
    #[error("frame {frame} of the capture claims {bytes} bytes, more than {FRAME_BYTES_MAX}")]
    FrameTooLong {
        /// Its number, from 0.
        frame: u64,
        /// What it claims.
        bytes: u32,
    },
    /// Reading failed.
    #[error("cannot read the capture: {0}")]
    Io(#[from] io::Error),
    /// Frames of this link type are not understood.
    #[error(
        "link type {0} of the capture is not one of Ethernet (1), raw IP (101), SLL (113), SLL2 (276), loopback (0)"
    )]
    LinkType(u32),
    /// The file does not begin as a classic pcap file does.
    #[error("the file has none of the magic numbers of a classic pcap file")]
    NotPcap,
}

/// A UDP datagram of a capture.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Where it was sent to.
    pub destination: SocketAddr,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Reads a capture frame by frame.
#[derive(Debug)]
pub struct PcapReader<R> {
    input: R,
    big_endian: bool,
    link: Link,
    frame: Vec<u8>,
    frames: u64,
}

/// How IP packets lie in frames.
#[derive(Clone, Copy, Debug)]
enum Link {
    Ethernet,
    Loopback,
    Raw,
    Sll,
    Sll2,
}

/// True for files that begin with a magic number of classic pcap.
#[must_use]
pub fn is_pcap(start: &[u8]) -> bool {
    start
        .first_chunk()
        .is_some_and(|magic| byte_order(*magic).is_some())
}

impl<R: Read> PcapReader<R> {
    /// Reads the file header.
    ///
    /// # Errors
    ///
    /// [`PcapError::NotPcap`], [`PcapError::LinkType`], or that reading failed.
    pub fn new(mut input: R) -> Result<Self, PcapError> {
        let mut header = [0; 24];
        input.read_exact(&mut header)?;
        let [m0, m1, m2, m3, .., n0, n1, n2, n3] = header;
        let big_endian = byte_order([m0, m1, m2, m3]).ok_or(PcapError::NotPcap)?;
        // The upper bits tell of frame check sequences.
        let number = word([n0, n1, n2, n3], big_endian) & 0x0FFF_FFFF;
        let link = match number {
            0 => Link::Loopback,
            1 => Link::Ethernet,
            12 | 14 | 101 | 228 | 229 => Link::Raw,
            113 => Link::Sll,
            276 => Link::Sll2,
            other => return Err(PcapError::LinkType(other)),
        };
        Ok(Self {
            input,
            big_endian,
            link,
            frame: Vec::new(),
            frames: 0,
        })
    }

    /// The next UDP datagram; `None` at the end. A frame that the end of the file cuts short is the end as well.
    ///
    /// # Errors
    ///
    /// [`PcapError::FrameTooLong`], or that reading failed.
    pub fn next_datagram(&mut self) -> Result<Option<Datagram<'_>>, PcapError> {
        loop {
            if !self.next_frame()? {
                return Ok(None);
            }
            // Twice, for the borrow of the one that is returned would last for all turns of the loop.
            if udp(self.link, &self.frame).is_some() {
                return Ok(udp(self.link, &self.frame));
            }
        }
    }

    fn next_frame(&mut self) -> Result<bool, PcapError> {
        let mut header = [0; 16];
        if !read_or_end(&mut self.input, &mut header)? {
            return Ok(false);
        }
        let [.., c0, c1, c2, c3, _, _, _, _] = header;
        let bytes = word([c0, c1, c2, c3], self.big_endian);
        if bytes > FRAME_BYTES_MAX {
            return Err(PcapError::FrameTooLong {
                frame: self.frames,
                bytes,
            });
        }
        self.frames += 1;
        self.frame.resize(bytes as usize, 0);
        read_or_end(&mut self.input, &mut self.frame)
    }
}

/// False where the input ends within or before `bytes`.
fn read_or_end(input: &mut impl Read, bytes: &mut [u8]) -> Result<bool, PcapError> {
    match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// True for big endian; `None` when the magic number is none of microseconds or nanoseconds.
fn byte_order(magic: [u8; 4]) -> Option<bool> {
    match magic {
        [0xA1, 0xB2, 0xC3, 0xD4] | [0xA1, 0xB2, 0x3C, 0x4D] => Some(true),
        [0xD4, 0xC3, 0xB2, 0xA1] | [0x4D, 0x3C, 0xB2, 0xA1] => Some(false),
        _ => None,
    }
}

fn word(bytes: [u8; 4], big_endian: bool) -> u32 {
    if big_endian {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86DD;

fn udp(link: Link, frame: &[u8]) -> Option<Datagram<'_>> {
    match link {
        Link::Ethernet => {
            let mut rest = frame.get(12..)?;
            loop {
                let (&ethertype, behind) = rest.split_first_chunk()?;
                match u16::from_be_bytes(ethertype) {
                    0x8100 | 0x88A8 | 0x9100 => rest = behind.get(2..)?,
                    ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return ip(behind),
                    _ => return None,
                }
            }
        }
        // The address family before the packet depends on the system; the version of IP tells as much.
        Link::Loopback => ip(frame.get(4..)?),
        Link::Raw => ip(frame),
        Link::Sll => ip(frame.get(16..)?),
        Link::Sll2 => ip(frame.get(20..)?),
    }
}

fn ip(packet: &[u8]) -> Option<Datagram<'_>> {
    match packet.first()? >> 4 {
        4 => ipv4(packet),
        6 => ipv6(packet),
        _ => None,
    }
}

const UDP: u8 = 17;

fn ipv4(packet: &[u8]) -> Option<Datagram<'_>> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let header_len = usize::from(header[0] & 0x0F) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3FFF;
    if header[9] != UDP || fragment != 0 || header_len < 20 {
        return None;
    }
    let destination = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
    udp_payload(packet.get(header_len..total)?, destination.into())
}

fn ipv6(packet: &[u8]) -> Option<Datagram<'_>> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    if header[6] != UDP {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let (_, destination) = header.split_last_chunk::<16>()?;
    udp_payload(rest.get(..length)?, Ipv6Addr::from(*destination).into())
}

fn udp_payload(packet: &[u8], destination: IpAddr) -> Option<Datagram<'_>> {
    let (&[_, _, port_high, port_low, len_high, len_low, _, _], _) = packet.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([len_high, len_low]));
    let port = u16::from_be_bytes([port_high, port_low]);
    Some(Datagram {
        destination: SocketAddr::new(destination, port),
        payload: packet.get(8..length)?,
    })
}

#[cfg(test)]
mod tests;
