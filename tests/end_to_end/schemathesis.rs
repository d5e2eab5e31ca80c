//! The OpenAPI document and the running node agree, as schemathesis sees it: whatever it sends, no answer is a server
//! error, and each has a status, headers and a body that the document names.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bilbycast_tests::address;
use bilbycast_tests::flows::{flow, rtp_output, udp_input};
use bilbycast_tests::node::Node;
use bilbycast_tests::process::Process;

#[test]
fn schemathesis_finds_nothing() {
    let program = program();
    let version = Command::new(&program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !version.is_ok_and(|status| status.success()) {
        bilbycast_test_peers::skip("no schemathesis");
        return;
    }
    // The ids of the document's examples.
    let output = rtp_output("rtp-out-1", address::next_addr());
    let flow = flow("main-feed", udp_input(address::next_addr()), &[output]);
    let mut node = Node::start(&[flow]);
    let write = |name: &str, text: &str| {
        fs::write(node.folder().join(name), text).expect("the node's folder can be written");
    };
    write("hooks.py", include_str!("schemathesis_hooks.py"));
    write("schemathesis.toml", CONFIG);

    let url = node.api().url("");
    let mut command = Command::new(&program);
    command
        .current_dir(node.folder())
        .env("BILBYCAST_ADDRESS", address::own_ip().to_string())
        .args(["--config-file", "schemathesis.toml", "run"])
        .arg(node.api().url("/api/v1/openapi.json"))
        .args(["--url", &url, "--checks", CHECKS])
        .args(["--max-time", &RUN.as_secs().to_string()])
        .args([
            "--generation-deterministic",
            "--continue-on-failure",
            "--no-color",
        ]);
    let mut run = Process::start("schemathesis", node.folder(), &mut command);
    let status = run.wait(RUN + GRACE);
    assert!(status.success(), "{status}:\n{}", run.printed());
    node.assert_alive();
}

/// What the environment names, else what `make deps` has installed, else what is on the path.
fn program() -> OsString {
    if let Some(named) = std::env::var_os("BILBYCAST_SCHEMATHESIS") {
        return named;
    }
    let installed = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/peers/bin/schemathesis"
    );
    if Path::new(installed).exists() {
        installed.into()
    } else {
        "schemathesis".into()
    }
}

/// 501 is what routes answer that this version does not serve, 502 what cannot be fetched from elsewhere.
const CONFIG: &str = r#"
hooks = "hooks.py"

[checks]
not_a_server_error.expected-statuses = ["2xx", "4xx", "501", "502"]
"#;

/// All but those that would have the document say more than it can: what is legal depends on what is there.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,\
    allow_header_conformance";

/// How long it may try.
const RUN: Duration = Duration::from_secs(20);

/// How long it may take to start, and to end a request.
const GRACE: Duration = Duration::from_secs(30);
