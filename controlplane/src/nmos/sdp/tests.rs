use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::*;

fn sent(legs: &[(&str, &str)]) -> Sent<'static> {
    let legs = legs.iter().map(|(source, destination)| SentLeg {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        ttl: 64,
        port_id: "0a-1b-2c-3d-4e-5f".to_owned(),
    });
    Sent {
        session_id: 1_234_567,
        version: 3,
        label: "Output main",
        payload_type: 96,
        legs: legs.collect(),
    }
}

/// Legs as text, as short as can be.
fn read_all(text: &str) -> Result<Vec<String>, String> {
    let offer = read(text).map_err(|error| error.to_string())?;
    let legs = offer.legs.iter().map(|leg| {
        let mut shown = leg.destination.to_string();
        if let Some(source) = leg.source {
            shown = format!("{shown} from {source}");
        }
        for (is_so, word) in [
            (!leg.is_active, " inactive"),
            (leg.has_column_fec, " column FEC"),
            (leg.has_row_fec, " row FEC"),
        ] {
            if is_so {
                shown.push_str(word);
            }
        }
        shown
    });
    Ok(legs.collect())
}

fn legs(text: &str) -> Vec<String> {
    read_all(text).unwrap()
}

fn refusal(text: &str) -> String {
    read_all(text).unwrap_err()
}

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=A\r\nt=0 0\r\n";

const MEDIA: &str =
    "m=video 5004 RTP/AVP 96\r\nc=IN IP4 239.1.1.1/64\r\na=rtpmap:96 MP2T/90000\r\n";

