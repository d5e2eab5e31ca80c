//! Sections out of packet payloads (ISO/IEC 13818-1 2.4.4), checked as they pass.
//!
//! A section that lies within one packet is read in place. Of one that spans packets the CRC runs along; only PAT, CAT and
//! PMT are also put together, in buffers that all PIDs share, for only they are read.

use super::crc::{CRC_START, advance_crc};

/// Sections of several PIDs on their way. Memory is fixed.
#[derive(Debug)]
pub(super) struct Sections {
    readers: [Reader; Self::READERS],
    buffers: [[u8; PSI_SECTION_SIZE_MAX]; BUFFERS],
    /// Bit `n` is set when `buffers[n]` is in use.
    used: u32,
    /// Sections that found no buffer.
    pub(super) unread: u64,
}

/// A complete section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    /// table_id.
    pub(super) table_id: u8,
    /// What follows section_length in tables of the long syntax: table_id_extension.
    pub(super) extension: u16,
    /// The CRC is right; `None` when the table has none.
    pub(super) crc: Option<bool>,
    /// All bytes; only of PAT, CAT and PMT, and only when the CRC is right.
    pub(super) bytes: Option<&'a [u8]>,
}

/// PSI sections have at most 1024 bytes (ISO/IEC 13818-1 2.4.4.5, 2.4.4.9).
const PSI_SECTION_SIZE_MAX: usize = 1024;

/// Tables longer than a packet that may be on their way at the same time: PMTs of a large multiplex.
const BUFFERS: usize = 12;

const NO_BUFFER: u8 = 0xFF;

/// Bytes that are kept of every section: its header in the long syntax.
const HEADER_SIZE: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Reader {
    taken: bool,
    /// Waiting for a payload_unit_start_indicator.
    idle: bool,
    buffer: u8,
    header: [u8; HEADER_SIZE],
    /// Bytes of the section so far.
    have: u16,
    /// Size of the section with its three header bytes; 0 before they are here.
    size: u16,
    crc: u32,
}

const FREE: Reader = Reader {
    taken: false,
    idle: true,
    buffer: NO_BUFFER,
    header: [0; HEADER_SIZE],
    have: 0,
    size: 0,
    crc: CRC_START,
};

impl Sections {
    /// PMTs of 64 programmes, the tables of the standard PIDs, and PIDs that nobody refers to.
    pub(super) const READERS: usize = 96;

    pub(super) const fn new() -> Self {
        Self {
            readers: [FREE; Self::READERS],
            buffers: [[0; PSI_SECTION_SIZE_MAX]; BUFFERS],
            used: 0,
            unread: 0,
        }
    }

    /// A reader for one more PID; `None` when all are taken.
    pub(super) fn open(&mut self) -> Option<u8> {
        let index = self.readers.iter().position(|reader| !reader.taken)?;
        self.readers[index] = Reader {
            taken: true,
            ..FREE
        };
        u8::try_from(index).ok()
    }

    /// Gives a reader back.
    pub(super) fn close(&mut self, index: u8) {
        self.abandon(index);
        if let Some(reader) = self.readers.get_mut(usize::from(index)) {
            *reader = FREE;
        }
    }

    /// Packets are missing: what has come of a section is thrown away.
    pub(super) fn abandon(&mut self, index: u8) {
        if let Some(reader) = self.readers.get_mut(usize::from(index)) {
            release(&mut self.used, reader);
            reader.idle = true;
        }
    }

    /// Reads the payload of one packet and hands each section that is complete to `sink`.
    pub(super) fn push(
        &mut self,
        index: u8,
        payload: &[u8],
        unit_start: bool,
        mut sink: impl FnMut(Section<'_>),
    ) {
        let Some(reader) = self.readers.get_mut(usize::from(index)) else {
            return;
        };
        let mut rest = payload;
        if unit_start {
            let Some((&pointer, behind)) = payload.split_first() else {
                return;
            };
            let Some((tail, fresh)) = behind.split_at_checked(usize::from(pointer)) else {
                release(&mut self.used, reader);
                reader.idle = true;
                return;
            };
            if !reader.idle {
                let taken =
                    continue_section(reader, &mut self.buffers, &mut self.used, tail, &mut sink);
                self.unread += u64::from(taken.unread);
            }
            release(&mut self.used, reader);
            reader.idle = false;
            rest = fresh;
        }
        while !reader.idle && !rest.is_empty() {
            if reader.have == 0 {
                //= ISO/IEC 13818-1 2.4.4.1: behind the last section a packet is stuffed with 0xFF.
                if rest[0] == STUFFING {
                    reader.idle = true;
                    return;
                }
                if let Some(size) = whole_section(rest) {
                    let (section, behind) = rest.split_at(size);
                    sink(in_place(section));
                    rest = behind;
                    continue;
                }
            }
            let taken =
                continue_section(reader, &mut self.buffers, &mut self.used, rest, &mut sink);
            self.unread += u64::from(taken.unread);
            rest = &rest[taken.bytes..];
        }
    }
}

/// table_id that no table has.
const STUFFING: u8 = 0xFF;

/// Size of the section at the front of `bytes` when all of it is there.
fn whole_section(bytes: &[u8]) -> Option<usize> {
    let size = section_size(bytes.first_chunk()?);
    (size <= bytes.len()).then_some(size)
}

fn section_size(header: &[u8; 3]) -> usize {
    3 + usize::from(u16::from_be_bytes([header[1] & 0x0F, header[2]]))
}

/// Tables that TR 101 290 2.2 judges: PAT, CAT, PMT, NIT, SDT, BAT, EIT, TOT. Of EN 300 468 only the TOT has a CRC without
/// the long syntax.
fn has_crc(table_id: u8, long_syntax: bool) -> bool {
    match table_id {
        0x00..=0x02 | 0x40..=0x42 | 0x46 | 0x4A | 0x4E..=0x6F => long_syntax,
        0x73 => true,
        _ => false,
    }
}

fn is_psi(table_id: u8) -> bool {
    table_id <= 2
}

fn in_place(section: &[u8]) -> Section<'_> {
    let mut header = [0; HEADER_SIZE];
    let len = section.len().min(HEADER_SIZE);
    header[..len].copy_from_slice(&section[..len]);
    complete(&header, section.len(), || {
        (advance_crc(CRC_START, section), Some(section))
    })
}

