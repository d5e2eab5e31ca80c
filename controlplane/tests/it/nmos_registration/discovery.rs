//! Registries by DNS-SD and by mDNS, and the announcement to peers.

use std::net::Ipv4Addr;
use std::process::Command;

use bilbycast_shm_proto::event::Severity;
use mdns_sd::{IfKind, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use nix::sched::{CloneFlags, unshare};

use super::dns::{A, AAAA, DnsServer, PTR, SRV, TXT, address, name, service, text};
use super::*;

/// Where the registries of these tests are advertised.
const ROOT: &str = "_nmos-register._tcp.example.com";

pub(super) fn unicast(dns: &DnsServer) -> Value {
    json!({"mode": "unicast", "domain": "example.com", "dns_server": dns.address().to_string()})
}

/// Registries of these names, with priorities from 0 on.
pub(super) fn announce(dns: &DnsServer, registries: &[(&str, &Registry)]) {
    let mut instances = Vec::new();
    for (priority, (label, registry)) in registries.iter().enumerate() {
        let instance = format!("{label}.{ROOT}");
        let port = registry.address().port();
        dns.set(&instance, SRV, vec![service(port, "host.example.com")]);
        let priority = format!("pri={priority}");
        let txt = [
            "api_ver=v1.2,v1.3",
            "api_proto=http",
            "api_auth=false",
            &priority,
        ];
        dns.set(&instance, TXT, vec![text(&txt)]);
        instances.push(name(&instance));
    }
    dns.set("host.example.com", A, vec![address(Ipv4Addr::LOCALHOST)]);
    dns.set(ROOT, PTR, instances);
}

#[test]
fn registries_of_the_dns_are_tried_by_priority_whatever_they_do() {
    let dns = DnsServer::start();
    let edge = Edge::start(&unicast(&dns));
    edge.wait_for(State::Searching);
    wait_until("the DNS server to be asked", || dns.asked() > 0);

    let elsewhere = Registry::start(Manner::Good);
    let target = format!(
        "http://{}/x-nmos/registration/v1.3/resource",
        elsewhere.address()
    );
    let manners = [
        Manner::Refusing,
        Manner::Garbage,
        Manner::Huge,
        Manner::Redirecting(target),
        Manner::Dripping,
        Manner::Good,
    ];
    let registries = manners.map(Registry::start);
    let mut instances = Vec::new();
    for (index, registry) in registries.iter().enumerate() {
        let instance = format!("r{index}.{ROOT}");
        dns.set(
            &instance,
            SRV,
            vec![service(registry.address().port(), "host.example.com")],
        );
        let priority = format!("pri={index}");
        let txt = [
            "api_ver=v1.2,v1.3",
            "api_proto=http",
            "api_auth=false",
            &priority,
        ];
        dns.set(&instance, TXT, vec![text(&txt)]);
        instances.push(name(&instance));
    }
    // Not for us, though its priority is the best.
    let old = format!("old.{ROOT}");
    dns.set(&old, SRV, vec![service(1, "host.example.com")]);
    dns.set(
        &old,
        TXT,
        vec![text(&[
            "api_ver=v1.2",
            "api_proto=http",
            "api_auth=false",
            "pri=0",
        ])],
    );
    instances.push(name(&old));
    dns.set("host.example.com", A, vec![address(Ipv4Addr::LOCALHOST)]);
    dns.set(ROOT, PTR, instances);

    edge.wait_for(State::Registered);
    let [refusing, garbage, huge, redirecting, dripping, good] = &registries;
    for (name, registry) in [
        ("refusing", refusing),
        ("garbage", garbage),
        ("huge", huge),
        ("redirecting", redirecting),
        ("dripping", dripping),
    ] {
        assert_eq!(lines(&registry.take()), ["POST node"], "{name}");
    }
    assert!(elsewhere.take().is_empty(), "a redirect was followed");
    assert_eq!(lines(&good.take()), ALL);
    let name = edge.status().unwrap().registry.unwrap();
    assert!(
        name.starts_with("r5._nmos-register._tcp.example.com"),
        "{name}"
    );
    edge.end();
}

#[test]
fn one_broken_instance_in_the_dns_does_not_hide_the_others() {
    let registry = Registry::start(Manner::Good);
    let dns = DnsServer::start();
    // The best ones by priority are those that cannot be looked up.
    let all = ["failing", "silent", "good"].map(|label| (label, &registry));
    announce(&dns, &all);
    let [failing, silent, good] = all.map(|(label, _)| format!("{label}.{ROOT}"));
    dns.fail(&failing, SRV);
    dns.mute(&silent, TXT);
    dns.fail("host.example.com", AAAA);
    let edge = Edge::start(&unicast(&dns));
    edge.wait_for(State::Registered);
    let status = edge.status().unwrap();
    assert!(status.registry.unwrap().starts_with(&good));
    let shown: Vec<_> = status
        .registries
        .iter()
        .map(|seen| (seen.taken, seen.name.split(' ').next().unwrap()))
        .collect();
    assert_eq!(
        shown,
        [(true, good.as_str()), (false, &failing), (false, &silent)]
    );
    for (seen, question) in status.registries[1..].iter().zip(["SRV of ", ""]) {
        let why = seen.why.as_ref().unwrap();
        let expected = format!("it cannot be looked up: {question}");
        assert!(why.starts_with(&expected), "{why}");
    }
    let events = edge.nmos.node().events().list(0).events;
    for instance in [&failing, &silent] {
        let message = format!("NMOS: registry {instance} is not taken: ");
        let told = events
            .iter()
            .filter(|event| event.message.starts_with(&message));
        let told: Vec<_> = told.map(|event| event.severity).collect();
        assert_eq!(told, [Severity::Warning], "{instance}");
    }

    // Mended, it is one to turn to.
    announce(&dns, &all);
    wait_until("all are taken", || {
        let registries = edge.status().unwrap().registries;
        registries.len() == 3 && registries.iter().all(|seen| seen.taken)
    });
    edge.end();
}

/// A network of its own for this thread and those that it starts, in which loopback carries multicast; false, with the
/// reason printed, when this system does not allow that.
fn enter_own_network() -> bool {
    let ip = |arguments: &str| {
        let status = Command::new("ip").args(arguments.split(' ')).status();
        status.is_ok_and(|status| status.success())
    };
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        bilbycast_test_peers::skip(format!("no network namespace: {error}"));
        return false;
    }
    let is_ready = ip("link set lo up")
        && ip("link set lo multicast on")
        && ip("route add 224.0.0.0/4 dev lo");
    if !is_ready {
        bilbycast_test_peers::skip("loopback cannot be made to carry multicast");
    }
    is_ready
}

