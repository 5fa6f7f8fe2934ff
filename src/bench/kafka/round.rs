//! What is measured in rounds, put together and printed.

use super::bare::All;
use crate::bench::{Setting, latencies::Latencies, load::Measured, report::Figure};

/// Of the baseline's commit p99, so many times it may be.
const TIMES: f64 = 3.0;

/// What was measured in a round, or in several.
pub struct Round {
    pub echo: Measured,
    pub place: Measured,
    /// Orders that every view had taken in.
    pub seen: u64,
    /// Events that the views lacked at the end, at most.
    pub lag: u64,
    /// Commits that were not published at the end, at most.
    pub unpublished: u64,
    /// Commits that were recorded and sent again, and the events in them.
    pub commits: usize,
    pub events: usize,
    /// The journal in this process.
    pub fed: Measured,
    /// A bare client that sends the commits alone.
    pub alone: Measured,
    /// One that leaves the same records in the same topics: the public ones too.
    pub all: All,
}

impl Round {
    /// Two rounds as one.
    pub fn with(self, other: &Self) -> Self {
        Self {
            echo: self.echo.with(&other.echo),
            place: self.place.with(&other.place),
            seen: self.seen + other.seen,
            lag: self.lag.max(other.lag),
            unpublished: self.unpublished.max(other.unpublished),
            commits: self.commits + other.commits,
            events: self.events + other.events,
            fed: self.fed.with(&other.fed),
            alone: self.alone.with(&other.alone),
            all: self.all.with(&other.all),
        }
    }

    /// Prints the figures of so many connections.
    pub fn print(&self, setting: &Setting, connections: usize) -> anyhow::Result<()> {
        let p99 = |of: &Latencies| of.ms(0.99).unwrap_or_default();
        let Self { lag, unpublished, alone, all, .. } = self;
        let [echo_p99, alone_p99, all_p99] =
            [&self.echo, alone, &all.commits].map(|it| p99(&it.latencies));
        let size = self.events as f64 / self.commits as f64;
        let value = self.seen as f64 / self.place.took.as_secs_f64();
        let note = format!(
            "{size:.1} events a commit; lag at the end {lag} events, {unpublished} commits not \
             published; echo p99 {echo_p99:.2} ms; the same commits bare: {:.0} a second, p99 \
             {alone_p99:.2} ms; with {:.0} public records a second besides: {:.0}, p99 {all_p99:.2} ms",
            alone.rate(),
            all.public as f64 / all.took.as_secs_f64(),
            all.commits.rate(),
        );
        let row = format!("kafka/place/{connections}");
        let figure = Figure::new(row, "orders/s", value, self.echo.rate())
            .timed(&self.place.latencies, Some(TIMES * alone_p99 + echo_p99))
            .noted(note);
        setting.print(&figure)?;
        let row = format!("kafka/recorded/{connections}");
        let figure = Figure::new(row, "commits/s", self.fed.rate(), alone.rate())
            .timed(&self.fed.latencies, Some(alone_p99))
            .noted(format!("{size:.1} events a commit"));
        setting.print(&figure)
    }
}
