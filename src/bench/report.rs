//! What is printed: one figure a line, beside its baseline.

use std::io::Write as _;

use serde::Serialize;

use super::load::Measured;

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
    pub fn timed(mut self, measured: &Measured, baseline_p99_ms: f64) -> Self {
        self.p50_ms = Some(measured.ms(0.5));
        self.p99_ms = Some(measured.ms(0.99));
        self.p999_ms = Some(measured.ms(0.999));
        self.baseline_p99_ms = Some(baseline_p99_ms);
        self
    }

    /// With something more to say.
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Prints it, as JSON or for people.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
            return Ok(());
        }
        let Self { row, value, unit, baseline, ratio, .. } = self;
        writeln!(
            out,
            "{row:<22} {value:>12.1} {unit:<12} baseline {baseline:>12.1}   × {ratio:.3}"
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
