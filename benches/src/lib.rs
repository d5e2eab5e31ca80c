//! Micro-benchmarks and the end-to-end throughput harness.
