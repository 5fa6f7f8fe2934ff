//! `docket backup` and `docket restore`: flags, signals, and what is printed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use events::Digest;

use super::telling::{print, say, until_told};
use crate::{
    backup::{self, Check, Error, Restored, Wishes, Written},
    config::Config,
    keys::MasterKey,
    node,
};

/// What is said of a backup that is to be made.
#[derive(Args)]
pub struct Backup {
    /// The file to make; an existing one is refused
    file: PathBuf,
    /// Replace the file where there is one, once the new one is whole
    #[arg(long)]
    force: bool,
    /// Back up although pictures are missing or damaged; the backup says which
    #[arg(long)]
    allow_lost_blobs: bool,
    /// The data folder of the docket that is meant [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<String>,
}

/// What is said of a backup that is to be put back.
#[derive(Args)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// The hash that the newest commit must have, as `docket backup` printed it
    #[arg(long, value_name = "HEX")]
    expect_hash: Option<Digest>,
    /// The data folder to make; one that is not empty is refused [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<String>,
}

/// Makes a backup, and says what is in it.
pub async fn back_up(flags: Backup, config: &Config) -> anyhow::Result<ExitCode> {
    let Backup { file, force, allow_lost_blobs, .. } = flags;
    let wishes = Wishes { replace: force, allow_lost_blobs };
    let (data, to) = (PathBuf::from(config.text("data")), file.clone());
    let blobs = node::blobs_folder(config);
    let done = until_told(move |tell| backup::write(&data, &blobs, &to, wishes, tell)).await?;
    match done {
        Err(Error::Stopped) => Ok(broken_off()),
        Err(error) => Err(error).with_context(|| {
            format!("there is no backup of {} in {}", config.text("data"), file.display())
        }),
        Ok(Written { about, bytes }) => {
            let lines = [
                ("position", about.position.to_string()),
                ("commit", about.commit.to_string()),
                ("hash", about.hash.to_string()),
                ("bytes", bytes.to_string()),
                ("blobs", counted(about.blobs, about.blobs_lost)),
            ];
            print(&format!("{} is backed up into {}", config.text("data"), file.display()), &lines);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Puts a backup back, and says what was verified.
pub async fn put_back(flags: Restore, config: &Config) -> anyhow::Result<ExitCode> {
    let Restore { file, expect_hash: hash, .. } = flags;
    let master = match config.text("master_key") {
        "" => None,
        configured => Some(MasterKey::parse(configured).context("the setting master_key")?),
    };
    let check = Check { hash, master };
    let (data, from) = (PathBuf::from(config.text("data")), file.clone());
    let done = until_told(move |tell| backup::restore(&from, &data, check, tell)).await?;
    match done {
        Err(Error::Stopped) => Ok(broken_off()),
        Err(error) => Err(error).with_context(|| {
            format!("{} is not restored into {}", file.display(), config.text("data"))
        }),
        Ok(restored) => {
            tell_restored(&file, &restored, hash.is_some());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn tell_restored(file: &Path, restored: &Restored, expected: bool) {
    let Restored { about, data, opened } = restored;
    let hash =
        if expected { format!("{}, as expected", about.hash) } else { about.hash.to_string() };
    let keys =
        if *opened { "the master key opens them" } else { "not opened: no master key is set" };
    let lines = [
        ("position", format!("{}, every event decoded and replayed", about.position)),
        ("commit", format!("{}, the chain verified from the first", about.commit)),
        ("hash", hash),
        ("keys", format!("{}, {keys}", about.keys.count)),
        ("blobs", counted(about.blobs, about.blobs_lost)),
    ];
    print(&format!("{} is restored into {}", file.display(), data.display()), &lines);
    if !opened {
        let key = data.join("master.key").display().to_string();
        say(&format!(
            "before docket serve, put the master key into {key}, or set DOCKET_MASTER_KEY"
        ));
    }
}

fn counted(blobs: u64, lost: u64) -> String {
    match lost {
        0 => blobs.to_string(),
        _ => format!("{blobs}, and {lost} that were lost already when the backup was made"),
    }
}

fn broken_off() -> ExitCode {
    eprintln!("docket: broken off; nothing is left of it");
    ExitCode::from(130)
}
