//! Fills a journal, so that something can be measured on top of it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use events::{AccountId, OrderId};

use super::{Setting, commands, process::Process, shop::Shop};
use crate::{
    config::Config,
    domain::World,
    engine::{Decider, SealedCommit},
    journal::{Journal, SqliteJournal, sqlite},
    node::{self, Parts},
};

/// Orders that are on their way at once.
const AT_ONCE: usize = 1024;
/// Orders in one commit, where there is no HTTP.
const BATCH: usize = 512;

/// Opens the shop on a folder and places orders for its buyers until there are so many; gives some
/// of them, each with its buyer: of every buyer the first, and then each hundredth. The views have
/// them all at the end.
///
/// # Errors
/// When something does not start, or refuses.
pub async fn shop(
    setting: &Setting,
    data: &Path,
    buyers: usize,
    orders: u64,
) -> anyhow::Result<Vec<(usize, OrderId)>> {
    let docket = Process::docket(&setting.folder, data).await?;
    let accounts = Shop::open(&docket, data, buyers).await?.buyers;
    docket.stop().await?;
    let accounts: Vec<AccountId> =
        accounts.iter().filter_map(|(account, _)| account.parse().ok()).collect();
    let flags = [("data", data.display().to_string())];
    let longer = ("DOCKET_CHANNEL_NATIVE_PAY_WITHIN".to_owned(), "365d".to_owned());
    let config = Config::resolve(&flags, None, [longer])?;
    let node = node::start(&config, Parts::default()).await?;
    setting.say(&format!("{orders} orders are placed before"));
    let next = Arc::new(AtomicU64::new(0));
    let mut working = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (engine, next, accounts) = (node.engine.clone(), Arc::clone(&next), accounts.clone());
        working.spawn(async move {
            let mut kept = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= orders {
                    return anyhow::Ok(kept);
                }
                let (buyer, nth) = (n as usize % accounts.len(), n as usize / accounts.len());
                let (order, request) = commands::place(accounts[buyer]);
                engine.submit(request).await?;
                if nth % 100 == 0 {
                    kept.push((buyer, order));
                }
            }
        });
    }
    let mut kept = Vec::new();
    let lag = || node.views.status().iter().map(|view| view.lag_events).max().unwrap_or(0);
    while !working.is_empty() || lag() > 0 {
        tokio::select! {
            Some(done) = working.join_next() => kept.extend(done.context("an order")??),
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                let n = next.load(Ordering::Relaxed).min(orders);
                setting.tick(&format!("{n} of {orders} orders placed, the views lack {}", lag()));
            }
        }
    }
    node.shut_down().await.map_err(|reason| anyhow::anyhow!("{reason}"))?;
    Ok(kept)
}

/// Places so many orders in a journal without anything else, and ends them where that is asked.
///
/// # Errors
/// When the engine or the disk refuses.
pub async fn journal(
    setting: &Setting,
    folder: &Path,
    orders: u64,
    ends: bool,
) -> anyhow::Result<()> {
    setting.say(&format!("{orders} orders go into a journal"));
    let journal = SqliteJournal::open(folder, sqlite::Options::default())?;
    let mut decider = Decider::new(World::default(), *journal.head().borrow());
    let buyers = commands::open_shop(&mut decider, 64)?;
    for n in 0..orders {
        let buyer = buyers[n as usize % buyers.len()];
        let (order, request) = commands::place(buyer);
        decider.decide(request, commands::NOW)?;
        if ends {
            decider.decide(commands::cancel(buyer, order), commands::NOW)?;
        }
        if (n + 1) % BATCH as u64 == 0 || n + 1 == orders || !decider.has_room() {
            let SealedCommit { commit, keys, .. } = decider.seal().context("a commit")?;
            journal.append(commit, keys).await??;
            if n % 10_240 == 0 || n + 1 == orders {
                setting.tick(&format!("{} of {orders} orders in the journal", n + 1));
            }
        }
    }
    Ok(())
}
