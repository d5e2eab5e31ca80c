//! A headless Chromium, driven by the DevTools protocol over its WebSocket.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bilbycast_tests::process::Process;
use bilbycast_tests::wait;
use nix::unistd::Uid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

/// A running browser with one page.
pub(super) struct Browser {
    socket: WebSocket<TcpStream>,
    session: String,
    next_id: u64,
    /// What the page threw, what the console was told as an error, and what the browser refused to load.
    complaints: Vec<String>,
    // Dropped last, in this order: the browser writes into its folder until it has ended.
    _process: Process,
    _folder: TempDir,
}

/// Whether there is a browser.
pub(super) fn is_installed() -> bool {
    let found = Command::new(PROGRAM)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let is_there = found.is_ok_and(|status| status.success());
    if !is_there {
        bilbycast_test_peers::skip(format!("no {PROGRAM}"));
    }
    is_there
}

impl Browser {
    /// Starts a browser with an empty page of this size.
    pub(super) fn start(width: u32, height: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .args([
                "--headless=new",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-extensions",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--no-first-run",
                "--no-proxy-server",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .env("HOME", folder.path());
        // Its sandbox does not work for root, and in a container mostly root is who runs tests.
        if Uid::effective().is_root() {
            command.arg("--no-sandbox");
        }
        command.arg("about:blank");
        let process = Process::start("chromium", folder.path(), &mut command);
        let endpoint = endpoint(folder.path());
        let address = endpoint.trim_start_matches("ws://");
        let address = address.split('/').next().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(ANSWER_LIMIT)).unwrap();
        let (socket, _) = client(endpoint.as_str(), stream).unwrap();
        let mut browser = Self {
            socket,
            session: String::new(),
            next_id: 0,
            complaints: Vec::new(),
            _process: process,
            _folder: folder,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.call(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.size(width, height, false);
        browser.prefer("dark");
        browser
    }

    /// Opens a URL in the page.
    pub(super) fn open(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
    }

    /// Goes to another view of the same page.
    pub(super) fn open_hash(&mut self, hash: &str) {
        self.evaluate(&format!("location.hash = {}", Value::from(hash)));
    }

    /// Makes the page as large; `is_phone` makes it a touch screen.
    pub(super) fn size(&mut self, width: u32, height: u32, is_phone: bool) {
        let scale = if is_phone { 2 } else { 1 };
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone}),
        );
    }

    /// `dark` or `light`.
    pub(super) fn prefer(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
        // Pages hear of it, and draw, when the next frame is due.
        self.evaluate(
            "new Promise(d => requestAnimationFrame(() => requestAnimationFrame(() => d())))",
        );
    }

