//! What each PID is for, once the tables have changed, and the places that it has besides its slot.

use super::{CLOCKS, Engine};
use crate::analysis::media::Media;
use crate::analysis::pcr::Clock;
use crate::analysis::pids::{NONE, Pids, Role, Slot};
use crate::analysis::section::Sections;
use crate::analysis::stream::StreamKind;
use crate::packet::Pid;

/// Where PIDs have places besides their slots.
pub(super) struct SideTables<'a> {
    pub(super) sections: &'a mut Sections,
    media: &'a mut Media,
    clocks: &'a mut [Clock; CLOCKS],
    clocks_taken: &'a mut u32,
    unreferenced_readers: &'a mut usize,
}

impl SideTables<'_> {
    /// Gives back the places of a PID that no table names and that is forgotten.
    pub(super) fn release(&mut self, slot: &Slot) {
        if slot.reader != NONE {
            self.sections.close(slot.reader);
            *self.unreferenced_readers = self.unreferenced_readers.saturating_sub(1);
        }
        self.release_clock(slot.clock);
        self.media.close(slot.probe);
    }

    fn release_clock(&mut self, index: u8) {
        if let Some(clock) = self.clocks.get_mut(usize::from(index)) {
            *clock = Clock::NEW;
            *self.clocks_taken &= !(1 << index);
        }
    }

    /// Opens and closes readers as the new role wants it. False when there is no reader left for one that must have one.
    fn fit_reader(&mut self, slot: &mut Slot) -> bool {
        let has_sections = slot.role.has_sections();
        if slot.reader != NONE && slot.before == Role::Unreferenced {
            *self.unreferenced_readers = self.unreferenced_readers.saturating_sub(1);
        }
        if slot.reader != NONE && !has_sections {
            self.sections.close(slot.reader);
            slot.reader = NONE;
        }
        if slot.reader == NONE && has_sections {
            slot.reader = self.sections.open().unwrap_or(NONE);
        }
        slot.reader != NONE || !has_sections
    }

    /// Follows the times of a stream of sound or pictures, and `looks` into it.
    fn fit_probe(&mut self, slot: &mut Slot, is_media: bool, looks: bool) {
        if is_media && slot.probe == NONE {
            slot.probe = self.media.open(looks).unwrap_or(NONE);
        } else if !is_media && slot.probe != NONE {
            self.media.close(slot.probe);
            slot.probe = NONE;
        }
    }
}

impl Engine {
    pub(super) fn pids_and_side_tables(&mut self) -> (&mut Pids, SideTables<'_>) {
        let side = SideTables {
            sections: &mut self.sections,
            media: &mut self.media,
            clocks: &mut self.clocks,
            clocks_taken: &mut self.clocks_taken,
            unreferenced_readers: &mut self.unreferenced_readers,
        };
        (&mut self.pids, side)
    }

    /// Gives every PID the role that the tables tell.
    #[cold]
    pub(super) fn assign_roles(&mut self) {
        for slot in self.pids.iter_mut() {
            slot.before = slot.role;
            slot.role = Role::fixed(slot.pid).unwrap_or(Role::Unreferenced);
            slot.stream = NONE;
            slot.is_clock = false;
        }
        self.name_pids();
        self.has_pmt = self.tables.programmes().any(|p| p.version.is_some());
        self.fit_places();
    }

    fn name_pids(&mut self) {
        let at_ns = self.newest_ns;
        let Self {
            pids,
            sections,
            tables,
            media,
            clocks,
            clocks_taken,
            unreferenced_readers,
            ..
        } = self;
        let mut side = SideTables {
            sections,
            media,
            clocks,
            clocks_taken,
            unreferenced_readers,
        };
        let mut name = |pid: u16, role: Role, stream: u8| {
            if pid == Pid::NULL.value() {
                return;
            }
            let slot = pids.make_room(pid, at_ns, |evicted| side.release(evicted));
            let Some(slot) = slot else {
                return;
            };
            slot.is_clock |= role == Role::Pcr;
            if slot.role == Role::Unreferenced {
                slot.role = role;
                slot.stream = stream;
            }
        };
        for programme in tables.programmes() {
            name(programme.pmt_pid, Role::Pmt, NONE);
        }
        for (index, stream) in tables.streams().enumerate() {
            // At most STREAMS, which is below NONE.
            name(stream.pid, Role::Stream, index as u8);
        }
        for programme in tables.programmes() {
            if let Some(pid) = programme.pcr_pid {
                name(pid, Role::Pcr, NONE);
            }
        }
        for pid in tables.ca_pids() {
            name(pid, Role::ConditionalAccess, NONE);
        }
        if let Some(pid) = tables.network_pid {
            name(pid, Role::Nit, NONE);
        }
    }

    fn fit_places(&mut self) {
        let at_ns = self.newest_ns;
        let Self {
            pids,
            sections,
            tables,
            media,
            clocks,
            clocks_taken,
            unreferenced_readers,
            ..
        } = self;
        let mut side = SideTables {
            sections,
            media,
            clocks,
            clocks_taken,
            unreferenced_readers,
        };
        for slot in pids.iter_mut() {
            if slot.role != slot.before {
                slot.since_ns = at_ns;
                slot.told = false;
                self.without_reader += u64::from(!side.fit_reader(slot));
                slot.before = slot.role;
            }
            if slot.clock != NONE && !slot.is_clock && self.has_pmt {
                side.release_clock(slot.clock);
                slot.clock = NONE;
            }
            let is_media = tables
                .stream_mut(slot.stream)
                .is_some_and(|stream| stream.codec.kind() != StreamKind::Data);
            side.fit_probe(slot, is_media, self.config.media);
        }
    }
}
