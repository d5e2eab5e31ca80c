//! What the page says when something is not as it should be, and what it does not cry about.

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use bilbycast_tests::node::{Node, NodeSetup};
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::sender::PacedSender;
use bilbycast_tests::{address, flows};
use serde_json::json;

use super::browser::Browser;
use super::{MONITOR_SECRET, browser, complaints, named, node, row, test_flow};

#[test]
fn faults_are_named_and_what_is_off_or_waits_is_none() {
    if !browser::is_installed() {
        return;
    }
    let filtered = address::next_addr();
    let input = json!({"type": "rtp", "bind_addr": filtered, "allowed_sources": ["192.0.2.1"]});
    let filtered_flow = named(flows::flow("filtered", input, &[]), "Filtered feed");
    let legs = [address::next_addr(), address::next_addr()];
    let input = json!({
        "type": "rtp", "bind_addr": legs[0], "redundancy": {"bind_addr": legs[1]},
    });
    let legs_flow = named(flows::flow("legs", input, &[]), "Two legs");
    let listener = json!({
        "type": "srt", "id": "guests", "name": "Guests", "mode": "listener",
        "local_addr": address::next_addr(),
    });
    let guests = flows::flow("guests", flows::test_input(1.0), &[listener]);
    let node = node(&[filtered_flow, legs_flow, named(guests, "For guests")]);
    let to = |dest| {
        let socket = UdpSocket::bind((address::own_ip(), 0)).unwrap();
        socket.connect(dest).unwrap();
        socket
    };
    let _refused = PacedSender::start(1, 1_000_000, vec![to(filtered)]);
    // Leg 1 loses a packet now and then; nothing comes on leg 2.
    let _lossy = PacedSender::start_lossy(2, 2_000_000, vec![to(legs[0])], |_, number| {
        number % 50 == 49
    });

    let mut browser = Browser::start(1600, 900);
    browser.open(&node.api().url("/"));
    browser.wait_for(
        "what the filter keeps out is told from silence",
        &format!(
            "document.querySelector('{} .cell.flow .under').textContent === 'all packets filtered'",
            row("filtered")
        ),
    );
    browser.wait_for(
        "an output that waits for callers is told, and is no fault",
        &format!(
            "(() => {{ const e = document.querySelector('{} .cell.outputs .under'); \
             return e.textContent === '1 waiting' && e.dataset.bad === 'false'; }})()",
            row("guests")
        ),
    );
    browser.wait_for(
        "the leg that is missing is told",
        &format!(
            "document.querySelectorAll('{} .cell.legs .lamp[data-lit=\"bad\"]').length === 1",
            row("legs")
        ),
    );
    off_is_no_fault(&mut browser);
    on_a_phone(&mut browser);
    themes(&mut browser, &node);
    assert_eq!(complaints(&mut browser), [""; 0]);
}

/// What an NMOS controller switched off is neither red nor an alarm.
fn off_is_no_fault(browser: &mut Browser) {
    let idle = json!({
        "flow_id": "a", "state": "Running", "health": "Healthy",
        "input": {
            "input_type": "rtp", "state": "idle", "bitrate_bps": 0, "packets_filtered": 0,
            "packets_lost": 0,
            "legs": [{"leg": 1, "state": "receiving", "up": true}, {"leg": 2, "state": "idle", "up": false}],
        },
        "outputs": [{"state": "idle", "packets_dropped": 0}], "tr101290": null,
    });
    let said = browser.evaluate(&format!(
        "(async () => {{
            const alarms = await import('/dashboard/alarms.js');
            const stats = {idle};
            const track = {{ stats, lostLately: 0, droppedLately: 0, isFiltered: false }};
            const waiting = {{ ...stats, input: {{ ...stats.input, state: 'waiting' }} }};
            return [alarms.isMissing(stats), alarms.isMissing(waiting), alarms.legsOf(stats).map((leg) => leg.isOk),
                alarms.reasonOf(track), alarms.outputsOf(track)];
        }})()"
    ));
    let expected = json!([
        false, true, [true, null], "healthy", {"words": "1 off", "isBad": false}
    ]);
    assert_eq!(said, expected);
}

