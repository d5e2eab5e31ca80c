//! From the first advertisement to the first heartbeats.

use super::*;

#[test]
fn all_is_registered_in_order_and_heartbeats_follow_every_five_seconds() {
    let mut bench = Bench::new(false);
    bench.serve(8_001, good());
    bench.run(700);
    assert_eq!(bench.machine.state(), State::Searching);
    bench.advertise(&[(8_001, "10")]);
    bench.run(16_000);
    let calls = bench.take_calls();
    assert_eq!(lines(&calls[..6]), ALL);
    assert_eq!(calls[0], "700 8001 POST node");
    let heartbeats = ["5700", "10700", "15700"].map(|at| format!("{at} 8001 {HEARTBEAT}"));
    assert_eq!(calls[6..], heartbeats);
    assert_eq!(
        bench.events,
        [
            "registry r8001 (http://127.0.0.1:8001) found, with priority 10",
            "registered with r8001 (http://127.0.0.1:8001)",
        ]
    );
    assert_eq!(bench.machine.state(), State::Registered);
    assert_eq!(bench.machine.reason(), None);
    let last = bench.machine.last_heartbeat().unwrap();
    assert_eq!(last - bench.start, Duration::from_millis(15_700));
}

#[test]
fn a_node_from_an_earlier_run_is_deleted_and_posted_again() {
    let mut bench = Bench::new(false);
    let mut registry = good();
    registry("POST node");
    bench.serve(8_001, registry);
    bench.advertise(&[(8_001, "10")]);
    bench.run(0);
    let calls = bench.take_calls();
    let expected = ["POST node", "DELETE resource/nodes/NODE"];
    assert_eq!(lines(&calls[..2]), expected);
    assert_eq!(lines(&calls[2..]), ALL);
}

#[test]
fn a_registry_that_answers_200_for_ever_is_asked_twice() {
    let mut bench = Bench::new(false);
    bench.serve(8_001, |_| status(200));
    bench.advertise(&[(8_001, "10")]);
    bench.run(0);
    let calls = bench.take_calls();
    assert_eq!(lines(&calls[2..]), ALL);
}

#[test]
fn the_first_heartbeat_is_in_time_though_the_registry_is_slow() {
    let mut bench = Bench::new(false);
    bench.advertise(&[(8_001, "10")]);
    // Each answer takes 900 ms: the clock moves between call and answer.
    let mut heard = Vec::new();
    let mut answered = 0;
    while answered < 12 {
        match bench.machine.poll_output() {
            Output::Send(call) => {
                let is_heartbeat = call.url.contains("health");
                heard.push((bench.now - bench.start, is_heartbeat));
                bench.now += Duration::from_millis(900);
                let code = if is_heartbeat { 200 } else { 201 };
                bench.machine.handle_answer(status(code), bench.now);
                answered += 1;
            }
            Output::Wait(Some(at)) => {
                bench.now = bench.now.max(at);
                bench.machine.handle_timeout(bench.now);
            }
            Output::Wait(None) => panic!("it waits for nothing"),
            _ => {}
        }
    }
    let mut last = Duration::ZERO;
    for (at, _) in heard.iter().filter(|(_, is_heartbeat)| *is_heartbeat) {
        let gap = (*at - last).as_millis();
        assert!((4_500..=5_500).contains(&gap), "{gap} ms: {heard:?}");
        last = *at;
    }
    assert!(last > Duration::ZERO);
}

#[test]
fn of_several_registries_the_one_with_the_best_priority_is_used() {
    let mut bench = Bench::new(false);
    for port in [8_001, 8_002, 8_003] {
        bench.serve(port, good());
    }
    bench.advertise(&[(8_001, "100"), (8_002, "3"), (8_003, "20")]);
    bench.run(20_000);
    assert!(
        bench
            .take_calls()
            .iter()
            .all(|call| call.contains(" 8002 "))
    );

    // One that is better, or that the one in use is no longer advertised, is no reason to move.
    bench.serve(8_000, good());
    bench.advertise(&[(8_000, "0")]);
    bench.run(20_000);
    let calls = bench.take_calls();
    assert_eq!(calls.len(), 4);
    assert!(
        calls.iter().all(|call| call.contains(" 8002 ")),
        "{calls:?}"
    );
}

