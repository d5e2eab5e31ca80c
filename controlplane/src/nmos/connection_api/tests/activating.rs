//! When what is staged becomes active.

use super::*;

fn scheduled<L: Told>(endpoint: &Endpoint<L>, body: Value) -> Endpoint<L> {
    match endpoint.patch(&body, &reach(), now()).unwrap() {
        Patched::Scheduled(next) => next,
        other => panic!("{other:?}"),
    }
}

const NONE: fn() -> Value =
    || json!({"mode": null, "requested_time": null, "activation_time": null});

#[test]
fn an_immediate_activation_is_answered_with_its_time_and_then_forgotten_by_the_staged_side() {
    let flow = plain();
    let sender = endpoint::<SenderLeg>(&flow);
    assert_eq!(sender.active_json(true, &[])["activation"], NONE());
    let (sender, _) = activated(&sender, &flow, json!({"receiver_id": ID}));
    let happened = json!({
        "mode": "activate_immediate", "requested_time": null, "activation_time": "1000:5",
    });
    assert_eq!(sender.activated_json()["activation"], happened);
    assert_eq!(sender.staged_json()["activation"], NONE());
    let active = sender.active_json(true, &[]);
    assert_eq!(active["activation"], happened);
    assert_eq!(active["receiver_id"], json!(ID));
}

#[test]
fn a_scheduled_activation_locks_what_is_staged_until_it_happens_or_is_cancelled() {
    let sender = endpoint::<SenderLeg>(&plain());
    let body = json!({
        "master_enable": false,
        "activation": {"mode": "activate_scheduled_absolute", "requested_time": "1002:7"},
    });
    let waiting = scheduled(&sender, body.clone());
    let activation = json!({
        "mode": "activate_scheduled_absolute", "requested_time": "1002:7", "activation_time": "1002:7",
    });
    assert_eq!(waiting.staged_json()["activation"], activation);
    assert_eq!(waiting.staged_json()["master_enable"], false);
    assert_eq!(waiting.scheduled().unwrap().due, tai("1002:7"));
    for body in [
        body,
        json!({}),
        json!({"master_enable": true}),
        json!({"activation": {"mode": "activate_immediate"}}),
        json!({"activation": {"mode": "activate_scheduled_relative", "requested_time": "0:1"}}),
    ] {
        let error = "an activation is scheduled for 1002:7 (TAI); cancel it, or wait for it";
        assert_eq!(
            refused(&waiting, body.clone()),
            (423, error.to_owned()),
            "{body}"
        );
    }
    let cancelled = staged(
        &waiting,
        json!({"activation": {"mode": null, "requested_time": null}}),
    );
    assert_eq!(cancelled.scheduled(), None);
    assert_eq!(cancelled.staged_json()["activation"], NONE());
    assert_eq!(cancelled.staged_json()["master_enable"], false);
    // It does no harm where nothing waits.
    assert_eq!(
        staged(&sender, json!({"activation": {"mode": null}})),
        sender
    );

    let done = waiting.activated(Default::default(), tai("1002:9"));
    assert_eq!(done.staged_json()["activation"], NONE());
    assert_eq!(
        done.active_json(true, &[])["activation"],
        json!({
            "mode": "activate_scheduled_absolute", "requested_time": "1002:7", "activation_time": "1002:9",
        })
    );
}

#[test]
fn a_relative_activation_is_planned_from_now() {
    let receiver = endpoint::<ReceiverLeg>(&plain());
    let body = json!({
        "activation": {"mode": "activate_scheduled_relative", "requested_time": "0:999999999"},
    });
    let waiting = scheduled(&receiver, body);
    assert_eq!(
        waiting.staged_json()["activation"],
        json!({
            "mode": "activate_scheduled_relative", "requested_time": "0:999999999",
            "activation_time": "1001:4",
        })
    );
    assert_eq!(waiting.given_up().staged_json()["activation"], NONE());
}

#[test]
fn a_change_by_others_cancels_the_activation_that_waits() {
    let sender = endpoint::<SenderLeg>(&plain());
    let mut waiting = scheduled(
        &sender,
        json!({
            "transport_params": [{"destination_port": 6100}],
            "activation": {"mode": "activate_scheduled_absolute", "requested_time": "1002:7"},
        }),
    );
    // Other parts of the flow are nothing to it.
    let renamed = flow(json!({"bind_addr": "239.1.1.1:5050"}), json!({"name": "N"}));
    let before = waiting.clone();
    assert_eq!(waiting.follow(configured(&renamed)), None);
    assert_eq!(waiting, before);

    let moved = flow(json!({}), json!({"dest_addr": "239.3.3.3:6300"}));
    let cancelled = waiting.follow(configured(&moved));
    assert_eq!(cancelled.map(|one| one.due), Some(tai("1002:7")));
    assert_eq!(waiting, endpoint(&moved));
    assert_eq!(active(&waiting, 0)["destination_port"], 6300);
}

#[test]
fn an_activation_whose_legs_have_just_gone_fails() {
    let two = flow(
        json!({}),
        json!({"redundancy": {"dest_addr": "239.2.2.3:6002"}}),
    );
    let body = json!({
        "activation": {"mode": "activate_scheduled_absolute", "requested_time": "1002:7"},
    });
    let waiting = scheduled(&endpoint::<SenderLeg>(&two), body);
    let applied = &mut waiting.applied().clone();
    let refused = activated_flow(
        &plain(),
        &subject::<SenderLeg>(),
        waiting.staged(),
        ID,
        applied,
    );
    let error = refused.unwrap_err().to_string();
    assert!(
        error.contains("flow 'f'") && error.contains("output 'out'"),
        "{error}"
    );
}

#[test]
fn one_fec_serves_all_legs() {
    let two = flow(
        json!({}),
        json!({"redundancy": {"dest_addr": "239.2.2.3:6002"}}),
    );
    let sender = endpoint::<SenderLeg>(&two);
    let half = json!({
        "transport_params": [{"fec_enabled": true}, {}],
        "activation": {"mode": "activate_immediate"},
    });
    let error = "transport_params[1].fec_enabled: false on this leg and true on the first one; one FEC serves all legs";
    assert_eq!(refused(&sender, half.clone()), (400, error.to_owned()));
    // The other leg may come with another request, as long as nothing is activated.
    let mut first = half;
    first.as_object_mut().unwrap().remove("activation");
    let sender = staged(&sender, first);
    let (_, flow) = activated(
        &sender,
        &two,
        json!({"transport_params": [{}, {"fec_enabled": true}]}),
    );
    assert_eq!(
        output_of(&flow)["fec_encode"],
        json!({"columns": 10, "rows": 10})
    );
}
