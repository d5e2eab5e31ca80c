//! What is known about each PID.

use super::continuity::Continuity;
use crate::packet::Pid;

/// What a PID is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// CAT (PID 1).
    Cat,
    /// Entitlement messages that a CAT or PMT names.
    ConditionalAccess,
    /// EIT (PID 0x12).
    Eit,
    /// NIT (PID 0x10, or the one that the PAT names).
    Nit,
    /// Another PID that the standards reserve for tables.
    OtherTables,
    /// PAT (PID 0).
    Pat,
    /// The PCR of a programme, and nothing else.
    Pcr,
    /// A PMT that the PAT names.
    Pmt,
    /// SDT and BAT (PID 0x11).
    Sdt,
    /// An elementary stream that a PMT names.
    Stream,
    /// TDT and TOT (PID 0x14).
    Tdt,
    /// No table names it.
    Unreferenced,
}

impl Role {
    /// What a PID is for whatever the tables say.
    pub(super) const fn fixed(pid: u16) -> Option<Self> {
        match pid {
            0x00 => Some(Self::Pat),
            0x01 => Some(Self::Cat),
            0x10 => Some(Self::Nit),
            0x11 => Some(Self::Sdt),
            0x12 => Some(Self::Eit),
            0x14 => Some(Self::Tdt),
            // 0x1FFB is the base PID of ATSC (A/65).
            0x02..=0x1F | 0x1FFB => Some(Self::OtherTables),
            _ => None,
        }
    }

    /// True when sections are read on it.
    pub(super) const fn has_sections(self) -> bool {
        matches!(
            self,
            Self::Pat | Self::Cat | Self::Nit | Self::Sdt | Self::Eit | Self::Tdt | Self::Pmt
        )
    }
}

/// No place in a side table.
pub(super) const NONE: u8 = 0xFF;

/// One PID.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) packets: u64,
    /// Arrival of its last packet.
    pub(super) newest_ns: u64,
    /// Since when its role is what it is.
    pub(super) since_ns: u64,
    pub(super) bitrate_bps: u64,
    pub(super) continuity: Continuity,
    pub(super) cc_errors: u32,
    pub(super) tei_errors: u32,
    pub(super) scrambled: u32,
    /// Low bits of `packets` when the bitrate was worked out last.
    pub(super) marked: u32,
    pub(super) pid: u16,
    pub(super) role: Role,
    /// Its role before the tables changed.
    pub(super) before: Role,
    /// Its place among the section readers, clocks, streams of the PMTs and probes, or [`NONE`].
    pub(super) reader: u8,
    pub(super) clock: u8,
    pub(super) stream: u8,
    pub(super) probe: u8,
    /// A PMT names it as the PID of a clock.
    pub(super) is_clock: bool,
    /// It has been counted as unreferenced.
    pub(super) told: bool,
}

/// All PIDs that have been seen or named, in fixed memory.
#[derive(Debug)]
pub(super) struct Pids {
    /// Place in `slots` plus one by PID, 0 for none.
    index: [u16; Pid::COUNT],
    slots: [Slot; Self::SLOTS],
    len: usize,
}

const EMPTY: Slot = Slot {
    packets: 0,
    newest_ns: 0,
    since_ns: 0,
    bitrate_bps: 0,
    continuity: Continuity::UNKNOWN,
    cc_errors: 0,
    tei_errors: 0,
    scrambled: 0,
    marked: 0,
    pid: 0,
    role: Role::Unreferenced,
    before: Role::Unreferenced,
    reader: NONE,
    clock: NONE,
    stream: NONE,
    probe: NONE,
    is_clock: false,
    told: false,
};

impl Pids {
    /// PIDs that are kept: more than the largest multiplexes on air have.
    pub(super) const SLOTS: usize = 384;

    pub(super) const fn new() -> Self {
        Self {
            index: [0; Pid::COUNT],
            slots: [EMPTY; Self::SLOTS],
            len: 0,
        }
    }

    /// The slot of `pid`, if there is one.
    #[inline]
    pub(super) fn find(&mut self, pid: u16) -> Option<&mut Slot> {
        let place = usize::from(self.index[usize::from(pid) % Pid::COUNT]);
        self.slots.get_mut(place.wrapping_sub(1))
    }

    /// The slot of `pid`, to look at.
    pub(super) fn get(&self, pid: u16) -> Option<&Slot> {
        let place = usize::from(*self.index.get(usize::from(pid))?);
        self.slots.get(place.wrapping_sub(1))
    }

    /// The slot of `pid`, made when there is room for one.
    pub(super) fn make(&mut self, pid: u16, at_ns: u64) -> Option<&mut Slot> {
        let known = usize::from(self.index[usize::from(pid) % Pid::COUNT]);
        let place = if known > 0 {
            known - 1
        } else {
            if self.len == Self::SLOTS {
                return None;
            }
            self.len += 1;
            self.assign(self.len - 1, pid, at_ns);
            self.len - 1
        };
        self.slots.get_mut(place)
    }

    /// Like [`make`](Self::make), for a PID that a table names: when there is no room, one that no table names must go.
    /// It is handed to `evicted` before it does.
    pub(super) fn make_room(
        &mut self,
        pid: u16,
        at_ns: u64,
        evicted: impl FnOnce(&Slot),
    ) -> Option<&mut Slot> {
        if self.index[usize::from(pid) % Pid::COUNT] == 0 && self.len == Self::SLOTS {
            let place = self.slots.iter().position(|slot| {
                (slot.role, slot.before) == (Role::Unreferenced, Role::Unreferenced)
            })?;
            evicted(&self.slots[place]);
            self.index[usize::from(self.slots[place].pid)] = 0;
            self.assign(place, pid, at_ns);
        }
        self.make(pid, at_ns)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Slot> {
        self.slots[..self.len].iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Slot> {
        self.slots[..self.len].iter_mut()
    }

    fn assign(&mut self, place: usize, pid: u16, at_ns: u64) {
        self.slots[place] = Slot {
            pid,
            since_ns: at_ns,
            role: Role::fixed(pid).unwrap_or(Role::Unreferenced),
            ..EMPTY
        };
        // At most SLOTS.
        self.index[usize::from(pid) % Pid::COUNT] = place as u16 + 1;
    }
}
