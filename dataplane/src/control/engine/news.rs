//! What is told of a change of a flow, in the words of somebody who watches it: what moved where, not which parts were
//! exchanged for it.

use std::net::SocketAddr;

use bilbycast_shm_proto::control::FlowChange;
use bilbycast_shm_proto::model::{FlowSpec, InputSpec, OutputKind, OutputSpec};

/// Sentences about `change`, which made `now` of what ran `before`. A restart from which `outputs_went_on` is one of the
/// input alone.
pub(super) fn of(
    before: Option<&FlowSpec>,
    now: &FlowSpec,
    change: &FlowChange,
    outputs_went_on: bool,
) -> Vec<String> {
    let id = &now.id;
    match (change, before) {
        (FlowChange::Unchanged, _) => Vec::new(),
        (FlowChange::Started, _) | (_, None) => vec![format!("flow '{id}' started")],
        (FlowChange::Outputs { .. }, Some(before)) => of_outputs(before, now),
        (FlowChange::Restarted, Some(before)) => {
            let is_input_alone = outputs_went_on
                && before.media_analysis == now.media_analysis
                && before.bandwidth_limit == now.bandwidth_limit;
            match is_input_alone
                .then(|| of_input(&before.input, &now.input))
                .flatten()
            {
                None => vec![format!("flow '{id}' restarted")],
                Some(what) => {
                    let mut news = vec![format!("flow '{id}': input {what}")];
                    news.extend(of_outputs(before, now));
                    news
                }
            }
        }
    }
}

fn of_outputs(before: &FlowSpec, now: &FlowSpec) -> Vec<String> {
    let id = &now.id;
    let gone = before.outputs.iter();
    let gone = gone.filter(|output| now.output(&output.id).is_none());
    let gone = gone.map(|output| format!("flow '{id}': output '{}' removed", output.id));
    let others = now.outputs.iter().filter_map(|output| {
        let what = match before.output(&output.id) {
            None => "added".to_owned(),
            Some(old) if old == output => return None,
            Some(old) => of_output(old, output),
        };
        Some(format!("flow '{id}': output '{}' {what}", output.id))
    });
    gone.chain(others).collect()
}

fn of_output(before: &OutputSpec, now: &OutputSpec) -> String {
    let (old, new) = (destinations(&before.kind), destinations(&now.kind));
    moved(&old, &new, "switched on to").unwrap_or_else(|| "changed".to_owned())
}

/// `None` when it is another kind of input.
fn of_input(before: &InputSpec, now: &InputSpec) -> Option<String> {
    if before.type_name() != now.type_name() {
        return None;
    }
    let (old, new) = (sources(before), sources(now));
    let what = moved(&old, &new, "switched on at");
    Some(what.unwrap_or_else(|| match new.is_empty() {
        true => "changed".to_owned(),
        false => format!("re-joined on {}", listed(&new)),
    }))
}

/// `None` when the addresses are the same.
fn moved(old: &[SocketAddr], new: &[SocketAddr], switched_on: &str) -> Option<String> {
    match (old.is_empty(), new.is_empty()) {
        _ if old == new => None,
        (_, true) => Some("switched off".to_owned()),
        (true, false) => Some(format!("{switched_on} {}", listed(new))),
        (false, false) => Some(format!("moved to {}", listed(new))),
    }
}

/// Where packets of the legs that are on go to; empty when that does not apply.
fn destinations(output: &OutputKind) -> Vec<SocketAddr> {
    match output {
        OutputKind::Rtp(rtp) => {
            let legs = rtp.legs.iter().flatten();
            legs.map(|leg| leg.dest_addr).collect()
        }
        OutputKind::Srt(srt) => {
            let legs = srt.legs();
            legs.map(|leg| leg.remote_addr.unwrap_or(leg.local_addr))
                .collect()
        }
        OutputKind::Udp(udp) => vec![udp.send.dest_addr],
    }
}

/// Where packets of the legs that are on come to.
fn sources(input: &InputSpec) -> Vec<SocketAddr> {
    match input {
        InputSpec::Rtp(rtp) => {
            let legs = rtp.legs();
            legs.iter().flatten().map(|leg| leg.bind_addr).collect()
        }
        InputSpec::Srt(srt) => {
            let legs = srt.legs();
            legs.map(|leg| leg.remote_addr.unwrap_or(leg.local_addr))
                .collect()
        }
        InputSpec::Test(_) => Vec::new(),
        InputSpec::Udp(udp) => vec![udp.receive.bind_addr],
    }
}

fn listed(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(" and ")
}

#[cfg(test)]
mod tests {
    use bilbycast_shm_proto::model::{
        ReceiveSpec, RtpInputRedundancySpec, RtpInputSpec, RtpOutputSpec, SendSpec, TestInputSpec,
        UdpInputSpec,
    };

    use super::*;

    fn receive(address: &str) -> ReceiveSpec {
        ReceiveSpec {
            bind_addr: address.parse().unwrap(),
            interface_addr: None,
            source_addr: None,
        }
    }

    fn output(id: &str, legs: &[&str]) -> OutputSpec {
        let mut sends = legs.iter().map(|leg| SendSpec {
            dest_addr: leg.parse().unwrap(),
            bind_addr: "0.0.0.0:0".parse().unwrap(),
            interface_addr: None,
            dscp: 0,
        });
        let mut rtp = RtpOutputSpec::plain(SendSpec {
            dest_addr: "192.0.2.1:1".parse().unwrap(),
            bind_addr: "0.0.0.0:0".parse().unwrap(),
            interface_addr: None,
            dscp: 0,
        });
        rtp.legs = [sends.next(), sends.next()];
        OutputSpec {
            id: id.to_owned(),
            kind: OutputKind::Rtp(rtp),
        }
    }

