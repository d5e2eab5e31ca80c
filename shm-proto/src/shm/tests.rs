use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::control::BootId;
use crate::counters::{CoreRecord, FlowRecord, HistoryRecord, LegRecord, OutputRecord, SrtRecord};
use crate::detail::{PidDetail, StreamDetail};
use crate::event::{Category, Event, Severity};

const BOOT: BootId = BootId(0x1234_5678_9abc_def0);

fn made(cores: usize) -> (tempfile::TempDir, ControlWriter, Vec<CoreWriter>, ShmReader) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shm");
    let (control, writers) = create(&path, cores, BOOT, 77).unwrap();
    let reader = ShmReader::open(&path).unwrap();
    (folder, control, writers, reader)
}

fn event(message: &str) -> Event {
    Event {
        timestamp_us: 1,
        severity: Severity::Info,
        category: Category::Flow,
        message: message.to_owned(),
        flow_id: Some("news".to_owned()),
        details: None,
    }
}

#[test]
fn a_reader_finds_what_the_cores_publish() {
    let (_folder, mut control, mut cores, reader) = made(2);
    assert_eq!((reader.boot_id(), reader.started_unix_us()), (BOOT, 77));
    control.heartbeat(5);
    assert_eq!(reader.heartbeat_ns(), 5);
    assert!(reader.flows().is_empty());

    let id = "ü".repeat(64);
    let flow = cores[1].add_flow(&id).unwrap();
    let output = cores[1].add_output(&flow, "out-1").unwrap();
    let record = FlowRecord {
        input_packets_received: 9,
        state: 2,
        ..FlowRecord::default()
    };
    let sent = OutputRecord {
        packets_sent: 8,
        ..OutputRecord::default()
    };
    cores[1].publish_flow(&flow, &record);
    cores[1].publish_output(&output, &sent);
    cores[1].publish_core(&CoreRecord {
        flows: 1,
        ..CoreRecord::default()
    });
    let leg = LegRecord {
        configured: 1,
        packets_received: 6,
        ..LegRecord::default()
    };
    let srt = SrtRecord {
        configured: 1,
        rtt: 5,
        ..SrtRecord::default()
    };
    cores[1].publish_legs(&flow, &[LegRecord::default(), leg]);
    cores[1].publish_input_srt(&flow, &[srt, SrtRecord::default()]);
    cores[1].publish_output_srt(&output, &[srt, srt]);
    let outputs = vec![OutputSnapshot {
        output_id: "out-1".to_owned(),
        record: sent,
        srt: [Some(srt), Some(srt)],
    }];
    assert_eq!(
        reader.flows(),
        [FlowSnapshot {
            flow_id: id,
            core: 1,
            slot: 0,
            generation: 1,
            record,
            legs: [None, Some(leg)],
            srt: [Some(srt), None],
            outputs
        }]
    );
    assert_eq!(reader.cores()[1].record.flows, 1);

    cores[1].remove_output(output);
    assert!(reader.flows()[0].outputs.is_empty());
    cores[1].remove_flow(flow);
    assert!(reader.flows().is_empty());

    // The slot is used again, and nothing of its former owner shows.
    let _flow = cores[1].add_flow("b").unwrap();
    assert_eq!(reader.flows()[0].flow_id, "b");
    assert_eq!(reader.flows()[0].record, FlowRecord::default());
    assert_eq!(reader.flows()[0].legs, [None, None]);
    assert_eq!(reader.flows()[0].srt, [None, None]);
}

#[test]
fn details_are_read_back_and_belong_to_their_flow() {
    let (_folder, _control, mut cores, reader) = made(1);
    let flow = cores[0].add_flow("a").unwrap();
    let snapshot = reader.flows().remove(0);
    assert_eq!(reader.detail(&snapshot), None);
    let mut json = Vec::new();
    for count in [300, 3, 0] {
        let pid = PidDetail {
            role: "stream".to_owned(),
            ..PidDetail::default()
        };
        let mut detail = StreamDetail {
            pids: vec![pid; count],
            total_bitrate_bps: 7,
            ..StreamDetail::default()
        };
        cores[0].publish_detail(&flow, &mut detail, &mut json);
        assert_eq!(reader.detail(&snapshot), Some(detail));
    }
    cores[0].remove_flow(flow);
    let _other = cores[0].add_flow("b").unwrap();
    let other = reader.flows().remove(0);
    assert_eq!(other.slot, snapshot.slot);
    assert_eq!(reader.detail(&other), None);
}

#[test]
fn slots_run_out_with_an_error() {
    let (_folder, _control, mut cores, _reader) = made(1);
    for _ in 0..FLOW_SLOTS {
        cores[0].add_flow("x").unwrap();
    }
    let error = cores[0].add_flow("one too many").unwrap_err();
    assert_eq!(
        error.to_string(),
        "all 1280 flow slots of this core are taken"
    );
}

