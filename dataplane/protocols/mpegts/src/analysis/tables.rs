//! PAT, PMT and CAT as they stand now, and whether tables come when they must.

use super::counters::{Counters, Overflows};
use super::deadline::Deadline;
use super::list::List;
use super::media::MediaInfo;
use super::pids::Role;
use super::section::Section;
use super::stream::{self, Stream, descriptors};

/// A programme of the PAT.
#[derive(Clone, Copy, Debug)]
pub struct Programme {
    /// program_number.
    pub number: u16,
    /// PID of its PMT.
    pub pmt_pid: u16,
    /// PID of its PCR; `None` until the PMT has come, and when the PMT says that there is none.
    pub pcr_pid: Option<u16>,
    /// version_number of its PMT; `None` until that has come.
    pub version: Option<u8>,
    /// CRC_32 of the PMT that was read last.
    pmt_crc: u32,
    /// The PAT that is being read names it.
    confirmed: bool,
    pmt_due: Deadline,
}

/// The tables of one stream. Memory is fixed.
#[derive(Debug)]
pub(super) struct Tables {
    programmes: List<Programme, { Self::PROGRAMMES }>,
    streams: List<Stream, { Self::STREAMS }>,
    /// PIDs of entitlement messages: CAT, then PMTs.
    cat_pids: List<u16, CA_PIDS>,
    pmt_ca_pids: List<(u16, u16), CA_PIDS>,
    /// PID of the NIT by the PAT (program_number 0).
    pub(super) network_pid: Option<u16>,
    /// transport_stream_id of the PAT.
    pub(super) transport_stream_id: Option<u16>,
    /// True when PIDs have other meanings since this was last cleared.
    pub(super) changed: bool,
    pat_sections: [u64; 4],
    pat_crc: u32,
    cat_crc: Option<u32>,
    pub(super) pat_due: Deadline,
    /// Arrival of the last CAT.
    pub(super) cat_ns: Option<u64>,
    si: SiTimers,
    pub(super) overflows: Overflows,
}

/// Repetition of the tables of EN 300 468. A timer runs from the first time a table comes: contribution streams often have
/// none of them, which is no fault.
#[derive(Debug)]
struct SiTimers {
    nit: Deadline,
    sdt: Deadline,
    eit: Deadline,
    tdt: Deadline,
    /// The last arrivals of sub-tables, each at the place that its key tells. Two that share a place hide each other,
    /// which loses an error and never invents one.
    recent: [Recent; RECENT],
}

#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    /// PID, table_id, table_id_extension; 0 for none.
    key: u64,
    at_ns: u64,
}

const RECENT: usize = 64;

/// PIDs of entitlement messages that are kept.
const CA_PIDS: usize = 64;

//= TR 101 290 1.3.a, 1.5.a: at least every 0.5 s.
pub(super) const PSI_INTERVAL_NS: u64 = 500_000_000;

//= TR 101 290 3.1.a, 3.5.a, 3.6.a, 3.8
const NIT_INTERVAL_NS: u64 = 10_000_000_000;
const SDT_INTERVAL_NS: u64 = 2_000_000_000;
const EIT_INTERVAL_NS: u64 = 2_000_000_000;
const TDT_INTERVAL_NS: u64 = 30_000_000_000;

//= TR 101 211 4.4.1: between sections of one sub-table at least 25 ms, up to 100 Mbit/s.
const SECTION_GAP_NS_MIN: u64 = 25_000_000;

/// No PID, where the PMT has to name one (ISO/IEC 13818-1 2.4.4.9).
const NO_PID: u16 = 0x1FFF;

impl Tables {
    pub(super) const PROGRAMMES: usize = 64;
    pub(super) const STREAMS: usize = 160;

    pub(super) fn new() -> Self {
        Self {
            programmes: List::new(),
            streams: List::new(),
            cat_pids: List::new(),
            pmt_ca_pids: List::new(),
            network_pid: None,
            transport_stream_id: None,
            changed: false,
            pat_sections: [0; 4],
            pat_crc: 0,
            cat_crc: None,
            pat_due: Deadline::NEVER,
            cat_ns: None,
            si: SiTimers {
                nit: Deadline::NEVER,
                sdt: Deadline::NEVER,
                eit: Deadline::NEVER,
                tdt: Deadline::NEVER,
                recent: [Recent { key: 0, at_ns: 0 }; RECENT],
            },
            overflows: Overflows::default(),
        }
    }

