use bilbycast_shm_proto::shm::create;
use proptest::prelude::*;

use super::*;

fn notice(message: &str) -> Notice {
    Notice::new(Severity::Info, Category::Config, message)
}

fn event(timestamp_us: u64, message: &str) -> Event {
    notice(message).at(timestamp_us)
}

fn messages(listing: &Listing) -> Vec<&str> {
    let events = listing.events.iter();
    events.map(|event| event.message.as_str()).collect()
}

fn ids(listing: &Listing) -> Vec<u64> {
    listing.events.iter().map(|event| event.id).collect()
}

#[test]
fn own_and_foreign_events_are_one_list_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let shm = folder.path().join("counters.shm");
    let (mut control, mut cores) = create(&shm, 2, BootId(1), 0).unwrap();
    let events = Events::new(shm);
    let before = unix_us();
    control.push_event(&event(before, "first"));
    cores[1].push_event(&event(before + 1, "second"));
    events.raise(notice("third").of_flow("a").with("error_code", "x"));
    cores[0].push_event(&event(unix_us(), "fourth"));

    let listing = events.list(0);
    assert_eq!(messages(&listing), ["fourth", "third", "second", "first"]);
    assert_eq!(ids(&listing)[2..], [before + 1, before]);
    assert_eq!(listing.dropped, 0);
    let third = &listing.events[1];
    assert_eq!(
        serde_json::to_value(&**third).unwrap(),
        serde_json::json!({
            "id": third.id, "timestamp": timestamp::rfc3339(third.id), "severity": "info",
            "category": "config", "message": "third", "flow_id": "a",
            "details": {"error_code": "x"},
        })
    );
    assert_eq!(
        messages(&events.list(before)),
        ["fourth", "third", "second"]
    );
    assert!(events.list(u64::MAX).events.is_empty());
}

#[test]
fn a_restart_finds_the_same_events_under_the_same_ids() {
    let folder = tempfile::tempdir().unwrap();
    let shm = folder.path().join("counters.shm");
    let (mut control, mut cores) = create(&shm, 1, BootId(1), 0).unwrap();
    let earlier = Events::new(shm.clone());
    earlier.follow_run(BootId(1));
    let now = unix_us();
    for round in 0..5 {
        let time = now + 10 * round;
        cores[0].push_event(&event(time, &format!("core {round}")));
        cores[0].push_event(&event(time, &format!("core {round}, same moment")));
        control.push_event(&event(time + 5, &format!("control {round}")));
        earlier.poll();
    }
    let known = earlier.list(0);
    assert_eq!(ids(&known)[12..], [now + 5, now + 1, now]);

    let later = Events::new(shm);
    later.follow_run(BootId(1));
    assert_eq!(later.list(0), known);
}

#[test]
fn a_new_run_is_followed_after_the_end_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let shm = folder.path().join("counters.shm");
    let (mut old, _cores) = create(&shm, 1, BootId(1), 0).unwrap();
    let events = Events::new(shm.clone());
    events.follow_run(BootId(1));
    let (mut new, _cores) = create(&shm, 1, BootId(2), 0).unwrap();
    old.push_event(&event(10, "last words"));
    new.push_event(&event(20, "first words"));
    // The same connection again, and then the new run.
    events.follow_run(BootId(1));
    assert_eq!(messages(&events.list(0)), ["last words"]);
    events.follow_run(BootId(2));
    events.follow_run(BootId(2));
    assert_eq!(messages(&events.list(0)), ["first words", "last words"]);
}

#[test]
fn the_list_is_bounded_and_counts_what_it_lost() {
    let folder = tempfile::tempdir().unwrap();
    let shm = folder.path().join("counters.shm");
    let (mut control, _cores) = create(&shm, 1, BootId(1), 0).unwrap();
    let events = Events::new(shm);
    for index in 0..EVENTS_MAX as u64 + 5 {
        control.push_event(&event(1 + index, "from the ring"));
    }
    assert_eq!(events.list(0).dropped, 5);
    for _ in 0..7 {
        events.raise(notice("own"));
    }
    let listing = events.list(0);
    assert_eq!(listing.events.len(), EVENTS_MAX);
    assert_eq!(listing.dropped, 12);
    let totals = events.totals();
    assert_eq!((totals.recorded, totals.missed), (1_024 + 7, 5));
}

#[test]
fn whoever_waits_is_told() {
    let events = Events::new(PathBuf::from("/nonexistent/counters.shm"));
    let mut newest = events.newest();
    assert!(!newest.has_changed().unwrap());
    events.poll();
    assert!(!newest.has_changed().unwrap());
    events.raise(notice("news"));
    assert!(newest.has_changed().unwrap());
    let id = *newest.borrow_and_update();
    assert_eq!(events.next_after(id - 1).unwrap().id, id);
    assert!(events.next_after(id).is_none());
}

#[test]
fn messages_are_cut_between_characters() {
    let mut store = Store::default();
    store.push(event(1, &"ü".repeat(4_000)), 1);
    let message = store.after(0).next().unwrap().message.clone();
    assert_eq!(message, "ü".repeat(1_024));
}

proptest! {
    #[test]
    fn ids_rise_whatever_the_clock_does(times in proptest::collection::vec((any::<u64>(), any::<u64>()), 1..50)) {
        let mut store = Store::default();
        for (timestamp_us, now_us) in &times {
            store.push(event(*timestamp_us, "x"), (*now_us).min(u64::MAX / 2));
        }
        let ids: Vec<_> = store.after(0).map(|event| event.id).collect();
        prop_assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    }

    #[test]
    fn a_future_timestamp_does_not_take_the_ids_along(ahead_us in 2_000_000..u64::MAX / 2) {
        let mut store = Store::default();
        store.push(event(1_000 + ahead_us, "future"), 1_000);
        store.push(event(2_000, "present"), 2_000);
        let ids: Vec<_> = store.after(0).map(|event| event.id).collect();
        prop_assert_eq!(ids, [1_000, 2_000]);
    }
}
