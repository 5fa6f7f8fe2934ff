//! The records of some commits on their way into the topics.

use std::sync::Arc;

use events::{CloudEvent, publish};
use rdkafka::{
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};

use crate::journal::Followed;

/// Makes the public records of commits and sends them, in order.
pub struct Sending {
    producer: FutureProducer,
    prefix: String,
    commits: Arc<[Arc<Followed>]>,
    /// So many of the commits are sent.
    done: usize,
    /// What waits to be delivered.
    pub sent: Vec<DeliveryFuture>,
}

impl Sending {
    /// Nothing is sent yet.
    pub fn new(producer: &FutureProducer, prefix: &str, commits: &Arc<[Arc<Followed>]>) -> Self {
        let (producer, prefix, commits) = (producer.clone(), prefix.into(), Arc::clone(commits));
        Self { producer, prefix, commits, done: 0, sent: Vec::new() }
    }

    /// Goes on, commit by commit, to the last one or for as long as it is to. Takes milliseconds, in which
    /// an async thread would answer nobody.
    pub fn go_on(mut self, mut is_to: impl FnMut() -> bool) -> Result<Self, KafkaError> {
        while let Some(commit) = self.commits.get(self.done)
            && is_to()
        {
            for record in commit.events.iter().flat_map(publish) {
                self.sent.push(send(&self.producer, &self.prefix, &record)?);
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

fn send(
    producer: &FutureProducer,
    prefix: &str,
    record: &CloudEvent,
) -> Result<DeliveryFuture, KafkaError> {
    let topic = record.topic().address(prefix);
    let attributes = record.headers();
    let mut headers = OwnedHeaders::new_with_capacity(attributes.len());
    for (key, value) in attributes {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    let value = record.value();
    let record = FutureRecord::to(&topic).key(record.key()).payload(&value).headers(headers);
    producer.send_result(record).map_err(|(error, _)| error)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rdkafka::ClientConfig;

    use super::*;
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

    #[tokio::test]
    async fn whoever_goes_on_does_so_where_the_other_left_off() {
        let commits = commits();
        let records = |commits: &[Arc<Followed>]| {
            let events = commits.iter().flat_map(|commit| &commit.events);
            events.flat_map(publish).count()
        };
        let mut config = ClientConfig::new();
        // No broker: what is sent stays where it is.
        let producer = config.set("bootstrap.servers", "127.0.0.1:1").create().unwrap();
        for first in 0..commits.len() {
            let mut left = first;
            let is_to = || left.checked_sub(1).map(|less| left = less).is_some();
            let sending = Sending::new(&producer, "shop", &commits).go_on(is_to).unwrap();
            assert!(!sending.is_done());
            assert_eq!(sending.sent.len(), records(&commits[..first]), "of {first} commits");
            let sending = sending.go_on(|| true).unwrap();
            assert!(sending.is_done());
            assert_eq!(sending.sent.len(), records(&commits), "with {first} commits first");
        }
    }
}
