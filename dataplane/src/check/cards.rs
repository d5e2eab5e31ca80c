//! Network cards.

use super::Finding;
use super::files::Files;
use crate::net::card::CardSettings;

/// Interfaces that are hardware, or what a virtual machine takes for it, and are up.
pub(super) fn interfaces(files: &Files<'_>) -> Vec<String> {
    let mut interfaces = files.names("sys/class/net");
    interfaces.retain(|name| {
        files.exists(&format!("sys/class/net/{name}/device"))
            && files.text(&format!("sys/class/net/{name}/operstate")) == Some("up".to_owned())
    });
    interfaces
}

/// Whether the card hands over and takes trains of datagrams.
pub(super) fn offloads(interface: &str, settings: &CardSettings) -> Finding {
    let shown = |on: bool| if on { "on" } else { "off" };
    let finding = Finding::ok(
        format!("offloads:{interface}"),
        format!(
            "GRO {}, GSO {}",
            shown(settings.receive_offload),
            shown(settings.segmentation_offload)
        ),
    );
    if settings.receive_offload && settings.segmentation_offload {
        return finding;
    }
    finding.warn(
        "each datagram costs the way through the whole stack",
        format!("ethtool -K {interface} gro on gso on"),
    )
}

/// Whether the card's receive ring is as long as it can be; nothing when the card does not say.
pub(super) fn ring(interface: &str, settings: &CardSettings) -> Option<Finding> {
    let (now, most) = (settings.receive_ring?, settings.receive_ring_max?);
    if most == 0 {
        return None;
    }
    let finding = Finding::ok(
        format!("receive_ring:{interface}"),
        format!("{now} of {most} descriptors"),
    );
    if now >= most.min(RING_WANTED) {
        return Some(finding);
    }
    Some(finding.warn(
        "a burst overruns the card before the kernel sees it",
        format!("ethtool -G {interface} rx {}", most.min(RING_WANTED)),
    ))
}

/// Holds 4 ms of 10 Gb/s in datagrams of 1,316 bytes.
const RING_WANTED: u32 = 4_096;
