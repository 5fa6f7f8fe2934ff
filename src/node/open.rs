//! Opens what a docket keeps: the journal of a single machine, and the keys beside any journal.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use events::WrappedKey;

use super::{Error, blocking, is_storage, sorted};
use crate::{
    config::Config,
    journal::{Journal, MemoryJournal, SqliteJournal, sqlite},
    keys::{KeyRing, MasterKey, StoreError, WrappedKeys},
};

/// The journal of a docket that is one process.
pub(super) async fn open_journal(config: &Config, data: &Path) -> Result<Arc<dyn Journal>, Error> {
    if config.text("journal") == "memory" {
        return Ok(Arc::new(MemoryJournal::new()));
    }
    let pages = u32::try_from(config.count("journal_pages_max")).ok().filter(|pages| *pages > 0);
    let options = sqlite::Options { max_page_count: pages, ..sqlite::Options::default() };
    let folder = data.to_owned();
    let opening = tokio::task::spawn_blocking(move || SqliteJournal::open(&folder, options));
    match opening.await.map_err(|error| Error::Other(error.into()))? {
        Ok(journal) => {
            let unused = journal.head().borrow().number.0 == 0;
            if unused && data.join("views").exists() {
                return Err(Error::Other(anyhow::anyhow!(
                    "{} has views of a journal, but the journal is missing or empty: put \
                     journal.sqlite back, or delete views/ to begin anew",
                    data.display()
                )));
            }
            Ok(Arc::new(journal))
        }
        Err(error) if is_storage(&error) => Err(Error::Storage(error.into())),
        Err(error) => Err(Error::Other(error.into())),
    }
}

/// The key ring of a journal.
pub(super) async fn open_ring(
    config: &Config,
    data: &Path,
    journal: &Arc<dyn Journal>,
) -> Result<KeyRing, Error> {
    let master = master_key(config, data, journal.as_ref()).map_err(sorted)?;
    let stored = Arc::new(Stored(Arc::clone(journal)));
    blocking(move || KeyRing::load(master, stored).context("the key ring")).await
}

/// The master key that is configured, or the one in the data folder, made where there is no
/// journal yet.
fn master_key(config: &Config, data: &Path, journal: &dyn Journal) -> anyhow::Result<MasterKey> {
    let configured = config.text("master_key");
    if !configured.is_empty() {
        return MasterKey::parse(configured).context("the setting master_key");
    }
    let path = data.join("master.key");
    let used = journal.wrapped_key("ring/lookup").context("the key ring")?.is_some();
    anyhow::ensure!(
        path.exists() || !used,
        "{} is gone, and without it nothing sealed in this journal can be read: put it back, or \
         set DOCKET_MASTER_KEY",
        path.display()
    );
    let (key, made) = MasterKey::from_file_or_new(&path)?;
    if made {
        tracing::info!(path = %path.display(), "made a master key; keep a copy of it elsewhere");
    }
    Ok(key)
}

/// The keys that lie beside the journal.
struct Stored(Arc<dyn Journal>);

impl WrappedKeys for Stored {
    fn load(&self, id: &str) -> Result<Option<WrappedKey>, StoreError> {
        Ok(self.0.wrapped_key(id)?)
    }

    fn ensure(&self, key: WrappedKey) -> Result<WrappedKey, StoreError> {
        Ok(self.0.ensure_key(key)?)
    }

    fn destroy(&self, id: &str) -> Result<(), StoreError> {
        Ok(self.0.destroy_key(id)?)
    }
}
