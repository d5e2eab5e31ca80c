//! The report as a table for people.

use std::fmt;

use super::phase::{Operation, Phase};
use super::report::Report;
use crate::throughput::report::table::{write_goals, write_losses};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            f,
            "{}, {} CPUs, Linux {}; data plane on CPU {}, sender and sink on CPU {}; {:.0} s",
            machine.cpu_model,
            machine.cpus,
            machine.kernel,
            self.gateway_cpu,
            self.load_cpu,
            self.run_s
        )?;
        let start = &self.start;
        writeln!(
            f,
            "\nStart with {} flows: API listens after {:.3} s, all flows run after {:.3} s (others had {:.1} % of a CPU)",
            self.flows, start.listening_s, start.running_s, start.others_percent
        )?;
        self.write_memory(f)?;
        self.write_requests(f)?;
        self.write_stream(f)?;
        write_goals(f, &self.goals)
    }
}

impl Report {
    fn write_memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nResident KiB     no flows   all idle (anon, file, shared)           at end   for each idle flow"
        )?;
        for (name, memory) in [
            ("data plane", &self.memory.dataplane),
            ("control plane", &self.memory.controlplane),
        ] {
            let idle = memory.idle;
            writeln!(
                f,
                "  {name:<14} {:>8}   {:>8} ({:>7}, {:>6}, {:>7})   {:>10}   {:>18.1}",
                memory.without_flows.total_kib(),
                idle.total_kib(),
                idle.anon_kib,
                idle.file_kib,
                idle.shmem_kib,
                memory.at_end.total_kib(),
                memory.idle_kib_per_flow
            )?;
        }
        Ok(())
    }

    fn write_requests(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nAnswers in ms                  count      p50      p99      max      bytes   control plane: CPU, held up   others"
        )?;
        let asked = self
            .phases
            .iter()
            .filter(|phase| phase.name != Operation::Nothing);
        for phase in asked {
            for times in &phase.requests {
                writeln!(
                    f,
                    "  {:<26} {:>7} {:>8.2} {:>8.2} {:>8.2} {:>10}   {:>15.2} ms, {:>5.1} % {:>6.1} %",
                    times.request,
                    times.count,
                    times.p50_ms,
                    times.p99_ms,
                    times.max_ms,
                    times.body_bytes,
                    phase.controlplane_cpu_ms,
                    phase.controlplane_wait_percent,
                    phase.others_percent
                )?;
            }
        }
        Ok(())
    }

    fn write_stream(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nStream during     datagrams   lost   wrong   us: p50     p99.9       max   data plane CPU, held up   others"
        )?;
        for phase in &self.phases {
            write_phase(f, phase)?;
        }
        Ok(())
    }
}

fn write_phase(f: &mut fmt::Formatter<'_>, phase: &Phase) -> fmt::Result {
    let stream = &phase.stream;
    let percent = |time_ns: u64| 100.0 * time_ns as f64 / stream.window_ns.max(1) as f64;
    writeln!(
        f,
        "  {:<14} {:>11} {:>6} {:>7} {:>9.1} {:>9.1} {:>9.1}   {:>12.1} %, {:>5.1} % {:>6.1} %",
        phase.name,
        stream.sent,
        stream.lost,
        stream.out_of_order + stream.damaged,
        phase.stream_p50_us,
        phase.stream_p999_us,
        phase.stream_max_us,
        percent(stream.cpu_ns),
        percent(stream.cpu_wait_ns),
        phase.others_percent
    )?;
    if !phase.is_covered {
        writeln!(f, "    the stream ended before the last answer came")?;
    }
    write_losses(f, "stream", std::slice::from_ref(stream))
}
