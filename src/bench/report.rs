//! What is printed: one figure a line, beside its baseline.

use std::io::{self, Write};

use serde::Serialize;

use super::latencies::Latencies;

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What was measured, `place/64` for example.
    pub row: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// The same of the baseline.
    pub baseline: f64,
    /// One by the other.
    pub ratio: f64,
    /// Half of the answers came within this, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99 of 100.
    pub p99_ms: Option<f64>,
    /// 999 of 1000.
    pub p999_ms: Option<f64>,
    /// 99 of 100 of the baseline's.
    pub baseline_p99_ms: Option<f64>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Figure {
    /// A figure without latencies.
    pub fn new(row: impl Into<String>, unit: &'static str, value: f64, baseline: f64) -> Self {
        Self {
            row: row.into(),
            value,
            unit,
            baseline,
            ratio: value / baseline,
            p50_ms: None,
            p99_ms: None,
            p999_ms: None,
            baseline_p99_ms: None,
            note: String::new(),
        }
    }

    /// With the latencies of what was measured, and the baseline's.
    pub fn timed(mut self, latencies: &Latencies, baseline_p99_ms: Option<f64>) -> Self {
        self.p50_ms = latencies.ms(0.5);
        self.p99_ms = latencies.ms(0.99);
        self.p999_ms = latencies.ms(0.999);
        self.baseline_p99_ms = baseline_p99_ms;
        self
    }

    /// With something more to say.
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Writes it, as one line of JSON or for people.
    ///
    /// # Errors
    /// When nobody takes it.
    pub fn write(&self, out: &mut impl Write, json: bool) -> anyhow::Result<()> {
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
        } else {
            self.tell(out)?;
        }
        Ok(out.flush()?)
    }

    fn tell(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { row, value, unit, baseline, ratio, .. } = self;
        // Seconds are few, and orders are many.
        let digits = if *value < 100.0 { 3 } else { 1 };
        writeln!(
            out,
            "{row:<22} {value:>12.digits$} {unit:<12} baseline {baseline:>12.digits$}   × {ratio:.3}"
        )?;
        if let (Some(p50), Some(p99), Some(p999), Some(base)) =
            (self.p50_ms, self.p99_ms, self.p999_ms, self.baseline_p99_ms)
        {
            writeln!(
                out,
                "{:<22} p50 {p50:.2} ms  p99 {p99:.2} ms  p99.9 {p999:.2} ms   baseline p99 {base:.2} ms",
                ""
            )?;
        }
        if !self.note.is_empty() {
            writeln!(out, "{:<22} {}", "", self.note)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::{Expect, expect};

    use super::*;

    fn check(figure: &Figure, json: bool, expected: &Expect) {
        let mut out = Vec::new();
        figure.write(&mut out, json).unwrap();
        expected.assert_eq(&String::from_utf8(out).unwrap());
    }

    fn timed() -> Figure {
        let mut latencies = Latencies::new();
        // A thousand: 500 of 1 ms, 490 of 8 ms, 9 of 64 ms, one of 256 ms.
        for (ms, times) in [(1, 500), (8, 490), (64, 9), (256, 1)] {
            (0..times).for_each(|_| latencies.record(Duration::from_millis(ms)));
        }
        let figure = Figure::new("place/64", "orders/s", 1500.0, 6000.0);
        figure.timed(&latencies, Some(2.5)).noted("lag at the end 0 events")
    }

    #[test]
    fn json_is_one_object_a_line() {
        check(
            &timed(),
            true,
            &expect![[r#"
                {"row":"place/64","value":1500.0,"unit":"orders/s","baseline":6000.0,"ratio":0.25,"p50_ms":1.0,"p99_ms":8.003,"p999_ms":64.031,"baseline_p99_ms":2.5,"note":"lag at the end 0 events"}
            "#]],
        );
    }

    #[test]
    fn what_was_not_timed_is_null() {
        check(
            &Figure::new("replay/world", "events/s", 300.0, 400.0),
            true,
            &expect![[r#"
                {"row":"replay/world","value":300.0,"unit":"events/s","baseline":400.0,"ratio":0.75,"p50_ms":null,"p99_ms":null,"p999_ms":null,"baseline_p99_ms":null}
            "#]],
        );
    }

    #[test]
    fn no_answer_is_no_latency() {
        let figure = Figure::new("place/1", "orders/s", 0.0, 10.0).timed(&Latencies::new(), None);
        check(
            &figure,
            true,
            &expect![[r#"
                {"row":"place/1","value":0.0,"unit":"orders/s","baseline":10.0,"ratio":0.0,"p50_ms":null,"p99_ms":null,"p999_ms":null,"baseline_p99_ms":null}
            "#]],
        );
    }

    #[test]
    fn people_read_the_same() {
        check(
            &timed(),
            false,
            &expect![[r#"
            place/64                     1500.0 orders/s     baseline       6000.0   × 0.250
                                   p50 1.00 ms  p99 8.00 ms  p99.9 64.03 ms   baseline p99 2.50 ms
                                   lag at the end 0 events
        "#]],
        );
        check(
            &Figure::new("start/0", "s", 0.0625, 0.0625),
            false,
            &expect![[r#"
            start/0                       0.062 s            baseline        0.062   × 1.000
        "#]],
        );
    }
}
