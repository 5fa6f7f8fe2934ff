//! Two consumers share the public topics, and one of them begins again in the midst of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use events::{Topic, publish::PARTITIONS};
use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers as _},
};

use crate::{
    PATIENCE,
    site::Site,
    town::{Life, Town},
};

/// So many records are read before they are committed.
const AT_ONCE: usize = 5;

/// Where a record is: topic, partition, offset.
type Place = (String, i32, i64);

/// A record that somebody has read.
#[derive(Debug, Clone)]
struct Seen {
    /// Who, and in which of its lives.
    reader: (usize, usize),
    place: Place,
    key: String,
    sequence: String,
}

/// What has been read, in the order in which it was, and by whom.
#[derive(Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    /// What was read and not committed by the one that ended without a word.
    lost: Mutex<BTreeSet<Place>>,
    /// How many partitions each reader has.
    partitions: [AtomicUsize; 2],
    ends: AtomicBool,
}

/// Commits what it has read before another gets the partition.
struct Member {
    n: usize,
    log: Arc<Log>,
    open: Mutex<BTreeSet<Place>>,
    silent: AtomicBool,
}

/// The topics of a site, and where they are.
#[derive(Clone)]
struct Source {
    config: ClientConfig,
    group: String,
    topics: [String; 3],
}

impl ClientContext for Member {}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, change: &Rebalance<'_>) {
        if !matches!(change, Rebalance::Revoke(_)) || self.silent.load(Ordering::Relaxed) {
            return;
        }
        let committed = self.commit(consumer);
        // At the very end nobody is there to read anything again.
        assert!(committed.is_ok() || self.log.ends.load(Ordering::Relaxed), "{committed:?}");
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        if self.silent.load(Ordering::Relaxed) {
            return;
        }
        // One that is about to go has none.
        let count = consumer.assignment().map_or(0, |it| it.count());
        self.log.partitions[self.n].store(count, Ordering::Relaxed);
    }
}

