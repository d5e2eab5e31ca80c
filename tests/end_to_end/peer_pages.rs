//! The commands in `docs/peers` do what the pages say: each runs against a node that has the flow beside it, and media
//! arrives. All run at once, on one node.
//!
//! A fence ```` ```json flow=NAME ```` holds a flow, and ```` ```sh test=NAME ```` the command for its other end, which
//! reads `input.ts` or what arrives on the UDP port `from=`, and writes `received.ts` or sends to the UDP port `to=`.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bilbycast_tests::node::Node;
use bilbycast_tests::process::Process;
use bilbycast_tests::recorder::{Recorder, joined};
use bilbycast_tests::{address, flows, ts, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Pages whose commands are run.
const TRIED: [&str; 4] = [
    include_str!("../../docs/peers/ffmpeg.md"),
    include_str!("../../docs/peers/gstreamer.md"),
    include_str!("../../docs/peers/srt-live-transmit.md"),
    include_str!("../../docs/peers/vlc.md"),
];

/// Pages whose flows are only asked to be legal: their peers have windows, or are made of metal.
const READ: [&str; 2] = [
    include_str!("../../docs/peers/obs.md"),
    include_str!("../../docs/peers/hardware.md"),
];

/// The node on the pages, the machine of the peer, and who receives from the node.
const NODE: &str = "192.0.2.10";
const PEER: &str = "192.0.2.20";
const RECEIVER: &str = "192.0.2.30";

#[test]
fn what_the_pages_say_carries_media() {
    let examples: Vec<Example> = TRIED.into_iter().flat_map(examples).collect();
    assert!(examples.len() >= 23, "{} examples", examples.len());
    let examples: Vec<Example> = examples.into_iter().filter(Example::can_run).collect();
    if examples.is_empty() {
        return;
    }
    let recorders: Vec<Option<Recorder>> = examples.iter().map(Example::recorder).collect();
    let feeds: Vec<Value> = examples.iter().filter_map(Example::feed).collect();
    let mut configured: Vec<Value> = examples
        .iter()
        .map(|example| example.flow.clone())
        .collect();
    if !feeds.is_empty() {
        configured.push(flows::flow("feed", flows::test_input(3.0), &feeds));
    }
    let node = Node::start(&configured);
    if !make_recording(node.folder()) {
        return;
    }
    let peers: Vec<Process> = examples.iter().map(|example| example.run(&node)).collect();
    for ((example, recorder), peer) in examples.iter().zip(&recorders).zip(&peers) {
        example.judge(&node, recorder.as_ref(), peer);
    }
    // All are told before any is waited for.
    for mut peer in peers {
        if peer.ended().is_none() {
            peer.signal(Signal::SIGKILL);
        }
    }
}

#[test]
fn every_flow_on_the_pages_is_legal() {
    let node = Node::start(&[]);
    let mut names = Vec::new();
    for block in TRIED.into_iter().chain(READ).flat_map(blocks) {
        let Some(name) = block.attribute("flow") else {
            continue;
        };
        let flow = flows::with(block.json(), "enabled", false);
        assert_eq!(flow["id"], name);
        assert!(!names.contains(&name), "{name} is there twice");
        let _added = node.api().post("/api/v1/flows", &flow).data();
        // Pages use the same ports again.
        let path = format!("/api/v1/flows/{name}");
        assert_eq!(node.api().delete(&path).status, 200);
        names.push(name);
    }
    let unknown = "unknown configuration field";
    let log = node.controlplane().printed();
    assert!(!log.contains(unknown) && names.len() > TRIED.len(), "{log}");
}

/// A flow and the command for its other end, on addresses of this test.
struct Example {
    name: String,
    flow: Value,
    command: String,
    /// Where the command takes UDP from.
    from: Option<SocketAddr>,
    /// Where it sends UDP to.
    to: Option<SocketAddr>,
}

fn examples(page: &'static str) -> Vec<Example> {
    let blocks = blocks(page);
    let flow = |name: &str| {
        let found = blocks
            .iter()
            .find(|block| block.attribute("flow") == Some(name));
        found.unwrap_or_else(|| panic!("there is no flow {name}"))
    };
    blocks
        .iter()
        .filter_map(|block| Some((block.attribute("test")?, block)))
        .map(|(name, block)| Example::new(name, flow(name).json(), block))
        .collect()
}

impl Example {
    fn new(name: &str, flow: Value, block: &Block) -> Self {
        let port = |key| {
            let port = block.attribute(key);
            port.map(|port| port.parse::<u16>().expect("a port"))
        };
        let udp = |ip: &str, port: u16| format!("{ip}:{port}");
        let (from, to) = (
            port("from").map(|port| udp(PEER, port)),
            port("to").map(|port| udp(PEER, port)),
        );
        let text = flow.to_string();
        let mut places = Places::default();
        for word in text.split('"').chain(from.as_deref()).chain(to.as_deref()) {
            if let Ok(address) = word.parse::<SocketAddr>() {
                places.add(address.port(), text.contains("\"fec_"));
            }
        }
        let placed = |udp: String| places.put(&udp).parse().expect("still an address");
        Self {
            name: name.to_owned(),
            flow: serde_json::from_str(&places.put(&text)).expect("still JSON"),
            command: places.put(&block.text),
            from: from.map(placed),
            to: to.map(placed),
        }
    }

    /// Whether its program is there.
    fn can_run(&self) -> bool {
        let program = self.command.split_whitespace().next().expect("a program");
        let is_there = is_in_path(program)
            && match program {
                "gst-launch-1.0" => has_elements(),
                VLC => has_modules_of_vlc(),
                _ => true,
            };
        if !is_there {
            bilbycast_test_peers::skip(format!("{}: no {program}", self.name));
        }
        is_there
    }

    /// Whether the peer sends and the node receives.
    fn is_input(&self) -> bool {
        self.flow["input"]["type"] != "test"
    }

    /// Who keeps what comes out at the end, when that is UDP.
    fn recorder(&self) -> Option<Recorder> {
        let output = &self.flow["outputs"][0]["dest_addr"];
        let address = if self.is_input() {
            Some(output.as_str()?.parse().expect("an address"))
        } else {
            self.to
        };
        address.map(Recorder::start)
    }

    /// The output of the test's own flow that gives the command what it carries.
    fn feed(&self) -> Option<Value> {
        self.from.map(|from| flows::udp_output(&self.name, from))
    }

    /// A folder of its own, in which the recording lies under the name that the page gives it.
    fn folder(&self, node: &Node) -> PathBuf {
        node.folder().join(&self.name)
    }

    fn run(&self, node: &Node) -> Process {
        let folder = self.folder(node);
        fs::create_dir(&folder).expect("the node's folder can be written");
        std::os::unix::fs::symlink(node.folder().join(RECORDING), folder.join(RECORDING))
            .expect("a link can be made");
        let mut command = if self.command.starts_with(VLC) {
            shell_of_nobody(node, &folder)
        } else {
            Command::new("sh")
        };
        command
            .arg("-c")
            .arg(format!("exec {}", self.command))
            .current_dir(&folder);
        Process::start(&self.name, node.folder(), &mut command)
    }

    fn judge(&self, node: &Node, recorder: Option<&Recorder>, peer: &Process) {
        let what = format!("{}: the media is there:\n{}", self.name, self.command);
        let received = self.folder(node).join("received.ts");
        let is_rtp = self.is_input() && self.flow["outputs"][0]["type"] == "rtp";
        let header = if is_rtp { 12 } else { 0 };
        let report = wait::until(&what, LIMIT, || {
            let mut stream = match recorder {
                Some(recorder) => joined(&recorder.so_far(), header),
                None => fs::read(&received).unwrap_or_default(),
            };
            // A file ends wherever its writer is just now.
            stream.truncate(stream.len() / 188 * 188);
            (stream.len() >= ENOUGH_BYTES).then(|| ts::inspect(&stream))
        });
        let said = peer.printed();
        assert_eq!(
            (report.misaligned, report.continuity_errors),
            (0, 0),
            "{what}\n{report:?}\n{said}"
        );
        let stats = node.api().stats(&self.name);
        if self.is_input() {
            let input = &stats["input"];
            assert_eq!(input["state"], "receiving", "{what}\n{stats:#}");
            assert_eq!(input["packets_lost"], 0, "{what}\n{stats:#}");
            let codec = &stats["media_analysis"]["video_streams"][0]["codec"];
            assert_eq!(codec, "H.264/AVC", "{what}\n{stats:#}");
            if !self.flow["input"]["fec_decode"].is_null() {
                assert!(
                    input["fec_packets_received"].as_u64() > Some(0),
                    "{what}\n{stats:#}"
                );
                assert_eq!(input["fec_mismatch"], false, "{what}\n{stats:#}");
            }
        } else if !self.flow["outputs"][0]["fec_encode"].is_null() {
            let sent = &stats["outputs"][0]["fec_packets_sent"];
            assert!(sent.as_u64() > Some(0), "{what}\n{stats:#}");
        }
    }
}

/// How long media may take to come through, with all the others.
const LIMIT: Duration = Duration::from_secs(10);

/// A second and a half of the recording.
const ENOUGH_BYTES: usize = 400_000;

/// A fenced block.
struct Block {
    /// What stands behind the fence.
    info: &'static str,
    text: String,
}

fn blocks(page: &'static str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block {
                info,
                text: inside.join("\n"),
            });
        }
    }
    blocks
}

