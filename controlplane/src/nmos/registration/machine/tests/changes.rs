//! What changes while registered, and the end.

use super::super::super::RefusedResource;
use super::*;

#[test]
fn a_change_is_posted_again_and_nothing_else_is() {
    let mut bench = Bench::registered();
    bench.set_flows(&["a"]);
    bench.run(0);
    assert!(bench.take_calls().is_empty());
    bench.set_flows(&["a1"]);
    bench.run(0);
    let expected = ["POST source", "POST flow", "POST sender", "POST receiver"];
    let calls = bench.take_calls();
    let calls = lines(&calls);
    assert!(
        calls.iter().all(|call| expected.contains(call)),
        "{calls:?}"
    );
    assert!(calls.contains(&"POST source"), "{calls:?}");
}

#[test]
fn what_is_gone_is_deleted_children_first() {
    let mut bench = Bench::registered();
    bench.set_flows(&["a0"]);
    bench.run(0);
    let calls = bench.take_calls();
    let calls = lines(&calls);
    assert!(
        calls[0].starts_with("DELETE resource/senders/"),
        "{calls:?}"
    );
    assert!(calls.contains(&"POST device"), "{calls:?}");

    bench.set_flows(&["a", "b"]);
    bench.run(0);
    let calls = bench.take_calls();
    let calls = lines(&calls);
    assert!(
        calls.iter().all(|call| call.starts_with("POST")),
        "{calls:?}"
    );

    bench.set_flows(&[]);
    bench.run(0);
    let calls = bench.take_calls();
    let deleted: Vec<_> = lines(&calls)
        .iter()
        .filter_map(|call| call.strip_prefix("DELETE resource/")?.split('/').next())
        .collect();
    let expected = [
        "receivers",
        "receivers",
        "senders",
        "senders",
        "flows",
        "flows",
        "sources",
        "sources",
    ];
    assert_eq!(deleted, expected);
    assert_eq!(lines(&calls).last(), Some(&"POST device"));
}

#[test]
fn changes_during_a_call_are_not_lost() {
    let mut bench = Bench::registered();
    bench.set_flows(&["a", "b"]);
    let Output::Send(first) = bench.machine.poll_output() else {
        panic!("nothing is sent");
    };
    // While this is under way, b goes again.
    bench.set_flows(&["a"]);
    assert!(matches!(bench.machine.poll_output(), Output::Wait(None)));
    bench.machine.handle_answer(status(201), bench.now);
    bench.run(0);
    let calls = bench.take_calls();
    assert_eq!(first.body.unwrap().kind(), ResourceType::Device);
    assert_eq!(lines(&calls), ["POST device"]);

    bench.set_flows(&["a", "b"]);
    let mut posted = Vec::new();
    while posted.last() != Some(&ResourceType::Source) {
        let resource = match bench.machine.poll_output() {
            Output::Send(call) => call.body.unwrap(),
            Output::Tell(_) => continue,
            other => panic!("{other:?}"),
        };
        posted.push(resource.kind());
        if resource.kind() == ResourceType::Source {
            bench.set_flows(&["a"]);
        }
        bench.machine.handle_answer(status(201), bench.now);
    }
    bench.run(0);
    let calls = bench.take_calls();
    assert_eq!(posted, [ResourceType::Device, ResourceType::Source]);
    assert!(
        lines(&calls)[0].starts_with("DELETE resource/sources/"),
        "{calls:?}"
    );
    assert_eq!(lines(&calls)[1..], ["POST device"]);
}

/// As [`good`], but for this line, to which it answers a code.
fn refusing(refused: &'static str, code: u16) -> impl FnMut(&str) -> Answer {
    let mut registry = good();
    move |line| match line == refused {
        true => Answer::Status {
            code,
            location: None,
            detail: "clock".to_owned(),
        },
        false => registry(line),
    }
}

#[test]
fn what_is_refused_is_named_and_offered_again_when_it_changes() {
    let mut bench = Bench::new(false);
    bench.serve(8_001, refusing("POST source", 400));
    bench.advertise(&[(8_001, "10")]);
    bench.run(30_000);
    let calls = bench.take_calls();
    let sources = |calls: &[String]| {
        lines(calls)
            .iter()
            .filter(|call| **call == "POST source")
            .count()
    };
    assert_eq!(sources(&calls), 1);
    let told: Vec<_> = bench
        .events
        .iter()
        .filter(|event| event.contains("refuses source"))
        .collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].ends_with("it answers 400, \"clock\""), "{told:?}");
    let id = bench.machine.model.of_kind(ResourceType::Source)[0].id();
    let expected = RefusedResource {
        kind: "source",
        id,
        code: 400,
    };
    assert_eq!(bench.machine.refused(), (vec![expected], 1));
    assert_eq!(bench.machine.reason().as_ref(), Some(told[0]));
    assert_eq!(bench.machine.state(), State::Registered);

    bench.set_flows(&["a1"]);
    bench.run(29_000);
    assert_eq!(sources(&bench.take_calls()), 1);
    assert_eq!(bench.machine.state(), State::Registered);

    // What is no more is not refused either.
    bench.set_flows(&[]);
    bench.run(0);
    assert_eq!(bench.machine.refused(), (vec![], 0));
    assert_eq!(bench.machine.reason(), None);
}

