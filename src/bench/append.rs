//! The baseline of everything durable: a bare append of 4 KiB, synced.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

/// Appends for so long to a file in a folder, and gives each append's time in microseconds.
///
/// # Errors
/// When the disk refuses.
pub fn appends(folder: &Path, lasts: Duration) -> anyhow::Result<Histogram<u64>> {
    let path = folder.join("append");
    let mut file = File::create(&path)?;
    let mut times = Histogram::new_with_bounds(1, 600_000_000, 3)?;
    let begin = Instant::now();
    while begin.elapsed() < lasts {
        let since = Instant::now();
        file.write_all(&[b'.'; 4096])?;
        file.sync_data()?;
        times.saturating_record(u64::try_from(since.elapsed().as_micros())?.max(1));
    }
    std::fs::remove_file(path)?;
    Ok(times)
}
