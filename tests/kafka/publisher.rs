//! The public topics hold what `publish` makes of the journal: each record once, in order.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use docket::{
    cluster::{Publisher, publisher},
    journal::{
        Followed, Journal, KafkaJournal, MemoryJournal, SqliteJournal, Tail, kafka::Options,
    },
};
use events::{CloudEvent, Commit, CommitNumber, Recorded, Topic, publish};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::Headers as _,
};

use super::{client::PATIENCE, support::kafka};

/// Makes the topics.
async fn site() -> Options {
    let (brokers, prefix) = (kafka::bootstrap(), kafka::prefix());
    let options = Options { brokers, prefix, replication: 1, settings: Vec::new() };
    let folder = tempfile::tempdir().unwrap();
    drop(KafkaJournal::open(folder.path(), &options).await.unwrap());
    options
}

/// The commits of the journal that is kept: every kind of event is in it.
fn commits() -> Vec<Commit> {
    let folder = tempfile::tempdir().unwrap();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals/1.sqlite");
    std::fs::copy(kept, folder.path().join("journal.sqlite")).unwrap();
    let journal = SqliteJournal::open_read_only(folder.path()).unwrap();
    journal.read(CommitNumber(0), usize::MAX).unwrap()
}

async fn append(journal: &MemoryJournal, commits: &[Commit]) {
    for commit in commits {
        journal.append(Arc::new(commit.clone()), Vec::new()).await.unwrap().unwrap();
    }
}

/// What must be published of commits.
fn wanted(commits: &[Commit]) -> Vec<CloudEvent> {
    let decisions = commits.iter().flat_map(|commit| commit.contents().unwrap());
    let envelopes = decisions.flat_map(|(_, envelopes)| envelopes);
    envelopes.flat_map(|it| publish(&Recorded::decode(&it).unwrap())).collect()
}

/// Keeps commits, but the first, as an engine does that has recorded them behind it.
fn keep(tail: &Tail, commits: &[Commit]) {
    for pair in commits.windows(2) {
        let decisions = pair[1].contents().unwrap();
        let events = decisions.iter().flat_map(|(_, envelopes)| envelopes);
        let events = events.map(|it| Recorded::decode(it).unwrap()).collect();
        let (before, after) = (pair[0].head(), pair[1].head());
        tail.push(Arc::new(Followed { before, after, events }));
    }
}

async fn begin(site: &Options, journal: Arc<MemoryJournal>, tail: Tail) -> Arc<Publisher> {
    Arc::new(try_to_begin(site, journal, tail).await.unwrap())
}

async fn try_to_begin(
    site: &Options,
    journal: Arc<MemoryJournal>,
    tail: Tail,
) -> Result<Publisher, publisher::Error> {
    let (config, prefix) = (site.client(), site.prefix.clone());
    // Brokers that have just come up ask to be asked again.
    let began = Instant::now();
    let begin = move || loop {
        let journal: Arc<dyn Journal> = Arc::clone(&journal) as _;
        match Publisher::begin(journal, tail.clone(), &config, &prefix) {
            Err(publisher::Error::Kafka { .. }) if began.elapsed() < PATIENCE => {}
            done => return done,
        }
    };
    tokio::task::spawn_blocking(begin).await.unwrap()
}

/// Lets it publish until somebody takes over.
fn run(publisher: &Arc<Publisher>) -> tokio::task::JoinHandle<Result<(), publisher::Error>> {
    let publisher = Arc::clone(publisher);
    tokio::spawn(async move { publisher.run(&AtomicBool::new(false)).await })
}

async fn published(publisher: &Publisher, commits: usize) {
    let mut published = publisher.published();
    let reached = published.wait_for(|it| it.number.0 >= commits as u64);
    tokio::time::timeout(PATIENCE, reached).await.unwrap().unwrap();
}

type Read = (BTreeMap<String, String>, String);

