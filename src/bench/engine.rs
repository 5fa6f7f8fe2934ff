//! `engine`: deciding, evolving and encoding in this process, without HTTP and without views.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use events::{Commit, Recorded};
use rusqlite::{Connection, params};

use super::{Setting, commands, options::Engine, report::Figure};
use crate::{
    domain::World,
    engine::{Decider, Request, SealedCommit},
    journal::{Appending, Journal, MemoryJournal, SqliteJournal, sqlite},
};

/// Orders in one commit.
const BATCH: usize = 512;
const BUYERS: u32 = 64;

/// Measures the engine on both journals.
///
/// # Errors
/// When the engine or the disk refuses.
pub async fn run(setting: &Setting, options: &Engine) -> anyhow::Result<()> {
    let orders = usize::try_from(options.orders)?;
    setting.say("orders on the journal in memory");
    let (took, commits) = placed(Arc::new(MemoryJournal::new()), orders).await?;
    let rate = |took: Duration| orders as f64 / took.as_secs_f64();
    setting.say("encoding the same events");
    let encoding = encoded(&commits)?;
    let figure = Figure::new("engine/memory", "events/s", rate(took), rate(encoding));
    setting.print(&figure.noted("baseline: serde_json alone, on the same events"))?;
    drop(commits);

    setting.say("orders on SQLite");
    let journal = SqliteJournal::open(&setting.folder.join("engine"), sqlite::Options::default())?;
    let (took, commits) = placed(Arc::new(journal), orders).await?;
    setting.say("bare SQLite");
    let bare = inserted(&setting.folder, &commits)?;
    let figure = Figure::new("engine/sqlite", "events/s", rate(took), rate(bare));
    setting.print(
        &figure.noted(format!("commits of {BATCH}; baseline: the same bytes into one bare table")),
    )
}

/// Places all orders, each batch decided while the one before is on its way.
async fn placed(
    journal: Arc<dyn Journal>,
    orders: usize,
) -> anyhow::Result<(Duration, Vec<Arc<Commit>>)> {
    let mut decider = Decider::new(World::default(), *journal.head().borrow());
    let buyers = commands::open_shop(&mut decider, BUYERS)?;
    append(&journal, &mut decider)?.context("nothing was opened")?.1.await??;
    let requests: Vec<Request> =
        (0..orders).map(|n| commands::place(buyers[n % buyers.len()]).1).collect();

    let mut commits = Vec::with_capacity(orders / BATCH + 1);
    let mut before: Option<Appending> = None;
    let begin = Instant::now();
    for (n, request) in requests.into_iter().enumerate() {
        decider.decide(request, commands::NOW)?;
        if (n + 1) % BATCH == 0 || n + 1 == orders || !decider.has_room() {
            if let Some(appending) = before.take() {
                appending.await??;
            }
            let (commit, appending) = append(&journal, &mut decider)?.context("a commit")?;
            commits.push(commit);
            before = Some(appending);
        }
    }
    if let Some(appending) = before {
        appending.await??;
    }
    Ok((begin.elapsed(), commits))
}

fn append(
    journal: &Arc<dyn Journal>,
    decider: &mut Decider,
) -> anyhow::Result<Option<(Arc<Commit>, Appending)>> {
    let sealed = decider.seal();
    Ok(sealed.map(|SealedCommit { commit, keys, .. }| {
        (Arc::clone(&commit), journal.append(commit, keys))
    }))
}

/// Encodes every event once more.
fn encoded(commits: &[Arc<Commit>]) -> anyhow::Result<Duration> {
    let mut events: Vec<Recorded> = Vec::new();
    for commit in commits {
        for (_, envelopes) in commit.contents()? {
            for envelope in envelopes {
                events.push(Recorded::decode(&envelope)?);
            }
        }
    }
    let begin = Instant::now();
    let mut bytes = 0;
    for event in &events {
        bytes += event.to_json().len();
    }
    std::hint::black_box(bytes);
    Ok(begin.elapsed())
}

/// Inserts every header and every event into one table, in the same transactions.
fn inserted(folder: &Path, commits: &[Arc<Commit>]) -> anyhow::Result<Duration> {
    let mut bare = Connection::open(folder.join("bare.sqlite"))?;
    bare.pragma_update(None, "journal_mode", "wal")?;
    bare.pragma_update(None, "synchronous", "full")?;
    bare.execute("CREATE TABLE bytes (n INTEGER PRIMARY KEY, bytes TEXT NOT NULL)", [])?;
    let begin = Instant::now();
    for commit in commits {
        let transaction = bare.transaction()?;
        {
            let insert = "INSERT INTO bytes (bytes) VALUES (?1)";
            let mut insert = transaction.prepare_cached(insert)?;
            for decision in &commit.decisions {
                insert.execute(params![decision.header])?;
                for event in &decision.events {
                    insert.execute(params![event])?;
                }
            }
        }
        transaction.commit()?;
    }
    Ok(begin.elapsed())
}
