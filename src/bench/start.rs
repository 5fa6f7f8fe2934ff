//! `start`: how long until the first order is accepted, and what the writer keeps in memory.

use std::{path::Path, time::Instant};

use anyhow::Context as _;

use super::{
    Setting, fill,
    options::Start,
    process::{self, Process},
    report::Figure,
    shop::Shop,
};
use crate::{
    engine,
    journal::{Journal as _, SqliteJournal},
};

/// What an order may take in memory, in bytes: one that is open, and one that is closed.
const BYTES_MAX: [f64; 2] = [1024.0, 250.0];

/// Measures the start on journals of growing size, then the memory of open and of closed orders.
///
/// # Errors
/// When something does not start.
pub async fn run(setting: &Setting, options: &Start) -> anyhow::Result<()> {
    let most = options.preload;
    let mut sizes = vec![0, most / 10, most];
    sizes.dedup();
    let mut empty = None;
    for orders in sizes {
        let data = setting.folder.join(format!("start-{orders}"));
        fill::shop(setting, &data, 8, orders).await?;
        setting.say(&format!("start on {orders} orders"));
        let docket = Process::docket(&setting.folder, &data).await?;
        let shop = Shop::open(&docket, &data, 1).await?;
        // Logging in is no part of it: a client has a session.
        let begin = Instant::now();
        shop.place_one(0).await?;
        let took = (docket.started_in + begin.elapsed()).as_secs_f64();
        let baseline = *empty.get_or_insert(took);
        docket.stop().await?;
        let events = SqliteJournal::open_read_only(&data)?.head().borrow().position.0;
        let figure = Figure::new(format!("start/{orders}"), "s", took, baseline)
            .noted(format!("a journal of {events} events; baseline: of no orders"));
        setting.print(&figure)?;
        std::fs::remove_dir_all(&data)?;
    }
    for (ends, budget) in [false, true].into_iter().zip(BYTES_MAX) {
        let what = if ends { "closed" } else { "open" };
        let folder = setting.folder.join(what);
        fill::journal(setting, &folder, most, ends).await?;
        setting.say(&format!("the memory of {what} orders"));
        let arguments = ["bench".as_ref(), "world".as_ref(), folder.as_path()];
        let held = process::output(&setting.folder, &arguments).await?;
        let bytes: f64 = held.trim().parse().context("how much is held")?;
        let figure = Figure::new(format!("memory/{what}"), "B/order", bytes / most as f64, budget)
            .noted(format!("the writer's, of {most} orders; baseline: what it may be"));
        setting.print(&figure)?;
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// Replays a journal and prints by how many bytes this process has grown.
///
/// # Errors
/// When the journal cannot be read.
pub fn world(journal: &Path) -> anyhow::Result<()> {
    let journal = SqliteJournal::open_read_only(journal)?;
    let before = process::resident("self")?;
    let world = engine::replay(&journal)?.0;
    println!("{}", process::resident("self")?.saturating_sub(before));
    drop(world);
    Ok(())
}
