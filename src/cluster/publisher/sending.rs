//! The records of some commits on their way into the topics.

use std::sync::Arc;

use events::publish;
use rdkafka::error::KafkaError;

use super::producer::{Producer, Public, send};
use crate::journal::Followed;

/// Makes the public records of commits and sends them, in order.
pub struct Sending {
    producer: Producer,
    prefix: String,
    commits: Arc<[Arc<Followed>]>,
    /// So many of the commits are sent,
    done: usize,
    /// which are so many records.
    pub records: usize,
}

impl Sending {
    /// Nothing is sent yet.
    pub fn new(producer: &Producer, prefix: &str, commits: &Arc<[Arc<Followed>]>) -> Self {
        let (producer, prefix, commits) = (producer.clone(), prefix.into(), Arc::clone(commits));
        Self { producer, prefix, commits, done: 0, records: 0 }
    }

    /// Goes on, commit by commit, to the last one or for as long as it is to. Takes milliseconds, in which
    /// an async thread would answer nobody.
    pub fn go_on(mut self, mut is_to: impl FnMut() -> bool) -> Result<Self, KafkaError> {
        while let Some(commit) = self.commits.get(self.done)
            && is_to()
        {
            for record in commit.events.iter().flat_map(publish) {
                send(&self.producer, Public::of(&record, &self.prefix))?;
                self.records += 1;
            }
            self.done += 1;
        }
        Ok(self)
    }

    /// Whether all commits are sent.
    pub fn is_done(&self) -> bool {
        self.done == self.commits.len()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rdkafka::ClientConfig;

    use super::{super::producer::Undelivered, *};
    use crate::journal::{Journal as _, SqliteJournal, Tail, reader::Reader};

    /// The commits of the journal that is kept.
    fn commits() -> Arc<[Arc<Followed>]> {
        let folder = tempfile::tempdir().unwrap();
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals/1.sqlite");
        std::fs::copy(kept, folder.path().join("journal.sqlite")).unwrap();
        let journal = SqliteJournal::open_read_only(folder.path()).unwrap();
        let all = journal.head().borrow().position.0 as usize;
        let reader = Reader::new(Arc::new(journal), Tail::default(), all);
        reader.after(&events::Head::default()).unwrap().into()
    }

    #[test]
    fn whoever_goes_on_does_so_where_the_other_left_off() {
        let commits = commits();
        let records = |commits: &[Arc<Followed>]| -> usize {
            let events = commits.iter().flat_map(|commit| &commit.events);
            events.flat_map(publish).count()
        };
        // No broker: what is sent stays where it is.
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1");
        config.set("queue.buffering.max.messages", "1000000");
        let producer: Producer = config.create_with_context(Undelivered::default()).unwrap();
        for first in 0..commits.len() {
            let mut left = first;
            let is_to = || left.checked_sub(1).map(|less| left = less).is_some();
            let sending = Sending::new(&producer, "shop", &commits).go_on(is_to).unwrap();
            assert!(!sending.is_done());
            assert_eq!(sending.records, records(&commits[..first]), "of {first} commits");
            let sending = sending.go_on(|| true).unwrap();
            assert!(sending.is_done());
            assert_eq!(sending.records, records(&commits), "with {first} commits first");
        }
    }
}