    /// The value of a JavaScript expression.
    pub(super) fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.call(
            "Runtime.evaluate",
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true}),
        );
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer:#}"
        );
        answer["result"]["value"].clone()
    }

    /// The same; `None` while the page is being exchanged for another, or what the expression looks at is not there yet.
    fn ask(&mut self, expression: &str) -> Option<Value> {
        let parameters = json!({"expression": expression, "returnByValue": true});
        let answer = self.request("Runtime.evaluate", parameters).ok()?;
        let failed = !answer["exceptionDetails"].is_null();
        (!failed).then(|| answer["result"]["value"].clone())
    }

    /// Loads the page again.
    pub(super) fn reload(&mut self) {
        self.call("Page.reload", json!({}));
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub(super) fn wait_for(&mut self, what: &str, expression: &str) {
        let deadline = Instant::now() + PAGE_LIMIT;
        while self.ask(&format!("Boolean({expression})")) != Some(Value::Bool(true)) {
            if Instant::now() > deadline {
                let shown = self.evaluate("document.body.innerText");
                panic!(
                    "waited {PAGE_LIMIT:?} in vain until {what}: {expression}\ncomplaints: {:#?}\n{}",
                    self.complaints,
                    shown.as_str().unwrap_or_default()
                );
            }
            wait::pass(Duration::from_millis(20));
        }
    }

    /// Clicks with the mouse into the middle of the first element that is selected; again when the page moved it away
    /// under the mouse, as one that still fills does.
    #[track_caller]
    pub(super) fn click(&mut self, selector: &str) {
        let quoted = Value::from(selector);
        let element = format!("document.querySelector({quoted})");
        let deadline = Instant::now() + PAGE_LIMIT;
        loop {
            self.wait_for(
                &format!("{selector} is there"),
                &format!(
                    "{element} && {element}.getClientRects().length > 0 && !{element}.disabled"
                ),
            );
            let place = self.ask(&format!(
                "(() => {{ const e = {element}; e.scrollIntoView({{block: 'nearest'}}); \
                 window.wasHit = false; e.addEventListener('click', () => {{ window.wasHit = true; }}, {{once: true, capture: true}}); \
                 const r = e.getBoundingClientRect(); const p = [r.x + r.width / 2, r.y + r.height / 2]; \
                 return e.contains(document.elementFromPoint(...p)) ? p : null; }})()"
            ));
            let place = place.unwrap_or_default();
            if !place.is_null() {
                for kind in ["mousePressed", "mouseReleased"] {
                    self.call(
                        "Input.dispatchMouseEvent",
                        json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}),
                    );
                }
                // A page that the click exchanged for another one knows nothing of it.
                if self.ask("window.wasHit") != Some(Value::Bool(false)) {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "{selector} cannot be clicked");
            wait::pass(Duration::from_millis(20));
        }
    }

    /// Moves the mouse into the middle of an element.
    pub(super) fn point_at(&mut self, selector: &str) {
        let place = self.evaluate(&format!(
            "(() => {{ const r = document.querySelector({}).getBoundingClientRect(); \
             return [r.x + r.width / 2, r.y + r.height / 2]; }})()",
            Value::from(selector)
        ));
        self.call(
            "Input.dispatchMouseEvent",
            json!({"type": "mouseMoved", "x": place[0], "y": place[1]}),
        );
    }

    /// Puts a text into a field as if it were typed, in place of what is there.
    #[track_caller]
    pub(super) fn enter(&mut self, selector: &str, text: &str) {
        self.click(selector);
        self.evaluate(&format!(
            "document.querySelector({}).select()",
            Value::from(selector)
        ));
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Chooses an option of a list.
    #[track_caller]
    pub(super) fn choose(&mut self, selector: &str, option: &str) {
        let selector = Value::from(selector);
        self.wait_for(
            &format!("{selector} is there"),
            &format!("document.querySelector({selector})"),
        );
        self.evaluate(&format!(
            "(() => {{ const e = document.querySelector({selector}); e.value = {}; \
             e.dispatchEvent(new Event('change', {{bubbles: true}})); }})()",
            Value::from(option)
        ));
    }

    /// Presses a key, by its name in the DOM.
    pub(super) fn press(&mut self, key: &str) {
        let mut event = json!({"type": "keyDown", "key": key, "code": key});
        if key == "Enter" {
            event["text"] = json!("\r");
            event["windowsVirtualKeyCode"] = json!(13);
        } else if key.chars().count() == 1 {
            event["text"] = json!(key);
        }
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", event);
    }

    /// Keeps a picture of the page in `target/dashboard`.
    pub(super) fn picture(&mut self, name: &str) {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let folder = artefacts();
        fs::create_dir_all(&folder).unwrap();
        let bytes = decoded(answer["data"].as_str().unwrap());
        assert!(bytes.starts_with(b"\x89PNG"), "{name} is a picture");
        fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// What went wrong in the page since the last call.
    pub(super) fn take_complaints(&mut self) -> Vec<String> {
        // Whatever was on its way is here before the answer is.
        self.evaluate("0");
        std::mem::take(&mut self.complaints)
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.request(method, parameters)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn request(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.next_id += 1;
        let id = self.next_id;
        let mut request = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            request["sessionId"] = json!(self.session);
        }
        self.socket
            .send(Message::text(request.to_string()))
            .unwrap();
        loop {
            let message = match self.socket.read() {
                Ok(Message::Text(text)) => serde_json::from_str::<Value>(&text).unwrap(),
                Ok(_) => continue,
                Err(error) => panic!("{method}: {error}"),
            };
            if message["id"] == id {
                return match &message["error"] {
                    Value::Null => Ok(message["result"].clone()),
                    error => Err(error.clone()),
                };
            }
            self.note(&message);
        }
    }

    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                self.complaints
                    .push(parameters["exceptionDetails"].to_string());
            }
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                self.complaints.push(parameters["entry"].to_string());
            }
            Some("Runtime.consoleAPICalled") if parameters["type"] == "error" => {
                self.complaints.push(parameters["args"].to_string());
            }
            _ => {}
        }
    }
}

/// Where the browser listens, from the file that it writes when it does.
fn endpoint(folder: &Path) -> String {
    let file = folder.join("DevToolsActivePort");
    wait::until("the browser listens", START_LIMIT, || {
        let text = fs::read_to_string(&file).ok()?;
        let (port, path) = text.split_once('\n')?;
        let path = path.trim();
        (!path.is_empty()).then(|| format!("ws://127.0.0.1:{port}{path}"))
    })
}

/// `target/dashboard`, beside the profiles.
fn artefacts() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    // target/<profile>/deps/end_to_end-<hash>
    own.ancestors().nth(3).unwrap().join("dashboard")
}

/// RFC 4648 base 64.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut number) = (0_u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        number += 6;
        if number >= 8 {
            number -= 8;
            bytes.push(u8::try_from(bits >> number & 0xff).expect("eight bits"));
        }
    }
    bytes
}

const PROGRAM: &str = "chromium";

/// How long the browser may take to be there: it is large, and the machine busy.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long it may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// How long a page may take to show something.
const PAGE_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn base_64_is_read() {
    assert_eq!(decoded("Zm9vYmFy"), b"foobar");
    assert_eq!(decoded("Zm9vYg=="), b"foob");
    assert_eq!(decoded("+/8="), [0xfb, 0xff]);
}
