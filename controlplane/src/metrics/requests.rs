//! HTTP requests by the class of their answer.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::http::StatusCode;
use prometheus_client::metrics::MetricType;

use super::{Page, count};

/// Counts answers, from all workers.
#[derive(Debug, Default)]
pub struct Requests {
    classes: [AtomicU64; CLASSES.len()],
}

impl Requests {
    /// Counts one answer.
    pub fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(class) = self.classes.get(class) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(super) fn encode(page: &mut Page<'_, '_>, requests: &Requests) -> fmt::Result {
    let samples = CLASSES.iter().zip(&requests.classes);
    let samples = samples
        .map(|(class, answers)| ([("status", *class)], count(answers.load(Ordering::Relaxed))));
    page.family(
        "bilbycast_edge_http_requests_total",
        "HTTP requests by the class of their answer",
        MetricType::Counter,
        samples,
    )
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_class() {
        let requests = Requests::default();
        for status in [101, 200, 204, 404, 500, 503, 599, 999] {
            requests.count(StatusCode::from_u16(status).unwrap());
        }
        let counts = requests.classes.map(AtomicU64::into_inner);
        assert_eq!(counts, [1, 2, 0, 1, 3]);
    }
}
