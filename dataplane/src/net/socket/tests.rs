use super::*;

fn receive_spec(bind_addr: &str) -> ReceiveSpec {
    ReceiveSpec {
        bind_addr: bind_addr.parse().unwrap(),
        interface_addr: None,
        source_addr: None,
    }
}

#[test]
fn a_unicast_address_has_one_owner() {
    let first = ReceiveSocket::open(&receive_spec("127.0.0.1:0")).unwrap();
    let addr = first.local_addr().unwrap();
    let error = ReceiveSocket::open(&receive_spec(&addr.to_string())).unwrap_err();
    assert!(error.is_address_in_use());
    assert!(
        error
            .to_string()
            .starts_with(&format!("bind_addr {addr}: cannot bind:")),
        "{error}"
    );
}

#[test]
fn two_sockets_may_join_one_group() {
    let mut spec = receive_spec("239.255.77.1:0");
    spec.interface_addr = Some("127.0.0.1".parse().unwrap());
    let first = ReceiveSocket::open(&spec).unwrap();
    spec.bind_addr.set_port(first.local_addr().unwrap().port());
    ReceiveSocket::open(&spec).unwrap();
}

#[test]
fn a_missing_interface_is_named() {
    let mut spec = receive_spec("239.255.77.1:0");
    spec.interface_addr = Some("192.0.2.77".parse().unwrap());
    let error = ReceiveSocket::open(&spec).unwrap_err();
    let text = "interface_addr 192.0.2.77: no network interface of this host has this address";
    assert_eq!(error.to_string(), text);
}

#[test]
fn an_address_of_another_host_cannot_be_bound() {
    let error = ReceiveSocket::open(&receive_spec("192.0.2.77:5000")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("bind_addr 192.0.2.77:5000: cannot bind"),
        "{error}"
    );
    assert!(!error.is_address_in_use());
}

#[test]
fn buffers_are_sized_from_the_bitrate() {
    assert_eq!(buffer_bytes(1_000_000_000, 100), 12_500_000);
    assert_eq!(buffer_bytes(u64::MAX, u64::MAX), usize::MAX);
}
