//! Collects what criterion measured into one file.
//!
//! Criterion leaves a folder for each benchmark, `target/criterion/**/new/`, with `benchmark.json` (name and
//! throughput) and `estimates.json` (times in nanoseconds). [`collect`] turns them into `target/bench/micro.json`:
//!
//! ```json
//! {
//!   "schema": 1,
//!   "machine": { "cpu_model": "...", "cpus": 2, "kernel": "..." },
//!   "benchmarks": [
//!     { "name": "mpegts/TestSource::write", "ns": 1021.4, "ns_low": 1019.0, "ns_high": 1024.1,
//!       "unit": "bytes", "per_iteration": 65800, "per_second": 6.4e10 }
//!   ]
//! }
//! ```
//!
//! `ns` is the median of one iteration, `ns_low` and `ns_high` its 95 % confidence interval; `unit` is `bytes`,
//! `elements` or `iterations`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::BenchError;
use crate::host::Machine;

/// One benchmark of criterion.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MicroResult {
    /// Group and function.
    pub name: String,
    /// Median time of one iteration, in nanoseconds.
    pub ns: f64,
    /// Lower end of its confidence interval.
    pub ns_low: f64,
    /// Upper end of its confidence interval.
    pub ns_high: f64,
    /// What an iteration works on.
    pub unit: &'static str,
    /// How many of them.
    pub per_iteration: u64,
    /// How many of them in a second.
    pub per_second: f64,
}

/// Reads all results below `criterion`, sorted by name. Folders that hold no complete result are left out.
///
/// # Errors
///
/// [`BenchError::System`] when the folder cannot be read.
pub fn read(criterion: &Path) -> Result<Vec<MicroResult>, BenchError> {
    let mut results = Vec::new();
    let mut folders = vec![(criterion.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if folder.file_name().is_some_and(|name| name == "new") {
            results.extend(read_one(&folder));
            continue;
        }
        let entries = fs::read_dir(&folder)
            .map_err(BenchError::system(format!("read {}", folder.display())))?;
        let below = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| (entry.path(), depth + 1))
            .filter(|(_, depth)| *depth <= DEPTH_MAX);
        folders.extend(below);
    }
    results.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(results)
}

/// Reads all results below `target/criterion`, writes `target/bench/micro.json` and returns its path and content.
///
/// # Errors
///
/// [`BenchError::System`] when criterion has left nothing, or the file cannot be written.
pub fn collect(target: &Path) -> Result<(PathBuf, Vec<MicroResult>), BenchError> {
    let results = read(&target.join("criterion"))?;
    let document = serde_json::json!({
        "schema": 1,
        "machine": Machine::read()?,
        "benchmarks": results,
    });
    let path = target.join("bench").join("micro.json");
    write_json(&path, &document)?;
    Ok((path, results))
}

/// Writes a document for people and programs, and makes its folder.
pub(crate) fn write_json(path: &Path, document: &impl Serialize) -> Result<(), BenchError> {
    let fail = || format!("write {}", path.display());
    let text = serde_json::to_string_pretty(document)
        .map_err(std::io::Error::other)
        .map_err(BenchError::system(fail()))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(BenchError::system(fail()))?;
    }
    fs::write(path, text + "\n").map_err(BenchError::system(fail()))
}

/// Group, function, parameter and `new`.
const DEPTH_MAX: usize = 4;

fn read_one(folder: &Path) -> Option<MicroResult> {
    let benchmark = read_value(&folder.join("benchmark.json"))?;
    let estimates = read_value(&folder.join("estimates.json"))?;
    let median = estimates.get("median")?;
    let interval = median.get("confidence_interval")?;
    let ns = median.get("point_estimate")?.as_f64()?;
    let (unit, per_iteration) = throughput(benchmark.get("throughput"));
    Some(MicroResult {
        name: benchmark.get("full_id")?.as_str()?.to_owned(),
        ns,
        ns_low: interval.get("lower_bound")?.as_f64()?,
        ns_high: interval.get("upper_bound")?.as_f64()?,
        unit,
        per_iteration,
        per_second: per_iteration as f64 * 1e9 / ns,
    })
}

fn throughput(value: Option<&Value>) -> (&'static str, u64) {
    [("Bytes", "bytes"), ("Elements", "elements")]
        .into_iter()
        .find_map(|(key, unit)| Some((unit, value?.get(key)?.as_u64()?)))
        .unwrap_or(("iterations", 1))
}

fn read_value(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave_result(criterion: &Path, name: &str, throughput: &str, median_ns: f64) {
        let folder = criterion.join(name).join("new");
        fs::create_dir_all(&folder).unwrap();
        let benchmark = format!(r#"{{"full_id": "{name}", "throughput": {throughput}}}"#);
        fs::write(folder.join("benchmark.json"), benchmark).unwrap();
        let estimates = format!(
            r#"{{"median": {{"point_estimate": {median_ns}, "confidence_interval":
                {{"lower_bound": 1.0, "upper_bound": 9.0}}}}}}"#
        );
        fs::write(folder.join("estimates.json"), estimates).unwrap();
    }

    #[test]
    fn results_are_found_sorted_and_converted() {
        let target = tempfile::tempdir().unwrap();
        let criterion = target.path().join("criterion");
        leave_result(&criterion, "b/two", r#"{"Bytes": 1000}"#, 10.0);
        leave_result(&criterion, "a/one", "null", 4.0);
        fs::create_dir_all(criterion.join("c/broken/new")).unwrap();
        let (path, results) = collect(target.path()).unwrap();
        let names: Vec<&str> = results.iter().map(|result| result.name.as_str()).collect();
        assert_eq!(names, ["a/one", "b/two"]);
        assert_eq!(
            (results[0].unit, results[0].per_second),
            ("iterations", 2.5e8)
        );
        assert_eq!((results[1].unit, results[1].per_second), ("bytes", 1e11));
        let document = read_value(&path).unwrap();
        assert_eq!(document["benchmarks"][1]["ns_high"], 9.0);
    }

    #[test]
    fn no_results_at_all_are_an_error_that_names_the_folder() {
        let target = tempfile::tempdir().unwrap();
        let error = collect(target.path()).unwrap_err().to_string();
        assert!(error.contains("criterion"), "{error}");
    }
}
