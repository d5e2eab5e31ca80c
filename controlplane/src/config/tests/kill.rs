//! `kill -9` at any moment of a save.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::{AppConfig, Store, parse_app};
use super::{default, document, full_flow, with};

const FOLDER: &str = "BILBYCAST_TEST_KILL_FOLDER";
const BEGIN: &str = "BILBYCAST_TEST_KILL_BEGIN";

/// Folders that are worked in at the same time: a save waits for the disk most of the time.
const WORKERS: u64 = 4;

/// In each folder.
const KILLS: u64 = 55;

/// Configuration and secrets that can only have come from the same save; every fifth has no secrets.
fn generation(number: u64) -> AppConfig {
    let auth = match number % 5 {
        0 => Value::Null,
        _ => json!({"enabled": true, "jwt_secret": format!("secret-{number:032}"),
            "clients": [{"client_id": "c", "client_secret": "secret", "role": "admin"}]}),
    };
    let fields = json!({
        "device_name": number.to_string(),
        "server": {"listen_addr": "::", "listen_port": 1, "auth": auth},
    });
    let document = with(&document(&json!([full_flow()])), &fields);
    parse_app(document, &default()).unwrap().value
}

fn number_of(config: &AppConfig) -> u64 {
    config.device_name.as_ref().unwrap().parse().unwrap()
}

fn store_in(folder: &Path) -> Store {
    Store::with_machine_id(folder.join("config.json"), folder.join("machine-id"))
}

/// Waits for the child's next line, which must be `expected`, among those of the test harness.
fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, expected: &str) {
    let found = lines.any(|line| line.unwrap().ends_with(expected));
    assert!(found, "the child ended without {expected:?}");
}

#[test]
fn a_save_that_is_killed_leaves_old_or_new() {
    std::thread::scope(|scope| {
        for worker in 1..=WORKERS {
            scope.spawn(move || kill_saves(worker));
        }
    });
}

fn kill_saves(worker: u64) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("machine-id"),
        "0123456789abcdef0123456789abcdef",
    )
    .unwrap();
    let store = store_in(folder.path());
    store.prepare(&generation(1)).unwrap().commit().unwrap();
    let (mut last, mut advanced, mut unsettled) = (1, 0, 0);
    let mut random = (worker * (0x9e37_79b9_7f4a_7c15 >> 8)) ^ u64::from(std::process::id());
    println!("random numbers of worker {worker} start at {random}");
    let mut span_us = 20_000;
    for _ in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("config::tests::kill::save_until_killed")
            .env(FOLDER, folder.path())
            .env(BEGIN, (last + 1).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        wait_for(&mut lines, "saving");
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Nothing is waited for: the moment of the kill is what is random here.
        std::thread::sleep(Duration::from_micros(random % span_us));
        child.kill().unwrap();
        child.wait().unwrap();

        let text = fs::read_to_string(folder.path().join("config.json")).unwrap();
        assert!(!text.contains("secret"), "{text}");
        let loaded = store.load().unwrap();
        let number = number_of(&loaded.config);
        assert_eq!(loaded.config, generation(number));
        assert!(number >= last, "{number} after {last}");
        unsettled += u64::from(loaded.must_save);
        // Half of the kills come before the first save is over, whatever the disk and the machine can do.
        if number > last {
            advanced += 1;
            span_us = (span_us * 4 / 5).max(100);
        } else {
            span_us = (span_us * 5 / 4).min(1_000_000);
        }
        last = number;
        if loaded.must_save {
            store.prepare(&loaded.config).unwrap().commit().unwrap();
            assert!(!store.load().unwrap().must_save);
        }
    }
    println!("{advanced} of {KILLS} kills after a save, {unsettled} between two renames");
    assert!(advanced > 0 && advanced < KILLS);
}

#[test]
#[ignore = "run, and killed, by a_save_that_is_killed_leaves_old_or_new"]
fn save_until_killed() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let store = store_in(&folder);
    let mut number: u64 = std::env::var(BEGIN).unwrap().parse().unwrap();
    // The first random bytes of a process take far longer than a save; no kill shall be wasted on them.
    drop(store.prepare(&generation(number)).unwrap());
    println!("saving");
    // Bounded, should the parent die.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        store
            .prepare(&generation(number))
            .unwrap()
            .commit()
            .unwrap();
        number += 1;
    }
}
