//! The callers of an SRT leg that listens: `peers` of its statistics.

use bilbycast_shm_proto::detail::{SrtCallerDetail, StreamDetail};

use super::{Tree, endpoint};

/// Adds the callers of leg `leg` of an output, or of the input, to the leg's statistics; nothing when it does not listen.
pub(super) fn set<'a>(
    stats: &mut Tree<'a>,
    detail: Option<&'a StreamDetail>,
    output_id: Option<&str>,
    leg: u8,
) {
    let listener = detail.and_then(|detail| {
        let mut listeners = detail.srt_listeners.iter();
        listeners.find(|one| one.output_id.as_deref() == output_id && one.leg == leg)
    });
    if let Some(listener) = listener {
        let peers = listener.callers.iter().map(peer).collect();
        stats.set("peers", Tree::List(peers));
        stats.set("peers_left_out", listener.left_out);
    }
}

fn peer(caller: &SrtCallerDetail) -> Tree<'_> {
    let mut stats = Tree::with_room(FIELDS);
    stats.set("remote_addr", Tree::Text(caller.remote.to_string().into()));
    stats.set(
        "stream_id",
        caller.stream_id.as_deref().map_or(Tree::Null, Tree::from),
    );
    stats.set("state", endpoint(caller.state).unwrap_or_default());
    stats.set("uptime_ms", caller.uptime_ms);
    stats.set(
        "rtt_ms",
        caller
            .rtt_us
            .map_or(Tree::Null, |us| (us as f64 / 1_000.0).into()),
    );
    stats.set("recv_latency_ms", caller.recv_latency_ms);
    stats.set("send_latency_ms", caller.send_latency_ms);
    stats.set("send_rate_mbps", caller.send_bps as f64 / 1e6);
    stats.set("recv_rate_mbps", caller.recv_bps as f64 / 1e6);
    stats.set("pkt_sent_total", caller.packets_sent);
    stats.set("pkt_recv_total", caller.packets_received);
    stats.set("bytes_sent_total", caller.bytes_sent);
    stats.set("bytes_recv_total", caller.bytes_received);
    stats.set("pkt_retransmit_total", caller.retransmitted);
    stats.set("pkt_loss_total", caller.lost);
    stats.set("pkt_drop_total", caller.dropped);
    stats
}

const FIELDS: usize = 16;

#[cfg(test)]
mod tests {
    use bilbycast_shm_proto::counters::EndpointState;
    use bilbycast_shm_proto::detail::SrtListenerDetail;
    use serde_json::{Value, json};

    use super::*;

    fn caller(port: u16, stream_id: Option<&str>) -> SrtCallerDetail {
        SrtCallerDetail {
            remote: ([192, 0, 2, 9], port).into(),
            stream_id: stream_id.map(str::to_owned),
            state: EndpointState::Active.code(),
            uptime_ms: 61_500,
            rtt_us: stream_id.map(|_| 40_125),
            recv_latency_ms: 120,
            send_latency_ms: 400,
            send_bps: 5_250_000,
            recv_bps: 0,
            packets_sent: 30_005,
            packets_received: 0,
            bytes_sent: 39_486_580,
            bytes_received: 0,
            retransmitted: 5,
            lost: 4,
            dropped: 1,
        }
    }

    fn shown(detail: &StreamDetail, output_id: Option<&str>, leg: u8) -> Value {
        let mut stats = Tree::object();
        set(&mut stats, Some(detail), output_id, leg);
        serde_json::to_value(&stats).unwrap()
    }

    #[test]
    fn each_leg_has_its_own_callers() {
        let listener = |output_id: Option<&str>, leg, callers| SrtListenerDetail {
            output_id: output_id.map(str::to_owned),
            leg,
            callers,
            left_out: u64::from(leg),
        };
        let detail = StreamDetail {
            srt_listeners: vec![
                listener(None, 1, Vec::new()),
                listener(Some("out"), 1, vec![caller(7_001, Some("#!::r=live"))]),
                listener(Some("out"), 2, vec![caller(7_002, None)]),
            ],
            ..StreamDetail::default()
        };
        let none = json!({"peers": [], "peers_left_out": 1});
        assert_eq!(shown(&detail, None, 1), none);
        assert_eq!(shown(&detail, None, 2), json!({}), "it does not listen");
        assert_eq!(shown(&detail, Some("other"), 1), json!({}));
        assert_eq!(
            shown(&detail, Some("out"), 1),
            json!({"peers": [{
                "remote_addr": "192.0.2.9:7001", "stream_id": "#!::r=live", "state": "active",
                "uptime_ms": 61_500, "rtt_ms": 40.125, "recv_latency_ms": 120,
                "send_latency_ms": 400, "send_rate_mbps": 5.25, "recv_rate_mbps": 0.0,
                "pkt_sent_total": 30_005, "pkt_recv_total": 0, "bytes_sent_total": 39_486_580,
                "bytes_recv_total": 0, "pkt_retransmit_total": 5, "pkt_loss_total": 4,
                "pkt_drop_total": 1,
            }], "peers_left_out": 1})
        );
        let second = shown(&detail, Some("out"), 2);
        assert_eq!(second["peers"][0]["remote_addr"], "192.0.2.9:7002");
        assert_eq!(second["peers"][0]["stream_id"], Value::Null);
        assert_eq!(second["peers"][0]["rtt_ms"], Value::Null);
        assert_eq!(second["peers_left_out"], 2);
    }
}
