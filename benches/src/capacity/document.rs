//! What is read of the documents.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub quick: bool,
    pub started_unix_us: u64,
    pub machine: Machine,
}

#[derive(Debug, Deserialize)]
pub(super) struct Machine {
    pub cpu_model: String,
    pub cpus: usize,
    pub kernel: String,
    pub commit: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Throughput {
    #[serde(flatten)]
    pub header: Header,
    pub gateway_cpu: u32,
    pub load_cpu: u32,
    pub datagram_bytes: u32,
    pub cost: Vec<Cost>,
    pub lossless: Vec<Lossless>,
    pub latency: Vec<Latency>,
    pub added_latency: AddedLatency,
    pub floor_added_latency: AddedLatency,
    pub idle: Idle,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cost {
    pub arrivals: String,
    pub rate: u64,
    pub floor_wake: String,
    pub floor_us: f64,
    pub gateway_us: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Lossless {
    pub path: String,
    pub arrivals: String,
    pub rate: f64,
    pub gbps: f64,
    pub limited_by: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Latency {
    pub rate: u64,
    pub cpu_wait_percent: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct AddedLatency {
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Idle {
    pub flows: u32,
    pub cpu_percent: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Repair {
    #[serde(flatten)]
    pub header: Header,
    pub columns: u32,
    pub rows: u32,
    pub path_differential_ms: u32,
    pub cost: Vec<RepairCost>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RepairCost {
    pub rate: u64,
    pub floor_us: f64,
    pub gateway_us: f64,
    pub lost: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Srt {
    #[serde(flatten)]
    pub header: Header,
    pub libsrt: Option<String>,
    pub latency_ms: u32,
    pub cost: Vec<SrtCost>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SrtCost {
    pub direction: String,
    pub megabits: u64,
    pub far_end: String,
    pub gateway_s_per_gb: f64,
    pub libsrt_s_per_gb: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Crowd {
    #[serde(flatten)]
    pub header: Header,
    pub callers: u32,
    pub megabits_each: f64,
    pub latency_ms: u32,
    pub windows: Vec<CrowdWindow>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CrowdWindow {
    pub forged_per_second: u64,
    pub sent: u64,
    pub lost: u64,
    pub disturbed: u64,
    pub cpu_percent: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Api {
    #[serde(flatten)]
    pub header: Header,
    pub gateway_cpu: u32,
    pub flows: u32,
    pub outputs_per_flow: u32,
    pub start: Start,
    pub memory: Memories,
    pub phases: Vec<Phase>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Start {
    pub running_s: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Memories {
    pub dataplane: Memory,
    pub controlplane: Memory,
}

#[derive(Debug, Deserialize)]
pub(super) struct Memory {
    pub idle_kib_per_flow: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Phase {
    pub requests: Vec<Times>,
    pub stream: Stream,
}

#[derive(Debug, Deserialize)]
pub(super) struct Times {
    pub request: String,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Stream {
    pub sent: u64,
    pub lost: u64,
    pub out_of_order: u64,
}
