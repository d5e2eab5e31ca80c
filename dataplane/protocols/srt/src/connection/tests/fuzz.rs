//! Whatever arrives at a connected socket: no panic, and no cost beyond the packet.

use proptest::prelude::*;

use crate::connection::Connection;
use crate::time::Micros;
use crate::wire::{
    Control, ControlPacket, DataHeader, DataPacket, KeyFlag, LossRange, MessagePosition, MsgNumber,
    SeqNumber, SocketId, Timestamp, write_nak,
};

use super::pair::{Pair, Setup};

/// A step of a conversation with a far end that means no good.
#[derive(Clone, Debug)]
enum Step {
    Data {
        ahead: i32,
        retransmitted: bool,
        filter: bool,
        timestamp: u32,
        payload: Vec<u8>,
    },
    Nak(Vec<(i32, u32)>),
    Ack {
        ahead: i32,
        number: u32,
        detail: Option<[u32; 6]>,
    },
    AckAck(u32, u32),
    Drop {
        first: i32,
        last: i32,
    },
    Bytes(Vec<u8>),
    Write(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        (
            -20_000..20_000,
            any::<bool>(),
            any::<bool>(),
            any::<u32>(),
            bytes.clone()
        )
            .prop_map(
                |(ahead, retransmitted, filter, timestamp, payload)| Step::Data {
                    ahead,
                    retransmitted,
                    filter,
                    timestamp,
                    payload
                }
            ),
        (-3..60, any::<bool>(), bytes.clone()).prop_map(|(ahead, retransmitted, payload)| {
            Step::Data {
                ahead,
                retransmitted,
                filter: false,
                timestamp: 1_000_000,
                payload,
            }
        }),
        proptest::collection::vec((-5_000..5_000, any::<u32>()), 1..170).prop_map(Step::Nak),
        (-100..2_000, any::<u32>(), any::<Option<[u32; 6]>>()).prop_map(
            |(ahead, number, detail)| Step::Ack {
                ahead,
                number,
                detail
            }
        ),
        (any::<u32>(), 0_u32..50).prop_map(|(timestamp, number)| Step::AckAck(number, timestamp)),
        (-30_000..30_000, -30_000..30_000).prop_map(|(first, last)| Step::Drop { first, last }),
        bytes.prop_map(Step::Bytes),
        (0_usize..200).prop_map(Step::Write),
        (0_u64..400_000).prop_map(Step::Pass),
    ]
}

const FIRST: SeqNumber = SeqNumber::MAX;

fn at(ahead: i32) -> SeqNumber {
    if ahead < 0 {
        FIRST.minus(ahead.unsigned_abs())
    } else {
        FIRST.plus(ahead.unsigned_abs())
    }
}

fn apply(connection: &mut Connection, now: &mut Micros, step: &Step) {
    let mut datagram = vec![0; 2_000];
    let control = |control| ControlPacket {
        timestamp: Timestamp(0),
        destination: SocketId(2),
        control,
    };
    let length = match step {
        Step::Data {
            ahead,
            retransmitted,
            filter,
            timestamp,
            payload,
        } => {
            let header = DataHeader {
                sequence: at(*ahead),
                position: MessagePosition::Single,
                in_order: false,
                key: KeyFlag::None,
                retransmitted: *retransmitted,
                message: if *filter {
                    MsgNumber::FILTER
                } else {
                    MsgNumber::FIRST
                },
                timestamp: Timestamp(*timestamp),
                destination: SocketId(2),
            };
            DataPacket { header, payload }.write(&mut datagram).unwrap()
        }
        Step::Nak(ranges) => {
            let ranges = ranges.iter().map(|(first, count)| LossRange {
                first: at(*first),
                last: at(*first).plus(*count & 0x3fff_ffff),
            });
            write_nak(&mut datagram, Timestamp(0), SocketId(2), ranges).0
        }
        Step::Ack {
            ahead,
            number,
            detail,
        } => {
            let ack = crate::wire::Ack {
                number: *number,
                acknowledged: at(*ahead),
                detail: detail.map(|words| crate::wire::AckDetail {
                    rtt_us: words[0],
                    rtt_var_us: words[1],
                    buffer_available: words[2],
                    rates: Some(crate::wire::AckRates {
                        packets_per_second: words[3],
                        link_capacity: words[4],
                        bytes_per_second: words[5],
                    }),
                }),
            };
            control(Control::Ack(ack)).write(&mut datagram).unwrap()
        }
        Step::AckAck(number, timestamp) => {
            let packet = ControlPacket {
                timestamp: Timestamp(*timestamp),
                ..control(Control::AckAck { number: *number })
            };
            packet.write(&mut datagram).unwrap()
        }
        Step::Drop { first, last } => {
            let request = Control::DropRequest {
                message: MsgNumber::FIRST,
                first: at(*first),
                last: at(*last),
            };
            control(request).write(&mut datagram).unwrap()
        }
        Step::Bytes(bytes) => {
            datagram[..bytes.len()].copy_from_slice(bytes);
            if bytes.len() >= 16 {
                datagram[12..16].copy_from_slice(&2_u32.to_be_bytes());
            }
            bytes.len()
        }
        Step::Write(count) => {
            for _ in 0..*count {
                let _ = connection.send(*now, &[b"a message of the tests"]);
            }
            return;
        }
        Step::Pass(span) => {
            *now += Micros(*span);
            connection.handle_timeout(*now);
            let mut out = [0; 1_500];
            while connection.receive(*now, &mut out).is_some() {}
            return;
        }
    };
    connection.handle_packet(*now, &mut datagram[..length]);
}

/// Applies the steps, and checks what must hold after each.
fn converse(filter: Option<&'static str>, tolerance: u32, steps: &[Step]) {
    let mut setup = Setup {
        filter,
        first: FIRST,
        ..Setup::default()
    };
    setup.settings.recv_buffer_packets = 256;
    setup.settings.send_buffer_packets = 256;
    setup.settings.loss_max_ttl = tolerance;
    let mut pair = Pair::new(setup);
    let connection = &mut pair.receiver.connection;
    let mut now = Micros::from_secs(1_001);
    for step in steps {
        apply(connection, &mut now, step);
        let mut out = [0; 1_500];
        let mut sent = 0;
        while connection.poll_transmit(now, &mut out).is_some() {
            sent += 1;
            assert!(sent <= 700, "more answers than there are packets: {step:?}");
        }
        let stats = connection.stats(now);
        assert!(stats.receive.buffer_packets <= 256 && stats.send.buffer_packets <= 256);
        assert!(stats.receive.missing <= 256);
        connection.handle_timeout(now);
        assert!(
            connection.next_timeout() > now,
            "it would spin after {step:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_conversation_panics_spins_or_grows(steps in proptest::collection::vec(step(), 1..80)) {
        converse(None, 0, &steps);
        converse(None, 20, &steps);
        converse(Some("fec,cols:5,rows:4,layout:staircase,arq:onreq"), 0, &steps);
        converse(Some("fec,cols:16,rows:1,arq:never"), 0, &steps);
    }
}
