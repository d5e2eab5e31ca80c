//! Ids: UUIDv5 below the node's, so that they are the same after every restart (nmos.md 3.1).

use uuid::Uuid;

/// Id of the node's device.
#[must_use]
pub fn device_id(node_id: Uuid) -> Uuid {
    Uuid::new_v5(&node_id, b"device")
}

/// Id of the source of the flow that is called `flow` in the configuration.
#[must_use]
pub fn source_id(node_id: Uuid, flow: &str) -> Uuid {
    named(node_id, &format!("source/{flow}"))
}

/// Id of the flow that is called `flow` in the configuration.
#[must_use]
pub fn flow_id(node_id: Uuid, flow: &str) -> Uuid {
    named(node_id, &format!("flow/{flow}"))
}

/// Id of the receiver that is the input of that flow.
#[must_use]
pub fn receiver_id(node_id: Uuid, flow: &str) -> Uuid {
    named(node_id, &format!("receiver/{flow}"))
}

/// Id of the sender that is an output of that flow.
#[must_use]
pub fn sender_id(node_id: Uuid, flow: &str, output: &str) -> Uuid {
    named(node_id, &format!("sender/{flow}/{output}"))
}

fn named(node_id: Uuid, name: &str) -> Uuid {
    Uuid::new_v5(&node_id, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_standard_algorithm() {
        // RFC 9562 A.4: the example of its UUIDv5.
        let dns = Uuid::parse_str("6ba7b810-9dad-11d1-80b4-00c04fd430c8").unwrap();
        let id = named(dns, "www.example.com");
        assert_eq!(id.to_string(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    }

    #[test]
    fn every_resource_has_an_id_of_its_own() {
        let node = Uuid::parse_str("6d5a4c3b-0000-4000-8000-000000000001").unwrap();
        let ids = [
            device_id(node),
            source_id(node, "a"),
            flow_id(node, "a"),
            receiver_id(node, "a"),
            sender_id(node, "a", "b"),
        ];
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
