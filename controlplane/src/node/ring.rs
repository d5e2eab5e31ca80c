//! Which flows stand in each other's way: A wants the port that B has, B wants the port that A has.

use std::collections::{HashMap, HashSet};

use bilbycast_shm_proto::model::FlowSpec;

/// Ids of the flows that can only go on together, from pairs of what runs and what is wanted.
///
/// A flow belongs to a ring when it wants a port that another member has. One that is only in the way of others, or
/// waits for somebody outside, would be stopped for nothing.
pub(super) fn of(mut flows: Vec<(&FlowSpec, &FlowSpec)>) -> HashSet<String> {
    loop {
        let mut holders: HashMap<u16, Vec<&str>> = HashMap::new();
        for (runs, _) in &flows {
            for port in runs.ports() {
                holders.entry(port).or_default().push(&runs.id);
            }
        }
        let members = flows.len();
        flows.retain(|(_, wanted)| {
            wanted.ports().into_iter().any(|port| {
                let holders = holders.get(&port);
                holders.is_some_and(|ids| ids.iter().any(|id| *id != wanted.id))
            })
        });
        if flows.len() == members {
            return flows.into_iter().map(|(runs, _)| runs.id.clone()).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use bilbycast_shm_proto::model::{InputSpec, ReceiveSpec, UdpInputSpec};

    use super::*;

    fn flow(id: &str, port: u16) -> FlowSpec {
        FlowSpec {
            id: id.to_owned(),
            media_analysis: true,
            bandwidth_limit: None,
            input: InputSpec::Udp(UdpInputSpec {
                receive: ReceiveSpec {
                    bind_addr: ([127, 0, 0, 1], port).into(),
                    interface_addr: None,
                    source_addr: None,
                },
            }),
            outputs: Vec::new(),
        }
    }

    fn ring(moves: &[(&str, u16, u16)]) -> Vec<String> {
        let specs: Vec<_> = moves
            .iter()
            .map(|(id, from, to)| (flow(id, *from), flow(id, *to)))
            .collect();
        let mut ids: Vec<_> = of(specs.iter().map(|(runs, wanted)| (runs, wanted)).collect())
            .into_iter()
            .collect();
        ids.sort();
        ids
    }

    #[test]
    fn only_true_rings_are_found() {
        assert_eq!(ring(&[("a", 1, 2), ("b", 2, 1)]), ["a", "b"]);
        assert_eq!(
            ring(&[("a", 1, 2), ("b", 2, 3), ("c", 3, 1)]),
            ["a", "b", "c"]
        );
        assert!(ring(&[("a", 1, 2), ("b", 2, 9)]).is_empty());
        assert!(ring(&[("a", 1, 9), ("b", 2, 9)]).is_empty());
        assert!(ring(&[("a", 1, 1)]).is_empty());
    }
}
