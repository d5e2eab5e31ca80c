use super::super::crc::{CRC_START, advance_crc};
use super::*;

const SECOND: u64 = 1_000_000_000;

/// Tables that are fed section by section.
struct Feed {
    tables: Tables,
    counters: Counters,
    at_ns: u64,
}

impl Feed {
    fn new() -> Self {
        Self {
            tables: Tables::new(),
            counters: Counters::default(),
            at_ns: SECOND,
        }
    }

    fn section(
        &mut self,
        pid: u16,
        role: Role,
        table_id: u8,
        extension: u16,
        bytes: Option<&[u8]>,
    ) {
        let section = Section {
            table_id,
            extension,
            crc: (table_id != 0x70).then_some(true),
            bytes,
        };
        let counters = &mut self.counters;
        self.tables
            .section(section, pid, role, false, self.at_ns, counters);
    }

    fn pat(&mut self, number: u8, last: u8, entries: &[(u16, u16)]) {
        let mut body = Vec::new();
        for (program, pid) in entries {
            body.extend_from_slice(&program.to_be_bytes());
            body.extend_from_slice(&(0xE000 | pid).to_be_bytes());
        }
        let bytes = long(0x00, 1, number, last, &body);
        self.section(0, Role::Pat, 0x00, 1, Some(&bytes));
    }

    /// A PMT with a PCR on PID 101 and program descriptors.
    fn pmt(&mut self, pid: u16, program: u16, info: &[u8], streams: &[(u8, u16, &[u8])]) {
        let mut body = vec![0xE0, 101, 0xF0, info.len() as u8];
        body.extend_from_slice(info);
        for (stream_type, pid, info) in streams {
            body.push(*stream_type);
            body.extend_from_slice(&(0xE000 | pid).to_be_bytes());
            body.extend_from_slice(&[0xF0, info.len() as u8]);
            body.extend_from_slice(info);
        }
        let bytes = long(0x02, program, 0, 0, &body);
        self.section(pid, Role::Pmt, 0x02, program, Some(&bytes));
    }

    fn programmes(&self) -> Vec<(u16, u16)> {
        self.tables
            .programmes()
            .map(|p| (p.number, p.pmt_pid))
            .collect()
    }

    fn streams(&self) -> Vec<(u16, u16)> {
        self.tables
            .streams()
            .map(|s| (s.program_number, s.pid))
            .collect()
    }
}

