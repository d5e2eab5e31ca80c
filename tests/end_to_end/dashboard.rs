//! The dashboard in a real browser: what it shows, what is done in it, and how it lives through a restart of the control
//! plane. Pictures of it are kept in `target/dashboard`.

use std::fs;
use std::time::Duration;

use bilbycast_tests::node::{Node, NodeSetup};
use bilbycast_tests::recorder::Recorder;
use bilbycast_tests::{address, flows, wait};
use serde_json::{Value, json};

mod browser;
mod thousand;
mod trouble;

use browser::Browser;

/// A name that would run a script if it were ever taken for markup.
const HOSTILE: &str = r#"<img src=x onerror="window.owned=1"><script>window.owned=1</script>&amp;"#;

const ADMIN_SECRET: &str = "the-secret-of-the-admin-client";
const MONITOR_SECRET: &str = "the-secret-of-the-monitor-client";

fn named(flow: Value, name: &str) -> Value {
    flows::with(flow, "name", name)
}

fn test_flow(id: &str, name: &str, mbps: f64, sink: &Recorder) -> Value {
    let output = flows::udp_output("out", sink.address());
    named(flows::flow(id, flows::test_input(mbps), &[output]), name)
}

/// A node with a port that it keeps over restarts.
fn node(flows: &[Value]) -> Node {
    let mut setup = NodeSetup::new(flows);
    setup.port = address::next_port();
    setup.start()
}

/// Complaints of the page that are not what a test has caused on purpose.
fn complaints(browser: &mut Browser) -> Vec<String> {
    let all = browser.take_complaints();
    let is_expected = |complaint: &String| {
        [
            "status of 400",
            "status of 401",
            // A flow that has just been deleted.
            "/api/v1/stats/weather",
            "net::ERR_",
            "WebSocket connection to",
        ]
        .iter()
        .any(|expected| complaint.contains(expected))
    };
    all.into_iter().filter(|one| !is_expected(one)).collect()
}

fn row(id: &str) -> String {
    format!(".sizer .row[data-flow=\"{id}\"]:not([hidden])")
}

/// A value of the first plot of a flow's page, in the unit of the page.
fn plot(browser: &mut Browser, field: &str) -> u64 {
    let value = browser.evaluate(&format!("document.querySelector('.plot').dataset.{field}"));
    value.as_str().unwrap_or("0").parse().unwrap_or_default()
}

#[test]
fn operators_see_their_flows_and_work_with_them() {
    if !browser::is_installed() {
        return;
    }
    let sink = Recorder::start(address::next_addr());
    let silent = flows::flow("silent", flows::udp_input(address::next_addr()), &[]);
    let hostile = flows::with(test_flow("hostile", HOSTILE, 1.0, &sink), "enabled", false);
    let node = node(&[
        test_flow("news", "News studio 1", 8.0, &sink),
        test_flow("sport", "Sport OB 4", 4.0, &sink),
        named(silent, "Parliament feed"),
        hostile,
    ]);
    let mut browser = Browser::start(1600, 900);
    browser.open(&node.api().url("/"));
    overview(&mut browser);
    one_flow(&mut browser);
    create_and_stop(&mut browser, &node, &sink);
    events(&mut browser);
    assert_eq!(browser.evaluate("window.owned ?? null"), Value::Null);
    assert_eq!(complaints(&mut browser), [""; 0]);
}

fn overview(browser: &mut Browser) {
    browser.wait_for(
        "all flows are shown",
        "document.querySelectorAll('.sizer .row:not([hidden])').length === 4",
    );
    browser.wait_for(
        "the WebSocket brings figures",
        "document.getElementById('link').dataset.state === 'live'",
    );
    browser.wait_for(
        "a flow without input is an alarm",
        &format!(
            "document.querySelector('{}').dataset.health === 'Critical'",
            row("silent")
        ),
    );
    browser.wait_for(
        "the banner names it",
        "/1 critical.*Parliament feed no input/.test(document.getElementById('alarms').textContent)",
    );
    browser.wait_for(
        "the bottom line says how NMOS stands",
        "/ · NMOS (searching|registering|registered|retrying)$/.test(document.getElementById('node_facts').textContent)",
    );
    let shown = browser.evaluate(&format!(
        "document.querySelector('{} .name').textContent",
        row("hostile")
    ));
    assert_eq!(shown, HOSTILE, "a name is text");
    assert_eq!(browser.evaluate("document.images.length"), 0);
    browser.wait_for(
        "a bitrate is shown",
        &format!(
            "/^[78]\\.\\d+ Mb/.test(document.querySelector('{} .bitrate').textContent)",
            row("news")
        ),
    );
    let first = browser.evaluate(&format!(
        "document.querySelector('{}').dataset.flow",
        ".sizer .row[aria-rowindex=\"2\"]"
    ));
    assert_eq!(first, "silent", "the worst comes first");
    browser.picture("overview");

    // By keyboard alone: search, down into the list, and in.
    browser.press("/");
    browser.wait_for(
        "the search has the focus",
        "document.activeElement.id === 'search'",
    );
    browser.evaluate("document.activeElement.value = ''");
    for letter in ["s", "t", "u", "d"] {
        browser.press(letter);
    }
    browser.wait_for(
        "one flow is left",
        "document.querySelectorAll('.sizer .row:not([hidden])').length === 1",
    );
    browser.press("ArrowDown");
    browser.press("ArrowDown");
    browser.press("Enter");
    browser.wait_for("its page is open", "location.hash === '#/flow/news'");
}

