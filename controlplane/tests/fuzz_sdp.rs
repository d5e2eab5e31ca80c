//! Fuzz target: any text as SDP for a receiver, and any text written into the middle of a legal one. Run by `cargo
//! test`, and at length by `cargo bolero test fuzz_sdp`.

use controlplane::nmos::sdp::{OfferedLeg, read};

#[test]
fn fuzz_sdp() {
    assert_eq!(read(LEGAL).unwrap().legs.len(), 2);
    bolero::check!().for_each(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        check(&text);
        if let Some((place, written)) = bytes.split_first_chunk() {
            let begin = usize::from(u16::from_le_bytes(*place)) % LEGAL.len();
            let end = (begin + written.len()).min(LEGAL.len());
            let written = String::from_utf8_lossy(written);
            let head = &LEGAL[..begin];
            // Over what stood there, and between.
            check(&[head, &written, &LEGAL[end..]].concat());
            check(&[head, &written, &LEGAL[begin..]].concat());
        }
    });
}

fn check(text: &str) {
    let Ok(offer) = read(text) else {
        return;
    };
    assert!((1..=2).contains(&offer.legs.len()), "{text:?}");
    for OfferedLeg {
        destination,
        source,
        ..
    } in offer.legs
    {
        assert!(destination.port() != 0 && !destination.ip().is_unspecified());
        assert!(source.is_none_or(|source| {
            source.is_ipv4() == destination.is_ipv4() && !source.is_multicast()
        }));
    }
}

/// ASCII alone, so that it can be cut anywhere.
const LEGAL: &str = "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=A\r\nt=0 0\r\na=group:DUP a b\r\n\
m=video 5004/1 RTP/AVP 96\r\nc=IN IP4 239.1.1.1/64/1\r\na=source-filter: incl IN IP4 239.1.1.1 192.0.2.1\r\n\
a=rtpmap:96 MP2T/90000\r\na=ts-refclk:localmac=00-00-00-00-00-00\r\na=mediaclk:direct=0\r\na=mid:a\r\n\
m=video 5006 RTP/AVP 33\r\nc=IN IP6 ff3e::8000:1\r\na=mid:b\r\na=inactive\r\n\
m=video 5006 RTP/AVP 97\r\nc=IN IP4 239.1.1.1\r\na=rtpmap:97 parityfec/90000\r\n";