impl Block {
    fn attribute(&self, key: &str) -> Option<&'static str> {
        let mut words = self.info.split_whitespace();
        words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{}: {error}:\n{}", self.info, self.text))
    }
}

/// Ports of a page, and those that this test has in their place.
#[derive(Default)]
struct Places(BTreeMap<u16, u16>);

impl Places {
    fn add(&mut self, port: u16, has_fec: bool) {
        if port == 0 || self.0.contains_key(&port) {
            return;
        }
        let free = free_port();
        self.0.insert(port, free);
        if has_fec {
            self.0.insert(port + 2, free + 2);
            self.0.insert(port + 4, free + 4);
        }
    }

    /// The text with every address and every port in it exchanged.
    fn put(&self, text: &str) -> String {
        let own = address::own_ip().to_string();
        let text = text
            .replace(NODE, &own)
            .replace(PEER, &address::other_ip().to_string())
            .replace(RECEIVER, &own)
            .replace("0.0.0.0", &own);
        let mut put = String::new();
        let mut rest = &text[..];
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let digits = &rest[start..];
            let end = digits.find(|c: char| !c.is_ascii_digit());
            let (number, after) = digits.split_at(end.unwrap_or(digits.len()));
            put.push_str(&rest[..start]);
            match number.parse().ok().and_then(|port: u16| self.0.get(&port)) {
                Some(place) => put.push_str(&place.to_string()),
                None => put.push_str(number),
            }
            rest = after;
        }
        put.push_str(rest);
        put
    }
}