    pub(super) fn programmes(&self) -> impl ExactSizeIterator<Item = &Programme> {
        self.programmes.iter()
    }

    pub(super) fn streams(&self) -> impl ExactSizeIterator<Item = &Stream> {
        self.streams.iter()
    }

    pub(super) fn stream_mut(&mut self, index: u8) -> Option<&mut Stream> {
        self.streams.get_mut(usize::from(index))
    }

    /// Tells all programmes that name `pid` what is in it.
    pub(super) fn share_media(&mut self, pid: u16, media: MediaInfo) {
        for stream in self.streams.iter_mut().filter(|stream| stream.pid == pid) {
            stream.media = media;
        }
    }

    pub(super) fn ca_pids(&self) -> impl Iterator<Item = u16> {
        let pmt = self.pmt_ca_pids.iter().map(|&(_, pid)| pid);
        self.cat_pids.iter().copied().chain(pmt)
    }

    /// Takes note of a section on a PID with `role`. `quick` when sections may follow each other without a gap.
    pub(super) fn section(
        &mut self,
        section: Section<'_>,
        pid: u16,
        role: Role,
        quick: bool,
        at_ns: u64,
        counters: &mut Counters,
    ) {
        let valid = section.crc != Some(false);
        counters.crc_errors += u64::from(!valid);
        match (role, section.table_id) {
            (Role::Pat, 0x00) if valid => {
                counters.pat_sections += 1;
                counters.pat_errors += self.pat_due.came(at_ns, PSI_INTERVAL_NS);
                if let Some(bytes) = section.bytes {
                    self.read_pat(bytes, at_ns);
                }
            }
            //= TR 101 290 1.3.a: section with table_id other than 0x00 found on PID 0x0000.
            (Role::Pat, 1..) => counters.pat_errors += 1,
            (Role::Cat, 0x01) if valid => {
                self.cat_ns = Some(at_ns);
                if let Some(bytes) = section.bytes {
                    self.read_cat(bytes);
                }
            }
            //= TR 101 290 2.6: section with table_id other than 0x01 found on PID 0x0001.
            (Role::Cat, 0 | 2..) => counters.cat_errors += 1,
            (Role::Pmt, 0x02) if valid => {
                counters.pmt_sections += 1;
                counters.pmt_errors += self.pmt_came(pid, at_ns);
                if let Some(bytes) = section.bytes {
                    self.read_pmt(bytes, pid);
                }
            }
            (Role::Nit | Role::Sdt | Role::Eit | Role::Tdt, _) if valid => {
                self.si.came(&section, pid, role, quick, at_ns, counters);
            }
            _ => {}
        }
    }

    /// Counts tables that are missing at `now_ns`; those of DVB only up to `newest_ns`, the newest packet.
    pub(super) fn overdue(&mut self, now_ns: u64, newest_ns: u64, counters: &mut Counters) {
        counters.pat_errors += self.pat_due.overdue(now_ns, PSI_INTERVAL_NS);
        for n in 0..self.programmes.len() {
            let Some(programme) = self.programmes.get_mut(n) else {
                break;
            };
            let overdue = programme.pmt_due.overdue(now_ns, PSI_INTERVAL_NS);
            let pid = programme.pmt_pid;
            if self.is_first_with_pmt_pid(n, pid) {
                counters.pmt_errors += overdue;
            }
        }
        let si = &mut self.si;
        counters.nit_errors += si.nit.overdue(newest_ns, NIT_INTERVAL_NS);
        counters.sdt_errors += si.sdt.overdue(newest_ns, SDT_INTERVAL_NS);
        counters.eit_errors += si.eit.overdue(newest_ns, EIT_INTERVAL_NS);
        counters.tdt_errors += si.tdt.overdue(newest_ns, TDT_INTERVAL_NS);
    }

    /// Programmes may share a PID for their PMTs; what is missing there is counted once.
    fn is_first_with_pmt_pid(&self, index: usize, pid: u16) -> bool {
        self.programmes
            .iter()
            .take(index)
            .all(|programme| programme.pmt_pid != pid)
    }

    fn pmt_came(&mut self, pid: u16, at_ns: u64) -> u64 {
        let mut overdue = None;
        for programme in self.programmes.iter_mut() {
            if programme.pmt_pid == pid {
                let intervals = programme.pmt_due.came(at_ns, PSI_INTERVAL_NS);
                overdue = overdue.or(Some(intervals));
            }
        }
        overdue.unwrap_or(0)
    }