/// What a consumer of what is committed finds, by topic and key, in the order it finds it.
fn found(site: &Options, topic: Topic) -> BTreeMap<String, Vec<Read>> {
    let mut config = site.client();
    config.set("group.id", "reader").set("isolation.level", "read_committed");
    let consumer: BaseConsumer = config.set("enable.partition.eof", "true").create().unwrap();
    let mut list = TopicPartitionList::new();
    let partitions = events::publish::PARTITIONS as i32;
    for partition in 0..partitions {
        let address = topic.address(&site.prefix);
        list.add_partition_offset(&address, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (begun, mut ended) = (Instant::now(), 0);
    let mut found: BTreeMap<String, Vec<Read>> = BTreeMap::new();
    while ended < partitions {
        assert!(begun.elapsed() < PATIENCE, "{ended} partitions are read");
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let headers = message.headers().unwrap().iter();
                let headers = headers.map(|it| (it.key.to_owned(), text(it.value.unwrap())));
                let read = (headers.collect(), text(message.payload().unwrap()));
                found.entry(text(message.key().unwrap())).or_default().push(read);
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
            other => panic!("{other:?}"),
        }
    }
    found
}

/// Each record of these commits is there once, those of a key in their order.
async fn compare(site: &Options, commits: &[Commit]) {
    let wanted = wanted(commits);
    for topic in Topic::ALL {
        let mut by_key: BTreeMap<String, Vec<Read>> = BTreeMap::new();
        for record in wanted.iter().filter(|it| it.topic() == topic) {
            let headers = record.headers().map(|(name, value)| (name.into(), value.into()));
            let read = (headers.into(), record.value());
            by_key.entry(record.key().to_owned()).or_default().push(read);
        }
        assert!(by_key.len() > 1, "{topic:?} has only {} keys", by_key.len());
        let site = site.clone();
        let found = tokio::task::spawn_blocking(move || found(&site, topic)).await.unwrap();
        assert_eq!(found, by_key, "{topic:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_published_once_whoever_publishes() {
    let (site, commits) = (site().await, commits());
    let journal = Arc::new(MemoryJournal::new());
    let parts: Vec<&[Commit]> = commits.chunks(commits.len() / 4 + 1).collect();
    assert_eq!(parts.len(), 4);

    append(&journal, parts[0]).await;
    let first = begin(&site, Arc::clone(&journal), Tail::default()).await;
    let running = run(&first);
    published(&first, parts[0].len()).await;
    append(&journal, parts[1]).await;
    published(&first, parts[0].len() + parts[1].len()).await;

    // Another begins where this one has come to, and this one notices with the next commit. A part
    // of what comes then is what the other's engine keeps.
    let tail = Tail::keeping(usize::MAX);
    let second = begin(&site, Arc::clone(&journal), tail.clone()).await;
    assert_eq!(*second.published().borrow(), *first.published().borrow());
    append(&journal, parts[2]).await;
    let error = tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, publisher::Error::Fenced), "{error}");
    let begun = parts[0].len() + parts[1].len();
    keep(&tail, &commits[begun - 1..begun + parts[2].len()]);
    append(&journal, parts[3]).await;
    let running = run(&second);
    published(&second, commits.len()).await;
    compare(&site, &commits).await;

    // Who has not read all that is published does not begin.
    let behind = Arc::new(MemoryJournal::new());
    append(&behind, parts[0]).await;
    let error = try_to_begin(&site, behind, Tail::default()).await.err().unwrap();
    assert!(matches!(error, publisher::Error::Behind), "{error}");

    // Who begins again does so behind the newest record, and publishes nothing again.
    running.abort();
    let third = begin(&site, journal, tail).await;
    let newest = commits.iter().rfind(|it| !wanted(std::slice::from_ref(it)).is_empty()).unwrap();
    assert_eq!(*third.published().borrow(), newest.head());
    assert!((newest.number.0 as usize) < commits.len(), "the newest of which nothing is published");
    let running = run(&third);
    published(&third, commits.len()).await;
    running.abort();
    compare(&site, &commits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_and_not_committed_is_published_once_all_the_same() {
    let (site, commits) = (site().await, commits());
    let journal = Arc::new(MemoryJournal::new());
    let mut parts = commits.chunks(commits.len() / 24 + 1);
    // Each is broken off somewhere on its way, as by a kill: half of them with the first that they
    // publish, and half with what comes behind that, which another thread makes and sends.
    for breath in 0..16_u32 {
        let publisher = begin(&site, Arc::clone(&journal), Tail::default()).await;
        let running = run(&publisher);
        append(&journal, parts.next().unwrap_or_default()).await;
        if breath % 2 == 1 {
            published(&publisher, journal.head().borrow().number.0 as usize).await;
            append(&journal, parts.next().unwrap_or_default()).await;
        }
        for _ in 0..breath * 4 {
            tokio::task::yield_now().await;
        }
        running.abort();
    }
    append(&journal, &parts.collect::<Vec<_>>().concat()).await;
    let last = begin(&site, journal, Tail::default()).await;
    let running = run(&last);
    published(&last, commits.len()).await;
    running.abort();
    compare(&site, &commits).await;
}

/// Threads that take every core for themselves, until this is dropped.
struct Busy(Arc<AtomicBool>, Vec<JoinHandle<()>>);

impl Busy {
    fn begin() -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let threads = thread::available_parallelism().unwrap().get() * 2;
        let spin = |ends: Arc<AtomicBool>| move || while !ends.load(Ordering::Relaxed) {};
        let threads = (0..threads).map(|_| thread::spawn(spin(Arc::clone(&ends))));
        Self(Arc::clone(&ends), threads.collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_core_to_spare_publishes_all_the_same() {
    let (site, commits) = (site().await, commits());
    let journal = Arc::new(MemoryJournal::new());
    let publisher = begin(&site, Arc::clone(&journal), Tail::default()).await;
    let running = run(&publisher);
    let busy = Busy::begin();
    append(&journal, &commits).await;
    published(&publisher, commits.len()).await;
    drop(busy);
    running.abort();
    compare(&site, &commits).await;
}
