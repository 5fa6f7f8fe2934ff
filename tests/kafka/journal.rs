//! The journal on Kafka, as several nodes have it: all take the same commits, whoever writes.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use docket::{
    engine::{self, Standby},
    journal::{
        Appending, Journal, JournalError, KafkaJournal, SqliteJournal,
        kafka::{Options, Progress, record_of},
        sqlite,
    },
};
use events::{Commit, CommitNumber, Epoch, Head, NodeName, Position, WrappedKey, WriterOpened};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    admin::{AdminOptions, AlterConfig, ResourceSpecifier},
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{FutureRecord, Producer as _},
};
use tempfile::TempDir;

use super::{
    client::{PATIENCE, admin, writer},
    support::{
        decision::adding,
        kafka::{self, Cluster},
    },
};

/// One node's journal, and the folder of its copy.
pub struct Node {
    pub journal: Arc<KafkaJournal>,
    folder: TempDir,
}

fn options(prefix: &str) -> Options {
    options_on(kafka::bootstrap(), prefix)
}

fn options_on(brokers: String, prefix: &str) -> Options {
    Options { brokers, prefix: prefix.to_owned(), replication: 1, settings: Vec::new() }
}

impl Node {
    pub async fn open(prefix: &str) -> Self {
        Self::on(tempfile::tempdir().unwrap(), prefix).await
    }

    async fn on(folder: TempDir, prefix: &str) -> Self {
        Self::with(folder, &options(prefix)).await
    }

    async fn with(folder: TempDir, options: &Options) -> Self {
        let journal = KafkaJournal::open(folder.path(), options).await.unwrap();
        Self { journal: Arc::new(journal), folder }
    }

    /// Calls what blocks.
    async fn block<T: Send + 'static>(
        &self,
        call: impl FnOnce(&KafkaJournal) -> T + Send + 'static,
    ) -> T {
        let journal = Arc::clone(&self.journal);
        tokio::task::spawn_blocking(move || call(&journal)).await.unwrap()
    }

    pub async fn caught_up(&self) -> Head {
        self.block(|journal| {
            journal.catch_up(PATIENCE).unwrap();
            *journal.head().borrow()
        })
        .await
    }

    /// Every commit it has, each checked against the one before.
    pub async fn commits(&self) -> Vec<Commit> {
        let commits = self.block(|it| it.read(CommitNumber(0), usize::MAX).unwrap()).await;
        let mut head = Head::default();
        for commit in &commits {
            commit.continues(&head).unwrap();
            head = commit.head();
        }
        commits
    }

    pub fn send(&self, commit: &Commit) -> Appending {
        self.journal.append(Arc::new(commit.clone()), Vec::new())
    }

    pub async fn append(&self, commit: &Commit) -> Result<(), JournalError> {
        self.send(commit).await.unwrap()
    }

    pub fn fenced(&self) -> u64 {
        self.journal.progress().borrow().fenced
    }

    /// Ends, and gives the folder back.
    fn close(self) -> TempDir {
        let Self { journal, folder } = self;
        drop(Arc::into_inner(journal).expect("nobody else has it"));
        folder
    }
}