fn one_flow(browser: &mut Browser) {
    browser.wait_for(
        "the plots have a history",
        "Number(document.querySelector('.plot')?.dataset.points) >= 3",
    );
    let newest = plot(browser, "newest");
    browser.wait_for(
        "the plots move",
        &format!("Number(document.querySelector('.plot').dataset.newest) > {newest}"),
    );
    browser.wait_for(
        "the indicators are measured",
        "document.querySelector('#tr101290 .lamp').dataset.lit === 'ok'",
    );
    browser.wait_for(
        "the programme is shown",
        "/H\\.264/.test(document.getElementById('programmes').textContent)",
    );
    browser.wait_for(
        "the PIDs are listed",
        "document.querySelectorAll('#pids tbody tr').length >= 3",
    );
    browser.wait_for(
        "the PCR accuracy is plotted",
        "/^PCR accuracy: .* \\d[\\d.]* (ns|µs)/.test(document.querySelectorAll('.plot')[3].getAttribute('aria-label'))",
    );
    keyboard(browser);
    browser.point_at(".plot");
    browser.wait_for(
        "the second under the mouse is told",
        "document.querySelector('.when').textContent !== ''",
    );
    browser.picture("flow");
    browser.prefer("light");
    browser.picture("flow-light");
    browser.prefer("dark");
    browser.size(390, 844, true);
    browser.wait_for(
        "nothing is wider than a phone",
        "document.documentElement.scrollWidth <= 390",
    );
    browser.picture("flow-phone");
    browser.open_hash("#/");
    browser.wait_for(
        "the overview is back",
        "document.body.dataset.page === 'overview'",
    );
    browser.click(".chip[aria-pressed] ~ .chip[data-health=\"Healthy\"]");
    browser.evaluate("document.getElementById('search').value = ''; document.getElementById('search').dispatchEvent(new Event('input'))");
    browser.wait_for(
        "the healthy ones are left",
        "document.querySelectorAll('.sizer .row:not([hidden])').length === 2",
    );
    browser.click(".chip[data-health=\"Healthy\"]");
    browser.picture("overview-phone");
    browser.size(1600, 900, false);
}

/// Along a plot, second by second, and back to now.
fn keyboard(browser: &mut Browser) {
    browser.evaluate("document.querySelector('.plot').focus()");
    browser.press("ArrowLeft");
    browser.wait_for(
        "the second before the newest is told, in all plots",
        "[...document.querySelectorAll('.when')].every((when) => when.textContent !== '')",
    );
    let second = browser.evaluate("document.querySelector('.when').textContent");
    browser.press("ArrowLeft");
    browser.wait_for(
        "and the one before that",
        &format!("!['', {second}].includes(document.querySelector('.when').textContent)"),
    );
    browser.press("Escape");
    browser.wait_for(
        "and now again",
        "document.querySelector('.when').textContent === ''",
    );
    assert_eq!(
        browser.evaluate("location.hash"),
        "#/flow/news",
        "Escape leaves the plot first"
    );
}

