//! Registries that fail, and what the node does then.

use super::*;

#[test]
fn a_registry_that_forgot_the_node_gets_everything_again() {
    let mut bench = Bench::registered();
    bench.run(5_000);
    bench.take_calls();
    bench.serve(8_001, good());
    bench.run(5_000);
    let calls = bench.take_calls();
    assert_eq!(lines(&calls)[0], HEARTBEAT);
    assert_eq!(lines(&calls)[1..], ALL);
    assert_eq!(bench.events.len(), 1, "{:?}", bench.events);
    assert!(bench.events[0].contains("does not know this node"));

    // One that forgets every time is no news every time.
    bench.serve(8_001, |line| {
        status(if line == HEARTBEAT { 404 } else { 201 })
    });
    bench.events.clear();
    bench.run(60_000);
    assert_eq!(bench.take_calls().len(), 12 * 7);
    assert!(bench.events.is_empty(), "{:?}", bench.events);
}

#[test]
fn a_registry_that_creates_what_it_should_update_gets_everything_again() {
    let mut bench = Bench::registered();
    bench.serve(8_001, good());
    let node = Arc::clone(bench.machine.model.node());
    bench.builder.bump(&node);
    bench.set_flows(&["a"]);
    bench.run(0);
    assert_eq!(lines(&bench.take_calls()), ALL);
}

#[test]
fn when_one_fails_the_next_is_asked_at_once_with_a_heartbeat() {
    for failure in [500, 503, 301, 429] {
        let mut bench = Bench::registered();
        bench.serve(8_001, move |_| status(failure));
        bench.serve(8_002, |line| match line {
            HEARTBEAT => status(200),
            other => panic!("{other}"),
        });
        bench.advertise(&[(8_001, "1"), (8_002, "2")]);
        bench.run(10_000);
        let calls = bench.take_calls();
        let expected = [
            format!("5000 8001 {HEARTBEAT}"),
            format!("5000 8002 {HEARTBEAT}"),
            format!("10000 8002 {HEARTBEAT}"),
        ];
        assert_eq!(calls, expected);
        let expected = [
            "registry r8002 (http://127.0.0.1:8002) found, with priority 2".to_owned(),
            format!("registry r8001 (http://127.0.0.1:8001): it answers {failure}"),
            "the registration moved from r8001 (http://127.0.0.1:8001) to r8002 (http://127.0.0.1:8002)".to_owned(),
        ];
        assert_eq!(bench.events[1..], expected, "{:?}", bench.events);
    }
}

#[test]
fn one_that_never_answers_costs_its_timeout_once() {
    let mut bench = Bench::registered();
    // The first one is dead, the second one hangs too.
    bench.registries.remove(&8_001);
    bench.serve(8_003, good());
    bench.advertise(&[(8_001, "1"), (8_002, "2"), (8_003, "3")]);
    bench.run(16_000);
    let calls = bench.take_calls();
    assert_eq!(
        calls[..3],
        [
            format!("5000 8001 {HEARTBEAT}"),
            format!("8000 8002 {HEARTBEAT}"),
            format!("11000 8003 {HEARTBEAT}"),
        ]
    );
    assert_eq!(lines(&calls[3..9]), ALL);

    // When that one fails as well, the others are not tried before a new one.
    bench.registries.remove(&8_003);
    bench.serve(8_004, good());
    bench.advertise(&[(8_001, "1"), (8_002, "2"), (8_003, "3"), (8_004, "4")]);
    bench.take_calls();
    bench.run(9_000);
    let calls = bench.take_calls();
    let at_four = calls
        .iter()
        .position(|call| call.contains(" 8004 "))
        .unwrap();
    let others = ["8001", "8002"];
    let is_other = |call: &String| others.iter().any(|port| call.contains(port));
    assert!(!calls[..at_four].iter().any(is_other), "{calls:?}");
}

#[test]
fn after_twelve_seconds_the_next_registry_gets_a_registration() {
    let mut bench = Bench::registered();
    bench.registries.remove(&8_001);
    bench.advertise(&[(8_001, "1"), (8_002, "2"), (8_003, "3"), (8_004, "4")]);
    bench.serve(8_004, good());
    bench.run(20_000);
    let calls = bench.take_calls();
    // 5 s, and three times 3 s.
    assert_eq!(calls[3], "14000 8004 POST node");
    assert_eq!(lines(&calls[3..9]), ALL);
}

