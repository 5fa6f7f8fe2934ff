//! Somebody who reads the public topics from the first record on: each record once, in the journal's
//! order for each key, and none that the journal does not give.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use docket::journal::{Journal as _, SqliteJournal};
use events::{CommitNumber, Recorded, Topic, publish};
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{BaseConsumer, Consumer as _},
    message::Headers as _,
};

use super::site::PATIENCE;

/// Reads in the background.
pub struct Reader {
    ends: Arc<AtomicBool>,
    reading: JoinHandle<Found>,
}

/// Ids of records, by topic and key, in the order in which they came.
type Found = BTreeMap<(String, String), Vec<String>>;

impl Reader {
    /// A member of a consumer group of its own, from the first record on.
    pub fn begin(brokers: &str, prefix: &str) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", format!("{prefix}.reader"))
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("reconnect.backoff.max.ms", "500")
            .create()
            .unwrap();
        let topics = Topic::ALL.map(|it| it.address(prefix));
        consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let reading = std::thread::spawn(move || {
            let (mut found, mut ids) = (Found::new(), BTreeSet::new());
            let mut quiet = Instant::now();
            while !told.load(Ordering::Relaxed) || quiet.elapsed() < Duration::from_secs(2) {
                let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) else { continue };
                quiet = Instant::now();
                let id = record.headers().and_then(|all| {
                    let id = all.iter().find(|it| it.key == "ce_id")?;
                    Some(String::from_utf8(id.value?.to_vec()).unwrap())
                });
                let (id, key) = (id.unwrap(), record.key().unwrap().to_vec());
                let key = String::from_utf8(key).unwrap();
                assert!(ids.insert((record.topic().to_owned(), id.clone())), "{id} came twice");
                found.entry((record.topic().to_owned(), key)).or_default().push(id);
            }
            found
        });
        Self { ends, reading }
    }

    /// Reads to the end, and compares with what a node's journal gives. Everything that is recorded
    /// must be published by now.
    pub fn agrees(self, data: &Path, prefix: &str) {
        self.ends.store(true, Ordering::Relaxed);
        let began = Instant::now();
        let found = self.reading.join().unwrap();
        assert!(began.elapsed() < PATIENCE);
        let journal = SqliteJournal::open_read_only(data).unwrap();
        let (mut expected, mut at) = (Found::new(), CommitNumber(0));
        loop {
            let commits = journal.read(at, 2000).unwrap();
            let Some(last) = commits.last() else { break };
            at = last.number;
            for (_, envelopes) in commits.iter().flat_map(|commit| commit.contents().unwrap()) {
                for record in
                    envelopes.iter().flat_map(|it| publish(&Recorded::decode(it).unwrap()))
                {
                    let headers = record.headers();
                    let id =
                        headers.iter().find(|(name, _)| *name == "ce_id").unwrap().1.to_string();
                    let topic = record.topic().address(prefix);
                    expected.entry((topic, record.key().to_owned())).or_default().push(id);
                }
            }
        }
        let count = |all: &Found| all.values().map(Vec::len).sum::<usize>();
        println!("{} records in the public topics", count(&found));
        assert!(found == expected, "{} records, not {}", count(&found), count(&expected));
    }
}