fn create_and_stop(browser: &mut Browser, node: &Node, sink: &Recorder) {
    browser.click("#add_flow");
    browser.enter("[data-part=\"flow\"][data-field=\"id\"]", "weather");
    browser.enter("[data-part=\"flow\"][data-field=\"name\"]", "Weather");
    browser.enter("[data-part=\"input\"][data-field=\"bind_addr\"]", "nowhere");
    browser.click("#submit");
    browser.wait_for(
        "the node's own words are at the form",
        "/bind_addr.*nowhere/.test(document.querySelector('dialog .problem').textContent)",
    );
    browser.wait_for(
        "the field is marked",
        "document.querySelector('[data-field=\"bind_addr\"]').getAttribute('aria-invalid') === 'true'",
    );
    browser.picture("form");
    browser.choose("#input_type", "test");
    browser.enter("[data-part=\"input\"][data-field=\"bitrate_mbps\"]", "2.5");
    browser.click("#submit");
    browser.wait_for(
        "its page is open",
        "location.hash === '#/flow/weather' && !document.querySelector('dialog[open]')",
    );
    browser.wait_for(
        "it runs",
        "/^Running/.test(document.querySelector('.state').textContent)",
    );
    assert_eq!(node.api().stats("weather")["state"], "Running");

    browser.click("#add_output");
    browser.choose("#output_type", "udp");
    browser.enter("[data-part=\"output\"][data-field=\"id\"]", "roof");
    browser.enter(
        "[data-part=\"output\"][data-field=\"dest_addr\"]",
        &sink.address().to_string(),
    );
    browser.click("#submit");
    browser.wait_for(
        "the output sends",
        "document.querySelector('[data-output=\"roof\"]') \
         && /active/.test(document.querySelector('[data-output=\"roof\"]').textContent)",
    );
    browser.click("[data-output=\"roof\"] button");
    browser.click("#confirm");
    browser.wait_for(
        "it is gone",
        "!document.querySelector('[data-output=\"roof\"]')",
    );

    restart(browser, node);
    browser.click("#stop");
    browser.click("#confirm");
    browser.wait_for(
        "it has stopped",
        "document.querySelector('.state').textContent === 'Stopped'",
    );
    assert_eq!(node.api().stats("weather")["state"], "Stopped");
    assert!(
        !node.saved_flow("weather").is_null(),
        "its configuration stays"
    );
    browser.click("#start");
    browser.wait_for(
        "it runs again",
        "/^Running/.test(document.querySelector('.state').textContent)",
    );
    browser.click("#delete");
    browser.press("Enter");
    browser.wait_for(
        "the overview is back",
        "document.body.dataset.page === 'overview'",
    );
    assert!(node.saved_flow("weather").is_null(), "it is gone");
}

/// A restart takes a picture off air: it is asked for twice.
fn restart(browser: &mut Browser, node: &Node) {
    let starts = || {
        let listing = node.api().get("/api/v1/events").data();
        let events = listing["events"].as_array().cloned().unwrap_or_default();
        let of_flow = events.iter().filter(|event| event["flow_id"] == "weather");
        let messages = of_flow.filter_map(|event| event["message"].as_str());
        messages
            .filter(|message| message.contains("started"))
            .count()
    };
    let before = starts();
    browser.click("#restart");
    browser.wait_for("it asks", "document.querySelector('dialog[open] #confirm')");
    browser.click("dialog .buttons .quiet");
    browser.wait_for(
        "nothing is asked any more",
        "!document.querySelector('dialog[open]')",
    );
    assert_eq!(
        starts(),
        before,
        "whoever changes their mind has changed nothing"
    );
    browser.click("#restart");
    browser.click("#confirm");
    wait::until_true("it was restarted", Duration::from_secs(20), || {
        starts() > before
    });
    browser.wait_for(
        "it runs again",
        "/^Running/.test(document.querySelector('.state').textContent)",
    );
}

fn events(browser: &mut Browser) {
    browser.click("nav [data-page=\"events\"]");
    browser.wait_for(
        "what was done is told",
        "/weather/.test(document.querySelector('.events')?.textContent ?? '')",
    );
    browser.picture("events");
    browser.choose("#severity", "critical");
    browser.wait_for(
        "only what is critical is left",
        "[...document.querySelectorAll('.events tbody tr[data-severity]')].every((row) => row.dataset.severity === 'critical')",
    );
    browser.choose("#severity", "");
    browser.choose("#category", "flow");
    let all_are = |what: &str| {
        format!(
            "(() => {{ const rows = [...document.querySelectorAll('.events tbody tr[data-severity]')]; \
             return rows.length > 0 && rows.every((row) => {what}); }})()"
        )
    };
    let category = "row.children[2].textContent === 'flow'";
    browser.wait_for("one category is left", &all_are(category));
    browser.choose("#flow", "silent");
    let flow = "/Parliament feed/.test(row.children[3].textContent)";
    browser.wait_for(
        "one flow is left",
        &all_are(&format!("{category} && {flow}")),
    );
    browser.enter(".tools input[type=\"search\"]", "no such words");
    browser.wait_for(
        "nothing is left",
        "/Nothing that matches/.test(document.querySelector('.events tbody').textContent)",
    );
    browser.press("Escape");
    assert_eq!(
        browser.evaluate("document.body.dataset.page"),
        "events",
        "Escape in a search with words only clears it"
    );
}

