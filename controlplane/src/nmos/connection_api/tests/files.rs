//! Transport files into receivers.

use super::*;

const TWO_LEGS: &str = "v=0\r\no=- 1 1 IN IP4 203.0.113.7\r\ns=A\r\nt=0 0\r\na=group:DUP a b\r\n\
    m=video 5100 RTP/AVP 96\r\nc=IN IP4 239.5.5.5/64\r\na=source-filter: incl IN IP4 239.5.5.5 203.0.113.7\r\n\
    a=rtpmap:96 MP2T/90000\r\na=mid:a\r\n\
    m=video 5102 RTP/AVP 96\r\nc=IN IP4 192.0.2.1\r\na=rtpmap:96 MP2T/90000\r\na=mid:b\r\n";

fn file(data: &str) -> Value {
    json!({"data": data, "type": "application/sdp"})
}

fn one_leg() -> String {
    let end = TWO_LEGS.find("m=video 5102").unwrap();
    TWO_LEGS[..end].replace("a=group:DUP a b\r\n", "")
}

fn two() -> FlowConfig {
    flow(
        json!({"redundancy": {"bind_addr": "239.1.1.2:5002"}}),
        json!({}),
    )
}

fn leg(endpoint: &Endpoint<ReceiverLeg>, leg: usize) -> Value {
    endpoint.staged_json()["transport_params"][leg].clone()
}

#[test]
fn each_leg_of_the_file_fills_one_of_the_receiver() {
    let receiver = staged(
        &endpoint::<ReceiverLeg>(&two()),
        json!({"transport_file": file(TWO_LEGS)}),
    );
    let first = leg(&receiver, 0);
    assert_eq!(first["multicast_ip"], "239.5.5.5");
    assert_eq!(first["source_ip"], "203.0.113.7");
    assert_eq!(first["interface_ip"], "auto");
    assert_eq!(first["destination_port"], 5100);
    let second = leg(&receiver, 1);
    assert_eq!(second["multicast_ip"], json!(null));
    assert_eq!(second["source_ip"], json!(null));
    assert_eq!(second["interface_ip"], "192.0.2.1");
    assert_eq!(second["destination_port"], 5102);
    assert_eq!(receiver.staged_json()["transport_file"], file(TWO_LEGS));

    let (receiver, _) = activated(&receiver, &two(), json!({}));
    assert_eq!(
        receiver.active_json(true, &[])["transport_file"],
        file(TWO_LEGS)
    );
    let cleared = staged(
        &receiver,
        json!({"transport_file": {"data": null, "type": null}}),
    );
    assert_eq!(
        cleared.staged_json()["transport_file"],
        json!({"data": null, "type": null})
    );
    assert_eq!(leg(&cleared, 0), leg(&receiver, 0));
}

#[test]
fn one_leg_switches_the_other_off_and_two_switch_it_on_again() {
    let receiver = staged(
        &endpoint::<ReceiverLeg>(&two()),
        json!({"transport_file": file(&one_leg())}),
    );
    assert_eq!(leg(&receiver, 0)["rtp_enabled"], true);
    assert_eq!(leg(&receiver, 1)["rtp_enabled"], false);
    assert_eq!(leg(&receiver, 1)["multicast_ip"], "239.1.1.2");
    let receiver = staged(&receiver, json!({"transport_file": file(TWO_LEGS)}));
    assert_eq!(leg(&receiver, 1)["rtp_enabled"], true);
}

#[test]
fn a_receiver_of_one_leg_takes_the_first() {
    let receiver = staged(
        &endpoint::<ReceiverLeg>(&plain()),
        json!({"transport_file": file(TWO_LEGS)}),
    );
    assert_eq!(leg(&receiver, 0)["multicast_ip"], "239.5.5.5");
}

#[test]
fn parameters_of_the_same_request_win() {
    let receiver = staged(
        &endpoint::<ReceiverLeg>(&two()),
        json!({
            "transport_file": file(TWO_LEGS),
            "transport_params": [{"destination_port": 5200, "interface_ip": "192.0.2.1"}, {"rtp_enabled": false}],
        }),
    );
    assert_eq!(leg(&receiver, 0)["destination_port"], 5200);
    assert_eq!(leg(&receiver, 0)["interface_ip"], "192.0.2.1");
    assert_eq!(leg(&receiver, 0)["multicast_ip"], "239.5.5.5");
    assert_eq!(leg(&receiver, 1)["rtp_enabled"], false);
}

#[test]
fn fec_of_the_file_is_switched_on() {
    let fec = "m=video 5102 RTP/AVP 97\r\nc=IN IP4 239.5.5.5/64\r\na=rtpmap:97 parityfec/90000\r\n";
    let with_fec = format!("{}{fec}", one_leg());
    let receiver = staged(
        &endpoint::<ReceiverLeg>(&plain()),
        json!({"transport_file": file(&with_fec)}),
    );
    assert_eq!(leg(&receiver, 0)["fec_enabled"], true);
}

#[test]
fn a_file_that_cannot_be_followed_is_refused() {
    let receiver = endpoint::<ReceiverLeg>(&plain());
    let unicast = one_leg()
        .replace("239.5.5.5/64", "192.0.2.99")
        .replace("a=source-filter: incl IN IP4 239.5.5.5 203.0.113.7\r\n", "");
    for (file, error) in [
        (json!(null), "transport_file: null is not an object"),
        (
            json!({"data": null}),
            "transport_file: data and type have to be there, both strings or both null",
        ),
        (
            json!({"data": "v=0", "type": null}),
            "transport_file: data and type have to be there, both strings or both null",
        ),
        (
            json!({"data": null, "type": null, "x": 1}),
            "transport_file.x: there is no such field",
        ),
        (
            json!({"data": "{}", "type": "application/json"}),
            "transport_file.type: \"application/json\" is not \"application/sdp\"",
        ),
        (file("hello"), "transport_file.data: it is not SDP: "),
        (
            file("v=0\r\ns=A\r\nt=0 0\r\n"),
            "transport_file.data: no media section carries MP2T/90000",
        ),
        (
            file(&unicast),
            "transport_params[0].interface_ip: \"192.0.2.99\" is not allowed: it has to be one of \"192.0.2.1\"",
        ),
    ] {
        let (status, found) = refused(&receiver, json!({"transport_file": file}));
        assert!(
            status == 400 && found.starts_with(error),
            "{status} {found}\n{error}"
        );
    }
}
