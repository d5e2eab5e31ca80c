use std::fs;

use serde_json::{Value, json};

use super::*;

fn header(more: Value) -> Value {
    let mut document = json!({
        "schema": 1, "quick": true, "started_unix_us": 1_795_621_221_832_162_u64, "gateway_cpu": 1, "load_cpu": 0,
        "machine": {"cpu_model": "Some CPU", "cpus": 2, "kernel": "6.1", "commit": "abc1234"},
    });
    let more = more.as_object().unwrap().clone();
    document.as_object_mut().unwrap().extend(more);
    document
}

fn throughput() -> Value {
    let latency = json!({"p50_us": 282.0, "p99_us": 539.5, "p999_us": 1_912.2});
    let lossless = |path: &str, rate: f64, gbps: f64| json!({"path": path, "arrivals": "coalesced", "rate": rate, "gbps": gbps, "limited_by": "loss"});
    header(json!({
        "datagram_bytes": 1_328,
        "cost": [
            {"arrivals": "single", "rate": 50_000, "floor_wake": "tick", "floor_us": 2.4, "gateway_us": 2.8308},
            {"arrivals": "single", "rate": 50_000, "floor_wake": "blocking", "floor_us": 3.4, "gateway_us": 9.9},
        ],
        "lossless": [lossless("floor", 2_664_879.1, 28.31), lossless("gateway", 1_799_781.2, 19.12)],
        "latency": [{"rate": 100_000, "cpu_wait_percent": 0.54}],
        "added_latency": latency, "floor_added_latency": latency,
        "idle": {"flows": 10, "cpu_percent": 0.69},
    }))
}

#[test]
fn figures_are_absolute_and_say_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(tables(folder.path()).unwrap(), "");

    let path = folder.path().join("throughput.json");
    fs::write(path, throughput().to_string()).unwrap();
    let srt = header(json!({
        "libsrt": "1.5.1", "latency_ms": 120,
        "cost": [{"direction": "receive", "megabits": 1_000, "far_end": "gateway", "gateway_s_per_gb": 1.6306, "libsrt_s_per_gb": 7.4926}],
    }));
    fs::write(folder.path().join("srt.json"), srt.to_string()).unwrap();
    let crowd = header(json!({
        "callers": 200, "megabits_each": 5.0, "latency_ms": 120,
        "windows": [{"forged_per_second": 50_000, "sent": 950_000, "lost": 0, "disturbed": 0, "cpu_percent": 84.6}],
    }));
    fs::write(folder.path().join("crowd.json"), crowd.to_string()).unwrap();
    let text = tables(folder.path()).unwrap();
    for expected in [
        "`throughput.json`: Some CPU, 2 CPUs, Linux 6.1, 2026-11-25 15:40 UTC, commit abc1234; a quick run",
        "| single | 50,000/s, 0.53 Gb/s | 2.83 µs | 14 % | 2.40 µs |\n",
        "| highest rate without loss, coalesced | 19.1 Gb/s, 1,799,781/s; beyond it something was lost | 28.3 Gb/s, 2,664,879/s;",
        "| added latency p99.9, 100,000 single/s | 1912 µs | 1912 µs |\n",
        "| 10 flows without traffic | 0.69 % of a core | |\n",
        "waiting 0.5 % of the time",
        "| receive, far end gateway | 1000 Mb/s | 1.63 s/GB | 20 % | 7.49 s/GB |\n",
        "200 callers of one listener with 5 Mb/s each",
        "| 50,000/s | 85 % | 0 | 0 of 950,000 |\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("9.90"), "another way of waiting: {text}");
}

#[test]
fn what_no_harness_writes_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut document = throughput();
    document["idle"] = json!({"flows": 10});
    fs::write(folder.path().join("throughput.json"), document.to_string()).unwrap();
    let error = tables(folder.path()).unwrap_err().to_string();
    assert!(error.contains("throughput.json: "), "{error}");
    assert!(error.contains("cpu_percent"), "{error}");
}

#[test]
fn thousands_are_kept_apart() {
    for (number, expected) in [
        (0.0, "0"),
        (999.4, "999"),
        (1_000.0, "1,000"),
        (1_799_781.2, "1,799,781"),
    ] {
        assert_eq!(thousands(number), expected);
    }
}
