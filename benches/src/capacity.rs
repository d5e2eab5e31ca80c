//! What one machine carried, as the tables of `docs/capacity.md`: absolute figures, out of the documents in `target/bench`.
//!
//! Nothing is measured here. A document that is not there is left out, and one that cannot be understood is an error. Above
//! each table stands what its figures were measured on, when, and from which commit: of a document that does not tell, the
//! newest commit before it.

mod date;
mod document;

use std::fmt::Write;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use serde::de::DeserializeOwned;

use self::date::utc;
use self::document::{Api, Crowd, Header, Repair, Srt, SrtCost, Throughput};
use crate::BenchError;

/// The tables of the documents in `folder`, in Markdown.
///
/// # Errors
///
/// [`BenchError::System`] when a document that is there cannot be read, [`BenchError::Document`] when it is not what the
/// harness writes.
pub fn tables(folder: &Path) -> Result<String, BenchError> {
    let mut out = String::new();
    if let Some(throughput) = read::<Throughput>(folder, "throughput.json")? {
        forwarding(&mut out, &throughput);
    }
    if let Some(repair) = read::<Repair>(folder, "repair.json")? {
        repaired(&mut out, &repair);
    }
    if let Some(srt) = read::<Srt>(folder, "srt.json")? {
        over_srt(&mut out, &srt);
    }
    if let Some(crowd) = read::<Crowd>(folder, "crowd.json")? {
        many_callers(&mut out, &crowd);
    }
    if let Some(api) = read::<Api>(folder, "api.json")? {
        beside_flows(&mut out, &api);
    }
    Ok(out)
}

fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, BenchError> {
    let path = folder.join(name);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(BenchError::system(format!("read {}", path.display()))(
                error,
            ));
        }
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|source| BenchError::Document { path, source })
}

fn title(out: &mut String, title: &str, name: &str, header: &Header, placement: &str) {
    let machine = &header.machine;
    let started_s = header.started_unix_us / 1_000_000;
    let commit = match &machine.commit {
        Some(commit) => format!("commit {commit}"),
        None => newest_before(started_s).map_or_else(
            || "of no known commit".to_owned(),
            |commit| format!("newest commit then {commit}"),
        ),
    };
    let quick = if header.quick {
        "; a quick run: fewer rates and rounds, less exact"
    } else {
        ""
    };
    line(
        out,
        format_args!(
            "### {title}\n\n`{name}`: {}, {} CPUs, Linux {}, {} UTC, {commit}{quick}. {placement}\n",
            machine.cpu_model,
            machine.cpus,
            machine.kernel,
            utc(started_s)
        ),
    );
}

fn forwarding(out: &mut String, report: &Throughput) {
    let placement = format!(
        "Data plane on CPU {}, sender and sink on CPU {}; datagrams of {} bytes.",
        report.gateway_cpu, report.load_cpu, report.datagram_bytes
    );
    title(
        out,
        "One flow, one core",
        "throughput.json",
        &report.header,
        &placement,
    );
    let gbps = |rate: f64| rate * report.datagram_bytes as f64 * 8.0 / 1e9;
    line(
        out,
        "| datagrams | rate | CPU per datagram | of the core | bare kernel loop |\n|---|---|---|---|---|",
    );
    for cost in report.cost.iter().filter(|cost| cost.floor_wake == "tick") {
        let rate = cost.rate as f64;
        line(
            out,
            format_args!(
                "| {} | {}/s, {:.2} Gb/s | {:.2} µs | {:.0} % | {:.2} µs |",
                cost.arrivals,
                thousands(rate),
                gbps(rate),
                cost.gateway_us,
                share(rate, cost.gateway_us),
                cost.floor_us
            ),
        );
    }
    line(out, "\n| | data plane | bare kernel loop |\n|---|---|---|");
    for own in report
        .lossless
        .iter()
        .filter(|found| found.path == "gateway")
    {
        let found = |path: &str| {
            let mut all = report.lossless.iter();
            let found = all.find(|found| found.path == path && found.arrivals == own.arrivals);
            found.map_or_else(String::new, |found| {
                let end = match found.limited_by.as_str() {
                    "load" => "sender or sink made no more",
                    "loss" => "beyond it something was lost",
                    _ => "the search ended there",
                };
                format!("{:.1} Gb/s, {}/s; {end}", found.gbps, thousands(found.rate))
            })
        };
        line(
            out,
            format_args!(
                "| highest rate without loss, {} | {} | {} |",
                own.arrivals,
                found("gateway"),
                found("floor")
            ),
        );
    }
    let (own, floor) = (&report.added_latency, &report.floor_added_latency);
    for (name, own, floor) in [
        ("p50", own.p50_us, floor.p50_us),
        ("p99", own.p99_us, floor.p99_us),
        ("p99.9", own.p999_us, floor.p999_us),
    ] {
        let rate = report.latency.first().map_or(0, |latency| latency.rate);
        line(
            out,
            format_args!(
                "| added latency {name}, {} single/s | {own:.0} µs | {floor:.0} µs |",
                thousands(rate as f64)
            ),
        );
    }
    let held_up = report
        .latency
        .iter()
        .map(|latency| latency.cpu_wait_percent);
    line(
        out,
        format_args!(
            "| {} flows without traffic | {:.2} % of a core | |\n\nOther processes kept the measured CPU waiting {:.1} % of the time \
             while latency was measured.\n",
            report.idle.flows,
            report.idle.cpu_percent,
            held_up.fold(0.0, f64::max)
        ),
    );
}

