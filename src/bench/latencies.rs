//! How long answers took: a histogram of microseconds, three digits of each.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest that is told apart: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// How long answers took.
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None so far.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3);
        Self(histogram.expect("the bounds are in order"))
    }

    /// One more. Less than a microsecond counts as one, more than ten minutes as those.
    pub fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(us.clamp(1, LONGEST_US));
    }

    /// Those of another measurement too.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// How many they are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What this part of them, 0.99 for example, stayed within, in milliseconds; nothing where
    /// there are none.
    pub fn ms(&self, part: f64) -> Option<f64> {
        let us = (self.count() > 0).then(|| self.0.value_at_quantile(part));
        us.map(|us| us as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ms: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::new();
        ms.into_iter().for_each(|ms| latencies.record(Duration::from_millis(ms)));
        latencies
    }

    fn about(ms: Option<f64>, expected: f64) {
        let ms = ms.unwrap();
        assert!((ms - expected).abs() <= expected / 500.0, "{ms} is not about {expected}");
    }

    #[test]
    fn parts_of_all_are_milliseconds() {
        let latencies = of(1..=1000);
        about(latencies.ms(0.5), 500.0);
        about(latencies.ms(0.99), 990.0);
        about(latencies.ms(0.999), 999.0);
        about(latencies.ms(1.0), 1000.0);
    }

    #[test]
    fn two_measurements_are_one() {
        let mut latencies = of(std::iter::repeat_n(1, 98));
        latencies.add(&of([700, 700]));
        assert_eq!(latencies.count(), 100);
        about(latencies.ms(0.98), 1.0);
        about(latencies.ms(0.99), 700.0);
    }

    #[test]
    fn nothing_measured_is_no_number() {
        assert_eq!(of([]).ms(0.99), None);
    }

    #[test]
    fn what_is_out_of_range_counts_at_its_end() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::ZERO);
        about(latencies.ms(1.0), 0.001);
        latencies.record(Duration::MAX);
        about(latencies.ms(1.0), 600_000.0);
        assert_eq!(latencies.count(), 2);
    }
}