/// `ver_*`, in the order of the specification.
fn counters(node: &ResolvedService) -> [Option<&str>; 6] {
    [
        "ver_slf", "ver_src", "ver_flw", "ver_dvc", "ver_snd", "ver_rcv",
    ]
    .map(|key| node.get_property_val_str(key))
}

fn on_loopback() -> ServiceDaemon {
    let daemon = ServiceDaemon::new().unwrap();
    daemon.disable_interface(IfKind::All).unwrap();
    daemon.enable_interface(IfKind::LoopbackV4).unwrap();
    daemon
}

#[test]
fn registries_are_found_by_mdns_and_peers_hear_of_the_node_without_one() {
    let test = std::thread::spawn(|| {
        if !enter_own_network() {
            return;
        }
        let others = on_loopback();
        let nodes = others.browse("_nmos-node._tcp.local.").unwrap();
        let edge = Edge::start(&json!({"mode": "mdns"}));
        let resolved = |is_it: &dyn Fn(&ResolvedService) -> bool| {
            let deadline = Instant::now() + Duration::from_secs(10);
            loop {
                match nodes.recv_deadline(deadline).unwrap() {
                    ServiceEvent::ServiceResolved(node) if is_it(&node) => break node,
                    _ => {}
                }
            }
        };
        let node = resolved(&|_| true);
        assert_eq!(node.get_port(), 8_080);
        assert!(node.get_addresses_v4().contains(&Ipv4Addr::LOCALHOST));
        assert_eq!(counters(&node), [Some("0"); 6]);
        assert_eq!(node.get_property_val_str("api_ver"), Some("v1.3"));
        assert_eq!(node.get_property_val_str("api_proto"), Some("http"));
        assert_eq!(node.get_property_val_str("api_auth"), Some("false"));
        assert_eq!(edge.status().unwrap().state, State::Searching);
        let told = edge.messages();
        let expected = [
            "no registry found by mDNS",
            "announcing this node to its peers",
        ];
        assert_eq!(told, expected);

        // Peers hear of a change: the sender is gone, and the device no longer lists it.
        let removed = edge.nmos.node().clone();
        let removed = removed.remove_output("a".to_owned(), "o".to_owned());
        edge.runtime.block_on(removed).unwrap();
        let node = resolved(&|node| counters(node) != [Some("0"); 6]);
        let expected = ["0", "0", "0", "1", "1", "0"].map(Some);
        assert_eq!(counters(&node), expected);

        let registry = Registry::start(Manner::Good);
        let txt = [
            ("api_ver", "v1.2,v1.3"),
            ("api_proto", "http"),
            ("api_auth", "false"),
            ("pri", "10"),
        ];
        let port = registry.address().port();
        let advert = ServiceInfo::new(
            "_nmos-register._tcp.local.",
            "registry",
            "registry.local.",
            "127.0.0.1",
            port,
            &txt[..],
        );
        others.register(advert.unwrap()).unwrap();
        edge.wait_for(State::Registered);
        let all = ALL.into_iter().filter(|line| *line != "POST sender");
        assert_eq!(lines(&registry.take()), all.collect::<Vec<_>>());
        let is_gone = |event: &ServiceEvent| matches!(event, ServiceEvent::ServiceRemoved(..));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_gone(&nodes.recv_deadline(deadline).unwrap()) {}
        edge.end();
        assert_eq!(
            lines(&registry.take()).last().map(String::as_str),
            Some("DELETE nodes")
        );
        others.shutdown().unwrap();
    });
    test.join().unwrap();
}
