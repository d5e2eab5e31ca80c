//! `secrets.json` under the real process: moved there at the start, kept out of every answer, and old or new whenever
//! the process is killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use controlplane::config::Store;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::fake::FakeDataPlane;
use crate::harness::{Client, Folder, disabled, document, failure, flow, wait_until};
use crate::process::Process;

/// Not enabled, so that the test needs no token.
fn auth(number: u64) -> Value {
    json!({
        "enabled": false,
        "jwt_secret": format!("secret-{number:032}"),
        "clients": [{"client_id": "c", "client_secret": "secret", "role": "admin"}],
    })
}

fn generation(number: u64) -> Value {
    let mut document = document(&[disabled(flow("a", 5000))]);
    document["device_name"] = json!(number.to_string());
    document["server"]["auth"] = auth(number);
    document
}

/// The number that configuration and secrets agree on.
fn generation_on_disk(folder: &Folder) -> u64 {
    let text = fs::read_to_string(folder.config()).unwrap();
    assert!(!text.contains("secret"), "{text}");
    let config = Store::new(folder.config()).load().unwrap().config;
    let number = config.device_name.unwrap().parse().unwrap();
    assert_eq!(
        config.server.auth.unwrap().jwt_secret.expose(),
        auth(number)["jwt_secret"]
    );
    number
}

#[test]
fn secrets_in_the_file_are_moved_at_the_start() {
    let folder = Folder::new();
    folder.write_document(&generation(7));
    let mut process = Process::start(&folder, &["--port", "0"]);
    let client = Client::new(process.address());
    assert_eq!(generation_on_disk(&folder), 7);
    let secrets = folder.path().join("etc/secrets.json");
    let mode = fs::metadata(&secrets).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = fs::read(&secrets).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));

    let (status, shown) = client.get("/api/v1/config");
    assert_eq!(status, 200);
    assert!(!shown.to_string().contains("secret"), "{shown}");
    // Sent back without them, they stay; as null, they go.
    let (status, answer) = client.put("/api/v1/config", &shown["data"]);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(generation_on_disk(&folder), 7);
    let mut without = shown["data"].clone();
    without["server"]["auth"] = Value::Null;
    assert_eq!(client.put("/api/v1/config", &without).0, 200);
    let config = Store::new(folder.config()).load().unwrap().config;
    assert_eq!(config.server.auth, None);
    assert!(fs::metadata(&secrets).unwrap().len() < 100);
    let log = process.into_log();
    assert!(!log.contains("secret-"), "{log}");
}

#[test]
fn unreadable_secrets_stop_the_start_and_are_left_alone() {
    let folder = Folder::new();
    folder.write_document(&generation(7));
    let secrets = folder.path().join("etc/secrets.json");
    fs::write(&secrets, "").unwrap();
    let (code, log) = Process::start(&folder, &["--port", "0"]).fail();
    assert_eq!(code, Some(1));
    assert!(
        log.contains("secrets.json: cannot read it: it is empty"),
        "{log}"
    );
    assert_eq!(fs::read(&secrets).unwrap(), b"");
}

#[test]
fn a_replacement_that_is_killed_leaves_old_or_new() {
    let folder = Folder::new();
    folder.write_document(&generation(1));
    let mut last = 1;
    for kill in 0..12_u64 {
        let mut process = Process::start(&folder, &["--port", "0"]);
        let url = format!("http://{}/api/v1/config", process.address());
        let (replaced, first) = std::sync::mpsc::channel();
        let put = std::thread::spawn(move || {
            let mut number = last;
            while let Ok(response) = ureq::put(&url).send(generation(number + 1).to_string()) {
                assert_eq!(response.status(), 200);
                number += 1;
                // Only the first one is waited for.
                let _ = replaced.send(number);
            }
            number
        });
        first.recv_timeout(Duration::from_secs(10)).unwrap();
        // The moment of the kill is what varies here; nothing is waited for.
        std::thread::sleep(Duration::from_millis(3 * kill));
        process.end(Signal::KILL);
        let answered = put.join().unwrap();
        let number = generation_on_disk(&folder);
        // What was answered is there; one more may be.
        assert!(
            (answered..=answered + 1).contains(&number),
            "{number}, and {answered} was answered"
        );
        last = number;
    }
    assert!(last > 12);
}

#[test]
fn a_flow_of_a_type_that_cannot_run_is_kept_with_its_credentials() {
    let folder = Folder::new();
    folder.write_config(&[]);
    let _data_plane = FakeDataPlane::start(folder.path(), 1);
    let mut process = Process::start(&folder, &["--port", "0"]);
    let client = Client::new(process.address());
    wait_until("the data plane", || {
        client.get("/health").1["data_plane"] == "connected"
    });
    let mut wanted = flow("a", 5000);
    wanted["media_analysis"] = json!(true);
    wanted["input"] = json!({
        "type": "rtsp", "rtsp_url": "rtsp://192.0.2.1/live", "username": "somebody",
        "password": "hush hush hush",
    });
    assert_eq!(
        client.post("/api/v1/flows", &wanted),
        failure(
            400,
            "flow 'a': input type 'rtsp' cannot be run by this version (at input.type)"
        )
    );
    let wanted = disabled(wanted);
    let (status, answer) = client.post("/api/v1/flows", &wanted);
    assert_eq!((status, &answer["data"]), (200, &wanted));
    assert_eq!(client.get("/api/v1/flows/a").1["data"], wanted);
    assert_eq!(folder.read_config()["flows"][0], wanted);
    assert_eq!(client.act("/api/v1/flows/a/start").0, 400);
    let log = process.into_log();
    assert!(!log.contains("hush"), "{log}");
}