    fn flow(outputs: &[OutputSpec]) -> FlowSpec {
        FlowSpec {
            id: "f".to_owned(),
            media_analysis: true,
            bandwidth_limit: None,
            input: InputSpec::Rtp(RtpInputSpec::plain(receive("239.1.1.1:5000"))),
            outputs: outputs.to_vec(),
        }
    }

    fn rtp(flow: &mut FlowSpec) -> &mut RtpInputSpec {
        match &mut flow.input {
            InputSpec::Rtp(rtp) => rtp,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_output_moves_is_switched_and_comes_and_goes() {
        let change = FlowChange::Outputs {
            added: Vec::new(),
            removed: Vec::new(),
        };
        let one = ["192.0.2.1:6000"];
        let two = ["192.0.2.1:6000", "192.0.2.2:6002"];
        let mut marked = output("o", &one);
        let OutputKind::Rtp(rtp) = &mut marked.kind else {
            panic!("an RTP output");
        };
        rtp.payload_type = Some(96);
        for (before, now, expected) in [
            (
                vec![output("o", &one)],
                vec![output("o", &["239.9.9.9:6900"])],
                &["flow 'f': output 'o' moved to 239.9.9.9:6900"][..],
            ),
            (
                vec![output("o", &one)],
                vec![output("o", &two)],
                &["flow 'f': output 'o' moved to 192.0.2.1:6000 and 192.0.2.2:6002"],
            ),
            (
                vec![output("o", &one)],
                vec![output("o", &[])],
                &["flow 'f': output 'o' switched off"],
            ),
            (
                vec![output("o", &[])],
                vec![output("o", &one)],
                &["flow 'f': output 'o' switched on to 192.0.2.1:6000"],
            ),
            (
                vec![output("o", &one)],
                vec![marked],
                &["flow 'f': output 'o' changed"],
            ),
            (
                vec![output("o", &one), output("p", &one)],
                vec![output("p", &one), output("q", &one)],
                &["flow 'f': output 'o' removed", "flow 'f': output 'q' added"],
            ),
        ] {
            let news = of(Some(&flow(&before)), &flow(&now), &change, false);
            assert_eq!(news, expected);
        }
    }

    #[test]
    fn an_input_moves_is_switched_and_is_joined_again() {
        let before = flow(&[]);
        let told =
            |before: &FlowSpec, now: &FlowSpec| of(Some(before), now, &FlowChange::Restarted, true);
        let mut moved = before.clone();
        rtp(&mut moved).receive = Some(receive("239.2.2.2:5002"));
        assert_eq!(
            told(&before, &moved),
            ["flow 'f': input moved to 239.2.2.2:5002"]
        );
        let mut two = before.clone();
        rtp(&mut two).redundancy = Some(RtpInputRedundancySpec {
            receive: Some(receive("239.1.1.2:5000")),
            path_differential_ms: 50,
        });
        assert_eq!(
            told(&before, &two),
            ["flow 'f': input moved to 239.1.1.1:5000 and 239.1.1.2:5000"]
        );
        let mut off = before.clone();
        rtp(&mut off).receive = None;
        assert_eq!(told(&before, &off), ["flow 'f': input switched off"]);
        assert_eq!(
            told(&off, &before),
            ["flow 'f': input switched on at 239.1.1.1:5000"]
        );
        let mut filtered = before.clone();
        rtp(&mut filtered).receive.as_mut().unwrap().source_addr = Some([192, 0, 2, 9].into());
        assert_eq!(
            told(&before, &filtered),
            ["flow 'f': input re-joined on 239.1.1.1:5000"]
        );
        let mut more = moved.clone();
        more.outputs.push(output("o", &["192.0.2.1:6000"]));
        assert_eq!(
            told(&before, &more),
            [
                "flow 'f': input moved to 239.2.2.2:5002",
                "flow 'f': output 'o' added"
            ]
        );
    }

    #[test]
    fn a_restart_is_one_where_more_than_the_input_is_new() {
        let before = flow(&[]);
        let restarted = ["flow 'f' restarted"];
        let mut moved = before.clone();
        rtp(&mut moved).receive = Some(receive("239.2.2.2:5002"));
        let change = FlowChange::Restarted;
        assert_eq!(of(Some(&before), &moved, &change, false), restarted);
        moved.media_analysis = false;
        assert_eq!(of(Some(&before), &moved, &change, true), restarted);
        let mut other = before.clone();
        other.input = InputSpec::Udp(UdpInputSpec {
            receive: receive("239.1.1.1:5000"),
        });
        assert_eq!(of(Some(&before), &other, &change, true), restarted);
        let mut test = before.clone();
        test.input = InputSpec::Test(TestInputSpec { bitrate_bps: 1 });
        let mut faster = before.clone();
        faster.input = InputSpec::Test(TestInputSpec { bitrate_bps: 2 });
        assert_eq!(
            of(Some(&test), &faster, &change, true),
            ["flow 'f': input changed"]
        );
        assert_eq!(
            of(None, &before, &FlowChange::Started, false),
            ["flow 'f' started"]
        );
        assert!(of(Some(&before), &before, &FlowChange::Unchanged, false).is_empty());
    }
}
