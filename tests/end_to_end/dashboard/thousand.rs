//! A node with a thousand flows, all of whose figures move: what the page takes to show them, and what ten viewers cost.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bilbycast_tests::node::Node;
use bilbycast_tests::{address, cpu, flows, rtp, wait};
use serde_json::Value;
use tokio_tungstenite::tungstenite::{Message, client};

use super::browser::Browser;
use super::{browser, complaints, named, node, row};

const FLOWS: usize = 1_000;

#[test]
fn a_thousand_flows_stay_usable() {
    if !browser::is_installed() {
        return;
    }
    let inputs: Vec<SocketAddr> = (0..FLOWS).map(|_| address::next_addr()).collect();
    let all: Vec<Value> = (0..)
        .zip(&inputs)
        .map(|(number, input)| {
            let flow = flows::flow(&id(number), flows::udp_input(*input), &[]);
            named(flow, &format!("Feed {number}"))
        })
        .collect();
    let node = node(&all);
    let drizzle = Drizzle::start(inputs);
    let mut browser = Browser::start(1920, 1080);
    browser.open(&node.api().url("/"));
    browser.wait_for(
        "all flows are counted",
        "document.querySelector('.list')?.getAttribute('aria-rowcount') === '1001'",
    );
    let rows = browser.evaluate("document.querySelectorAll('.sizer .row').length");
    assert!(rows.as_u64().unwrap() < 60, "{rows} rows are in the page");
    browser.wait_for(
        "figures of all that is in view move",
        "(() => { const rows = [...document.querySelectorAll('.sizer .row:not([hidden]) .bitrate .number')]; \
         return rows.length > 10 && rows.every((e) => /[kM]b/.test(e.textContent)); })()",
    );
    refreshes(&mut browser);
    browser.picture("thousand");

    browser.evaluate("document.querySelector('.list').focus()");
    let last = "document.querySelector('.sizer .row:not([hidden])[aria-rowindex=\"1001\"]')";
    browser.press("End");
    browser.wait_for("the last one is in view", last);
    browser.enter("#search", "feed-0500");
    browser.wait_for(
        "one is found",
        &format!(
            "document.querySelectorAll('.sizer .row:not([hidden])').length === 1 && document.querySelector('{}')",
            row("feed-0500")
        ),
    );
    assert_eq!(complaints(&mut browser), [""; 0]);
    drop(browser);
    ten_viewers(&node);
    drop(drizzle);
}

/// The middle one of some refreshes: a busy machine is no fault of the page.
fn refreshes(browser: &mut Browser) {
    let mut times: Vec<f64> = Vec::new();
    wait::until_true("five refreshes are measured", LIMIT, || {
        let text = browser.evaluate("document.getElementById('refresh').dataset.ms ?? ''");
        let time = text.as_str().and_then(|text| text.parse::<f64>().ok());
        if let Some(time) = time.filter(|time| time.is_finite() && times.last() != Some(time)) {
            times.push(time);
        }
        times.len() >= 5
    });
    times.sort_by(f64::total_cmp);
    println!("refreshes of {FLOWS} flows: {times:.0?} ms");
    assert!(times[2] < 200.0, "refreshes took {times:?} ms");
}

/// Ten pages cost the network and the control plane a small part of what ten readers of all statistics do.
fn ten_viewers(node: &Node) {
    let [all, overview] = ["/api/v1/ws/stats", "/api/v1/ws/overview"].map(|path| {
        let cost = cost_of_viewers(node, path);
        println!(
            "10 viewers of {path}: {:.0} kB a frame and viewer, {:.1} % of a core",
            cost.frame_bytes / 1e3,
            100.0 * cost.cores
        );
        cost
    });
    assert!(
        overview.frame_bytes < all.frame_bytes / 8.0,
        "{overview:?}, {all:?}"
    );
    assert!(overview.cores < 0.6 * all.cores, "{overview:?}, {all:?}");
    assert!(overview.cores < 0.05, "{overview:?}");
}

#[derive(Debug)]
struct Cost {
    /// Bytes of a frame for one viewer, the first one left out.
    frame_bytes: f64,
    /// CPU time of the control plane for each second.
    cores: f64,
}

fn cost_of_viewers(node: &Node, path: &str) -> Cost {
    let url = node.api().url(path).replacen("http", "ws", 1);
    let address = url.trim_start_matches("ws://").split('/').next().unwrap();
    let mut viewers: Vec<_> = (0..10)
        .map(|_| {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            client(url.as_str(), stream).unwrap().0
        })
        .collect();
    let mut frame = || -> usize {
        let lengths = viewers.iter_mut().map(|viewer| {
            loop {
                if let Message::Text(text) = viewer.read().unwrap() {
                    return text.len();
                }
            }
        });
        lengths.sum()
    };
    // The first one holds everything.
    frame();
    let pid = node.controlplane().pid();
    let (began, spent) = (Instant::now(), cpu::time_of(pid));
    let bytes: usize = (0..FRAMES).map(|_| frame()).sum();
    let cores = (cpu::time_of(pid) - spent).div_duration_f64(began.elapsed());
    Cost {
        frame_bytes: bytes as f64 / (10 * FRAMES) as f64,
        cores,
    }
}

/// Sends a datagram of seven null packets to each of many inputs, five times a second.
struct Drizzle {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drizzle {
    fn start(to: Vec<SocketAddr>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        let socket = UdpSocket::bind((address::own_ip(), 0)).unwrap();
        let payload = rtp::ts_payload(0);
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for part in to.chunks(FLOWS / 50) {
                    for dest in part {
                        // An input whose socket is not there yet refuses it; the next one arrives.
                        let _ = socket.send_to(&payload, dest);
                    }
                    wait::pass(Duration::from_millis(4));
                }
            }
        });
        Self {
            ended,
            thread: Some(thread),
        }
    }
}

impl Drop for Drizzle {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn id(number: usize) -> String {
    format!("feed-{number:04}")
}

/// Frames that are measured.
const FRAMES: usize = 3;

/// Generous: a loaded machine is no fault of the page.
const LIMIT: Duration = Duration::from_secs(20);
