//! The baseline of everything durable: a bare append of 4 KiB, synced.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::latencies::Latencies;

/// Appends for so long to a file in a folder, and gives each append's time.
///
/// # Errors
/// When the disk refuses.
pub async fn appends(folder: &Path, lasts: Duration) -> anyhow::Result<Latencies> {
    let path = folder.join("append");
    let appending = tokio::task::spawn_blocking(move || {
        let mut file = File::create(&path)?;
        let mut times = Latencies::new();
        let begin = Instant::now();
        while begin.elapsed() < lasts {
            let since = Instant::now();
            file.write_all(&[b'.'; 4096])?;
            file.sync_data()?;
            times.record(since.elapsed());
        }
        std::fs::remove_file(path)?;
        anyhow::Ok(times)
    });
    appending.await.context("the appends")?
}