fn repaired(out: &mut String, report: &Repair) {
    let placement = format!(
        "ST 2022-7 with FEC {} x {} on both legs, {} ms of merge buffer; all datagrams count, those of FEC too.",
        report.columns, report.rows, report.path_differential_ms
    );
    title(
        out,
        "Two legs with FEC, one core",
        "repair.json",
        &report.header,
        &placement,
    );
    line(
        out,
        "| received | CPU per datagram | of the core | bare kernel loop | lost |\n|---|---|---|---|---|",
    );
    for cost in &report.cost {
        line(
            out,
            format_args!(
                "| {}/s | {:.2} µs | {:.0} % | {:.2} µs | {} |",
                thousands(cost.rate as f64),
                cost.gateway_us,
                share(cost.rate as f64, cost.gateway_us),
                cost.floor_us,
                cost.lost
            ),
        );
    }
    line(out, "");
}

fn over_srt(out: &mut String, report: &Srt) {
    let libsrt = report.libsrt.as_deref().unwrap_or("unknown");
    let placement = format!(
        "One connection with {} ms of latency; beside it srt-live-transmit with libsrt {libsrt} on the same CPU.",
        report.latency_ms
    );
    title(
        out,
        "SRT, one connection",
        "srt.json",
        &report.header,
        &placement,
    );
    line(
        out,
        "| | rate | CPU | of the core | srt-live-transmit |\n|---|---|---|---|---|",
    );
    for cost in &report.cost {
        let SrtCost {
            direction,
            megabits,
            far_end,
            gateway_s_per_gb,
            libsrt_s_per_gb,
        } = cost;
        let percent = gateway_s_per_gb * *megabits as f64 / 8e3 * 100.0;
        line(
            out,
            format_args!(
                "| {direction}, far end {far_end} | {megabits} Mb/s | {gateway_s_per_gb:.2} s/GB | {percent:.0} % | {libsrt_s_per_gb:.2} s/GB |"
            ),
        );
    }
    line(out, "");
}

fn many_callers(out: &mut String, report: &Crowd) {
    let placement = format!(
        "{} callers of one listener with {} Mb/s each, {} ms of latency.",
        report.callers, report.megabits_each, report.latency_ms
    );
    title(
        out,
        "SRT, many callers on one core",
        "crowd.json",
        &report.header,
        &placement,
    );
    line(
        out,
        "| forged handshakes | of the core | connections disturbed | lost |\n|---|---|---|---|",
    );
    for window in &report.windows {
        line(
            out,
            format_args!(
                "| {}/s | {:.0} % | {} | {} of {} |",
                thousands(window.forged_per_second as f64),
                window.cpu_percent,
                window.disturbed,
                window.lost,
                thousands(window.sent as f64)
            ),
        );
    }
    line(out, "");
}

fn beside_flows(out: &mut String, report: &Api) {
    let placement = format!(
        "{} flows with {} outputs each, all idle but one of 100 Mb/s. Data plane on CPU {}.",
        thousands(f64::from(report.flows)),
        report.outputs_per_flow,
        report.gateway_cpu
    );
    title(
        out,
        "A thousand flows",
        "api.json",
        &report.header,
        &placement,
    );
    line(out, "| | p50 | p99 | longest |\n|---|---|---|---|");
    for times in report.phases.iter().flat_map(|phase| &phase.requests) {
        line(
            out,
            format_args!(
                "| `{}` | {:.1} ms | {:.1} ms | {:.1} ms |",
                times.request, times.p50_ms, times.p99_ms, times.max_ms
            ),
        );
    }
    let lost: u64 = report
        .phases
        .iter()
        .map(|phase| phase.stream.lost + phase.stream.out_of_order)
        .sum();
    let sent: u64 = report.phases.iter().map(|phase| phase.stream.sent).sum();
    line(
        out,
        format_args!(
            "\n| | |\n|---|---|\n| memory for each idle flow | data plane {:.0} KiB, control plane {:.0} KiB |\n\
             | all flows run | {:.2} s after the start |\n| lost or out of order of the 100 Mb/s meanwhile | {lost} of {} |\n",
            report.memory.dataplane.idle_kib_per_flow,
            report.memory.controlplane.idle_kib_per_flow,
            report.start.running_s,
            thousands(sent as f64)
        ),
    );
}

/// Per cent of a core that so many datagrams a second take.
fn share(rate: f64, us: f64) -> f64 {
    rate * us / 1e6 * 100.0
}

/// A whole number with a comma before every three digits.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// What git has of that time in the working folder; nothing without git.
fn newest_before(unix_s: u64) -> Option<String> {
    let output = Command::new("git")
        .args(["log", "-1", "--format=%h"])
        .arg(format!("--before=@{unix_s}"))
        .output();
    let commit = String::from_utf8(output.ok()?.stdout).ok()?;
    let commit = commit.trim();
    (!commit.is_empty()).then(|| commit.to_owned())
}

fn line(out: &mut String, text: impl std::fmt::Display) {
    writeln!(out, "{text}").expect("a string takes everything");
}

#[cfg(test)]
mod tests;