#[test]
fn changes_that_one_registry_did_not_hear_are_told_to_the_next() {
    let mut bench = Bench::registered();
    bench.serve(8_001, |_| status(500));
    bench.serve(8_002, |line| {
        status(if line == HEARTBEAT { 200 } else { 201 })
    });
    bench.advertise(&[(8_001, "1"), (8_002, "2")]);
    bench.set_flows(&["a0"]);
    bench.run(0);
    let calls = bench.take_calls();
    let deleted = &lines(&calls)[0];
    assert!(
        calls[0].starts_with("0 8001 DELETE resource/senders/"),
        "{calls:?}"
    );
    assert_eq!(calls[1], format!("0 8002 {HEARTBEAT}"));
    assert_eq!(&lines(&calls)[2], deleted);
    assert_eq!(bench.machine.state(), State::Registered);
}

#[test]
fn when_all_fail_the_pauses_grow() {
    let mut bench = Bench::new(false);
    bench.serve(8_001, |_| status(500));
    bench.advertise(&[(8_001, "1")]);
    bench.run(600_000);
    let calls = bench.take_calls();
    let at = at(&calls);
    let pauses: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(
        pauses[..7],
        [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]
    );
    assert!(pauses[7..].iter().all(|pause| *pause == 60_000));
    assert!(calls.iter().all(|call| call.ends_with("POST node")));
    let name = "registry r8001 (http://127.0.0.1:8001)";
    let expected = [
        format!("{name} found, with priority 1"),
        format!("{name}: it answers 500"),
        format!("no registry can be used: {name}: it answers 500"),
    ];
    assert_eq!(bench.events, expected);
    assert_eq!(bench.machine.state(), State::Retrying);
    let seen = &bench.machine.seen()[0];
    assert_eq!((seen.priority, seen.taken), (Some(1), true));
    assert_eq!(seen.why.as_deref(), Some("it answers 500"));

    // Another reason is news, once.
    bench.serve(8_001, |_| status(503));
    bench.run(200_000);
    assert_eq!(bench.events[3..], [format!("{name}: it answers 503")]);

    // It comes back.
    bench.serve(8_001, good());
    bench.run(61_000);
    assert_eq!(bench.machine.state(), State::Registered);
    assert_eq!(bench.events.len(), 5);
    assert_eq!(bench.machine.seen()[0].why, None);
}

#[test]
fn the_pauses_of_different_nodes_differ() {
    let mut registries = Registries::default();
    let registry = advert("r", 1, "0").judge("http").unwrap();
    registries.set(vec![registry.clone()]);
    let now = Instant::now();
    registries.fail(&registry, now, 255);
    let pause = registries.next_retry().unwrap() - now;
    assert!(pause > RETRY_MIN && pause <= RETRY_MIN * 5 / 4, "{pause:?}");
    for _ in 0..100 {
        registries.fail(&registry, now, 255);
    }
    let pause = registries.next_retry().unwrap() - now;
    assert!(pause > RETRY_MAX && pause <= RETRY_MAX * 5 / 4, "{pause:?}");
}

#[test]
fn a_lost_registration_is_told_once() {
    let mut bench = Bench::registered();
    bench.serve(8_001, |_| Answer::Failed("connection refused".to_owned()));
    bench.run(120_000);
    let failed = "registry r8001 (http://127.0.0.1:8001): connection refused";
    let lost = format!("the registration with r8001 (http://127.0.0.1:8001) is lost: {failed}");
    assert_eq!(bench.events, [failed, lost.as_str()]);
    let calls = bench.take_calls();
    // As long as the registration may still stand, the registry is asked for it.
    assert_eq!(lines(&calls[..3]), [HEARTBEAT; 3]);
    assert_eq!(
        lines(&calls)[4..]
            .iter()
            .filter(|call| **call != "POST node")
            .count(),
        0
    );
}

