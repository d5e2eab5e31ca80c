//! ST 2022-1 against other people's implementations, through a network that loses packets: what is recoverable on paper is
//! recovered byte for byte, what is not is not invented.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bilbycast_tests::fec_path::{Carried, FecPath, FecStream, Loses};
use bilbycast_tests::node::{Node, NodeSetup};
use bilbycast_tests::process::Process;
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::{address, flows, udp, wait};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// L and D as the client asks for them.
const MATRICES: [(u8, u8); 7] = [(5, 5), (10, 10), (20, 5), (4, 20), (8, 4), (1, 10), (6, 6)];

/// Packets at the start that nothing may be lost of: the receiver has to hear of the stream first.
const CLEAN: u64 = 60;

/// A mixture of single losses, bursts of three and lost FEC packets, some of it beyond recovery.
fn rough(stream: FecStream, number: u64) -> bool {
    if number < CLEAN {
        return false;
    }
    // A fixed mixture of bits, the same at each run.
    let mixed = |number: u64| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    match stream {
        FecStream::Media => mixed(number) % 17 == 0 || mixed(number / 3) % 31 == 0,
        FecStream::Column | FecStream::Row => mixed(number + 7) % 13 == 0,
    }
}

/// One packet in a hundred and one: no two of them ever meet in one block.
fn sparse(stream: FecStream, number: u64) -> bool {
    stream == FecStream::Media && number >= CLEAN && number % 101 == 7
}

/// Four packets in a row, as many as the narrowest matrix has columns: beyond any row, and one of each column. None in the
/// last two blocks, whose columns may not come any more.
fn bursts(stream: FecStream, number: u64) -> bool {
    stream == FecStream::Media
        && (CLEAN..500).contains(&number)
        && (7..11).contains(&(number % 151))
}

/// Whether an FEC packet is one of a column: its bit D, behind the 12 bytes of RTP.
fn is_column(packet: &[u8]) -> bool {
    packet[12 + 12] & 0x40 == 0
}

/// A transport stream file of some 700 datagrams, so that no sequence number comes twice.
fn stream_file(folder: &Path) -> PathBuf {
    let file = folder.join("stream.ts");
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "error"])
        .args([
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x180:rate=25",
            "-t",
            "4",
        ])
        .args([
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-b:v",
            "1500k",
        ])
        .args(["-muxrate", "1900000", "-f", "mpegts"])
        .arg(&file)
        .status()
        .expect("ffmpeg can be started");
    assert!(status.success());
    file
}

fn fec_input(bind_addr: SocketAddr, (columns, rows): (u8, u8)) -> Value {
    let fec = json!({"columns": columns, "rows": rows});
    flows::with(flows::rtp_input(bind_addr), "fec_decode", fec)
}

/// A flow that decodes, the path that leads to it, and what comes out of it.
struct Decoding {
    matrix: (u8, u8),
    path: FecPath,
    output: Recorder,
}

/// A node that decodes each of `matrices`, behind paths that lose what `loses` says.
fn decoding(matrices: &[(u8, u8)], loses: Loses) -> (Node, Vec<Decoding>) {
    let places: Vec<(SocketAddr, SocketAddr)> = matrices
        .iter()
        .map(|_| (address::next_fec_addr(), address::next_fec_addr()))
        .collect();
    let outputs: Vec<Recorder> = matrices
        .iter()
        .map(|_| Recorder::start(address::next_addr()))
        .collect();
    let configured: Vec<Value> = matrices
        .iter()
        .zip(&places)
        .zip(&outputs)
        .map(|((matrix, (_, input)), output)| {
            let outputs = [flows::rtp_output("out", output.address())];
            flows::flow(&id(*matrix), fec_input(*input, *matrix), &outputs)
        })
        .collect();
    let node = Node::start(&configured);
    let decoding = matrices
        .iter()
        .zip(places)
        .zip(outputs)
        .map(|((matrix, (network, input)), output)| Decoding {
            matrix: *matrix,
            path: FecPath::start(network, input, loses),
            output,
        })
        .collect();
    (node, decoding)
}

