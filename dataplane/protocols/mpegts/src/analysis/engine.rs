//! What is done with each packet.

mod roles;
mod timers;

use self::timers::{CHECK_NS, Rate, WINDOW_NS};
use super::AnalyserConfig;
use super::continuity::Step;
use super::counters::Counters;
use super::deadline::Deadline;
use super::media::Media;
use super::pcr::{Clock, Found};
use super::pids::{NONE, Pids, Role, Slot};
use super::section::Sections;
use super::tables::{PSI_INTERVAL_NS, Tables};
use crate::packet::{Pid, SYNC_BYTE, TS_PACKET_SIZE, TsPacket};

/// The analyser behind the alignment.
#[derive(Debug)]
pub(super) struct Engine {
    config: AnalyserConfig,
    pub(super) pids: Box<Pids>,
    sections: Box<Sections>,
    pub(super) tables: Box<Tables>,
    pub(super) clocks: Box<[Clock; CLOCKS]>,
    /// Bit `n` is set when `clocks[n]` belongs to a PID.
    clocks_taken: u32,
    /// A PMT has been read.
    has_pmt: bool,
    media: Box<Media>,
    pub(super) counters: Counters,

    // Time
    started: bool,
    /// Arrival of the newest packet.
    newest_ns: u64,
    next_check_ns: u64,
    rose_ns: [Option<u64>; 3],
    errors_before: [u64; 3],

    // Position and sync
    /// Packets of the stream so far, those that were thrown away too.
    pub(super) position: u64,
    /// Position of the last packet of this arrival.
    arrival_end: u64,
    /// How often packets were lost or put in.
    disturbances: u64,
    bad_syncs: u8,
    in_sync: bool,

    // Bitrates
    window_ns: u64,
    all_rate: Rate,
    pub(super) null_rate: Rate,

    // Scrambling
    scrambled_ns: u64,
    cat_due: Deadline,

    // Overflows
    untracked: u64,
    without_reader: u64,
    without_clock: u64,
    unreferenced_readers: usize,
}

/// Clocks that are kept.
pub(super) const CLOCKS: usize = 32;

/// Sections are also checked on this many PIDs that no table names.
const UNREFERENCED_READERS: usize = 16;

//= TR 101 290 2.5: PTS repetition period more than 700 ms.
const PTS_INTERVAL_NS: u64 = 700_000_000;

/// Rate up to which sections of one sub-table have to keep a distance (TR 101 211 4.4.1).
const SECTION_GAP_BPS_MAX: u64 = 100_000_000;

/// What a packet needs of its PID's slot.
#[derive(Clone, Copy)]
struct Places {
    role: Role,
    reader: u8,
    probe: u8,
    stream: u8,
}

impl Places {
    fn of(slot: &Slot) -> Self {
        Self {
            role: slot.role,
            reader: slot.reader,
            probe: slot.probe,
            stream: slot.stream,
        }
    }
}

impl Engine {
    pub(super) fn new(config: AnalyserConfig) -> Self {
        Self {
            config,
            pids: Box::new(Pids::new()),
            sections: Box::new(Sections::new()),
            tables: Box::new(Tables::new()),
            clocks: Box::new([Clock::NEW; CLOCKS]),
            clocks_taken: 0,
            has_pmt: false,
            media: Box::new(Media::new()),
            counters: Counters::default(),
            started: false,
            newest_ns: 0,
            next_check_ns: 0,
            rose_ns: [None; 3],
            errors_before: [0; 3],
            position: 0,
            arrival_end: 0,
            disturbances: 0,
            bad_syncs: 0,
            in_sync: true,
            window_ns: 0,
            all_rate: Rate::default(),
            null_rate: Rate::default(),
            scrambled_ns: 0,
            cat_due: Deadline::NEVER,
            untracked: 0,
            without_reader: 0,
            without_clock: 0,
            unreferenced_readers: 0,
        }
    }

    /// `packets` have come together.
    pub(super) fn arrive(&mut self, packets: usize, arrival_ns: u64) {
        self.arrival_end = self.position + packets as u64;
        if !self.started {
            self.started = true;
            self.newest_ns = arrival_ns;
            self.window_ns = arrival_ns;
            self.tables.pat_due = Deadline::starting(arrival_ns, PSI_INTERVAL_NS);
            self.next_check_ns = arrival_ns.saturating_add(CHECK_NS);
        }
        self.newest_ns = self.newest_ns.max(arrival_ns);
        if self.newest_ns >= self.next_check_ns {
            // What is overdue at the arrival counts; what this arrival brings has not been read.
            self.check(self.newest_ns, self.newest_ns);
        }
    }

