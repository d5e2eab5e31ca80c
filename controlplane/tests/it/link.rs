//! The link: loss, hang, versions, rubbish.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use bilbycast_shm_proto::control::{PROTOCOL_VERSION, Reply, ReplyBody, ServerMessage};
use bilbycast_shm_proto::event::{Category, Event, Severity};
use controlplane::link::{Link, LinkState};

use crate::fake::FakeDataPlane;
use crate::harness::{ControlPlane, Folder, flow};

fn connected(boot_id: u64) -> (ControlPlane, FakeDataPlane) {
    let folder = Folder::new();
    folder.write_config(&[flow("a", 5000)]);
    let data_plane = FakeDataPlane::start(folder.path(), boot_id);
    let edge = ControlPlane::start(folder);
    edge.wait_for_active(1);
    (edge, data_plane)
}

#[test]
fn a_hanging_data_plane_is_noticed_and_found_again() {
    let (edge, data_plane) = connected(1);
    data_plane.hang(true);
    let since = Instant::now();
    edge.wait_for_data_plane("lost");
    assert!(since.elapsed() < Duration::from_secs(5));
    data_plane.hang(false);
    edge.wait_for_active(1);
}

#[test]
fn events_are_taken_and_stray_replies_end_the_connection() {
    let (edge, data_plane) = connected(1);
    data_plane.tell(&ServerMessage::Event(Event {
        timestamp_us: 1,
        severity: Severity::Warning,
        category: Category::Flow,
        message: "something\nhappened".to_owned(),
        flow_id: Some("a".to_owned()),
        details: None,
    }));
    assert_eq!(edge.act("/api/v1/flows/a/restart").0, 200);
    data_plane.take_commands();
    data_plane.tell(&ServerMessage::Reply(Reply {
        id: u64::MAX,
        result: Ok(ReplyBody::Done),
    }));
    crate::harness::wait_until("a new connection", || {
        !data_plane.take_commands().is_empty()
    });
    edge.wait_for_active(1);
}

fn reason_of(folder: &Folder) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let link = Link::start(folder.path().join("dataplane.sock"));
        let mut state = link.watch();
        let lost = state.wait_for(
            |state| matches!(state, LinkState::Lost { reason, .. } if &**reason != "not connected yet"),
        );
        match &*lost.await.unwrap() {
            LinkState::Lost { reason, .. } => reason.to_string(),
            LinkState::Connected(_) => unreachable!("it was waited for the other"),
        }
    })
}

#[test]
fn reasons_name_the_culprit() {
    let folder = Folder::new();
    let reason = reason_of(&folder);
    assert!(reason.contains("dataplane.sock: No such file"), "{reason}");

    let data_plane =
        FakeDataPlane::with_welcome(folder.path(), 1, PROTOCOL_VERSION + 1, Vec::new());
    assert_eq!(
        reason_of(&folder),
        format!(
            "the data plane speaks protocol version {}, this control plane {PROTOCOL_VERSION}",
            PROTOCOL_VERSION + 1
        )
    );
    drop(data_plane);

    let listener = UnixListener::bind(folder.path().join("dataplane.sock")).unwrap();
    let rubbish = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[0xff; 100]).unwrap();
        stream
    });
    let reason = reason_of(&folder);
    assert!(reason.contains("exceeds the limit"), "{reason}");
    drop(rubbish.join().unwrap());
}