fn id((columns, rows): (u8, u8)) -> String {
    format!("fec-{columns}x{rows}")
}

/// What came out is what is knowable, in order and byte for byte, and the counters say so.
fn judge(node: &Node, decoding: Decoding) -> Carried {
    let Decoding {
        matrix,
        path,
        output,
    } = decoding;
    let carried = path.finish();
    let knowable = carried.knowable();
    // When some are missing the comparison below says which.
    let deadline = Instant::now() + Duration::from_secs(10);
    while output.count() < knowable.len() && Instant::now() < deadline {
        wait::pass(Duration::from_millis(20));
    }
    let got = output.finish(Duration::from_millis(300));
    let got: Vec<&[u8]> = got.iter().map(|datagram| &datagram.bytes[..]).collect();
    let numbers = |packets: &[&[u8]]| -> Vec<u16> {
        packets
            .iter()
            .map(|packet| u16::from_be_bytes([packet[2], packet[3]]))
            .collect()
    };
    assert_eq!(numbers(&got), numbers(&knowable), "{matrix:?}");
    assert!(
        got == knowable,
        "{matrix:?}: the numbers are right and the bytes are not"
    );
    let received = carried.media.len() - carried.lost_count();
    let recovered = knowable.len() - received;
    let stats = node.api().stats(&id(matrix));
    let input = &stats["input"];
    assert_eq!(input["packets_received"], received, "{stats:#}");
    assert_eq!(input["packets_recovered_fec"], recovered, "{stats:#}");
    assert_eq!(
        input["packets_lost"],
        carried.missing_before_the_end(&knowable),
        "{stats:#}"
    );
    assert_eq!(input["fec_mismatch"], false, "{stats:#}");
    assert_eq!(
        stats["media_analysis"]["fec"]["packets_recovered"], recovered,
        "{stats:#}"
    );
    carried
}

#[test]
fn what_ffmpeg_protects_is_recovered() {
    // ffmpeg knows no matrix of one column.
    let matrices: Vec<(u8, u8)> = MATRICES.into_iter().filter(|matrix| matrix.0 > 1).collect();
    let (node, flows) = decoding(&matrices, rough);
    let file = stream_file(node.folder());
    let senders: Vec<Process> = flows
        .iter()
        .map(|flow| {
            let (columns, rows) = flow.matrix;
            let mut command = Command::new("ffmpeg");
            command
                .args([
                    "-nostdin",
                    "-hide_banner",
                    "-loglevel",
                    "warning",
                    "-readrate",
                    "2",
                    "-i",
                ])
                .arg(&file)
                .args(["-c", "copy", "-f", "rtp_mpegts", "-fec"])
                .arg(format!("prompeg=l={columns}:d={rows}"))
                .arg(format!("rtp://{}?pkt_size=1328", flow.path.address()));
            Process::start(
                &format!("ffmpeg-{}", id(flow.matrix)),
                node.folder(),
                &mut command,
            )
        })
        .collect();
    for mut sender in senders {
        assert!(sender.wait(Duration::from_secs(20)).success());
    }
    let mut recovered = 0;
    for flow in flows {
        let carried = judge(&node, flow);
        assert!(carried.lost_count() > 20);
        recovered += carried.knowable().len() + carried.lost_count() - carried.media.len();
    }
    assert!(recovered > 200, "{recovered} packets were recovered in all");
}

#[test]
fn a_decoder_does_not_notice_the_end_of_the_control_plane() {
    let (mut node, mut flows) = decoding(&[(5, 5)], rough);
    let flow = flows.remove(0);
    let file = stream_file(node.folder());
    let mut command = Command::new("ffmpeg");
    command
        .args([
            "-nostdin",
            "-hide_banner",
            "-loglevel",
            "warning",
            "-readrate",
            "2",
            "-i",
        ])
        .arg(&file)
        .args(["-c", "copy", "-f", "rtp_mpegts", "-fec", "prompeg=l=5:d=5"])
        .arg(format!("rtp://{}?pkt_size=1328", flow.path.address()));
    let mut sender = Process::start("ffmpeg", node.folder(), &mut command);
    wait::until_true("repair is under way", Duration::from_secs(10), || {
        flow.path.media_count() > 150
    });
    node.kill_controlplane();
    assert!(sender.wait(Duration::from_secs(20)).success());
    node.start_controlplane();
    judge(&node, flow);
}

