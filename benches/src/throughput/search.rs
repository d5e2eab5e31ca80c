//! The highest rate at which nothing is lost.

use super::floor::Wake;
use super::load::{LoadSpec, Packing, RunRecord};
use super::plan::{Plan, SearchCase};
use super::report::{LimitedBy, Lossless, PathName};
use super::session::Session;
use super::stream::DATAGRAM_BYTES;
use crate::BenchError;

/// Goes up until something is lost, then between what went well and what did not, a bounded number of steps.
pub(super) fn highest_lossless(
    session: &Session<'_>,
    path: PathName,
    case: &SearchCase,
    plan: &Plan,
) -> Result<Lossless, BenchError> {
    let mut search = Search::new(case.first_rate);
    let mut runs = Vec::with_capacity(plan.search_steps);
    while runs.len() < plan.search_steps && !search.is_over() {
        let spec = LoadSpec {
            arrivals: case.arrivals,
            packing: Packing::Rtp,
            rate: search.next_rate(),
            warm_ms: plan.warm_ms,
            window_ms: plan.search_window_ms,
        };
        let (record, _) = session.run(path, Wake::Tick, &spec)?;
        search.learn(&record);
        runs.push(record);
    }
    let rate = search.best.unwrap_or(0.0);
    Ok(Lossless {
        path,
        arrivals: case.arrivals,
        rate,
        gbps: rate * DATAGRAM_BYTES as f64 * 8.0 / 1e9,
        limited_by: search.limited_by(),
        runs,
    })
}

/// What is known so far, in datagrams a second.
#[derive(Clone, Debug)]
struct Search {
    next: u64,
    /// Highest rate that was really sent and lost nothing.
    best: Option<f64>,
    /// Lowest rate that lost something.
    lossy: Option<u64>,
    /// That loss was the sink's own.
    lossy_by_sink: bool,
    sender_is_at_end: bool,
}

impl Search {
    const fn new(first_rate: u64) -> Self {
        Self {
            next: first_rate,
            best: None,
            lossy: None,
            lossy_by_sink: false,
            sender_is_at_end: false,
        }
    }

    const fn next_rate(&self) -> u64 {
        self.next
    }

    fn learn(&mut self, record: &RunRecord) {
        if record.is_lossless() {
            let best = self.best.unwrap_or(0.0);
            // A sender that was held up once falls short too; only one that makes no more when asked for more is at
            // its end.
            let makes_no_more = record.rate_sent < best * SENDER_GROWTH_MIN;
            self.sender_is_at_end = !record.sender_kept_pace() && makes_no_more;
            self.best = Some(best.max(record.rate_sent));
        } else {
            let rate = record.rate_wanted.min(record.rate_sent.ceil() as u64);
            if self.lossy.is_none_or(|lossy| rate < lossy) {
                self.lossy = Some(rate);
                self.lossy_by_sink = record.lost_only_at_sink();
            }
        }
        self.next = match (self.best, self.lossy) {
            (Some(best), Some(lossy)) => (best as u64).midpoint(lossy),
            (None, Some(lossy)) => lossy * 2 / 3,
            (_, None) => record.rate_wanted * 3 / 2,
        };
    }

    /// True when more steps would tell nothing new: the sender is at its end, or what is left is within 2 %.
    fn is_over(&self) -> bool {
        let is_narrow = match (self.best, self.lossy) {
            (Some(best), Some(lossy)) => lossy as f64 <= best * 1.02,
            _ => false,
        };
        self.sender_is_at_end || is_narrow || self.next == 0
    }

    const fn limited_by(&self) -> LimitedBy {
        if self.lossy.is_some() && !self.lossy_by_sink {
            LimitedBy::Loss
        } else if self.sender_is_at_end || self.lossy_by_sink {
            LimitedBy::Load
        } else {
            LimitedBy::Steps
        }
    }
}

/// Asked for half as much again, a sender that makes less than this much more has reached what it can make.
const SENDER_GROWTH_MIN: f64 = 1.05;

#[cfg(test)]
mod tests {
    use super::*;

    /// A gateway that loses above `carries`, fed by a sender that makes no more than `makes`.
    fn record(rate: u64, carries: u64, makes: u64) -> RunRecord {
        let sent = rate.min(makes);
        let received = sent.min(carries);
        RunRecord {
            rate_wanted: rate,
            rate_sent: sent as f64,
            sent,
            not_offered: rate - sent,
            refused: 0,
            received,
            lost: sent - received,
            dropped_at_input: sent - received,
            dropped_at_sink: 0,
            out_of_order: 0,
            damaged: 0,
            cpu_ns: 0,
            cpu_wait_ns: 0,
            load_wait_ns: 0,
            window_ns: 1_000_000_000,
            window_received: received,
            window_offered: sent,
        }
    }

    fn search(carries: u64, makes: u64) -> Search {
        let mut search = Search::new(200_000);
        for _ in 0..12 {
            if search.is_over() {
                break;
            }
            search.learn(&record(search.next_rate(), carries, makes));
        }
        search
    }

    #[test]
    fn the_limit_of_the_gateway_is_found_from_both_sides() {
        for carries in [90_000, 330_000, 1_000_000] {
            let search = search(carries, u64::MAX);
            let best = search.best.unwrap();
            assert!(best <= carries as f64, "{search:?}");
            assert!(best >= carries as f64 * 0.97, "{search:?}");
            assert_eq!(search.limited_by(), LimitedBy::Loss);
        }
    }

    #[test]
    fn a_sender_at_its_end_makes_a_lower_bound() {
        let search = search(1_000_000, 350_000);
        assert_eq!(search.best, Some(350_000.0));
        assert_eq!(search.limited_by(), LimitedBy::Load);
    }

    #[test]
    fn loss_at_the_sink_is_not_the_gateways() {
        let mut search = Search::new(200_000);
        search.learn(&record(200_000, u64::MAX, u64::MAX));
        let mut at_sink = record(300_000, 290_000, u64::MAX);
        at_sink.dropped_at_input = 0;
        at_sink.dropped_at_sink = 10_000;
        search.learn(&at_sink);
        assert_eq!(search.limited_by(), LimitedBy::Load);
        search.learn(&record(250_000, 240_000, u64::MAX));
        assert_eq!(search.limited_by(), LimitedBy::Loss);
    }

    #[test]
    fn a_sender_that_was_held_up_once_is_asked_for_more() {
        let mut search = Search::new(200_000);
        search.learn(&record(200_000, u64::MAX, 150_000));
        assert!(!search.is_over());
        assert_eq!(search.next_rate(), 300_000);
        search.learn(&record(300_000, u64::MAX, 300_000));
        assert!(!search.is_over());
        assert_eq!(search.best, Some(300_000.0));
    }

    #[test]
    fn a_sender_at_its_end_does_not_hide_a_loss() {
        let mut search = Search::new(300_000);
        search.learn(&record(300_000, 290_000, u64::MAX));
        search.learn(&record(200_000, u64::MAX, u64::MAX));
        search.learn(&record(250_000, u64::MAX, 190_000));
        assert!(search.is_over());
        assert_eq!(search.limited_by(), LimitedBy::Loss);
    }
}