fn long(table_id: u8, extension: u16, number: u8, last: u8, body: &[u8]) -> Vec<u8> {
    let length = (9 + body.len()) as u16;
    let mut bytes = vec![table_id];
    bytes.extend_from_slice(&(0xB000 | length).to_be_bytes());
    bytes.extend_from_slice(&extension.to_be_bytes());
    bytes.extend_from_slice(&[0xC3, number, last]);
    bytes.extend_from_slice(body);
    let crc = advance_crc(CRC_START, &bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn a_pat_of_several_sections_holds_once_all_have_come() {
    let mut feed = Feed::new();
    feed.pat(0, 1, &[(0, 0x10), (1, 100), (2, 200)]);
    feed.pat(1, 1, &[(3, 300)]);
    assert_eq!(feed.programmes(), [(1, 100), (2, 200), (3, 300)]);
    assert_eq!(feed.tables.network_pid, Some(0x10));
    // Programme 2 goes; it stays until the last section says so.
    feed.pat(0, 1, &[(0, 0x10), (1, 100)]);
    assert_eq!(feed.programmes().len(), 3);
    feed.pat(1, 1, &[(3, 300), (4, 400)]);
    assert_eq!(feed.programmes(), [(1, 100), (3, 300), (4, 400)]);
}

#[test]
fn streams_come_and_go_with_their_pmt_and_keep_what_is_known() {
    let mut feed = Feed::new();
    feed.pat(0, 0, &[(1, 100), (2, 200)]);
    feed.pmt(
        100,
        1,
        &[],
        &[(0x1B, 101, &[]), (0x0F, 102, b"\x0A\x04deu\0")],
    );
    feed.pmt(200, 2, &[], &[(0x0F, 102, &[]), (0x02, 201, &[])]);
    assert_eq!(feed.streams(), [(1, 101), (1, 102), (2, 102), (2, 201)]);
    let known = MediaInfo::Audio(crate::analysis::AudioInfo {
        codec: "AAC-LC",
        sample_rate_hz: 48_000,
        channels: 2,
    });
    feed.tables.share_media(102, known);
    feed.pmt(
        100,
        1,
        &[],
        &[(0x0F, 102, b"\x0A\x04fra\0"), (0x86, 103, &[])],
    );
    assert_eq!(feed.streams(), [(1, 102), (2, 102), (2, 201), (1, 103)]);
    let sound: Vec<_> = feed.tables.streams().filter(|s| s.media == known).collect();
    assert_eq!(sound.len(), 2);
    assert_eq!(
        sound[0].language.map(|l| l.as_str().to_owned()).as_deref(),
        Some("fra")
    );
    // Another codec on the same PID is another stream.
    feed.pmt(100, 1, &[], &[(0x03, 102, &[])]);
    let fresh = feed.tables.streams().find(|s| s.program_number == 1);
    assert_eq!(fresh.map(|s| s.media), Some(MediaInfo::Unknown));
    feed.pat(0, 0, &[(2, 200)]);
    assert_eq!(feed.streams(), [(2, 102), (2, 201)]);
}

#[test]
fn entitlement_pids_are_named_by_cat_and_pmt() {
    let mut feed = Feed::new();
    feed.pat(0, 0, &[(1, 100)]);
    let cat = long(0x01, 0xFFFF, 0, 0, &[9, 4, 0x18, 0, 0xE5, 0x01]);
    feed.section(1, Role::Cat, 0x01, 0xFFFF, Some(&cat));
    let ecm = [9, 4, 0x18, 0, 0xE6, 0x02];
    feed.pmt(100, 1, &ecm, &[(0x1B, 101, &[9, 4, 0x18, 0, 0xE6, 0x03])]);
    let pids: Vec<_> = feed.tables.ca_pids().collect();
    assert_eq!(pids, [0x0501, 0x0602, 0x0603]);
    feed.pmt(100, 1, &[], &[(0x1B, 101, &[])]);
    let other = long(0x01, 0xFFFF, 0, 0, &[9, 4, 0x18, 0, 0xE5, 0x07]);
    feed.section(1, Role::Cat, 0x01, 0xFFFF, Some(&other));
    assert_eq!(feed.tables.ca_pids().collect::<Vec<_>>(), [0x0507]);
    assert_eq!(feed.counters.cat_errors, 0);
    feed.section(1, Role::Cat, 0x42, 1, None);
    assert_eq!(feed.counters.cat_errors, 1);
}

#[test]
fn programmes_and_streams_beyond_the_limits_are_counted() {
    let mut feed = Feed::new();
    let entries: Vec<_> = (1..=70).map(|n| (n, 1000 + n)).collect();
    for _ in 0..3 {
        feed.pat(0, 1, &entries);
        feed.pat(1, 1, &[]);
    }
    assert_eq!(feed.programmes().len(), Tables::PROGRAMMES);
    assert_eq!(feed.tables.overflows.programmes, 6);
    for program in 1..=4_u16 {
        let streams: Vec<_> = (0..50)
            .map(|n| (0x1B, 2000 + 50 * program + n, &[][..]))
            .collect();
        feed.pmt(1000 + program, program, &[], &streams);
    }
    assert_eq!(feed.streams().len(), Tables::STREAMS);
    assert_eq!(feed.tables.overflows.streams, 40);
}

#[test]
fn two_programmes_on_one_pmt_pid_miss_it_once() {
    let mut feed = Feed::new();
    feed.pat(0, 0, &[(1, 100), (2, 100)]);
    let newest_ns = feed.at_ns + SECOND;
    feed.tables
        .overdue(newest_ns, newest_ns, &mut feed.counters);
    assert_eq!(feed.counters.pmt_errors, 1);
}

#[test]
fn tr101290_3_tables_of_dvb_are_missed_once_they_have_come() {
    for (pid, role, table_id, seconds) in [
        (0x10, Role::Nit, 0x40, 10),
        (0x11, Role::Sdt, 0x42, 2),
        (0x12, Role::Eit, 0x4E, 2),
        (0x14, Role::Tdt, 0x70, 30),
    ] {
        let mut feed = Feed::new();
        let late_ns = feed.at_ns + 100 * SECOND;
        feed.tables.overdue(late_ns, late_ns, &mut feed.counters);
        assert_eq!(feed.counters.priority3(), 0, "never came");
        feed.section(pid, role, table_id, 1, None);
        feed.at_ns += seconds * SECOND;
        feed.section(pid, role, table_id, 1, None);
        assert_eq!(feed.counters.priority3(), 0, "in time");
        feed.at_ns += seconds * SECOND + 1;
        feed.section(pid, role, table_id, 1, None);
        assert_eq!(feed.counters.priority3(), 1, "late");
        // Tables of other streams and bouquets are another matter.
        feed.at_ns += seconds * SECOND + 1;
        feed.section(pid, role, table_id + 1, 1, None);
        feed.section(pid, role, table_id, 1, None);
        assert_eq!(feed.counters.priority3(), 2);
    }
}

#[test]
fn tr101290_3_2_sections_of_a_sub_table_keep_25_ms() {
    let mut feed = Feed::new();
    for _ in 0..3 {
        feed.section(0x12, Role::Eit, 0x4E, 7, None);
        feed.section(0x12, Role::Eit, 0x4E, 8, None);
        feed.section(0x12, Role::Eit, 0x4F, 7, None);
        feed.at_ns += 25_000_000;
    }
    assert_eq!(feed.counters.si_repetition_errors, 0);
    feed.section(0x12, Role::Eit, 0x4E, 7, None);
    feed.at_ns += 24_999_999;
    feed.section(0x12, Role::Eit, 0x4E, 7, None);
    assert_eq!(feed.counters.si_repetition_errors, 1);
}