/// Makes a [`Section`]; `body` tells the register behind the last byte, and the bytes if they are at hand.
fn complete<'a>(
    header: &[u8; HEADER_SIZE],
    size: usize,
    body: impl FnOnce() -> (u32, Option<&'a [u8]>),
) -> Section<'a> {
    let [table_id, flags, _, ext_high, ext_low, ..] = *header;
    let long_syntax = flags & 0x80 != 0 && size >= HEADER_SIZE + 4;
    let (crc, bytes) = if has_crc(table_id, flags & 0x80 != 0) {
        let (register, bytes) = body();
        (Some(register == 0), bytes)
    } else {
        (None, None)
    };
    Section {
        table_id,
        extension: if long_syntax {
            u16::from_be_bytes([ext_high, ext_low])
        } else {
            0
        },
        crc,
        bytes: bytes.filter(|_| crc == Some(true) && is_psi(table_id) && long_syntax),
    }
}

#[derive(Clone, Copy)]
struct Taken {
    bytes: usize,
    unread: bool,
}

/// Adds to the section that is on its way what `bytes` has of it. Takes at least one byte unless `bytes` is empty.
fn continue_section(
    reader: &mut Reader,
    buffers: &mut [[u8; PSI_SECTION_SIZE_MAX]; BUFFERS],
    used: &mut u32,
    bytes: &[u8],
    sink: &mut impl FnMut(Section<'_>),
) -> Taken {
    let mut taken = Taken {
        bytes: 0,
        unread: false,
    };
    let mut rest = bytes;
    while reader.size == 0 || reader.have < reader.size {
        let missing = if reader.have < 3 {
            3 - usize::from(reader.have)
        } else {
            usize::from(reader.size - reader.have)
        };
        let (part, behind) = rest.split_at(missing.min(rest.len()));
        if part.is_empty() {
            return taken;
        }
        store(reader, buffers, part);
        taken.bytes += part.len();
        rest = behind;
        if reader.size == 0 && reader.have == 3 {
            let [a, b, c, ..] = reader.header;
            // At most 3 + 4095.
            reader.size = section_size(&[a, b, c]) as u16;
            if is_psi(a) {
                taken.unread |= !take_buffer(reader, buffers, used);
            }
        }
    }
    let size = usize::from(reader.size);
    let stored = buffers
        .get(usize::from(reader.buffer))
        .and_then(|buffer| buffer.get(..size));
    sink(complete(&reader.header, size, || (reader.crc, stored)));
    release(used, reader);
    taken
}

fn store(reader: &mut Reader, buffers: &mut [[u8; PSI_SECTION_SIZE_MAX]; BUFFERS], part: &[u8]) {
    let have = usize::from(reader.have);
    if have < HEADER_SIZE {
        let len = part.len().min(HEADER_SIZE - have);
        reader.header[have..have + len].copy_from_slice(&part[..len]);
    }
    if let Some(room) = buffers
        .get_mut(usize::from(reader.buffer))
        .and_then(|buffer| buffer.get_mut(have..have + part.len()))
    {
        room.copy_from_slice(part);
    }
    reader.crc = advance_crc(reader.crc, part);
    // A part never goes beyond the section, whose size fits.
    reader.have += part.len() as u16;
}

fn take_buffer(
    reader: &mut Reader,
    buffers: &mut [[u8; PSI_SECTION_SIZE_MAX]; BUFFERS],
    used: &mut u32,
) -> bool {
    let free = (!*used).trailing_zeros() as usize;
    if usize::from(reader.size) > PSI_SECTION_SIZE_MAX {
        return false;
    }
    let Some(buffer) = buffers.get_mut(free) else {
        return false;
    };
    buffer[..3].copy_from_slice(&reader.header[..3]);
    *used |= 1 << free;
    reader.buffer = free as u8;
    true
}

/// Readies the reader for the next section.
fn release(used: &mut u32, reader: &mut Reader) {
    if reader.buffer != NO_BUFFER {
        *used &= !(1 << reader.buffer);
    }
    *reader = Reader {
        taken: reader.taken,
        idle: reader.idle,
        ..FREE
    };
}

#[cfg(test)]
mod tests;