    #[inline]
    pub(super) fn packet(&mut self, bytes: &[u8; TS_PACKET_SIZE]) {
        let [sync, high, low, control, ..] = *bytes;
        self.counters.packets += 1;
        self.position += 1;
        if (sync != SYNC_BYTE || self.bad_syncs > 0) && !self.sync(sync) {
            return;
        }
        let pid = u16::from_be_bytes([high, low]) & 0x1FFF;
        if pid == Pid::NULL.value() {
            self.counters.null_packets += 1;
            self.counters.tei_errors += u64::from(high >> 7);
            return;
        }
        let Some(slot) = self.pids.find(pid) else {
            return self.first_packet(bytes, pid);
        };
        slot.packets += 1;
        slot.newest_ns = self.newest_ns;
        if high & 0x80 != 0 {
            slot.tei_errors = slot.tei_errors.saturating_add(1);
            self.counters.tei_errors += 1;
        }
        let flags = if control & 0x20 != 0 && bytes[4] > 0 {
            bytes[5]
        } else {
            0
        };
        if flags & 0x80 != 0 {
            slot.continuity.forget();
        }
        let places = Places::of(slot);
        if control & 0x10 != 0 {
            match slot.continuity.step(bytes) {
                Step::Next => {}
                Step::Duplicate => {
                    self.disturbances += 1;
                    return;
                }
                Step::Broken => {
                    slot.cc_errors = slot.cc_errors.saturating_add(1);
                    self.counters.cc_errors += 1;
                    self.disturbances += 1;
                    self.sections.abandon(places.reader);
                    self.media.abandon(places.probe);
                }
            }
        }
        if flags & 0x10 != 0 && bytes[4] >= 7 {
            self.pcr(bytes, pid);
        }
        if control & 0x10 != 0 {
            self.payload(bytes, pid, places);
        }
    }

    /// The payload of a packet that is not a repeat.
    #[inline]
    fn payload(&mut self, bytes: &[u8; TS_PACKET_SIZE], pid: u16, places: Places) {
        if bytes[3] & 0xC0 != 0 {
            return self.scrambled(pid);
        }
        let unit_start = bytes[1] & 0x40 != 0;
        if places.reader != NONE {
            return self.section_payload(bytes, pid, places.role, places.reader);
        }
        if places.probe != NONE {
            if unit_start || self.media.is_taking(places.probe) {
                self.stream_payload(bytes, places.stream, places.probe);
            }
        } else if unit_start && places.role == Role::Unreferenced {
            self.maybe_sections(bytes, pid);
        }
    }

    #[cold]
    fn first_packet(&mut self, bytes: &[u8; TS_PACKET_SIZE], pid: u16) {
        let at_ns = self.newest_ns;
        let (pids, mut side) = self.pids_and_side_tables();
        let slot = if Role::fixed(pid).is_some() {
            pids.make_room(pid, at_ns, |evicted| side.release(evicted))
        } else {
            pids.make(pid, at_ns)
        };
        let Some(slot) = slot else {
            self.untracked += 1;
            self.counters.tei_errors += u64::from(bytes[1] >> 7);
            return;
        };
        if slot.role.has_sections() {
            slot.reader = side.sections.open().unwrap_or(NONE);
        }
        // The packet is counted when it comes by again.
        self.counters.packets -= 1;
        self.position -= 1;
        self.packet(bytes);
    }

    /// Judges a sync byte that is wrong or follows wrong ones; true when the packet may be read.
    ///
    //= TR 101 290 1.1, 1.2: loss of synchronization after two wrong sync bytes in a row.
    #[cold]
    fn sync(&mut self, sync: u8) -> bool {
        if sync == SYNC_BYTE {
            self.bad_syncs = 0;
            self.in_sync = true;
            return true;
        }
        self.counters.sync_byte_errors += 1;
        self.bad_syncs = self.bad_syncs.saturating_add(1);
        if self.bad_syncs == 1 {
            return true;
        }
        if std::mem::take(&mut self.in_sync) {
            self.counters.sync_losses += 1;
            self.forget_continuity();
        }
        false
    }

    /// An aligner has lost the lock.
    pub(super) fn sync_loss(&mut self) {
        self.counters.sync_losses += 1;
        // Two wrong sync bytes are what the loss was seen by; packets with them were not handed over.
        self.counters.sync_byte_errors += 2;
        self.forget_continuity();
    }

