//! What changes while registered, and the end.

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

#[test]
fn what_is_refused_is_not_repeated_until_it_changes() {
    let mut bench = Bench::new(false);
    let mut registry = good();
    bench.serve(8_001, move |line| match line {
        "POST source" => Answer::Status {
            code: 400,
            location: None,
            detail: "clock".to_owned(),
        },
        other => registry(other),
    });
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
    bench.set_flows(&["a1"]);
    bench.run(30_000);
    assert_eq!(sources(&bench.take_calls()), 1);
    assert_eq!(bench.machine.state(), State::Registered);
}

#[test]
fn a_node_that_is_refused_is_offered_again_when_it_changes() {
    let mut bench = Bench::new(false);
    bench.serve(8_001, |_| status(400));
    bench.advertise(&[(8_001, "10")]);
    bench.run(600_000);
    assert_eq!(lines(&bench.take_calls()), ["POST node"]);
    assert_eq!(bench.machine.state(), State::Retrying);
    assert_eq!(
        bench.machine.reason().as_deref(),
        Some("registry r8001 (http://127.0.0.1:8001): it answers 400")
    );
    let node = Arc::clone(bench.machine.model.node());
    bench.builder.bump(&node);
    bench.set_flows(&["a"]);
    bench.run(600_000);
    assert_eq!(lines(&bench.take_calls()), ["POST node"]);
    assert_eq!(bench.events.len(), 3, "{:?}", bench.events);
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