/// A phone shows loss and legs where they are not good, and nothing of them elsewhere.
fn on_a_phone(browser: &mut Browser) {
    let is_shown = |flow: &str, cell: &str| {
        format!(
            "document.querySelector('{} .cell.{cell}').getClientRects().length > 0",
            row(flow)
        )
    };
    for (width, height) in [(390, 844), (844, 390)] {
        browser.size(width, height, true);
        browser.wait_for(
            "loss and legs are shown",
            &format!(
                "{} && {}",
                is_shown("legs", "loss"),
                is_shown("legs", "legs")
            ),
        );
        browser.wait_for(
            "nothing is wider than the phone",
            &format!("document.documentElement.scrollWidth <= {width}"),
        );
        let inside = browser.evaluate(&format!(
            "[...document.querySelectorAll('{} .cell')].filter((e) => e.getClientRects().length > 0)
                .every((e) => {{ const r = e.getBoundingClientRect(); return r.left >= 0 && r.right <= {width}; }})",
            row("legs")
        ));
        assert_eq!(inside, true, "all of it is in view, {width} px wide");
        browser.picture(&format!("overview-phone-{width}"));
        if width == 390 {
            assert_eq!(browser.evaluate(&is_shown("guests", "loss")), false);
            assert_eq!(browser.evaluate(&is_shown("guests", "legs")), false);
            form_on_a_phone(browser, width);
        }
    }
    browser.size(1600, 900, false);
}

fn form_on_a_phone(browser: &mut Browser, width: u32) {
    browser.click("#add_flow");
    browser.choose("#input_type", "srt");
    browser.choose("#output_type", "rtp");
    let inside = browser.evaluate(&format!(
        "[...document.querySelectorAll('dialog input, dialog select, dialog button')]
            .filter((e) => e.getClientRects().length > 0)
            .every((e) => {{ const r = e.getBoundingClientRect(); return r.left >= 0 && r.right <= {width}; }})"
    ));
    assert_eq!(inside, true, "every field is as wide as the phone at most");
    assert_eq!(
        browser.evaluate("(() => { const d = document.querySelector('dialog'); return d.scrollWidth <= d.clientWidth; })()"),
        true,
        "the form scrolls downwards alone"
    );
    browser.picture("form-phone");
    browser.click("dialog .buttons .quiet");
    browser.wait_for(
        "the form is closed",
        "!document.querySelector('dialog[open]')",
    );
}

fn themes(browser: &mut Browser, node: &Node) {
    let theme = |browser: &mut Browser| browser.evaluate("document.documentElement.dataset.theme");
    assert_eq!(theme(browser), "dark", "as the browser prefers");
    let dark = browser.evaluate("getComputedStyle(document.body).backgroundColor");
    browser.prefer("light");
    browser.wait_for(
        "it follows the browser",
        "document.documentElement.dataset.theme === 'light'",
    );
    assert_ne!(
        browser.evaluate("getComputedStyle(document.body).backgroundColor"),
        dark
    );
    // One click: dark, whatever the browser prefers; and it stays.
    browser.click("#theme");
    browser.wait_for(
        "it is dark",
        "document.documentElement.dataset.theme === 'dark'",
    );
    browser.reload();
    browser.wait_for(
        "it is still dark",
        "document.querySelector('.sizer .row') && document.documentElement.dataset.theme === 'dark'",
    );
    // A wall is told by its address, whatever was chosen here.
    browser.open(&node.api().url("/?theme=light"));
    browser.wait_for(
        "the address decides",
        "document.querySelector('.sizer .row') && document.documentElement.dataset.theme === 'light'",
    );
    assert_eq!(
        browser.evaluate("localStorage.getItem('bilbycast.theme')"),
        "dark"
    );
    browser.click("#theme");
    browser.wait_for(
        "the choice follows the browser again",
        "localStorage.getItem('bilbycast.theme') === null",
    );
    assert_eq!(browser.evaluate("location.search"), "");
    browser.prefer("dark");
}

