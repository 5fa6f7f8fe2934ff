//! What an operator who waits is told: how far it is, how fast it goes, how long it takes yet.

use std::{
    io::{IsTerminal as _, Write as _},
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::backup::{Progress, Tell};

/// How often it is said how far something is: where somebody looks on, and where it goes to a file.
const TOLD_EVERY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// Takes the place of what a terminal's last line says.
const NEW_LINE: &str = "\r\x1b[K";

/// Prints a title and, below it, what is to be said of it.
pub fn print(title: &str, lines: &[(&str, String)]) {
    say(title);
    for (name, value) in lines {
        say(&format!("  {name:<9} {value}"));
    }
}

/// Prints a line. Whoever reads it may have seen enough and gone.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Does what blocks, off the async threads, until it is done or a signal says to stop; a second signal
/// ends the program at once. Says how far it is when it takes long.
pub async fn until_told<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce(&mut Tell<'_>) -> Result<T, E> + Send + 'static,
) -> anyhow::Result<Result<T, E>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals")?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let mut working = tokio::task::spawn_blocking(move || {
        let mut teller = Teller::new();
        let done = work(&mut |progress| {
            teller.hear(&progress);
            match told.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        teller.end();
        done
    });
    loop {
        tokio::select! {
            done = &mut working => return done.context("it panicked"),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        let before = if std::io::stderr().is_terminal() { NEW_LINE } else { "" };
        eprintln!("{before}docket: told to stop; told again, it ends at once");
    }
}

/// Says on standard error how far it is, from the first second on.
struct Teller {
    next: Instant,
    every: Duration,
    is_terminal: bool,
    told: bool,
    /// What is being done, since when, and how much of it was done then.
    begun: Option<(&'static str, Instant, u64)>,
}

impl Teller {
    fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let [looked_at, kept] = TOLD_EVERY;
        let every = if is_terminal { looked_at } else { kept };
        Self { next: Instant::now() + looked_at, every, is_terminal, told: false, begun: None }
    }

    fn hear(&mut self, progress: &Progress) {
        let now = Instant::now();
        let (_, since, before) = match self.begun {
            Some(begun) if begun.0 == progress.doing => begun,
            _ => *self.begun.insert((progress.doing, now, progress.done)),
        };
        if now < self.next {
            return;
        }
        self.next = now + self.every;
        self.told = true;
        let far = far(progress, progress.done.saturating_sub(before), now - since);
        // On a terminal each line takes the place of the one before.
        let (before, after) = if self.is_terminal { (NEW_LINE, "") } else { ("", "\n") };
        eprint!("{before}{far}{after}");
    }

    fn end(&self) {
        if self.told && self.is_terminal {
            eprintln!();
        }
    }
}

/// How far it is, of which so much was done in that time.
fn far(progress: &Progress, lately: u64, time: Duration) -> String {
    let Progress { doing, done, of } = progress;
    if of <= done {
        return (*doing).to_owned();
    }
    let far = format!("{doing}: {done} of {of}");
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let rate = lately.saturating_mul(1000).checked_div(ms).unwrap_or(0);
    match (of - done).checked_div(rate) {
        Some(left) if ms >= 500 => format!("{far}, {rate} a second, {} left", lasting(left)),
        _ => far,
    }
}

/// So many seconds, as somebody says it who waits.
fn lasting(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60) {
        (0, 0) => format!("{} s", seconds.max(1)),
        (0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (hours, minutes) => format!("{hours} h {} min", minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_told_how_long_yet() {
        let told = |done, lately, ms| {
            let progress = Progress { doing: "copying events", done, of: 400_000 };
            far(&progress, lately, Duration::from_millis(ms))
        };
        assert_eq!(told(0, 0, 0), "copying events: 0 of 400000");
        assert_eq!(
            told(10_000, 10_000, 100),
            "copying events: 10000 of 400000",
            "too early to say"
        );
        assert_eq!(told(0, 0, 2000), "copying events: 0 of 400000", "it stands still");
        let fast = "copying events: 120000 of 400000, 35000 a second, 8 s left";
        assert_eq!(told(120_000, 70_000, 2000), fast);
        let slow = "copying events: 1000 of 400000, 100 a second, 1 h 6 min left";
        assert_eq!(told(1000, 1000, 10_000), slow);
        let steady = "copying events: 390000 of 400000, 100 a second, 1 min 40 s left";
        assert_eq!(told(390_000, 1000, 10_000), steady);
        assert_eq!(told(400_000, 1, 1000), "copying events");
    }
}