/// A port that nobody has on any address, and neither the five behind it: programs here bind the unspecified address, which
/// no other socket may share, and RTCP and FEC have the ports behind that of the media.
fn free_port() -> u16 {
    // Beyond what other tests reach that count up from 20,000, and below what the kernel gives.
    static NEXT: AtomicU16 = AtomicU16::new(28_000);
    loop {
        let port = NEXT.fetch_add(6, Ordering::Relaxed);
        assert!(port < 32_700, "no port is free");
        if (port..port + 6).all(|port| UdpSocket::bind(("0.0.0.0", port)).is_ok()) {
            return port;
        }
    }
}

/// The recording that the commands send.
const RECORDING: &str = "input.ts";

/// Makes it; false when there is no program that could.
fn make_recording(folder: &Path) -> bool {
    if !is_in_path("ffmpeg") {
        bilbycast_test_peers::skip("no ffmpeg, which makes the recording that is sent");
        return false;
    }
    let words = "-nostdin -loglevel error -f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=sample_rate=48000 \
                 -t 20 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 25 -b:v 1500k -c:a mp2 -b:a 128k \
                 -muxrate 2200000 -f mpegts";
    let status = Command::new("ffmpeg")
        .args(words.split_whitespace())
        .arg(folder.join(RECORDING))
        .status()
        .expect("ffmpeg can be started");
    assert!(status.success());
    true
}

fn is_in_path(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\" >/dev/null", program])
        .status();
    found.is_ok_and(|status| status.success())
}

/// GStreamer without its plugins is no peer.
fn has_elements() -> bool {
    let elements = ["rtpst2022-1-fecenc", "rtpmp2tpay", "tsparse", "srtsink"];
    elements.into_iter().all(|element| {
        let found = Command::new("gst-inspect-1.0")
            .args(["--exists", element])
            .status();
        found.is_ok_and(|status| status.success())
    })
}

/// VLC without a window.
const VLC: &str = "cvlc";

/// VLC without its modules is no peer. They are in other packages than the program.
fn has_modules_of_vlc() -> bool {
    let modules = ["access/libaccess_srt_plugin.so", "mux/libmux_ts_plugin.so"];
    modules.into_iter().all(|module| {
        let found = Command::new("sh")
            .arg("-c")
            .arg(format!("ls /usr/lib/vlc/plugins/{module} /usr/lib/*/vlc/plugins/{module} 2>/dev/null | grep -q ."))
            .status();
        found.is_ok_and(|status| status.success())
    })
}

/// A shell for a program that refuses to run as root. Where the test is root it is somebody else, who owns `folder` and may
/// pass through that of the node.
fn shell_of_nobody(node: &Node, folder: &Path) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new("sh");
    }
    fs::set_permissions(node.folder(), fs::Permissions::from_mode(0o711))
        .expect("the node's folder is this test's own");
    std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).expect("root may");
    let id = NOBODY.to_string();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", &id, "--regid", &id, "--clear-groups", "sh"])
        .env("HOME", folder);
    command
}

/// User and group without any right, as the kernel calls them (overflowuid).
const NOBODY: u32 = 65_534;

#[test]
fn places_are_put_where_the_ports_stand() {
    let mut places = Places::default();
    places.add(5_004, true);
    let port = places.0[&5_004];
    let put = places.put("rtp://192.0.2.10:5004?a=50041 port=5008 0.0.0.0:0");
    let own = address::own_ip();
    let row = port + 4;
    assert_eq!(
        put,
        format!("rtp://{own}:{port}?a=50041 port={row} {own}:0")
    );
    assert_eq!(places.0.len(), 3);
}