#[test]
fn a_token_is_renewed_and_its_end_is_told() {
    if !browser::is_installed() {
        return;
    }
    let sink = Recorder::start(address::next_addr());
    let mut node = node(&[test_flow("news", "News studio 1", 2.0, &sink)]);
    node.kill_controlplane();
    let mut config = node.config();
    config["server"]["auth"] = json!({
        "enabled": true,
        "jwt_secret": "a-key-of-the-tokens-of-more-than-thirty-two-characters",
        "token_lifetime_secs": LIFE.as_secs(),
        "clients": [{"client_id": "wall", "client_secret": MONITOR_SECRET, "role": "monitor"}],
    });
    fs::write(node.folder().join("config.json"), config.to_string()).unwrap();
    node.start_controlplane();

    let mut browser = Browser::start(1280, 800);
    browser.open(&node.api().url("/#/flow/news"));
    browser.wait_for("it asks who one is", "document.getElementById('login')");
    browser.enter("#client_id", "wall");
    browser.enter("#client_secret", MONITOR_SECRET);
    browser.press("Enter");
    browser.wait_for("the flow is shown", "document.querySelector('.tile')");
    let token = "JSON.parse(sessionStorage.getItem('bilbycast.session')).token";
    // A token later it is still the same page.
    browser.evaluate("window.isSamePage = document.querySelector('.tile')");
    let old = browser.evaluate(token);
    browser.wait_for("the token is renewed", &format!("{token} !== {old}"));
    browser.wait_for("figures come", LIVE);
    assert_eq!(
        browser.evaluate("window.isSamePage === document.querySelector('.tile') && document.getElementById('session_end').hidden"),
        true
    );

    // After a reload nobody knows the secret: the end is told ahead, and what was there stays.
    browser.reload();
    browser.wait_for("its figures are shown again", BITRATE);
    browser.wait_for(
        "the end is told ahead, or has come",
        "!document.getElementById('session_end').hidden",
    );
    browser.wait_for(
        "the session is over",
        "/has ended/.test(document.getElementById('session_end').textContent)",
    );
    assert_eq!(
        browser.evaluate(&format!(
            "{BITRATE} && document.getElementById('login') === null"
        )),
        true,
        "figures stay in view"
    );
    assert_eq!(
        browser.evaluate("document.body.dataset.stale"),
        "true",
        "and look old"
    );
    browser.picture("session-over");
    // When the figures do not come any more, they are old.
    node.kill_controlplane();
    browser.wait_for(
        "old figures look old",
        "document.body.dataset.stale === 'true'",
    );
    node.start_controlplane();
    browser.click("#sign_in_again");
    browser.wait_for("it asks who one is", "document.getElementById('login')");
    browser.enter("#client_id", "wall");
    browser.enter("#client_secret", MONITOR_SECRET);
    browser.press("Enter");
    browser.wait_for("figures come again", LIVE);
    assert_eq!(complaints(&mut browser), [""; 0]);
}

#[test]
fn a_data_plane_out_of_reach_is_not_said_to_be_dead() {
    if !browser::is_installed() {
        return;
    }
    let sink = Recorder::start(address::next_addr());
    let mut setup = NodeSetup::new(&[test_flow("news", "News studio 1", 2.0, &sink)]);
    setup.port = address::next_port();
    let mut node = setup.start();
    let mut browser = Browser::start(1280, 800);
    browser.open(&node.api().url("/"));
    browser.wait_for("figures come", LIVE);
    let socket = node.control_socket();
    fs::rename(&socket, socket.with_extension("away")).unwrap();
    node.kill_controlplane();
    node.start_controlplane();
    browser.wait_for(
        "the banner says what is so",
        "/Runs, uncontrolled/.test(document.getElementById('alarms').textContent)",
    );
    browser.wait_for(
        "the flow runs",
        &format!(
            "document.querySelector('{0}').dataset.health === 'Warning' \
             && /Mb/.test(document.querySelector('{0} .bitrate').textContent)",
            row("news")
        ),
    );
    browser.picture("uncontrolled");
    node.kill_dataplane();
    browser.wait_for(
        "without a sign of life it is unknown",
        &format!(
            "/unknown/.test(document.getElementById('alarms').textContent) \
             && document.querySelector('{} .word').textContent === 'Unknown'",
            row("news")
        ),
    );
    assert_eq!(complaints(&mut browser), [""; 0]);
}

const BITRATE: &str = "/Mb/.test(document.querySelector('.tile b').textContent)";

const LIVE: &str = "document.getElementById('link').dataset.state === 'live'";

/// How long a token is good: short for a test, and long enough for a busy machine.
const LIFE: Duration = Duration::from_secs(6);