    /// Nothing is known about what was sent meanwhile.
    fn forget_continuity(&mut self) {
        self.disturbances += 1;
        for slot in self.pids.iter_mut() {
            slot.continuity.forget();
            self.sections.abandon(slot.reader);
            self.media.abandon(slot.probe);
        }
    }

    fn pcr(&mut self, bytes: &[u8; TS_PACKET_SIZE], pid: u16) {
        let packet = TsPacket::new(bytes);
        let (Some(pcr), Some(slot)) = (packet.pcr(), self.pids.find(pid)) else {
            return;
        };
        // A PCR that no programme goes by is none, once there are programmes.
        if !slot.is_clock && self.has_pmt {
            return;
        }
        if slot.clock == NONE {
            let free = (!self.clocks_taken).trailing_zeros();
            let Some(clock) = self.clocks.get_mut(free as usize) else {
                self.without_clock += 1;
                return;
            };
            *clock = Clock::NEW;
            self.clocks_taken |= 1 << free;
            // Below CLOCKS.
            slot.clock = free as u8;
        }
        if let Some(clock) = self.clocks.get_mut(usize::from(slot.clock)) {
            let found = Found {
                pcr,
                position: self.position,
                at_ns: self.newest_ns,
                behind: self.arrival_end.saturating_sub(self.position),
                flagged: packet.discontinuity_indicator(),
                disturbances: self.disturbances,
            };
            clock.push(found, &mut self.counters);
        }
    }

    fn section_payload(&mut self, bytes: &[u8; TS_PACKET_SIZE], pid: u16, role: Role, reader: u8) {
        let packet = TsPacket::new(bytes);
        let Some(payload) = packet.payload() else {
            return;
        };
        let quick = self.all_rate.bps > SECTION_GAP_BPS_MAX;
        let (tables, counters, at_ns) = (&mut self.tables, &mut self.counters, self.newest_ns);
        self.sections.push(
            reader,
            payload,
            packet.payload_unit_start_indicator(),
            |section| tables.section(section, pid, role, quick, at_ns, counters),
        );
        if std::mem::take(&mut self.tables.changed) {
            self.assign_roles();
        }
    }

    fn stream_payload(&mut self, bytes: &[u8; TS_PACKET_SIZE], index: u8, probe: u8) {
        let packet = TsPacket::new(bytes);
        let (Some(payload), Some(stream)) = (packet.payload(), self.tables.stream_mut(index))
        else {
            return;
        };
        let before = stream.media;
        if packet.payload_unit_start_indicator() {
            let since_ns = self.media.unit_start(
                probe,
                payload,
                packet.random_access_indicator(),
                self.newest_ns,
                stream,
            );
            if since_ns.is_some_and(|since_ns| self.newest_ns - since_ns > PTS_INTERVAL_NS) {
                self.counters.pts_errors += 1;
            }
        } else {
            self.media.go_on(probe, payload, stream);
        }
        if stream.media != before {
            let (pid, media) = (stream.pid, stream.media);
            self.tables.share_media(pid, media);
        }
    }

    /// A unit begins on a PID that no table names: TR 101 290 2.2 judges tables wherever they are.
    fn maybe_sections(&mut self, bytes: &[u8; TS_PACKET_SIZE], pid: u16) {
        if self.unreferenced_readers >= UNREFERENCED_READERS {
            return;
        }
        let Some((&pointer, rest)) = TsPacket::new(bytes).payload().and_then(<[u8]>::split_first)
        else {
            return;
        };
        let begins_table = matches!(
            rest.get(usize::from(pointer)..),
            Some([0x00..=0x02 | 0x40..=0x73, 0xB0..=0xBF | 0xF0..=0xFF, ..])
        );
        if !begins_table {
            return;
        }
        if let (Some(reader), Some(slot)) = (self.sections.open(), self.pids.find(pid)) {
            slot.reader = reader;
            self.unreferenced_readers += 1;
            self.section_payload(bytes, pid, Role::Unreferenced, reader);
        }
    }

    fn scrambled(&mut self, pid: u16) {
        self.counters.scrambled_packets += 1;
        let Some(slot) = self.pids.find(pid) else {
            return;
        };
        slot.scrambled = slot.scrambled.saturating_add(1);
        match slot.role {
            //= TR 101 290 1.3.a, 1.5.a: scrambling_control_field is not 00 on the PID of a PAT or PMT.
            Role::Pat => self.counters.pat_errors += 1,
            Role::Pmt => self.counters.pmt_errors += 1,
            _ => {
                if self.cat_due.is_never() {
                    self.cat_due = Deadline::starting(self.newest_ns, WINDOW_NS);
                }
                self.scrambled_ns = self.newest_ns;
            }
        }
    }
}
