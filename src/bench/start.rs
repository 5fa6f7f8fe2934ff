//! `start`: how long until the first order is accepted, and what the writer keeps in memory.

use std::time::Instant;

use anyhow::Context as _;

use super::{
    Setting, fill,
    process::{self, Process},
    report::Figure,
    shop::Shop,
};
use crate::{engine, journal::SqliteJournal};

/// Measures the start on journals of growing size, then the memory of open and of closed orders.
///
/// # Errors
/// When something does not start.
pub async fn run(setting: &Setting) -> anyhow::Result<()> {
    let most = setting.preload_or(1_000_000);
    let mut empty = None;
    for orders in [0, most / 10, most] {
        let data = setting.folder.join(format!("start-{orders}"));
        fill::shop(setting, &data, 8, orders).await?;
        let begin = Instant::now();
        let docket = Process::docket(&data)?;
        let started = docket.started_in.as_secs_f64();
        let shop = Shop::open(&docket, &data, 1).await?;
        let prepared = begin.elapsed();
        shop.place_one(0).await?;
        // Logging in is no part of it: a client has a session.
        let took = started + (begin.elapsed() - prepared).as_secs_f64();
        let baseline = *empty.get_or_insert(took);
        Figure::new(format!("start/{orders}"), "s", took, baseline)
            .noted("baseline: with no orders")
            .print(setting.json)?;
        docket.stop()?;
        std::fs::remove_dir_all(&data)?;
    }
    for (what, ends) in [("open", false), ("closed", true)] {
        let folder = setting.folder.join(what);
        fill::journal(setting, &folder, most, ends).await?;
        let held = process::output(&["bench", "world", "--folder"], &folder)?;
        let bytes: f64 = held.trim().parse().context("how much is held")?;
        let budget = if ends { 250.0 } else { 1024.0 };
        Figure::new(format!("memory/{what}"), "B/order", bytes / most as f64, budget)
            .noted("baseline: what it may be")
            .print(setting.json)?;
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// Replays a journal and prints by how many bytes this process has grown.
///
/// # Errors
/// When the journal cannot be read.
pub fn world(setting: &Setting) -> anyhow::Result<()> {
    let journal = SqliteJournal::open_read_only(&setting.beside)?;
    let before = process::resident("self")?;
    let world = engine::replay(&journal)?.0;
    println!("{}", process::resident("self")?.saturating_sub(before));
    drop(world);
    Ok(())
}