impl Member {
    /// Commits everything that was received.
    fn commit(&self, consumer: &BaseConsumer<Self>) -> Result<(), KafkaError> {
        match consumer.commit_consumer_state(CommitMode::Sync) {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {
                self.open.lock().unwrap().clear();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Source {
    fn of(site: &Site, strategy: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &site.brokers).set("isolation.level", "read_committed");
        let group = format!("{}.{strategy}", site.prefix);
        config.set("group.id", &group).set("enable.auto.commit", "false");
        config.set("partition.assignment.strategy", strategy);
        Self { config, group, topics: Topic::ALL.map(|it| it.address(&site.prefix)) }
    }

    fn join(&self, n: usize, log: &Arc<Log>) -> BaseConsumer<Member> {
        let (open, silent) = (Mutex::default(), AtomicBool::new(false));
        let member = Member { n, log: Arc::clone(log), open, silent };
        let mut config = self.config.clone();
        config.set("auto.offset.reset", "earliest").set("heartbeat.interval.ms", "200");
        let consumer: BaseConsumer<Member> = config.create_with_context(member).unwrap();
        consumer.subscribe(&self.topics.each_ref().map(String::as_str)).unwrap();
        consumer
    }

    /// Reads until all is over. The second reader ends once without a word, having read what it has
    /// not committed, and begins again.
    fn read(&self, n: usize, log: &Arc<Log>) {
        for life in 0.. {
            let consumer = self.join(n, log);
            let member = consumer.context();
            let mut commits = 0;
            while !log.ends.load(Ordering::Relaxed) {
                let Some(message) = consumer.poll(Duration::from_millis(50)) else { continue };
                let seen = Seen::of(&message.unwrap(), (n, life));
                member.open.lock().unwrap().insert(seen.place.clone());
                log.seen.lock().unwrap().push(seen);
                let open = member.open.lock().unwrap().clone();
                if (n, life) == (1, 0) && commits > 0 && open.len() == AT_ONCE - 1 {
                    member.silent.store(true, Ordering::Relaxed);
                    log.partitions[n].store(0, Ordering::Relaxed);
                    *log.lost.lock().unwrap() = open;
                    break;
                }
                if open.len() >= AT_ONCE {
                    match member.commit(&consumer) {
                        Ok(()) => commits += 1,
                        // The group is changing: it stays open until the next time.
                        Err(KafkaError::ConsumerCommit(
                            RDKafkaErrorCode::RebalanceInProgress
                            | RDKafkaErrorCode::IllegalGeneration,
                        )) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            if log.ends.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Every committed record.
    fn all(&self) -> BTreeSet<Place> {
        let mut config = self.config.clone();
        config.set("group.id", format!("{}.all", self.group)).set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().unwrap();
        let (mut list, mut places) = (TopicPartitionList::new(), BTreeSet::new());
        for topic in &self.topics {
            for partition in 0..PARTITIONS as i32 {
                list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
            }
        }
        consumer.assign(&list).unwrap();
        let (begun, mut ended) = (Instant::now(), 0);
        while ended < list.count() {
            assert!(begun.elapsed() < PATIENCE, "{ended} partitions are read");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(it)) => {
                    places.insert((it.topic().to_owned(), it.partition(), it.offset()));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
        places
    }
}

impl Seen {
    fn of(message: &BorrowedMessage<'_>, reader: (usize, usize)) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let header = message.headers().unwrap().iter().find(|it| it.key == "ce_sequence").unwrap();
        Self {
            reader,
            place: (message.topic().to_owned(), message.partition(), message.offset()),
            key: text(message.key().unwrap()),
            sequence: text(header.value.unwrap()),
        }
    }
}

impl Log {
    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until both have a share of all partitions.
    async fn is_shared(&self) {
        until("both have partitions", || {
            let [one, other] = self.partitions.each_ref().map(|it| it.load(Ordering::Relaxed));
            one > 0 && other > 0 && one + other == Topic::ALL.len() * PARTITIONS as usize
        })
        .await;
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Orders in every store, and waits until they are published.
async fn business(site: &Site, town: &Town) {
    for life in [Life::Received, Life::PaidBack, Life::CalledOff, Life::Shipped] {
        for store in &town.stores {
            town.order(store, 1, life).await;
        }
    }
    site.published().await;
}

async fn two_share(strategy: &str) {
    let site = Site::start().await;
    let town = Town::found(&site).await;
    let (source, log) = (Source::of(&site, strategy), Arc::new(Log::default()));
    let readers = [0, 1].map(|n| {
        let (source, log) = (source.clone(), Arc::clone(&log));
        std::thread::spawn(move || source.read(n, &log))
    });

    log.is_shared().await;
    business(&site, &town).await;
    until("one ends without a word", || !log.lost.lock().unwrap().is_empty()).await;
    // Whatever happens while it comes back.
    business(&site, &town).await;
    log.is_shared().await;
    business(&site, &town).await;
    let all = source.all();
    assert!(all.len() > 200, "{}", all.len());
    let places = || log.seen().into_iter().map(|it| it.place).collect::<BTreeSet<_>>();
    until("all is read", || places() == all).await;
    log.ends.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }

    for reader in [(0, 0), (1, 0), (1, 1)] {
        assert!(log.seen().iter().any(|it| it.reader == reader), "{reader:?} has read nothing");
    }
    let mut times: BTreeMap<Place, usize> = BTreeMap::new();
    let mut last: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut of_reader: BTreeMap<((usize, usize), String, i32), i64> = BTreeMap::new();
    for Seen { reader, place, key, sequence } in log.seen() {
        let (topic, partition, offset) = &place;
        // Nobody goes back in its own time.
        let before = of_reader.insert((reader, topic.clone(), *partition), *offset);
        assert!(before < Some(*offset), "{reader:?}: {before:?} before {place:?}");
        *times.entry(place.clone()).or_default() += 1;
        if times[&place] == 1 {
            // What is new of a key comes in its order, whoever reads it.
            let before = last.insert((topic.clone(), key.clone()), sequence.clone());
            assert!(before.as_ref() < Some(&sequence), "{key}: {before:?} before {sequence}");
        }
    }
    let twice: BTreeSet<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    let twice: BTreeSet<_> = twice.into_iter().map(|(place, _)| place.clone()).collect();
    assert_eq!(twice, *log.lost.lock().unwrap(), "{strategy}");
    assert!(times.values().all(|times| *times <= 2));
    println!("{strategy}: {} records, {} of them twice", all.len(), twice.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_share_and_one_begins_again() {
    two_share("range").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_share_and_one_begins_again_while_the_other_goes_on() {
    two_share("cooperative-sticky").await;
}