#[test]
fn a_restart_of_the_control_plane_leaves_no_hole_and_may_bring_a_login() {
    if !browser::is_installed() {
        return;
    }
    let sink = Recorder::start(address::next_addr());
    let mut node = node(&[test_flow("news", "News studio 1", 8.0, &sink)]);
    let mut browser = Browser::start(1280, 800);
    browser.open(&node.api().url("/#/flow/news"));
    browser.wait_for(
        "the plots have a history",
        "Number(document.querySelector('.plot')?.dataset.points) >= 3",
    );

    node.kill_controlplane();
    browser.wait_for(
        "it says so",
        "document.getElementById('link').dataset.state === 'lost'",
    );
    browser.wait_for(
        "old figures look old",
        "document.body.dataset.stale === 'true'",
    );
    let newest = plot(&mut browser, "newest");
    // As long as an upgrade may take: more than the plots forgive.
    wait::pass(Duration::from_secs(4));
    node.start_controlplane();
    browser.wait_for(
        "it has come back by itself",
        "document.getElementById('link').dataset.state === 'live' && document.body.dataset.stale === 'false'",
    );
    browser.wait_for(
        "the plots go on",
        &format!("Number(document.querySelector('.plot').dataset.newest) > {newest} + 4000000"),
    );
    browser.wait_for(
        "the plots have no hole",
        "Number(document.querySelector('.plot').dataset.hole) < 1500",
    );
    assert_eq!(complaints(&mut browser), [""; 0]);

    node.kill_controlplane();
    let monitor = close(&node);
    node.start_controlplane();
    login(&mut browser);
    only_shown(&mut browser, &monitor);
}

/// Makes the node ask who one is, and open its monitor port; returns the URL of that.
fn close(node: &Node) -> String {
    let mut config = node.config();
    let port = address::next_port();
    config["server"]["auth"] = json!({
        "enabled": true,
        "jwt_secret": "a-key-of-the-tokens-of-more-than-thirty-two-characters",
        "clients": [
            {"client_id": "chief", "client_secret": ADMIN_SECRET, "role": "admin"},
            {"client_id": "desk", "client_secret": MONITOR_SECRET, "role": "monitor"},
        ],
    });
    config["monitor"] = json!({"listen_addr": address::own_ip(), "listen_port": port});
    fs::write(node.folder().join("config.json"), config.to_string()).unwrap();
    format!("http://{}:{port}/", address::own_ip())
}

fn login(browser: &mut Browser) {
    browser.wait_for("it asks who one is", "document.getElementById('login')");
    browser.enter("#client_id", "desk");
    browser.enter("#client_secret", "wrong");
    browser.press("Enter");
    browser.wait_for(
        "the node's answer is shown",
        "/invalid credentials/.test(document.querySelector('#login .problem').textContent)",
    );
    browser.picture("login");
    browser.enter("#client_secret", MONITOR_SECRET);
    browser.press("Enter");
    browser.wait_for("the flow is shown", "document.querySelector('.tile')");
    browser.wait_for(
        "figures come by WebSocket",
        "document.getElementById('link').dataset.state === 'live'",
    );
    assert_eq!(
        browser.evaluate("document.querySelectorAll('#stop, #add_output, #delete').length"),
        0,
        "a monitor only sees"
    );
    browser.click("#sign_out");
    browser.enter("#client_id", "chief");
    browser.enter("#client_secret", ADMIN_SECRET);
    browser.press("Enter");
    browser.wait_for(
        "an administrator can stop it",
        "document.querySelector('#stop:not([hidden])')",
    );
    // The token outlives a reload of the page, and not the tab.
    browser.reload();
    browser.wait_for(
        "still signed in",
        "document.querySelector('#stop:not([hidden])')",
    );
}

fn only_shown(browser: &mut Browser, url: &str) {
    browser.open(url);
    browser.wait_for(
        "the monitor port shows the flow",
        &format!("document.querySelector('{}')", row("news")),
    );
    browser.wait_for(
        "and its figures move",
        "document.getElementById('link').dataset.state === 'live'",
    );
    assert_eq!(
        browser.evaluate("document.querySelectorAll('#add_flow').length"),
        0
    );
    assert_eq!(complaints(browser), [""; 0]);
}