#[test]
fn what_gstreamer_protects_is_recovered() {
    if !has_gstreamer() {
        return;
    }
    let (node, flows) = decoding(&MATRICES, rough);
    let file = stream_file(node.folder());
    let senders: Vec<Process> = flows
        .iter()
        .map(|flow| {
            let (columns, rows) = flow.matrix;
            let address = flow.path.address();
            let sink = |offset: u16| {
                let port = address.port() + offset;
                let rest = "async=false sync=false";
                format!("udpsink host={} port={port} {rest}", address.ip())
            };
            // One column has no rows: they would be copies of the packets.
            let has_rows = columns > 1;
            let pipeline = format!(
                "filesrc location={} blocksize=1316 ! video/mpegts,systemstream=true,packetsize=188 ! identity \
                 datarate=475000 sync=true ! rtpmp2tpay ssrc=0 mtu=1328 ! rtpst2022-1-fecenc name=enc \
                 columns={columns} rows={rows} enable-row-fec={has_rows} enc.src ! {} enc.fec_0 ! {} enc.fec_1 ! {}",
                file.display(),
                sink(0),
                sink(2),
                sink(4)
            );
            gstreamer(&node, &format!("gst-{}", id(flow.matrix)), &pipeline)
        })
        .collect();
    for mut sender in senders {
        assert!(sender.wait(Duration::from_secs(20)).success());
    }
    for flow in flows {
        let matrix = flow.matrix;
        let carried = judge(&node, flow);
        let columns = carried
            .fec
            .iter()
            .filter(|packet| is_column(packet))
            .count();
        assert!(carried.lost_count() > 20 && columns > 20, "{matrix:?}");
        let rows = carried.fec.len() - columns;
        assert_eq!(rows > 20, matrix.0 > 1, "{matrix:?}: {rows} row packets");
    }
}

