//! `replay`: from the journal to the world, and to the views.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::{CommitNumber, Recorded};

use super::{Setting, fill, options::Replay, report::Figure};
use crate::{
    engine,
    journal::{Journal, SqliteJournal},
    projector::{self, Views},
};

/// Measures decoding alone, then the replay.
///
/// # Errors
/// When the journal cannot be made or read.
pub async fn run(setting: &Setting, options: &Replay) -> anyhow::Result<()> {
    let folder = setting.folder.join("data");
    fill::journal(setting, &folder, options.preload, false).await?;
    let journal: Arc<dyn Journal> = Arc::new(SqliteJournal::open_read_only(&folder)?);
    setting.say("decoding alone");
    let events = journal.head().borrow().position.0 as f64;
    let decoding = decoded(journal.as_ref())?;
    let decoding = events / decoding.as_secs_f64();
    setting.say("into the world");
    let begin = Instant::now();
    let (world, head) = engine::replay(journal.as_ref())?;
    let took = begin.elapsed();
    let note = format!("{events} events, {} orders; baseline: decoding alone", world.orders.len());
    let figure = Figure::new("replay/world", "events/s", events / took.as_secs_f64(), decoding);
    setting.print(&figure.noted(note))?;
    drop(world);
    setting.say("into the views");
    let begin = Instant::now();
    let options = projector::Options::default();
    Views::fold(journal, head.position, &setting.folder.join("views"), &options)?;
    let took = begin.elapsed();
    let figure = Figure::new("replay/views", "events/s", events / took.as_secs_f64(), decoding);
    setting.print(&figure.noted("one view after the other; baseline: decoding alone, once"))
}

/// How long the decoding takes of all that is read.
fn decoded(journal: &dyn Journal) -> anyhow::Result<Duration> {
    let (mut number, mut took) = (CommitNumber(0), Duration::ZERO);
    loop {
        let commits = journal.read(number, 5000)?;
        let Some(last) = commits.last() else { return Ok(took) };
        number = last.number;
        let begin = Instant::now();
        for commit in &commits {
            for (_, envelopes) in commit.contents()? {
                for envelope in &envelopes {
                    std::hint::black_box(Recorded::decode(envelope)?);
                }
            }
        }
        took += begin.elapsed();
    }
}