/// The newest record under a key of a topic: the one that compaction keeps.
async fn newest_of(topic: String, key: &'static str) -> Vec<u8> {
    let read = move || {
        let mut config = options("").client();
        config.set("group.id", "reader").set("enable.partition.eof", "true");
        let reader: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
        reader.assign(&list).unwrap();
        let mut newest = None;
        loop {
            match reader.poll(PATIENCE) {
                Some(Ok(it)) if it.key() == Some(key.as_bytes()) => {
                    newest = it.payload().map(<[u8]>::to_vec);
                }
                Some(Ok(_)) => {}
                Some(Err(KafkaError::PartitionEOF(_))) => return newest.unwrap(),
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

/// A commit with so many decisions, of one event each.
pub fn commit(head: &Head, epoch: u64, decisions: u64) -> Commit {
    let first = head.position.0 + 1;
    Commit::seal(
        head,
        Epoch(epoch),
        (first..first + decisions).map(|n| adding(Position(n), "tea")).collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_has_what_one_has_written() {
    let prefix = kafka::prefix();
    let (writer, other) = (Node::open(&prefix).await, Node::open(&prefix).await);
    writer.journal.begin().unwrap();
    let mut head = Head::default();
    let (mut sent, mut answers) = (Vec::new(), Vec::new());
    for n in 1..=60 {
        let next = commit(&head, 1, 1 + n % 3);
        head = next.head();
        answers.push(writer.send(&next)); // Not waiting for the one before.
        sent.push(next);
    }
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(*writer.journal.head().borrow(), head, "what is acknowledged can be read");
    assert_eq!(other.caught_up().await, head);
    assert_eq!(writer.commits().await, sent);
    assert_eq!(other.commits().await, sent);

    // One that comes later, and one that goes on where it was.
    let late = Node::open(&prefix).await;
    assert_eq!(late.caught_up().await, head);
    assert_eq!(late.commits().await, sent);
    let folder = other.close();
    let more = commit(&head, 1, 2);
    writer.append(&more).await.unwrap();
    let again = Node::on(folder, &prefix).await;
    assert_eq!(*again.journal.head().borrow(), head, "it had this without reading it again");
    assert_eq!(again.caught_up().await, more.head());
    let progress: Progress = again.journal.progress().borrow().clone();
    assert_eq!((progress.fenced, progress.failed), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_has_lost_its_place_acknowledges_nothing() {
    let prefix = kafka::prefix();
    let (old, new) = (Node::open(&prefix).await, Node::open(&prefix).await);
    old.journal.begin().unwrap();
    let first = commit(&Head::default(), 1, 1);
    old.append(&first).await.unwrap();
    assert_eq!(new.caught_up().await, first.head());
    new.journal.begin().unwrap();
    let opens = commit(&first.head(), 2, 1);
    new.append(&opens).await.unwrap();

    // The old one knows nothing of it, and has several on their way.
    let beside = commit(&first.head(), 1, 2);
    let behind = commit(&beside.head(), 1, 1);
    let answers = [old.send(&beside), old.send(&behind)];
    for answer in answers {
        let error = answer.await.unwrap().unwrap_err();
        assert!(matches!(error, JournalError::Fenced { epoch: Epoch(2), .. }), "{error}");
    }
    let error = old.append(&commit(&opens.head(), 1, 1)).await.unwrap_err();
    assert!(matches!(error, JournalError::Fenced { .. }), "{error}");
    // It may have noticed before it sent them; what was on its way by then comes all the same.
    let client = writer(&kafka::bootstrap(), PATIENCE, &[]);
    let (topic, late) = (format!("{prefix}.journal"), record_of(&beside));
    let record = FutureRecord::<(), _>::to(&topic).partition(0).payload(&late);
    client.send(record, PATIENCE).await.unwrap();

    let next = commit(&opens.head(), 2, 3);
    new.append(&next).await.unwrap();
    let chain = [first, opens, next];
    for node in [&old, &new, &Node::open(&prefix).await] {
        assert_eq!(node.caught_up().await, chain[2].head());
        assert_eq!(node.commits().await, chain);
        assert!(node.fenced() >= 1, "what came too late is counted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_open_at_once_the_log_says_who_writes() {
    let prefix = kafka::prefix();
    let nodes = [Node::open(&prefix).await, Node::open(&prefix).await];
    let mut head = Head::default();
    for epoch in 1..=10 {
        for node in &nodes {
            assert_eq!(node.caught_up().await, head);
            node.journal.begin().unwrap();
        }
        let opens = [commit(&head, epoch, 1), commit(&head, epoch, 2)];
        let answers = [nodes[0].send(&opens[0]), nodes[1].send(&opens[1])];
        let [one, other] = answers;
        let answers = [one.await.unwrap(), other.await.unwrap()];
        let won = match &answers {
            [Ok(()), Err(JournalError::Fenced { .. })] => 0,
            [Err(JournalError::Fenced { .. }), Ok(())] => 1,
            other => panic!("{other:?}"),
        };
        head = opens[won].head();
    }
    let chain = nodes[0].commits().await;
    assert_eq!(chain.len(), 10);
    assert_eq!(nodes[1].caught_up().await, head);
    assert_eq!(nodes[1].commits().await, chain);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_everywhere_before_what_it_sealed_and_gone_everywhere() {
    let prefix = kafka::prefix();
    let (writer, other) = (Node::open(&prefix).await, Node::open(&prefix).await);
    writer.journal.begin().unwrap();
    let key = |id: &str, byte: u8| WrappedKey { id: id.to_owned(), bytes: vec![byte; 60] };
    let mut head = Head::default();
    let mut heads = other.journal.head();
    for n in 1..=20 {
        let next = commit(&head, 1, 1);
        head = next.head();
        let id = format!("account/{n}");
        let appending = writer.journal.append(Arc::new(next), vec![key(&id, n)]);
        heads.wait_for(|it| it.number >= head.number).await.unwrap();
        let found = other.block(move |it| it.wrapped_key(&id).unwrap()).await;
        assert_eq!(found.unwrap().bytes, [n; 60]);
        appending.await.unwrap().unwrap();
    }
    // Of two nodes that make a key of the site's own, both use the same.
    let (one, same) = tokio::join!(
        writer.block(move |it| it.ensure_key(key("ring/a", 101)).unwrap()),
        other.block(move |it| it.ensure_key(key("ring/a", 102)).unwrap()),
    );
    assert_eq!(same, one);
    let newest = newest_of(format!("{prefix}.keys"), "ring/a").await;
    assert_eq!(newest, one.bytes, "what compaction keeps is what is used");

    writer.block(|it| it.destroy_key("account/7")).await.unwrap();
    other.caught_up().await;
    let late = Node::open(&prefix).await;
    late.caught_up().await;
    for node in [&writer, &other, &late] {
        let keys = ["account/6", "account/7", "ring/a"];
        let found = node.block(move |it| keys.map(|id| it.wrapped_key(id).unwrap())).await;
        let found = found.map(|it| it.map(|key| key.bytes[0]));
        assert_eq!(found, [Some(6), None, Some(one.bytes[0])]);
    }
}

/// The marks that end transactions, and what was written in one that was given up, have offsets, and
/// no reader ever gets them.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_keys_is_reached_where_it_holds_nothing_to_read() {
    let prefix = kafka::prefix();
    let node = Node::open(&prefix).await;
    let topic = format!("{prefix}.keys");
    let client = writer(&kafka::bootstrap(), PATIENCE, &[("transactional.id", &prefix)]);
    client.init_transactions(PATIENCE).unwrap();
    let ends = [("account/1", true), ("account/2", false)];
    for (id, is_kept) in ends {
        client.begin_transaction().unwrap();
        let record = FutureRecord::to(&topic).partition(0).key(id).payload("wrapped");
        client.send(record, PATIENCE).await.unwrap();
        match is_kept {
            true => client.commit_transaction(PATIENCE).unwrap(),
            false => client.abort_transaction(PATIENCE).unwrap(),
        }
        // One that follows, and one that comes to where it is already.
        for node in [&node, &Node::open(&prefix).await] {
            node.block(|it| it.catch_up(PATIENCE / 6)).await.unwrap();
            let found = node.block(move |it| it.wrapped_key(id).unwrap()).await;
            assert_eq!(found.is_some(), is_kept);
        }
    }
    // What comes behind is taken as ever, also by whoever starts where nothing is to be read.
    let again = Node::on(node.close(), &prefix).await;
    again.caught_up().await;
    again.journal.begin().unwrap();
    let key = WrappedKey { id: "account/3".into(), bytes: vec![3] };
    let first = commit(&Head::default(), 1, 1);
    again.journal.append(Arc::new(first.clone()), vec![key]).await.unwrap().unwrap();
    assert_eq!(Node::open(&prefix).await.caught_up().await, first.head());
}

/// A node that follows reads both topics at once, and may be given many commits before the keys that
/// were stored before them.
#[tokio::test(flavor = "multi_thread")]
async fn commits_that_wait_for_a_key_are_taken_in_their_order() {
    let prefix = kafka::prefix();
    let node = Node::open(&prefix).await;
    let client = writer(&kafka::bootstrap(), PATIENCE, &[]);
    let (journal, keys) = (format!("{prefix}.journal"), format!("{prefix}.keys"));
    let (mut head, mut sent, mut sending) = (Head::default(), Vec::new(), Vec::new());
    for _ in 0..3000 {
        let header = Header { key: "docket-keys", value: Some("1") };
        let next = commit(&head, 1, 1);
        head = next.head();
        let bytes = record_of(&next);
        let record = FutureRecord::<(), _>::to(&journal).partition(0).payload(&bytes);
        let record = record.headers(OwnedHeaders::new().insert(header));
        sending.push(client.send_result(record).unwrap());
        sent.push(next);
    }
    for sent in sending {
        sent.await.unwrap().unwrap();
    }
    let late = Node::open(&prefix).await;
    for node in [&node, &late] {
        let error = node.block(|it| it.catch_up(Duration::from_secs(2))).await.unwrap_err();
        assert!(error.to_string().contains("not reached yet"), "{error}");
        assert_eq!(node.commits().await, []);
    }
    let record = FutureRecord::to(&keys).partition(0).key("account/1").payload("wrapped");
    client.send(record, PATIENCE).await.unwrap();
    for node in [&node, &late] {
        assert_eq!(node.caught_up().await, head);
        assert_eq!(node.commits().await, sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_its_own_follows_no_other() {
    let (prefix, folder) = (kafka::prefix(), tempfile::tempdir().unwrap());
    let own = SqliteJournal::open(folder.path(), sqlite::Options::default()).unwrap();
    own.append(Arc::new(commit(&Head::default(), 1, 1)), Vec::new()).await.unwrap().unwrap();
    drop(own);
    let error = KafkaJournal::open(folder.path(), &options(&prefix)).await.err().unwrap();
    let says = format!(
        ", of 1 commits, is no copy of {prefix}.journal on Kafka; name another folder with --data"
    );
    assert!(error.to_string().ends_with(&says), "{error}");

    // Nor does a copy follow another than before.
    let node = Node::open(&prefix).await;
    node.journal.begin().unwrap();
    node.append(&commit(&Head::default(), 1, 1)).await.unwrap();
    let folder = node.close();
    let path = folder.path().join(sqlite::FILE);
    forget_offsets(&path);
    let prefix = kafka::prefix();
    let other = Node::on(folder, &prefix).await;
    let error = other.block(|it| it.catch_up(PATIENCE)).await.unwrap_err().to_string();
    assert!(error.contains(&format!("1 commits, is no copy of {prefix}.journal")), "{error}");
}

/// Leaves a copy as one that was cut off early: with commits, and told to read on from the beginning.
fn forget_offsets(journal: &Path) {
    let conn = rusqlite::Connection::open(journal).unwrap();
    let begin = "UPDATE meta SET value = '{\"journal\":0,\"keys\":0}' WHERE name = 'followed'";
    assert_eq!(conn.execute(begin, ()).unwrap(), 1);
}

/// On one thread: were it to wait for the broker, nobody would wake that.
#[tokio::test]
async fn what_is_appended_waits_for_a_broker_that_hangs_and_its_caller_does_not() {
    let mut cluster = Cluster::start(1);
    let site = options_on(cluster.bootstrap(), &kafka::prefix());
    let node = Node::with(tempfile::tempdir().unwrap(), &site).await;
    node.journal.begin().unwrap();
    let first = commit(&Head::default(), 1, 1);
    node.append(&first).await.unwrap();
    cluster.pause(0);
    let (second, key) =
        (commit(&first.head(), 1, 1), WrappedKey { id: "account/1".into(), bytes: vec![1] });
    let third = commit(&second.head(), 1, 1);
    let mut answers = [
        node.journal.append(Arc::new(second.clone()), vec![key]),
        node.journal.append(Arc::new(third.clone()), Vec::new()),
    ];
    assert!(answers.iter_mut().all(|it| it.try_recv().is_err()), "nothing of it is durable");
    cluster.resume(0);
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(node.commits().await, [first, second, third]);
    node.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_nobody_should_have_written_stops_its_readers() {
    let prefix = kafka::prefix();
    let node = Node::open(&prefix).await;
    node.journal.begin().unwrap();
    let first = commit(&Head::default(), 1, 1);
    node.append(&first).await.unwrap();
    let client = writer(&kafka::bootstrap(), PATIENCE, &[]);
    let topic = format!("{prefix}.journal");
    let record = FutureRecord::<(), _>::to(&topic).partition(0).payload("no commit");
    client.send(record, PATIENCE).await.unwrap();
    let mut progress = node.journal.progress();
    let stopped = progress.wait_for(|it| it.failed.is_some());
    let stopped = tokio::time::timeout(PATIENCE, stopped).await.unwrap().unwrap().clone();
    let says = format!("the record at offset 1 of {topic} cannot be read: expected ident");
    assert!(stopped.failed.as_deref().unwrap().starts_with(&says), "{stopped:?}");
    let error = node.append(&commit(&first.head(), 1, 1)).await.unwrap_err();
    assert!(matches!(error, JournalError::Closed(_)), "{error}");
    assert_eq!(node.commits().await, [first], "what was there stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_could_lose_its_records_is_refused() {
    let prefix = kafka::prefix();
    drop(Node::open(&prefix).await);
    let topic = format!("{prefix}.journal");
    let admin = admin(&kafka::bootstrap());
    let settings = BTreeMap::from([
        ("retention.ms", "604800000"),
        ("unclean.leader.election.enable", "true"),
        ("max.message.bytes", "1048576"),
    ]);
    let mut change = AlterConfig::new(ResourceSpecifier::Topic(&topic));
    for (name, value) in settings {
        change = change.set(name, value);
    }
    admin.alter_configs([&change], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut refused = String::new();
    // The broker takes a moment to say what it was told.
    for _ in 0..100 {
        match KafkaJournal::open(folder.path(), &options(&prefix)).await {
            Err(error) => {
                refused = error.to_string();
                break;
            }
            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    let says = "could lose what it holds: retention.ms is \"604800000\" and must be \"-1\"; \
                unclean.leader.election.enable is \"true\" and must be \"false\"";
    assert_eq!(refused, format!("the topic {topic} {says}"));
}

/// Who opened an epoch, and heard only later that another has opened the next, does not go on in
/// that one.
#[tokio::test(flavor = "multi_thread")]
async fn an_opener_that_is_late_sees_that_another_has_opened() {
    let prefix = kafka::prefix();
    let (late, other) = (Node::open(&prefix).await, Node::open(&prefix).await);
    late.journal.begin().unwrap();
    other.journal.begin().unwrap();
    let open = async |node: &Node, mut standby: Standby, epoch: Epoch| {
        node.caught_up().await;
        let name = NodeName::new("node:1").unwrap();
        let opened = WriterOpened { node: name.clone(), address: name };
        node.block(move |journal| {
            standby.catch_up(journal, |_| {}).unwrap();
            standby.open_epoch(journal, epoch, opened).unwrap();
            standby
        })
        .await
    };
    let fold = async |node: &Node, mut standby: Standby| {
        node.caught_up().await;
        node.block(move |journal| {
            standby.catch_up(journal, |_| {}).unwrap();
            standby
        })
        .await
    };
    let standby = || Standby::new(engine::Options::default().clock);
    let first = open(&late, standby(), Epoch(1)).await;
    let second = open(&other, standby(), Epoch(2)).await;
    assert!(fold(&other, second).await.ends_in(Epoch(2)));
    let first = fold(&late, first).await;
    assert!(!first.ends_in(Epoch(1)) && first.ends_in(Epoch(2)), "{:?}", first.head());
}