#[test]
fn what_is_refused_is_offered_again_after_a_minute_and_told_once() {
    let mut bench = Bench::new(false);
    bench.serve(8_001, refusing("POST flow", 403));
    bench.advertise(&[(8_001, "10")]);
    bench.run(590_000);
    let calls = bench.take_calls();
    let flows: Vec<_> = calls
        .iter()
        .filter(|call| call.ends_with("POST flow"))
        .collect();
    assert_eq!(flows.len(), 10, "{flows:?}");
    let told = bench
        .events
        .iter()
        .filter(|event| event.contains("refuses flow"));
    assert_eq!(told.count(), 1);
    bench.serve(8_001, |line| {
        status(if line == HEARTBEAT { 200 } else { 201 })
    });
    bench.run(65_000);
    let calls = bench.take_calls();
    let posts: Vec<_> = lines(&calls)
        .into_iter()
        .filter(|line| *line != HEARTBEAT)
        .collect();
    assert_eq!(posts, ["POST flow"]);
    assert_eq!(bench.machine.refused(), (vec![], 0));
}

#[test]
fn what_one_registry_refuses_is_offered_to_the_next() {
    let mut bench = Bench::new(false);
    bench.serve(8_001, refusing("POST flow", 400));
    bench.advertise(&[(8_001, "1"), (8_002, "2")]);
    bench.run(0);
    assert_eq!(bench.machine.refused().1, 1);
    bench.take_calls();
    bench.serve(8_001, |_| status(500));
    bench.serve(8_002, |line| {
        status(if line == HEARTBEAT { 200 } else { 201 })
    });
    bench.run(5_000);
    let calls = bench.take_calls();
    assert_eq!(lines(&calls), [HEARTBEAT, HEARTBEAT, "POST flow"]);
    assert_eq!(bench.machine.refused().1, 0);
}

#[test]
fn a_node_that_is_refused_is_offered_again_when_it_changes_and_after_a_minute() {
    let mut bench = Bench::new(false);
    bench.serve(8_001, |_| status(400));
    bench.advertise(&[(8_001, "10")]);
    bench.run(59_000);
    assert_eq!(at(&bench.take_calls()), [0]);
    assert_eq!(bench.machine.state(), State::Retrying);
    let reason = "registry r8001 (http://127.0.0.1:8001): it refuses this node: it answers 400";
    assert_eq!(bench.machine.reason().as_deref(), Some(reason));
    let node = Arc::clone(bench.machine.model.node());
    bench.builder.bump(&node);
    bench.set_flows(&["a"]);
    bench.run(181_000);
    let calls = bench.take_calls();
    assert_eq!(at(&calls), [59_000, 119_000, 179_000, 239_000]);
    assert!(lines(&calls).iter().all(|line| *line == "POST node"));
    let told = bench.events.iter().filter(|event| *event == reason);
    assert_eq!(told.count(), 1);
    assert_eq!(bench.events.len(), 3, "{:?}", bench.events);
    bench.serve(8_001, good());
    bench.run(60_000);
    assert_eq!(bench.machine.state(), State::Registered);
}

#[test]
fn at_the_end_everything_is_taken_back_children_first() {
    let mut bench = Bench::registered();
    bench.end();
    let calls = bench.take_calls();
    let kinds: Vec<_> = lines(&calls)
        .iter()
        .map(|call| {
            call.strip_prefix("DELETE resource/")
                .unwrap()
                .split('/')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "receivers",
            "senders",
            "flows",
            "sources",
            "devices",
            "nodes"
        ]
    );
    assert!(bench.has_ended);
    bench.run(100_000);
    assert!(bench.take_calls().is_empty());
}

#[test]
fn at_the_end_a_slow_registry_is_asked_to_delete_the_node_alone() {
    let mut bench = Bench::registered();
    bench.machine.handle_end(bench.now);
    let mut urls = Vec::new();
    loop {
        match bench.machine.poll_output() {
            Output::Send(call) => {
                urls.push(call.url);
                bench.now += Duration::from_millis(600);
                bench.machine.handle_answer(status(204), bench.now);
            }
            Output::Ended => break,
            Output::Wait(_) => panic!("it waits"),
            _ => {}
        }
    }
    assert_eq!(urls.len(), 3, "{urls:?}");
    assert!(urls[2].ends_with(&format!("resource/nodes/{NODE_ID}")));
}

#[test]
fn at_the_end_a_registry_that_fails_is_left() {
    let mut bench = Bench::registered();
    bench.registries.remove(&8_001);
    bench.end();
    assert!(bench.has_ended);
    assert_eq!(bench.take_calls().len(), 1);
}

#[test]
fn an_end_in_the_middle_of_the_registration_leaves_nothing_behind() {
    let mut bench = Bench::new(false);
    bench.advertise(&[(8_001, "10")]);
    let sent = loop {
        match bench.machine.poll_output() {
            Output::Send(call) => break call,
            Output::Wait(_) => panic!("nothing is sent"),
            _ => {}
        }
    };
    assert_eq!(sent.body.unwrap().kind(), ResourceType::Node);
    bench.machine.handle_end(bench.now);
    bench.machine.handle_answer(status(200), bench.now);
    bench.serve(8_001, good());
    bench.run(0);
    assert_eq!(lines(&bench.take_calls()), ["DELETE resource/nodes/NODE"]);
    assert!(bench.has_ended);

    let mut idle = Bench::new(true);
    idle.end();
    assert!(idle.has_ended && idle.calls.is_empty());
}