#[test]
fn a_registry_that_is_not_for_us_is_named_with_the_reason_once() {
    let mut bench = Bench::new(false);
    let mut old = advert("old", 8_001, "0");
    old.api_ver = Some("v1.2".to_owned());
    for _ in 0..3 {
        bench
            .machine
            .handle_adverts(std::slice::from_ref(&old), bench.now);
        bench.run(1_000);
    }
    assert!(bench.take_calls().is_empty());
    let reason = "registry old is not taken: api_ver is \"v1.2\", without v1.3";
    let expected = [
        reason.to_owned(),
        format!("no registry can be used: {reason}"),
    ];
    assert_eq!(bench.events, expected);
    // That others use another version is no fault.
    assert_eq!(bench.bad_events, expected[1..]);
    assert_eq!(bench.machine.reason().as_deref(), Some(reason));
    let seen = bench.machine.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].name.as_str(), seen[0].priority), ("old", Some(0)));
    let why = "api_ver is \"v1.2\", without v1.3";
    assert_eq!((seen[0].taken, seen[0].why.as_deref()), (false, Some(why)));
}

#[test]
fn one_that_cannot_be_looked_up_does_not_stand_in_the_way_of_others() {
    let broken = |port| Advert {
        name: format!("r{port}"),
        trouble: Some("SERVFAIL".to_owned()),
        ..Advert::default()
    };
    let mut bench = Bench::new(false);
    bench.serve(8_002, good());
    let adverts = [broken(8_001), advert("r8002", 8_002, "5")];
    bench.machine.handle_adverts(&adverts, bench.now);
    bench.run(3_000);
    assert_eq!(bench.machine.state(), State::Registered);
    let not_taken = "registry r8001 is not taken: it cannot be looked up: SERVFAIL";
    assert_eq!(bench.bad_events, [not_taken]);
    let seen = bench.machine.seen();
    let seen: Vec<_> = seen
        .iter()
        .map(|seen| (seen.taken, seen.priority))
        .collect();
    assert_eq!(seen, [(true, Some(5)), (false, None)]);

    // One that was known before remains known.
    bench.events.clear();
    let adverts = [broken(8_001), broken(8_002)];
    bench.machine.handle_adverts(&adverts, bench.now);
    bench.run(3_000);
    assert!(bench.events.is_empty(), "{:?}", bench.events);
    assert!(bench.machine.seen()[0].taken);
}

#[test]
fn without_a_registry_the_node_is_announced_to_its_peers() {
    let mut bench = Bench::new(true);
    bench.run(1_900);
    assert_eq!((bench.announced, bench.events.len()), (None, 0));
    bench.run(200);
    assert_eq!(bench.announced, Some([0; 6]));
    let expected = [
        "no registry found by mDNS",
        "announcing this node to its peers",
    ];
    assert_eq!(bench.events, expected);
    assert!(bench.bad_events.is_empty());
    bench.set_flows(&["a1"]);
    bench.run(60_000);
    let counters = bench.announced.unwrap();
    assert_eq!(counters[ResourceType::Node.index()], 0);
    assert_eq!(counters[ResourceType::Receiver.index()], 1);
    assert_eq!(bench.events.len(), 2, "{:?}", bench.events);

    // The bench sees to it that the announcement ends before the first POST.
    bench.serve(8_001, good());
    bench.advertise(&[(8_001, "10")]);
    bench.run(10_000);
    assert_eq!(bench.announced, None);
    assert_eq!(bench.machine.state(), State::Registered);

    // The registry dies: peers hear of the node again.
    bench.registries.remove(&8_001);
    bench.advertise(&[]);
    bench.run(10_000);
    assert!(bench.announced.is_some());
    bench.end();
    assert_eq!(bench.announced, None);
    assert!(bench.has_ended);
}

#[test]
fn only_mdns_has_peers() {
    let mut bench = Bench::new(false);
    bench.run(60_000);
    assert_eq!(bench.announced, None);
}

#[test]
fn trouble_of_discovery_is_told_once_and_registries_remain() {
    let mut bench = Bench::registered();
    for _ in 0..5 {
        bench
            .machine
            .handle_trouble("no answers".to_owned(), bench.now);
        bench.run(2_000);
    }
    let told = bench.bad_events.iter();
    let told = told.filter(|line| line.contains("no answers"));
    assert_eq!(told.count(), 1);
    assert_eq!(bench.machine.state(), State::Registered);
    bench.advertise(&[(8_001, "10")]);
    bench.run(0);
    assert!(bench.events.last().unwrap().contains("looked for again"));
}