#[test]
fn a_node_under_an_older_version_is_unregistered_there() {
    let conflict = |location: Option<&str>| Answer::Status {
        code: 409,
        location: location.map(str::to_owned),
        detail: String::new(),
    };
    for (location, version) in [
        (None, "v1.2"),
        (Some("/x-nmos/registration/v1.0/resource/nodes/x"), "v1.0"),
        (Some("http://elsewhere/x-nmos/registration/../../x"), "v1.2"),
    ] {
        let mut bench = Bench::new(false);
        let mut is_displaced = false;
        let conflict = conflict(location);
        let old = format!("DELETE {version}/resource/nodes/NODE");
        let expected = old.clone();
        bench.serve(8_001, move |line| match line {
            line if line == old => {
                is_displaced = true;
                status(204)
            }
            _ if is_displaced => status(201),
            _ => conflict.clone(),
        });
        bench.advertise(&[(8_001, "1")]);
        bench.run(0);
        let calls = bench.take_calls();
        assert_eq!(lines(&calls[..2]), ["POST node", expected.as_str()]);
        assert_eq!(lines(&calls[2..]), ALL);
    }

    // One that insists is asked again after pauses that grow, and works once it is mended.
    let mut bench = Bench::new(false);
    bench.serve(8_001, move |_| conflict(None));
    bench.advertise(&[(8_001, "1")]);
    bench.run(60_000);
    let calls = bench.take_calls();
    let once = ["POST node", "DELETE v1.2/resource/nodes/NODE", "POST node"];
    assert_eq!(lines(&calls), once.repeat(6));
    assert_eq!(
        at(&calls),
        [0, 1_000, 3_000, 7_000, 15_000, 31_000]
            .map(|ms| [ms; 3])
            .concat()
    );
    assert_eq!(bench.machine.state(), State::Retrying);
    bench.serve(8_001, good());
    bench.run(60_000);
    assert_eq!(bench.machine.state(), State::Registered);
}

#[test]
fn a_registry_that_does_not_let_the_node_in_is_asked_again() {
    for code in [401, 403, 405] {
        let mut bench = Bench::new(false);
        bench.serve(8_001, move |_| status(code));
        bench.advertise(&[(8_001, "1")]);
        bench.run(31_000);
        let calls = bench.take_calls();
        assert_eq!(at(&calls), [0, 1_000, 3_000, 7_000, 15_000, 31_000]);
        let reason = format!(
            "registry r8001 (http://127.0.0.1:8001): it refuses this node: it answers {code}"
        );
        assert_eq!(bench.machine.reason().as_ref(), Some(&reason));
        assert_eq!(
            bench
                .events
                .iter()
                .filter(|event| **event == reason)
                .count(),
            1
        );
        bench.serve(8_001, good());
        bench.run(60_000);
        assert_eq!(bench.machine.state(), State::Registered, "{code}");
    }

    // With another one there, that one has the node at once.
    let mut bench = Bench::new(false);
    bench.serve(8_001, |_| status(403));
    bench.serve(8_002, good());
    bench.advertise(&[(8_001, "1"), (8_002, "2")]);
    bench.run(0);
    assert_eq!(bench.machine.state(), State::Registered);
}

/// Whatever registries answer, and in whichever order things happen: the machine neither panics nor stalls, has one
/// call under way at most, and comes to rest between two moments.
#[test]
fn nothing_that_registries_do_gets_it_out_of_step() {
    use proptest::prelude::*;

    let codes = prop::collection::vec(
        prop::sample::select(vec![
            0_u16, 100, 200, 201, 204, 302, 400, 404, 409, 500, 503,
        ]),
        1..40,
    );
    let steps = prop::collection::vec(0_u8..7, 1..40);
    let config = ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(codes in codes, steps in steps)| {
        let mut bench = Bench::new(true);
        for port in 8_001..8_004 {
            let codes = codes.clone();
            let mut turn = usize::from(port);
            bench.serve(port, move |_| {
                turn += 1;
                match codes[turn % codes.len()] {
                    0 => Answer::Failed("broken".to_owned()),
                    code => status(code),
                }
            });
        }
        for step in steps {
            match step {
                0 => bench.advertise(&[(8_001, "1"), (8_002, "1")]),
                1 => bench.advertise(&[(8_003, "0"), (8_001, "9")]),
                2 => bench.advertise(&[]),
                3 => bench.set_flows(&["a1", "b"]),
                4 => bench.set_flows(&["a0"]),
                5 => bench.run(700),
                _ => bench.run(13_000),
            }
            bench.run(0);
            prop_assert!(bench.calls.len() < 20_000);
            // Idle, it is announced; with a registry, it is not.
            if bench.machine.state() == State::Registered {
                prop_assert_eq!(bench.announced, None);
            }
        }
        bench.end();
        prop_assert!(bench.has_ended);
    });
}