    /// program_association_section (ISO/IEC 13818-1 2.4.4.3). A table of several sections holds once all have come.
    fn read_pat(&mut self, bytes: &[u8], at_ns: u64) {
        let Some(table) = LongSection::new(bytes) else {
            return;
        };
        if table.last_number == 0 && table.crc == self.pat_crc && self.transport_stream_id.is_some()
        {
            return;
        }
        if table.number == 0 {
            self.pat_crc = table.crc;
            self.pat_sections = [0; 4];
            self.overflows.programmes = 0;
            for programme in self.programmes.iter_mut() {
                programme.confirmed = false;
            }
        }
        self.transport_stream_id = Some(table.extension);
        let (entries, _) = table.body.as_chunks::<4>();
        for &[number_high, number_low, pid_high, pid_low] in entries {
            let number = u16::from_be_bytes([number_high, number_low]);
            let pid = u16::from_be_bytes([pid_high, pid_low]) & 0x1FFF;
            if number == 0 {
                self.changed |= self.network_pid.replace(pid) != Some(pid);
            } else {
                self.confirm(number, pid, at_ns);
            }
        }
        let number = usize::from(table.number);
        self.pat_sections[number / 64] |= 1 << (number % 64);
        let complete = (0..=usize::from(table.last_number))
            .all(|n| self.pat_sections[n / 64] & (1 << (n % 64)) != 0);
        if complete {
            let before = self.programmes.len();
            self.programmes.retain(|programme| programme.confirmed);
            if self.programmes.len() != before {
                self.drop_orphans();
            }
        }
    }

    fn confirm(&mut self, number: u16, pmt_pid: u16, at_ns: u64) {
        let known = self.programmes.iter_mut().find(|p| p.number == number);
        if let Some(programme) = known {
            programme.confirmed = true;
            if programme.pmt_pid != pmt_pid {
                programme.pmt_pid = pmt_pid;
                programme.pmt_due = Deadline::starting(at_ns, PSI_INTERVAL_NS);
                self.changed = true;
            }
            return;
        }
        let fits = self.programmes.push(Programme {
            number,
            pmt_pid,
            pcr_pid: None,
            version: None,
            pmt_crc: 0,
            confirmed: true,
            pmt_due: Deadline::starting(at_ns, PSI_INTERVAL_NS),
        });
        self.overflows.programmes += u64::from(!fits);
        self.changed |= fits;
    }

    /// Forgets streams of programmes that are gone.
    fn drop_orphans(&mut self) {
        let programmes = &self.programmes;
        let lives = |number| programmes.iter().any(|p| p.number == number);
        self.streams.retain(|stream| lives(stream.program_number));
        self.pmt_ca_pids.retain(|&(number, _)| lives(number));
        self.changed = true;
    }

    /// CA_section (ISO/IEC 13818-1 2.4.4.7).
    fn read_cat(&mut self, bytes: &[u8]) {
        let Some(table) = LongSection::new(bytes) else {
            return;
        };
        if table.number == 0 {
            if self.cat_crc.replace(table.crc) == Some(table.crc) {
                return;
            }
            self.cat_pids.retain(|_| false);
        }
        for pid in ca_descriptor_pids(table.body) {
            if !self.cat_pids.iter().any(|&known| known == pid) {
                self.changed |= self.cat_pids.push(pid);
            }
        }
    }

    /// TS_program_map_section (ISO/IEC 13818-1 2.4.4.9).
    fn read_pmt(&mut self, bytes: &[u8], pid: u16) {
        let Some(table) = LongSection::new(bytes) else {
            return;
        };
        let Some((&[pcr_high, pcr_low, info_high, info_low], rest)) =
            table.body.split_first_chunk()
        else {
            return;
        };
        let number = table.extension;
        let programme = self
            .programmes
            .iter_mut()
            .find(|p| p.number == number && p.pmt_pid == pid);
        let Some(programme) = programme else {
            return;
        };
        if programme.version.is_some() && programme.pmt_crc == table.crc {
            return;
        }
        let info_len = usize::from(u16::from_be_bytes([info_high, info_low]) & 0x0FFF);
        let Some((program_info, streams)) = rest.split_at_checked(info_len) else {
            return;
        };
        let pcr_pid = u16::from_be_bytes([pcr_high, pcr_low]) & 0x1FFF;
        programme.pcr_pid = (pcr_pid != NO_PID).then_some(pcr_pid);
        programme.version = Some(table.version);
        programme.pmt_crc = table.crc;
        self.changed = true;
        self.pmt_ca_pids.retain(|&(owner, _)| owner != number);
        self.read_ca(number, program_info);
        self.replace_streams(number, streams, stream::registration(program_info));
    }

