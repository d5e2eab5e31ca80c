//! What a sender says.

use std::fmt::Write;
use std::net::IpAddr;

use super::Sent;

/// The description of `sent`, lines in a fixed order, each with CR and LF.
#[must_use]
pub fn write(sent: &Sent<'_>) -> String {
    let mut out = String::with_capacity(512);
    for line in lines(sent) {
        // Writing to a string cannot fail.
        let _ = write!(out, "{line}\r\n");
    }
    out
}

fn lines(sent: &Sent<'_>) -> Vec<String> {
    let mut lines = vec!["v=0".to_owned()];
    if let Some(first) = sent.legs.first() {
        let source = first.source;
        lines.push(format!(
            "o=- {} {} IN {} {source}",
            sent.session_id,
            sent.version,
            address_type(source)
        ));
    }
    lines.push(format!("s={}", one_line(sent.label)));
    lines.push("t=0 0".to_owned());
    let has_legs = sent.legs.len() > 1;
    if has_legs {
        let names: Vec<_> = (0..sent.legs.len()).map(leg_name).collect();
        lines.push(format!("a=group:DUP {}", names.join(" ")));
    }
    for (index, leg) in sent.legs.iter().enumerate() {
        let (address, port) = (leg.destination.ip(), leg.destination.port());
        let family = address_type(address);
        let payload_type = sent.payload_type;
        lines.push(format!("m=video {port} RTP/AVP {payload_type}"));
        match address {
            //= RFC 8866 5.7: the TTL belongs to IPv4 groups alone.
            IpAddr::V4(group) if group.is_multicast() => {
                lines.push(format!("c=IN {family} {group}/{}", leg.ttl));
            }
            address => lines.push(format!("c=IN {family} {address}")),
        }
        if address.is_multicast() {
            lines.push(format!(
                "a=source-filter: incl IN {family} {address} {}",
                leg.source
            ));
        }
        lines.push(format!("a=rtpmap:{payload_type} MP2T/90000"));
        //= RFC 7273 4.8: the hardware address is written in upper case.
        lines.push(format!(
            "a=ts-refclk:localmac={}",
            leg.port_id.to_ascii_uppercase()
        ));
        lines.push("a=mediaclk:direct=0".to_owned());
        if has_legs {
            lines.push(format!("a=mid:{}", leg_name(index)));
        }
    }
    lines
}

fn leg_name(index: usize) -> String {
    format!("leg{index}")
}

const fn address_type(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    }
}

/// A name from outside must not end its line, and RFC 8866 5.3 wants at least one character.
fn one_line(label: &str) -> String {
    let line: String = label
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.trim().is_empty() {
        return "-".to_owned();
    }
    line
}
