//! Publishing and reading the counters of 100 flows with one output each.

#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::time::Duration;

use bilbycast_shm_proto::control::BootId;
use bilbycast_shm_proto::counters::{FlowRecord, HistoryRecord, OutputRecord};
use bilbycast_shm_proto::shm::{self, ShmReader};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const FLOWS: usize = 100;

fn shared_memory(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("counters.shm");
    let (_control, mut cores) =
        shm::create(&path, 1, BootId(1), 0).expect("a temporary file can be mapped");
    let mut core = cores.pop().expect("one core was asked for");
    let slots: Vec<_> = (0..FLOWS)
        .map(|index| {
            let flow = core
                .add_flow(&format!("flow-{index}"))
                .expect("a core carries more than 100 flows");
            let output = core
                .add_output(&flow, "output")
                .expect("a core carries more than 100 outputs");
            (flow, output)
        })
        .collect();
    let reader = ShmReader::open(&path).expect("the memory was just made");

    let mut group = criterion.benchmark_group("shm");
    group.throughput(Throughput::Elements(FLOWS as u64));
    let mut flow_record = FlowRecord::default();
    group.bench_function("CoreWriter::publish_flow", |bencher| {
        bencher.iter(|| {
            flow_record.input_packets_received += 1;
            for (flow, _) in &slots {
                core.publish_flow(flow, black_box(&flow_record));
            }
        });
    });
    let mut output_record = OutputRecord::default();
    group.bench_function("CoreWriter::publish_output", |bencher| {
        bencher.iter(|| {
            output_record.packets_sent += 1;
            for (_, output) in &slots {
                core.publish_output(output, black_box(&output_record));
            }
        });
    });
    let mut unix_us = 0;
    group.bench_function("CoreWriter::push_history", |bencher| {
        bencher.iter(|| {
            unix_us += 1_000_000;
            for (flow, _) in &slots {
                core.push_history(flow, &HistoryRecord::of(unix_us, black_box(&flow_record)));
            }
        });
    });
    group.bench_function("ShmReader::flows", |bencher| {
        bencher.iter(|| black_box(&reader).flows());
    });
    assert_eq!(reader.flows().len(), FLOWS, "all flows are read");
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = shared_memory
}
criterion_main!(benches);