#[test]
fn what_we_protect_gstreamer_recovers() {
    if !has_gstreamer() {
        return;
    }
    let places: Vec<[SocketAddr; 3]> = MATRICES
        .iter()
        .map(|_| {
            [
                address::next_addr(),
                address::next_fec_addr(),
                address::next_fec_addr(),
            ]
        })
        .collect();
    let configured: Vec<Value> = MATRICES
        .iter()
        .zip(&places)
        .map(|((columns, rows), [input, network, _])| {
            let fec = json!({"columns": columns, "rows": rows});
            let output = flows::with(flows::rtp_output("out", *network), "fec_encode", fec);
            flows::flow(&id((*columns, *rows)), flows::rtp_input(*input), &[output])
        })
        .collect();
    let node = NodeSetup::new(&configured).start();
    let file = stream_file(node.folder());
    let stream = fs::read(&file).expect("ffmpeg wrote it");
    let paths: Vec<FecPath> = places
        .iter()
        .zip(MATRICES)
        .map(|([_, network, receiver], matrix)| {
            let loses = if matrix.0 < 4 { sparse } else { bursts };
            FecPath::start(*network, *receiver, loses)
        })
        .collect();
    let receivers: Vec<(Process, PathBuf)> = MATRICES
        .iter()
        .zip(&places)
        .map(|(matrix, [_, _, receiver])| {
            let file = node.folder().join(format!("{}.ts", id(*matrix)));
            let source = |offset: u16, caps: &str| {
                let (ip, port) = (receiver.ip(), receiver.port() + offset);
                format!("udpsrc address={ip} port={port} caps=\"application/x-rtp,{caps}\"")
            };
            let pipeline = format!(
                "{} ! rtpst2022-1-fecdec name=dec size-time=10000000000 ! rtpjitterbuffer latency=2000 ! rtpmp2tdepay \
                 ! filesink buffer-mode=unbuffered location={} {} ! dec.fec_0 {} ! dec.fec_1",
                source(0, "media=video,clock-rate=90000,encoding-name=MP2T,payload=33"),
                file.display(),
                source(2, "payload=96"),
                source(4, "payload=96"),
            );
            (gstreamer(&node, &format!("gst-{}", id(*matrix)), &pipeline), file)
        })
        .collect();
    wait::until_true("GStreamer listens", Duration::from_secs(10), || {
        receivers.iter().all(|(_, file)| file.exists())
            && places.iter().all(|[_, _, receiver]| {
                [0, 2, 4].into_iter().all(|offset| {
                    // A port that can be bound is one that nobody listens on yet.
                    let port = receiver.port() + offset;
                    std::net::UdpSocket::bind((receiver.ip(), port)).is_err()
                })
            })
    });
    let senders: Vec<std::net::UdpSocket> = places
        .iter()
        .map(|[input, _, _]| udp::sending(address::own_ip().into(), *input).expect("a sender"))
        .collect();
    let start = Instant::now();
    for (sequence, payload) in stream.chunks(1_316).enumerate() {
        let sequence = sequence as u16;
        let mut packet = vec![0x80, 33];
        packet.extend(sequence.wrapping_add(65_000).to_be_bytes());
        // By the clock, or a sender that is held up would be late for GStreamer's jitter buffer.
        let timestamp = start.elapsed().as_micros() * 9 / 100;
        packet.extend((timestamp as u32).to_be_bytes());
        packet.extend(0_u32.to_be_bytes());
        packet.extend(payload);
        for sender in &senders {
            sender.send(&packet).expect("the flow listens");
        }
        wait::pass(Duration::from_millis(3));
    }
    for (((receiver, file), path), matrix) in receivers.into_iter().zip(paths).zip(MATRICES) {
        let carried = path.finish();
        // On paper all of it is knowable.
        assert_eq!(carried.knowable().len(), carried.media.len(), "{matrix:?}");
        let lost_min = if matrix.0 < 4 { 4 } else { 12 };
        assert!(carried.lost_count() >= lost_min, "{matrix:?}");
        assert_eq!(
            carried.fec.iter().all(|packet| is_column(packet)),
            matrix.0 == 1,
            "{matrix:?}"
        );
        let whole = (stream.len() / 1_316 * 1_316) as u64;
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::metadata(&file).map_or(0, |file| file.len()) < whole && Instant::now() < deadline
        {
            wait::pass(Duration::from_millis(20));
        }
        let got = fs::read(&file).expect("GStreamer wrote it");
        let mut rest = got.chunks(1_316).peekable();
        let lost = stream[..whole as usize].chunks(1_316).enumerate();
        let lost = lost.filter(|(_, sent)| rest.next_if_eq(sent).is_none());
        let lost: Vec<usize> = lost.map(|(number, _)| number).collect();
        assert!(
            lost.is_empty(),
            "{matrix:?}: GStreamer did not bring {lost:?}"
        );
        receiver.signal(Signal::SIGTERM);
        let stats = node.api().stats(&id(matrix));
        let sent = stats["outputs"][0]["fec_packets_sent"]
            .as_u64()
            .unwrap_or(0);
        assert!(sent >= carried.fec.len() as u64 && sent > 0, "{stats:#}");
    }
}

fn has_gstreamer() -> bool {
    let found = Command::new("gst-inspect-1.0")
        .args(["--exists", "rtpst2022-1-fecdec"])
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        bilbycast_test_peers::skip(
            "no gst-launch-1.0 with rtpst2022-1-fecdec (gstreamer1.0-plugins-good)",
        );
    }
    found
}

fn gstreamer(node: &Node, name: &str, pipeline: &str) -> Process {
    let mut command = Command::new("gst-launch-1.0");
    // Each word is an argument, as a shell would hand it over; no value here has a space.
    command
        .arg("-q")
        .args(pipeline.replace('"', "").split_whitespace());
    Process::start(name, node.folder(), &mut command)
}