#[test]
fn history_is_found_by_flow_and_time() {
    let (_folder, _control, mut cores, reader) = made(1);
    let a = cores[0].add_flow("a").unwrap();
    let b = cores[0].add_flow("b").unwrap();
    for second in 1..=5 {
        for flow in [&a, &b] {
            let record = HistoryRecord {
                unix_us: second,
                ..HistoryRecord::default()
            };
            cores[0].push_history(flow, &record);
        }
    }
    let seconds: Vec<u64> = reader
        .history("a", 2)
        .iter()
        .map(|record| record.unix_us)
        .collect();
    assert_eq!(seconds, [3, 4, 5]);
    assert!(reader.history("c", 0).is_empty());
}

#[test]
fn history_forgets_the_oldest_first() {
    let (_folder, _control, mut cores, reader) = made(64);
    let flow = cores[0].add_flow("a").unwrap();
    let entries = Layout::new(64).unwrap().history_entries() as u64;
    for second in 1..=entries + 10 {
        cores[0].push_history(
            &flow,
            &HistoryRecord {
                unix_us: second,
                ..HistoryRecord::default()
            },
        );
    }
    let seconds = reader.history("a", 0);
    assert_eq!(seconds.len() as u64, entries);
    assert_eq!(seconds[0].unix_us, 11);
}

#[test]
fn events_of_all_parts_are_read_once_and_missed_ones_counted() {
    let (_folder, mut control, mut cores, reader) = made(1);
    let mut cursor = EventCursor::default();
    control.push_event(&event("first"));
    cores[0].push_event(&event("second"));
    let read = reader.events(&mut cursor);
    assert_eq!((read.events.len(), read.missed), (2, 0));
    assert_eq!(reader.events(&mut cursor), EventsRead::default());
    for number in 0..EVENT_ENTRIES + 3 {
        cores[0].push_event(&event(&number.to_string()));
    }
    let read = reader.events(&mut cursor);
    assert_eq!((read.events.len(), read.missed), (EVENT_ENTRIES, 3));
    assert_eq!(read.events[0].message, "3");
}

#[test]
fn an_event_too_long_for_its_entry_is_shortened() {
    let (_folder, mut control, _cores, reader) = made(1);
    let mut long = event(&"\u{1}ö".repeat(2_000));
    long.details = Some(serde_json::json!({ "list": vec![1; 2_000] }));
    long.flow_id = Some("\u{1}".repeat(256));
    control.push_event(&long);
    let read = reader.events(&mut EventCursor::default());
    assert_eq!((read.events.len(), read.missed), (1, 0));
    assert!(read.events[0].details.is_none());
}

#[test]
fn a_foreign_file_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shm");
    fs::write(&path, b"short").unwrap();
    assert!(
        ShmReader::open(&path)
            .unwrap_err()
            .to_string()
            .contains("size in bytes is 0x5")
    );
    fs::write(&path, vec![1; 4096]).unwrap();
    assert!(
        ShmReader::open(&path)
            .unwrap_err()
            .to_string()
            .contains("magic")
    );
    fs::remove_file(&path).unwrap();
    assert!(matches!(ShmReader::open(&path), Err(ShmError::Io { .. })));
}

#[test]
fn a_new_run_replaces_the_file_and_leaves_old_readers_their_picture() {
    let (folder, _control, mut cores, old) = made(1);
    let _flow = cores[0].add_flow("a").unwrap();
    let path = folder.path().join("shm");
    let (_control, _cores) = create(&path, 1, BootId(2), 0).unwrap();
    assert_eq!(old.flows().len(), 1);
    assert_eq!(old.boot_id(), BOOT);
    assert_eq!(ShmReader::open(&path).unwrap().boot_id(), BootId(2));
}

/// Two real threads for a while: loom proves the ordering, this shows that the mapping and the slots keep it.
#[test]
fn concurrent_reads_are_never_torn() {
    let (_folder, _control, mut cores, reader) = made(1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let flow = cores[0].add_flow("a").unwrap();
            for value in 0..200_000 {
                let record = FlowRecord {
                    state: value,
                    outputs_packets_dropped: value,
                    ..FlowRecord::default()
                };
                cores[0].publish_flow(&flow, &record);
            }
            done.store(true, Ordering::Release);
        });
        let mut reads = 0;
        while !done.load(Ordering::Acquire) || reads == 0 {
            for flow in reader.flows() {
                assert_eq!(flow.record.state, flow.record.outputs_packets_dropped);
                reads += 1;
            }
        }
    });
}
