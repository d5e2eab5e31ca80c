//! The report as a table for people.

use std::fmt;

use super::{AT_MOST, Goal, Report, arrivals_name};
use crate::throughput::floor::Wake;
use crate::throughput::load::RunRecord;
use crate::throughput::plan::LATENCY_RATE;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            f,
            "{}, {} CPUs, Linux {}; gateway on CPU {}, sender and sink on CPU {}; {:.0} s",
            machine.cpu_model,
            machine.cpus,
            machine.kernel,
            self.gateway_cpu,
            self.load_cpu,
            self.run_s
        )?;
        if self.gateway_cpu == self.load_cpu {
            writeln!(f, "One CPU for all: rates and latencies say nothing.")?;
        }
        self.write_costs(f)?;
        self.write_lossless(f)?;
        self.write_latencies(f)?;
        writeln!(
            f,
            "\nIdle: {} flows without traffic use {:.3} % of a CPU",
            self.idle.flows, self.idle.cpu_percent
        )?;
        write_goals(f, &self.goals)
    }
}

impl Report {
    fn write_costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nCPU us per datagram   floor     rate/s    floor  gateway   ratio (lowest-highest)   per recv  per send"
        )?;
        for cost in &self.cost {
            writeln!(
                f,
                "  {:<18}  {:<8} {:>8} {:>8.3} {:>8.3}   {:.3} ({:.3}-{:.3})   {:>14.1} {:>9.1}",
                arrivals_name(cost.arrivals),
                wake_name(cost.floor_wake),
                cost.rate,
                cost.floor_us,
                cost.gateway_us,
                cost.ratio,
                cost.ratio_low,
                cost.ratio_high,
                cost.datagrams_per_receive,
                cost.datagrams_per_send
            )?;
            write_losses(f, "floor", &cost.floor_runs)?;
            write_losses(f, "gateway", &cost.gateway_runs)?;
        }
        Ok(())
    }

    fn write_lossless(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nHighest lossless rate           rate/s     Gb/s   limited by"
        )?;
        for found in &self.lossless {
            writeln!(
                f,
                "  {:<10} {:<10} {:>14.0} {:>8.2}   {}",
                found.path,
                arrivals_name(found.arrivals),
                found.rate,
                found.gbps,
                found.limited_by
            )?;
            for run in found.runs.iter().filter(|run| !run.is_lossless()) {
                let name = format!("at {:.0}/s", run.rate_sent);
                write_losses(f, &name, std::slice::from_ref(run))?;
            }
        }
        Ok(())
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nLatency in us at {LATENCY_RATE}/s      p50       p99     p99.9       max   datagrams     lost   held up"
        )?;
        for latency in &self.latency {
            writeln!(
                f,
                "  {:<18} {:>11.1} {:>9.1} {:>9.1} {:>9.1} {:>11} {:>8}   {:.1} %, sender {:.1} %",
                latency.path,
                latency.p50_us,
                latency.p99_us,
                latency.p999_us,
                latency.max_us,
                latency.datagrams,
                latency.lost,
                latency.cpu_wait_percent,
                latency.load_wait_percent
            )?;
        }
        for (name, added) in [
            ("added by floor", self.floor_added_latency),
            ("added by gateway", self.added_latency),
        ] {
            writeln!(
                f,
                "  {name:<18} {:>11.1} {:>9.1} {:>9.1}",
                added.p50_us, added.p99_us, added.p999_us
            )?;
        }
        Ok(())
    }
}

/// What was to be reached, and whether it was.
pub(crate) fn write_goals(f: &mut fmt::Formatter<'_>, goals: &[Goal]) -> fmt::Result {
    writeln!(f, "\nGoals")?;
    for goal in goals {
        writeln!(
            f,
            "  {:<6} {:<58} {:>10.3} {} {} {}",
            verdict(goal.met),
            goal.name,
            goal.measured,
            if goal.comparison == AT_MOST {
                "<="
            } else {
                ">="
            },
            goal.goal,
            goal.unit
        )?;
    }
    Ok(())
}

/// One line that says what did not arrive or was not sent, and how far other processes were in the way, when there is
/// anything to say.
pub(crate) fn write_losses(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    runs: &[RunRecord],
) -> fmt::Result {
    let sum = |field: fn(&RunRecord) -> u64| runs.iter().map(field).sum::<u64>();
    let not_sent = sum(|run| run.not_offered + run.refused);
    let lost = sum(|run| run.lost);
    let wrong = sum(|run| run.out_of_order + run.damaged);
    let window_ns = sum(|run| run.window_ns).max(1);
    let percent = |time_ns: u64| 100.0 * time_ns as f64 / window_ns as f64;
    let (held_up, sender_held_up) = (
        percent(sum(|run| run.cpu_wait_ns)),
        percent(sum(|run| run.load_wait_ns)),
    );
    let is_quiet = held_up.max(sender_held_up) < QUIET_PERCENT;
    if not_sent + lost + wrong == 0 && is_quiet {
        return Ok(());
    }
    writeln!(
        f,
        "    {name}: sent {}, not sent {not_sent}, lost {lost} (drops at full buffers: input {}, sink {}), out of order or damaged \
         {wrong}; held up by others {held_up:.1} %, sender {sender_held_up:.1} %",
        sum(|run| run.sent),
        sum(|run| run.dropped_at_input),
        sum(|run| run.dropped_at_sink)
    )
}

/// Less waiting than this for a CPU says nothing.
const QUIET_PERCENT: f64 = 1.0;

const fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "open",
    }
}

const fn wake_name(wake: Wake) -> &'static str {
    match wake {
        Wake::Blocking => "blocking",
        Wake::Tick => "tick",
    }
}
