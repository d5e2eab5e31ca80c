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
        if let Some(clock) = self.clocks.get_mut(usize::from(slot.clock)) {
            *clock = Clock::NEW;
            *self.clocks_taken &= !(1 << slot.clock);
        }
        self.media.close(slot.probe);
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
            slot.before = slot.role;
            slot.role = Role::fixed(slot.pid).unwrap_or(Role::Unreferenced);
            slot.stream = NONE;
        }
        let mut name = |pid: u16, role: Role, stream: u8| {
            let slot = pids.make_room(pid, at_ns, |evicted| side.release(evicted));
            if let Some(slot) = slot
                && slot.role == Role::Unreferenced
                && pid != Pid::NULL.value()
            {
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
        for slot in pids.iter_mut() {
            if slot.role == slot.before {
                continue;
            }
            slot.since_ns = at_ns;
            slot.told = false;
            if slot.reader != NONE && slot.before == Role::Unreferenced {
                *side.unreferenced_readers = side.unreferenced_readers.saturating_sub(1);
            }
            if slot.reader != NONE && !slot.role.has_sections() {
                side.sections.close(slot.reader);
                slot.reader = NONE;
            }
            if slot.reader == NONE && slot.role.has_sections() {
                slot.reader = side.sections.open().unwrap_or(NONE);
                self.without_reader += u64::from(slot.reader == NONE);
            }
        }
        for slot in pids.iter_mut() {
            let is_media = tables
                .stream_mut(slot.stream)
                .is_some_and(|stream| stream.codec.kind() != StreamKind::Data);
            if is_media && slot.probe == NONE {
                slot.probe = side.media.open(self.config.media).unwrap_or(NONE);
            } else if !is_media && slot.probe != NONE {
                side.media.close(slot.probe);
                slot.probe = NONE;
            }
        }
    }
}