#[test]
fn a_multicast_sender_of_one_leg() {
    insta::assert_snapshot!(write(&sent(&[("192.0.2.1", "239.1.1.1:5004")])), @r"
    v=0
    o=- 1234567 3 IN IP4 192.0.2.1
    s=Output main
    t=0 0
    m=video 5004 RTP/AVP 96
    c=IN IP4 239.1.1.1/64
    a=source-filter: incl IN IP4 239.1.1.1 192.0.2.1
    a=rtpmap:96 MP2T/90000
    a=ts-refclk:localmac=0A-1B-2C-3D-4E-5F
    a=mediaclk:direct=0
    ");
}

#[test]
fn a_sender_of_two_legs_names_them() {
    let sdp = write(&sent(&[
        ("192.0.2.1", "239.1.1.1:5004"),
        ("198.51.100.1", "203.0.113.9:5006"),
    ]));
    insta::assert_snapshot!(sdp, @r"
    v=0
    o=- 1234567 3 IN IP4 192.0.2.1
    s=Output main
    t=0 0
    a=group:DUP leg0 leg1
    m=video 5004 RTP/AVP 96
    c=IN IP4 239.1.1.1/64
    a=source-filter: incl IN IP4 239.1.1.1 192.0.2.1
    a=rtpmap:96 MP2T/90000
    a=ts-refclk:localmac=0A-1B-2C-3D-4E-5F
    a=mediaclk:direct=0
    a=mid:leg0
    m=video 5006 RTP/AVP 96
    c=IN IP4 203.0.113.9
    a=rtpmap:96 MP2T/90000
    a=ts-refclk:localmac=0A-1B-2C-3D-4E-5F
    a=mediaclk:direct=0
    a=mid:leg1
    ");
}

#[test]
fn an_ipv6_group_has_no_ttl() {
    insta::assert_snapshot!(write(&sent(&[("2001:db8::1", "[ff3e::8000:1]:5004")])), @r"
    v=0
    o=- 1234567 3 IN IP6 2001:db8::1
    s=Output main
    t=0 0
    m=video 5004 RTP/AVP 96
    c=IN IP6 ff3e::8000:1
    a=source-filter: incl IN IP6 ff3e::8000:1 2001:db8::1
    a=rtpmap:96 MP2T/90000
    a=ts-refclk:localmac=0A-1B-2C-3D-4E-5F
    a=mediaclk:direct=0
    ");
}

#[test]
fn every_line_ends_with_cr_and_lf_whatever_a_name_holds() {
    for (label, line) in [
        ("a\r\nm=video 1 RTP/AVP 1", "s=a  m=video 1 RTP/AVP 1"),
        ("", "s=-"),
        ("\n", "s=-"),
        ("\u{c4}\u{85}", "s=\u{c4} "),
    ] {
        let sdp = write(&Sent {
            label,
            ..sent(&[("192.0.2.1", "192.0.2.2:5004")])
        });
        assert!(sdp.ends_with("\r\n"), "{sdp:?}");
        let lines: Vec<_> = sdp.split_terminator("\r\n").collect();
        assert!(
            !lines.iter().any(|line| line.contains(['\r', '\n'])),
            "{sdp:?}"
        );
        assert_eq!(lines[2], line, "{sdp:?}");
        assert_eq!(lines.len(), 9, "{sdp:?}");
    }
}

#[test]
fn what_a_sender_says_a_receiver_understands() {
    let two = sent(&[
        ("192.0.2.1", "239.1.1.1:5004"),
        ("198.51.100.1", "203.0.113.9:5006"),
    ]);
    assert_eq!(
        legs(&write(&two)),
        ["239.1.1.1:5004 from 192.0.2.1", "203.0.113.9:5006",]
    );
    let v6 = sent(&[("2001:db8::1", "[ff3e::8000:1]:5004")]);
    assert_eq!(legs(&write(&v6)), ["[ff3e::8000:1]:5004 from 2001:db8::1"]);
}

#[test]
fn addresses_and_filters_of_the_session_hold_for_sections_without_their_own() {
    let media = "m=video 5004 RTP/AVP 33\nm=video 5006 RTP/AVP 33\nc=IN IP4 192.0.2.9\n";
    let text = format!(
        "{HEAD}c=IN IP4 239.1.1.1/32\na=source-filter: incl IN IP4 239.1.1.1 192.0.2.7\n{media}"
    );
    assert_eq!(
        legs(&text),
        ["239.1.1.1:5004 from 192.0.2.7", "192.0.2.9:5006"]
    );
    let wildcard = text.replace("IP4 239.1.1.1 192", "IP4 * 192");
    assert_eq!(
        legs(&wildcard),
        [
            "239.1.1.1:5004 from 192.0.2.7",
            "192.0.2.9:5006 from 192.0.2.7"
        ]
    );
}

#[test]
fn the_legs_are_those_of_the_group_in_its_order() {
    let sections = "m=audio 4000 RTP/AVP 97\nc=IN IP4 239.1.1.9/64\na=rtpmap:97 L24/48000/2\na=mid:a\n\
                    m=video 5004 RTP/AVP 33\nc=IN IP4 239.1.1.1/64\na=mid:b\n\
                    m=video 5006 RTP/AVP 33\nc=IN IP4 239.1.1.2/64\na=mid:c\na=inactive\n\
                    m=video 5008 RTP/AVP 33\nc=IN IP4 239.1.1.3/64\na=mid:d\n";
    let text = format!("{HEAD}a=group:LS a b\na=group:DUP c b\n{sections}");
    assert_eq!(legs(&text), ["239.1.1.2:5006 inactive", "239.1.1.1:5004"]);
    let text = format!("{HEAD}{sections}");
    assert_eq!(refusal(&text), "3 legs, a stream has one or two");
    let text = format!("{HEAD}a=group:DUP b x\n{sections}");
    assert_eq!(legs(&text), ["239.1.1.1:5004"]);
    let text = format!("{HEAD}a=group:DUP a\n{sections}");
    assert_eq!(refusal(&text), "no media section carries MP2T/90000");
}

#[test]
fn two_sources_of_one_group_are_two_legs() {
    let text = format!("{HEAD}{MEDIA}a=source-filter: incl IN IP4 239.1.1.1 192.0.2.1 192.0.2.2\n");
    assert_eq!(
        refusal(&text),
        "a source-filter names 2 sources for 239.1.1.1, a leg has one"
    );
    let text = format!("{text}a=ssrc:1000 cname:a@b\na=ssrc-group:DUP 1000 1010\n");
    assert_eq!(
        legs(&text),
        [
            "239.1.1.1:5004 from 192.0.2.1",
            "239.1.1.1:5004 from 192.0.2.2"
        ]
    );
}

#[test]
fn fec_belongs_to_the_leg_whose_ports_it_has() {
    let fec = |port: u16| {
        format!(
            "m=video {port} RTP/AVP 97\nc=IN IP4 239.1.1.1/64\n\
             a=rtpmap:97 1d-interleaved-parityfec/90000\n"
        )
    };
    let text = format!("{HEAD}{}{MEDIA}{}", fec(5008), fec(5006));
    assert_eq!(legs(&text), ["239.1.1.1:5004 column FEC row FEC"]);
    assert_eq!(
        refusal(&format!("{HEAD}{MEDIA}{}", fec(5005))),
        "FEC comes on 239.1.1.1:5005; it is expected on the address of a leg, on its port + 2 (columns) or + 4 (rows)"
    );
}

#[test]
fn what_cannot_be_received_is_told_with_field_and_value() {
    let with = |from: &str, to: &str| refusal(&format!("{HEAD}{MEDIA}").replace(from, to));
    for (found, expected) in [
        (refusal(""), "it is not SDP: No version line"),
        (
            refusal("hello"),
            "it is not SDP: Invalid formatted line 1: \"Line not in key=value format\"",
        ),
        (refusal(HEAD), "no media section carries MP2T/90000"),
        (
            with("MP2T/90000", "H264/90000"),
            "no media section carries MP2T/90000",
        ),
        (
            with("MP2T/90000", "MP2T/48000"),
            "no media section carries MP2T/90000",
        ),
        (
            with("video 5004", "video 0"),
            "no media section carries MP2T/90000",
        ),
        (
            with("video 5004", "video 65536"),
            "it is not SDP: Invalid field formatting in line 5 at Media port",
        ),
        (
            with("video 5004", "video 5004/2"),
            "m= names 2 ports from 5004",
        ),
        (
            with("RTP/AVP", "RTP/SAVP"),
            "the section of port 5004 has the transport 'RTP/SAVP', RTP/AVP is expected",
        ),
        (
            with("c=IN IP4 239.1.1.1/64\r\n", ""),
            "the section of port 5004 has no c= line",
        ),
        (
            with("239.1.1.1/64", "host.example"),
            "c=: invalid connection address 'host.example'",
        ),
        (
            with("239.1.1.1/64", "239.1.1.1/64/2"),
            "c= names several groups: '239.1.1.1/64/2'",
        ),
        (
            with("239.1.1.1/64", "0.0.0.0"),
            "c= names no address: '0.0.0.0'",
        ),
        (
            with(
                "a=rtpmap",
                "a=source-filter: excl IN IP4 239.1.1.1 192.0.2.1\r\na=rtpmap",
            ),
            "a source-filter excludes sources; one that names the source is expected",
        ),
        (
            with(
                "a=rtpmap",
                "a=source-filter: incl IN IP4 239.1.1.2 192.0.2.1\r\na=rtpmap",
            ),
            "a source-filter is for '239.1.1.2', and c= names 239.1.1.1",
        ),
        (
            with(
                "a=rtpmap",
                "a=source-filter: incl IN IP4 239.1.1.1 239.1.1.1\r\na=rtpmap",
            ),
            "a source-filter names '239.1.1.1', an address of the family of 239.1.1.1 is expected",
        ),
        (
            with(
                "a=rtpmap",
                "a=source-filter: incl IN IP4 239.1.1.1\r\na=rtpmap",
            ),
            "Param Source list not found in source-filter",
        ),
    ] {
        assert_eq!(found, expected);
    }
    let long = format!("{HEAD}{}", "a=x\r\n".repeat(SDP_BYTES_MAX));
    assert!(refusal(&long).ends_with("bytes, 65536 are allowed"));
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (1_u8..=223, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| IpAddr::from([a, b, c, d])),
        any::<[u16; 7]>()
            .prop_map(|[a, b, c, d, e, f, g]| { IpAddr::from([0x2001, a, b, c, d, e, f, g]) }),
    ]
}

fn group_of(source: IpAddr, low: [u8; 2]) -> IpAddr {
    match source {
        IpAddr::V4(_) => IpAddr::from([239, 1, low[0], low[1]]),
        IpAddr::V6(_) => IpAddr::from([0xff3e, 0, 0, 0, 0, 0, 0, u16::from_be_bytes(low)]),
    }
}

fn leg() -> impl Strategy<Value = SentLeg> {
    (
        address(),
        any::<[u8; 2]>(),
        any::<bool>(),
        1_u16..,
        any::<u8>(),
    )
        .prop_map(|(source, low, is_group, port, ttl)| SentLeg {
            source,
            destination: SocketAddr::new(
                if is_group {
                    group_of(source, low)
                } else {
                    source
                },
                port,
            ),
            ttl,
            port_id: "00-00-00-00-00-00".to_owned(),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_is_sent_is_read_back(
        legs in prop::collection::vec(leg(), 1..=2),
        payload_type in 0_u8..=127,
        label in any::<String>(),
        (session_id, version) in any::<(u64, u64)>(),
    ) {
        let sent = Sent { session_id, version, label: &label, payload_type, legs };
        let offer = read(&write(&sent)).unwrap();
        let expected: Vec<_> = sent.legs.iter().map(|leg| OfferedLeg {
            destination: leg.destination,
            source: leg.destination.ip().is_multicast().then_some(leg.source),
            payload_type,
            is_active: true,
            has_column_fec: false,
            has_row_fec: false,
        }).collect();
        prop_assert_eq!(offer.legs, expected);
    }
}
