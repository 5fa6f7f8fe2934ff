//! Which node may try to write: the one that Kafka's group protocol gives the journal's only partition.
//!
//! This is for liveness alone. What keeps out a writer that has lost its place is the chain: nobody
//! takes its commits. Whether a node that wrote a moment ago is still the one that writes, so that
//! what it knows is the newest, is for its [`Lease`] to say.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use events::NodeName;
use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance},
    error::KafkaError,
    groups::GroupMemberInfo,
};
use tokio::sync::watch;

use crate::journal::kafka::journal_topic;

/// How long the group's coordinator waits for a node that is silent before another has its turn,
/// where nothing else is set. Shorter finds a dead writer sooner, and takes one that hangs for a
/// moment, or whose network does, for dead.
pub const SESSION: Duration = Duration::from_secs(6);

/// How long one look for news takes.
const POLL: Duration = Duration::from_millis(100);

/// What the client of a node in the election is called begins with this; its address follows.
const NODE: &str = "docket/";

/// The group of those who may write.
fn group_of(prefix: &str) -> String {
    format!("{prefix}.writer")
}

/// The addresses of all who have a seat, as the coordinator knows them. Blocks.
///
/// # Errors
/// When no broker answers.
pub fn seats(
    config: &ClientConfig,
    prefix: &str,
    within: Duration,
) -> Result<Vec<NodeName>, KafkaError> {
    let asking: BaseConsumer = config.create()?;
    let groups = asking.fetch_group_list(Some(&group_of(prefix)), within)?;
    let members = groups.groups().iter().flat_map(|group| group.members());
    let address = |it: &GroupMemberInfo| NodeName::new(it.client_id().strip_prefix(NODE)?).ok();
    let mut seats: Vec<_> = members.filter_map(address).collect();
    seats.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    Ok(seats)
}

/// A seat among the nodes that may write, until it is dropped.
pub struct Election {
    turn: watch::Receiver<bool>,
    lease: Lease,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Until when nobody else can have begun to write. Cheap to clone.
///
/// The coordinator waits for a whole session before it gives the turn to another; the lease lasts for
/// half of one after a moment at which the coordinator knew this node, so that clocks that run a
/// little apart do no harm.
#[derive(Clone, Default)]
pub struct Lease(Arc<Mutex<Option<Instant>>>);

impl Lease {
    /// Whether nobody else can have written up to now.
    pub fn holds(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// Hears of turns.
struct Turns {
    turn: watch::Sender<bool>,
    lease: Lease,
}

impl Turns {
    fn over(&self) {
        self.lease.set(None);
        self.turn.send_if_modified(|mine| std::mem::replace(mine, false));
    }
}

impl ClientContext for Turns {}

impl ConsumerContext for Turns {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(partitions) if partitions.count() > 0 => self.over(),
            Rebalance::Error(_) => self.over(),
            Rebalance::Revoke(_) | Rebalance::Assign(_) => {}
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance
            && partitions.count() > 0
        {
            // Nothing is read here: the journal's follower does that on every node.
            let _ = consumer.pause(partitions);
            self.turn.send_if_modified(|mine| !std::mem::replace(mine, true));
        }
    }
}

impl Election {
    /// Takes a seat: `config` says where the brokers are, `prefix` what the topics' names begin with,
    /// `address` where the other nodes reach this one, which everybody can ask the coordinator.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn stand(
        config: &ClientConfig,
        prefix: &str,
        address: &NodeName,
        session: Duration,
    ) -> Result<Self, KafkaError> {
        let (turn, turns) = watch::channel(false);
        let lease = Lease::default();
        let topic = journal_topic(prefix);
        let consumer: BaseConsumer<Turns> = config
            .clone()
            .set("group.id", group_of(prefix))
            .set("client.id", format!("{NODE}{address}"))
            // Who has the partition keeps it when others come.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session.as_millis().to_string())
            .set("heartbeat.interval.ms", (session.as_millis() / 4).to_string())
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "latest")
            .create_with_context(Turns { turn, lease: lease.clone() })?;
        consumer.subscribe(&[&topic])?;
        let ends = Arc::new(AtomicBool::new(false));
        let (ended, held) = (Arc::clone(&ends), lease.clone());
        let thread = std::thread::Builder::new()
            .name("election".into())
            .spawn(move || attend(&consumer, &topic, &held, session, &ended))
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { turn: turns, lease, ends, thread: Some(thread) })
    }

    /// Whether it is this node's turn to write, and a way to wait for changes.
    pub fn turn(&self) -> watch::Receiver<bool> {
        self.turn.clone()
    }

    /// Whether nobody else can have begun to write.
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the election panicked");
        }
    }
}

fn attend(
    consumer: &BaseConsumer<Turns>,
    topic: &str,
    lease: &Lease,
    session: Duration,
    ends: &AtomicBool,
) {
    let mut asked: Option<Instant> = None;
    let mine = || *consumer.context().turn.borrow();
    while !ends.load(Ordering::Relaxed) {
        if let Some(Err(error)) = consumer.poll(POLL) {
            tracing::debug!(%error, "the election hears nothing");
        }
        if mine() && asked.is_none_or(|since| since.elapsed() >= session / 8) {
            let since = Instant::now();
            asked = Some(since);
            match known(consumer, topic) {
                Ok(()) if mine() => lease.set(Some(since + session / 2)),
                Ok(()) => {}
                Err(error) => tracing::debug!(%error, "the lease is not renewed"),
            }
        }
    }
    consumer.context().over();
    // Says goodbye, so that another has its turn at once.
    consumer.unsubscribe();
}

/// Asks the coordinator whether it knows this node as the one whose turn it is: it takes the
/// offsets of nobody else.
fn known(consumer: &BaseConsumer<Turns>, topic: &str) -> Result<(), KafkaError> {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, 0, Offset::Offset(0))?;
    consumer.commit(&offsets, CommitMode::Sync)
}