    fn read_ca(&mut self, number: u16, info: &[u8]) {
        for pid in ca_descriptor_pids(info) {
            self.pmt_ca_pids.push((number, pid));
        }
    }

    /// Streams that stay keep what is known about their media.
    fn replace_streams(&mut self, number: u16, mut entries: &[u8], registration: Option<[u8; 4]>) {
        let mut kept = [0_u64; Self::STREAMS.div_ceil(64)];
        while let Some((&[stream_type, pid_high, pid_low, len_high, len_low], rest)) =
            entries.split_first_chunk()
        {
            let len = usize::from(u16::from_be_bytes([len_high, len_low]) & 0x0FFF);
            let Some((info, behind)) = rest.split_at_checked(len) else {
                break;
            };
            entries = behind;
            let pid = u16::from_be_bytes([pid_high, pid_low]) & 0x1FFF;
            self.read_ca(number, info);
            let fresh = stream::stream(number, pid, stream_type, info, registration);
            let known = self
                .streams
                .iter()
                .position(|known| known.program_number == number && known.pid == pid);
            let index = if let Some(index) = known {
                if let Some(stream) = self.streams.get_mut(index) {
                    let media = stream.media;
                    let same = stream.codec == fresh.codec;
                    *stream = fresh;
                    if same {
                        stream.media = media;
                    }
                }
                index
            } else if self.streams.push(fresh) {
                self.streams.len() - 1
            } else {
                self.overflows.streams += 1;
                continue;
            };
            kept[index / 64] |= 1 << (index % 64);
        }
        let mut index = 0;
        self.streams.retain(|stream| {
            let named = kept[index / 64] & (1 << (index % 64)) != 0;
            index += 1;
            named || stream.program_number != number
        });
    }
}

impl SiTimers {
    fn came(
        &mut self,
        section: &Section<'_>,
        pid: u16,
        role: Role,
        quick: bool,
        at_ns: u64,
        counters: &mut Counters,
    ) {
        match (role, section.table_id) {
            (Role::Nit, 0x40) => counters.nit_errors += self.nit.came(at_ns, NIT_INTERVAL_NS),
            (Role::Sdt, 0x42) => counters.sdt_errors += self.sdt.came(at_ns, SDT_INTERVAL_NS),
            (Role::Eit, 0x4E) => counters.eit_errors += self.eit.came(at_ns, EIT_INTERVAL_NS),
            (Role::Tdt, 0x70) => counters.tdt_errors += self.tdt.came(at_ns, TDT_INTERVAL_NS),
            _ => {}
        }
        if section.crc.is_none() || quick {
            return;
        }
        let key = 1 << 63
            | u64::from(pid) << 24
            | u64::from(section.table_id) << 16
            | u64::from(section.extension);
        let place = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize;
        let recent = &mut self.recent[place];
        if recent.key == key && at_ns.saturating_sub(recent.at_ns) < SECTION_GAP_NS_MIN {
            counters.si_repetition_errors += 1;
        }
        *recent = Recent { key, at_ns };
    }
}

/// A section of the long syntax that applies now.
struct LongSection<'a> {
    extension: u16,
    version: u8,
    number: u8,
    last_number: u8,
    /// What lies between the header and the CRC_32.
    body: &'a [u8],
    crc: u32,
}

impl<'a> LongSection<'a> {
    /// `None` for a table that is announced and does not apply yet.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let (front, crc) = bytes.split_last_chunk::<4>()?;
        let (&[_, _, _, ext_high, ext_low, version, number, last_number], body) =
            front.split_first_chunk::<8>()?;
        (version & 1 == 1).then_some(Self {
            extension: u16::from_be_bytes([ext_high, ext_low]),
            version: (version >> 1) & 0x1F,
            number,
            last_number,
            body,
            crc: u32::from_be_bytes(*crc),
        })
    }
}

/// PIDs of the CA descriptors of a loop (ISO/IEC 13818-1 2.6.16).
fn ca_descriptor_pids(info: &[u8]) -> impl Iterator<Item = u16> {
    descriptors(info).filter_map(|(tag, body)| match (tag, body) {
        (0x09, &[_, _, high, low, ..]) => Some(u16::from_be_bytes([high, low]) & 0x1FFF),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
