//! The journal on Kafka in this process, fed what a docket that runs has recorded.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, ensure};
use events::{CommitNumber, Recorded};

use super::{
    Commits, Committed, appended, ended,
    http::{LEFT_WITHIN, POLL},
};
use crate::{
    bench::load::Measured,
    journal::{Journal as _, KafkaJournal, SqliteJournal, kafka::Options},
};

/// How many events of the journal are read at once.
const SLICE: usize = 4096;

/// A journal in this process that is given what a docket has recorded, from the first commit on.
pub struct Fed {
    journal: KafkaJournal,
    folder: PathBuf,
}

impl Fed {
    /// Without anything yet.
    pub async fn begin(folder: &Path, site: &Options) -> anyhow::Result<Self> {
        let folder = folder.join(&site.prefix);
        let journal = KafkaJournal::open(&folder, site).await?;
        journal.begin()?;
        Ok(Self { journal, folder })
    }

    /// Gives it what a docket has recorded up to a commit, as far as it lacks that.
    pub async fn catch_up(
        &self,
        data: &Path,
        up_to: CommitNumber,
        at_once: usize,
    ) -> anyhow::Result<()> {
        let head = self.journal.head().borrow().number;
        if head < up_to {
            let lacks = recorded(data, head, usize::try_from(up_to.0 - head.0)?)?;
            self.feed(&lacks, at_once).await?;
        }
        Ok(())
    }

    /// Gives it the next commits. It has stored them then, which is no burden for what comes next.
    pub async fn feed(&self, commits: &Commits, at_once: usize) -> anyhow::Result<Measured> {
        let measured = appended(&self.journal, commits, at_once).await?;
        self.store_the_rest().await?;
        Ok(measured)
    }

    /// Lets go of its folder.
    pub async fn end(self) -> anyhow::Result<()> {
        ended(self.journal).await
    }

    async fn store_the_rest(&self) -> anyhow::Result<()> {
        let head = self.journal.head().borrow().number;
        let asked = Instant::now();
        while newest(&self.folder)? < head {
            ensure!(asked.elapsed() < LEFT_WITHIN, "the journal does not store what it has taken");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// The newest commit of a docket that runs.
pub fn newest(data: &Path) -> anyhow::Result<CommitNumber> {
    Ok(SqliteJournal::open_read_only(data)?.head().borrow().number)
}

/// What a docket has recorded after a commit, so many commits at most.
pub fn recorded(data: &Path, from: CommitNumber, most: usize) -> anyhow::Result<Vec<Committed>> {
    let journal = SqliteJournal::open_read_only(data)?;
    let head = journal.head().borrow().number;
    let (mut after, mut commits) = (from, Vec::new());
    while after < head && commits.len() < most {
        let read = journal.read(after, SLICE)?;
        after = read.last().context("a commit")?.number;
        for commit in read {
            let contents = commit.contents()?;
            let events = contents.iter().flat_map(|(_, envelopes)| envelopes);
            let events = events.map(Recorded::decode).collect::<Result<_, _>>()?;
            commits.push((Arc::new(commit), events));
        }
    }
    ensure!(!commits.is_empty(), "nothing was recorded");
    commits.truncate(most);
    Ok(commits)
}
